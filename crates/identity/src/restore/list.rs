//! The list of what was taken away: a text that is easy to keep elsewhere and to write by hand. No secret is in it.
//!
//! ```text
//! keyward-revoked: 1
//! installation: k7m2p9rstuvw3xyz
//! complete-until: 2026-11-29T17:10:00Z
//!
//! device:dev01 revoked record=17
//! device:dev02 removed record=21
//! device:dev03 certificate-withdrawn 4f2a… record=30
//! user:app     password-replaced record=33
//! device:dev04 disabled
//! device:dev06 quarantined broker two%20hold%20its%20key record=32
//! device:dev03 message-key-withdrawn 496bd8afadf307e5 record=31
//! device:dev04 group-left plant record=32
//! device:dev05 name-unbound old Kitchen%201 record=34
//! authority:old removed record=35
//! authority:gate list-replaced record=36
//! ```
//!
//! `record=` is the number of the ledger's record (`NUMBER.BRANCH` behind a restore): what the restored ledger knows is
//! not taken twice. A person leaves it out, and `complete-until` too if the list is complete. `#` begins a comment.

use super::takings::{Record, Taken, Taking, Takings};
use super::takings_of_authorities::TakenOfAuthority;
use crate::{
    clock::WallTime,
    cose_key::Kid,
    files::{self, FileError},
    limits,
    quarantine::{QuarantinedBy, is_reason},
    trusted::{self, LocalName},
};
use keyward_ids::{Identity, InstallationId};
use std::{
    fmt,
    iter::Peekable,
    path::{Path, PathBuf},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The version of the text.
const VERSION: &str = "1";

/// What may stand behind an identity, for people.
const WORDS: &str = "revoked, removed, disabled, unconfirmed, quarantined, password-replaced, marked-plain, unmarked-plain, \
     certificate-withdrawn SERIAL, message-key-withdrawn KID, message-key-retired KID TIME, group-left GROUP or name-unbound AUTHORITY NAME";

/// What a line about an authority of others begins with.
const AUTHORITY: &str = "authority:";

/// Holds what was taken away from the identities of one installation.
///
/// Printed by [`fmt::Display`]. [`Registrar::revoked`](crate::Registrar::revoked) makes the list of an installation: it
/// is complete for a backup of any age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedList {
    /// Whose list it is.
    pub installation: InstallationId,
    /// Up to when it is complete. `None`, in a list written by hand: the operator says that it is complete.
    pub complete_until: Option<WallTime>,
    pub(super) takings: Takings,
}

impl RevokedList {
    /// Reads the text of the list in the file `path`, which is named in errors only.
    ///
    /// # Errors
    /// [`ListError`] names file and line, and says what to do.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, ListError> {
        let at = |line: usize, what: String| ListError::Line { path: path.to_owned(), line, what };
        let text = std::str::from_utf8(text).map_err(|error| {
            let before = text.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            at(line, "this is not UTF-8 text; give the list that `keyward store revoked` prints".into())
        })?;
        let mut reading = Reading::default();
        let mut last = 0;
        for (index, line) in text.lines().enumerate() {
            last = index + 1;
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                reading.take_line(line).map_err(|what| at(last, what))?;
            }
        }
        reading.finish().map_err(|what| at(last.max(1), what))
    }

    /// Reads the file `path`: a regular file of at most [`limits::REVOKED_LIST_BYTES`], never through a link.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn read(path: &Path) -> Result<Self, ListError> {
        Self::parse(path, &files::read_regular(path, limits::REVOKED_LIST_BYTES)?)
    }

    /// Tells whether nothing stands in the list.
    pub fn is_empty(&self) -> bool {
        let Takings { identities, authorities } = &self.takings;
        identities.values().all(Vec::is_empty) && authorities.0.values().all(Vec::is_empty)
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    is_begun: bool,
    installation: Option<InstallationId>,
    complete_until: Option<WallTime>,
    takings: Takings,
}

