//! One running broker: opens the store, starts the data plane, answers operators, heeds signals, stops.
//!
//! What is not here: what a request does ([`crate::admin`]), and links ([`crate::plane`]).

use crate::{
    admin::{Admin, InRun},
    carrier::Carrier,
    clock,
    config::{Address, Config, Overrides},
    control::{ControlSocket, ListenerRow, Refusal, RefusalCode, Reply, Request, Response},
    home::{Home, HomeError},
    installation::{self, InstallationError, SettingsError},
    journal::Journal,
    logging::{self, LogOptions},
    names,
    plane::{DataPlane, DataPlaneOptions, ListenError, RestartError, StartError as PlaneError, State},
    process,
    regular::Regular,
    rules::{Rules, RulesError},
    service::Service,
    signals::{Ear, Heard},
    status::Status,
    store,
    sys::Sys,
    wiring,
};
use keyward_broker::{Directory, persist::RecoveryError};
use keyward_identity::{Command, Context, Registrar, ServerName, WallTime, files, restore};
use keyward_store::Engine;
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

/// How often the broker looks after its names, its certificate and its clock.
const UPKEEP: Duration = Duration::from_secs(300);

/// How often new hashes of imported passwords are put into the ledger.
const REHASHING: Duration = Duration::from_secs(1);

/// Who does what nobody asked for, in the audit.
const BROKER: &str = "broker";

/// Holds what a start is told beside `keyward.toml`.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// More names for the server certificate (`--name`); those of `KEYWARD_NAMES` are added.
    pub names: Vec<String>,
    /// Another port for the first listener; 0 lets the system choose.
    pub port: Option<u16>,
    /// Another address for the first listener.
    pub address: Option<IpAddr>,
    /// The file with the passphrase of the keys; without it the systemd credential `keyward-passphrase`.
    pub passphrase_file: Option<PathBuf>,
    /// How to log to standard error; `None` leaves logging to the caller.
    pub log: Option<LogOptions>,
    /// Whether the process may be dumped and traced by its user, for debugging.
    pub dumpable: bool,
    /// Whether signals are left to the caller (the demo and tests run a broker inside their process).
    pub ignore_signals: bool,
    /// Who is told how the broker is.
    pub service: Service,
}

