//! A client as a story sees it: what it says, and what it got.

use crate::world::{World, identity};
use core::num::{NonZeroU16, NonZeroU32};
use keyward_broker::{CloseCause, LinkId, Outbox};
use keyward_ids::Identity;
use keyward_mqtt::codec::{self, Sender};
use keyward_mqtt::frame;
use keyward_mqtt::packet::{
    Ack, Connect, Delivery, Disconnect, Packet, PacketId, Publish, Qos, Subscribe, SubscribeFilters,
    SubscribeOptions, Unsubscribe, UnsubscribeFilters, Version, Will,
};
use keyward_mqtt::property::{
    AckProperties, ConnectProperties, DisconnectProperties, PublishProperties, SubscribeProperties,
    UnsubscribeProperties, UserProperties, WillProperties,
};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicName;
use std::collections::{BTreeMap, VecDeque};

/// Is one link of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) link: LinkId,
    pub(crate) version: Version,
}

/// Is a CONNECT in the making.
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) identity: Identity,
    pub(crate) life: u64,
    pub(crate) epoch: u64,
    pub(crate) client_id: String,
    pub(crate) assigned: bool,
    pub(crate) version: Version,
    pub(crate) acknowledges: bool,
    clean: bool,
    expiry: Option<u32>,
    keep_alive: u16,
    receive_maximum: Option<u16>,
    packet_max: Option<u32>,
    aliases: Option<u16>,
    problem_information: Option<bool>,
    response_information: Option<bool>,
    will: Option<LastWord>,
}

#[derive(Clone)]
struct LastWord {
    topic: String,
    payload: String,
    retain: bool,
    delay: u32,
    user: &'static [(&'static str, &'static str)],
}

/// Greets as `name` with a client id, for a session that outlives its link (an hour in 5.0).
pub(crate) fn hello(version: Version, name: &str, client_id: &str) -> Hello {
    Hello {
        identity: identity(name),
        life: 1,
        epoch: 1,
        client_id: client_id.to_owned(),
        assigned: false,
        version,
        acknowledges: true,
        clean: false,
        expiry: (version == Version::V5).then_some(3_600),
        keep_alive: 60,
        receive_maximum: None,
        packet_max: None,
        aliases: None,
        problem_information: None,
        response_information: None,
        will: None,
    }
}

/// Greets in 5.0.
pub(crate) fn hello5(name: &str, client_id: &str) -> Hello {
    hello(Version::V5, name, client_id)
}

impl Hello {
    /// Asks for a new session.
    pub(crate) fn clean(mut self) -> Self {
        self.clean = true;
        self
    }

    /// Asks for a session of so many seconds.
    pub(crate) fn expiry(mut self, secs: u32) -> Self {
        self.expiry = Some(secs);
        self
    }

    pub(crate) fn keep_alive(mut self, secs: u16) -> Self {
        self.keep_alive = secs;
        self
    }

    pub(crate) fn receive_maximum(mut self, messages: u16) -> Self {
        self.receive_maximum = Some(messages);
        self
    }

    pub(crate) fn packet_max(mut self, bytes: u32) -> Self {
        self.packet_max = Some(bytes);
        self
    }

    /// Takes so many topic aliases.
    pub(crate) fn aliases(mut self, most: u16) -> Self {
        self.aliases = Some(most);
        self
    }

    pub(crate) fn without_problem_information(mut self) -> Self {
        self.problem_information = Some(false);
        self
    }

    /// Comes from a later life of its name.
    pub(crate) fn life(mut self, life: u64) -> Self {
        (self.life, self.epoch) = (life, life);
        self
    }

    /// Comes with other credentials.
    pub(crate) fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// Was given its client id by the door.
    pub(crate) fn assigned(mut self) -> Self {
        self.assigned = true;
        self
    }

    /// Acknowledges nothing by itself.
    pub(crate) fn silent(mut self) -> Self {
        self.acknowledges = false;
        self
    }

