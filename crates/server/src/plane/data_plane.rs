//! The data plane as one value: doors, workers, and the changes that are handed to them.

use super::admission::{Admission, Waiting};
use super::changes::{Changes, Reporting};
use super::door::{Door, DoorMessage, DoorParts, DoorShared, OpenListener};
use super::events::{Reporter, Sink};
use super::handover::WorkerMessage;
use super::inbox::{Inbox, Sender};
use super::limits::{CONNECT_BYTES, Limits};
use super::listener::{Bound, ListenError, Listener, Security, open_all};
use super::login::Gate;
use super::passwords::PasswordPool;
use super::stats::{DoorCounts, PlaneStats};
use super::tls::{ListenerTls, TlsError, TlsMaterial, TlsSettings};
use super::worker::{WAKER, Worker, WorkerParts};
use crate::clock;
use keyward_broker::placement::SHARDS_MAX;
use keyward_broker::{Directory, HashKey, Shard, ShardConfig, ShardIndex};
use keyward_identity::{Pepper, Registry};
use keyward_ids::Identity;
use keyward_mqtt::connection::ConnectionLimits;
use keyward_policy::Policy;
use mio::{Poll, Waker};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Doors and workers if nothing else is said: more of either only moves the work between the cores of a small
/// machine, and two show every race that any number shows. Of two doors one still accepts while the other is in the
/// middle of a handshake.
const THREADS: usize = 2;

/// Is what a data plane starts with.
pub struct DataPlaneOptions {
    /// The bounds of connections.
    pub limits: Limits,
    /// The bounds of sessions, queues and packets.
    pub broker_limits: keyward_broker::Limits,
    /// Worker threads, each with a shard; 0 is one per core, at most two.
    pub workers: usize,
    /// Door threads; 0 is one per core, at most two.
    pub doors: usize,
    /// Who there is and what they may.
    pub state: State,
    /// The key of generated passwords.
    pub pepper: Arc<Pepper>,
    /// What TLS listeners show and demand; `None` allows plain ones only.
    pub tls: Option<TlsMaterial>,
    /// Where clients knock.
    pub listeners: Vec<Listener>,
    /// Who is told what happens.
    pub sink: Arc<dyn Sink>,
}

/// Is who there is and what they may, at one moment.
pub struct State {
    /// The number of the policy.
    pub policy_generation: u64,
    /// The rules.
    pub policy: Arc<Policy>,
    /// The principals, for the shards.
    pub directory: Arc<Directory>,
    /// The credentials, for the door; of the same revision as the directory.
    pub registry: Arc<Registry>,
}

/// Says why a data plane did not start. Nothing listens then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Certificates and key do not make a TLS listener.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system gave no thread, no poll or no random bytes.
    #[error("the system gave no {what}: {error}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The shards did not come up.
    #[error(transparent)]
    NotReported(#[from] NotReported),
}

/// Says that a change was handed to all, but not all have reported in time. It will be in force when they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not every worker has reported the change within {0:?}; it will be in force when they have")]
pub struct NotReported(pub Duration);

/// Says what a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Links and logins under way that were closed because of it.
    pub closed: u64,
    /// From the call to the last report.
    pub took: Duration,
}

/// Says how a data plane stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// From the call to the last closed link.
    pub took: Duration,
}

/// Is a running data plane; dropping it stops it.
pub struct DataPlane {
    shared: Arc<DoorShared>,
    doors: Vec<Arc<Inbox<DoorMessage>>>,
    door_threads: Mutex<Vec<JoinHandle<()>>>,
    worker_threads: Mutex<Vec<JoinHandle<()>>>,
    listeners: Mutex<Listeners>,
    /// Held while a change is under way: commands come one after the other.
    changing: Mutex<()>,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Listeners {
    tls: Option<TlsSettings>,
    open: Vec<Bound>,
}

struct Loop {
    poll: Poll,
    waker: Arc<Waker>,
}

impl Loop {
    fn new() -> Result<Self, StartError> {
        let make = || {
            let poll = Poll::new()?;
            let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
            Ok(Self { poll, waker })
        };
        make().map_err(|error| StartError::System { what: "readiness queue", error })
    }

