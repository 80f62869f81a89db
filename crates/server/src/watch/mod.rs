//! The watch over devices: hears what workers tell, asks the detectors, keeps the incidents, tells people.
//!
//! It is a thread of its own behind a bounded way, so that it can fall behind or fail without delaying one message. What it missed it
//! takes for trouble of its own, never for the silence of devices.
//!
//! What is not here: how a detector judges (`keyward_watch`), and what operators ask ([`crate::admin`]).

mod book;
mod cause;
mod declared;
mod hear;
mod heartbeat;
mod learned;
mod position;
mod readings;
mod recording;
mod replay;
mod signed;
mod steps;
mod words;

pub(crate) use book::Book;
pub(crate) use cause::Cause;
pub use replay::{Played, ReplayError, Told, replay};
pub(crate) use signed::SignedMessage;
pub(crate) use steps::steps;
pub(crate) use words::{evidence, more, row, sentence, word};
#[cfg(feature = "decoders")]
pub(crate) use {
    book::decode as decode_incidents,
    learned::{decode as decode_learned, decode_body as decode_learned_body, encode as encode_learned},
    readings::of as values,
};

use crate::clock;
use crate::config::Readings;
use crate::plane::limits::HEARD_OF_ONE;
use crate::plane::{Ear, Tick, What};
use crate::whereabouts::Ground;
use cause::Causes;
use keyward_broker::Message;
use keyward_identity::{Account, Maintenance, Registry, Standing, WallTime};
use keyward_ids::{DeviceId, Identity};
use keyward_watch::event::{Event, Place, Scope, UnixMillis};
use keyward_watch::incidents::Change;
use keyward_watch::{Class, Finding, Known, Watch};
use learned::Learned;
use recording::Recorder;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the thread waits for something to hear: so late it notices at most that it is to stop, or that a registry is new.
const WAIT: Duration = Duration::from_millis(100);

/// How long somebody who asks waits for an answer, and how many may wait.
const PATIENCE: Duration = Duration::from_secs(5);
const QUESTIONS: usize = 64;

/// How long nothing more is said of a device that floods, and of how many something is.
const FLOOD_MS: u64 = 60 * 60_000;
const FLOODS: usize = 1_024;

/// How long the watch distrusts what it knows after something was dropped: what was missed comes again in that time.
const DOUBT_MS: u64 = 2 * 60_000;

/// Publishes for the broker itself: topics and retained payloads.
pub(crate) type Announce = Box<dyn Fn(Vec<(String, Vec<u8>)>) + Send>;

/// Is what the thread and those who ask share.
#[derive(Clone)]
pub(crate) struct WatchDesk(Arc<Shared>);

struct Shared {
    book: Mutex<Book>,
    /// The registry as it is, until the thread has taken it.
    registry: Mutex<Option<Arc<Registry>>>,
    /// What the configuration says of places and where somebody works, likewise.
    ground: Mutex<Option<(Ground, Maintenance)>>,
    /// What is asked, until the thread answers.
    questions: Mutex<Vec<Question>>,
    /// Whether there is a thread that answers.
    is_on: AtomicBool,
    /// What is known of readings, likewise.
    readings: Mutex<Option<Readings>>,
    /// What was proven, until somebody has seen what follows.
    causes: Mutex<Causes>,
    stop: AtomicBool,
}

/// Asks what is known of a device.
struct Question {
    device: DeviceId,
    answer: SyncSender<Option<Vec<Known>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WatchDesk {
    /// Takes the book of incidents.
    pub(crate) fn new(book: Book) -> Self {
        Self(Arc::new(Shared {
            book: Mutex::new(book),
            registry: Mutex::default(),
            ground: Mutex::default(),
            questions: Mutex::default(),
            is_on: AtomicBool::new(false),
            readings: Mutex::default(),
            causes: Mutex::default(),
            stop: AtomicBool::new(false),
        }))
    }

    /// Lets somebody read or write in the book.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Book) -> T) -> T {
        act(&mut locked(&self.0.book))
    }

    /// Asks what is known of a device; `None` if the watch knows no such device.
    ///
    /// # Errors
    /// The watch is off, or does not answer within [`PATIENCE`].
    pub(crate) fn known(&self, device: DeviceId) -> Result<Option<Vec<Known>>, RecvTimeoutError> {
        if !self.0.is_on.load(Ordering::Relaxed) {
            return Err(RecvTimeoutError::Disconnected);
        }
        let (answer, answered) = sync_channel(1);
        {
            let mut questions = locked(&self.0.questions);
            if questions.len() >= QUESTIONS {
                return Err(RecvTimeoutError::Timeout);
            }
            questions.push(Question { device, answer });
        }
        answered.recv_timeout(PATIENCE)
    }

