//! Tells people and programs outside of incidents: webhooks, mail, syslog.
//!
//! One thread owns the queue and its file; each place has a thread of its own that sends, so that one that does not answer holds up no
//! other. Who has something to tell hands it over and goes on: when there is no room, it is dropped and counted.
//!
//! What is not here: which incidents there are ([`crate::watch`], [`crate::admin`]), and what follows from them for devices.

mod file;
pub mod limits;
mod mail;
mod notice;
mod queue;
mod secret;
mod smtp;
mod syslog;
mod tls;
mod webhook;

pub(crate) use notice::{Event, Notice};
pub(crate) use queue::Counts;
#[cfg(feature = "decoders")]
pub(crate) use {file::decode as decode_notices, smtp::decode as decode_smtp_answer};

use crate::clock;
use crate::config::{MailTls, Notify};
use crate::control::NotifyTestRow;
use file::QueueFile;
use notice::{Letter, Origin};
use queue::{Interest, Queue, Trouble};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Sends letters to one place. Each try is over within [`limits::NOTICE_TIME`], or little more.
trait Channel: Send + Sync {
    /// Sends letters, all or none.
    ///
    /// # Errors
    /// Why that did not work, without anything secret.
    fn send(&self, letters: &[Letter]) -> Result<(), String>;
}

/// Is a place with its name.
struct Place {
    name: String,
    interest: Interest,
    channel: Arc<dyn Channel>,
}

/// Tells whoever is configured to be told; clones are one.
#[derive(Clone, Default)]
pub(crate) struct Notifier(Option<Arc<Shared>>);

struct Shared {
    orders: SyncSender<Order>,
    channels: Vec<(String, Arc<dyn Channel>)>,
    health: Mutex<BTreeMap<String, (Counts, Option<Trouble>)>>,
    /// Notices for which there was no room on the way.
    dropped: AtomicU64,
}

enum Order {
    Tell(Box<Notice>),
    Done { place: String, result: Result<(), String> },
    Stop,
}

/// Is the thread; dropping it keeps what waits in the file.
pub(crate) struct Notifying {
    orders: SyncSender<Order>,
    thread: Option<JoinHandle<()>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Notifier {
    /// Begins to tell the places that are configured; without any there is no thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(
        config: &Notify,
        installation: &str,
        file: PathBuf,
    ) -> io::Result<(Self, Option<Notifying>)> {
        let directory = file.parent().map(Path::to_owned).unwrap_or_default();
        let places = places(config, &Origin::new(installation, directory));
        if places.is_empty() {
            return Ok((Self(None), None));
        }
        let (orders, ordered) = sync_channel(limits::NOTICES_ON_WAY);
        let mut senders = BTreeMap::new();
        for place in &places {
            senders.insert(place.name.clone(), sender(place, orders.clone())?);
        }
        let channels = places.iter().map(|place| (place.name.clone(), Arc::clone(&place.channel))).collect();
        let shared = Arc::new(Shared {
            orders: orders.clone(),
            channels,
            health: Mutex::default(),
            dropped: AtomicU64::new(0),
        });
        let file = QueueFile::new(file);
        let interests = places.into_iter().map(|place| (place.name, place.interest)).collect();
        let queue = Queue::new(clock::now().mono, interests, file.read());
        let mut keeper = Keeper { queue, file, senders, shared: Arc::clone(&shared) };
        let run = move || keeper.run(&ordered);
        let thread = thread::Builder::new().name("notify".to_owned()).spawn(run)?;
        Ok((Self(Some(shared)), Some(Notifying { orders, thread: Some(thread) })))
    }

