//! What a backup looks like inside its encryption: a tar file whose first file says what it is and whose last one lists what
//! was in it (`docs/format.md` draws it). This is the one place that knows the format.
//!
//! ```text
//! manifest.json            what it is, format, program, moment, installation, whether it holds keys and messages
//! keyward.toml, audited, policy.d/*.toml, ca.pem, authority/*, keys/*, offline/*    as they lay in DIR
//! ledger.log               the ledger
//! messages/00000000.rows   rows of the message store, in as many files as it takes
//! contents.json            name, size and SHA-256 of each file before it
//! ```
//!
//! A tar file, so that it can be looked into without this program: `age -d FILE | tar t`. Two small parts of our own write and
//! read it, because a reader that understands one kind of file cannot be led astray by links, long names or devices. The
//! list comes last, so that a stream is written in one go; an archive without it was cut off.
//!
//! What is not here: encryption ([`super::seal`]), what goes in ([`super::make`]) and where it is put ([`super::restore`]).

mod error;
mod read;
pub(crate) mod rows;
mod tar;
mod write;

pub use error::ArchiveError;
pub use read::{Entry, Survey, survey, walk};
pub use write::ArchiveWriter;

use super::limits::PATH_BYTES;
use serde::{Deserialize, Serialize};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const CONTENTS: &str = "contents.json";
pub(crate) const LEDGER: &str = "ledger.log";
/// How the names of files with rows begin.
pub(crate) const MESSAGES: &str = "messages/";
const WHAT: &str = "keyward backup";

/// Says what an archive is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    what: String,
    /// The format.
    pub format: u32,
    /// The version of Keyward that wrote it.
    pub program: String,
    /// When it was taken, milliseconds since 1970.
    pub taken_unix_ms: u64,
    /// Whose it is.
    pub installation: String,
    /// How many records its ledger has.
    pub ledger_records: u64,
    /// Whether it holds private keys of authorities and server.
    pub private_keys: bool,
    /// Whether it holds sessions and messages.
    pub messages: bool,
}

impl Manifest {
    /// Makes the manifest of an archive that this program writes.
    pub fn new(
        taken_unix_ms: u64,
        installation: String,
        ledger_records: u64,
        private_keys: bool,
        messages: bool,
    ) -> Self {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let (what, format) = (WHAT.to_owned(), FORMAT);
        Self { what, format, program, taken_unix_ms, installation, ledger_records, private_keys, messages }
    }

    fn parse(bytes: &[u8]) -> Result<Self, ArchiveError> {
        /// What every format has.
        #[derive(Deserialize)]
        struct Any {
            what: String,
            format: u32,
            program: String,
        }
        let any: Any = serde_json::from_slice(bytes).map_err(|_| ArchiveError::Foreign)?;
        if any.what != WHAT || any.format == 0 {
            return Err(ArchiveError::Foreign);
        }
        if any.format > FORMAT {
            return Err(ArchiveError::Newer { found: any.format, needs: any.program });
        }
        let damaged = |_| ArchiveError::damaged("manifest.json does not say what it has to");
        serde_json::from_slice(bytes).map_err(damaged)
    }
}

/// Names one file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its path in the archive.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// Tells whether an archive may have a file of this name: each leads to one place below the directory of an installation, and
/// nowhere else.
pub(crate) fn is_name(name: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(|c: char| c.is_control());
    let fits = name.len() <= PATH_BYTES && !name.contains('\\') && name.split('/').all(is_part);
    let folder_of = |folder: &str, end: &str| {
        let file = name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        file.is_some_and(|file| !file.contains('/') && file.ends_with(end) && file.len() > end.len())
    };
    let is_known = ["keyward.toml", "audited", "ca.pem", LEDGER, MANIFEST, CONTENTS].contains(&name)
        || folder_of("policy.d", ".toml")
        || ["authority", "keys", "offline"].iter().any(|folder| folder_of(folder, ""))
        || is_rows(name);
    fits && is_known
}

/// Tells whether this is the name of a file with rows.
pub(crate) fn is_rows(name: &str) -> bool {
    let number = name.strip_prefix(MESSAGES).and_then(|rest| rest.strip_suffix(".rows"));
    number.is_some_and(|number| number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Names a file with rows by its number.
pub(crate) fn rows_name(number: usize) -> String {
    format!("{MESSAGES}{number:08}.rows")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_into_the_directory_of_an_installation_and_nowhere_else() {
        for name in
            ["keyward.toml", "policy.d/a b.toml", "keys/pepper", "messages/00000017.rows", "offline/x.key"]
        {
            assert!(is_name(name), "{name}");
        }
        let long = format!("policy.d/{}.toml", "x".repeat(100));
        for name in [
            "",
            "/",
            "..",
            "../keyward.toml",
            "/etc/passwd",
            "policy.d/../keyward.toml",
            "policy.d/../../x.toml",
            "policy.d/.toml",
            "policy.d/.x.toml",
            "policy.d//x.toml",
            "policy.d/a/b.toml",
            "policy.d/x.sh",
            "keys/",
            "keys/a/b",
            "messages/1.rows",
            "messages/0000000x.rows",
            "messages/00000000.rows/x",
            "control.sock",
            "lock",
            "ledger/a.log",
            "policy.d/a\n.toml",
            "policy.d/a\\..\\b.toml",
            &long,
        ] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_newer_format_is_told_with_the_program_that_it_needs_whatever_else_it_says() {
        let newer = br#"{"what":"keyward backup","format":2,"program":"9.1.0","sparkle":true}"#;
        let error = Manifest::parse(newer).unwrap_err().to_string();
        assert!(error.contains("9.1.0") && error.contains("format 2"), "{error}");
        for foreign in [&b"{}"[..], b"x", br#"{"what":"keyward backup","format":0,"program":"1"}"#] {
            assert!(matches!(Manifest::parse(foreign), Err(ArchiveError::Foreign)));
        }
    }
}