    /// Takes that from which something may follow, since the last time.
    pub(crate) fn take_causes(&self) -> VecDeque<Cause> {
        locked(&self.0.causes).take()
    }

    /// Hands over that from which something may follow; its incident is in the book.
    pub(crate) fn put_cause(&self, cause: Cause) {
        locked(&self.0.causes).put(cause);
    }

    /// Tells the watch which devices there are.
    pub(crate) fn put_registry(&self, registry: &Arc<Registry>) {
        *locked(&self.0.registry) = Some(Arc::clone(registry));
    }

    /// Tells the watch what is known of readings.
    pub(crate) fn put_readings(&self, readings: &Readings) {
        *locked(&self.0.readings) = Some(readings.clone());
    }

    /// Tells the watch what the configuration says of places, and where somebody works.
    pub(crate) fn put_ground(&self, ground: Ground, maintenance: Maintenance) {
        *locked(&self.0.ground) = Some((ground, maintenance));
    }
}

/// Returns what a message that nobody verified tells of its device.
#[cfg(feature = "decoders")]
pub(crate) fn told(device: &DeviceId, topic: &str, payload: &[u8]) -> Vec<Event> {
    hear::read(device, topic, payload, false, UnixMillis(0))
}

/// Says where the watch keeps what, and how fast its time goes.
pub(crate) struct WatchOptions {
    /// The file with what it has learned.
    pub(crate) learned: PathBuf,
    /// The file with what it hears.
    pub(crate) recording: PathBuf,
    /// How many bytes of that are kept; 0 is nothing.
    pub(crate) recorded_bytes: u64,
    /// How many times faster than the clock its time goes; 1 but for shows.
    pub(crate) pace: u32,
}

/// Tells the time of the watch.
#[derive(Clone, Copy)]
struct Pace {
    began: UnixMillis,
    times: u32,
}

impl Pace {
    fn at(self, wall: UnixMillis) -> UnixMillis {
        if self.times <= 1 {
            return wall;
        }
        self.began.plus(wall.since(self.began).saturating_mul(self.times.into()))
    }

    fn now(self) -> UnixMillis {
        self.at(UnixMillis(clock::now().wall.0))
    }
}

/// Is the thread; dropping it stops it.
pub(crate) struct Watching {
    desk: WatchDesk,
    thread: Option<JoinHandle<()>>,
}