    /// Hands a notice over. Never waits.
    pub(crate) fn tell(&self, notice: Notice) {
        let Some(shared) = &self.0 else { return };
        if let Err(TrySendError::Full(_)) = shared.orders.try_send(Order::Tell(Box::new(notice))) {
            shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells whether there is a place that could be told.
    pub(crate) fn has_places(&self) -> bool {
        self.0.is_some()
    }

    /// Sends a test to each place, at the same time, and says how that went.
    pub(crate) fn test(&self) -> Vec<NotifyTestRow> {
        let Some(shared) = &self.0 else { return Vec::new() };
        let try_one = |name: &str, channel: &dyn Channel| {
            let letter = Letter::test(name_of_letter(), clock::now().wall.0);
            let (result, took) = clock::timed(|| channel.send(&[letter]));
            let (worked, what) = match result {
                Ok(()) => (true, "it was taken".to_owned()),
                Err(why) => (false, why),
            };
            NotifyTestRow { place: name.to_owned(), worked, what, took_ms: clock::millis(took).0 }
        };
        thread::scope(|scope| {
            let trials: Vec<_> = shared
                .channels
                .iter()
                .map(|(name, channel)| scope.spawn(move || try_one(name, channel.as_ref())))
                .collect();
            trials.into_iter().filter_map(|trial| trial.join().ok()).collect()
        })
    }

    /// Says which places cannot be told, a line each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let Some(shared) = &self.0 else { return Vec::new() };
        let now = clock::now().mono;
        let mut warnings = Vec::new();
        for (name, (counts, trouble)) in locked(&shared.health).iter() {
            if let Some(Trouble { since, why }) = trouble {
                let minutes = now.saturating_sub(*since).as_secs() / 60;
                warnings.push(format!(
                    "notify {name} cannot be told of incidents since {minutes} min, {} wait: {why} → keyward notify test",
                    counts.waiting
                ));
            }
            if counts.dropped > 0 {
                warnings.push(format!(
                    "{} incidents were never told to notify {name}: it took nothing for too long → keyward incident list",
                    counts.dropped
                ));
            }
        }
        let dropped = shared.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            warnings.push(format!(
                "{dropped} incidents came too fast to be told outside → keyward incident list"
            ));
        }
        warnings
    }

    /// Returns what became of notices since the start, of all places together.
    pub(crate) fn counts(&self) -> Counts {
        let Some(shared) = &self.0 else { return Counts::default() };
        let dropped = shared.dropped.load(Ordering::Relaxed);
        let sum = Counts { dropped, ..Counts::default() };
        locked(&shared.health).values().fold(sum, |sum, (counts, _)| sum.plus(*counts))
    }
}

