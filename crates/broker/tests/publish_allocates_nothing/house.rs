//! A broker in memory that itself asks the allocator for nothing once it is warm: shards, the inboxes between them, and
//! clients that acknowledge what they get.

use core::num::{NonZeroU16, NonZeroU32};
use keyward_broker::placement::shard_of;
use keyward_broker::{
    Attach, Directory, HashKey, Input, Limits, LinkId, Login, Outbox, Output, Principal, Shard, ShardConfig,
    ShardIndex, ShardMessage, Standing,
};
use keyward_ids::{ClientId, Identity};
use keyward_mqtt::packet::{
    Ack, Connect, Delivery, Packet, PacketId, Publish, Qos, Subscribe, SubscribeFilters, SubscribeOptions,
    Version,
};
use keyward_mqtt::property::{AckProperties, ConnectProperties, PublishProperties, SubscribeProperties};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::{Millis, Now, UnixMillis};
use keyward_mqtt::topic::TopicName;
use keyward_policy::{Policy, SourceFile, Subject};
use std::collections::VecDeque;
use std::sync::Arc;

const RULES: &str = "[[rule]]\nwho = \"user:app\"\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"#\"]\n";

/// Is a client: the index of its link.
pub(crate) type Client = usize;

/// Is a broker with clients that are all the same user.
pub(crate) struct House {
    hash_key: HashKey,
    identity: Identity,
    shards: Vec<Shard>,
    inboxes: Vec<VecDeque<ShardMessage>>,
    /// On which shard each client is.
    homes: Vec<usize>,
    /// What clients have to answer.
    answers: VecDeque<(Client, Packet<'static>)>,
    inbox: Vec<u8>,
    packet_id: u16,
    /// PUBLISH packets that clients got.
    pub(crate) arrived: u64,
    /// PUBACK and PUBCOMP packets that clients got.
    pub(crate) finished: u64,
}

impl House {
    pub(crate) fn new(shards: u16) -> Self {
        let hash_key = HashKey::new([7; 16]);
        let limits = Limits { sessions_per_identity: 10_000, ..Limits::default() };
        let identity: Identity = "user:app".parse().unwrap();
        let mut house = Self {
            hash_key,
            identity: identity.clone(),
            shards: (0..shards)
                .map(|index| {
                    Shard::new(ShardConfig {
                        index: ShardIndex(index),
                        shards,
                        hash_key,
                        limits,
                        is_stored: false,
                        numbers_since: UnixMillis(0),
                        is_watched: false,
                    })
                })
                .collect(),
            inboxes: (0..shards).map(|_| VecDeque::new()).collect(),
            homes: Vec::new(),
            answers: VecDeque::new(),
            inbox: Vec::new(),
            packet_id: 0,
            arrived: 0,
            finished: 0,
        };
        let policy = Arc::new(Policy::load(&[SourceFile::new("policy.d/test.toml", RULES)]).unwrap());
        let subject = Subject::new(identity);
        let principal = Arc::new(Principal {
            subject,
            life: 1,
            epoch: 1,
            standing: Standing::Active,
            message_keys: Vec::new(),
        });
        let directory = Arc::new(Directory::new(1, [principal]));
        for shard in 0..house.shards.len() {
            house.give(shard, Input::Policy { generation: 1, policy: Arc::clone(&policy) });
            house.give(shard, Input::Directory(Arc::clone(&directory)));
        }
        house
    }

    /// Connects a client; if it is `stored` its session outlives its link, and it takes topic aliases.
    pub(crate) fn connect(&mut self, version: Version, stored: bool) -> Client {
        let client = self.homes.len();
        let client_id = ClientId::new(&client.to_string());
        let is_v5 = version == Version::V5;
        let connect = Connect {
            version,
            clean_start: !stored,
            keep_alive: 60,
            client_id: client_id.as_str(),
            will: None,
            username: None,
            password: None,
            properties: ConnectProperties {
                session_expiry: (is_v5 && stored).then_some(3_600),
                topic_alias_maximum: (is_v5 && stored).then_some(10),
                ..ConnectProperties::default()
            },
        };
        let identity = self.identity.clone();
        let login = Login { identity: identity.clone(), life: 1, epoch: 1 };
        let shard = shard_of(&self.hash_key, &identity, &client_id, self.shards.len() as u16);
        let link = LinkId(client as u64);
        let attach = Attach::new(link, &connect, login, client_id.clone(), false).unwrap();
        self.homes.push(usize::from(shard.0));
        self.give(usize::from(shard.0), Input::Attach(Box::new(attach)));
        self.settle();
        client
    }

    /// Connects clients until one is on this shard.
    pub(crate) fn connect_on(&mut self, shard: usize, version: Version, stored: bool) -> Client {
        loop {
            let client = self.connect(version, stored);
            if self.homes[client] == shard {
                return client;
            }
        }
    }

