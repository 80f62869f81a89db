//! Tells a service manager (systemd) how the broker is: sd_notify(3), one datagram for each word.
//!
//! Written here because it is one datagram, and the crates that send it know no sockets in the abstract namespace, which
//! systemd gives to services of a user. Without `NOTIFY_SOCKET` nothing is told.

use crate::clock;
use crate::plane::{DataPlane, Pulse, Vitals};
use crate::regular::Regular;
use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// How often a start asks for more time, and how much it asks for.
const EXTEND_EVERY: Duration = Duration::from_secs(10);
const EXTENSION: Duration = Duration::from_secs(40);

/// How long a start may ask for more time. A store of 100 GB is read in less.
const LONGEST_START: Duration = Duration::from_secs(2 * 3600);

/// How long the service manager may take to make room for a word.
const SEND_TIME: Duration = Duration::from_secs(1);

/// How long the answers to one `keyward healthcheck` may take together.
pub(crate) const HEALTH_PATIENCE: Duration = Duration::from_secs(2);

/// Tells whether a service manager has started this process.
pub(crate) fn is_here() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|name| !name.is_empty())
}

/// Is the way to the service manager, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Service {
    socket: Option<Arc<UnixDatagram>>,
    watchdog: Option<Duration>,
}

impl Service {
    /// Finds the service manager that started this process: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    ///
    /// # Errors
    /// A line: the variable names no socket that takes words.
    pub fn of_process() -> Result<Self, String> {
        let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| is_for_us && *usec > 0);
        Self::at(&socket, watchdog.map(Duration::from_micros))
            .map_err(|error| format!("NOTIFY_SOCKET={}: {error}", socket.to_string_lossy()))
    }

    /// Connects to a socket by its path, or by `@` and its name in the abstract namespace.
    ///
    /// # Errors
    /// What the system says.
    pub fn at(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_write_timeout(Some(SEND_TIME))?;
        Ok(Self { socket: Some(Arc::new(socket)), watchdog })
    }

    /// Asks for time until the value is dropped: a long recovery is not a start that failed.
    pub(crate) fn starting(&self) -> Option<Regular> {
        self.socket.as_ref()?;
        let (service, until) = (self.clone(), clock::now().mono.saturating_add(clock::millis(LONGEST_START)));
        let extend = move || {
            if clock::now().mono < until {
                service.say(&format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros()));
            }
        };
        extend();
        self.status("starting: reading what is stored");
        // Without a thread the start has the time that the unit gives it.
        Regular::start("starting", EXTEND_EVERY, extend).ok()
    }

    /// Says that the program does its work.
    pub fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// Says that configuration and rules are read again; [`Service::ready`] must follow.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.say(&format!(
            "RELOADING=1\nMONOTONIC_USEC={usec}\nSTATUS=reading configuration and rules again"
        ));
    }

    /// Says that the program stops.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=stopping");
    }

    /// Says a line about how it is.
    pub(crate) fn status(&self, status: &str) {
        self.say(&format!("STATUS={status}"));
    }

    /// Feeds the watchdog as long as everybody answers, until the value is dropped; nothing if none is set.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(crate) fn watch(&self, plane: Arc<DataPlane>) -> io::Result<Option<Regular>> {
        let Some(watchdog) = self.watchdog else { return Ok(None) };
        // Asking and waiting for answers take half of the time together, so that one late answer is no reason.
        let (every, patience) = (watchdog / 4, watchdog / 4);
        let (service, mut pulse, mut before) = (self.clone(), Pulse::of(plane), Vitals::default());
        self.say("WATCHDOG=1");
        let look = move || {
            let vitals = pulse.feel(patience);
            if vitals.silent.is_empty() {
                service.say("WATCHDOG=1");
            }
            service.tell_change(&before, &vitals);
            before = vitals;
        };
        Regular::start("watchdog", every, look).map(Some)
    }

    fn tell_change(&self, before: &Vitals, now: &Vitals) {
        if !now.silent.is_empty() && before.silent != now.silent {
            let silent = now.silent.join(", ");
            tracing::error!(
                "{silent}: no answer, so the watchdog is not fed; the service manager will start the broker anew"
            );
            self.status(&format!("{silent}: no answer, the watchdog is not fed"));
        } else if let (Some(waits), None) = (now.disk, before.disk) {
            tracing::warn!(
                seconds = waits.as_secs(),
                "the disk is slow: what has to be stored is not acknowledged"
            );
            self.status("the disk is slow: what has to be stored is not acknowledged");
        } else if *now == Vitals::default() && before != now {
            tracing::info!("everybody answers again");
            self.status("running");
        }
    }

    fn say(&self, words: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(words.as_bytes()) {
            tracing::warn!(
                "the service manager did not hear {:?}: {error}",
                words.lines().next().unwrap_or_default()
            );
        }
    }
}