impl Drop for Notifying {
    fn drop(&mut self) {
        // A place that is being told is not waited for: it is told again after the start, under the same name.
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Is the thread that owns the queue.
struct Keeper {
    queue: Queue,
    file: QueueFile,
    senders: BTreeMap<String, SyncSender<Vec<Letter>>>,
    shared: Arc<Shared>,
}

impl Keeper {
    fn run(&mut self, orders: &Receiver<Order>) {
        loop {
            self.send();
            *locked(&self.shared.health) = self
                .queue
                .health()
                .map(|(name, counts, trouble)| (name.to_owned(), (counts, trouble.cloned())))
                .collect();
            let order = match self.wait() {
                Some(wait) => orders.recv_timeout(wait),
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(order) => {
                    // What has gathered meanwhile is written at once.
                    let all = std::iter::once(order).chain(orders.try_iter());
                    if all.map(|order| self.obey(order)).filter(|goes_on| !goes_on).count() > 0 {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.file.keep_if_due(clock::now().mono, &self.queue);
        }
        self.file.keep(clock::now().mono, &self.queue);
    }

    /// Does what is asked for; returns whether it goes on.
    fn obey(&mut self, order: Order) -> bool {
        let now = clock::now().mono;
        match order {
            Order::Tell(notice) => {
                if self.queue.put(now, name_of_letter(), *notice) {
                    self.file.note(now);
                }
            }
            Order::Done { place, result } => {
                if let Err(why) = &result {
                    tracing::warn!(place, "an incident could not be told: {why}");
                }
                self.queue.done(now, &place, result, draw());
                self.file.note(now);
            }
            Order::Stop => return false,
        }
        true
    }

    /// Gives each place that is free what it is to be told; not before that is on disk.
    fn send(&mut self) {
        let now = clock::now().mono;
        for name in self.queue.names() {
            let letters = self.queue.take(now, &name);
            if letters.is_empty() {
                continue;
            }
            self.file.keep(now, &self.queue);
            let sent = self.senders.get(&name).map(|sender| sender.try_send(letters));
            if !matches!(sent, Some(Ok(()))) {
                let why = "the broker's own thread for it has ended: restart the broker";
                self.queue.done(now, &name, Err(why.to_owned()), draw());
            }
        }
    }

    fn wait(&self) -> Option<Duration> {
        let now = clock::now().mono;
        let due = [self.queue.poll_timeout(), self.file.due(&self.queue)].into_iter().flatten().min()?;
        Some(Duration::from_millis(due.saturating_sub(now).0.max(1)))
    }
}

/// Starts the thread that sends to one place. It ends when nobody gives it anything any more.
fn sender(place: &Place, done: SyncSender<Order>) -> io::Result<SyncSender<Vec<Letter>>> {
    let (give, taken) = sync_channel::<Vec<Letter>>(1);
    let (name, channel) = (place.name.clone(), Arc::clone(&place.channel));
    let run = move || {
        for letters in taken {
            let result = channel.send(&letters);
            if done.send(Order::Done { place: name.clone(), result }).is_err() {
                break;
            }
        }
    };
    thread::Builder::new().name(format!("notify-{}", place.name)).spawn(run)?;
    Ok(give)
}

/// Says which files that are needed to tell somebody cannot be used, a line each.
pub(crate) fn unusable_files(config: &Notify) -> Vec<String> {
    let of_webhook = |webhook: &crate::config::Webhook| {
        let secret = secret::read(&webhook.secret_file, limits::SECRET_BYTES_MIN).map(drop);
        let roots = match webhook.url.starts_with("https:") {
            true => tls::roots(webhook.ca_file.as_deref()).map(drop),
            false => Ok(()),
        };
        [secret, roots].map(|read| read.err().map(|why| format!("webhook {}: {why}", webhook.name)))
    };
    let of_mail = |mail: &crate::config::Mail| {
        let login =
            mail.login.as_ref().map_or(Ok(()), |login| secret::read(&login.password_file, 1).map(drop));
        let roots = match mail.tls {
            MailTls::None => Ok(()),
            MailTls::StartTls | MailTls::Tls => tls::roots(mail.ca_file.as_deref()).map(drop),
        };
        [login, roots].map(|read| read.err().map(|why| format!("mail: {why}")))
    };
    let webhooks = config.webhooks.iter().flat_map(of_webhook);
    webhooks.chain(config.mail.iter().flat_map(of_mail)).flatten().collect()
}

fn places(config: &Notify, origin: &Origin) -> Vec<Place> {
    let webhooks = config.webhooks.iter().map(|settings| Place {
        name: settings.name.as_str().to_owned(),
        interest: Interest::Incidents(settings.wanted.clone()),
        channel: Arc::new(webhook::Webhook::new(settings.clone(), origin.clone())),
    });
    let mail = config.mail.iter().map(|settings| Place {
        name: "mail".to_owned(),
        interest: Interest::Calls { at_once: limits::MAIL_CALLS, gather: clock::millis(limits::MAIL_GATHER) },
        channel: Arc::new(mail::Mail::new(settings.clone(), origin.clone())),
    });
    let syslog = config.syslog.iter().map(|settings| Place {
        name: "syslog".to_owned(),
        interest: Interest::Incidents(settings.wanted.clone()),
        channel: Arc::new(syslog::Syslog::new(settings.clone(), origin.clone())),
    });
    webhooks.chain(mail).chain(syslog).collect()
}

/// Draws a name that no other letter has.
fn name_of_letter() -> String {
    format!("{:016x}{:016x}", draw(), draw())
}

/// Returns 64 random bits; the time if the system has none, for neither names nor pauses are secret.
fn draw() -> u64 {
    let mut random = [0; 8];
    match aws_lc_rs::rand::fill(&mut random) {
        Ok(()) => u64::from_le_bytes(random),
        Err(_) => clock::now().wall.0,
    }
}
