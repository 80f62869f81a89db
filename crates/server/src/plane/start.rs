//! Bringing a data plane up: loops, threads, the first policy and directory, then the listeners.

use crate::clock;
use crate::plane::admission::Admission;
use crate::plane::authentication::Method;
use crate::plane::bans::Bans;
use crate::plane::changes::{Changes, Reporting};
use crate::plane::committer::{Committer, Desk};
use crate::plane::data_plane::{DataPlane, NotReported, locked};
use crate::plane::door::gate::Gate;
use crate::plane::door::passwords::PasswordPool;
use crate::plane::door::{Door, DoorParts, DoorShared};
use crate::plane::enrolment::Applications;
use crate::plane::entrance::TypeRules;
use crate::plane::events::{Reporter, Sink};
use crate::plane::handover::WorkerMessage;
use crate::plane::hearing::Mouth;
use crate::plane::inbox::{Inbox, Sender};
use crate::plane::last_logins::LastLogins;
use crate::plane::limits::{CONNECT_BYTES, Limits};
use crate::plane::listener::{ListenError, Listener};
use crate::plane::pages::{PageDesk, PageReader};
use crate::plane::pending::Pending;
use crate::plane::ratchets::RatchetDesk;
use crate::plane::restart::{Restart, RestartError};
use crate::plane::signatures::{SignatureChecker, SignatureDesk};
use crate::plane::stats::DoorCounts;
use crate::plane::tls::{TlsError, TlsMaterial};
use crate::plane::worker::{WAKER, Worker, WorkerParts};
use keyward_broker::placement::SHARDS_MAX;
use keyward_broker::{Directory, HashKey, Output, Shard, ShardConfig, ShardIndex};
use keyward_identity::{Pepper, Registry};
use keyward_mqtt::connection::ConnectionLimits;
use keyward_policy::Policy;
use keyward_store::{Engine, Read};
use mio::{Poll, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

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
    /// Threads that verify signatures of messages; 0 is half as many as there are cores, at least one and at most two.
    pub signature_threads: usize,
    /// Who there is and what they may.
    pub state: State,
    /// The key of generated passwords.
    pub pepper: Arc<Pepper>,
    /// Methods of enhanced authentication, each with a name of its own.
    pub methods: Vec<Arc<dyn Method>>,
    /// Where devices apply for certificates; `None` lets none apply.
    pub applications: Option<Applications>,
    /// What TLS listeners show and demand; `None` allows plain ones only.
    pub tls: Option<TlsMaterial>,
    /// Where clients knock.
    pub listeners: Vec<Listener>,
    /// Who is told what happens.
    pub sink: Arc<dyn Sink>,
    /// Where it is judged what devices answer for their rolling secrets; without one they are not answered.
    pub ratchets: Option<RatchetDesk>,
    /// Where the watch is told what devices do; without one nobody is told.
    pub watch: Option<Mouth>,
    /// What types of devices demand, beside what the listener demands.
    pub type_rules: TypeRules,
    /// What keeps sessions and messages; without one they end with the process.
    pub store: Option<Box<dyn Engine>>,
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
    /// What is in the store cannot be restored.
    #[error(transparent)]
    Restart(#[from] RestartError),
}

/// Is who works beside the workers.
struct Beside {
    signatures: SignatureDesk,
    watch: Option<Mouth>,
    ratchets: Option<RatchetDesk>,
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
        let DataPlaneOptions {
            limits,
            broker_limits,
            state,
            pepper,
            methods,
            applications,
            tls,
            listeners,
            sink,
            type_rules,
            store,
            signature_threads,
            watch,
            ratchets,
            ..
        } = options;
        let door_loops = Loop::many(threads(options.doors, usize::MAX))?;
        let worker_loops = Loop::many(threads(options.workers, SHARDS_MAX.into()))?;
        let fresh = draw_hash_key()?;
        let restart = store.map(|engine| Restart::read(engine, fresh)).transpose()?;
        let hash_key = restart.as_ref().and_then(Restart::hash_key).unwrap_or(fresh);
        let (reporter, _) = Reporter::start(sink, limits.events).map_err(no_thread)?;
        let senders: Vec<Arc<Waker>> =
            door_loops.iter().chain(&worker_loops).map(|each| each.waker.clone()).collect();
        let workers: Arc<[Inbox<WorkerMessage>]> = worker_loops
            .iter()
            .map(|each| Inbox::new(each.waker.clone(), &senders, limits.inbox_bytes))
            .collect();
        let shared = Arc::new(DoorShared {
            gate: Gate::new(state.registry.clone(), pepper, type_rules),
            methods,
            applications,
            passwords: PasswordPool::start(&limits).map_err(no_thread)?,
            admission: Admission::new(&limits),
            bans: Bans::new(&limits),
            last_logins: LastLogins::default(),
            workers,
            hash_key,
            reporter,
            changes: Arc::new(Changes::new(door_loops.len(), worker_loops.len())),
            counts: DoorCounts::default(),
            connection_limits: ConnectionLimits {
                connect_max: CONNECT_BYTES as u32,
                packet_max: broker_limits.packet_bytes,
                topic_alias_max: broker_limits.topic_alias_max,
            },
            client_id_bytes: broker_limits.client_id_bytes,
            pending_per_source: limits.pending_per_address.div_ceil(door_loops.len()),
            next_link: AtomicU64::new(1),
            limits,
        });
        let doors = door_loops.len();
        let mut plane = Self {
            pending: (0..doors).map(|_| Pending::new(&shared.limits, doors)).collect(),
            doors: door_loops.iter().map(|each| Arc::new(Inbox::new(each.waker.clone(), &[], 0))).collect(),
            shared,
            proofs: Arc::default(),
            door_threads: Mutex::default(),
            worker_threads: Mutex::default(),
            committer: Mutex::default(),
            listeners: Mutex::default(),
            changing: Mutex::new(()),
            stopped: AtomicBool::new(false),
        };
        let signatures = plane.run_signature_checkers(signature_threads)?;
        let beside = Beside { signatures, watch, ratchets };
        plane.run_workers(worker_loops, broker_limits, restart, &state, &beside)?;
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

    fn run_workers(
        &mut self,
        loops: Vec<Loop>,
        limits: keyward_broker::Limits,
        restart: Option<Restart>,
        state: &State,
        beside: &Beside,
    ) -> Result<(), StartError> {
        let (count, hash_key, is_stored) = (loops.len(), self.shared.hash_key, restart.is_some());
        let shards = u16::try_from(count).unwrap_or(u16::MAX);
        // What was taken before a broker without a store began, nobody knows.
        let numbers_since = restart.as_ref().and_then(Restart::numbers_since).unwrap_or(clock::now().wall);
        let config = |index| ShardConfig {
            index: ShardIndex(index),
            shards,
            hash_key,
            limits,
            is_stored,
            numbers_since,
            is_watched: beside.watch.is_some(),
        };
        let mut shards: Vec<Shard> = (0..shards).map(|index| Shard::new(config(index))).collect();
        let mut said: Vec<VecDeque<Output>> = shards.iter().map(|_| VecDeque::new()).collect();
        let (mut desk, mut pages) = (None, None);
        if let Some(mut restart) = restart {
            said = restart.restore(&mut shards, state)?;
            pages = Some(self.run_page_reader(restart.engine.reader())?);
            desk = Some(self.run_committer(restart, count)?);
        }
        for (index, (each, (shard, said))) in loops.into_iter().zip(shards.into_iter().zip(said)).enumerate()
        {
            let index16 = ShardIndex(u16::try_from(index).unwrap_or(u16::MAX));
            let worker = Worker::new(WorkerParts {
                poll: each.poll,
                shard,
                said,
                desk: desk.clone(),
                pages: pages.clone(),
                signatures: beside.signatures.clone(),
                proofs: self.proofs.clone(),
                inboxes: self.shared.workers.clone(),
                index: index16,
                sender: Sender(self.doors.len() + index),
                reporting: Reporting(self.doors.len() + index),
                changes: self.shared.changes.clone(),
                reporter: self.shared.reporter.clone(),
                ratchets: beside.ratchets.clone(),
                watch: beside.watch.clone(),
                limits: self.shared.limits.clone(),
                broker_limits: limits,
                packet_bytes: self.shared.connection_limits.packet_max as usize,
            });
            let thread = spawn(format!("worker-{index}"), move || worker.run())?;
            locked(&self.worker_threads).push(thread);
        }
        Ok(())
    }

    fn run_committer(&mut self, restart: Restart, shards: usize) -> Result<Arc<Desk>, StartError> {
        let desk = Arc::new(Desk::new(shards));
        let Restart { engine, journal, .. } = restart;
        let inboxes = self.shared.workers.clone();
        let committer = Committer::new(desk.clone(), engine, journal, inboxes);
        let thread = spawn("committer".to_owned(), move || {
            committer.run();
            Ok(())
        })?;
        *locked(&self.committer) = Some((desk.clone(), thread));
        Ok(desk)
    }

    fn run_page_reader(&mut self, store: Arc<dyn Read>) -> Result<PageDesk, StartError> {
        let (reader, desk) = PageReader::new(store, self.shared.workers.clone());
        let thread = spawn("pages".to_owned(), move || {
            reader.run();
            Ok(())
        })?;
        // It ends after the workers, which are its only askers.
        locked(&self.worker_threads).push(thread);
        Ok(desk)
    }

    /// Starts the threads that verify signatures: if nothing is said, so few that a flood of signed messages leaves the rest their part.
    fn run_signature_checkers(&mut self, asked: usize) -> Result<SignatureDesk, StartError> {
        let (checker, desk) = SignatureChecker::new(self.shared.workers.clone());
        let count = if asked == 0 { threads(0, THREADS).div_ceil(2) } else { asked };
        for index in 0..count {
            let checker = checker.clone();
            let thread = spawn(format!("signatures-{index}"), move || {
                checker.run();
                Ok(())
            })?;
            // They end after the workers, which are their only askers.
            locked(&self.worker_threads).push(thread);
        }
        Ok(desk)
    }

    fn run_doors(&mut self, loops: Vec<Loop>) -> Result<(), StartError> {
        for (index, each) in loops.into_iter().enumerate() {
            let door = Door::new(DoorParts {
                poll: each.poll,
                inbox: self.doors[index].clone(),
                sender: Sender(index),
                reporting: Reporting(index),
                pending: self.pending[index].clone(),
                shared: self.shared.clone(),
            });
            let thread = spawn(format!("door-{index}"), move || door.run())?;
            locked(&self.door_threads).push(thread);
        }
        Ok(())
    }
}

fn threads(asked: usize, most: usize) -> usize {
    let cores = || thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    if asked == 0 { cores() } else { asked.min(most) }
}

/// Starts a thread that takes the process down if it fails or panics: a shard without its thread would leave its
/// clients hanging, with their messages accepted and never delivered.
fn spawn(
    name: String,
    run: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
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
        if run().is_err() {
            std::process::abort();
        }
    };
    thread::Builder::new().name(name).spawn(guarded).map_err(no_thread)
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