    pub(crate) fn will(mut self, topic: &str, payload: &str) -> Self {
        let (topic, payload) = (topic.to_owned(), payload.to_owned());
        self.will = Some(LastWord { topic, payload, retain: false, delay: 0, user: &[] });
        self
    }

    pub(crate) fn retained_will(self, topic: &str, payload: &str) -> Self {
        let mut hello = self.will(topic, payload);
        hello.will.as_mut().unwrap().retain = true;
        hello
    }

    pub(crate) fn will_delay(mut self, secs: u32) -> Self {
        self.will.as_mut().unwrap().delay = secs;
        self
    }

    /// Adds user properties to the will.
    pub(crate) fn will_user(mut self, user: &'static [(&'static str, &'static str)]) -> Self {
        self.will.as_mut().unwrap().user = user;
        self
    }

    /// Says whether response information is wanted.
    pub(crate) fn response_information(mut self, wanted: bool) -> Self {
        self.response_information = Some(wanted);
        self
    }

    /// Makes the packet, through its encoding.
    pub(crate) fn with_packet<R>(&self, use_it: impl FnOnce(&Connect<'_>) -> R) -> R {
        let is_v5 = self.version == Version::V5;
        let properties = ConnectProperties {
            session_expiry: self.expiry.filter(|_| is_v5),
            receive_maximum: self.receive_maximum.and_then(NonZeroU16::new),
            maximum_packet_size: self.packet_max.and_then(NonZeroU32::new),
            topic_alias_maximum: self.aliases,
            request_problem_information: self.problem_information,
            request_response_information: self.response_information,
            ..ConnectProperties::default()
        };
        let will = self.will.as_ref().map(|will| Will {
            topic: TopicName::parse(&will.topic).unwrap(),
            payload: will.payload.as_bytes(),
            qos: Qos::AtLeastOnce,
            retain: will.retain,
            properties: WillProperties {
                delay: (is_v5 && will.delay > 0).then_some(will.delay),
                user: UserProperties::List(will.user),
                ..WillProperties::default()
            },
        });
        let packet = Packet::Connect(Connect {
            version: self.version,
            clean_start: self.clean,
            keep_alive: self.keep_alive,
            client_id: &self.client_id,
            will,
            username: None,
            password: None,
            properties,
        });
        let mut bytes = Vec::new();
        codec::encode(&packet, self.version, &mut bytes).unwrap();
        match codec::decode(self.version, Sender::Client, &bytes).unwrap() {
            Packet::Connect(connect) => use_it(&connect),
            other => panic!("{other:?}"),
        }
    }
}

/// Is a message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) alias: Option<u16>,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: Qos,
    pub(crate) id: Option<u16>,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) expiry: Option<u32>,
    pub(crate) subscription_ids: Vec<u32>,
    pub(crate) response_topic: Option<String>,
    pub(crate) correlation: Option<Vec<u8>>,
    pub(crate) user: Vec<(String, String)>,
}

/// Is something that a client got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    ConnAck {
        session_present: bool,
        reason: ReasonCode,
        expiry: Option<u32>,
        assigned: Option<String>,
        keep_alive: Option<u16>,
        receive_maximum: Option<u16>,
        shared: Option<bool>,
    },
    Message(Message),
    PubAck(u16, ReasonCode, Option<String>),
    PubRec(u16, ReasonCode),
    PubRel(u16, ReasonCode),
    PubComp(u16, ReasonCode),
    SubAck(u16, Vec<ReasonCode>),
    UnsubAck(u16, Vec<ReasonCode>),
    Pong,
    Disconnect(ReasonCode),
}

/// Is the client's end of a link, and what it has read.
pub(crate) struct Wire {
    pub(crate) shard: usize,
    pub(crate) version: Version,
    acknowledges: bool,
    alias_max: u16,
    /// What the broker's aliases stand for.
    topics: BTreeMap<u16, String>,
    pub(crate) reads: bool,
    pub(crate) has_unwritten: bool,
    pub(crate) keep_alive: Option<u16>,
    /// Set when the link is closed, with the cause if the broker closed it.
    pub(crate) closed: Option<Option<CloseCause>>,
    /// Whether what was not written then was to be written still.
    pub(crate) flushed: bool,
    bytes: Vec<u8>,
    pub(crate) got: Vec<Got>,
    /// The packets of `got` as they came.
    pub(crate) frames: Vec<Vec<u8>>,
    /// Encoded acknowledgements to be sent.
    pub(crate) answers: VecDeque<Vec<u8>>,
}

