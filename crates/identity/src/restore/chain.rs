//! The chain of a backup's ledger, and the old ledger's records that go on with it.

use super::{RestoreError, takings::Reach};
use crate::{
    clock::WallTime,
    events::Event,
    files::{self, FileError},
    ledger::{self, AuditEntry, COPIES, Ledger, LedgerError, Position, remains::Remains},
    state::State,
    store::io_error,
};
use keyward_ids::InstallationId;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Holds the records that are restored, in the first copy of a new ledger, and the state at their end.
pub(super) struct Chain {
    dir: PathBuf,
    state: State,
    end: Position,
    last_at: WallTime,
    hashes: Vec<[u8; 32]>,
    reach: Reach,
}

impl Chain {
    /// Copies the ledger of a backup into the folder `dir` and checks each record of it.
    pub(super) fn of_backup(dir: &Path, backup: &mut dyn Read) -> Result<Self, RestoreError> {
        let path = dir.join(COPIES[0]);
        let mut file = create(&path)?;
        io::copy(backup, &mut file).map_err(RestoreError::Read)?;
        file.sync_all().map_err(|source| io_error(&path, "sync", source))?;
        let mut chain: Option<Self> = None;
        let read = ledger::read_whole(&path, |position, entry| {
            match &mut chain {
                Some(chain) => chain.go_on(position, &entry)?,
                None => chain = Some(Self::begin(dir, position, &entry)?),
            }
            Ok(())
        });
        match (read, chain) {
            (Ok(()), Some(chain)) => Ok(chain),
            (Ok(()), None) => Err(RestoreError::Backup("it is empty".into())),
            (Err(LedgerError::Damaged { last_good, what, .. }), _) => {
                Err(RestoreError::Backup(format!("damaged behind record {last_good}: {what}")))
            }
            (Err(LedgerError::Senseless { sequence, what }), _) => {
                Err(RestoreError::Backup(format!("record {sequence} makes no sense: {what}")))
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    fn begin(dir: &Path, position: Position, first: &AuditEntry) -> Result<Self, LedgerError> {
        let mut reach = Reach::default();
        reach.extend(first.sequence, 0);
        Ok(Self {
            dir: dir.to_owned(),
            state: State::begin(first)?,
            end: position,
            last_at: first.at,
            hashes: vec![first.hash],
            reach,
        })
    }

    fn go_on(&mut self, position: Position, entry: &AuditEntry) -> Result<(), LedgerError> {
        // A restore stands in the place of the record that followed on the branch before it, and is on neither.
        if !entry.events.iter().any(|event| matches!(event, Event::Restored { .. })) {
            self.reach.extend(entry.sequence, self.state.lives);
        }
        self.state.apply(entry)?;
        self.end = position;
        self.last_at = entry.at;
        self.hashes.push(entry.hash);
        Ok(())
    }

    /// Returns how many records there are.
    pub(super) fn records(&self) -> u64 {
        self.end.sequence
    }

    /// Returns what the clock showed at the last record.
    pub(super) fn last_at(&self) -> WallTime {
        self.last_at
    }

    /// Returns the branch that the last record is on.
    pub(super) fn branch(&self) -> u64 {
        self.state.lives
    }

    pub(super) fn installation(&self) -> &InstallationId {
        self.state.registry.installation()
    }

    /// Checks that what is left of the old ledger in `dir` is of this chain, as far as both have it.
    pub(super) fn check_kinship(&self, remains: &Remains, dir: &Path) -> Result<(), RestoreError> {
        let differs = |(sequence, hash): &(u64, [u8; 32])| {
            let ours =
                sequence.checked_sub(1).and_then(|index| self.hashes.get(usize::try_from(index).ok()?));
            ours != Some(hash)
        };
        let Some((record, _)) = remains.hashes_to(self.records()).find(differs) else { return Ok(()) };
        let first = remains.entry(1);
        match first.as_ref().and_then(|first| first.events.first()) {
            Some(Event::Initialised { installation, .. }) if installation != self.installation() => {
                Err(RestoreError::OtherLedger {
                    dir: dir.to_owned(),
                    found: installation.clone(),
                    expected: self.installation().clone(),
                })
            }
            _ => Err(RestoreError::Apart { dir: dir.to_owned(), record }),
        }
    }

    /// Goes on with the old ledger's records, one after the other, as far as they can be read.
    pub(super) fn extend(&mut self, remains: &Remains) -> Result<(), RestoreError> {
        let path = self.dir.join(COPIES[0]);
        let failed = |source| io_error(&path, "write", source);
        let mut file = OpenOptions::new().append(true).open(&path).map_err(failed)?;
        while let Some((bytes, entry)) = remains.following(&self.end) {
            file.write_all(bytes).map_err(failed)?;
            let offset = self.end.offset + bytes.len() as u64;
            let position = Position { sequence: entry.sequence, hash: entry.hash, offset };
            self.go_on(position, &entry)?;
        }
        Ok(file.sync_all().map_err(failed)?)
    }

    /// Writes the second copy and opens both.
    pub(super) fn finish(self) -> Result<(Ledger, State, Reach), RestoreError> {
        let [a, b] = COPIES.map(|name| self.dir.join(name));
        let max = usize::try_from(self.end.offset).unwrap_or(usize::MAX);
        files::write_new(&b, &files::read_regular(&a, max)?)?;
        let (ledger, _) = Ledger::open(&self.dir)?;
        Ok((ledger, self.state, self.reach))
    }
}

/// Makes a new file that is closed to others.
fn create(path: &Path) -> Result<File, FileError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|source| io_error(path, "create", source))
}
