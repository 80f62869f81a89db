//! Backup and restore of the ledger: what was taken away after a backup stays taken away.
//!
//! **The rule of use, backup.** [`Registrar::ledger_copy`](crate::Registrar::ledger_copy) gives the ledger as it is now,
//! of a running broker too; [`files`] lists what else of this crate's belongs into a backup.
//!
//! **The rule of use, restore.** On a stopped store: [`Restoration::begin`] locks the folder and makes the ledger that
//! will be, in a draft; [`Restoration::report`] says what it will be like; what else is to be put in place (keys,
//! configuration, messages) is written into [`Restoration::draft`]; [`Restoration::commit`] puts all of it in place at
//! once. Dropped before, nothing has changed. A crash behind `commit` is finished by whoever opens the folder next.
//!
//! **What holds.** The restored ledger is the backup's, lengthened by what the old ledger has behind it. What of the old
//! ledger is behind a damage is looked through for what was *taken* (identities revoked, removed, disabled; passwords and
//! certificates taken away; authorities of others that are trusted no more, their lists, names bound to them), and so is a [`RevokedList`]. Nothing is *given* that way. If neither says what was taken up
//! to now, every identity that could act starts unconfirmed: it may not act until [`Command::Confirm`](crate::Command).
//!
//! What is not here: the archive, its encryption, configuration and messages (`server`).

mod chain;
mod copy;
mod list;
pub(crate) mod place;
mod rebuild;
mod report;
mod takings;
mod takings_of_authorities;

pub use copy::{BackupFile, LedgerCopy, Secrecy, files, missing_keys};
pub use list::{ListError, RevokedList};
pub use report::{Applied, OldLedger, Report};

use crate::{
    clock::WallTime,
    events::Event,
    files::FileError,
    ledger::{AuditTrail, LedgerError},
    opening::OpenError,
    secret::NoRandomness,
    state::State,
    store::Store,
};
use keyward_ids::InstallationId;
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};
use takings::Takings;

/// How far the clock may lie before the moment of the backup: clocks are stepped back by seconds when they are set.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Says what a restore starts from.
#[derive(Clone, Copy)]
pub struct RestoreOptions<'a> {
    /// The wall-clock time now.
    pub now: WallTime,
    /// Who restores, for the audit; what is behind [`crate::limits::ACTOR_BYTES`] is cut.
    pub actor: &'a str,
    /// When the backup was taken, as the backup says.
    pub taken: WallTime,
    /// The folder with the old ledger's `a.log` and `b.log`, whole or damaged. `None`: `DIR/ledger`, if it is there.
    pub old_ledger: Option<&'a Path>,
    /// What else is known to have been taken away.
    pub revoked: Option<&'a RevokedList>,
}

/// Holds a restore that is prepared and not yet in force, and the lock on the folder. Dropped, it leaves no trace.
pub struct Restoration {
    store: Store,
    draft: PathBuf,
    report: Report,
}

impl Restoration {
    /// Locks the existing private folder `dir` and makes, in a draft there, the ledger that follows from the ledger of
    /// a backup (`ledger`: the bytes of [`LedgerCopy`]), the old ledger and the list. Nothing in place is touched; the
    /// rest of an earlier attempt that was cut off before its `commit` is removed.
    ///
    /// # Errors
    /// [`RestoreError`]: the folder is in use, the backup's ledger is damaged or too new, or the old ledger or list
    /// belongs to another installation.
    pub fn begin(
        dir: &Path,
        ledger: &mut dyn Read,
        options: RestoreOptions<'_>,
    ) -> Result<Self, RestoreError> {
        let (now, taken) = (options.now, options.taken);
        if now < taken.before(TOLERANCE) {
            return Err(RestoreError::Clock { now, taken });
        }
        let store = Store::hold(dir)?;
        let draft = place::draft(dir, now)?;
        let old = options.old_ledger.map_or_else(|| store.ledger(), Path::to_owned);
        match rebuild::rebuild(&draft.join(crate::store::LEDGER), ledger, &old, &options) {
            Ok(report) => Ok(Self { store, draft, report }),
            Err(error) => {
                // The error says what happened; a draft that stays is removed by the next restore.
                let _ = place::discard(dir);
                Err(error)
            }
        }
    }