impl Wire {
    pub(crate) fn new(shard: usize, hello: &Hello) -> Self {
        Self {
            shard,
            version: hello.version,
            acknowledges: hello.acknowledges,
            alias_max: hello.aliases.unwrap_or(0),
            topics: BTreeMap::new(),
            reads: true,
            has_unwritten: false,
            keep_alive: None,
            closed: None,
            flushed: false,
            bytes: Vec::new(),
            got: Vec::new(),
            frames: Vec::new(),
            answers: VecDeque::new(),
        }
    }

    /// Takes bytes in; they are read if the client reads.
    pub(crate) fn arrive(&mut self, outbox: &Outbox) {
        assert_eq!(outbox.slices().map(<[u8]>::len).sum::<usize>(), outbox.len());
        outbox.slices().for_each(|slice| self.bytes.extend_from_slice(slice));
        if self.reads {
            self.read();
        } else {
            self.has_unwritten = true;
        }
    }

    pub(crate) fn close(&mut self, cause: CloseCause, last: Option<Outbox>) {
        assert!(self.closed.is_none(), "closed twice");
        self.flushed = last.is_some();
        if let Some(last) = last {
            self.arrive(&last);
        }
        self.closed = Some(Some(cause));
        self.answers.clear();
    }

    /// Decodes what has arrived.
    pub(crate) fn read(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut rest = &bytes[..];
        while let Some(header) = frame::peek(rest).unwrap() {
            let (frame, after) = rest.split_at(header.total_len);
            rest = after;
            let packet = codec::decode(self.version, Sender::Server, frame).unwrap();
            self.acknowledge(&packet);
            let mut got = Got::from(packet);
            self.resolve(&mut got);
            self.got.push(got);
            self.frames.push(frame.to_vec());
        }
        assert!(rest.is_empty(), "half a packet was written");
    }

    /// Puts the topic in for an alias, as a client of 5.0 does.
    fn resolve(&mut self, got: &mut Got) {
        let Got::Message(message) = got else { return };
        let Some(alias) = message.alias else {
            assert!(!message.topic.is_empty());
            return;
        };
        assert!((1..=self.alias_max).contains(&alias), "{message:?}");
        if message.topic.is_empty() {
            message.topic = self.topics[&alias].clone();
        } else {
            self.topics.insert(alias, message.topic.clone());
        }
    }

    fn acknowledge(&mut self, packet: &Packet<'_>) {
        let ack = |id| Ack { id, reason: ReasonCode::Success, properties: AckProperties::default() };
        let answer = match packet {
            _ if !self.acknowledges => return,
            Packet::Publish(Publish { delivery: Delivery::AtLeastOnce(id), .. }) => Packet::PubAck(ack(*id)),
            Packet::Publish(Publish { delivery: Delivery::ExactlyOnce(id), .. }) => Packet::PubRec(ack(*id)),
            Packet::PubRec(rec) if !rec.reason.is_failure() => Packet::PubRel(ack(rec.id)),
            Packet::PubRel(rel) => Packet::PubComp(ack(rel.id)),
            _ => return,
        };
        let mut bytes = Vec::new();
        codec::encode(&answer, self.version, &mut bytes).unwrap();
        self.answers.push_back(bytes);
    }
}