impl Reading {
    fn take_line(&mut self, line: &str) -> Result<(), String> {
        let (key, value) = line.split_once(':').map_or((line, ""), |(key, value)| (key.trim(), value.trim()));
        if !self.is_begun {
            if key != "keyward-revoked" {
                return Err(format!(
                    "the list begins with `keyward-revoked: {VERSION}`; write that line first"
                ));
            }
            self.is_begun = true;
            return match value {
                VERSION => Ok(()),
                _ => Err(format!(
                    "version {} of the list is not known here; install the Keyward that wrote it, or write {VERSION}",
                    shown(value)
                )),
            };
        }
        match key {
            "installation" if self.installation.is_none() => {
                let id = value.parse().map_err(|error| {
                    format!("the installation {} {error}; `keyward status --json` shows it", shown(value))
                })?;
                self.installation = Some(id);
                Ok(())
            }
            "complete-until" if self.complete_until.is_none() => {
                self.complete_until = Some(moment(value)?);
                Ok(())
            }
            "keyward-revoked" | "installation" | "complete-until" => {
                Err(format!("{key} stands here a second time; delete one of the two lines"))
            }
            _ if self.installation.is_none() => {
                Err("whose list is it? Write `installation: ID` before this line".to_owned())
            }
            _ if line.starts_with(AUTHORITY) => {
                let (name, taken, record) = withdrawal(line)?;
                self.takings.authorities.take(&name, taken, record);
                Ok(())
            }
            _ => {
                let (identity, taking) = taking(line)?;
                self.takings.take(&identity, taking);
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<RevokedList, String> {
        let what = match self.is_begun {
            true => "the list ends before it says whose it is; write `installation: ID`",
            false => {
                "the list is empty; its first line is `keyward-revoked: 1`, the second `installation: ID`"
            }
        };
        let (complete_until, takings) = (self.complete_until, self.takings);
        let installation = self.installation.ok_or(what)?;
        Ok(RevokedList { installation, complete_until, takings })
    }
}

/// Shows a word of the file in an error, cut.
fn shown(word: &str) -> String {
    let cut: String = word.chars().take(80).collect();
    format!("'{}'", cut.escape_debug())
}

fn moment(text: &str) -> Result<WallTime, String> {
    let wrong = || format!("{} is not a moment like 2026-11-29T17:10:00Z", shown(text));
    let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
    let secs = u64::try_from(moment.unix_timestamp()).map_err(|_| wrong())?;
    Ok(WallTime(secs * 1_000))
}

fn taking(line: &str) -> Result<(Identity, Taking), String> {
    let mut words = line.split_whitespace();
    let identity = words.next().unwrap_or_default();
    let identity = identity.parse::<Identity>().map_err(|error| format!("{} {error}", shown(identity)))?;
    let word = words.next().ok_or_else(|| format!("what of {identity}? Write {WORDS} behind it"))?;
    let mut words = words.peekable();
    let taken = match word {
        "revoked" => {
            let mut flag = |name: &str| words.next_if(|word| *word == name).is_some();
            Taken::Revoked { keep_messages: flag("keep-messages"), publish_will: flag("publish-will") }
        }
        "removed" => Taken::Removed,
        "disabled" => Taken::Disabled,
        "unconfirmed" => Taken::Unconfirmed,
        "quarantined" => quarantine(&mut words)?,
        "password-replaced" => Taken::Password,
        "marked-plain" => Taken::Mark { plain: true },
        "unmarked-plain" => Taken::Mark { plain: false },
        "certificate-withdrawn" => {
            let serial = words.next().unwrap_or_default();
            let serial =
                serial.parse().map_err(|error| format!("the serial number {} {error}", shown(serial)))?;
            Taken::Certificate(serial)
        }
        "message-key-withdrawn" => Taken::MessageKey(kid(words.next().unwrap_or_default())?),
        "message-key-retired" => Taken::MessageKeyAfter {
            kid: kid(words.next().unwrap_or_default())?,
            until: moment(words.next().unwrap_or_default())?,
        },
        "group-left" => {
            let group = words.next().unwrap_or_default();
            Taken::Membership(group.parse().map_err(|error| format!("the group {} {error}", shown(group)))?)
        }
        "name-unbound" => {
            let authority = authority(words.next().unwrap_or_default())?;
            let word = words.next().unwrap_or_default();
            let common_name = decoded(word, trusted::is_common_name).ok_or_else(|| {
                format!("the common name {} cannot be read; write a space as %20", shown(word))
            })?;
            Taken::Name { authority, common_name }
        }
        _ => return Err(format!("{} is none of {WORDS}", shown(word))),
    };
    Ok((identity, Taking { taken, record: end_of_line(words)? }))
}

/// Reads by whom a device was put into quarantine, and why. A person may leave both out.
fn quarantine<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> Result<Taken, String> {
    let Some(by) = words.peek().and_then(|word| QuarantinedBy::read(word)) else {
        let because = "it was in quarantine before the ledger was restored".to_owned();
        return Ok(Taken::Freedom { by: QuarantinedBy::Operator, because });
    };
    words.next();
    let word = words.next().unwrap_or_default();
    let wrong = || format!("the reason {} cannot be read; write a space as %20", shown(word));
    Ok(Taken::Freedom { by, because: decoded(word, is_reason).ok_or_else(wrong)? })
}

fn kid(word: &str) -> Result<Kid, String> {
    word.parse().map_err(|error| format!("{} {error}", shown(word)))
}

/// Reads a line about an authority of others.
fn withdrawal(line: &str) -> Result<(LocalName, TakenOfAuthority, Option<Record>), String> {
    let mut words = line.split_whitespace();
    let name = authority(words.next().unwrap_or_default().trim_start_matches(AUTHORITY))?;
    let taken = match words.next() {
        Some("removed") => TakenOfAuthority::Trust,
        Some("list-replaced") => TakenOfAuthority::List(None),
        word => {
            let word = shown(word.unwrap_or_default());
            return Err(format!("{word} is none of removed or list-replaced, which an authority may be"));
        }
    };
    Ok((name, taken, end_of_line(words)?))
}

fn authority(name: &str) -> Result<LocalName, String> {
    name.parse().map_err(|error| format!("the authority {} {error}", shown(name)))
}

fn end_of_line<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Option<Record>, String> {
    let record = words.next().map(record).transpose()?;
    match words.next() {
        Some(word) => Err(format!("{} is too much on this line; one thing a line", shown(word))),
        None => Ok(record),
    }
}

/// Writes a text as one word: bytes that are no letter, digit, `.`, `-` or `_` as `%` and two hexadecimal digits.
fn encoded(written: &str) -> String {
    let mut text = String::new();
    for byte in written.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => text.push(byte.into()),
            byte => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text
}

fn decoded(word: &str, fits: fn(&str) -> bool) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), word.as_bytes());
    while let [first, behind @ ..] = rest {
        rest = behind;
        bytes.push(match first {
            b'%' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                rest = behind;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| fits(text))
}

fn record(word: &str) -> Result<Record, String> {
    let read = || {
        let (number, branch) = match word.strip_prefix("record=")?.split_once('.') {
            Some((number, branch)) => (number, u64::from_str_radix(branch, 16).ok()?),
            None => (word.strip_prefix("record=")?, 0),
        };
        Some(Record { number: number.parse().ok()?, branch })
    };
    read().ok_or_else(|| format!("{} is not understood here; leave it out, one thing a line", shown(word)))
}

impl fmt::Display for RevokedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# What was taken away in a Keyward installation. No secret is in it: keep it where the broker is not."
        )?;
        writeln!(f, "# Read by: keyward store restore BACKUP --revoked THIS-FILE")?;
        writeln!(f, "keyward-revoked: {VERSION}")?;
        writeln!(f, "installation: {}", self.installation)?;
        if let Some(until) = self.complete_until {
            writeln!(
                f,
                "# If nothing was taken away after this moment, delete the next line: the list is complete then."
            )?;
            writeln!(f, "complete-until: {until}")?;
        }
        writeln!(f)?;
        for (identity, takings) in &self.takings.identities {
            for taking in takings {
                writeln!(f, "{identity} {taking}")?;
            }
        }
        for (name, takings) in &self.takings.authorities.0 {
            for (taken, record) in takings {
                let word = match taken {
                    TakenOfAuthority::Trust => "removed",
                    TakenOfAuthority::List(_) => "list-replaced",
                };
                writeln!(f, "{AUTHORITY}{name} {word}{}", Behind(*record))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.taken {
            Taken::Removed => f.write_str("removed")?,
            Taken::Revoked { keep_messages, publish_will } => {
                f.write_str("revoked")?;
                f.write_str(if *keep_messages { " keep-messages" } else { "" })?;
                f.write_str(if *publish_will { " publish-will" } else { "" })?;
            }
            Taken::Disabled => f.write_str("disabled")?,
            Taken::Unconfirmed => f.write_str("unconfirmed")?,
            Taken::Freedom { by, because } => {
                write!(f, "quarantined {} {}", by.name(), encoded(because))?;
            }
            Taken::Password => f.write_str("password-replaced")?,
            Taken::Mark { plain: true } => f.write_str("marked-plain")?,
            Taken::Mark { plain: false } => f.write_str("unmarked-plain")?,
            Taken::Certificate(serial) => write!(f, "certificate-withdrawn {serial}")?,
            Taken::MessageKey(kid) => write!(f, "message-key-withdrawn {kid}")?,
            Taken::MessageKeyAfter { kid, until } => write!(f, "message-key-retired {kid} {until}")?,
            Taken::Membership(group) => write!(f, "group-left {group}")?,
            Taken::Name { authority, common_name } => {
                write!(f, "name-unbound {authority} {}", encoded(common_name))?;
            }
        }
        Behind(self.record).fmt(f)
    }
}

/// Prints the record behind a thing that was taken.
struct Behind(Option<Record>);

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Record { number, branch: 0 }) => write!(f, " record={number}"),
            Some(Record { number, branch }) => write!(f, " record={number}.{branch:x}"),
            None => Ok(()),
        }
    }
}