    /// Returns what the restored ledger will be like: print it before [`Self::commit`].
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Returns the draft folder (0700). Each file or folder that is put here, complete and synced, will be in the place
    /// of the one of its name in `DIR`: `keyward.toml`, `policy.d`, `messages`, `keys` (all of them, for the folder is
    /// replaced as a whole), `offline`. The ledger lies here already.
    pub fn draft(&self) -> &Path {
        &self.draft
    }

    /// Puts everything from the draft in place at once; what lay there before is kept in a new folder
    /// `DIR/replaced-YYYYMMDDTHHMMSSZ`, whose path is returned (`None` if nothing was there). Nothing is deleted.
    ///
    /// # Errors
    /// [`FileError`]. Before the decision nothing has changed; behind it (a broken disk) the next opening of the folder,
    /// or the next call of [`finish`], goes on.
    pub fn commit(self) -> Result<Option<PathBuf>, RestoreError> {
        place::decide(self.store.dir())?;
        Ok(place::settle(self.store.dir())?)
    }
}

impl Drop for Restoration {
    fn drop(&mut self) {
        // After `commit` it is not there any more.
        let _ = place::discard(self.store.dir());
    }
}

/// Finishes a restore whose [`Restoration::commit`] was cut off. Cheap if there is none. To be called before anything
/// else in the folder is read; opening the store does it too.
///
/// # Errors
/// [`OpenError`] if the folder is in use or cannot be written.
pub fn finish(dir: &Path) -> Result<(), OpenError> {
    match place::is_decided(dir) {
        true => Store::hold(dir).map(drop),
        false => Ok(()),
    }
}

/// Gathers what the ledger took away, and what it leaves unconfirmed.
pub(crate) fn revoked(trail: AuditTrail, state: &State, now: WallTime) -> Result<RevokedList, LedgerError> {
    let (mut takings, mut branch) = (Takings::default(), 0);
    for entry in trail {
        let entry = entry?;
        takings.note(&entry, branch);
        let restored = entry.events.iter().find_map(|event| match event {
            Event::Restored { lives, .. } => Some(*lives),
            _ => None,
        });
        branch = restored.unwrap_or(branch);
    }
    takings.take_unconfirmed(state);
    let installation = state.registry.installation().clone();
    Ok(RevokedList { installation, complete_until: Some(now), takings })
}

/// Says why nothing was restored. Nothing in place was changed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The folder is in use, or not private.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The backup could not be read.
    #[error("the ledger in the backup could not be read: {0}")]
    Read(#[source] io::Error),
    /// The ledger in the backup is not whole.
    #[error("the ledger in the backup cannot be used ({0}); nothing was changed: use another backup")]
    Backup(String),
    /// The clock lies before the backup.
    #[error(
        "the clock shows {now}, but the backup was taken at {taken}: nothing was changed; set the clock, then restore \
         again"
    )]
    Clock {
        /// What the clock shows.
        now: WallTime,
        /// When the backup was taken.
        taken: WallTime,
    },
    /// The old ledger is another installation's.
    #[error(
        "{}: is the ledger of installation {found}, the backup is of {expected}; nothing was changed: choose the \
         backup of this installation, or restore into another folder (--dir)", .dir.display()
    )]
    OtherLedger {
        /// The folder of the old ledger.
        dir: PathBuf,
        /// Whose ledger it is.
        found: InstallationId,
        /// Whose backup it is.
        expected: InstallationId,
    },
    /// The old ledger and the backup's went apart.
    #[error(
        "{}: this ledger and the backup's are of one installation, but differ from record {record} on: one of them was \
         restored from an older backup. Nothing was changed. Print what this ledger took away (keyward store revoked \
         > FILE), move the folder away, and restore with --revoked FILE", .dir.display()
    )]
    Apart {
        /// The folder of the old ledger.
        dir: PathBuf,
        /// The first record that differs.
        record: u64,
    },
    /// The list speaks of the future.
    #[error(
        "the list of what was revoked says that it is complete until {until}, but the clock shows {now}; nothing was \
         changed: correct the line, or set the clock"
    )]
    ListOfTheFuture {
        /// What the list says.
        until: WallTime,
        /// What the clock shows.
        now: WallTime,
    },
    /// The list is another installation's.
    #[error(
        "the list of what was revoked is of installation {found}, the backup is of {expected}; nothing was changed: \
         give the list of this installation"
    )]
    OtherList {
        /// Whose list it is.
        found: InstallationId,
        /// Whose backup it is.
        expected: InstallationId,
    },
    /// A ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The system gave no random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}