    pub(crate) fn subscribe(&mut self, client: Client, filter: &str, qos: Qos, subscription_id: Option<u32>) {
        let filters = [(filter, SubscribeOptions { qos, ..SubscribeOptions::default() })];
        let packet = Packet::Subscribe(Subscribe {
            id: PacketId(NonZeroU16::MIN),
            properties: SubscribeProperties {
                subscription_id: subscription_id.and_then(NonZeroU32::new),
                ..SubscribeProperties::default()
            },
            filters: SubscribeFilters::List(&filters),
        });
        self.send(client, packet);
        self.settle();
    }

    /// Publishes and lets all that follows happen.
    pub(crate) fn publish(&mut self, client: Client, topic: &str, qos: Qos, payload: &[u8]) {
        self.publish_only(client, topic, qos, payload);
        self.settle();
    }

    /// Publishes; acknowledgements wait for [`House::settle`].
    pub(crate) fn publish_only(&mut self, client: Client, topic: &str, qos: Qos, payload: &[u8]) {
        self.packet_id = self.packet_id % 60_000 + 1;
        let id = PacketId(NonZeroU16::new(self.packet_id).unwrap());
        let delivery = match qos {
            Qos::AtMostOnce => Delivery::AtMostOnce,
            Qos::AtLeastOnce => Delivery::AtLeastOnce(id),
            Qos::ExactlyOnce => Delivery::ExactlyOnce(id),
        };
        let publish = Publish {
            dup: false,
            delivery,
            retain: false,
            topic: Some(TopicName::parse(topic).unwrap()),
            properties: PublishProperties {
                content_type: Some("text/plain"),
                ..PublishProperties::default()
            },
            payload,
        };
        self.send(client, Packet::Publish(publish));
    }

    /// Lets everything happen that needs no time.
    pub(crate) fn settle(&mut self) {
        while self.step() {}
    }

    fn step(&mut self) -> bool {
        for shard in 0..self.shards.len() {
            if let Some(message) = self.inboxes[shard].pop_front() {
                self.give(shard, Input::FromShard(message));
                return true;
            }
            if self.shards[shard].poll_timeout().is_some_and(|due| due <= NOW.mono) {
                self.give(shard, Input::Timeout);
                return true;
            }
        }
        let Some((client, packet)) = self.answers.pop_front() else { return false };
        self.send(client, packet);
        true
    }

    fn send(&mut self, client: Client, packet: Packet<'_>) {
        self.give(self.homes[client], Input::Packet { link: LinkId(client as u64), packet });
    }

    fn give(&mut self, shard: usize, input: Input<'_>) {
        self.shards[shard].handle(NOW, input);
        while let Some(output) = self.shards[shard].poll_output() {
            self.apply(shard, output);
        }
    }

    fn apply(&mut self, shard: usize, output: Output) {
        match output {
            Output::Dirty(link) => self.write(shard, link),
            Output::ToShard { to, message } => self.inboxes[usize::from(to.0)].push_back(message),
            Output::Commit(through) => {
                self.shards[shard].handle(NOW, Input::Committed { through });
            }
            Output::Established { .. } | Output::Reported(_) => {}
            other => panic!("{other:?}"),
        }
    }

    fn write(&mut self, shard: usize, link: LinkId) {
        let outbox = self.shards[shard].take_outbox(link).unwrap();
        self.read(link.0 as Client, &outbox);
        self.shards[shard].recycle(outbox);
        self.shards[shard].handle(NOW, Input::Written { link });
    }

    /// Reads what a client got as far as it must be answered.
    fn read(&mut self, client: Client, outbox: &Outbox) {
        self.inbox.clear();
        outbox.slices().for_each(|slice| self.inbox.extend_from_slice(slice));
        let mut rest = &self.inbox[..];
        while let Some(header) = keyward_mqtt::frame::peek(rest).unwrap() {
            let (frame, after) = rest.split_at(header.total_len);
            rest = after;
            let body = &frame[header.header_len..];
            let id =
                |at: usize| PacketId(NonZeroU16::new(u16::from_be_bytes([body[at], body[at + 1]])).unwrap());
            let ack = |id| Ack { id, reason: ReasonCode::Success, properties: AckProperties::default() };
            let qos = frame[0] >> 1 & 3;
            let answer = match frame[0] >> 4 {
                3 => {
                    self.arrived += 1;
                    let after_topic = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                    match qos {
                        0 => continue,
                        1 => Packet::PubAck(ack(id(after_topic))),
                        _ => Packet::PubRec(ack(id(after_topic))),
                    }
                }
                5 => Packet::PubRel(ack(id(0))),
                6 => Packet::PubComp(ack(id(0))),
                kind => {
                    self.finished += u64::from(kind == 4 || kind == 7);
                    continue;
                }
            };
            self.answers.push_back((client, answer));
        }
    }
}

const NOW: Now = Now { mono: Millis(1_000), wall: UnixMillis(1_000) };
