//! Puts a backup back, on the host that it was made on or on another one.
//!
//! It is read twice: first all of it is checked and nothing is written; then everything is made in a draft folder, which
//! `keyward_identity::restore` puts in place at once. What lay there before is kept.

use super::archive::{ArchiveError, Entry, LEDGER, Manifest, is_rows, survey, walk};
use super::make::is_running;
use super::messages::Building;
use super::seal::Opener;
use super::{BackupError, open, read};
use crate::control::Refusal;
use crate::home::Home;
use crate::installation::wall_time;
use crate::store;
use keyward_identity::limits::SMALL_FILE_BYTES;
use keyward_identity::restore::{self, Report, Restoration, RevokedList};
use keyward_identity::{WallTime, files};
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What people write. It is not put back over what is there: a permission that was taken away since would come back.
const SETTINGS: [&str; 2] = ["keyward.toml", "policy.d"];

/// What the last audited state of these was.
const AUDITED: &str = "audited";

/// Says what is restored.
pub struct RestoreOptions<'a> {
    /// The file of the backup.
    pub path: &'a Path,
    /// What opens it.
    pub opener: &'a Opener,
    /// A list of what was revoked, from `keyward store revoked`.
    pub revoked: Option<&'a Path>,
    /// Whether sessions and messages are put back too; else those that are there stay.
    pub with_messages: bool,
}

/// Is what was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// What became of the ledger.
    pub report: Report,
    /// How many rows of sessions and messages were put back; `None` if those that were there stay.
    pub rows: Option<u64>,
    /// Where lies what was replaced.
    pub replaced: Option<PathBuf>,
    /// Private keys that are still missing: without them the broker does not start.
    pub missing_keys: Vec<PathBuf>,
    /// Configuration and rules that were there and stay: they may be newer than those of the backup, which are left out.
    pub stays: Vec<&'static str>,
}

/// Restores a backup into a directory whose broker does not run; it is made if it is not there. `progress` hears how many bytes
/// were read, twice from the beginning.
///
/// # Errors
/// [`BackupError`]: nothing has changed.
pub fn restore(
    home: &Home,
    options: &RestoreOptions<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, BackupError> {
    if is_running(home) {
        return Err(BackupError::Running(home.directory().to_owned()));
    }
    let revoked = options.revoked.map(RevokedList::read).transpose()?;
    let mut file = open(options.path)?;
    let found = read(options.path, &mut file, options.opener, progress, |source| survey(source))?;
    home.create().map_err(Refusal::from)?;
    let mut putting = Putting {
        home,
        options,
        manifest: &found.manifest,
        revoked: revoked.as_ref(),
        restoration: None,
        messages: None,
        pepper: None,
        stays: SETTINGS.into_iter().filter(|name| home.directory().join(name).exists()).collect(),
    };
    let again = read(options.path, &mut file, options.opener, progress, |source| {
        walk(source, |entry, body| putting.take(entry, body))
    })?;
    if again.contents != found.contents {
        return Err(BackupError::Changed(options.path.to_owned()));
    }
    let stays = putting.stays.clone();
    let (restoration, rows) = putting.finish()?;
    let report = restoration.report().clone();
    let replaced = restoration.commit()?;
    let missing_keys = restore::missing_keys(home.directory());
    let missing_keys = missing_keys.into_iter().map(|path| home.directory().join(path)).collect();
    Ok(Restored { manifest: found.manifest, report, rows, replaced, missing_keys, stays })
}

/// Makes the draft, file by file.
struct Putting<'a> {
    home: &'a Home,
    options: &'a RestoreOptions<'a>,
    manifest: &'a Manifest,
    revoked: Option<&'a RevokedList>,
    /// Comes with the ledger, which is the first file.
    restoration: Option<Restoration>,
    messages: Option<Building>,
    /// The one secret that is in every backup, and where it goes.
    pepper: Option<(String, Zeroizing<Vec<u8>>)>,
    /// What of [`SETTINGS`] is there already.
    stays: Vec<&'static str>,
}

