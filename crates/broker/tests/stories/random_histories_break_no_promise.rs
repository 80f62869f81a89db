//! Random histories over three shards against naive expectations.

use crate::peer::{Peer, at, hello, letter};
use crate::world::{World, app_may_everything, rule};
use keyward_broker::{Limits, Standing, Storage};
use keyward_mqtt::packet::{Ack, Packet, Qos, Version};
use keyward_mqtt::property::AckProperties;
use keyward_mqtt::reason::ReasonCode;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet};

const NAMES: [&str; 4] = ["device:pump", "device:lamp", "user:app", "user:eve"];
const TOPICS: [&str; 4] = ["pump/a", "lamp/a", "pump/b", "x"];
const FILTERS: [&str; 6] = ["#", "pump/#", "+/a", "lamp/a", "x", "pump/b"];
/// What is subscribed to: the filters and, shared, some of them.
const SUBSCRIPTIONS: [&str; 9] =
    ["#", "pump/#", "+/a", "lamp/a", "x", "pump/b", "$share/g/#", "$share/g/pump/#", "$share/h/#"];

#[derive(Debug, Clone)]
enum Step {
    Connect { who: usize, client: usize, clean: bool, v5: bool },
    Lose { who: usize, client: usize },
    Leave { who: usize, client: usize },
    Subscribe { who: usize, client: usize, filter: usize, qos: usize },
    Unsubscribe { who: usize, client: usize, filter: usize },
    Publish { who: usize, client: usize, topic: usize, qos: usize, retain: bool },
    Rules { readable: BTreeSet<usize> },
    Revive { who: usize },
    Disable { who: usize },
    Revoke { who: usize },
    Pass { secs: u64 },
    SetDeaf { shard: usize, deaf: bool },
    Store { slow: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..NAMES.len();
    let client = 0..2_usize;
    prop_oneof![
        6 => (who.clone(), client.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(who, client, clean, v5)| Step::Connect { who, client, clean, v5 }),
        2 => (who.clone(), client.clone()).prop_map(|(who, client)| Step::Lose { who, client }),
        1 => (who.clone(), client.clone()).prop_map(|(who, client)| Step::Leave { who, client }),
        6 => (who.clone(), client.clone(), 0..SUBSCRIPTIONS.len(), 0..3_usize)
            .prop_map(|(who, client, filter, qos)| Step::Subscribe { who, client, filter, qos }),
        1 => (who.clone(), client.clone(), 0..SUBSCRIPTIONS.len())
            .prop_map(|(who, client, filter)| Step::Unsubscribe { who, client, filter }),
        12 => (who.clone(), client, 0..TOPICS.len(), 0..3_usize, any::<bool>()).prop_map(
            |(who, client, topic, qos, retain)| Step::Publish { who, client, topic, qos, retain }
        ),
        1 => proptest::collection::btree_set(0..TOPICS.len(), 0..4)
            .prop_map(|readable| Step::Rules { readable }),
        2 => who.clone().prop_map(|who| Step::Revive { who }),
        1 => who.clone().prop_map(|who| Step::Disable { who }),
        1 => who.prop_map(|who| Step::Revoke { who }),
        1 => (0..100_u64).prop_map(|secs| Step::Pass { secs }),
        3 => (0..3_usize, any::<bool>()).prop_map(|(shard, deaf)| Step::SetDeaf { shard, deaf }),
        2 => any::<bool>().prop_map(|slow| Step::Store { slow }),
    ]
}

/// Knows, without any of the broker's machinery, what may never happen.
struct Model {
    world: World,
    links: BTreeMap<(usize, usize), Peer>,
    /// What `user:eve` may read beside nothing.
    readable: BTreeSet<usize>,
    lives: [u64; 4],
    standing: [Standing; 4],
    published: u64,
    /// Who published what at which quality of service, by payload, and in which life.
    authors: BTreeMap<String, (usize, u64, Qos)>,
    /// Payloads of QoS 2 that came through a group, by the identifier of its members' subscriptions.
    once_shared: BTreeSet<(u32, String)>,
    /// How many copies of QoS 2 a client got live that have no such identifier.
    copies: BTreeMap<(usize, usize, String), usize>,
}

impl Model {
    fn new() -> Self {
        let mut world = World::new(3, Limits::default());
        world.rules(&all_may_share());
        Self {
            world,
            links: BTreeMap::new(),
            readable: BTreeSet::new(),
            lives: [1; 4],
            standing: [Standing::Active; 4],
            published: 0,
            authors: BTreeMap::new(),
            once_shared: BTreeSet::new(),
            copies: BTreeMap::new(),
        }
    }