    fn many(count: usize) -> Result<Vec<Self>, StartError> {
        (0..count).map(|_| Self::new()).collect()
    }
}

impl DataPlane {
    /// Starts doors and workers, waits until the shards have the policy and the directory, then opens the listeners.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start(options: DataPlaneOptions) -> Result<Self, StartError> {
        let DataPlaneOptions { limits, broker_limits, state, pepper, tls, listeners, sink, .. } = options;
        let door_loops = Loop::many(threads(options.doors, usize::MAX))?;
        let worker_loops = Loop::many(threads(options.workers, SHARDS_MAX.into()))?;
        let hash_key = draw_hash_key()?;
        let (reporter, _) = Reporter::start(sink, limits.events).map_err(no_thread)?;
        let senders: Vec<Arc<Waker>> =
            door_loops.iter().chain(&worker_loops).map(|each| each.waker.clone()).collect();
        let workers: Arc<[Inbox<WorkerMessage>]> = worker_loops
            .iter()
            .map(|each| Inbox::new(each.waker.clone(), &senders, limits.inbox_bytes))
            .collect();
        let shared = Arc::new(DoorShared {
            gate: Gate::new(state.registry, pepper),
            passwords: PasswordPool::start(&limits).map_err(no_thread)?,
            admission: Admission::new(&limits),
            waiting: Waiting::new(&limits),
            workers,
            hash_key,
            reporter,
            changes: Arc::new(Changes::new(door_loops.len(), worker_loops.len())),
            counts: DoorCounts::default(),
            connection_limits: ConnectionLimits {
                connect_max: CONNECT_BYTES as u32,
                packet_max: broker_limits.packet_bytes,
            },
            client_id_bytes: broker_limits.client_id_bytes,
            pending_per_source: limits.pending_per_address.div_ceil(door_loops.len()),
            next_link: AtomicU64::new(1),
            limits,
        });
        let mut plane = Self {
            doors: door_loops.iter().map(|each| Arc::new(Inbox::new(each.waker.clone(), &[], 0))).collect(),
            shared,
            door_threads: Mutex::default(),
            worker_threads: Mutex::default(),
            listeners: Mutex::default(),
            changing: Mutex::new(()),
            stopped: AtomicBool::new(false),
        };
        plane.run_workers(worker_loops, broker_limits)?;
        plane.run_doors(door_loops)?;
        plane.set_policy(state.policy_generation, state.policy)?;
        plane.tell_directory(&state.directory)?;
        if let Some(tls) = tls {
            plane.set_tls(tls)?;
        }
        for listener in listeners {
            plane.add_listener(listener)?;
        }
        Ok(plane)
    }

    fn run_workers(&mut self, loops: Vec<Loop>, limits: keyward_broker::Limits) -> Result<(), StartError> {
        let shards = loops.len();
        for (index, each) in loops.into_iter().enumerate() {
            let index16 = ShardIndex(u16::try_from(index).unwrap_or(u16::MAX));
            let shard = Shard::new(ShardConfig {
                index: index16,
                shards: u16::try_from(shards).unwrap_or(u16::MAX),
                hash_key: self.shared.hash_key,
                limits,
            });
            let worker = Worker::new(WorkerParts {
                poll: each.poll,
                shard,
                inboxes: self.shared.workers.clone(),
                index: index16,
                sender: Sender(self.doors.len() + index),
                reporting: Reporting(self.doors.len() + index),
                changes: self.shared.changes.clone(),
                reporter: self.shared.reporter.clone(),
                limits: self.shared.limits.clone(),
            });
            let thread = spawn(format!("worker-{index}"), move || worker.run())?;
            locked(&self.worker_threads).push(thread);
        }
        Ok(())
    }

    fn run_doors(&mut self, loops: Vec<Loop>) -> Result<(), StartError> {
        for (index, each) in loops.into_iter().enumerate() {
            let door = Door::new(DoorParts {
                poll: each.poll,
                inbox: self.doors[index].clone(),
                sender: Sender(index),
                reporting: Reporting(index),
                shared: self.shared.clone(),
            });
            let thread = spawn(format!("door-{index}"), move || door.run())?;
            locked(&self.door_threads).push(thread);
        }
        Ok(())
    }

    /// Puts a policy into force, and returns when every shard decides by it alone.
    ///
    /// # Errors
    /// [`NotReported`] if a shard does not report in time.
    pub fn set_policy(&self, generation: u64, policy: Arc<Policy>) -> Result<Applied, NotReported> {
        let _changing = locked(&self.changing);
        let begun = clock::now().mono;
        for worker in &*self.shared.workers {
            worker.command(WorkerMessage::Policy { generation, policy: policy.clone() });
        }
        let time = self.shared.limits.report_time;
        match self.shared.changes.wait_for_policy(generation, time) {
            true => Ok(Applied { closed: 0, took: since(begun) }),
            false => Err(NotReported(time)),
        }
    }

