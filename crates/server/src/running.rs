//! One running broker: answers operators, heeds signals, looks after itself, stops.
//!
//! What is not here: what a request does ([`crate::admin`]), and links ([`crate::plane`]).

mod start;

use crate::{
    admin::{Admin, BROKER, notifying},
    clock,
    control::{ControlSocket, ListenerRow, Refusal, RefusalCode, Reply, Request, Response},
    enrolment::Enrolment,
    grants::Granting,
    home::Home,
    installation,
    notify::{Notifier, Notifying},
    plane::{ApplicationQueue, Applications, DataPlane, Proof},
    ratchet::Ratcheting,
    regular::Regular,
    service::Service,
    signals::{Ear, Heard},
    status::Status,
    sys::Sys,
    watch::Watching,
};
use keyward_identity::WallTime;
use start::system;
use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

pub use start::{RunOptions, StartError, run};

/// How often the broker looks after its names, its certificate and its clock.
const UPKEEP: Duration = Duration::from_secs(300);

/// How often new hashes of imported passwords are put into the ledger.
const REHASHING: Duration = Duration::from_secs(1);

/// How often proofs are taken that two hold a key.
const PROVING: Duration = Duration::from_secs(1);

/// How often it is looked whether members of groups are to get keys, and how long pieces of that work lie apart.
const GRANTING: Duration = Duration::from_millis(50);

/// Holds a running broker; dropping it stops the broker.
pub struct Running {
    admin: Arc<Mutex<Admin>>,
    plane: Arc<DataPlane>,
    first_start: bool,
    // Keeps `stopped` waiting when nobody hears signals.
    _stop: SyncSender<()>,
    stopped: Receiver<()>,
    // Dropped in this order: nobody asks any more, then nobody looks after it.
    control: Option<ControlSocket>,
    ear: Option<Ear>,
    upkeep: Option<Regular>,
    rehashing: Option<Regular>,
    proving: Option<Regular>,
    grants: Option<Regular>,
    enrolment: Option<Enrolment>,
    sys: Option<Regular>,
    watch: Option<Regular>,
    watching: Option<Watching>,
    ratcheting: Option<Ratcheting>,
    notifying: Option<Notifying>,
    service: Service,
}

/// Opens the ways to the running broker: socket, signals, upkeep.
fn attend(
    home: &Home,
    admin: Arc<Mutex<Admin>>,
    plane: Arc<DataPlane>,
    (applications, queue): (Applications, ApplicationQueue),
    first_start: bool,
    sys_interval: Duration,
    options: &RunOptions,
) -> Result<Running, StartError> {
    let (stop, stopped) = sync_channel(1);
    // Weak, so that a connection that is still open does not hold the store when the broker has stopped.
    let answering = Arc::downgrade(&admin);
    let told = options.service.clone();
    let handler = move |request: Request, actor: &str| match answering.upgrade() {
        Some(admin) => match request {
            Request::StoreBackup { messages } => lock(&admin).begin_backup(messages),
            Request::StoreCheck => lock(&admin).begin_check(),
            other => execute(&admin, other, actor, &told).map(Reply::Once),
        },
        None => Err(Refusal::new(RefusalCode::WrongMoment, "the broker has stopped; try again")),
    };
    let control = ControlSocket::start(home, Arc::new(handler)).map_err(system("the control socket"))?;
    let ear = match options.ignore_signals {
        true => None,
        false => {
            let (heeding, stop, told) = (Arc::clone(&admin), stop.clone(), options.service.clone());
            let ear = Ear::open(move |heard| heed(heard, &heeding, &stop, &told));
            Some(ear.map_err(system("signals cannot be heard"))?)
        }
    };
    let looked_after = Arc::clone(&admin);
    let upkeep = Regular::start("upkeep", UPKEEP, move || {
        lock(&looked_after).upkeep(BROKER, installation::wall_time());
    });
    let upkeep = upkeep.map_err(system("no thread for the upkeep"))?;
    let (keeper, checker) = (Arc::clone(&admin), Arc::clone(&plane));
    let rehashing = Regular::start("rehashing", REHASHING, move || {
        let rehashes = checker.rehashed();
        if !rehashes.is_empty() {
            lock(&keeper).keep_rehashed(rehashes, BROKER);
        }
    });
    let (judge, seen) = (Arc::clone(&admin), Arc::clone(&plane));
    let proving = Regular::start("proofs", PROVING, move || {
        for Proof { identity, kid, evidence } in seen.proofs() {
            lock(&judge).two_holders(&identity, kid, evidence, BROKER);
        }
        lock(&judge).act_on_causes(BROKER);
    });
    let proving = Some(proving.map_err(system("no thread for proofs of second holders"))?);
    let rehashing = Some(rehashing.map_err(system("no thread for new hashes of passwords"))?);
    let (granter, read) = (Arc::clone(&admin), Arc::clone(&plane));
    let mut granting = Granting::default();
    let grants = Regular::start("grants", GRANTING, move || {
        granting.work(&granter, BROKER, &|values| read.announce(values));
    });
    let grants = Some(grants.map_err(system("no thread for keys of groups"))?);
    let enrolment = Enrolment::start(&admin, applications, queue);
    let enrolment = Some(enrolment.map_err(system("no thread for enrolment"))?);
    let notifier = lock(&admin).notifier().unwrap_or_default();
    let sys = speak_of_itself(&plane, notifier, sys_interval).map_err(system("no thread for $SYS"))?;
    let watch = options.service.watch(Arc::clone(&plane)).map_err(system("no thread for the watchdog"))?;
    let (control, upkeep, service) = (Some(control), Some(upkeep), options.service.clone());
    Ok(Running {
        admin,
        plane,
        first_start,
        _stop: stop,
        stopped,
        control,
        ear,
        upkeep,
        rehashing,
        proving,
        grants,
        enrolment,
        sys,
        watch,
        watching: None,
        ratcheting: None,
        notifying: None,
        service,
    })
}

