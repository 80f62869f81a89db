//! Reads what Mosquitto's files say: `mosquitto.conf` with what it includes, password files, `acl_file`s and the JSON of the
//! dynamic-security plugin, into plain values and one remark for each line.
//!
//! How to use it: [`conf::read`] takes a [`Source`] of files and gives [`conf::Settings`]; [`password::parse`],
//! [`acl::parse`] and [`dynsec::parse`] take the texts of the files that these name. Each reads as the given [`Version`]
//! of Mosquitto does, and refuses what that refuses.
//!
//! What is not here: reading files (the caller's `Source` does), what of it Keyward can carry over, and writing anything.
//! Nothing in this crate does IO.

pub mod acl;
pub mod conf;
pub mod dynsec;
mod keys;
pub mod limits;
pub mod password;
mod report;
mod text;

pub use report::{Fate, Place, Remark, Wrong};
pub use text::{Source, shown};

/// Names the versions of Mosquitto that read files differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 2.0: `%c` and `%u` are put in anywhere; a bad line of a password file is skipped.
    V2_0,
    /// 2.1: `%c` and `%u` are whole levels only; a bad line of a password file is an error.
    V2_1,
}
