//! The device: what an application calls.

use crate::clock;
use crate::command::{self, Command};
use crate::disk::Folder;
use crate::enrol::{Host, Membership, MembershipError};
use crate::groups::GroupKeys;
use crate::heartbeat::{Event, Nameplate, ResetCause};
use crate::keys::{KeyError, KeyStore, draw, no_randomness};
use crate::limits::ASIDE;
use crate::link::{self, Waker};
use crate::log::Master;
use crate::numbers::{SeenCommands, Sequencer};
use crate::outbox::{Full, Outbox, Settings as OutboxSettings, Status as OutboxStatus};
use crate::pen::{Pen, Reading, ReportError};
use crate::readers::{self, EncryptRule};
use crate::sealed::SealedStore;
use crate::shared::{Shared, lock};
use crate::state::StateError;
use crate::tamper::{self, OnTamper};
use keyward_envelope::limits::NONCE_BYTES;
use keyward_envelope::{Nonce, Sequence};
use keyward_files::{self as files, FileError};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use zeroize::Zeroizing;

/// Takes lines about what happens, for a log.
pub type Log = Box<dyn Fn(&str) + Send + Sync>;

/// Says how a device behaves.
pub struct DeviceSettings {
    /// How large the outbox may become.
    pub outbox: OutboxSettings,
    /// For whom what is said is encrypted, by topic; everybody reads what no rule names.
    pub encrypt: Vec<EncryptRule>,
    /// Topic filters of commands, at most 16.
    pub commands: Vec<String>,
    /// Seconds that the broker keeps commands for a device that is away.
    pub session_seconds: u32,
    /// Whether the machine's clock is believed where it was set. Without a clock messages are good for the link on which they are sent, and commands need the
    /// nonce of this start, which the device tells on `devices/ID/nonce`.
    pub clock: bool,
    /// How often the device says how it is while the link stands.
    pub heartbeat_every: Duration,
    /// What stands in each heartbeat.
    pub nameplate: Nameplate,
    /// What becomes of the keys when somebody opens the device.
    pub on_tamper: OnTamper,
    /// Where lines about what happens go.
    pub log: Log,
}

impl Default for DeviceSettings {
    fn default() -> Self {
        Self {
            outbox: OutboxSettings::default(),
            encrypt: Vec::new(),
            commands: Vec::new(),
            session_seconds: 3_600,
            clock: true,
            heartbeat_every: Duration::from_secs(60),
            nameplate: Nameplate::default(),
            on_tamper: OnTamper::Report,
            log: Box::new(|_| {}),
        }
    }
}

/// Says why a device does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It is not enrolled, or what it keeps of that cannot be used.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// Its state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A setting cannot be.
    #[error("{0}")]
    Settings(String),
    /// Keys or numbers cannot be used.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The system gave no random bytes.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A file is not as it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// It was opened, and its keys are destroyed.
    #[error(
        "this device was tampered with ({0}), and its keys were destroyed by policy; make new keys in a new folder and enrol it with a claim of `keyward device invite ID --replace`"
    )]
    Destroyed(String),
    /// The system gave no thread or socket.
    #[error("the link cannot be started: {0}")]
    System(#[from] io::Error),
}

/// Says how a device stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceStatus {
    /// Who it is.
    pub device: String,
    /// Where it belongs.
    pub installation: String,
    /// The host that it is linked to.
    pub connected: Option<Host>,
    /// How well its keys are kept, 0 to 3.
    pub level: u8,
    /// When its certificate ends, seconds since 1970.
    pub expires: u64,
    /// The version of the server's key set that it believes.
    pub key_set: Option<u64>,
    /// What waits.
    pub outbox: OutboxStatus,
    /// Messages that the server refused for good, kept aside.
    pub aside: u64,
    /// Commands that were not obeyed, since the start.
    pub refused_commands: u64,
    /// How often it was started.
    pub boot_count: u32,
    /// How often its sealed store was changed or opened by a start: never less than it was.
    pub store_generation: u64,
}

