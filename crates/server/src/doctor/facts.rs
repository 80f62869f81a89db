//! What the checks look at, gathered at one moment.

use crate::config::Config;
use crate::status::Status;
use keyward_identity::{Account, WallTime};
use keyward_ids::Identity;
use keyward_policy::{Policy, Subject};
use std::path::PathBuf;
use std::sync::Arc;

/// Holds what there is to know about an installation.
pub struct Facts {
    /// The time on the wall.
    pub now: WallTime,
    /// The configuration in force, or that of the next start; without it what is wrong in the file.
    pub config: Result<Config, String>,
    /// What the file says now, if a running broker would refuse it at its next start.
    pub refused_config: Option<String>,
    /// The rules, in the same way.
    pub policy: Result<Arc<Policy>, String>,
    /// Why the files of the rules would be refused at the next start.
    pub refused_rules: Option<String>,
    /// Everybody who exists.
    pub accounts: Vec<Arc<Account>>,
    /// Everybody as the rules see them.
    pub subjects: Vec<Subject>,
    /// Authorities of others whose client certificates are accepted.
    pub authorities: Vec<Authority>,
    /// Whose login is used with how many client ids; empty unless the broker runs.
    pub client_ids: Vec<(Identity, usize)>,
    /// What `keyward status` shows.
    pub status: Status,
    /// Whether a person named the broker: in the configuration, by `--name`, `KEYWARD_NAMES` or `server name add`.
    pub is_named: bool,
    /// Who starts the broker.
    pub started_by: StartedBy,
    /// Whether the keys are sealed by a passphrase.
    pub are_keys_sealed: bool,
    /// Whether an import was begun and has not ended.
    pub is_imported_in_part: bool,
    /// The newest backup in `DIR/backups`.
    pub backup: Option<Backup>,
    /// Which files cannot be used that are needed to tell somebody of incidents, a line each.
    pub notify_files: Vec<String>,
    /// What others than the owner can read or write.
    pub open_files: Vec<OpenFile>,
}

/// Says who starts a broker, and so where one says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartedBy {
    /// A person, with `keyward up`.
    Person,
    /// systemd, by a unit.
    Systemd,
    /// A container.
    Container,
}

/// Is an authority of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its name here.
    pub name: String,
    /// Whether it may be used: not between a restore and the word of an operator.
    pub is_confirmed: bool,
    /// Whether its certificates say nothing of who a client is.
    pub proves_nothing: bool,
    /// When the first of its certificates ends.
    pub not_after: WallTime,
    /// Whether there is a list of what it revoked.
    pub has_list: bool,
    /// When the next list was or is due.
    pub next_list: Option<WallTime>,
    /// How many of its names stand for somebody.
    pub bound: usize,
}

/// Is a backup that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its path.
    pub path: PathBuf,
    /// When it was written.
    pub written: WallTime,
    /// Whether it is not encrypted.
    pub is_plain: bool,
}

/// Is a file or directory of the installation that others can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFile {
    /// Its path.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// The mode that fits.
    pub fit: u32,
}