/// Says why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The directory cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A port is taken.
    #[error(
        "port {port} of listener {listener} is in use by another program; stop that one, or choose another with `keyward up --port PORT`"
    )]
    PortInUse {
        /// The listener.
        listener: String,
        /// The port.
        port: u16,
    },
    /// A listener cannot be opened for another reason.
    #[error("{0}; [[listener]] in keyward.toml says what is opened")]
    Listen(ListenError),
    /// The store cannot be made or opened.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// `keyward.toml` is bad.
    #[error("keyward.toml is not valid, so nothing was started:\n{0}")]
    Settings(#[from] SettingsError),
    /// Sessions and messages cannot be kept.
    #[error("the message store did not open: {0}")]
    Store(#[from] store::StoreError),
    /// A rule file is bad.
    #[error("the rules are not valid, so nothing was started:\n{0}")]
    Rules(#[from] RulesError),
    /// A name or a log filter is none.
    #[error("{0}")]
    Argument(String),
    /// The server certificate cannot be used, or threads cannot be started.
    #[error("the data plane did not start: {0}")]
    Plane(String),
    /// A socket, thread or signal handler could not be had.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

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
    sys: Option<Regular>,
    watch: Option<Regular>,
    service: Service,
}

/// Starts the broker of `home`, making the installation first if there is none. Returns when it listens.
///
/// # Errors
/// [`StartError`], which says what to do.
pub fn run(home: Home, options: &RunOptions) -> Result<Running, StartError> {
    if !options.dumpable {
        process::forbid_dumps().map_err(system("dumps of this process could not be forbidden"))?;
    }
    let starting = options.service.starting();
    home.create()?;
    // Before anything in the directory is read.
    restore::finish(home.directory()).map_err(InstallationError::from)?;
    let (config, _) = installation::settings(&home)?;
    if let Some(log) = &options.log {
        logging::start(log, &config.log).map_err(StartError::Argument)?;
    }
    let overrides = Overrides { port: options.port, address: options.address };
    let config = config.overridden(overrides);
    let takes =
        |address| config.listeners.iter().any(|listener| listener.address() == Some(Address::One(address)));
    if let Some(address) = options.address.filter(|address| !takes(*address)) {
        let what = format!("--address {address}: no listener with TLS is configured that could open there");
        return Err(StartError::Argument(what));
    }
    let first_start = !home.is_installed();
    if first_start {
        files::ensure_private_dir(&home.policy_dir()).map_err(InstallationError::from)?;
    }
    let rules = Rules::load(&home)?;
    let wanted = wanted_names(&config, options)?;
    let protection = installation::protection(options.passphrase_file.as_deref())?;
    let mut registrar = if first_start {
        installation::create(&home, wanted.clone(), protection)?
    } else {
        installation::open(&home, protection)?
    };
    bring_up_to_date(&mut registrar, &wanted);
    let journal = Arc::new(Journal::default());
    let policy = Arc::new(rules.policy.clone());
    // What is missing is told before anything is opened.
    let missing = |error: wiring::MissingCertificate| StartError::Argument(error.to_string());
    wiring::tls_material_for(&registrar, &config.listeners).map_err(missing)?;
    let start = || -> Result<_, StartError> {
        let store = store::open(&home, config.store)?;
        let messages = store.as_ref().map(|engine| engine.reader());
        Ok(start_plane(&config, &registrar, &policy, &journal, store).map(|started| (started, messages)))
    };
    let ((plane, directory), messages) = match start()? {
        Err(PlaneError::Restart(RestartError::Recovery(why @ RecoveryError::Unreadable(_)))) => {
            // Only now is it closed.
            drop(store::begin_anew(&home, config.store, &why)?);
            start()?
        }
        started => started,
    }
    .map_err(|error| plane_error(error, &config))?;
    let plane = Arc::new(plane);
    let sys_interval = config.sys_interval;
    let live = Box::new(Carrier::new(Arc::clone(&plane), directory, journal));
    let mut admin = Admin::running(
        home.clone(),
        registrar,
        InRun { live, messages, started: config.clone(), config, overrides, policy },
    );
    // Read again: the first start has written the file.
    admin.note_hand_edits(&installation::settings(&home)?.1, &rules, BROKER);
    let admin = Arc::new(Mutex::new(admin));
    let running = attend(&home, admin, plane, first_start, sys_interval, options)?;
    drop(starting);
    for warning in running.status().warnings {
        tracing::warn!("{}", crate::escape::escape(&warning));
    }
    options.service.ready(&running.said_of_listeners());
    Ok(running)
}

/// Opens the ways to the running broker: socket, signals, upkeep.
fn attend(
    home: &Home,
    admin: Arc<Mutex<Admin>>,
    plane: Arc<DataPlane>,
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
    let rehashing = Some(rehashing.map_err(system("no thread for new hashes of passwords"))?);
    let sys = speak_of_itself(&plane, sys_interval).map_err(system("no thread for $SYS"))?;
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
        sys,
        watch,
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
        self.sys.take();
        self.watch.take();
        self.plane.shutdown();
    }
}

fn lock(admin: &Mutex<Admin>) -> MutexGuard<'_, Admin> {
    admin.lock().unwrap_or_else(PoisonError::into_inner)
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |error| StartError::System { what, error }
}

