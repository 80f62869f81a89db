//! A client and a server that talk over a stream which is cut anywhere and lost at any time: every message of QoS 1
//! arrives at least once and in order, every message of QoS 2 exactly once, both ways, each under its own topic.

use keyward_mqtt::codec::encode;
use keyward_mqtt::connection::{
    ClientConnection, ClientEvent, ClientLimits, ClientStep, ConnectionLimits, Message, ServerConnection,
    Step,
};
use keyward_mqtt::packet::*;
use keyward_mqtt::property::{AckProperties, ConnAckProperties, ConnectProperties, PublishProperties};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;
use keyward_mqtt::topic::TopicName;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::num::NonZeroU16;

/// Is a server of one session: what a broker would be, in the fewest lines.
struct Server {
    link: ServerConnection,
    out: Vec<u8>,
    got: Vec<u8>,
    unreleased: BTreeSet<PacketId>,
    /// Messages to the client, each with whether it was received (PUBREC).
    to_send: Vec<(PacketId, bool)>,
}

/// Returns the topic of a message; with 5.0 two of three get an alias each way.
fn topic_of(number: u8) -> TopicName<'static> {
    let name = ["red/topic", "green/topic", "blue/topic"][usize::from(number % 3)];
    TopicName::parse(name).unwrap()
}

impl Server {
    fn new(messages: u8) -> Self {
        let id = |number| PacketId(NonZeroU16::new(u16::from(number) + 1).unwrap());
        Self {
            link: ServerConnection::new(ConnectionLimits::default()),
            out: Vec::new(),
            got: Vec::new(),
            unreleased: BTreeSet::new(),
            to_send: (0..messages).map(|number| (id(number), false)).collect(),
        }
    }

    fn send(&mut self, version: Version, packet: &Packet<'_>) {
        encode(packet, version, &mut self.out).unwrap();
    }

    /// Decodes one packet and answers it; returns its size.
    fn read(&mut self, version: Version, input: &[u8], had_session: bool) -> usize {
        let fresh = ServerConnection::new(ConnectionLimits::default());
        let mut link = std::mem::replace(&mut self.link, fresh);
        let size = match link.decode(Millis(0), input).unwrap() {
            Step::Packet { packet, size } => {
                self.answer(version, &packet, had_session);
                size
            }
            Step::Incomplete { .. } => 0,
        };
        link.established(Millis(0), 0);
        self.link = link;
        size
    }

    fn answer(&mut self, version: Version, packet: &Packet<'_>, had_session: bool) {
        match packet {
            Packet::Connect(_) => self.accept(version, had_session),
            Packet::Publish(publish) => self.take(version, publish),
            Packet::PubRel(rel) => {
                self.unreleased.remove(&rel.id);
                self.send(version, &Packet::PubComp(ack(rel.id)));
            }
            Packet::PubRec(rec) => {
                for (id, received) in &mut self.to_send {
                    *received |= *id == rec.id;
                }
                self.send(version, &Packet::PubRel(ack(rec.id)));
            }
            Packet::PubComp(comp) => self.to_send.retain(|(id, _)| *id != comp.id),
            other => panic!("{other:?}"),
        }
    }

    fn accept(&mut self, version: Version, session_present: bool) {
        let properties = ConnAckProperties { topic_alias_maximum: Some(2), ..ConnAckProperties::default() };
        self.send(
            version,
            &Packet::ConnAck(ConnAck { session_present, reason: ReasonCode::Success, properties }),
        );
        let mut told = BTreeSet::new();
        for (id, received) in self.to_send.clone() {
            let number = [u8::try_from(id.0.get() - 1).unwrap()];
            let topic = topic_of(number[0]);
            let topic_alias = NonZeroU16::new(u16::from(number[0] % 3)).filter(|_| version == Version::V5);
            let packet = if received {
                Packet::PubRel(ack(id))
            } else {
                Packet::Publish(Publish {
                    dup: session_present,
                    delivery: Delivery::ExactlyOnce(id),
                    retain: false,
                    topic: (topic_alias.is_none() || told.insert(topic)).then_some(topic),
                    properties: PublishProperties { topic_alias, ..PublishProperties::default() },
                    payload: &number,
                })
            };
            self.send(version, &packet);
        }
    }

