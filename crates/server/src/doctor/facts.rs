//! What the checks look at, gathered at one moment.

use crate::config::Config;
use crate::status::Status;
use keyward_identity::{Account, WallTime};
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
    /// What `keyward status` shows.
    pub status: Status,
    /// Whether a person named the broker: in the configuration, by `--name`, `KEYWARD_NAMES` or `server name add`.
    pub is_named: bool,
    /// Whether the broker runs in a container.
    pub is_in_container: bool,
    /// Whether the keys are sealed by a passphrase.
    pub are_keys_sealed: bool,
    /// The newest backup in `DIR/backups`.
    pub backup: Option<Backup>,
    /// What others than the owner can read or write.
    pub open_files: Vec<OpenFile>,
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