    fn may_read(&self, who: usize, topic: &str) -> bool {
        match NAMES[who] {
            "user:app" => true,
            "user:eve" => self.readable.iter().any(|index| TOPICS[*index] == topic),
            device => topic.starts_with(&format!("{}/", &device[7..])),
        }
    }

    fn may_publish(&self, who: usize, topic: &str) -> bool {
        NAMES[who] != "user:eve" && self.may_read(who, topic)
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Connect { who, client, clean, v5 } => self.connect(*who, *client, *clean, *v5),
            Step::Lose { who, client } => self.with(*who, *client, |w, peer| w.lose(peer)),
            Step::Leave { who, client } => self.with(*who, *client, |w, peer| w.disconnect(peer)),
            Step::Subscribe { who, client, filter, qos } => self.with(*who, *client, |w, peer| {
                w.subscribe_only(peer, 9, SUBSCRIPTIONS[*filter], at(qos_of(*qos)), group_id(*filter));
                w.settle();
            }),
            Step::Unsubscribe { who, client, filter } => {
                self.with(*who, *client, |w, peer| w.unsubscribe(peer, SUBSCRIPTIONS[*filter]));
            }
            Step::Publish { who, client, topic, qos, retain } => {
                self.publish(*who, *client, *topic, qos_of(*qos), *retain);
            }
            Step::Rules { readable } => self.change_rules(readable.clone()),
            Step::Revive { who } => {
                if self.standing[*who] != Standing::Active {
                    self.lives[*who] += u64::from(self.standing[*who] != Standing::Disabled);
                    self.set(*who, Standing::Active);
                }
            }
            Step::Disable { who } if self.standing[*who] == Standing::Active => {
                self.set(*who, Standing::Disabled);
            }
            Step::Disable { .. } => {}
            Step::Revoke { who } => {
                self.set(*who, Standing::Revoked { keep_messages: false, publish_will: false });
            }
            Step::Pass { secs } => self.world.pass(*secs),
            Step::SetDeaf { shard, deaf } => self.world.set_deaf(*shard, *deaf),
            Step::Store { slow: true } => self.world.slow_store(),
            Step::Store { slow: false } => self.world.store(),
        }
        self.check();
    }

    fn with(&mut self, who: usize, client: usize, act: impl FnOnce(&mut World, Peer)) {
        if let Some(peer) = self.links.get(&(who, client)).copied()
            && self.world.is_open(peer)
        {
            act(&mut self.world, peer);
        }
    }

    fn connect(&mut self, who: usize, client: usize, clean: bool, v5: bool) {
        let version = if v5 { Version::V5 } else { Version::V311 };
        let mut greeting = hello(version, NAMES[who], &client.to_string()).life(self.lives[who]);
        if clean {
            greeting = greeting.clean();
        }
        let peer = self.world.try_connect(greeting);
        self.check();
        self.links.insert((who, client), peer);
        assert!(!self.world.is_open(peer) || self.standing[who] == Standing::Active);
    }

    fn publish(&mut self, who: usize, client: usize, topic: usize, qos: Qos, retain: bool) {
        self.published += 1;
        let payload = self.published.to_string();
        self.authors.insert(payload.clone(), (who, self.lives[who], qos));
        let number = (self.published % 60_000 + 1) as u16;
        self.with(who, client, |w, peer| {
            let letter = letter(TOPICS[topic], &payload).qos(qos, number);
            w.publish(peer, if retain { letter.retained() } else { letter });
        });
    }

    fn change_rules(&mut self, readable: BTreeSet<usize>) {
        let topics: Vec<_> = readable.iter().map(|index| TOPICS[*index]).collect();
        let mut text = all_may_share();
        if !topics.is_empty() {
            text += &rule("user:eve", "allow", &["subscribe"], &topics);
        }
        self.readable = readable;
        self.world.rules(&text);
    }

    fn set(&mut self, who: usize, standing: Standing) {
        self.standing[who] = standing;
        self.world.set(NAMES[who], self.lives[who], standing);
    }

    /// Counts a QoS 2 message: a group hands it to one client once, and a client gets one copy of its own. One of 3.1.1
    /// does not see through which subscription a copy came.
    fn count_copy(&mut self, who: usize, client: usize, payload: String, ids: &[u32]) {
        if let [id] = ids {
            assert!(
                self.once_shared.insert((*id, payload.clone())),
                "{payload} came twice through group {id}"
            );
        } else {
            let copies = self.copies.entry((who, client, payload)).or_default();
            *copies += 1;
            assert!(*copies <= 1 + SUBSCRIPTIONS.len() - FILTERS.len(), "too many copies");
        }
    }

