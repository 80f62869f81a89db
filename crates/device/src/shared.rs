//! What the application and the link's thread share: who the device is, what it says and has heard, and how it stands.

use crate::clock;
use crate::command::{Command, Disobeyed, KEY_SET_TOPIC, Master, Opens, grant_of};
use crate::device::DeviceSettings;
use crate::enrol::{Host, Membership, MembershipError};
use crate::heartbeat::{Condition, Event, ResetCause, uptime};
use crate::keys::{Generation, KeyStore, Opener};
use crate::limits::{COMMANDS_WAITING, URGENT};
use crate::link::Waker;
use crate::numbers::SeenCommands;
use crate::outbox::{Outbox, Waiting};
use crate::pen::{Pen, Reading, ReportError};
use crate::sealed::SealedStore;
use crate::state::StateError;
use crate::tamper;
use keyward_client::Message;
use keyward_envelope::{Agreement, Epoch, Format, GroupKey, Nonce};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Is what the application and the link's thread share.
pub(crate) struct Shared {
    pub(crate) keys: Arc<dyn KeyStore>,
    pub(crate) folder: PathBuf,
    pub(crate) settings: DeviceSettings,
    pub(crate) membership: Mutex<Membership>,
    pub(crate) pen: Mutex<Pen>,
    pub(crate) aside: Mutex<Outbox>,
    pub(crate) master: Mutex<Master>,
    pub(crate) seen: Mutex<SeenCommands>,
    pub(crate) store: Mutex<SealedStore>,
    /// What commands to a device without a clock have to carry: drawn at each start.
    pub(crate) nonce: Nonce,
    pub(crate) reset_cause: ResetCause,
    pub(crate) refused_commands: AtomicU64,
    pub(crate) news: Mutex<News>,
    pub(crate) changed: Condvar,
    pub(crate) stopping: AtomicBool,
    pub(crate) waker: Waker,
}

