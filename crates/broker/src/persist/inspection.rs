//! Looks through all that is on disk without keeping it: which rows do not read, and which refer to nothing.

use super::format::read_format;
use super::messages::Names;
use super::recovery::RecoveryError;
use super::wire::{Reader, Stage};
use super::{ACCEPTED, GROUP, INBOUND, MESSAGE, META, PLACE, RETAINED, SESSION, SUBSCRIPTION, WILL, WINDOW};
use keyward_mqtt::time::Now;
use keyward_store::{Read, Scan, Table};
use siphasher::sip::SipHasher13;
use std::collections::HashSet;
use std::hash::BuildHasherDefault;

/// The tables in the order in which they are looked through: what others refer to comes first.
const TABLES: [(Table, &str); 11] = [
    (META, "meta"),
    (SESSION, "sessions"),
    (GROUP, "shared groups"),
    (MESSAGE, "messages"),
    (SUBSCRIPTION, "subscriptions"),
    (INBOUND, "QoS 2 under way"),
    (PLACE, "places in queues"),
    (ACCEPTED, "QoS 2 accepted"),
    (RETAINED, "retained messages"),
    (WILL, "wills"),
    (WINDOW, "numbers of signed messages"),
];

/// How many keys of damaged rows are listed.
const LISTED: usize = 20;

/// Numbers that the broker gave, not peers: no key is needed.
type Numbers = HashSet<u64, BuildHasherDefault<SipHasher13>>;

/// Is what was found. All counts are of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// A line for each table.
    pub tables: Vec<Inspected>,
    /// Where rows do not read: table and key, at most twenty.
    pub damaged: Vec<String>,
}

/// Is what was found in one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspected {
    /// What is in it.
    pub name: &'static str,
    /// How many there are.
    pub rows: u64,
    /// The bytes of keys and values.
    pub bytes: u64,
    /// How many do not read.
    pub damaged: u64,
    /// How many refer to something that is not there, or are referred to by nothing: left over from a crash, or being
    /// written, or their counterpart is lost. The next start deletes them.
    pub nobodys: u64,
    /// Why the rest of the table could not be read.
    pub unreadable: Option<String>,
}

impl Inspection {
    /// Tells whether everything reads.
    pub fn is_sound(&self) -> bool {
        self.tables.iter().all(|table| table.damaged == 0 && table.unreadable.is_none())
    }
}

/// Reads every row of a store, a page at a time, and keeps their numbers only. `progress` hears how many rows were read so
/// far.
///
/// # Errors
/// [`RecoveryError::Newer`]: a newer broker wrote it. What cannot be read is told in the [`Inspection`].
pub fn inspect(
    store: &dyn Read,
    now: Now,
    progress: &mut dyn FnMut(u64),
) -> Result<Inspection, RecoveryError> {
    // A table that cannot be read says so below.
    if let Err(error @ RecoveryError::Newer { .. }) = read_format(store) {
        return Err(error);
    }
    let mut judge = Judge::new(now);
    let (mut inspection, mut read) = (Inspection::default(), 0);
    for (table, name) in TABLES {
        let mut found = Inspected { name, ..Inspected::default() };
        let mut scan = Scan::of(table, b"");
        loop {
            match store.next_page(&mut scan) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    found.unreadable = Some(error.to_string());
                    break;
                }
            }
            for (key, value) in scan.rows() {
                found.rows += 1;
                found.bytes += (key.len() + value.len()) as u64;
                match judge.row(table, key, value) {
                    None => {
                        found.damaged += 1;
                        if inspection.damaged.len() < LISTED {
                            inspection.damaged.push(super::recovery::place_of(table, key));
                        }
                    }
                    Some(Belongs::Somewhere) => {}
                    Some(Belongs::Nowhere) => found.nobodys += 1,
                }
                read += 1;
            }
            progress(read);
        }
        inspection.tables.push(found);
    }
    if let Some(messages) = inspection.tables.iter_mut().find(|found| found.name == "messages") {
        messages.nobodys = judge.messages.difference(&judge.referred).count() as u64;
    }
    Ok(inspection)
}

/// Says whether what a row refers to is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belongs {
    Somewhere,
    Nowhere,
}

/// Knows the numbers of what was seen.
struct Judge {
    now: Now,
    names: Names,
    sessions: Numbers,
    groups: Numbers,
    messages: Numbers,
    referred: Numbers,
}

impl Judge {
    fn new(now: Now) -> Self {
        Self {
            now,
            names: Names::default(),
            sessions: Numbers::default(),
            groups: Numbers::default(),
            messages: Numbers::default(),
            referred: Numbers::default(),
        }
    }

    /// Reads a row as a start does; `None` if it does not read.
    fn row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Option<Belongs> {
        match table {
            SESSION => {
                Reader::new(value).session()?;
                self.sessions.insert(number(key)?);
            }
            GROUP => {
                core::str::from_utf8(value).ok()?;
                self.groups.insert(number(key)?);
            }
            MESSAGE => {
                let message = Reader::new(value).message(self.now, &mut self.names)?;
                (number(key) == Some(message.id.0)).then_some(())?;
                self.messages.insert(message.id.0);
            }
            SUBSCRIPTION => {
                let (session, filter) = key.split_first_chunk::<8>()?;
                core::str::from_utf8(filter).ok()?;
                Reader::new(value).subscription()?;
                return Some(is_in(&self.sessions, u64::from_be_bytes(*session)));
            }
            INBOUND => {
                let mut key = Reader::new(key);
                let (session, _, ()) = (key.u64()?, key.u16()?, key.end(())?);
                Reader::new(value).u64()?;
                return Some(is_in(&self.sessions, session));
            }
            PLACE => return self.place(key, value),
            ACCEPTED => {
                let message = number(key)?;
                self.referred.insert(message);
                return Some(is_in(&self.messages, message));
            }
            RETAINED => {
                let message = Reader::new(value).message(self.now, &mut self.names)?;
                (key == message.topic().as_bytes()).then_some(())?;
            }
            WINDOW => {
                let (_, _, slot) = Reader::new(key).window_key()?;
                let (_, seen) = Reader::new(value).window()?;
                (seen.slot() == slot).then_some(())?;
            }
            WILL => {
                number(key)?;
                Reader::new(value).will()?;
            }
            _ => {}
        }
        Some(Belongs::Somewhere)
    }

    fn place(&mut self, key: &[u8], value: &[u8]) -> Option<Belongs> {
        let mut key = Reader::new(key);
        let (owner, _, ()) = (key.u64()?, key.u64()?, key.end(())?);
        let place = Reader::new(value).place()?;
        let is_owned = self.sessions.contains(&owner) || self.groups.contains(&owner);
        if is_owned && place.stage == Stage::Owed {
            self.referred.insert(place.message.0);
            return Some(is_in(&self.messages, place.message.0));
        }
        Some(if is_owned { Belongs::Somewhere } else { Belongs::Nowhere })
    }
}

fn is_in(numbers: &Numbers, number: u64) -> Belongs {
    if numbers.contains(&number) { Belongs::Somewhere } else { Belongs::Nowhere }
}

fn number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}