/// Is a device that runs: signs, stores and sends what it is given, and hears commands.
///
/// Dropped without [`Device::halt`] it sends no more; what waits is sent after the next start.
pub struct Device {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Makes what a device counts by, once, before it is enrolled; and refuses keys with which it could not start afterwards, because what it
/// keeps in `folder` is of others: a claim is not spent on these.
///
/// # Errors
/// [`StartError::Destroyed`]; [`StateError::OtherKeys`]; [`StateError`] otherwise.
pub fn found(folder: &Path, keys: &dyn KeyStore) -> Result<(), StartError> {
    if let Some(reason) = tamper::destroyed(folder)? {
        return Err(StartError::Destroyed(reason));
    }
    for sealed in ["store", "outbox", "aside"].map(|name| folder.join(name)) {
        if sealed.exists() {
            Master::open(&Folder::open(&sealed)?, keys)?;
        }
    }
    let numbers = folder.join("numbers");
    match numbers.exists() {
        true => Sequencer::check(&numbers, keys)?,
        false => Sequencer::create(&numbers, keys)?,
    }
    Ok(())
}

impl Device {
    /// Starts the device that was enrolled in `folder` with these keys.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        folder: &Path,
        keys: Arc<dyn KeyStore>,
        settings: DeviceSettings,
    ) -> Result<Self, StartError> {
        readers::check(&settings.encrypt).map_err(StartError::Settings)?;
        files::check_private_dir(folder)?;
        if let Some(reason) = tamper::destroyed(folder)? {
            return Err(StartError::Destroyed(reason));
        }
        let membership = Membership::load(folder)?;
        membership.settle(keys.as_ref())?;
        let mut store = SealedStore::open(&folder.join("store"), Arc::clone(&keys))?;
        // Each start is another generation: who starts an older copy says one that the server has heard before.
        store.mark()?;
        let groups = GroupKeys::load(&store)?;
        let pen = Pen::take_up(&membership, &keys, folder, &settings, groups)?;
        let nonce = Nonce::new(&draw::<NONCE_BYTES>()?).ok_or_else(no_randomness)?;
        let (waker, wakes) = Waker::pair()?;
        let pinned = membership.installation_key.as_deref();
        let mut master =
            command::Master::new(membership.device.clone(), membership.installation.clone(), pinned);
        if let Some(set) = &membership.key_set
            && let Err(problem) = master.learn(set, None)
        {
            (settings.log)(&format!("the key set that was kept is not believed: {problem}"));
        }
        let aside =
            OutboxSettings { max_entries: ASIDE, full: Full::DropOldest, ..OutboxSettings::default() };
        let shared = Arc::new(Shared {
            aside: Mutex::new(Outbox::open(&folder.join("aside"), aside, keys.as_ref())?),
            seen: Mutex::new(SeenCommands::open(&folder.join("commands"))?),
            store: Mutex::new(store),
            nonce,
            reset_cause: reset_cause(folder)?,
            membership: Mutex::new(membership),
            pen: Mutex::new(pen),
            master: Mutex::new(master),
            folder: folder.to_owned(),
            keys,
            settings,
            refused_commands: AtomicU64::new(0),
            news: Mutex::default(),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            waker,
        });
        let linked = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("link".to_owned()).spawn(move || link::run(&linked, wakes))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Signs and stores readings in their order; they will be sent whatever happens to power and network once this has returned, with one
    /// sync for all. Returns the number of the first in the outbox; the others follow it.
    ///
    /// # Errors
    /// [`ReportError`]; none of them was stored.
    pub fn report(&self, readings: &[Reading<'_>]) -> Result<u64, ReportError> {
        let first = self.shared.write(readings)?;
        self.shared.waker.wake();
        Ok(first)
    }

    /// Says that the power is failing: one signed message on the alarm topic, stored, and sent ahead of all that waits if not too much
    /// does. Returns whether the server had it within `within`; if not, it is sent after the next start.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn power_lost(&self, within: Duration) -> Result<bool, ReportError> {
        let entry = self.shared.say_now(Event::PowerLost)?;
        Ok(self.shared.wait_taken(entry, within))
    }

    /// Says that somebody opened the device, and does what the policy wants: reports, or reports and then destroys the keys and all that
    /// only they open. Returns whether the server had the report within `within`.
    ///
    /// # Errors
    /// [`ReportError`]; keys that were to be destroyed are, whether the report could be made or not, or the error says that they are not.
    pub fn tamper(&self, reason: &str, within: Duration) -> Result<bool, ReportError> {
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
        let said = self.shared.say_now(Event::Tamper(&reason));
        let heard = said.as_ref().is_ok_and(|entry| self.shared.wait_taken(*entry, within));
        if self.shared.settings.on_tamper == OnTamper::Destroy {
            self.shared.destroy(&reason)?;
        }
        said.map(|_| heard)
    }

    /// Returns the next command that was obeyed: signed by the server for this device, fresh, and new. Its number is stored as seen, so it
    /// does not come again. Nothing if none came within `within`.
    pub fn next_command(&self, within: Duration) -> Option<Command> {
        let deadline = clock::now() + within;
        let mut news = self.shared.news();
        loop {
            if let Some(command) = news.commands.pop_front() {
                return Some(command);
            }
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() {
                return None;
            }
            news = self.shared.changed.wait_timeout(news, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Keeps a small secret of the application in the device's [sealed store](SealedStore), durable when this returns; a name has at most 251 bytes.
    ///
    /// # Errors
    /// Those of [`SealedStore::put`].
    pub fn keep(&self, name: &str, value: &[u8]) -> Result<(), StateError> {
        lock(&self.shared.store).put(&of_application(name), value)
    }

    /// Returns what the application [kept](Device::keep) under a name; nothing if there is none.
    ///
    /// # Errors
    /// Those of [`SealedStore::get`].
    pub fn kept(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        lock(&self.shared.store).get(&of_application(name))
    }

    /// Forgets what the application kept under a name, and tells whether there was any.
    ///
    /// # Errors
    /// The disk.
    pub fn forget(&self, name: &str) -> Result<bool, StateError> {
        lock(&self.shared.store).delete(&of_application(name))
    }

    /// Says how the device stands.
    pub fn status(&self) -> DeviceStatus {
        let membership = self.shared.membership();
        let condition = self.shared.condition();
        let key_set = lock(&self.shared.master).version().map(|Sequence(version)| version);
        let connected = self.shared.news().connected.clone();
        let pen = self.shared.pen();
        DeviceStatus {
            device: membership.device.to_string(),
            installation: membership.installation.to_string(),
            connected,
            level: condition.key_level,
            expires: membership.expires,
            key_set,
            outbox: pen.outbox.status(),
            aside: condition.aside,
            refused_commands: condition.refused_commands,
            boot_count: pen.boot_count(),
            store_generation: condition.store_generation,
        }
    }

    /// Halts: sends what waits for `within` at most, says goodbye, and writes down how far the server got.
    ///
    /// # Errors
    /// [`StateError`]: what the server has may be sent to it once more, which it knows for a repeat.
    pub fn halt(&self, within: Duration) -> Result<(), StateError> {
        self.end(within);
        self.shared.pen().outbox.flush()
    }

    fn end(&self, within: Duration) {
        self.shared.news().stop_at = Some(clock::now() + within);
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.waker.wake();
        if let Some(thread) = lock(&self.thread).take() {
            drop(thread.join());
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

/// Returns the name in the sealed store of what the application keeps: the device's own are apart.
fn of_application(name: &str) -> String {
    format!("app/{name}")
}

/// Says why the device started: the kernel's id of this boot differs from the one before, and the watchdog says whether it was it.
fn reset_cause(folder: &Path) -> Result<ResetCause, FileError> {
    let path = folder.join("boot_id");
    let read = |path: &Path| files::read_regular(path, 64).ok();
    let now = read(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default();
    if read(&path).is_some_and(|before| before == now) {
        return Ok(ResetCause::Program);
    }
    files::replace(&path, &now)?;
    // WDIOF_CARDRESET of linux/watchdog.h.
    let status = read(Path::new("/sys/class/watchdog/watchdog0/bootstatus"));
    let flags = status.and_then(|text| String::from_utf8(text).ok()?.trim().parse::<u32>().ok());
    Ok(if flags.is_some_and(|flags| flags & 0x20 != 0) { ResetCause::Watchdog } else { ResetCause::Boot })
}
