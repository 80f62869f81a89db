//! One running broker: opens the store, starts the data plane, answers operators, heeds signals, stops.

use crate::{home::Home, status::Status};
use std::{net::SocketAddr, path::PathBuf};

/// Holds what a start is told beside `keyward.toml`.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// More names for the server certificate (`--name`, `KEYWARD_NAMES`).
    pub names: Vec<String>,
    /// Another port for the first listener; 0 lets the system choose.
    pub port: Option<u16>,
    /// Another address for the first listener.
    pub address: Option<std::net::IpAddr>,
    /// The file with the passphrase of the issuing keys; without it the systemd credential `keyward-passphrase`.
    pub passphrase_file: Option<PathBuf>,
    /// Whether the process may be dumped and traced by its user, for debugging.
    pub dumpable: bool,
    /// Whether signals are left to the caller (the demo and tests run a broker inside their process).
    pub ignore_signals: bool,
}

/// Says why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The directory cannot be used.
    #[error(transparent)]
    Home(#[from] crate::home::HomeError),
    /// A port is taken.
    #[error("port {port} is in use by another program; choose another with `keyward up --port PORT`, or stop the other one")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// Anything else: what, where, and what to do.
    #[error("{0}")]
    Failed(String),
}

/// Says why a broker stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It was asked to: by a signal or by [`Running::stop`].
    Asked,
}

/// Holds a running broker; dropping it stops the broker.
pub struct Running {}

/// Starts the broker of `home`, making the installation first if there is none. Returns when it listens.
///
/// # Errors
/// [`StartError`], which says what to do.
pub fn run(home: Home, options: RunOptions) -> Result<Running, StartError> {
    todo!()
}

impl Running {
    /// Whether this start made the installation.
    pub fn is_first_start(&self) -> bool {
        todo!()
    }

    /// Returns the addresses that listen, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        todo!()
    }

    /// Returns what `keyward status` shows.
    pub fn status(&self) -> Status {
        todo!()
    }

    /// Waits until the broker stops.
    pub fn wait(self) -> Stopped {
        todo!()
    }

    /// Stops the broker: clients are told (0x8B), then their links are closed.
    pub fn stop(self) {
        todo!()
    }
}