    /// Looks at what arrived since the last step.
    fn check(&mut self) {
        for ((who, client), peer) in self.links.clone() {
            assert!(!self.world.is_open(peer) || self.standing[who] == Standing::Active);
            for message in self.world.messages(peer) {
                let payload = String::from_utf8(message.payload.clone()).unwrap();
                let (author, life, qos) = self.authors[&payload];
                assert!(self.may_read(who, &message.topic), "{} got {message:?}", NAMES[who]);
                assert!(self.may_publish(author, &message.topic), "{} wrote {message:?}", NAMES[author]);
                assert!(message.qos <= qos);
                let is_gone =
                    self.lives[author] != life || matches!(self.standing[author], Standing::Revoked { .. });
                assert!(!is_gone, "{} is gone and {message:?} arrived", NAMES[author]);
                if message.qos == Qos::ExactlyOnce && !message.retain && !message.dup {
                    self.count_copy(who, client, payload, &message.subscription_ids);
                }
            }
        }
    }
}

/// Lets everybody join groups: what is read there is for the other rules to say.
fn all_may_share() -> String {
    app_may_everything() + &rule("all", "allow", &["share"], &["#"])
}

/// Returns the subscription identifier of a shared subscription.
fn group_id(subscription: usize) -> Option<u32> {
    (subscription >= FILTERS.len()).then_some(subscription as u32)
}

fn qos_of(number: usize) -> Qos {
    [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][number]
}

#[test]
fn nobody_gets_what_it_may_not_read_and_qos_2_never_comes_twice() {
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    let mut runner = TestRunner::new_with_rng(config, seed);
    let histories = proptest::collection::vec(step(), 1..80);
    runner
        .run(&histories, |steps| {
            let mut model = Model::new();
            steps.iter().for_each(|step| model.play(step));
            Ok(())
        })
        .unwrap();
}

