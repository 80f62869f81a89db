//! A client program: its own small logic over the codec, with what it remembers of its session.
//!
//! It shares no state machine with the product's client, so that a fault of that one cannot hide one of the broker.

mod hearing;
mod line;
mod memory;
mod speech;

use crate::dice::Dice;
use crate::event::{ClientNo, MessageNo, What};
use crate::log::Log;
use crate::packet::{Ack, Hello, Packet, Publish};
use crate::setup::ClientSetup;
use crate::wire::{Stream, Wire, Wires};
use keyward_broker::LinkId;
use keyward_ids::Identity;
use keyward_mqtt::packet::{Qos, SubscribeOptions, Version};
use keyward_mqtt::reason::ReasonCode;
use line::Line;
use memory::{Memory, Stage};

/// Is a client program.
pub(crate) struct Client {
    no: ClientNo,
    setup: ClientSetup,
    identity: Identity,
    line: Option<Line>,
    memory: Memory,
    /// Whether it takes what arrives. A slow reader does not.
    reads: bool,
}

/// Is a message that a client is to publish.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Which message; `None` for an empty payload.
    pub number: Option<MessageNo>,
    /// Where.
    pub topic: String,
    /// Quality of service.
    pub qos: Qos,
    /// The retain flag.
    pub retain: bool,
    /// Seconds; left out in 3.1 and 3.1.1.
    pub expiry: Option<u32>,
    /// Whether the payload is large enough for the broker to share it instead of copying it.
    pub large: bool,
}

/// Is what a client does with: the trace, the links and the dice.
pub(crate) struct Desk<'a> {
    pub(crate) log: &'a mut Log,
    pub(crate) wires: &'a mut Wires,
    pub(crate) dice: &'a mut Dice,
}

impl Client {
    pub(crate) fn new(no: ClientNo, setup: ClientSetup, identity: Identity) -> Self {
        Self { no, setup, identity, line: None, memory: Memory::default(), reads: true }
    }

    pub(crate) fn setup(&self) -> &ClientSetup {
        &self.setup
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Tells whether it has a link, as far as it knows.
    pub(crate) fn has_link(&self) -> bool {
        self.line.is_some()
    }

    pub(crate) fn link(&self) -> Option<LinkId> {
        self.line.as_ref().map(|line| line.id)
    }

    /// Tells whether it was welcomed over its present link.
    pub(crate) fn is_open(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.is_open)
    }

    /// Tells whether the broker may keep a session for it.
    pub(crate) fn may_have_session(&self) -> bool {
        self.memory.may_have_session
    }

    pub(crate) fn set_reading(&mut self, reads: bool) {
        self.reads = reads;
    }

    pub(crate) fn filters(&self) -> &[String] {
        &self.memory.filters
    }

    // Links.

    /// Gives up the link that it has, if any, and opens another.
    pub(crate) fn connect(&mut self, desk: &mut Desk<'_>, link: LinkId, capacity: usize, hello: Hello) {
        if let Some(wire) = self.line.take().and_then(|line| desk.wires.get_mut(&line.id)) {
            wire.desert();
        }
        self.reads = true;
        let mut wire = Wire::new(capacity);
        wire.send_up(&speech::connect(&self.setup, &self.identity, &hello));
        desk.wires.insert(link, wire);
        self.memory.may_have_session = true;
        self.line = Some(Line::new(link, &hello));
        desk.log.say(What::Connects { client: self.no, link, hello });
    }

    /// Sends a message of QoS 0 right behind CONNECT, not knowing whether it is welcome [MQTT-3.1.4-5].
    pub(crate) fn publish_unasked(&mut self, desk: &mut Desk<'_>, draft: Draft) {
        let (publish, payload) = self.compose(Draft { qos: Qos::AtMostOnce, ..draft }, None);
        let bytes = speech::publish(self.setup.version, &publish, &payload, true);
        self.say(desk, Packet::Publish(publish), &bytes);
    }

