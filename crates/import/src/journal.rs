//! The note that an import leaves in the installation's directory before it writes anything else: what it is about to write, so
//! that one that was killed is finished or taken back. It holds no secret.

use crate::error::ImportError;
use crate::fingerprint;
use crate::limits;
use crate::plan::{self, OldAuthority, OldServer, Plan};
use keyward_identity::files;
use keyward_server::control::Proves;
use keyward_server::home::Home;
use serde::{Deserialize, Serialize};
use std::fs;

/// The format that this version writes and reads.
const FORMAT: u32 = 1;

/// Says what an import is about to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    format: u32,
    /// The configuration that it reads, as it was named.
    pub source: String,
    /// When it began, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// The fingerprint of the plan.
    plan: String,
    pub(crate) authorities: Vec<Certificates>,
    pub(crate) servers: Vec<Certificates>,
    pub(crate) rules: Vec<RuleFile>,
    pub(crate) config: Edit,
}

/// Is an authority or a server certificate that an import adds. One of the same name that somebody else adds is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificates {
    pub(crate) name: String,
    /// The SHA-256 of its certificates, of a server the first alone.
    pub(crate) fingerprints: Vec<String>,
    /// What they prove, of an authority.
    pub(crate) proves: Option<Proves>,
}

/// Is a rule file that an import writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    /// Its path below the directory.
    pub(crate) name: String,
    /// The SHA-256 of its text, in hex.
    pub(crate) sha256: String,
}

/// Is `keyward.toml` before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    pub(crate) before: String,
    pub(crate) after: String,
}

impl Journal {
    pub(crate) fn of(plan: &Plan, source: &str, began_unix_ms: u64, config: Edit) -> Self {
        let rule = |file: &keyward_policy::SourceFile| RuleFile {
            name: file.name.clone(),
            sha256: fingerprint::of_bytes(file.text.as_bytes()),
        };
        Self {
            format: FORMAT,
            source: source.to_owned(),
            began_unix_ms,
            plan: fingerprint::of_plan(plan),
            authorities: plan.authorities.iter().map(Certificates::of_authority).collect(),
            servers: plan.servers.iter().map(Certificates::of_server).collect(),
            rules: plan.rules.iter().map(rule).collect(),
            config,
        }
    }

    /// Tells whether this is the note of an import of just this plan.
    pub(crate) fn is_of(&self, plan: &Plan) -> bool {
        self.plan == fingerprint::of_plan(plan)
    }

    /// Returns the note on users that this import adds: by it their ledger entries are known again, whatever became of their
    /// passwords.
    pub(crate) fn mark(&self) -> String {
        format!("imported from Mosquitto ({})", self.began_unix_ms)
    }

    /// Reads the note of an interrupted import, if there is one.
    pub(crate) fn read(home: &Home) -> Result<Option<Self>, ImportError> {
        let path = home.import_note();
        let bytes = match files::read_private(&path, limits::MAX_JOURNAL_BYTES) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let wrong = |what: String| ImportError::Journal { path: path.clone(), what };
        let journal: Self = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if journal.format != FORMAT {
            return Err(wrong(format!("its format is {}, not {FORMAT}", journal.format)));
        }
        // What is taken back is removed: nothing else than what an import writes.
        if let Some(rules) = journal.rules.iter().find(|rules| !plan::is_rule_file(&rules.name)) {
            return Err(wrong(format!("{:?} is no file of rules that an import writes", rules.name)));
        }
        Ok(Some(journal))
    }

    /// Puts the note in its place, complete and synced.
    pub(crate) fn write(&self, home: &Home) -> Result<(), ImportError> {
        let path = home.import_note();
        let bytes = serde_json::to_vec(self)
            .map_err(|error| ImportError::Journal { path: path.clone(), what: error.to_string() })?;
        Ok(files::replace(&path, &bytes)?)
    }

    /// Takes the note away: the import is over.
    pub(crate) fn remove(home: &Home) -> Result<(), ImportError> {
        remove(&home.import_note())?;
        Ok(())
    }
}

impl Certificates {
    fn of_authority(authority: &OldAuthority) -> Self {
        let trust = &authority.trust;
        Self { name: trust.name.clone(), fingerprints: authority.fingerprints(), proves: Some(trust.proves) }
    }

    fn of_server(server: &OldServer) -> Self {
        Self { name: server.name.clone(), fingerprints: vec![server.fingerprint.clone()], proves: None }
    }
}

/// Removes a file for good. Returns whether it was there.
pub(crate) fn remove(path: &std::path::Path) -> Result<bool, files::FileError> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => {
            return Err(files::FileError::Io { path: path.to_owned(), action: "remove", source });
        }
    }
    if let Some(folder) = path.parent() {
        files::sync_dir(folder)?;
    }
    Ok(true)
}