impl From<Packet<'_>> for Got {
    fn from(packet: Packet<'_>) -> Self {
        match packet {
            Packet::ConnAck(ack) => Self::ConnAck {
                session_present: ack.session_present,
                reason: ack.reason,
                expiry: ack.properties.session_expiry,
                assigned: ack.properties.assigned_client_id.map(str::to_owned),
                keep_alive: ack.properties.server_keep_alive,
                receive_maximum: ack.properties.receive_maximum.map(NonZeroU16::get),
                shared: ack.properties.shared_subscription_available,
            },
            Packet::Publish(publish) => Self::Message(Message {
                topic: publish.topic.map(TopicName::as_str).unwrap_or_default().to_owned(),
                alias: publish.properties.topic_alias.map(NonZeroU16::get),
                payload: publish.payload.to_vec(),
                qos: publish.delivery.qos(),
                id: publish.delivery.id().map(|id| id.0.get()),
                dup: publish.dup,
                retain: publish.retain,
                expiry: publish.properties.message_expiry,
                subscription_ids: publish.properties.subscription_ids.iter().map(NonZeroU32::get).collect(),
                response_topic: publish.properties.response_topic.map(str::to_owned),
                correlation: publish.properties.correlation_data.map(<[u8]>::to_vec),
                user: publish
                    .properties
                    .user
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            }),
            Packet::PubAck(ack) => {
                Self::PubAck(ack.id.0.get(), ack.reason, ack.properties.reason_string.map(str::to_owned))
            }
            Packet::PubRec(ack) => Self::PubRec(ack.id.0.get(), ack.reason),
            Packet::PubRel(ack) => Self::PubRel(ack.id.0.get(), ack.reason),
            Packet::PubComp(ack) => Self::PubComp(ack.id.0.get(), ack.reason),
            Packet::SubAck(ack) => Self::SubAck(ack.id.0.get(), ack.reasons.iter().collect()),
            Packet::UnsubAck(ack) => Self::UnsubAck(ack.id.0.get(), ack.reasons.iter().collect()),
            Packet::PingResp => Self::Pong,
            Packet::Disconnect(disconnect) => Self::Disconnect(disconnect.reason),
            other => panic!("a server does not send {other:?}"),
        }
    }
}

/// Makes a packet id.
pub(crate) fn id(number: u16) -> PacketId {
    PacketId(NonZeroU16::new(number).unwrap())
}

/// Is a message in the making.
#[derive(Clone)]
pub(crate) struct Letter<'a> {
    publish: Publish<'a>,
}

/// Writes `payload` to `topic`, QoS 0.
pub(crate) fn letter<'a>(topic: &'a str, payload: &'a str) -> Letter<'a> {
    Letter {
        publish: Publish {
            dup: false,
            delivery: Delivery::AtMostOnce,
            retain: false,
            topic: Some(TopicName::parse(topic).unwrap()),
            properties: PublishProperties::default(),
            payload: payload.as_bytes(),
        },
    }
}

impl<'a> Letter<'a> {
    pub(crate) fn qos1(mut self, number: u16) -> Self {
        self.publish.delivery = Delivery::AtLeastOnce(id(number));
        self
    }

    pub(crate) fn qos2(mut self, number: u16) -> Self {
        self.publish.delivery = Delivery::ExactlyOnce(id(number));
        self
    }

    /// With the quality of service of this number.
    pub(crate) fn qos(self, qos: Qos, number: u16) -> Self {
        match qos {
            Qos::AtMostOnce => self,
            Qos::AtLeastOnce => self.qos1(number),
            Qos::ExactlyOnce => self.qos2(number),
        }
    }

    pub(crate) fn dup(mut self) -> Self {
        self.publish.dup = true;
        self
    }

    pub(crate) fn retained(mut self) -> Self {
        self.publish.retain = true;
        self
    }

    pub(crate) fn with(mut self, properties: PublishProperties<'a>) -> Self {
        self.publish.properties = properties;
        self
    }

    pub(crate) fn expiring(mut self, secs: u32) -> Self {
        self.publish.properties.message_expiry = Some(secs);
        self
    }

    pub(crate) fn packet(self) -> Packet<'a> {
        Packet::Publish(self.publish)
    }
}

/// Options of a subscription at this quality of service.
pub(crate) fn at(qos: Qos) -> SubscribeOptions {
    SubscribeOptions { qos, ..SubscribeOptions::default() }
}

impl World {
    pub(crate) fn publish(&mut self, peer: Peer, letter: Letter<'_>) {
        self.send(peer, &letter.packet());
    }

