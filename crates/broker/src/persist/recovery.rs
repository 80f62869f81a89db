//! Reads at a start what is on disk, and says what of it belongs to nobody.

use super::journal::References;
use super::messages::{Messages, Names};
use super::records::numbered_key;
use super::wire::{PlaceValue, Reader, SessionTerms, Stage, WillRecord, parcel};
use super::{
    ACCEPTED, FORMAT, FORMAT_KEY, GROUP, HASH_KEY, INBOUND, MESSAGE, META, PLACE, RETAINED, SESSION,
};
use super::{SUBSCRIPTION, WILL};
use crate::message::{Message, MessageId};
use crate::outbound::Parcel;
use crate::placement::{HashKey, ShardIndex, group_home, shard_of, topic_home};
use crate::session::Incarnation;
use core::fmt;
use core::num::NonZeroU32;
use keyward_mqtt::packet::SubscribeOptions;
use keyward_mqtt::time::Now;
use keyward_store::{Batch, Read, ReadError, Scan, Table};
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
    },
    /// It cannot be read.
    Unreadable(ReadError),
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { found } => write!(
                f,
                "the messages on disk have format {found}, this program reads up to {FORMAT}: use a newer one"
            ),
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

/// Holds everything that was found.
#[derive(Debug)]
pub struct Recovered {
    hash_key: HashKey,
    sessions: BTreeMap<Incarnation, SessionRecord>,
    wills: BTreeMap<Incarnation, WillRecord>,
    groups: BTreeMap<Incarnation, GroupRecord>,
    retained: Vec<Arc<Message>>,
    accepted: Vec<Arc<Message>>,
    survey: Survey,
}

/// Counts what was found, and says what is to be tidied up.
#[derive(Debug, Default)]
pub struct Survey {
    /// How many records refer to each message.
    pub(super) references: References,
    /// Lower than every number that is to be given from now on.
    pub(crate) last_number: u64,
    /// Removes what belongs to nobody: commit it before anything else.
    pub litter: Batch,
    /// Records that do not read, by table and key. They are left where they are, with what may belong to them.
    pub damaged: Vec<String>,
    /// Stored sessions.
    pub sessions: usize,
    /// Messages that wait in sessions and groups.
    pub places: usize,
    /// Retained messages.
    pub retained: usize,
}

/// Is a stored session with all that belongs to it.
#[derive(Debug)]
pub(crate) struct SessionRecord {
    pub(crate) terms: SessionTerms,
    pub(crate) subscriptions: Vec<(String, SubscribeOptions, Option<NonZeroU32>)>,
    /// Packet ids in use by QoS 2 messages from the client, with the digests of these.
    pub(crate) inbound: Vec<(u16, u64)>,
    pub(crate) places: Vec<Place>,
}

/// Is a message that waits in a session or a group.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) number: u64,
    /// What is to be sent; `None` once it has arrived and only PUBCOMP is owed.
    pub(crate) parcel: Option<Parcel>,
}

/// Is a shared group.
#[derive(Debug)]
pub(crate) struct GroupRecord {
    pub(crate) name: String,
    pub(crate) letters: Vec<(u64, Arc<Message>)>,
}

/// Is what belongs to one shard.
#[derive(Debug)]
pub struct Portion {
    pub(crate) last_number: u64,
    pub(crate) sessions: Vec<(Incarnation, SessionRecord)>,
    pub(crate) wills: Vec<(Incarnation, WillRecord)>,
    pub(crate) groups: Vec<(Incarnation, GroupRecord)>,
    pub(crate) retained: Vec<Arc<Message>>,
    pub(crate) accepted: Vec<Arc<Message>>,
}

/// Reads a whole store. `fresh` is the key of hashes for a store that has none yet; it is then among what
/// [`Survey::litter`] writes.
///
/// # Errors
/// [`RecoveryError`]: nothing is changed then.
pub fn recover(store: &dyn Read, fresh: HashKey, now: Now) -> Result<Recovered, RecoveryError> {
    let mut survey = Survey::default();
    let hash_key = read_meta(store, fresh, &mut survey)?;
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
    let mut survey = found.survey;
    survey.sessions = sessions.len();
    survey.retained = retained.len();
    Ok(Recovered { hash_key, sessions, wills, groups, retained, accepted, survey })
}

impl Recovered {
    /// Returns the key of hashes: that of the store.
    pub fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    /// Returns the counts.
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Gives each of so many shards what belongs to it.
    pub fn split(self, shards: u16) -> (Vec<Portion>, Survey) {
        let last_number = self.survey.last_number;
        let empty = || Portion {
            last_number,
            sessions: Vec::new(),
            wills: Vec::new(),
            groups: Vec::new(),
            retained: Vec::new(),
            accepted: Vec::new(),
        };
        let mut split: Vec<Portion> = (0..shards.max(1)).map(|_| empty()).collect();
        let key = self.hash_key;
        let at = |index: ShardIndex| usize::from(index.0);
        for (incarnation, session) in self.sessions {
            let home = shard_of(&key, &session.terms.key.identity, &session.terms.key.client_id, shards);
            split[at(home)].sessions.push((incarnation, session));
        }
        for (incarnation, will) in self.wills {
            let home = shard_of(&key, &will.key.identity, &will.key.client_id, shards);
            split[at(home)].wills.push((incarnation, will));
        }
        for (incarnation, group) in self.groups {
            let home = group_home(&key, &group.name, shards);
            split[at(home)].groups.push((incarnation, group));
        }
        for message in self.retained {
            let home = topic_home(&key, message.topic(), shards);
            split[at(home)].retained.push(message);
        }
        // In the order of their ids, which is that of each publisher's messages; any one shard can route them.
        split[0].accepted = self.accepted;
        (split, self.survey)
    }
}

fn read_meta(store: &dyn Read, fresh: HashKey, survey: &mut Survey) -> Result<HashKey, RecoveryError> {
    let format = store.get(META, FORMAT_KEY)?.and_then(|bytes| Reader::new(&bytes).u32());
    if let Some(found) = format
        && found > FORMAT
    {
        return Err(RecoveryError::Newer { found });
    }
    if format.is_none() {
        survey.litter.put(META, FORMAT_KEY, &FORMAT.to_be_bytes());
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
            let Some(message) = Reader::new(value).message(now, &mut names) else { return Row::Damaged };
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
        Ok(accepted)
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

impl Survey {
    /// Deletes what belongs to nobody. Where something does not read, it may belong to that: then it is left where it is.
    fn drop_row(&mut self, table: Table, key: &[u8]) {
        if self.damaged.is_empty() {
            self.litter.delete(table, key);
        }
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