    /// Learns, or decides, that the link is over.
    pub(crate) fn break_link(&mut self, desk: &mut Desk<'_>) {
        let Some(line) = self.line.take() else { return };
        if let Some(wire) = desk.wires.get_mut(&line.id) {
            wire.leave_client();
        }
        desk.log.say(What::Breaks { client: self.no, link: line.id });
    }

    /// Loses what it knew of its session.
    pub(crate) fn forget(&mut self, desk: &mut Desk<'_>) {
        self.break_link(desk);
        self.memory =
            Memory { may_have_session: self.memory.may_have_session, is_blank: true, ..Memory::default() };
        desk.log.say(What::Forgets { client: self.no });
    }

    /// Tells whether it owes no acknowledgement.
    pub(crate) fn is_quiet(&self) -> bool {
        self.line.as_ref().is_none_or(Line::owes_nothing)
    }

    /// Tells whether its next CONNECT must ask for a new session.
    pub(crate) fn must_start_clean(&self) -> bool {
        self.memory.is_blank
    }

    // Speaking.

    /// Sends a packet over its link.
    fn say(&mut self, desk: &mut Desk<'_>, packet: Packet, bytes: &[u8]) {
        let Some(line) = &mut self.line else { return };
        line.spoke_at = desk.log.now.mono;
        if let Some(wire) = desk.wires.get_mut(&line.id) {
            wire.send_up(bytes);
        }
        desk.log.say(What::Says { client: self.no, link: line.id, packet });
    }

    fn say_plain(&mut self, desk: &mut Desk<'_>, packet: Packet) {
        let bytes = speech::encode(self.setup.version, &packet, &[]);
        self.say(desk, packet, &bytes);
    }

    /// Publishes a message, if its terms with the broker leave room for it.
    pub(crate) fn publish(&mut self, desk: &mut Desk<'_>, draft: Draft) {
        self.publish_bytes(desk, draft, None);
    }

    /// Does so with these bytes, in which the number of the draft is, in the place of those that it would write itself.
    pub(crate) fn publish_bytes(&mut self, desk: &mut Desk<'_>, draft: Draft, bytes: Option<Vec<u8>>) {
        let Some(line) = self.line.as_ref().filter(|line| line.is_open) else { return };
        if draft.qos != Qos::AtMostOnce && self.memory.under_way(line.id) >= line.send_maximum {
            return;
        }
        let id = match draft.qos {
            Qos::AtMostOnce => None,
            _ => match self.memory.free_id() {
                Some(id) => Some(id),
                None => return,
            },
        };
        let link = line.id;
        let (publish, payload) = self.compose(draft, id);
        let payload = bytes.unwrap_or(payload);
        self.send_publish(desk, publish.clone(), &payload);
        if let Some(id) = id {
            self.memory.outgoing.push(memory::Outgoing { id, publish, payload, stage: Stage::Sent, link });
        }
    }

    /// Makes a message of a draft, and its payload.
    fn compose(&self, draft: Draft, id: Option<u16>) -> (Publish, Vec<u8>) {
        let payload = draft.number.map(|number| crate::words::payload(number, draft.large));
        let publish = Publish {
            number: draft.number,
            topic: draft.topic,
            alias: None,
            qos: draft.qos,
            id,
            retain: draft.retain,
            dup: false,
            expiry: draft.expiry.filter(|_| self.setup.version == Version::V5),
            subscription_ids: Vec::new(),
        };
        (publish, payload.unwrap_or_default())
    }

    /// Sends a PUBLISH, with an alias for its topic now and then.
    fn send_publish(&mut self, desk: &mut Desk<'_>, mut publish: Publish, payload: &[u8]) {
        let Some(line) = &mut self.line else { return };
        let (alias, says_topic) = line.alias_for(&publish.topic, desk.dice);
        publish.alias = alias;
        let bytes = speech::publish(self.setup.version, &publish, payload, says_topic);
        self.say(desk, Packet::Publish(publish), &bytes);
    }

