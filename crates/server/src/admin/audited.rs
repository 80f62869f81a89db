//! Which texts of configuration and rules the ledger has heard of, so that a hand edit is noticed and audited.
//!
//! `DIR/audited` holds a line `NAME SHA-256` for each. A crash between ledger and file repeats a note; it never loses
//! one.

use crate::home::Home;
use aws_lc_rs::digest::{SHA256, digest};
use keyward_identity::files::{self, FileError};
use keyward_policy::{SourceFile, limits::MAX_FILES};
use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

/// The largest such file, in bytes: a line of at most 400 for each rule file and the configuration.
const MAX_BYTES: usize = 400 * (MAX_FILES + 1);

/// Holds the digest of each text by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digests(BTreeMap<String, String>);

impl Digests {
    pub(super) fn of(config: &str, rules: &[SourceFile]) -> Self {
        let config = ("keyward.toml".to_owned(), sha256(config));
        let rules = rules.iter().map(|file| (file.name.clone(), sha256(&file.text)));
        Self(rules.chain([config]).collect())
    }

    /// Reads what was noted last; nothing if the file is missing or damaged, which leads to a note.
    pub(super) fn noted(home: &Home) -> Self {
        let bytes = files::read_regular(&path(home), MAX_BYTES).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        let line =
            |line: &str| line.rsplit_once(' ').map(|(name, digest)| (name.to_owned(), digest.to_owned()));
        Self(text.lines().filter_map(line).collect())
    }

    pub(super) fn note(&self, home: &Home) -> Result<(), FileError> {
        let text = self.0.iter().fold(String::new(), |mut text, (name, digest)| {
            let _ = writeln!(text, "{name} {digest}");
            text
        });
        files::replace(&path(home), text.as_bytes())
    }

    /// Returns these digests with one file more, or with another text of it.
    pub(super) fn with(mut self, file: &SourceFile) -> Self {
        self.0.insert(file.name.clone(), sha256(&file.text));
        self
    }

    /// Returns these digests without one file.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    /// Says what happened to a file, with the digest of its text.
    pub(super) fn line_of(&self, name: &str, happened: &str) -> String {
        let digest = self.0.get(name).map_or("", String::as_str);
        format!("{name} {happened}, sha256:{digest}")
    }

    /// Says how these texts differ from the `earlier` ones, a line each.
    pub(super) fn differences(&self, earlier: &Self) -> Vec<String> {
        let now = self.0.iter().filter_map(|(name, digest)| match earlier.0.get(name) {
            Some(old) if old == digest => None,
            Some(_) => Some(format!("{name} changed, now sha256:{digest}")),
            None => Some(format!("{name} added, sha256:{digest}")),
        });
        let gone = earlier.0.keys().filter(|name| !self.0.contains_key(*name));
        now.chain(gone.map(|name| format!("{name} removed"))).collect()
    }
}

fn path(home: &Home) -> PathBuf {
    home.directory().join("audited")
}

fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> SourceFile {
        SourceFile { name: format!("policy.d/{name}"), text: text.to_owned() }
    }

    #[test]
    fn a_hand_edit_is_seen_by_the_digests() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        Digests::of("", &[file("a.toml", "1"), file("b c.toml", "2")]).note(&home).unwrap();
        let noted = Digests::noted(&home);
        assert!(
            Digests::of("", &[file("a.toml", "1"), file("b c.toml", "2")]).differences(&noted).is_empty()
        );
        let lines = Digests::of("", &[file("a.toml", "other"), file("c.toml", "")]).differences(&noted);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("policy.d/a.toml changed, now sha256:"), "{lines:?}");
        assert!(lines[1].starts_with("policy.d/c.toml added, sha256:"), "{lines:?}");
        assert_eq!(lines[2], "policy.d/b c.toml removed");
    }

    #[test]
    fn without_a_note_everything_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let lines = Digests::of("x", &[]).differences(&Digests::noted(&Home::at(folder.path())));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("keyward.toml added"));
    }
}
