//! The façade: one per process that holds the store.

use crate::{
    authority::{Lifetimes, ServerIdentity, Trust},
    clock::{ClockVerdict, WallTime},
    commands::{Command, Context, Outcome, Refusal},
    files::FileError,
    ledger::{AuditTrail, LedgerError},
    names::ServerName,
    password::Pepper,
    registry::Registry,
    status::Status,
    vault::{KeyProtection, VaultError},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Says how a new installation is made.
#[derive(Clone)]
pub struct InitOptions<'a> {
    /// The wall-clock time now.
    pub now: WallTime,
    /// The program's commit date: a clock before it is wrong.
    pub build_time: WallTime,
    /// Whether the operator vouches for the clock, whatever it shows.
    pub accept_clock: bool,
    /// Who makes it, for the audit.
    pub actor: &'a str,
    /// The names and addresses that the server found of itself; at least one.
    pub found_names: Vec<ServerName>,
    /// The names that the operator gives it.
    pub added_names: Vec<ServerName>,
    /// How the keys are protected.
    pub protection: KeyProtection,
}

/// Says how an installation is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// The program's commit date: a clock before it is wrong.
    pub build_time: WallTime,
    /// How the keys are protected.
    pub protection: KeyProtection,
    /// How long certificates are valid that are issued from now on.
    pub lifetimes: Lifetimes,
}

/// Says why an installation cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory is missing, foreign, open to others or unreadable.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process holds the store.
    #[error("{dir} is in use by {holder}; ask that one, or stop it", dir = .dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// Who holds it, as far as it said.
        holder: String,
    },
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A key cannot be read.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Holds the store of one installation.
pub struct Registrar {
    _private: (),
}

impl Registrar {
    /// Tells whether an installation lies in `dir`.
    pub fn exists(_dir: &Path) -> bool {
        todo!()
    }

    /// Makes an installation in `dir` and holds it: two roots, their issuing authorities, the server's certificate.
    ///
    /// # Errors
    /// [`OpenError`] if `dir` is not private, holds an installation already or cannot be written.
    pub fn create(_dir: &Path, _options: InitOptions<'_>) -> Result<Self, OpenError> {
        todo!()
    }

    /// Opens the installation in `dir` and holds it until dropped.
    ///
    /// # Errors
    /// [`OpenError`] if another process holds it, or if the ledger or a key cannot be read.
    pub fn open(_dir: &Path, _options: OpenOptions) -> Result<Self, OpenError> {
        todo!()
    }

    /// Carries out one command. When it returns, what it says is on disk.
    ///
    /// Takes the time of two disk syncs; a chosen password costs tens of milliseconds more.
    ///
    /// # Errors
    /// [`Refusal`] says why nothing changed.
    pub fn execute(&mut self, _command: Command, _context: Context<'_>) -> Result<Outcome, Refusal> {
        todo!()
    }

    /// Returns the registry as it is now.
    pub fn registry(&self) -> Arc<Registry> {
        todo!()
    }

    /// Returns what the server shows to clients now.
    pub fn server_identity(&self) -> Arc<ServerIdentity> {
        todo!()
    }

    /// Returns what the server accepts clients under.
    pub fn trust(&self) -> Trust {
        todo!()
    }

    /// Returns the key of generated passwords' hashes.
    pub fn pepper(&self) -> Arc<Pepper> {
        todo!()
    }

    /// Returns the server root as PEM: the trust anchor of bundles, the content of `DIR/ca.pem`.
    pub fn ca_pem(&self) -> String {
        todo!()
    }

    /// Tells whether the server's certificate is past two thirds of its life: then ask for [`Command::RenewServer`].
    pub fn server_renewal_due(&self, _now: WallTime) -> bool {
        todo!()
    }

    /// Judges the clock.
    pub fn clock(&self, _now: WallTime) -> ClockVerdict {
        todo!()
    }

    /// Returns what there is to tell at the time `now`.
    pub fn status(&self, _now: WallTime) -> Status {
        todo!()
    }

    /// Reads the ledger from record `since` (from 1) on.
    ///
    /// # Errors
    /// [`LedgerError`] if the file cannot be opened.
    pub fn audit(&self, _since: u64) -> Result<AuditTrail, LedgerError> {
        todo!()
    }
}