impl Putting<'_> {
    fn take(&mut self, entry: &Entry, body: &mut dyn Read) -> Result<(), BackupError> {
        let name = entry.name.as_str();
        if name == LEDGER {
            let actor = format!("uid {}", rustix::process::geteuid().as_raw());
            let options = restore::RestoreOptions {
                now: wall_time(),
                actor: &actor,
                taken: WallTime(self.manifest.taken_unix_ms),
                old_ledger: None,
                revoked: self.revoked,
            };
            let restoration = Restoration::begin(self.home.directory(), body, options)?;
            if !self.stays.contains(&"policy.d") {
                files::create_private_dir(&restoration.draft().join("policy.d"))?;
            }
            store::settle(self.home).map_err(|error| BackupError::Making(error.to_string()))?;
            self.restoration = Some(restoration);
            return Ok(());
        }
        let Some(restoration) = &self.restoration else {
            return Err(ArchiveError::damaged("the ledger does not come first").into());
        };
        let draft = restoration.draft();
        if is_rows(name) {
            if !self.options.with_messages {
                return Ok(());
            }
            if self.messages.is_none() {
                self.messages = Some(Building::begin(&draft.join("messages"))?);
            }
            return self.messages.as_mut().map_or(Ok(()), |messages| messages.add(body));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(entry.size).unwrap_or(0)));
        body.read_to_end(&mut bytes).map_err(ArchiveError::read)?;
        match name.split_once('/') {
            // The ledger holds them; they are written anew from there.
            Some(("authority", _)) => Ok(()),
            None if name == "ca.pem" => self.compare_anchor(&bytes),
            Some(("keys", _)) if !self.manifest.private_keys => {
                self.pepper = Some((name.to_owned(), bytes));
                Ok(())
            }
            _ if self.stays.iter().any(|stays| name.split('/').next() == Some(stays)) => Ok(()),
            // What changed since then is audited at the next start.
            None if name == AUDITED && !self.stays.is_empty() => Ok(()),
            _ => put(draft, name, &bytes),
        }
    }

    /// Sees that a directory with a trust anchor is not taken over by another installation, where its ledger cannot tell.
    fn compare_anchor(&self, anchor: &[u8]) -> Result<(), BackupError> {
        match files::read_regular(&self.home.ca_pem(), SMALL_FILE_BYTES) {
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(there) if there == anchor => Ok(()),
            Ok(_) => Err(BackupError::OtherInstallation {
                path: self.options.path.to_owned(),
                found: self.manifest.installation.clone(),
                home: self.home.directory().to_owned(),
                expected: "another one, as its ca.pem says".to_owned(),
            }),
        }
    }

    fn finish(mut self) -> Result<(Restoration, Option<u64>), BackupError> {
        let Some(restoration) = self.restoration.take() else {
            return Err(ArchiveError::damaged("the ledger is missing").into());
        };
        let draft = restoration.draft();
        if let Some((name, bytes)) = &self.pepper
            && !self.home.directory().join(name).exists()
        {
            // The folder is replaced as a whole: what lies there comes along.
            self.copy_keys(draft)?;
            put(draft, name, bytes)?;
        }
        if self.options.with_messages && self.manifest.messages && self.messages.is_none() {
            self.messages = Some(Building::begin(&draft.join("messages"))?);
        }
        let rows = self.messages.take().map(Building::finish).transpose()?;
        if !self.stays.contains(&"policy.d") {
            files::sync_dir(&draft.join("policy.d"))?;
        }
        files::sync_dir(draft)?;
        Ok((restoration, rows))
    }

    /// Copies the keys that lie in the directory already.
    fn copy_keys(&self, draft: &Path) -> Result<(), BackupError> {
        for file in restore::files(self.home.directory())? {
            let name = file.path.to_string_lossy();
            if name.starts_with("keys/") {
                let bytes = files::read_private(&self.home.directory().join(&file.path), SMALL_FILE_BYTES)?;
                put(draft, &name, &bytes)?;
            }
        }
        Ok(())
    }
}

/// Puts a file into the draft, in a folder of its own if it has one.
fn put(draft: &Path, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
    let path = draft.join(name);
    if let Some((folder, _)) = name.split_once('/') {
        files::ensure_private_dir(&draft.join(folder))?;
    }
    Ok(files::write_new(&path, bytes)?)
}
