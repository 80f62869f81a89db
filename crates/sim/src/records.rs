//! What is on the disk of a broker, read as `docs/format.md` describes it and by nothing of the broker's.

use crate::event::{MessageNo, ShardNo};
use crate::words;
use keyward_broker::HashKey;
use keyward_broker::placement::shard_of;
use keyward_ids::{ClientId, Identity};
use keyward_mqtt::packet::{Qos, RetainHandling, SubscribeOptions};
use keyward_mqtt::time::{Millis, UnixMillis};
use keyward_store::{Read, Scan, Table};
use std::collections::BTreeMap;

/// How many tables there are.
const TABLES: usize = 10;

/// The table of retained messages: they outlive everybody.
const RETAINED: usize = 7;

/// Is everything that a broker finds on disk when it starts, once what belongs to nobody was taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Stored sessions.
    pub sessions: Vec<FoundSession>,
    /// Wills.
    pub wills: Vec<FoundWill>,
    /// Messages that groups hold.
    pub letters: Vec<(String, FoundMessage)>,
    /// QoS 2 messages that were taken and have gone to nobody.
    pub accepted: Vec<FoundMessage>,
    /// Retained messages, by topic.
    pub retained: Vec<(String, FoundMessage)>,
}

/// Is a session on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSession {
    /// Its number, never used again.
    pub incarnation: u64,
    /// Where it lives.
    pub shard: ShardNo,
    /// Whose.
    pub identity: Identity,
    /// And under which client id.
    pub client_id: String,
    /// The life of its owner.
    pub life: u64,
    /// How long it outlives its link.
    pub span: Millis,
    /// When its link ended.
    pub left: Option<UnixMillis>,
    /// Its subscriptions.
    pub subs: Vec<(String, SubscribeOptions, Option<u32>)>,
    /// Packet ids that its client has in use.
    pub inbound: Vec<u16>,
    /// What it is owed.
    pub places: Vec<FoundPlace>,
}

/// Is a message that is owed to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPlace {
    /// Under which packet id.
    pub id: u16,
    /// What; `None` once it has arrived.
    pub message: Option<FoundMessage>,
    /// At which quality of service.
    pub qos: Qos,
    /// With the retain flag.
    pub retain: bool,
}

/// Is a message on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMessage {
    /// Which.
    pub number: Option<MessageNo>,
    /// When it expires.
    pub expires: Option<UnixMillis>,
}

/// Is a will on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundWill {
    /// The number of the session.
    pub incarnation: u64,
    /// Where that lives.
    pub shard: ShardNo,
    /// Whose.
    pub identity: Identity,
    /// And under which client id.
    pub client_id: String,
    /// The life of its owner.
    pub life: u64,
    /// When it is due; `None` if there was a link.
    pub due: Option<UnixMillis>,
    /// Which message it is.
    pub number: Option<MessageNo>,
    /// Where it goes.
    pub topic: String,
    /// Quality of service.
    pub qos: Qos,
    /// The retain flag.
    pub retain: bool,
    /// Seconds between the end of the link and the will.
    pub delay: u32,
    /// Seconds that it lives.
    pub expiry: Option<u32>,
}

/// Counts the records of each table that may not be left when all sessions have ended.
pub(crate) fn left_over(disk: &dyn Read) -> Vec<(usize, usize)> {
    let tables = (1..TABLES).filter(|table| *table != RETAINED);
    let counts = tables.map(|table| (table, rows(disk, table as u8).len()));
    counts.filter(|(_, count)| *count > 0).collect()
}

impl Found {
    /// Reads a disk.
    ///
    /// # Panics
    /// A record is not what the format says.
    pub(crate) fn read(disk: &dyn Read, homes: Homes) -> Self {
        match Self::try_read(disk, homes) {
            Some(found) => found,
            None => panic!("a record is not what the format says"),
        }
    }

    fn try_read(disk: &dyn Read, homes: Homes) -> Option<Self> {
        let mut messages = BTreeMap::new();
        for (key, value) in rows(disk, 5) {
            messages.insert(number(&key)?, Cursor(&value).message()?);
        }
        let mut sessions: BTreeMap<u64, FoundSession> = BTreeMap::new();
        for (key, value) in rows(disk, 1) {
            let incarnation = number(&key)?;
            sessions.insert(incarnation, Cursor(&value).session(incarnation, homes)?);
        }
        for (key, value) in rows(disk, 2) {
            let (owner, filter) = key.split_first_chunk::<8>()?;
            let filter = String::from_utf8(filter.to_vec()).ok()?;
            let (options, id) = Cursor(&value).subscription()?;
            sessions.get_mut(&u64::from_be_bytes(*owner))?.subs.push((filter, options, id));
        }
        for (key, _) in rows(disk, 3) {
            let mut key = Cursor(&key);
            let owner = key.u64()?;
            sessions.get_mut(&owner)?.inbound.push(key.u16()?);
        }
        let mut groups = BTreeMap::new();
        for (key, value) in rows(disk, 9) {
            groups.insert(number(&key)?, String::from_utf8(value).ok()?);
        }
        let mut letters = Vec::new();
        for (key, value) in rows(disk, 4) {
            let mut key = Cursor(&key);
            let (owner, place) = (key.u64()?, key.u64()?);
            match sessions.get_mut(&owner) {
                Some(session) => session.places.push(Cursor(&value).place(place, &messages)?),
                None => {
                    let place = Cursor(&value).place(place, &messages)?;
                    letters.push((groups.get(&owner)?.clone(), place.message?));
                }
            }
        }
        let accepted = rows(disk, 6).into_iter();
        let accepted =
            accepted.map(|(key, _)| messages.get(&number(&key)?).cloned()).collect::<Option<_>>()?;
        let retained = rows(disk, 7)
            .into_iter()
            .map(|(key, value)| Some((String::from_utf8(key).ok()?, Cursor(&value).message()?)));
        let retained = retained.collect::<Option<_>>()?;
        let wills = rows(disk, 8).into_iter();
        let wills = wills.map(|(key, value)| Cursor(&value).will(number(&key)?, homes));
        let wills = wills.collect::<Option<_>>()?;
        Some(Self { sessions: sessions.into_values().collect(), wills, letters, accepted, retained })
    }
}