    /// Lets a session stay behind that has subscribed at QoS 2 and whose link is lost.
    pub(crate) fn leave_behind(&mut self, hello: Hello, filter: &str) -> Peer {
        let peer = self.connect(hello);
        self.subscribe(peer, filter);
        self.lose(peer);
        peer
    }

    /// Subscribes at QoS 2 and returns the codes.
    pub(crate) fn subscribe(&mut self, peer: Peer, filter: &str) -> Vec<ReasonCode> {
        self.subscribe_with(peer, filter, at(Qos::ExactlyOnce), None)
    }

    pub(crate) fn subscribe_with(
        &mut self,
        peer: Peer,
        filter: &str,
        options: SubscribeOptions,
        subscription_id: Option<u32>,
    ) -> Vec<ReasonCode> {
        self.subscribe_only(peer, 60_000, filter, options, subscription_id);
        self.settle();
        let wire = self.wire_got(peer);
        let place = wire.iter().position(|got| matches!(got, Got::SubAck(60_000, _)));
        match place.map(|place| wire.remove(place)) {
            Some(Got::SubAck(_, reasons)) => reasons,
            other => panic!("no SUBACK but {other:?}"),
        }
    }

    /// Sends a SUBSCRIBE and lets nothing else happen.
    pub(crate) fn subscribe_only(
        &mut self,
        peer: Peer,
        number: u16,
        filter: &str,
        options: SubscribeOptions,
        subscription_id: Option<u32>,
    ) {
        let filters = [(filter, options)];
        let packet = Packet::Subscribe(Subscribe {
            id: id(number),
            properties: SubscribeProperties {
                subscription_id: subscription_id.and_then(NonZeroU32::new),
                ..SubscribeProperties::default()
            },
            filters: SubscribeFilters::List(&filters),
        });
        self.send_only(peer, &packet);
    }

    pub(crate) fn unsubscribe(&mut self, peer: Peer, filter: &str) {
        let filters = [filter];
        let packet = Packet::Unsubscribe(Unsubscribe {
            id: id(60_001),
            properties: UnsubscribeProperties::default(),
            filters: UnsubscribeFilters::List(&filters),
        });
        self.send(peer, &packet);
    }

    pub(crate) fn puback(&mut self, peer: Peer, number: u16) {
        self.send(peer, &Packet::PubAck(ack(number)));
    }

    pub(crate) fn pubrec(&mut self, peer: Peer, number: u16) {
        self.send(peer, &Packet::PubRec(ack(number)));
    }

    /// Refuses a message of QoS 1 with this code.
    pub(crate) fn puback_with(&mut self, peer: Peer, number: u16, reason: ReasonCode) {
        self.send(peer, &Packet::PubAck(Ack { reason, ..ack(number) }));
    }

    /// Refuses a message of QoS 2 with this code.
    pub(crate) fn pubrec_with(&mut self, peer: Peer, number: u16, reason: ReasonCode) {
        self.send(peer, &Packet::PubRec(Ack { reason, ..ack(number) }));
    }

    pub(crate) fn pubrel(&mut self, peer: Peer, number: u16) {
        self.send(peer, &Packet::PubRel(ack(number)));
    }

    pub(crate) fn pubcomp(&mut self, peer: Peer, number: u16) {
        self.send(peer, &Packet::PubComp(ack(number)));
    }

    pub(crate) fn disconnect(&mut self, peer: Peer) {
        self.disconnect_with(peer, ReasonCode::Success, None);
    }

    pub(crate) fn disconnect_with(&mut self, peer: Peer, reason: ReasonCode, session_expiry: Option<u32>) {
        let properties = DisconnectProperties { session_expiry, ..DisconnectProperties::default() };
        self.send(peer, &Packet::Disconnect(Disconnect { reason, properties }));
    }
}

/// Makes an acknowledgement of success.
pub(crate) fn ack(number: u16) -> Ack<'static> {
    Ack { id: id(number), reason: ReasonCode::Success, properties: AckProperties::default() }
}
