//! Making and opening the store of an installation: passphrase, clock, names, the first files.
//!
//! What is not here: what lies in the store (`identity`).

use crate::{
    backup, clock,
    config::{Config, DEFAULT_TEXT, MAX_CONFIG_BYTES},
    control::Client,
    home::Home,
    names, server_keys,
};
use keyward_identity::{
    InitOptions, KeyProtection, LedgerError, Lifetimes, OpenError, OpenOptions, Registrar, Secret,
    ServerName, WallTime,
    files::{self, FileError},
};
use keyward_mqtt::time::Millis;
use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// The longest passphrase file, in bytes.
const PASSPHRASE_BYTES: usize = 4 * 1024;

/// How long a start or a command waits for another command that holds the store.
const PATIENCE: Millis = Millis::from_secs(5);

/// How long it waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The commit date of this program, or that of its release if it was built without git.
pub fn build_time() -> WallTime {
    WallTime(env!("KEYWARD_COMMIT_SECONDS").parse::<u64>().unwrap_or(0).saturating_mul(1_000))
}

/// Returns the wall-clock time as the ledger counts it.
pub fn wall_time() -> WallTime {
    WallTime(clock::now().wall.0)
}

/// Says why the store could not be made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallationError {
    /// The store refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger is damaged; the newest backup that lies here is named, for whoever has to act now.
    #[error("{error}{}", newest_backup(.newest.as_deref()))]
    Ledger {
        /// What is wrong.
        error: LedgerError,
        /// The newest backup in `DIR/backups`.
        newest: Option<PathBuf>,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The passphrase file holds no passphrase.
    #[error("{}: holds no passphrase; write one line of text into it", .0.display())]
    EmptyPassphrase(PathBuf),
}

/// Reads the passphrase that seals the keys: from `file`, else from the systemd credential `keyward-passphrase`.
/// Without both the keys are protected by the mode of their files.
///
/// # Errors
/// [`InstallationError`] if the file cannot be read, is open to others or holds nothing.
pub fn protection(file: Option<&Path>) -> Result<KeyProtection, InstallationError> {
    let credential = || {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY")?;
        Some(Path::new(&folder).join("keyward-passphrase")).filter(|path| path.exists())
    };
    // A credential lies in a folder that systemd closes to others; its own mode may let the group read.
    let bytes = match (file, credential()) {
        (Some(path), _) => (path.to_owned(), files::read_private(path, PASSPHRASE_BYTES)?),
        (None, Some(path)) => {
            let bytes = files::read_regular(&path, PASSPHRASE_BYTES)?;
            (path, bytes.into())
        }
        (None, None) => return Ok(KeyProtection::FileMode),
    };
    let (path, mut bytes) = bytes;
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
    bytes.truncate(end);
    if bytes.is_empty() {
        return Err(InstallationError::EmptyPassphrase(path));
    }
    Ok(KeyProtection::Passphrase(Secret::from_zeroizing(bytes)))
}

/// Opens the store of `home` and holds it until the value is dropped. A command on the stopped store holds it for a
/// moment: this waits for such a one, but not for a broker that runs.
///
/// # Errors
/// [`InstallationError`] if another process holds it or it cannot be read.
pub fn open(home: &Home, protection: KeyProtection) -> Result<Registrar, InstallationError> {
    let options = OpenOptions { build_time: build_time(), protection, lifetimes: Lifetimes::default() };
    let deadline = clock::now().mono.saturating_add(PATIENCE);
    loop {
        match Registrar::open(home.directory(), options.clone()) {
            Err(OpenError::Locked { .. })
                if clock::now().mono < deadline && Client::connect(home).is_err() =>
            {
                thread::park_timeout(LOOK_AGAIN);
            }
            Err(OpenError::Ledger(error @ (LedgerError::Damaged { .. } | LedgerError::Senseless { .. }))) => {
                return Err(InstallationError::Ledger { error, newest: backup::newest(home) });
            }
            other => return Ok(other?),
        }
    }
}

/// Says which backup is at hand.
fn newest_backup(newest: Option<&Path>) -> String {
    match newest {
        Some(newest) => format!("\nThe newest backup here is {}", newest.display()),
        None => "\nNo backup lies in DIR/backups; take one from elsewhere".to_owned(),
    }
}

/// Makes the installation of `home`: authorities, ledger, `keyward.toml` and an empty `policy.d`.
///
/// # Errors
/// [`InstallationError`] if something is in the way or cannot be written.
pub fn create(
    home: &Home,
    added_names: Vec<ServerName>,
    protection: KeyProtection,
) -> Result<Registrar, InstallationError> {
    files::ensure_private_dir(&home.policy_dir())?;
    match files::write_new(&home.config_file(), DEFAULT_TEXT.as_bytes()) {
        // A configuration that was put there before the first start holds.
        Err(FileError::Exists(_)) => {}
        other => other?,
    }
    let options = InitOptions {
        now: wall_time(),
        build_time: build_time(),
        accept_clock: false,
        actor: "first start",
        found_names: names::find(),
        added_names,
        protection,
        lifetimes: Lifetimes::default(),
    };
    let mut registrar = Registrar::create(home.directory(), options)?;
    keep_server_keys(&mut registrar, wall_time(), "first start");
    Ok(registrar)
}

/// Brings the keys up to date that devices believe; tells whether there is another key set. A trouble is told in the log: the broker
/// works without them, and signs nothing.
pub(crate) fn keep_server_keys(registrar: &mut Registrar, now: WallTime, actor: &str) -> bool {
    server_keys::keep(registrar, now, actor).unwrap_or_else(|refusal| {
        tracing::warn!("the keys by which the server signs stay as they are: {refusal}");
        false
    })
}

/// Says why the configuration could not be read. What was in force stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is no text.
    #[error("keyward.toml: is not UTF-8 text")]
    NoText,
    /// The file is bad.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigErrors),
}

/// Reads `keyward.toml`; a missing one is empty. Returns the text too, to edit it and to tell later what changed.
///
/// # Errors
/// [`SettingsError`], with line and key where there are such.
pub fn settings(home: &Home) -> Result<(Config, String), SettingsError> {
    let bytes = match files::read_regular(&home.config_file(), MAX_CONFIG_BYTES) {
        Err(error) if error.is_not_found() => Vec::new(),
        other => other?,
    };
    let text = String::from_utf8(bytes).map_err(|_| SettingsError::NoText)?;
    Ok((Config::parse("keyward.toml", &text)?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_knows_a_date_before_which_no_clock_is_right() {
        let release = include_str!("../release-date.txt").split_whitespace().next().unwrap();
        let release = WallTime(release.parse::<u64>().unwrap() * 1_000);
        assert!(build_time() >= release && release > WallTime(1_700_000_000_000), "{}", build_time());
        assert!(build_time() < wall_time());
    }
}