/// Says where sessions live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Homes {
    pub(crate) key: HashKey,
    pub(crate) shards: u16,
}

impl Homes {
    fn of(&self, identity: &Identity, client_id: &str) -> ShardNo {
        let home = shard_of(&self.key, identity, &ClientId::new(client_id), self.shards);
        ShardNo(usize::from(home.0))
    }
}

fn rows(disk: &dyn Read, table: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut scan = Scan::of(Table::new(table), b"");
    let mut rows = Vec::new();
    while disk.next_page(&mut scan).is_ok_and(|is_more| is_more) {
        rows.extend(scan.rows().map(|(key, value)| (key.to_vec(), value.to_vec())));
    }
    rows
}

fn number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// Reads one record.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn run(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        let (run, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(run)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.run()?.to_vec()).ok()
    }

    fn moment(&mut self) -> Option<Option<UnixMillis>> {
        let millis = self.u64()?;
        Some((millis > 0).then_some(UnixMillis(millis)))
    }

    fn qos(&mut self) -> Option<Qos> {
        [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce].get(usize::from(self.u8()?)).copied()
    }

    fn identity(&mut self) -> Option<Identity> {
        let kind = if self.u8()? == 0 { "device" } else { "user" };
        format!("{kind}:{}", self.text()?).parse().ok()
    }

    fn session(mut self, incarnation: u64, homes: Homes) -> Option<FoundSession> {
        let (identity, life, client_id) = (self.identity()?, self.u64()?, self.text()?);
        let (span, left) = (Millis(self.u64()?), self.moment()?);
        let (subs, inbound, places) = (Vec::new(), Vec::new(), Vec::new());
        let shard = homes.of(&identity, &client_id);
        Some(FoundSession {
            incarnation,
            shard,
            identity,
            client_id,
            life,
            span,
            left,
            subs,
            inbound,
            places,
        })
    }

    fn subscription(mut self) -> Option<(SubscribeOptions, Option<u32>)> {
        let (qos, flags, id) = (self.qos()?, self.u8()?, self.u32()?);
        let options = SubscribeOptions {
            qos,
            no_local: flags & 1 != 0,
            retain_as_published: flags & 2 != 0,
            retain_handling: RetainHandling::Never,
        };
        Some((options, (id > 0).then_some(id)))
    }

    fn place(mut self, place: u64, messages: &BTreeMap<u64, FoundMessage>) -> Option<FoundPlace> {
        let (stage, message, qos, retain) = (self.u8()?, self.u64()?, self.qos()?, self.u8()? != 0);
        let message = if stage == 0 { Some(messages.get(&message)?.clone()) } else { None };
        // [1, 65,535]
        let id = (place % 65_535) as u16 + 1;
        Some(FoundPlace { id, message, qos, retain })
    }

    fn message(mut self) -> Option<FoundMessage> {
        let (_id, _publisher, _life, _origin) = (self.u64()?, self.identity()?, self.u64()?, self.u64()?);
        let (_qos, _flags, _published, expires) = (self.u8()?, self.u8()?, self.moment()?, self.moment()?);
        let (_topic, _forwarded, payload) = (self.run()?, self.run()?, self.run()?);
        Some(FoundMessage { number: words::number(payload), expires })
    }

    fn will(mut self, incarnation: u64, homes: Homes) -> Option<FoundWill> {
        let (identity, life, client_id, due) = (self.identity()?, self.u64()?, self.text()?, self.moment()?);
        let (topic, _forwarded, payload) = (self.text()?, self.run()?, self.run()?);
        let (qos, retain, delay) = (self.qos()?, self.u8()? != 0, self.u32()?);
        let (has_expiry, expiry) = (self.u8()? != 0, self.u32()?);
        let (number, expiry) = (words::number(payload), has_expiry.then_some(expiry));
        let shard = homes.of(&identity, &client_id);
        Some(FoundWill {
            incarnation,
            shard,
            identity,
            client_id,
            life,
            due,
            number,
            topic,
            qos,
            retain,
            delay,
            expiry,
        })
    }
}
