//! What one link shows: packets arrive as they were sent, answers leave in the order of what they answer, and what is
//! under way stays within what the two ends announced.

use super::{Breach, Checked, breach};
use crate::event::{ClientNo, MessageNo, ShardNo};
use crate::packet::{Ack, Hello, Packet, Publish};
use keyward_broker::LinkId;
use keyward_mqtt::packet::{Qos, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Is one link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: ClientNo,
    pub(super) hello: Hello,
    pub(super) is_honest: bool,
    pub(super) shard: Option<ShardNo>,
    /// The session that the shard gave it.
    pub(super) session: Option<u64>,
    /// Whether its shard has taken it and not ended it.
    pub(super) is_open: bool,
    pub(super) welcomed: bool,
    /// The first step after it was welcomed at which no letter between shards was under way: everybody knows of it.
    pub(super) known: Option<u64>,
    /// Whether the client has closed it.
    pub(super) given_up: bool,
    heard: bool,
    /// When its shard last had something of it.
    pub(super) last_taken: Millis,
    said: VecDeque<Packet>,
    written: VecDeque<Packet>,
    pub(super) answers: VecDeque<Answer>,
    /// Packet ids of messages that were sent over this link and are not finished.
    pub(super) open: BTreeSet<u16>,
    /// What the client's aliases stand for.
    pub(super) aliases: BTreeMap<u16, String>,
    /// Whether something was taken from it in the running tick.
    pub(super) taken_in_tick: bool,
    /// What the client said in DISCONNECT.
    pub(super) left: Option<ReasonCode>,
    /// For the order of messages: the last one of each stream.
    pub(super) order: BTreeMap<Stream, u64>,
}

/// Is what keeps its order: one publisher's messages of one topic and quality of service, as published and as sent.
pub(super) type Stream = (ClientNo, String, Qos, Qos, bool);

/// Is an answer that the broker owes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) id: u16,
    /// The message that it accepts.
    pub(super) number: Option<MessageNo>,
    /// Whether the rules allow what was asked for, if that is certain.
    pub(super) allowed: Option<bool>,
    /// The ticket that must be durable before.
    pub(super) ticket: Option<u64>,
    /// Whether it can only be a refusal: what was asked for is to be stored, and there was no room (rule 19).
    pub(super) has_no_room: bool,
    /// Filters of a SUBSCRIBE, each with whether it is certainly allowed, and its serial number.
    pub(super) filters: Vec<(String, Option<bool>, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ConnAck,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    SubAck,
    UnsubAck,
}

impl Answer {
    pub(super) fn new(kind: Kind, id: u16) -> Self {
        let has_no_room = false;
        Self { kind, id, number: None, allowed: None, ticket: None, has_no_room, filters: Vec::new() }
    }
}

/// Says whether two ends saw the same packet; how its topic was written down does not matter.
fn same(one: &Packet, other: &Packet) -> bool {
    let bare = |publish: &Publish| Publish { alias: None, ..publish.clone() };
    match (one, other) {
        (Packet::Publish(one), Packet::Publish(other)) => bare(one) == bare(other),
        _ => one == other,
    }
}

impl Link {
    pub(super) fn new(client: ClientNo, hello: Hello, is_honest: bool) -> Self {
        Self {
            client,
            hello,
            is_honest,
            shard: None,
            session: None,
            is_open: false,
            welcomed: false,
            known: None,
            given_up: false,
            heard: false,
            last_taken: Millis::ZERO,
            aliases: BTreeMap::new(),
            taken_in_tick: false,
            said: VecDeque::new(),
            written: VecDeque::new(),
            answers: VecDeque::new(),
            open: BTreeSet::new(),
            left: None,
            order: BTreeMap::new(),
        }
    }

    /// Tells whether a SUBSCRIBE or UNSUBSCRIBE of this packet id waits for its answer.
    pub(super) fn is_asking(&self, id: u16) -> bool {
        let asks = |answer: &Answer| matches!(answer.kind, Kind::SubAck | Kind::UnsubAck);
        self.answers.iter().any(|answer| asks(answer) && answer.id == id)
    }

    pub(super) fn is_v5(&self) -> bool {
        self.hello.version == Version::V5
    }

    /// Takes note of what the client sends. Returns whether it did so before it heard of CONNACK.
    pub(super) fn say(&mut self, packet: &Packet) -> bool {
        self.said.push_back(packet.clone());
        !self.heard
    }

    /// Tells whether the client asked to be given up for lost after so much silence.
    pub(super) fn is_late(&self, now: Millis) -> bool {
        let silence = now.saturating_sub(self.last_taken);
        self.hello.keep_alive > 0 && silence >= Millis(u64::from(self.hello.keep_alive) * 1_500)
    }

    /// Tells whether packets of the client are under way.
    pub(super) fn has_more(&self) -> bool {
        !self.said.is_empty()
    }

    /// The broker got a packet: the next one that the client sent. Returns the alias that it had on its way.
    pub(super) fn take(&mut self, packet: &Packet, now: Millis) -> Checked<Option<u16>> {
        self.taken_in_tick = true;
        self.last_taken = now;
        match self.said.pop_front() {
            Some(Packet::Publish(said)) if same(&Packet::Publish(said.clone()), packet) => Ok(said.alias),
            Some(said) if same(&said, packet) => Ok(None),
            _ if !self.is_honest => Ok(None),
            Some(said) => breach!("client said {said}, shard took {packet}"),
            None => breach!("shard took {packet}, which nobody said"),
        }
    }