/// Says why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line is wrong.
    #[error("{}:{line}: {what}", .path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong and what to do.
        what: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "keyward-revoked: 1\ninstallation: abcdefghijkmnpqr\n";

    fn parse(text: &str) -> Result<RevokedList, String> {
        RevokedList::parse(Path::new("list"), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_person_writes_is_read() {
        let text = format!(
            "# by Ada\r\n{HEAD}\r\n  device:dev01   revoked  # stolen\r\nuser:app password-replaced\r\n\
             device:dev04 quarantined  # twice on the map\ndevice:dev02 revoked keep-messages publish-will\ndevice:dev03 certificate-withdrawn 4f2a\n"
        );
        let list = parse(&text).unwrap();
        assert_eq!((list.takings.identities.len(), list.complete_until), (5, None));
        let of = |name: &str| list.takings.identities[&name.parse().unwrap()][0].to_string();
        assert_eq!(of("device:dev01"), "revoked");
        assert_eq!(of("device:dev02"), "revoked keep-messages publish-will");
        assert_eq!(of("device:dev03"), "certificate-withdrawn 4f2a");
        assert!(of("device:dev04").starts_with("quarantined operator it%20was"), "{}", of("device:dev04"));
        assert_eq!(of("user:app"), "password-replaced");
    }

    #[test]
    fn a_list_is_read_as_it_was_printed() {
        let text = format!(
            "{HEAD}complete-until: 2026-11-29T18:10:00+01:00\ndevice:a removed record=5\ndevice:a disabled record=9\n\
             device:a quarantined broker two%20hold%20it record=10\ndevice:a unmarked-plain record=10\ndevice:a message-key-withdrawn 496bd8afadf307e5 record=10\n\
             device:a message-key-retired 496bd8afadf307e6 2026-11-29T18:10:00Z record=10\n\
             device:b group-left plant record=10\ndevice:b name-unbound old K%c3%bcche%201%23 record=11\ndevice:b unconfirmed record=7.1f\n\
             authority:gate list-replaced record=13\nauthority:old removed record=12\nuser:c certificate-withdrawn 01ff record=8\n"
        );
        let list = parse(&text).unwrap();
        assert!(list.to_string().contains("complete-until: 2026-11-29T17:10:00Z\n"), "{list}");
        assert!(list.to_string().contains("device:b unconfirmed record=7.1f\n"), "{list}");
        assert_eq!(parse(&list.to_string()), Ok(list));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line_and_what_to_do() {
        let refused = [
            ("", "list:1: the list is empty"),
            ("device:a revoked", "list:1: the list begins with `keyward-revoked: 1`"),
            ("keyward-revoked: 2", "list:1: version '2'"),
            ("keyward-revoked: 1\n", "list:1: the list ends before"),
            ("keyward-revoked: 1\ndevice:a revoked\n", "list:2: whose list is it?"),
            ("keyward-revoked: 1\ninstallation: x\n", "list:2: the installation 'x'"),
            (
                &format!("{HEAD}installation: abcdefghijkmnpqr\n"),
                "list:3: installation stands here a second time",
            ),
            (&format!("{HEAD}complete-until: yesterday\n"), "list:3: 'yesterday' is not a moment"),
            (&format!("{HEAD}complete-until: 1066-01-01T00:00:00Z\n"), "is not a moment"),
            (&format!("{HEAD}dev01 revoked\n"), "list:3: 'dev01' has no kind; write device:NAME"),
            (&format!("{HEAD}device:a\n"), "list:3: what of device:a? Write revoked, removed"),
            (&format!("{HEAD}device:a stolen\n"), "list:3: 'stolen' is none of revoked, removed"),
            (&format!("{HEAD}device:a revoked publish-will keep-messages\n"), "list:3: 'keep-messages'"),
            (&format!("{HEAD}device:a certificate-withdrawn\n"), "list:3: the serial number ''"),
            (&format!("{HEAD}device:a message-key-withdrawn\n"), "list:3: '' is no name of a message key"),
            (
                &format!("{HEAD}device:a message-key-retired 496bd8afadf307e5 soon\n"),
                "'soon' is not a moment",
            ),
            (&format!("{HEAD}device:a group-left\n"), "list:3: the group '' is empty"),
            (&format!("{HEAD}device:a quarantined broker %0a\n"), "the reason '%0a' cannot be read"),
            (&format!("{HEAD}device:a removed record=-1\n"), "list:3: 'record=-1' is not understood"),
            (&format!("{HEAD}device:a removed record=1 device:b\n"), "list:3: 'device:b' is too much"),
            (&format!("{HEAD}device:a removed\u{1b}[2J\n"), "\\u{1b}"),
        ];
        for (text, expected) in refused {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        let error = RevokedList::parse(Path::new("list"), b"keyward-revoked: 1\n\xff").unwrap_err();
        assert!(error.to_string().starts_with("list:2: this is not UTF-8"), "{error}");
    }
}