#[test]
fn everything_that_may_be_read_arrives_when_nothing_goes_wrong() {
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[43; 32]);
    let mut runner = TestRunner::new_with_rng(config, seed);
    let sends = proptest::collection::vec((0..TOPICS.len(), 1..3_usize), 1..60);
    runner
        .run(&(sends, 1..4_u16), |(sends, shards)| {
            let mut w = World::new(shards, Limits::default());
            let readers: Vec<_> = FILTERS
                .iter()
                .map(|filter| {
                    let reader = w.connect(hello(Version::V5, "user:app", filter));
                    w.subscribe(reader, filter);
                    (reader, keyward_mqtt::topic::TopicFilter::parse(filter).unwrap())
                })
                .collect();
            let writer = w.connect(hello(Version::V5, "user:app", "writer"));
            for (number, (topic, qos)) in (1..).zip(&sends) {
                w.publish(writer, letter(TOPICS[*topic], &number.to_string()).qos(qos_of(*qos), number));
            }
            for (reader, filter) in readers {
                let expected: Vec<_> = (1..)
                    .zip(&sends)
                    .filter(|(_, (topic, _))| {
                        filter.matches(keyward_mqtt::topic::TopicName::parse(TOPICS[*topic]).unwrap())
                    })
                    .map(|(number, _): (u16, _)| number.to_string())
                    .collect();
                prop_assert_eq!(w.payloads(reader), expected);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn one_history_has_one_trace() {
    let config = Config { cases: 20, failure_persistence: None, ..Config::default() };
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[44; 32]);
    let mut runner = TestRunner::new_with_rng(config, seed);
    let histories = proptest::collection::vec(step(), 1..80);
    runner
        .run(&histories, |steps| {
            let trace = || {
                let mut model = Model::new();
                model.world.record();
                steps.iter().for_each(|step| model.play(step));
                model.world.take_record()
            };
            prop_assert_eq!(trace(), trace());
            Ok(())
        })
        .unwrap();
}

/// Is a packet that makes little sense where it comes.
#[derive(Debug, Clone)]
enum Noise {
    Ack { kind: usize, id: u16, code: bool },
    Publish { topic: usize, qos: usize, id: u16, retain: bool },
    Subscribe { filter: usize, id: u16 },
    Unsubscribe { filter: usize },
    Connect { v5: bool, clean: bool },
    Lose,
    Mute { reads: bool },
    Store,
    Storage { storage: Storage },
    Pass { secs: u64 },
}

fn noise() -> impl Strategy<Value = Noise> {
    prop_oneof![
        8 => (0..4_usize, 1..8_u16, any::<bool>()).prop_map(|(kind, id, code)| Noise::Ack { kind, id, code }),
        8 => (0..TOPICS.len(), 0..3_usize, 1..8_u16, any::<bool>())
            .prop_map(|(topic, qos, id, retain)| Noise::Publish { topic, qos, id, retain }),
        3 => (0..SUBSCRIPTIONS.len(), 1..8_u16).prop_map(|(filter, id)| Noise::Subscribe { filter, id }),
        1 => (0..SUBSCRIPTIONS.len()).prop_map(|filter| Noise::Unsubscribe { filter }),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(v5, clean)| Noise::Connect { v5, clean }),
        1 => Just(Noise::Lose),
        1 => any::<bool>().prop_map(|reads| Noise::Mute { reads }),
        2 => Just(Noise::Store),
        1 => proptest::sample::select(vec![Storage::Open, Storage::Full, Storage::Broken])
            .prop_map(|storage| Noise::Storage { storage }),
        1 => (0..50_u64).prop_map(|secs| Noise::Pass { secs }),
    ]
}

fn make(w: &mut World, peer: &mut Peer, noise: &Noise) {
    match noise {
        Noise::Connect { v5, clean } => {
            let version = if *v5 { Version::V5 } else { Version::V311 };
            let greeting = hello(version, "user:app", "noise").silent().will("x", "gone");
            *peer = w.try_connect(if *clean { greeting.clean() } else { greeting });
        }
        Noise::Pass { secs } => w.pass(*secs),
        Noise::Store => w.store(),
        Noise::Storage { storage } => w.storage(*storage),
        Noise::Lose => w.lose(*peer),
        _ if !w.is_open(*peer) => {}
        Noise::Ack { kind, id, code } => acknowledge(w, *peer, *kind, *id, *code),
        Noise::Publish { topic, qos, id, retain } => {
            let letter = letter(TOPICS[*topic], "noise").qos(qos_of(*qos), *id);
            w.publish(*peer, if *retain { letter.retained() } else { letter });
        }
        Noise::Subscribe { filter, id } => {
            w.subscribe_only(*peer, *id, SUBSCRIPTIONS[*filter], at(qos_of(usize::from(id % 3))), None);
            w.settle();
        }
        Noise::Unsubscribe { filter } => w.unsubscribe(*peer, SUBSCRIPTIONS[*filter]),
        Noise::Mute { reads } => w.set_reading(*peer, *reads),
    }
}

fn acknowledge(w: &mut World, peer: Peer, kind: usize, id: u16, fails: bool) {
    let reason = if fails && kind < 2 { ReasonCode::UnspecifiedError } else { ReasonCode::Success };
    let ack = Ack { id: crate::peer::id(id), reason, properties: AckProperties::default() };
    let packet = match kind {
        0 => Packet::PubAck(ack),
        1 => Packet::PubRec(ack),
        2 => Packet::PubRel(ack),
        _ => Packet::PubComp(ack),
    };
    w.send(peer, &packet);
}

#[test]
fn no_sequence_of_packets_breaks_a_shard_or_its_books() {
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[45; 32]);
    let mut runner = TestRunner::new_with_rng(config, seed);
    let noises = proptest::collection::vec(noise(), 1..120);
    runner
        .run(&(noises, any::<bool>(), 1..4_u16), |(noises, slow, shards)| {
            let limits = Limits { outbox_bytes: 200, queue_messages: 5, ..Limits::default() };
            let mut w = World::new(shards, limits);
            if slow {
                w.slow_store();
            }
            w.rules(&all_may_share());
            let mut peer = w.connect(hello(Version::V5, "user:app", "noise").silent());
            noises.iter().for_each(|noise| make(&mut w, &mut peer, noise));
            // Everybody leaves: nothing may be left in the books.
            w.store();
            w.storage(Storage::Open);
            let last = w.connect(hello(Version::V5, "user:app", "noise").clean().expiry(0).silent());
            w.store();
            w.disconnect(last);
            let stats = w.stats();
            let books =
                (stats.sessions, stats.subscriptions, stats.queued, stats.queued_bytes, stats.outbox_bytes);
            prop_assert_eq!(books, (0, 0, 0, 0, 0));
            prop_assert_eq!((stats.shared_subscriptions, stats.groups), (0, 0));
            Ok(())
        })
        .unwrap();
}
