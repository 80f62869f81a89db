//! Reads everything that is stored and says what is wrong: the ledger, both copies; each row of the message store; the keys.
//!
//! While a broker runs, it reads what the broker pins ([`crate::admin`]); what the engine checks only when it opens (its
//! journals, the files that list the others) is looked at on a stopped store.
//!
//! What is not here: mending. A start mends what can be mended; `keyward store restore` does the rest.

pub mod device;
mod ledger;
mod stopped;

pub(crate) use ledger::LedgerFiles;
pub use ledger::LedgerReport;
pub use stopped::check_stopped;

use crate::clock;
use crate::control::{CallError, Client, Request, Response};
use crate::home::Home;
use keyward_broker::persist::{RecoveryError, inspect};
use keyward_identity::restore;
use keyward_store::Read as Store;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Says what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Who may do what.
    pub ledger: LedgerReport,
    /// Sessions and messages; `None` if none are kept.
    pub messages: Option<MessagesReport>,
    /// Private keys without which the broker does not start, as paths.
    pub missing_keys: Vec<String>,
}

/// Says what was found of sessions and messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagesReport {
    /// What each table holds.
    pub tables: Vec<TableReport>,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
    /// Bytes on disk.
    pub disk_bytes: u64,
}

/// Says what was found in one table. All counts are of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableReport {
    /// What is in it.
    pub name: String,
    /// How many there are.
    pub rows: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// How many do not read.
    pub damaged: u64,
    /// How many refer to nothing that is there; the next start deletes them.
    pub left_over: u64,
}

impl CheckReport {
    /// Tells whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems().next().is_none()
    }

    /// Lists what is wrong, a sentence each.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let keys = self
            .missing_keys
            .iter()
            .map(|key| format!("{key} is missing: the broker does not start without it"));
        let messages = self.messages.iter().flat_map(|messages| messages.problems.iter().cloned());
        self.ledger.problems.iter().cloned().chain(messages).chain(keys)
    }
}

/// Reads every row of a message store. `tell` hears how many were read.
pub(crate) fn messages(home: &Home, store: &dyn Store, tell: &mut dyn FnMut(u64)) -> MessagesReport {
    let mut report =
        MessagesReport { disk_bytes: disk_bytes(&home.messages_dir()), ..MessagesReport::default() };
    let found = match inspect(store, clock::now(), tell) {
        Ok(found) => found,
        Err(error @ (RecoveryError::Newer { .. } | RecoveryError::Unreadable(_))) => {
            report.problems.push(error.to_string());
            return report;
        }
    };
    for table in found.tables {
        if let Some(why) = table.unreadable {
            report.problems.push(format!("{}: {why}", table.name));
        }
        report.tables.push(TableReport {
            name: table.name.to_owned(),
            rows: table.rows,
            bytes: table.bytes,
            damaged: table.damaged,
            left_over: table.nobodys,
        });
    }
    report
        .problems
        .extend(found.damaged.iter().map(|place| format!("a stored record does not read: {place}")));
    report
}

/// Lists the keys that are missing.
pub(crate) fn missing_keys(home: &Home) -> Vec<String> {
    let paths = restore::missing_keys(home.directory()).into_iter();
    paths.map(|path| home.directory().join(path).display().to_string()).collect()
}

/// Checks an installation whose broker runs. `tell` hears how many rows were read.
///
/// # Errors
/// [`CallError`]: the broker refuses or cannot go on.
pub fn check_running(client: Client, tell: &mut dyn FnMut(u64)) -> Result<CheckReport, CallError> {
    let (_, mut stream) = client.stream(&Request::StoreCheck)?;
    let mut rows = [0; 8];
    loop {
        match stream.read(&mut rows[..1])? {
            0 => break,
            _ => stream.read_exact(&mut rows[1..])?,
        }
        tell(u64::from_be_bytes(rows));
    }
    match stream.finish()? {
        Response::StoreChecked(report) => Ok(*report),
        _ => Err(CallError::Answer("another one than was asked for".to_owned())),
    }
}

/// Adds up what the files below a folder take on disk; what cannot be looked at counts nothing.
fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => disk_bytes(&entry.path()),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}