    /// Puts a revision of the registry into force: at the doors first, so that nobody is let in who would be closed a
    /// moment later. Returns when no link is left that it does not allow.
    ///
    /// # Errors
    /// [`NotReported`] if a door or a shard does not report in time.
    pub fn set_directory(
        &self,
        directory: Arc<Directory>,
        registry: Arc<Registry>,
    ) -> Result<Applied, NotReported> {
        let _changing = locked(&self.changing);
        self.shared.gate.swap(registry);
        self.tell_directory(&directory)
    }

    fn tell_directory(&self, directory: &Arc<Directory>) -> Result<Applied, NotReported> {
        let begun = clock::now().mono;
        let revision = directory.revision();
        for door in &self.doors {
            door.command(DoorMessage::Registry(revision));
        }
        for worker in &*self.shared.workers {
            worker.command(WorkerMessage::Directory(directory.clone()));
        }
        let time = self.shared.limits.report_time;
        let closed = self.shared.changes.wait_for_directory(revision, time).ok_or(NotReported(time))?;
        Ok(Applied { closed, took: since(begun) })
    }

    /// Lets all TLS listeners show and demand something else from the next handshake on. Links stay; sessions of
    /// before are not resumed.
    ///
    /// # Errors
    /// [`TlsError`]; nothing has changed then.
    pub fn set_tls(&self, material: TlsMaterial) -> Result<(), TlsError> {
        let settings = TlsSettings::new(material)?;
        let mut listeners = locked(&self.listeners);
        let mut changes = Vec::new();
        for bound in &listeners.open {
            if let Some(tls) = self.configure(&settings, &bound.listener)? {
                changes.push((bound.listener.name.clone(), tls));
            }
        }
        for door in &self.doors {
            for (name, tls) in &changes {
                door.command(DoorMessage::Secure(name.clone(), tls.clone()));
            }
        }
        listeners.tls = Some(settings);
        drop(listeners);
        self.wait_for_doors();
        Ok(())
    }

    fn configure(&self, tls: &TlsSettings, listener: &Listener) -> Result<Option<ListenerTls>, TlsError> {
        match listener.security {
            Security::Plain => Ok(None),
            Security::Tls(auth) => tls.configure(auth, self.shared.limits.tls_sessions).map(Some),
        }
    }

    /// Opens a listener; returns where it listens in fact.
    ///
    /// # Errors
    /// [`ListenError`], which names the address; nothing listens then that did not before.
    pub fn add_listener(&self, listener: Listener) -> Result<Vec<SocketAddr>, ListenError> {
        let mut listeners = locked(&self.listeners);
        if listeners.open.iter().any(|bound| bound.listener.name == listener.name) {
            return Err(ListenError::NameTaken { name: listener.name });
        }
        let tls = match (listener.security, &listeners.tls) {
            (Security::Plain, _) => None,
            (Security::Tls(_), None) => return Err(ListenError::NoCertificate { name: listener.name }),
            (Security::Tls(_), Some(settings)) => self.configure(settings, &listener)?,
        };
        let sockets = open_all(&listener.addresses)?;
        let addresses = self.distribute(&listener, &sockets, tls.as_ref())?;
        listeners.open.push(Bound { listener, addresses: addresses.clone() });
        Ok(addresses)
    }

    /// Gives every door its handle of every socket; whichever is free accepts.
    fn distribute(
        &self,
        listener: &Listener,
        sockets: &[TcpListener],
        tls: Option<&ListenerTls>,
    ) -> Result<Vec<SocketAddr>, ListenError> {
        let failed = |error| ListenError::Handles { name: listener.name.clone(), error };
        let mut handles = Vec::new();
        for socket in sockets {
            for door in &self.doors {
                handles.push((door, socket.try_clone().map_err(failed)?));
            }
        }
        let addresses =
            sockets.iter().map(TcpListener::local_addr).collect::<Result<_, _>>().map_err(failed)?;
        for (door, socket) in handles {
            let (name, tls) = (listener.name.clone(), tls.cloned());
            door.command(DoorMessage::Listen(OpenListener { name, socket, tls }));
        }
        Ok(addresses)
    }