impl Running {
    /// Tells whether this start made the installation.
    pub fn is_first_start(&self) -> bool {
        self.first_start
    }

    /// Returns the listeners with what they are bound to, in the order of the configuration.
    pub fn listeners(&self) -> Vec<ListenerRow> {
        self.status().listeners
    }

    /// Returns the addresses that listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.plane.listeners().into_iter().flat_map(|bound| bound.addresses).collect()
    }

    /// Says where it listens, for the service manager.
    fn said_of_listeners(&self) -> String {
        let open = self.plane.listeners();
        let of = |bound: &crate::plane::Bound| {
            let ports: BTreeSet<u16> = bound.addresses.iter().map(SocketAddr::port).collect();
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            match ports.is_empty() {
                true => format!("{} on a socket", bound.listener.name),
                false => format!("{} on port {}", bound.listener.name, ports.join(", ")),
            }
        };
        format!("running: {}", open.iter().map(of).collect::<Vec<_>>().join("; "))
    }

    /// Returns what `keyward status` shows.
    pub fn status(&self) -> Status {
        lock(&self.admin).status()
    }

    /// Carries a request out as the control socket would.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was changed then.
    pub fn execute(&self, request: Request) -> Result<Response, Refusal> {
        lock(&self.admin).execute(request)
    }

    /// Looks after names, certificate and clock as the broker itself does every five minutes, as if it were `now`.
    pub fn upkeep(&self, now: WallTime) {
        lock(&self.admin).upkeep(BROKER, now);
    }

    /// Waits until a signal asks the broker to stop, then stops it.
    pub fn wait(self) {
        // The sender lives in `self`, so an error cannot come.
        let _ = self.stopped.recv();
        self.stop();
    }

    /// Stops the broker: clients are told (0x8B) and their links closed.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        tracing::info!("stopping: clients are told and their links closed");
        self.service.stopping();
        self.control.take();
        self.ear.take();
        self.upkeep.take();
        self.rehashing.take();
        self.proving.take();
        self.grants.take();
        self.enrolment.take();
        self.sys.take();
        self.watch.take();
        // Before links are closed: the watch is not to take that for the loss of devices.
        self.watching.take();
        self.ratcheting.take();
        self.notifying.take();
        self.plane.shutdown();
    }
}

fn lock(admin: &Mutex<Admin>) -> MutexGuard<'_, Admin> {
    admin.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries a request out; a reload is told to the service manager from its beginning to its end.
fn execute(
    admin: &Mutex<Admin>,
    request: Request,
    actor: &str,
    service: &Service,
) -> Result<Response, Refusal> {
    if matches!(request, Request::NotifyTest) {
        // Nobody waits for what is far away.
        let notifier = lock(admin).notifier()?;
        return notifying::test(&notifier);
    }
    if !matches!(request, Request::Reload) {
        return lock(admin).execute_for(request, actor);
    }
    service.reloading();
    let answer = lock(admin).execute_for(request, actor);
    service.ready(match &answer {
        Ok(_) => "running: configuration and rules were read again",
        Err(_) => "running as before: nothing was reloaded, for a file is bad",
    });
    answer
}

fn heed(heard: Heard, admin: &Mutex<Admin>, stop: &SyncSender<()>, service: &Service) {
    match heard {
        Heard::Stop => {
            // A place that is taken says the same already.
            let _ = stop.try_send(());
        }
        Heard::Reload => match execute(admin, Request::Reload, "SIGHUP", service) {
            Ok(Response::Reloaded(reloaded)) => {
                for line in reloaded.changes.iter().chain(&reloaded.needs_restart) {
                    tracing::info!("reload: {line}");
                }
                tracing::info!(in_force_ms = reloaded.in_force_ms, "reloaded");
            }
            Ok(_) => {}
            Err(refusal) => tracing::error!("nothing was reloaded, all is as it was:\n{}", refusal.what),
        },
    }
}

/// Lets the broker publish its figures below `$SYS/`, unless the interval is zero.
fn speak_of_itself(
    plane: &Arc<DataPlane>,
    notifier: Notifier,
    every: Duration,
) -> io::Result<Option<Regular>> {
    if every.is_zero() {
        return Ok(None);
    }
    let plane = Arc::clone(plane);
    let mut sys = Sys::new(clock::now().mono);
    Regular::start("sys", every, move || {
        let values = sys.changes(clock::now().mono, &plane.stats(), notifier.counts());
        plane.announce(values.into_iter().map(|(topic, value)| (topic, value.into_bytes())).collect());
    })
    .map(Some)
}
