//! The data plane as one value: doors, workers, and the changes that are handed to them.

use crate::clock;
use crate::plane::bans::Ban;
use crate::plane::committer::Desk;
use crate::plane::door::{DoorMessage, DoorShared, OpenListener};
use crate::plane::entrance::TypeRules;
use crate::plane::handover::WorkerMessage;
use crate::plane::inbox::Inbox;
use crate::plane::last_logins::LastLogin;
use crate::plane::listener::{
    Bound, Endpoint, ListenError, Listener, ListenerName, Protocol, Security, open_all,
};
use crate::plane::pending::Pending;
use crate::plane::proofs::{Causes, Proof};
use crate::plane::socket_file::{self, SocketFile};
use crate::plane::stats::PlaneStats;
use crate::plane::stream::ListenSocket;
use crate::plane::tls::trusted::TrustedClients;
use crate::plane::tls::{ListenerTls, TlsError, TlsMaterial, TlsSettings, trusted_verifiers};
use keyward_broker::Directory;
use keyward_identity::Registry;
use keyward_ids::Identity;
use keyward_policy::Policy;
use rustix::fs::Mode;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

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
    pub(super) shared: Arc<DoorShared>,
    pub(super) proofs: Arc<Causes>,
    pub(super) doors: Vec<Arc<Inbox<DoorMessage>>>,
    pub(super) pending: Vec<Arc<Pending>>,
    pub(super) door_threads: Mutex<Vec<JoinHandle<()>>>,
    pub(super) worker_threads: Mutex<Vec<JoinHandle<()>>>,
    pub(super) committer: Mutex<Option<(Arc<Desk>, JoinHandle<()>)>>,
    pub(super) listeners: Mutex<Listeners>,
    /// Held while a change is under way: commands come one after the other.
    pub(super) changing: Mutex<()>,
    pub(super) stopped: AtomicBool,
}

#[derive(Default)]
pub(super) struct Listeners {
    tls: Option<TlsSettings>,
    open: Vec<Bound>,
    /// The files of those on Unix sockets, by name.
    files: Vec<(ListenerName, SocketFile)>,
}

impl DataPlane {
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

