//! Records as bytes. Numbers in keys are big-endian, so that they sort as they count; those in values too. A text or a
//! byte string follows its length (32 bits). What does not read to its last byte is damaged.

use super::messages::Names;
use crate::attach::Testament;
use crate::input::SubscriptionIdSet;
use crate::message::{Content, Draft, Message, MessageId, Publisher};
use crate::outbound::Parcel;
use crate::session::{Incarnation, SessionKey};
use core::num::NonZeroU32;
use keyward_envelope::Record as Seen;
use keyward_ids::{ClientId, Identity, Kind};
use keyward_mqtt::packet::RetainHandling;
use keyward_mqtt::packet::{Qos, SubscribeOptions};
use keyward_mqtt::time::{Millis, Now, UnixMillis};

/// Is a stored session as its record says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionTerms {
    pub(crate) key: SessionKey,
    pub(crate) life: u64,
    /// How long it outlives its link.
    pub(crate) span: Millis,
    /// When its link ended; `None` while there is one.
    pub(crate) left: Option<UnixMillis>,
}

/// Says how far a place has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its message has not arrived, as far as the broker knows.
    Owed,
    /// Its message has arrived: PUBREC came, PUBCOMP is owed.
    Received,
}

/// Is a will as its record says it.
#[derive(Debug)]
pub(crate) struct WillRecord {
    pub(crate) key: SessionKey,
    pub(crate) life: u64,
    /// When it is due; `None` while there is a link.
    pub(crate) due: Option<UnixMillis>,
    pub(crate) will: Testament,
}

/// Is a place as its record says it.
#[derive(Debug)]
pub(crate) struct PlaceValue {
    pub(crate) stage: Stage,
    pub(crate) message: MessageId,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) ids: Vec<NonZeroU32>,
    /// The group and the number there, if it was handed out by one.
    pub(crate) from: Option<(Incarnation, u64)>,
}

/// Writes values.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Begins another value in the same buffer.
    pub(crate) fn begin(&mut self) -> &mut Self {
        self.0.clear();
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn run(&mut self, bytes: &[u8]) -> &mut Self {
        // Everything that a packet can carry is below 4 GiB.
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
        self
    }

    fn moment(&mut self, moment: Option<UnixMillis>) -> &mut Self {
        self.u64(moment.map_or(0, |moment| moment.0.max(1)))
    }

    fn identity(&mut self, identity: &Identity) -> &mut Self {
        let kind = match identity.kind() {
            Kind::Device => 0,
            Kind::User => 1,
        };
        self.u8(kind).run(identity.name().as_bytes())
    }

    fn owner(&mut self, key: &SessionKey, life: u64) -> &mut Self {
        self.identity(&key.identity).u64(life).run(key.client_id.as_str().as_bytes())
    }

    pub(crate) fn session(&mut self, terms: &SessionTerms) {
        self.owner(&terms.key, terms.life).u64(terms.span.0).moment(terms.left);
    }

    pub(crate) fn subscription(&mut self, options: SubscribeOptions, id: Option<NonZeroU32>) {
        let flags = u8::from(options.no_local) | u8::from(options.retain_as_published) << 1;
        self.u8(options.qos as u8).u8(flags).u32(id.map_or(0, NonZeroU32::get));
    }

    pub(crate) fn place(&mut self, stage: Stage, parcel: &Parcel, from: Option<(Incarnation, u64)>) {
        self.place_head(stage, parcel.message.id, parcel.qos, parcel.retain, from);
        for id in parcel.ids.as_slice() {
            self.u32(id.get());
        }
    }

    pub(crate) fn place_head(
        &mut self,
        stage: Stage,
        message: MessageId,
        qos: Qos,
        retain: bool,
        from: Option<(Incarnation, u64)>,
    ) {
        let stage = match stage {
            Stage::Owed => 0,
            Stage::Received => 1,
        };
        self.u8(stage).u64(message.0).u8(qos as u8).u8(u8::from(retain)).u8(u8::from(from.is_some()));
        if let Some((group, number)) = from {
            self.u64(group.0).u64(number);
        }
    }

    pub(crate) fn message(&mut self, message: &Message, now: Now) {
        let flags = u8::from(message.retain) | u8::from(message.is_will) << 1;
        let expires = message.expires.map(|at| to_wall(at, now));
        self.u64(message.id.0).identity(&message.publisher.identity).u64(message.publisher.life);
        self.u64(message.origin.0).u8(message.qos as u8).u8(flags);
        self.moment(Some(now.wall)).moment(expires);
        self.run(message.topic().as_bytes()).run(message.forwarded()).run(message.payload());
    }

    pub(crate) fn window(&mut self, identity: &Identity, seen: Seen) {
        self.identity(identity).0.extend_from_slice(&seen.to_bytes());
    }

    pub(crate) fn will(&mut self, key: &SessionKey, life: u64, due: Option<UnixMillis>, will: &Testament) {
        self.owner(key, life).moment(due);
        self.run(will.topic.as_bytes()).run(&will.forwarded).run(&will.payload);
        self.u8(will.qos as u8).u8(u8::from(will.retain)).u32(will.delay);
        self.u8(u8::from(will.expiry.is_some())).u32(will.expiry.unwrap_or(0));
    }
}

/// Returns the wall time of a moment of the monotonic clock.
pub(crate) fn to_wall(at: Millis, now: Now) -> UnixMillis {
    let ahead = at.saturating_sub(now.mono);
    let behind = now.mono.saturating_sub(at);
    now.wall.saturating_add(ahead).saturating_sub(behind)
}

/// Returns the moment of the monotonic clock that was meant by a wall time; one that has passed is now.
pub(crate) fn to_mono(at: UnixMillis, now: Now) -> Millis {
    now.mono.saturating_add(at.since(now.wall))
}