/// Carries a request out; a reload is told to the service manager from its beginning to its end.
fn execute(
    admin: &Mutex<Admin>,
    request: Request,
    actor: &str,
    service: &Service,
) -> Result<Response, Refusal> {
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

/// Gathers the names that the operator wants in the certificate.
fn wanted_names(config: &Config, options: &RunOptions) -> Result<Vec<ServerName>, StartError> {
    let mut wanted = config.names.clone();
    for name in &options.names {
        wanted.push(name.parse().map_err(|error| StartError::Argument(format!("--name: {error}")))?);
    }
    if let Ok(list) = std::env::var("KEYWARD_NAMES") {
        wanted.extend(names::parse_list(&list).map_err(StartError::Argument)?);
    }
    wanted.sort();
    wanted.dedup();
    Ok(wanted)
}

/// Brings the server certificate up to date with names and time. A clock in doubt leaves it as it is: the broker
/// starts all the same.
fn bring_up_to_date(registrar: &mut Registrar, wanted: &[ServerName]) {
    let known = registrar.status(installation::wall_time()).server_names;
    let missing =
        wanted.iter().filter(|name| known.origin(name) != Some(keyward_identity::NameOrigin::Added));
    let added = missing.map(|name| Command::AddServerName { name: name.clone() });
    let commands: Vec<Command> =
        [Command::FindServerNames { names: names::find() }].into_iter().chain(added).collect();
    for command in commands {
        try_command(registrar, command);
    }
    renew_if_due(registrar);
}

/// Renews the server certificate at two thirds of its life, with the same key. Returns whether it did.
fn renew_if_due(registrar: &mut Registrar) -> bool {
    registrar.server_renewal_due(installation::wall_time()) && try_command(registrar, Command::RenewServer)
}

/// Returns whether the server has another certificate now.
fn try_command(registrar: &mut Registrar, command: Command) -> bool {
    match registrar.execute(command, Context { now: installation::wall_time(), actor: BROKER }) {
        Ok(outcome) => outcome.server_certificate_changed,
        Err(refusal) => {
            tracing::warn!("the server certificate stays as it is: {refusal}");
            false
        }
    }
}

fn start_plane(
    config: &Config,
    registrar: &Registrar,
    policy: &Arc<keyward_policy::Policy>,
    journal: &Arc<Journal>,
    store: Option<Box<dyn Engine>>,
) -> Result<(DataPlane, Arc<Directory>), PlaneError> {
    let registry = registrar.registry();
    let directory = Arc::new(wiring::directory(&registry, &Directory::default()));
    let options = DataPlaneOptions {
        methods: Vec::new(),
        limits: process::with_descriptors(config.limits.plane.clone(), process::raise_descriptors()),
        broker_limits: config.limits.broker,
        workers: config.shards.unwrap_or(0),
        doors: config.door_threads.unwrap_or(0),
        state: State {
            policy_generation: 1,
            policy: Arc::clone(policy),
            directory: Arc::clone(&directory),
            registry,
        },
        pepper: registrar.pepper(),
        tls: wiring::tls_material_for(registrar, &config.listeners).ok(),
        listeners: config.listeners.iter().map(wiring::listener).collect(),
        sink: Arc::<Journal>::clone(journal),
        type_rules: wiring::type_rules(config),
        store,
    };
    Ok((DataPlane::start(options)?, directory))
}

fn plane_error(error: PlaneError, config: &Config) -> StartError {
    match error {
        PlaneError::Listen(ListenError::InUse { address }) => {
            let port = address.port();
            let listener = config.listeners.iter().find(|listener| listener.port() == Some(port));
            let listener = listener.map(|listener| listener.name.clone()).unwrap_or_default();
            StartError::PortInUse { listener, port }
        }
        PlaneError::Listen(error) => StartError::Listen(error),
        other => StartError::Plane(other.to_string()),
    }
}

/// Lets the broker publish its figures below `$SYS/`, unless the interval is zero.
fn speak_of_itself(plane: &Arc<DataPlane>, every: Duration) -> io::Result<Option<Regular>> {
    if every.is_zero() {
        return Ok(None);
    }
    let plane = Arc::clone(plane);
    let mut sys = Sys::new(clock::now().mono);
    Regular::start("sys", every, move || {
        let values = sys.changes(clock::now().mono, &plane.stats());
        plane.announce(values);
    })
    .map(Some)
}
