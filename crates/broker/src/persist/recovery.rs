//! Reads at a start what is on disk, and says what of it belongs to nobody.

use super::format;
use super::messages::{Messages, Names};
use super::numbers::numbers_since;
use super::records::numbered_key;
use super::recovered::{GroupRecord, Place, Recovered, SessionRecord, Survey};
use super::wire::{PlaceValue, Reader, Stage, WillRecord, parcel};
use super::{ACCEPTED, FORMAT, GROUP, HASH_KEY, INBOUND, MESSAGE, META, NEEDS_KEY, PLACE, RETAINED, SESSION};
use super::{SUBSCRIPTION, WILL, WINDOW};
use crate::message::{Message, MessageId};
use crate::placement::HashKey;
use crate::session::Incarnation;
use crate::windows::WindowKey;
use core::fmt;
use keyward_envelope::Record as Seen;
use keyward_mqtt::time::Now;
use keyward_store::{Read, ReadError, Scan, Table};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rows and bytes of a page: to begin one costs an engine a search in each of its files.
const PAGE_ROWS: usize = 8_192;
const PAGE_BYTES: usize = 1 << 20;

/// Says why nothing of a store can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryError {
    /// It was written by a newer broker.
    Newer {
        /// The version of its records.
        found: u32,
        /// The first release that reads it, if the store says so.
        needs: Option<String>,
    },
    /// It has an older format, from which nothing leads to today's.
    Older {
        /// The version of its records.
        found: u32,
    },
    /// It cannot be read.
    Unreadable(ReadError),
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { found, needs } => {
                write!(
                    f,
                    "the messages on disk have format {found}, this program reads up to {FORMAT}; start "
                )?;
                match needs {
                    Some(needs) => write!(f, "Keyward {needs} or newer"),
                    None => f.write_str("a newer Keyward"),
                }
            }
            Self::Older { found } => {
                write!(f, "the messages on disk have format {found}, from which nothing leads to {FORMAT}")
            }
            Self::Unreadable(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RecoveryError {}

impl From<ReadError> for RecoveryError {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

/// Reads a whole store of today's format ([`upgrades`](super::upgrades) leads there). `fresh` is the key of hashes for a
/// store that has none yet; it is then among what [`Survey::litter`] writes.
///
/// # Errors
/// [`RecoveryError`]: nothing is changed then.
pub fn recover(store: &dyn Read, fresh: HashKey, now: Now) -> Result<Recovered, RecoveryError> {
    let mut survey = Survey::default();
    let hash_key = read_meta(store, fresh, &mut survey)?;
    let numbers_since = numbers_since(store, now.wall)?;
    let mut found = Found { store, now, survey };
    let mut messages = found.messages()?;
    let mut sessions = found.sessions()?;
    let mut groups = found.groups()?;
    found.subscriptions(&mut sessions)?;
    found.inbound(&mut sessions)?;
    found.places(&mut sessions, &mut groups, &mut messages)?;
    let accepted = found.accepted(&mut messages)?;
    found.drop_unreferred(messages);
    let (retained, wills) = (found.retained()?, found.wills()?);
    let windows = found.windows()?;
    let mut survey = found.survey;
    survey.sessions = sessions.len();
    survey.retained = retained.len();
    Ok(Recovered { hash_key, numbers_since, sessions, wills, groups, retained, accepted, windows, survey })
}

fn read_meta(store: &dyn Read, fresh: HashKey, survey: &mut Survey) -> Result<HashKey, RecoveryError> {
    if let Some(found) = format::read_format(store)?.filter(|found| *found < FORMAT) {
        return Err(RecoveryError::Older { found });
    }
    if store.get(META, NEEDS_KEY)?.is_none() {
        format::put_format(&mut survey.litter, FORMAT);
    }
    let stored = store.get(META, HASH_KEY)?.and_then(|bytes| <[u8; 16]>::try_from(&*bytes).ok());
    Ok(stored.map(HashKey::new).unwrap_or_else(|| {
        survey.litter.put(META, HASH_KEY, fresh.as_bytes());
        fresh
    }))
}

/// Reads table by table.
struct Found<'a> {
    store: &'a dyn Read,
    now: Now,
    survey: Survey,
}

impl Found<'_> {
    /// Shows each row of a table to `take`, which says what is wrong with it.
    fn scan(
        &mut self,
        table: Table,
        mut take: impl FnMut(&[u8], &[u8], &mut Survey) -> Row,
    ) -> Result<(), RecoveryError> {
        let mut scan = Scan::of(table, b"").rows_per_page(PAGE_ROWS).bytes_per_page(PAGE_BYTES);
        while self.store.next_page(&mut scan)? {
            for (key, value) in scan.rows() {
                match take(key, value, &mut self.survey) {
                    Row::Taken => {}
                    Row::Nobodys => self.survey.drop_row(table, key),
                    Row::Damaged => {
                        self.survey.damaged.push(place_of(table, key));
                    }
                }
            }
        }
        Ok(())
    }

    fn messages(&mut self) -> Result<Messages, RecoveryError> {
        let (now, mut messages, mut names) = (self.now, Messages::default(), Names::default());
        self.scan(MESSAGE, |key, value, survey| {
            if let Some(id) = number(key) {
                survey.last_number = survey.last_number.max(id);
            }
            let Some(message) = Reader::new(value).stand_in(now, &mut names) else { return Row::Damaged };
            if number(key) != Some(message.id.0) {
                return Row::Damaged;
            }
            messages.put(message);
            Row::Taken
        })?;
        Ok(messages)
    }

    fn sessions(&mut self) -> Result<BTreeMap<Incarnation, SessionRecord>, RecoveryError> {
        let mut sessions = BTreeMap::new();
        self.scan(SESSION, |key, value, survey| {
            let Some(incarnation) = number(key) else { return Row::Damaged };
            survey.last_number = survey.last_number.max(incarnation);
            let Some(terms) = Reader::new(value).session() else { return Row::Damaged };
            let record =
                SessionRecord { terms, subscriptions: Vec::new(), inbound: Vec::new(), places: Vec::new() };
            sessions.insert(Incarnation(incarnation), record);
            Row::Taken
        })?;
        Ok(sessions)
    }

    fn groups(&mut self) -> Result<BTreeMap<Incarnation, GroupRecord>, RecoveryError> {
        let mut groups = BTreeMap::new();
        self.scan(GROUP, |key, value, survey| {
            let (Some(incarnation), Ok(name)) = (number(key), core::str::from_utf8(value)) else {
                return Row::Damaged;
            };
            survey.last_number = survey.last_number.max(incarnation);
            let record = GroupRecord { name: name.to_owned(), letters: Vec::new() };
            groups.insert(Incarnation(incarnation), record);
            Row::Taken
        })?;
        Ok(groups)
    }

    fn subscriptions(
        &mut self,
        sessions: &mut BTreeMap<Incarnation, SessionRecord>,
    ) -> Result<(), RecoveryError> {
        self.scan(SUBSCRIPTION, |key, value, _| {
            let Some((session, filter)) = key.split_first_chunk::<8>() else { return Row::Damaged };
            let incarnation = Incarnation(u64::from_be_bytes(*session));
            let Some(session) = sessions.get_mut(&incarnation) else { return Row::Nobodys };
            match (core::str::from_utf8(filter), Reader::new(value).subscription()) {
                (Ok(filter), Some((options, id))) => {
                    session.subscriptions.push((filter.to_owned(), options, id));
                    Row::Taken
                }
                _ => Row::Damaged,
            }
        })
    }

    fn inbound(&mut self, sessions: &mut BTreeMap<Incarnation, SessionRecord>) -> Result<(), RecoveryError> {
        self.scan(INBOUND, |key, value, _| {
            let mut key = Reader::new(key);
            let (Some(session), Some(id), Some(())) = (key.u64(), key.u16(), key.end(())) else {
                return Row::Damaged;
            };
            let Some(session) = sessions.get_mut(&Incarnation(session)) else { return Row::Nobodys };
            let Some(digest) = Reader::new(value).u64() else { return Row::Damaged };
            session.inbound.push((id, digest));
            Row::Taken
        })
    }

    fn places(
        &mut self,
        sessions: &mut BTreeMap<Incarnation, SessionRecord>,
        groups: &mut BTreeMap<Incarnation, GroupRecord>,
        messages: &mut Messages,
    ) -> Result<(), RecoveryError> {
        let mut handed_out = BTreeSet::new();
        self.scan(PLACE, |key, value, survey| {
            let mut key = Reader::new(key);
            let (Some(owner), Some(number), Some(())) = (key.u64(), key.u64(), key.end(())) else {
                return Row::Damaged;
            };
            let Some(value) = Reader::new(value).place() else { return Row::Damaged };
            let owner = Incarnation(owner);
            let taken = if let Some(session) = sessions.get_mut(&owner) {
                take_place(session, number, &value, messages)
            } else if let Some(group) = groups.get_mut(&owner) {
                take_letter(group, number, &value, messages)
            } else {
                Row::Nobodys
            };
            if taken == Row::Taken {
                survey.places += 1;
                handed_out.extend(value.from);
            }
            taken
        })?;
        for (group, number) in handed_out {
            self.take_back(groups, messages, group, number);
        }
        Ok(())
    }

    /// Takes a message out of a group that a stored session has got: the choice never changes [MQTT-4.8.2-5].
    fn take_back(
        &mut self,
        groups: &mut BTreeMap<Incarnation, GroupRecord>,
        messages: &mut Messages,
        at: Incarnation,
        number: u64,
    ) {
        let Some(group) = groups.get_mut(&at) else { return };
        let Some(index) = group.letters.iter().position(|(letter, _)| *letter == number) else { return };
        let (_, message) = group.letters.remove(index);
        self.survey.places -= 1;
        let mut key = Vec::new();
        numbered_key(&mut key, at, number);
        self.survey.litter.delete(PLACE, &key);
        messages.let_go(message.id);
    }

    fn accepted(&mut self, messages: &mut Messages) -> Result<Vec<Arc<Message>>, RecoveryError> {
        let mut accepted = Vec::new();
        self.scan(ACCEPTED, |key, _, _| {
            let Some(id) = number(key) else { return Row::Damaged };
            let Some(message) = messages.refer(MessageId(id)) else { return Row::Nobodys };
            accepted.push(message);
            Row::Taken
        })?;
        accepted.into_iter().map(|message| self.whole(message)).filter_map(Result::transpose).collect()
    }

    /// Reads what a message says that goes to its readers at once.
    fn whole(&mut self, message: Arc<Message>) -> Result<Option<Arc<Message>>, RecoveryError> {
        if !message.is_away() {
            return Ok(Some(message));
        }
        let key = message.id.0.to_be_bytes();
        let content = self.store.get(MESSAGE, &key)?.and_then(|record| Reader::new(&record).content());
        if content.is_none() {
            self.survey.damaged.push(place_of(MESSAGE, &key));
        }
        Ok(content.map(|content| Message::whole(&message, Some(content))))
    }

    /// Lets go of messages that nothing refers to, and keeps the counts of the others.
    fn drop_unreferred(&mut self, messages: Messages) {
        let (references, nobodys) = messages.counted();
        self.survey.references = references;
        for id in nobodys {
            self.survey.drop_row(MESSAGE, &id.0.to_be_bytes());
        }
    }

    fn retained(&mut self) -> Result<Vec<Arc<Message>>, RecoveryError> {
        let (now, mut retained, mut names) = (self.now, Vec::new(), Names::default());
        self.scan(RETAINED, |key, value, survey| {
            let Some(message) = Reader::new(value).message(now, &mut names) else { return Row::Damaged };
            if key != message.topic().as_bytes() {
                return Row::Damaged;
            }
            survey.last_number = survey.last_number.max(message.id.0);
            if message.is_expired(now.mono) {
                return Row::Nobodys;
            }
            retained.push(Arc::new(message));
            Row::Taken
        })?;
        Ok(retained)
    }

    fn windows(&mut self) -> Result<Vec<(WindowKey, Seen)>, RecoveryError> {
        let mut windows = Vec::new();
        self.scan(WINDOW, |key, value, _| {
            let (Some((life, kid, slot)), Some((identity, seen))) =
                (Reader::new(key).window_key(), Reader::new(value).window())
            else {
                return Row::Damaged;
            };
            if seen.slot() != slot {
                return Row::Damaged;
            }
            windows.push((WindowKey { identity, life, kid }, seen));
            Row::Taken
        })?;
        Ok(windows)
    }

    fn wills(&mut self) -> Result<BTreeMap<Incarnation, WillRecord>, RecoveryError> {
        let mut wills = BTreeMap::new();
        self.scan(WILL, |key, value, survey| {
            let Some(incarnation) = number(key) else { return Row::Damaged };
            survey.last_number = survey.last_number.max(incarnation);
            let Some(will) = Reader::new(value).will() else { return Row::Damaged };
            wills.insert(Incarnation(incarnation), will);
            Row::Taken
        })?;
        Ok(wills)
    }
}

/// Says what a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Taken,
    /// What it belongs to is not there: it is deleted.
    Nobodys,
    /// It does not read.
    Damaged,
}

fn take_place(session: &mut SessionRecord, number: u64, value: &PlaceValue, messages: &mut Messages) -> Row {
    let parcel = match value.stage {
        Stage::Received => None,
        Stage::Owed => match messages.refer(value.message) {
            Some(message) => Some(parcel(value, message)),
            // A crash came between the place and its message, which was then not acknowledged.
            None => return Row::Nobodys,
        },
    };
    session.places.push(Place { number, parcel });
    Row::Taken
}

fn take_letter(group: &mut GroupRecord, number: u64, value: &PlaceValue, messages: &mut Messages) -> Row {
    let Some(message) = messages.refer(value.message) else { return Row::Nobodys };
    group.letters.push((number, message));
    Row::Taken
}

fn number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// Says where a row is, for an operator.
pub(super) fn place_of(table: Table, key: &[u8]) -> String {
    let key: String = key.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
    format!("table {} key {key}", table.number())
}