/// Reads values. After the first thing that is not there everything is `None`.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns what was read if nothing is left over.
    pub(crate) fn end<T>(self, read: T) -> Option<T> {
        self.0.is_empty().then_some(read)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn run(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        let (run, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(run)
    }

    fn text(&mut self) -> Option<&'a str> {
        core::str::from_utf8(self.run()?).ok()
    }

    fn moment(&mut self) -> Option<Option<UnixMillis>> {
        let millis = self.u64()?;
        Some((millis > 0).then_some(UnixMillis(millis)))
    }

    fn qos(&mut self) -> Option<Qos> {
        match self.u8()? {
            0 => Some(Qos::AtMostOnce),
            1 => Some(Qos::AtLeastOnce),
            2 => Some(Qos::ExactlyOnce),
            _ => None,
        }
    }

    fn identity(&mut self) -> Option<Identity> {
        let (kind, name) = (self.kind()?, self.text()?);
        Identity::new(kind, name).ok()
    }

    fn kind(&mut self) -> Option<Kind> {
        match self.u8()? {
            0 => Some(Kind::Device),
            1 => Some(Kind::User),
            _ => None,
        }
    }

    fn owner(&mut self) -> Option<(SessionKey, u64)> {
        let identity = self.identity()?;
        let life = self.u64()?;
        let client_id = ClientId::new(self.text()?);
        Some((SessionKey { identity, client_id }, life))
    }

    pub(crate) fn session(mut self) -> Option<SessionTerms> {
        let (key, life) = self.owner()?;
        let terms = SessionTerms { key, life, span: Millis(self.u64()?), left: self.moment()? };
        self.end(terms)
    }

    pub(crate) fn subscription(mut self) -> Option<(SubscribeOptions, Option<NonZeroU32>)> {
        let (qos, flags, id) = (self.qos()?, self.u8()?, self.u32()?);
        let options = SubscribeOptions {
            qos,
            no_local: flags & 1 != 0,
            retain_as_published: flags & 2 != 0,
            retain_handling: RetainHandling::Never,
        };
        self.end((options, NonZeroU32::new(id)))
    }

    pub(crate) fn place(mut self) -> Option<PlaceValue> {
        let stage = match self.u8()? {
            0 => Stage::Owed,
            1 => Stage::Received,
            _ => return None,
        };
        let (message, qos, retain) = (MessageId(self.u64()?), self.qos()?, self.flag()?);
        let from = if self.flag()? { Some((Incarnation(self.u64()?), self.u64()?)) } else { None };
        let mut ids = Vec::new();
        while !self.0.is_empty() {
            ids.push(NonZeroU32::new(self.u32()?)?);
        }
        Some(PlaceValue { stage, message, qos, retain, ids, from })
    }

    pub(crate) fn message(self, now: Now, names: &mut Names) -> Option<Message> {
        self.draft(now, names).map(Message::from)
    }

    /// Reads what a message says.
    pub(crate) fn content(self) -> Option<Content> {
        let draft = self.draft(Now::default(), &mut Names::default())?;
        let buffer = Vec::with_capacity(draft.len());
        Some(Content::in_buffer(buffer, draft.topic, draft.forwarded, draft.payload))
    }

    /// Reads a message as it is held while it waits on disk: small ones whole, of others a stand-in.
    pub(crate) fn stand_in(self, now: Now, names: &mut Names) -> Option<Message> {
        self.draft(now, names).map(Message::found)
    }

    fn draft(mut self, now: Now, names: &mut Names) -> Option<Draft<'a>> {
        let id = MessageId(self.u64()?);
        let (kind, name) = (self.kind()?, self.text()?);
        let publisher = Publisher { identity: names.identity(kind, name)?, life: self.u64()? };
        let (origin, qos, flags) = (Incarnation(self.u64()?), self.qos()?, self.u8()?);
        let (_published, expires) = (self.moment()?, self.moment()?);
        let (topic, forwarded, payload) = (self.text()?, self.run()?, self.run()?);
        let draft = Draft {
            id,
            topic,
            forwarded,
            payload,
            qos,
            retain: flags & 1 != 0,
            expires: expires.map(|at| to_mono(at, now)),
            publisher,
            origin,
            is_will: flags & 2 != 0,
        };
        self.end(draft)
    }

    pub(crate) fn window(mut self) -> Option<(Identity, Seen)> {
        let seen = (self.identity()?, Seen::from_bytes(&self.take()?));
        self.end(seen)
    }

    /// Reads the key of a number in a window: life, name of the key, place.
    pub(crate) fn window_key(mut self) -> Option<(u64, [u8; 8], u16)> {
        let key = (self.u64()?, self.take()?, self.u16()?);
        self.end(key)
    }

    pub(crate) fn will(mut self) -> Option<WillRecord> {
        let (key, life) = self.owner()?;
        let due = self.moment()?;
        let (topic, forwarded, payload) = (self.text()?, self.run()?, self.run()?);
        let (qos, retain, delay) = (self.qos()?, self.flag()?, self.u32()?);
        let (has_expiry, expiry) = (self.flag()?, self.u32()?);
        let will = Testament {
            topic: topic.into(),
            forwarded: forwarded.into(),
            payload: payload.into(),
            qos,
            retain,
            delay,
            expiry: has_expiry.then_some(expiry),
        };
        self.end(WillRecord { key, life, due, will })
    }
}

/// Makes a parcel of what a record says.
pub(crate) fn parcel(value: &PlaceValue, message: std::sync::Arc<Message>) -> Parcel {
    Parcel {
        message,
        qos: value.qos,
        retain: value.retain,
        ids: value.ids.iter().copied().collect::<SubscriptionIdSet>(),
    }
}