impl Watching {
    /// Begins to watch.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(
        desk: WatchDesk,
        ear: Ear,
        announce: Announce,
        options: WatchOptions,
    ) -> io::Result<Self> {
        let mut watcher = Watcher::open(desk.clone(), announce, options);
        let run = move || watcher.run(&ear);
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(run)?;
        desk.0.is_on.store(true, Ordering::Relaxed);
        Ok(Self { desk, thread: Some(thread) })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.desk.0.is_on.store(false, Ordering::Relaxed);
        self.desk.0.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watcher {
    desk: WatchDesk,
    watch: Watch,
    learned: Learned,
    recorder: Recorder,
    registry: Option<Arc<Registry>>,
    readings: Readings,
    ground: Ground,
    maintenance: Maintenance,
    /// When devices were moved on purpose, as far as the watch was told.
    moved: BTreeMap<DeviceId, WallTime>,
    announce: Announce,
    pace: Pace,
    /// What was found and is not in the book yet.
    found: Vec<Finding>,
    /// Signed messages that prove some of that.
    signed: Vec<(DeviceId, Class, SignedMessage)>,
    /// Devices of which was told that they say too much, and when.
    floods: BTreeMap<Identity, UnixMillis>,
    /// Until when silence is taken for trouble of our own.
    doubts_until: Option<UnixMillis>,
}

impl Watcher {
    fn open(desk: WatchDesk, announce: Announce, options: WatchOptions) -> Self {
        let pace = Pace { began: UnixMillis(clock::now().wall.0), times: options.pace };
        let (learned, watch) = Learned::open(options.learned, pace.now());
        Self {
            desk,
            watch,
            learned,
            recorder: Recorder::new(options.recording, options.recorded_bytes),
            registry: None,
            readings: Readings::new(),
            ground: Ground::default(),
            maintenance: Maintenance::default(),
            moved: BTreeMap::new(),
            announce,
            pace,
            found: Vec::new(),
            signed: Vec::new(),
            floods: BTreeMap::new(),
            doubts_until: None,
        }
    }

    fn run(&mut self, ear: &Ear) {
        let told = self.desk.with(|book| book.standing());
        (self.announce)(told);
        if self.watch.places().next().is_some() {
            self.tell(self.pace.now(), &Event::Restarted);
        }
        while !self.desk.0.stop.load(Ordering::Relaxed) {
            match ear.listen(WAIT) {
                Ok(tick) => {
                    // A device that was added a moment ago is known before it is heard.
                    self.take_news(self.pace.now());
                    self.hear(tick);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let missed = ear.missed();
            if missed > 0 {
                tracing::warn!(
                    missed,
                    "the watch could not keep up with what devices do: it does not blame them for what it missed"
                );
                self.doubt(self.pace.now());
            }
            let now = self.pace.now();
            self.take_news(now);
            self.take_readings();
            self.pass(now);
            self.answer();
            self.flush();
            self.learned.keep_if_due(self.pace.now(), &self.watch);
        }
        self.desk.with(Book::keep);
        self.learned.keep(&self.watch);
        self.flush();
    }

    fn hear(&mut self, tick: Tick) {
        let at = self.pace.at(UnixMillis(tick.at.0));
        for heard in tick.heard {
            if matches!(heard.what, What::Floods) {
                self.note_flood(at, &heard.device);
            }
            let signed = hear::signed_message(&heard);
            for event in hear::events(heard, at) {
                self.tell(at, &event);
            }
            let before = self.found.len();
            self.found.extend(std::iter::from_fn(|| self.watch.poll_finding()));
            if let Some(message) = signed {
                self.keep_signed(at, before, &message);
            }
        }
    }

    /// Keeps a signed message, if it proves something of what was found from a number on.
    fn keep_signed(&mut self, at: UnixMillis, from: usize, message: &Message) {
        for cause in self.found[from..].iter().filter_map(Cause::of).filter(|cause| cause.is_proven) {
            self.signed.push((cause.device, cause.class, SignedMessage::of(at, message)));
        }
    }

    /// Says once an hour of a device that not all of what it says is watched.
    fn note_flood(&mut self, at: UnixMillis, device: &Identity) {
        self.floods.retain(|_, told| at.since(*told) < FLOOD_MS);
        if self.floods.len() < FLOODS && !self.floods.contains_key(device) {
            self.floods.insert(device.clone(), at);
            tracing::warn!(
                %device,
                "it says more than {HEARD_OF_ONE} things in a second: the watch hears some of it, and may miss what its sensors say"
            );
        }
    }

    /// Tells the detectors of an event.
    fn tell(&mut self, at: UnixMillis, event: &Event) {
        self.recorder.note(at, event, &self.watch);
        self.watch.handle(at, event);
    }

    fn answer(&self) {
        for question in std::mem::take(&mut *locked(&self.desk.0.questions)) {
            // Who no longer waits needs no answer.
            let _ = question.answer.try_send(self.watch.known(self.pace.now(), &question.device));
        }
    }

    fn flush(&mut self) {
        if let Err(error) = self.recorder.flush() {
            tracing::error!("what the watch hears was not recorded: {error}");
        }
    }

    /// Takes what comes for trouble of our own for a while.
    fn doubt(&mut self, now: UnixMillis) {
        if self.doubts_until.is_none() {
            self.tell(now, &Event::OwnTrouble { is_on: true });
        }
        self.doubts_until = Some(now.plus(DOUBT_MS));
    }

    fn pass(&mut self, now: UnixMillis) {
        if self.doubts_until.take_if(|until| *until <= now).is_some() {
            self.tell(now, &Event::OwnTrouble { is_on: false });
        }
        if self.watch.poll_timeout().is_some_and(|at| at <= now) {
            self.watch.handle_timeout(now);
        }
        let mut findings = std::mem::take(&mut self.found);
        findings.extend(std::iter::from_fn(|| self.watch.poll_finding()));
        let causes: Vec<Cause> = findings.iter().filter_map(Cause::of).collect();
        let signed = std::mem::take(&mut self.signed);
        let told = self.desk.with(|book| {
            let told = book.handle(now, findings);
            for (device, class, message) in signed {
                book.keep_signed(now, &Scope::Device(device), class, message);
            }
            told
        });
        causes.into_iter().for_each(|cause| self.desk.put_cause(cause));
        if !told.is_empty() {
            (self.announce)(told);
        }
    }

    /// Tells the detectors which devices there are, where they stand and where somebody works, if that has changed.
    fn take_news(&mut self, at: UnixMillis) {
        let registry = locked(&self.desk.0.registry).take();
        let ground = locked(&self.desk.0.ground).take();
        if registry.is_none() && ground.is_none() {
            return;
        }
        let is_first = self.registry.is_none();
        self.registry = registry.or(self.registry.take());
        if let Some((ground, maintenance)) = ground {
            (self.ground, self.maintenance) = (ground, maintenance);
        }
        if let Some(registry) = self.registry.clone() {
            self.take_devices(at, &registry, is_first);
        }
        self.take_windows(at);
        self.declare();
    }

    fn take_devices(&mut self, at: UnixMillis, registry: &Registry, is_first: bool) {
        let there: BTreeMap<&DeviceId, &Account> =
            registry.accounts().filter_map(|account| expected(account)).collect();
        let known: BTreeMap<DeviceId, Place> =
            self.watch.places().map(|(device, place)| (device.clone(), place.clone())).collect();
        for device in known.keys().filter(|device| !there.contains_key(device)) {
            self.tell(at, &Event::Removed { device: device.clone() });
        }
        self.moved.retain(|device, _| there.contains_key(device));
        let site =
            |(device, account): (&&DeviceId, &&Account)| Some(((*device).clone(), account.site.clone()?));
        let sites = there.iter().filter_map(site).collect();
        self.desk.with(|book| book.put_sites(sites));
        for (device, account) in there {
            let place = self.ground.place(account);
            let before = known.get(device);
            if before != Some(&place) {
                self.tell(at, &Event::Registered { device: device.clone(), place });
            }
            let Some(moved) = account.moved.as_ref().map(|moved| moved.at) else { continue };
            let is_told = self.moved.insert(device.clone(), moved) == Some(moved);
            // Of moves before the broker started the watch has heard; what is new is at home where it is.
            if !is_told && !is_first && before.is_some() {
                self.tell(at, &Event::MovedOnPurpose { device: device.clone() });
            }
        }
    }

    fn take_windows(&mut self, at: UnixMillis) {
        let known: BTreeMap<Scope, UnixMillis> =
            self.watch.windows().map(|(scope, until)| (scope.clone(), until)).collect();
        let all = self.maintenance.open(WallTime(0));
        let all = all.filter_map(|(scope, window)| {
            Some((scope.parse().ok()?, self.pace.at(UnixMillis(window.until.0))))
        });
        let open: BTreeMap<Scope, UnixMillis> = all.filter(|(_, until)| *until > at).collect();
        let is_open = |(scope, until): &(&Scope, &UnixMillis)| **until > at && !open.contains_key(scope);
        let over = known.iter().filter(is_open).map(|(scope, _)| (scope, &at));
        let new = open.iter().filter(|(scope, until)| known.get(scope) != Some(until));
        for (scope, until) in over.chain(new) {
            self.tell(at, &Event::Maintenance { scope: scope.clone(), until: *until });
        }
    }

    /// Tells the detectors what is known of readings, if that has changed.
    fn take_readings(&mut self) {
        let Some(readings) = locked(&self.desk.0.readings).take() else { return };
        self.readings = readings;
        self.declare();
    }

    fn declare(&mut self) {
        let Some(registry) = &self.registry else { return };
        let at = self.pace.now();
        for event in declared::events(registry, &self.readings, &self.watch) {
            self.tell(at, &event);
        }
    }
}

/// Returns a device of which something is expected.
fn expected(account: &Account) -> Option<(&DeviceId, &Account)> {
    match &account.identity {
        Identity::Device(device) if account.standing == Standing::Active => Some((device, account)),
        _ => None,
    }
}

/// Says of a change whether somebody is called for it.
fn calls(change: &Change) -> bool {
    matches!(change, Change::Told { calls: true, .. } | Change::TooManyCalls | Change::HeldBack { .. })
}

/// Is a watch without a thread, whose time a test tells.
#[cfg(test)]
pub(crate) struct Rehearsal(Watcher);

#[cfg(test)]
impl Rehearsal {
    /// Begins in a folder where nothing was learned yet.
    pub(crate) fn of(desk: WatchDesk, folder: &std::path::Path) -> Self {
        let (learned, recording) = (folder.join("learned"), folder.join("recording"));
        let options = WatchOptions { learned, recording, recorded_bytes: 0, pace: 1 };
        Self(Watcher::open(desk, Box::new(|_| ()), options))
    }

    pub(crate) fn hear(&mut self, at: UnixMillis, event: &Event) {
        self.0.tell(at, event);
    }

    pub(crate) fn pass(&mut self, at: UnixMillis) {
        self.0.take_news(at);
        self.0.pass(at);
    }
}