    fn take(&mut self, version: Version, publish: &Publish<'_>) {
        assert_eq!(publish.topic, Some(topic_of(publish.payload[0])));
        match publish.delivery {
            Delivery::AtMostOnce => {}
            Delivery::AtLeastOnce(id) => {
                self.got.push(publish.payload[0]);
                self.send(version, &Packet::PubAck(ack(id)));
            }
            Delivery::ExactlyOnce(id) => {
                if self.unreleased.insert(id) {
                    self.got.push(publish.payload[0]);
                }
                self.send(version, &Packet::PubRec(ack(id)));
            }
        }
    }
}

fn ack(id: PacketId) -> Ack<'static> {
    Ack { id, reason: ReasonCode::Success, properties: AckProperties::default() }
}

/// Is one direction of the stream: what is under way, and what came and was not used.
#[derive(Default)]
struct Pipe {
    under_way: Vec<u8>,
    arrived: Vec<u8>,
}

impl Pipe {
    fn arrive(&mut self, count: usize) {
        let count = count.min(self.under_way.len());
        self.arrived.extend(self.under_way.drain(..count));
    }
}

struct Pair {
    version: Version,
    client: ClientConnection,
    server: Server,
    up: Pipe,
    down: Pipe,
    got: Vec<u8>,
}

impl Pair {
    fn connect(&mut self) {
        self.client.link_lost();
        self.server.link = ServerConnection::new(ConnectionLimits::default());
        self.server.out.clear();
        (self.up, self.down) = Default::default();
        let connect = Connect {
            version: self.version,
            clean_start: false,
            keep_alive: 0,
            client_id: "c",
            will: None,
            username: None,
            password: None,
            properties: ConnectProperties::default(),
        };
        self.client.connect(Millis(0), &connect).unwrap();
    }

    /// Lets `count` bytes through each way and both ends read what they can.
    fn step(&mut self, count: usize, had_session: bool) {
        self.up.under_way.extend_from_slice(self.client.output());
        self.client.written(usize::MAX);
        self.up.arrive(count);
        loop {
            let size = self.server.read(self.version, &self.up.arrived, had_session);
            if size == 0 {
                break;
            }
            self.up.arrived.drain(..size);
        }
        self.down.under_way.append(&mut self.server.out);
        self.down.arrive(count);
        while let ClientStep::Packet { event, size } =
            self.client.handle(Millis(0), &self.down.arrived).unwrap()
        {
            match event {
                Some(ClientEvent::Message(message)) => {
                    assert_eq!(message.topic, Some(topic_of(message.payload[0])));
                    self.got.push(message.payload[0]);
                }
                Some(ClientEvent::Connected { discarded, .. }) => assert_eq!(discarded, []),
                _ => {}
            }
            self.down.arrived.drain(..size);
        }
    }

    fn is_done(&self) -> bool {
        self.client.unacknowledged() == 0 && self.server.to_send.is_empty()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn messages_survive_every_cut_and_every_lost_link(
        version in prop::sample::select(vec![Version::V31, Version::V311, Version::V5]),
        in_flight_max in 1_u16..6,
        qos in prop::sample::select(vec![Qos::AtLeastOnce, Qos::ExactlyOnce]),
        steps in proptest::collection::vec((1_usize..30, prop::bool::weighted(0.1)), 0..100),
    ) {
        let limits = ClientLimits { in_flight_max, ..ClientLimits::default() };
        let (client, server) = (ClientConnection::new(limits), Server::new(10));
        let mut pair = Pair {
            version, client, server, up: Pipe::default(), down: Pipe::default(), got: Vec::new(),
        };
        pair.connect();
        // The first link lives until its CONNACK arrived, so that there is a session to go on with.
        while !pair.client.is_connected() {
            pair.step(3, false);
        }
        for number in 0..10 {
            let properties = PublishProperties::default();
            let topic = topic_of(number);
            let message = Message { topic, payload: &[number], qos, retain: false, properties };
            pair.client.publish(Millis(0), &message).unwrap();
        }
        for (count, is_lost) in steps {
            if is_lost {
                pair.connect();
            }
            pair.step(count, true);
        }
        for _ in 0..1000 {
            pair.step(1000, true);
        }
        prop_assert!(pair.is_done());
        let all: Vec<u8> = (0..10).collect();
        prop_assert_eq!(&pair.got, &all, "from the server, QoS 2");
        if qos == Qos::ExactlyOnce {
            prop_assert_eq!(&pair.server.got, &all, "from the client, QoS 2");
        } else {
            let mut seen = BTreeSet::new();
            let first: Vec<u8> = pair.server.got.iter().copied().filter(|number| seen.insert(*number)).collect();
            prop_assert_eq!(&first, &all, "from the client, QoS 1: repeated perhaps, in order of the first");
        }
    }
}