    pub(super) fn tell_directory(&self, directory: &Arc<Directory>) -> Result<Applied, NotReported> {
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
        self.shared.gate.trust(settings.trusted());
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

    /// Lets these authorities vouch for clients from now on, and none else, whatever becomes of the certificates that
    /// listeners show: nobody logs in any more whom they do not vouch for, though the handshake may succeed until
    /// [`set_tls`](Self::set_tls).
    pub fn set_trusted(&self, trusted: Vec<TrustedClients>) {
        self.shared.gate.trust(Arc::new(trusted_verifiers(trusted)));
        // A door may be deciding about a login.
        self.wait_for_doors();
    }

    /// Lets types of devices demand this; when it returns nobody gets in by the rules of before. Links stay.
    pub fn set_type_rules(&self, rules: TypeRules) {
        self.shared.gate.set_type_rules(rules);
        // A door may be deciding about a login.
        self.wait_for_doors();
    }

    /// Lists the addresses that are banned now.
    pub fn bans(&self) -> Vec<Ban> {
        self.shared.bans.list(clock::now().mono)
    }

    /// Ends the ban of an address (IPv6: of its /64); false if there is none.
    pub fn lift_ban(&self, address: IpAddr) -> bool {
        self.shared.bans.lift(clock::now().mono, address)
    }

    /// Returns how an identity last logged in, if that is remembered.
    pub fn last_login(&self, identity: &Identity) -> Option<LastLogin> {
        self.shared.last_logins.of(identity)
    }

    /// Returns how many sessions each of these identities has, connected or not: each is another client id. Waits a second
    /// at most for busy shards, which are left out then.
    pub fn sessions_of(&self, identities: &[&Identity]) -> Vec<usize> {
        self.count_sessions(identities).into_iter().map(|(sessions, _)| sessions).collect()
    }

    /// Returns how many messages wait in the sessions of an identity, likewise.
    pub fn waiting_for(&self, identity: &Identity) -> usize {
        self.count_sessions(&[identity]).into_iter().map(|(_, waiting)| waiting).sum()
    }

    fn count_sessions(&self, identities: &[&Identity]) -> Vec<(usize, usize)> {
        let asked: Arc<[Identity]> = identities.iter().copied().cloned().collect();
        let ask = |answer| WorkerMessage::CountSessions { identities: asked.clone(), answer };
        let mut counts = vec![(0, 0); identities.len()];
        for shard in self.ask_workers(ask).into_iter().flatten() {
            let add = |(count, more): (&mut (usize, usize), (usize, usize))| {
                *count = (count.0 + more.0, count.1 + more.1);
            };
            counts.iter_mut().zip(shard).for_each(add);
        }
        counts
    }

    fn configure(&self, tls: &TlsSettings, listener: &Listener) -> Result<Option<ListenerTls>, TlsError> {
        match listener.security {
            Security::Plain => Ok(None),
            Security::Tls => {
                let sessions = self.shared.limits.tls_sessions;
                tls.configure(&listener.name, &listener.entrance, sessions).map(Some)
            }
        }
    }

    /// Returns the new hashes of imported passwords that opened the door since it was asked last, at most
    /// [`keyward_identity::limits::REHASHES`]. More that come meanwhile are lost, and made again at the next login.
    pub fn rehashed(&self) -> Vec<keyward_identity::Rehash> {
        self.shared.passwords.rehashed()
    }

    /// Returns what shards found out about message keys that two hold since this was asked last, one proof for each device.
    pub fn proofs(&self) -> Vec<Proof> {
        self.proofs.take()
    }

    /// Opens a listener; returns where it listens in fact, which is at no address for a Unix socket.
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
            (Security::Tls, None) => return Err(ListenError::NoCertificate { name: listener.name }),
            (Security::Tls, Some(settings)) => self.configure(settings, &listener)?,
        };
        let (sockets, file) = open(&listener.endpoint)?;
        let addresses = self.distribute(&listener, &sockets, tls.as_ref())?;
        listeners.files.extend(file.map(|file| (listener.name.clone(), file)));
        listeners.open.push(Bound { listener, addresses: addresses.clone() });
        Ok(addresses)
    }

    /// Gives every door its handle of every socket; whichever is free accepts.
    fn distribute(
        &self,
        listener: &Listener,
        sockets: &[ListenSocket],
        tls: Option<&ListenerTls>,
    ) -> Result<Vec<SocketAddr>, ListenError> {
        let failed = |error| ListenError::Handles { name: listener.name.clone(), error };
        let mut handles = Vec::new();
        for socket in sockets {
            for door in &self.doors {
                handles.push((door, socket.try_clone().map_err(failed)?));
            }
        }
        let address = |socket: &ListenSocket| match socket {
            ListenSocket::Tcp(socket) => Some(socket.local_addr()),
            ListenSocket::Unix(_) => None,
        };
        let addresses = sockets.iter().filter_map(address).collect::<Result<_, _>>().map_err(failed)?;
        let entrance = Arc::new(listener.entrance.clone());
        for (door, socket) in handles {
            let (name, tls, entrance) = (listener.name.clone(), tls.cloned(), entrance.clone());
            let web = match &listener.protocol {
                Protocol::Mqtt => None,
                Protocol::WebSocket { origins } => Some(origins.clone()),
            };
            door.command(DoorMessage::Listen(OpenListener { name, socket, tls, web, entrance }));
        }
        Ok(addresses)
    }

    /// Closes a listener and every connection that came by it and has not logged in, and returns when its port is free and
    /// nobody gets in by its rules; links stay. False if there is none of this name.
    pub fn remove_listener(&self, name: &str) -> bool {
        let mut listeners = locked(&self.listeners);
        let before = listeners.open.len();
        listeners.open.retain(|bound| bound.listener.name != name);
        listeners.files.retain(|(of, _)| of != name);
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

    /// Lists topics with a retained message that one of the filters matches, in order: at most `most`.
    pub fn retained_topics(&self, filters: &[String], most: u16) -> Vec<String> {
        let filters: Arc<[String]> = filters.into();
        let ask = |answer| WorkerMessage::RetainedTopics { filters: filters.clone(), most, answer };
        let mut topics: Vec<String> = self.ask_workers(ask).into_iter().flatten().flatten().collect();
        topics.sort();
        topics.dedup();
        topics.truncate(most.into());
        topics
    }

    /// Asks every worker the same and waits a second at most for all; `None` for one that is too busy to answer.
    fn ask_workers<T>(&self, question: impl Fn(SyncSender<T>) -> WorkerMessage) -> Vec<Option<T>> {
        let ask = |worker: &Inbox<WorkerMessage>| {
            let (answer, answers) = sync_channel(1);
            worker.command(question(answer));
            answers
        };
        let asked: Vec<_> = self.shared.workers.iter().map(ask).collect();
        let begun = clock::now().mono;
        let answer = |answers: Receiver<T>| {
            answers.recv_timeout(Duration::from_secs(1).saturating_sub(since(begun))).ok()
        };
        asked.into_iter().map(answer).collect()
    }

    /// Returns the figures of this moment; waits a second at most for busy shards.
    pub fn stats(&self) -> PlaneStats {
        let shared = &self.shared;
        let mut stats = PlaneStats {
            connections: shared.admission.connections(),
            pending: self.pending.iter().map(|door| door.count()).sum(),
            pending_bytes: self.pending.iter().map(|door| door.bytes()).sum(),
            events_dropped: shared.reporter.dropped(),
            storage: locked(&self.committer).as_ref().map(|(desk, _)| desk.storage()),
            ..PlaneStats::default()
        };
        shared.counts.tell(&mut stats);
        stats.most_logged_in = shared.admission.most_identified();
        for counted in self.ask_workers(WorkerMessage::Count) {
            stats.bytes_received += counted.map_or(0, |(_, bytes)| bytes);
            stats.shards.push(counted.map(|(shard, _)| shard));
        }
        stats
    }

    /// Lets the broker itself publish, retained, what lies below `$`: topics and payloads.
    pub fn announce(&self, values: Vec<(String, Vec<u8>)>) {
        if let Some(worker) = self.shared.workers.first().filter(|_| !values.is_empty()) {
            worker.command(WorkerMessage::Announce(values));
        }
    }

    /// Stops: listeners close, clients are told and given a moment to take their last packets, links close.
    pub fn shutdown(&self) -> Stopped {
        let begun = clock::now().mono;
        if !self.stopped.swap(true, Ordering::SeqCst) {
            self.doors.iter().for_each(|door| door.command(DoorMessage::Stop));
            join(&self.door_threads);
            locked(&self.listeners).files.clear();
            self.shared.workers.iter().for_each(|worker| worker.command(WorkerMessage::Stop));
            join(&self.worker_threads);
            if let Some((desk, thread)) = locked(&self.committer).take() {
                desk.close();
                let _: thread::Result<()> = thread.join();
            }
        }
        Stopped { took: since(begun) }
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Opens the sockets of a listener, and the file of a Unix socket.
fn open(endpoint: &Endpoint) -> Result<(Vec<ListenSocket>, Option<SocketFile>), ListenError> {
    match endpoint {
        Endpoint::Addresses(addresses) => {
            Ok((open_all(addresses)?.into_iter().map(ListenSocket::Tcp).collect(), None))
        }
        Endpoint::Socket { path, mode } => {
            let (socket, file) = socket_file::open(path, Mode::from_raw_mode(*mode))?;
            Ok((vec![ListenSocket::Unix(socket)], Some(file)))
        }
    }
}

fn join(threads: &Mutex<Vec<JoinHandle<()>>>) {
    for thread in locked(threads).drain(..) {
        // A thread that panicked has taken the process with it.
        let _: thread::Result<()> = thread.join();
    }
}

fn since(begun: keyward_mqtt::time::Millis) -> Duration {
    Duration::from_millis(clock::now().mono.saturating_sub(begun).0)
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