/// Holds what one side tells the other.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) connected: Option<Host>,
    pub(crate) commands: VecDeque<Command>,
    pub(crate) urgent: Vec<u64>,
    /// Urgent messages that the server has.
    pub(crate) taken: Vec<u64>,
    pub(crate) stop_at: Option<Instant>,
    pub(crate) destroyed: Option<String>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn pen(&self) -> MutexGuard<'_, Pen> {
        lock(&self.pen)
    }

    pub(crate) fn news(&self) -> MutexGuard<'_, News> {
        lock(&self.news)
    }

    pub(crate) fn membership(&self) -> Membership {
        lock(&self.membership).clone()
    }

    /// Puts the keys of a renewed certificate into use; nothing is signed meanwhile.
    pub(crate) fn settle(&self) -> Result<(), MembershipError> {
        let membership = self.membership();
        let mut pen = self.pen();
        membership.settle(self.keys.as_ref())?;
        Ok(pen.take_key(&self.keys)?)
    }

    pub(crate) fn replace_membership(&self, membership: Membership) {
        *lock(&self.membership) = membership;
    }

    pub(crate) fn hosts(&self) -> Vec<Host> {
        lock(&self.membership).hosts.clone()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn stop_at(&self) -> Option<Instant> {
        self.news().stop_at
    }

    /// Tells whether the time to send what waits is over.
    pub(crate) fn stops_now(&self) -> bool {
        self.stop_at().is_some_and(|at| clock::now() >= at)
    }

    pub(crate) fn tell(&self, line: &str) {
        (self.settings.log)(line);
    }

    pub(crate) fn tell_connected(&self, host: Option<&Host>) {
        if let Some(host) = host {
            self.tell(&format!("connected to {}:{}", host.name, host.port));
        }
        self.news().connected = host.cloned();
        self.changed.notify_all();
    }

    /// Returns the seconds since 1970; nothing if this device has no clock that it believes.
    pub(crate) fn date(&self) -> Option<u64> {
        clock::date(self.settings.clock)
    }

    pub(crate) fn write(&self, readings: &[Reading<'_>]) -> Result<u64, ReportError> {
        if let Some(reason) = &self.news().destroyed {
            return Err(ReportError::Destroyed(reason.clone()));
        }
        self.pen().write(readings)
    }

    /// Says something of the device on its heartbeat topic, or its alarm topic, in its turn.
    pub(crate) fn say(&self, event: Event<'_>) -> Result<u64, ReportError> {
        let payload = self.settings.nameplate.write(event, &self.condition());
        let last = if event == Event::Heartbeat { "heartbeat" } else { "alarm" };
        let topic = format!("devices/{}/{last}", lock(&self.membership).device);
        let reading = Reading { format: Some(Format::CBOR), ..Reading::new(&topic, &payload) };
        self.write(&[reading])
    }

    /// Tells the nonce that commands have to carry, for whoever asks later too.
    pub(crate) fn tell_nonce(&self) -> Result<u64, ReportError> {
        let digits: String = self.nonce.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let topic = format!("devices/{}/nonce", lock(&self.membership).device);
        self.write(&[Reading { retain: true, ..Reading::new(&topic, digits.as_bytes()) }])
    }

    pub(crate) fn say_now(&self, event: Event<'_>) -> Result<u64, ReportError> {
        let entry = self.say(event)?;
        let mut news = self.news();
        if news.urgent.len() >= URGENT {
            // It goes in its turn: a loose contact of the supply says it again and again, and the newest is worth most.
            news.urgent.remove(0);
        }
        news.urgent.push(entry);
        drop(news);
        self.waker.wake();
        Ok(entry)
    }

    pub(crate) fn wait_taken(&self, entry: u64, within: Duration) -> bool {
        let deadline = clock::now() + within;
        let mut news = self.news();
        loop {
            if news.taken.contains(&entry) {
                news.taken.retain(|taken| *taken != entry);
                return true;
            }
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() || news.connected.is_none() {
                return false;
            }
            news = self.changed.wait_timeout(news, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn urgent(&self) -> Vec<u64> {
        self.news().urgent.clone()
    }

    /// Notes that a message is not to be sent ahead any more.
    pub(crate) fn forget_urgent(&self, entry: u64) {
        self.news().urgent.retain(|urgent| *urgent != entry);
    }

    /// Notes that the server has a message; who waits for it is told.
    pub(crate) fn tell_taken(&self, entry: u64) {
        let mut news = self.news();
        if let Some(place) = news.urgent.iter().position(|urgent| *urgent == entry) {
            news.urgent.remove(place);
            if news.taken.len() >= URGENT {
                // Nobody waits for it any more.
                news.taken.remove(0);
            }
            news.taken.push(entry);
            self.changed.notify_all();
        }
    }

    pub(crate) fn condition(&self) -> Condition {
        let store_generation = lock(&self.store).generation();
        let key_level = lock(&self.membership).level(self.keys.protection());
        let pen = self.pen();
        Condition {
            uptime: uptime(),
            boot_count: pen.boot_count().into(),
            reset_cause: self.reset_cause,
            key_level,
            store_generation,
            outbox: pen.outbox.status().entries,
            aside: lock(&self.aside).status().entries,
            refused_commands: self.refused_commands.load(Ordering::Relaxed),
        }
    }

    /// Keeps a message that the server will never take, durable, and tells.
    pub(crate) fn put_aside(&self, waiting: &Waiting, problem: &str) -> Result<(), StateError> {
        lock(&self.aside).append(std::slice::from_ref(&waiting.entry))?;
        self.tell(&format!(
            "message {} to {} was refused for good and is kept aside: {problem}; `keyward denials` on the broker names the rule",
            waiting.id, waiting.entry.topic
        ));
        self.forget_urgent(waiting.id);
        Ok(())
    }

    /// Takes what came: a key set, or what may be a command.
    pub(crate) fn hear(&self, message: Message) {
        if message.topic == KEY_SET_TOPIC {
            return self.learn(&message.payload);
        }
        if grant_of(&message.topic).is_some() {
            return self.join(&message);
        }
        let topic = message.topic.clone();
        if let Err(problem) = self.obey(message) {
            self.refused_commands.fetch_add(1, Ordering::Relaxed);
            self.tell(&format!("not obeyed: what came on {topic}: {problem}"));
        }
    }

    fn learn(&self, set: &[u8]) {
        let learned = lock(&self.master).learn(set, self.date());
        match learned {
            Ok(false) => {}
            Ok(true) => {
                let mut membership = lock(&self.membership);
                membership.key_set = Some(set.to_vec());
                // Kept or not, it is believed; after a restart the server tells it again.
                if let Err(error) = membership.save(&self.folder) {
                    self.tell(&format!("the server's keys are not kept: {error}"));
                }
            }
            Err(problem) => self.tell(&format!("the server's keys are not taken: {problem}")),
        }
    }

    /// Takes the key of a group.
    fn join(&self, message: &Message) {
        let mut keyring = Keyring::of(self);
        let granted = lock(&self.master).granted(&message.topic, &message.payload, self.date(), &mut keyring);
        let kept = match granted {
            Ok(None) => return,
            Ok(Some(key)) => {
                let group = key.group().to_owned();
                let mut pen = self.pen();
                pen.groups
                    .take(key, &mut lock(&self.store))
                    .map(|is_newest| (group, is_newest))
                    .map_err(|e| e.to_string())
            }
            Err(problem) => Err(problem.to_string()),
        };
        match kept {
            Ok((group, true)) => self.tell(&format!("has a new key of the group {group}")),
            Ok((_, false)) => {}
            Err(problem) => {
                self.tell(&format!("no key of a group: what came on {}: {problem}", message.topic))
            }
        }
    }

    fn obey(&self, message: Message) -> Result<(), String> {
        let correlation = message.correlation_data.as_deref();
        let now = self.date();
        let judged = lock(&self.master).judge(
            &message.topic,
            &message.payload,
            correlation,
            now,
            Some(&self.nonce),
            &mut Keyring::of(self),
        );
        let mut command = judged.map_err(|problem| problem.to_string())?;
        command.response_topic = message.response_topic;
        if self.news().commands.len() >= COMMANDS_WAITING {
            return Err("too many commands wait for the application".to_owned());
        }
        // Stored before anybody acts: what was obeyed and forgotten could be done to the device again.
        let signers = lock(&self.master).signers();
        let mut seen = lock(&self.seen);
        match seen.retain(&signers).and_then(|()| seen.take(command.signer, command.number)) {
            Ok(true) => {}
            Ok(false) => return Err(Disobeyed::Seen.to_string()),
            Err(error) => return Err(error.to_string()),
        }
        drop(seen);
        self.news().commands.push_back(command);
        self.changed.notify_all();
        Ok(())
    }

    /// Destroys the keys, and what only they open.
    pub(crate) fn destroy(&self, reason: &str) -> Result<(), ReportError> {
        self.news().destroyed = Some(reason.to_owned());
        // First the mark: a device that finds neither keys nor a mark would not know what happened to it.
        let marked = tamper::mark(&self.folder, reason);
        let destroyed = self.keys.destroy();
        self.tell(&format!("the device was tampered with ({reason}): its keys are destroyed"));
        destroyed?;
        marked.map_err(|error| ReportError::State(StateError::Folder(error)))
    }
}

/// Opens what is encrypted to the device: by its own key, and by those of its groups.
struct Keyring<'a> {
    shared: &'a Shared,
    own: Option<Opener>,
}

impl<'a> Keyring<'a> {
    fn of(shared: &'a Shared) -> Self {
        Self { shared, own: None }
    }
}

impl Opens for Keyring<'_> {
    fn own(&mut self) -> Option<&mut dyn Agreement> {
        // Asked of the store when something is encrypted, and not before: a chip takes its time.
        if self.own.is_none() {
            self.own = Opener::new(Arc::clone(&self.shared.keys), Generation::Current).ok();
        }
        self.own.as_mut().map(|own| own as &mut dyn Agreement)
    }

    fn group(&self, epoch: Epoch) -> Option<GroupKey> {
        self.shared.pen().groups.of_epoch(epoch).cloned()
    }
}