    /// The client got a packet: the next one that the broker wrote. Farewells are also the shell's own.
    pub(super) fn hear(&mut self, packet: &Packet) -> Checked {
        self.heard = true;
        if self.written.front().is_some_and(|written| same(written, packet)) {
            self.written.pop_front();
            return Ok(());
        }
        match packet {
            Packet::Disconnect { .. } => Ok(()),
            Packet::ConnAck { reason, .. } if reason.is_failure() => Ok(()),
            _ => breach!("client heard {packet}, but {:?} was written", self.written.front()),
        }
    }

    /// Checks what holds of every packet that a shard writes.
    pub(super) fn write(&mut self, packet: &Packet, bytes: usize) -> Checked {
        if let Some(most) = self.hello.maximum_packet_size
            && bytes > most as usize
        {
            return breach!("[MQTT-3.1.2-24] {bytes} bytes to a client that takes {most}: {packet}");
        }
        let is_first = matches!(packet, Packet::ConnAck { .. });
        let is_last = matches!(packet, Packet::Disconnect { .. });
        if !is_last && is_first == self.welcomed {
            return breach!("[MQTT-3.2.0-1] CONNACK is not the first packet: {packet}");
        }
        if let Packet::Publish(Publish { alias: Some(alias), .. }) = packet
            && self.hello.topic_alias_maximum.is_none_or(|most| *alias > most)
        {
            return breach!("[MQTT-3.1.2-26] alias {alias} is above what the client takes");
        }
        if let Packet::Disconnect { reason, .. } = packet
            && self.is_honest
            && is_reproach(*reason)
        {
            return breach!("an honest client is told {}", reason.as_str());
        }
        self.written.push_back(packet.clone());
        Ok(())
    }

    /// Takes the answer that is due if `kind` and `id` are those of the oldest.
    pub(super) fn answer(&mut self, kind: Kind, ack: Ack) -> Checked<Option<Answer>> {
        if self.answers.front().is_some_and(|answer| answer.kind == kind && answer.id == ack.id) {
            return Ok(self.answers.pop_front());
        }
        if kind == Kind::PubRel || !self.is_honest || self.hello.maximum_packet_size.is_some() {
            // PUBREL is also repeated on resume; a small client is not sent what is too large for it.
            let place = self.answers.iter().position(|answer| answer.kind == kind && answer.id == ack.id);
            return Ok(match place {
                Some(place) if kind != Kind::PubRel => self.answers.drain(..=place).next_back(),
                _ => None,
            });
        }
        breach!("{kind:?} {} is not the answer that is due: {:?}", ack.id, self.answers.front())
    }

    /// A message of QoS 1 or 2 goes over this link. Returns whether the client takes no more beside it.
    pub(super) fn open(&mut self, id: u16) -> Checked<bool> {
        self.open.insert(id);
        let most = self.hello.receive_maximum.unwrap_or(u16::MAX);
        if self.open.len() > usize::from(most) {
            return breach!("[MQTT-3.3.4-9] {} messages under way, receive maximum {most}", self.open.len());
        }
        Ok(self.open.len() == usize::from(most))
    }
}

/// Tells whether a reason is one that only a client deserves that broke a rule.
fn is_reproach(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::MalformedPacket
            | ReasonCode::ProtocolError
            | ReasonCode::ReceiveMaximumExceeded
            | ReasonCode::TopicAliasInvalid
            | ReasonCode::PacketTooLarge
            | ReasonCode::PacketIdentifierInUse
            | ReasonCode::TopicNameInvalid
            | ReasonCode::TopicFilterInvalid
    )
}

/// Is a message that a client was sent and has not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) number: Option<MessageNo>,
    pub(super) qos: Qos,
    /// Whether its PUBREC came.
    pub(super) received: bool,
    /// Whether PUBREL was sent.
    pub(super) released: bool,
    /// Which step sent it first.
    pub(super) begun: u64,
    /// Over which link it was sent last.
    pub(super) link: LinkId,
}

impl Flight {
    /// Makes one of which only PUBCOMP is owed.
    pub(super) fn ended(number: Option<MessageNo>, step: u64) -> Self {
        let (qos, link) = (Qos::ExactlyOnce, LinkId(0));
        Self { number, qos, received: true, released: true, begun: step, link }
    }
}

/// Holds a client's unfinished messages by packet id.
pub(super) type Flights = BTreeMap<u16, Flight>;

/// Notes that a PUBLISH goes out; a repetition is one of something that was sent over an earlier link.
pub(super) fn send(flights: &mut Flights, publish: &Publish, link: LinkId, step: u64) -> Result<(), Breach> {
    let Some(id) = publish.id else {
        return if publish.dup { breach!("[MQTT-3.3.1-2] QoS 0 with DUP: {publish}") } else { Ok(()) };
    };
    let (received, released) = (false, false);
    let flight = Flight { number: publish.number, qos: publish.qos, received, released, begun: step, link };
    match (flights.get(&id), publish.dup) {
        (None, false) => {}
        (Some(before), true) if before.received => {
            return breach!("QoS 2 again after its PUBREC: {publish}");
        }
        (Some(before), true) if *before == (Flight { link: before.link, begun: before.begun, ..flight }) => {
            if before.link == link {
                return breach!("[MQTT-4.4.0-1] repeated without a new link: {publish}");
            }
        }
        (Some(before), _) => {
            return breach!("[MQTT-2.2.1-4] packet id {id} is in use for {before:?}: {publish}");
        }
        (None, true) => return breach!("[MQTT-3.3.1-1] DUP on what was not sent before: {publish}"),
    }
    flights.insert(id, flight);
    Ok(())
}