    pub(crate) fn subscribe(
        &mut self,
        desk: &mut Desk<'_>,
        filters: Vec<(String, SubscribeOptions)>,
        subscription_id: Option<u32>,
    ) {
        if !self.is_open() {
            return;
        }
        let Some(id) = self.memory.free_id() else { return };
        for (filter, _) in &filters {
            if !self.memory.filters.contains(filter) {
                self.memory.filters.push(filter.clone());
            }
        }
        self.memory.asking.insert(id);
        let subscription_id = subscription_id.filter(|_| self.setup.version == Version::V5);
        self.say_plain(desk, Packet::Subscribe { id, subscription_id, filters });
    }

    pub(crate) fn unsubscribe(&mut self, desk: &mut Desk<'_>, filters: Vec<String>) {
        if !self.is_open() || filters.is_empty() {
            return;
        }
        let Some(id) = self.memory.free_id() else { return };
        self.memory.filters.retain(|filter| !filters.contains(filter));
        self.memory.asking.insert(id);
        self.say_plain(desk, Packet::Unsubscribe { id, filters });
    }

    /// Says DISCONNECT and closes the link.
    pub(crate) fn disconnect(&mut self, desk: &mut Desk<'_>, reason: ReasonCode, expiry: Option<u32>) {
        let Some(line) = &self.line else { return };
        // What was to end with its link may not outlive it after all [MQTT-3.14.2-2].
        let raises = expiry.is_some_and(|seconds| seconds > 0);
        let session_expiry = expiry.filter(|_| line.expires_later || !raises);
        let session_expiry = session_expiry.filter(|_| self.setup.version == Version::V5);
        let reason = if self.setup.version == Version::V5 { reason } else { ReasonCode::Success };
        if line.is_open {
            self.say_plain(desk, Packet::Disconnect { reason, session_expiry });
        }
        self.break_link(desk);
    }

    /// Sends bytes as they are: what a rude client does.
    pub(crate) fn shout(&mut self, desk: &mut Desk<'_>, what: &str, bytes: &[u8]) {
        self.say(desk, Packet::Other(what.to_owned()), bytes);
    }

    /// Sends a packet that has no place here: what a rude client does.
    pub(crate) fn say_rudely(&mut self, desk: &mut Desk<'_>, packet: Packet) {
        self.say_plain(desk, packet);
    }

    /// Keeps the link alive.
    pub(crate) fn ping_if_due(&mut self, desk: &mut Desk<'_>) {
        let now = desk.log.now.mono;
        let is_due =
            self.line.as_ref().is_some_and(|line| line.is_open && line.is_silent_for_half_a_keep_alive(now));
        if is_due {
            self.say_plain(desk, Packet::PingReq);
        }
    }

    /// Sends acknowledgements that it owes: all, or one of a kind that the dice choose. Those of one kind leave in
    /// order [MQTT-4.6.0-2], [MQTT-4.6.0-3], [MQTT-4.6.0-4]; between kinds there is none.
    pub(crate) fn acknowledge(&mut self, desk: &mut Desk<'_>, all: bool) {
        loop {
            let Some(line) = self.line.as_mut().filter(|line| line.is_open) else { return };
            let Some(packet) = line.take_owed(desk.dice) else { return };
            match &packet {
                Packet::PubComp(Ack { id, .. }) => drop(self.memory.incoming.remove(id)),
                Packet::PubRel(Ack { id, .. }) => self.memory.release(*id, line.id),
                _ => {}
            }
            self.say_plain(desk, packet);
            if !all {
                return;
            }
        }
    }

    /// Reads what has arrived and deals with it.
    pub(crate) fn listen(&mut self, desk: &mut Desk<'_>) {
        if !self.reads {
            return;
        }
        let Some(line) = &mut self.line else { return };
        let Some(wire) = desk.wires.get_mut(&line.id) else { return self.break_link(desk) };
        line.bytes.extend(wire.down.read(usize::MAX));
        let is_over = wire.client_end() == Stream::Over;
        while let Some(line) = &mut self.line
            && let Some(packet) =
                crate::words::take_packet(self.setup.version, &mut line.aliases, &mut line.bytes)
        {
            self.hear(desk, packet);
        }
        if is_over {
            self.break_link(desk);
        }
    }
}
