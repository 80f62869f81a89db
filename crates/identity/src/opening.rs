//! How an installation is made or opened, and why it cannot be.

use crate::{
    authority::{Lifetimes, SigningError},
    clock::WallTime,
    files::FileError,
    ledger::LedgerError,
    limits,
    names::ServerName,
    secret::NoRandomness,
    vault::{KeyProtection, VaultError},
};
use std::path::PathBuf;

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
    /// The names and addresses that the server found of itself.
    pub found_names: Vec<ServerName>,
    /// The names that the operator gives it.
    pub added_names: Vec<ServerName>,
    /// How the keys are protected.
    pub protection: KeyProtection,
    /// How long certificates are valid.
    pub lifetimes: Lifetimes,
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
    #[error("{} is in use by {holder}; ask that one, or stop it", .dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// Who holds it, as far as it said.
        holder: String,
    },
    /// There is no installation.
    #[error("{}: holds no installation; keyward up makes one", .0.display())]
    Missing(PathBuf),
    /// Something lies where an installation is to be made.
    #[error("{}: is in the way of a new installation; restore the ledger beside it (keyward store restore FILE), or move it away", .0.display())]
    Leftover(PathBuf),
    /// The clock cannot be right.
    #[error(
        "the clock shows {now}, which is before this program was made ({build}): nothing is issued; set the clock"
    )]
    Clock {
        /// What the clock shows.
        now: WallTime,
        /// When the program was made.
        build: WallTime,
    },
    /// The server has no name at all.
    #[error("the server's certificate would name nothing; give at least one name")]
    NoNames,
    /// The server's certificate would be too large for small devices.
    #[error(
        "the names given to the server take more than {} bytes in its certificate, which small devices could not \
         read; give fewer or shorter ones",
        limits::ADDED_NAME_BYTES
    )]
    NamesTooLong,
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A key cannot be read or kept.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A certificate could not be made.
    #[error("the first certificates could not be made: {0}")]
    Signing(String),
}

impl From<SigningError> for OpenError {
    fn from(error: SigningError) -> Self {
        Self::Signing(error.to_string())
    }
}

impl From<NoRandomness> for OpenError {
    fn from(error: NoRandomness) -> Self {
        Self::Vault(error.into())
    }
}
