//! `keyward store`: looking through what is stored, backups. One module a command; what they share is here.

mod backup;
mod check;
mod restore;

use crate::args::{ListArgs, OpeningArgs, StoreCommand};
use crate::clock::{self, moment};
use crate::commands::confirming;
use crate::failure::{Failure, Outcome};
use crate::reach::{Site, counted};
use crate::screen::table;
use crate::secret;
use keyward_server::backup::archive::{Content, Manifest, Survey};
use keyward_server::backup::keys::{self, Passphrase};
use keyward_server::backup::seal::{self, Locked, Opener};
use keyward_server::backup::{self as backups, BackupError};
use keyward_server::escape::escape;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Runs the command.
pub(crate) fn run(site: &Site, command: StoreCommand) -> Outcome {
    match command {
        StoreCommand::Check(args) => check::run(site, &args),
        StoreCommand::Backup(args) => backup::run(site, &args),
        StoreCommand::List(args) => list(site, &args),
        StoreCommand::Restore(args) => restore::run(site, &args),
        StoreCommand::Revoked => confirming::revoked(site),
        StoreCommand::Confirm(args) => confirming::confirm(site, &args),
    }
}

fn list(site: &Site, args: &ListArgs) -> Outcome {
    let opener = opener(&args.file, &args.opening)?;
    let mut progress = Progress::new(site, "read");
    let found = backups::list(&args.file, &opener, &mut |bytes| progress.tell(bytes))?;
    drop(progress);
    if site.screen.is_json() {
        let Survey { manifest, contents, rows } = &found;
        let mut value = summary(&args.file, manifest, contents);
        value["rows"] = (*rows).into();
        return site.screen.json("backup", &value);
    }
    site.screen.print(&tell(&found.manifest, &found.contents))
}

/// Says what is in a backup, for a person.
fn tell(manifest: &Manifest, contents: &[Content]) -> String {
    let keys =
        if manifest.private_keys { "private keys are in it: keep it in a safe" } else { "no private key" };
    let mut text = format!(
        "Backup of {} by Keyward {}, taken {}\n{}; {}\n\n",
        escape(&manifest.installation),
        escape(&manifest.program),
        moment(manifest.taken_unix_ms),
        counted(manifest.ledger_records, "change in the ledger", "changes in the ledger"),
        keys,
    );
    let (rows, files): (Vec<_>, Vec<_>) = contents.iter().partition(|content| is_rows(content));
    let lines = files.iter().map(|file| [file.name.clone(), size(file.size)]);
    let messages = match (manifest.messages, rows.iter().map(|content| content.size).sum()) {
        (true, bytes) => ["sessions and messages".to_owned(), size(bytes)],
        (false, _) => ["sessions and messages".to_owned(), "none".to_owned()],
    };
    text.push_str(&table(["content", "size"], lines.chain([messages])));
    let _ = writeln!(text, "\nEvery checksum is right.");
    text
}

/// Says the same, for a script.
fn summary(path: &Path, manifest: &Manifest, contents: &[Content]) -> Value {
    let (rows, files): (Vec<_>, Vec<_>) = contents.iter().partition(|content| is_rows(content));
    json!({
        "file": path.display().to_string(),
        "bytes": std::fs::metadata(path).map(|found| found.len()).unwrap_or_default(),
        "manifest": manifest,
        "contents": files,
        "message_bytes": rows.iter().map(|content| content.size).sum::<u64>(),
    })
}

fn is_rows(content: &Content) -> bool {
    content.name.starts_with("messages/")
}

/// Gathers what opens a backup: what was given, else the service's credential, else a person at the terminal.
fn opener(path: &Path, args: &OpeningArgs) -> Outcome<Opener> {
    let keys = args.age_key.as_deref().map(keys::read_secret_keys).transpose()?.unwrap_or_default();
    let passphrase = match &args.backup_passphrase_file {
        Some(file) => Some(keys::read_passphrase(file)?),
        None => keys::credential()?,
    };
    let mut opener = Opener { passphrase, keys };
    let mut file = keyward_identity::files::open_regular(path)?;
    let locked =
        seal::locked(&mut file).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    if locked == Locked::No && !args.plain {
        return Err(Failure::failed(format!(
            "{}: is not encrypted, so anybody who could write it may have written what is in it; if you made it so, say \
             --plain",
            path.display()
        )));
    }
    if locked == Locked::Passphrase && opener.passphrase.is_none() && io::stdin().is_terminal() {
        let typed = secret::ask_once(&format!("Passphrase of {}: ", path.display()))?;
        opener.passphrase = Some(Passphrase::new(&typed)?);
    }
    Ok(opener)
}

/// Writes a number of bytes as people read it.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        10_000_000..10_000_000_000 => format!("{} MB", bytes.div_ceil(1_000_000)),
        _ => format!("{} GB", bytes.div_ceil(1_000_000_000)),
    }
}

/// Shows on a terminal how long work goes on, on standard error.
struct Progress {
    what: &'static str,
    shows: bool,
    last: Instant,
    has_shown: bool,
}

impl Progress {
    const EVERY: Duration = Duration::from_millis(200);

    fn new(site: &Site, what: &'static str) -> Self {
        let shows = io::stderr().is_terminal() && !site.screen.is_json();
        Self { what, shows, last: clock::now(), has_shown: false }
    }

    /// Shows bytes, if it is time to.
    fn tell(&mut self, bytes: u64) {
        self.show(|| size(bytes));
    }

    /// Shows rows, if it is time to.
    fn tell_rows(&mut self, rows: u64) {
        self.show(|| format!("{rows} rows"));
    }

    fn show(&mut self, amount: impl Fn() -> String) {
        if !self.shows || clock::now().duration_since(self.last) < Self::EVERY {
            return;
        }
        (self.last, self.has_shown) = (clock::now(), true);
        // Nobody is told that nobody looks.
        let _ = write!(io::stderr(), "\r{} {}   ", amount(), self.what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.has_shown {
            let _ = write!(io::stderr(), "\r{:40}\r", "");
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Call(error) => error.into(),
            BackupError::Running(_) => Self::refused("wrong_moment", error),
            BackupError::Exists(_) => Self::refused("conflict", error),
            error => Self::failed(error),
        }
    }
}

impl From<seal::SealError> for Failure {
    fn from(error: seal::SealError) -> Self {
        Self::failed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_that_fits() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(9_999), "9999 B");
        assert_eq!(size(10_001), "11 kB");
        assert_eq!(size(123_456_789), "124 MB");
        assert_eq!(size(5_000_000_000_000), "5000 GB");
    }
}