    /// Closes a listener, and returns when its port is free; its links stay. False if there is none of this name.
    pub fn remove_listener(&self, name: &str) -> bool {
        let mut listeners = locked(&self.listeners);
        let before = listeners.open.len();
        listeners.open.retain(|bound| bound.listener.name != name);
        if listeners.open.len() == before {
            return false;
        }
        for door in &self.doors {
            door.command(DoorMessage::Unlisten(name.to_owned()));
        }
        drop(listeners);
        self.wait_for_doors();
        true
    }

    /// Waits until every door has done what it was told so far, as long as reports may take.
    fn wait_for_doors(&self) {
        let (answer, answers) = sync_channel(self.doors.len());
        for door in &self.doors {
            door.command(DoorMessage::Acknowledge(answer.clone()));
        }
        for _ in &self.doors {
            if answers.recv_timeout(self.shared.limits.report_time).is_err() {
                return;
            }
        }
    }

    /// Returns the listeners that are open.
    pub fn listeners(&self) -> Vec<Bound> {
        locked(&self.listeners).open.clone()
    }

    /// Returns the revision of the registry by which the doors decide.
    pub fn registry_revision(&self) -> u64 {
        self.shared.gate.revision()
    }

    /// Returns how many connections each of these identities has now.
    pub fn connections_of(&self, identities: &[&Identity]) -> Vec<usize> {
        self.shared.admission.connections_of(identities)
    }

    /// Returns the figures of this moment; waits a second at most for busy shards.
    pub fn stats(&self) -> PlaneStats {
        let shared = &self.shared;
        let mut stats = PlaneStats {
            connections: shared.admission.connections(),
            pending: shared.waiting.count(),
            pending_bytes: shared.waiting.bytes(),
            events_dropped: shared.reporter.dropped(),
            lines_left_out: shared.reporter.left_out(),
            ..PlaneStats::default()
        };
        shared.counts.tell(&mut stats);
        let ask = |worker: &Inbox<WorkerMessage>| {
            let (answer, answers) = sync_channel(1);
            worker.command(WorkerMessage::Count(answer));
            answers
        };
        let asked: Vec<_> = shared.workers.iter().map(ask).collect();
        let answer = |answers: std::sync::mpsc::Receiver<_>| answers.recv_timeout(Duration::from_secs(1));
        stats.shards = asked.into_iter().map(|answers| answer(answers).unwrap_or_default()).collect();
        stats
    }

    /// Stops: listeners close, clients are told and given a moment to take their last packets, links close.
    pub fn shutdown(&self) -> Stopped {
        let begun = clock::now().mono;
        if !self.stopped.swap(true, Ordering::SeqCst) {
            self.doors.iter().for_each(|door| door.command(DoorMessage::Stop));
            join(&self.door_threads);
            self.shared.workers.iter().for_each(|worker| worker.command(WorkerMessage::Stop));
            join(&self.worker_threads);
        }
        Stopped { took: since(begun) }
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn threads(asked: usize, most: usize) -> usize {
    let cores = || thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    if asked == 0 { cores() } else { asked.min(most) }
}

/// Starts a thread that takes the process down if it panics: a shard without its thread would leave its clients
/// hanging, with their messages accepted and never delivered.
fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    struct AbortOnPanic;
    impl Drop for AbortOnPanic {
        fn drop(&mut self) {
            if thread::panicking() {
                std::process::abort();
            }
        }
    }
    let guarded = move || {
        let _guard = AbortOnPanic;
        run();
    };
    thread::Builder::new().name(name).spawn(guarded).map_err(no_thread)
}

fn join(threads: &Mutex<Vec<JoinHandle<()>>>) {
    for thread in locked(threads).drain(..) {
        // A thread that panicked has taken the process with it.
        let _: thread::Result<()> = thread.join();
    }
}

fn no_thread(error: io::Error) -> StartError {
    StartError::System { what: "thread", error }
}

fn draw_hash_key() -> Result<HashKey, StartError> {
    let mut random = [0; 16];
    match aws_lc_rs::rand::fill(&mut random) {
        Ok(()) => Ok(HashKey::new(random)),
        Err(error) => {
            Err(StartError::System { what: "random bytes", error: io::Error::other(error.to_string()) })
        }
    }
}

fn since(begun: keyward_mqtt::time::Millis) -> Duration {
    Duration::from_millis(clock::now().mono.saturating_sub(begun).0)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
