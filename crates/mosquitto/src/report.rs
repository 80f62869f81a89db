//! What is said about each line that was read.

use core::fmt;
use serde::Serialize;

/// Is a line of a file. Printed as `mosquitto.conf:12`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The path, as it was given or as another file names it.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// Says what becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// A comment or an empty line.
    Comment,
    /// It means here what it meant there.
    Carried,
    /// It is carried over and means something else, or is done in another way.
    Changed,
    /// It is carried over and protects little.
    Weak,
    /// It is left out.
    Unsupported,
    /// It stops the import: left out, something would be open that is closed there.
    Refused,
}

impl Fate {
    /// Returns the words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Carried => "carried over",
            Self::Changed => "changed in meaning",
            Self::Weak => "weak",
            Self::Unsupported => "unsupported",
            Self::Refused => "refused",
        }
    }
}

/// Is what is said about one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Which line.
    #[serde(flatten)]
    pub place: Place,
    /// The line, without anything secret, safe to show.
    pub text: String,
    /// What becomes of it.
    pub fate: Fate,
    /// What it comes to, or what to do; empty if there is nothing to say.
    pub what: String,
}

/// Says why a file cannot be read; nothing of it counts then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Wrong {
    /// Where.
    pub place: Place,
    /// What is wrong and what to do.
    pub what: String,
}
