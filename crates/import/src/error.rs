//! Why an import cannot go on.

use keyward_identity::files::FileError;
use keyward_server::control::CallError;
use keyward_server::installation::SettingsError;
use keyward_server::rules::RulesError;
use std::io;
use std::path::PathBuf;

/// Says why an import cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The broker, or the stopped store, did not do what one step asked for.
    #[error("{what}: {source}")]
    Call {
        /// What was asked for.
        what: String,
        /// What it said.
        source: CallError,
    },
    /// The broker answered something else than was asked.
    #[error("the broker's answer is not understood; is it another version of Keyward?")]
    Answer,
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file was changed since the plan was checked.
    #[error("{}: is there now, and not as this import writes it; take it away, then import again", .0.display())]
    InTheWay(PathBuf),
    /// `keyward.toml` could not be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The rules could not be read.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// Another import is at work.
    #[error("{}: another import is at work here; wait until it has ended", .0.display())]
    Busy(PathBuf),
    /// The directory could not be locked.
    #[error("{}: cannot be locked for an import: {source}", path.display())]
    Lock {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The note of an interrupted import cannot be read.
    #[error(
        "{}: is the note of an interrupted import and cannot be read ({what}): use the version of Keyward that began it, or take \
         away by hand what it wrote (docs/from-mosquitto.md), and then this file",
        path.display()
    )]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is nothing to take back.
    #[error(
        "no import was interrupted here, so there is nothing to take back; what a finished import wrote is yours: `keyward user \
         remove` and its like take it away"
    )]
    NotInterrupted,
}

/// Says why an import failed, and what is there of it.
#[derive(Debug)]
pub enum Failed {
    /// Nothing is: what was written was taken back.
    TakenBack(ImportError),
    /// Something is: the import counts as interrupted.
    Left {
        /// Why it failed.
        why: ImportError,
        /// What is there still, each with the reason.
        left: Vec<String>,
    },
    /// Everything is, and in effect: only the note of the import could not be taken away.
    Noted(ImportError),
}
