//! Where a scenario plays: the world, whose every part moves only when the scenario lets it, and the model, which sees
//! everything and breaks the scenario at the first promise that is broken.

use crate::cast::all_but;
use keyward_broker::{CommitOutcome, LinkId, ShardStats, Standing};
use keyward_ids::Identity;
use keyward_mqtt::packet::{Qos, RetainHandling, SubscribeOptions, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;
use keyward_policy::Action;
use keyward_sim::event::{AccountNo, ClientNo, Event, MessageNo, ShardNo, What};
use keyward_sim::model::Model;
use keyward_sim::packet::{Hello, Packet, Publish, Will};
use keyward_sim::races::Race;
use keyward_sim::setup::Setup;
use keyward_sim::world::{Cut, Draft, World};
use std::collections::BTreeSet;

/// Rounds without an event after which nobody has anything left to do: a CONNECT passes the door in three.
const QUIET_ROUNDS: usize = 4;

/// Rounds after which a scenario that still moves never comes to rest.
const ROUNDS: usize = 2_000;

/// Events that a failure shows.
const SHOWN: usize = 60;

/// Is the stage of one scenario.
pub(crate) struct Stage {
    setup: Setup,
    world: World,
    model: Model,
    /// All that has happened.
    events: Vec<Event>,
    /// Where in them the present scene begins.
    scene: usize,
    asleep: BTreeSet<ShardNo>,
    mute: BTreeSet<ClientNo>,
}

/// Is a message before it is published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Note<'a> {
    pub(crate) topic: &'a str,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
}

/// Makes a message of QoS 0.
pub(crate) fn qos0(topic: &str) -> Note<'_> {
    Note { topic, qos: Qos::AtMostOnce, retain: false }
}

/// Makes a message of QoS 1.
pub(crate) fn qos1(topic: &str) -> Note<'_> {
    Note { topic, qos: Qos::AtLeastOnce, retain: false }
}

/// Makes a message of QoS 2.
pub(crate) fn qos2(topic: &str) -> Note<'_> {
    Note { topic, qos: Qos::ExactlyOnce, retain: false }
}

impl Note<'_> {
    /// Has it retained.
    pub(crate) fn retained(self) -> Self {
        Self { retain: true, ..self }
    }
}

impl Stage {
    pub(crate) fn new(setup: Setup) -> Self {
        let mut stage = Self {
            model: Model::new(&setup),
            world: World::scripted(setup.clone()),
            setup,
            events: Vec::new(),
            scene: 0,
            asleep: BTreeSet::new(),
            mute: BTreeSet::new(),
        };
        stage.look();
        stage
    }

    /// Shows the model what has happened.
    fn look(&mut self) -> usize {
        let events = self.world.take_events();
        let count = events.len();
        for event in events {
            let seen = self.model.observe(&event);
            self.events.push(event);
            if let Err(breach) = seen {
                panic!("a promise is broken: {breach}");
            }
        }
        count
    }

    fn act<R>(&mut self, act: impl FnOnce(&mut World) -> R) -> R {
        let result = act(&mut self.world);
        self.look();
        result
    }

    // How the story goes on.

    /// Lets everybody who is awake do all there is to do. Time does not pass, and a slow disk does not answer.
    pub(crate) fn go_on(&mut self) {
        let mut quiet = 0;
        for _ in 0..ROUNDS {
            if quiet == QUIET_ROUNDS {
                return;
            }
            quiet = if self.round() == 0 { quiet + 1 } else { 0 };
        }
        panic!("the scenario does not come to rest");
    }

    /// Lets everybody who is awake have one turn. Returns how much happened.
    pub(crate) fn round(&mut self) -> usize {
        let before = self.events.len();
        self.world.hand_on();
        self.world.carry_all();
        self.world.tick_door();
        for shard in (0..usize::from(self.setup.shards)).map(ShardNo) {
            if !self.asleep.contains(&shard) {
                self.world.tick(shard);
            }
        }
        self.world.carry_all();
        for client in (0..self.setup.clients.len()).map(ClientNo) {
            self.world.listen(client);
            if !self.mute.contains(&client) {
                self.world.acknowledge(client, true);
            }
        }
        self.look();
        self.events.len() - before
    }

    /// Goes on, and has a slow disk make durable whatever is asked for.
    pub(crate) fn go_on_with_disk(&mut self) {
        for _ in 0..ROUNDS {
            let before = self.events.len();
            self.go_on();
            self.world.answer_all();
            self.go_on();
            if self.events.len() == before {
                return;
            }
        }
        panic!("the disk never comes to rest");
    }

    /// Has the disk answer all that a shard asked for, in one way.
    pub(crate) fn disk_answers(&mut self, shard: ShardNo, outcome: CommitOutcome) {
        self.act(|world| world.answer(shard, usize::MAX, outcome));
    }

    /// Keeps a shard from running.
    pub(crate) fn sleep(&mut self, shard: ShardNo) {
        self.asleep.insert(shard);
    }

    /// Lets a shard run again.
    pub(crate) fn wake(&mut self, shard: ShardNo) {
        self.asleep.remove(&shard);
    }

    /// Lets a shard run once.
    pub(crate) fn tick(&mut self, shard: ShardNo) {
        self.act(|world| world.tick(shard));
    }

    /// Lets the door run once.
    pub(crate) fn tick_door(&mut self) {
        self.act(World::tick_door);
    }

    /// Lets what is under way over a client's link arrive.
    pub(crate) fn deliver(&mut self, client: ClientNo) {
        let link = self.link(client);
        self.act(|world| world.deliver(link));
    }

    /// Lets what is under way over one link arrive.
    pub(crate) fn deliver_over(&mut self, link: LinkId) {
        self.act(|world| world.deliver(link));
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.world.pass(Millis::from_secs(seconds));
    }

    /// Begins a scene: everything before it has landed, and what is asked about begins here.
    pub(crate) fn scene(&mut self) {
        self.go_on();
        self.pass(2);
        self.scene = self.events.len();
    }

    /// Brings the scenario to its end: everybody wakes, what is owed arrives, all leave, and nothing is left.
    pub(crate) fn end(mut self) {
        self.asleep.clear();
        self.act(World::settle);
        self.act(World::abandon);
        for stats in self.world.stats() {
            assert_eq!((stats.sessions, stats.links, stats.queued, stats.groups), (0, 0, 0, 0));
        }
    }

    // Clients.

    /// Returns the CONNECT of a client that wants its session kept for ten minutes.
    pub(crate) fn hello(&self, client: ClientNo) -> Hello {
        let (epoch, _) = self.world.account(AccountNo(client.0));
        Hello {
            version: Version::V5,
            clean_start: false,
            keep_alive: 0,
            session_expiry: Some(600),
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: None,
            epoch,
            will: None,
        }
    }

    /// Has a client send CONNECT, and no more than that.
    pub(crate) fn connect(&mut self, client: ClientNo, hello: Hello) -> LinkId {
        self.act(|world| world.connect(client, hello))
    }

    /// Has a client send CONNECT and waits for its welcome.
    pub(crate) fn enter(&mut self, client: ClientNo) {
        let hello = self.hello(client);
        self.enter_with(client, hello);
    }

    /// Has a client send this CONNECT and waits for its welcome.
    pub(crate) fn enter_with(&mut self, client: ClientNo, hello: Hello) {
        self.connect(client, hello);
        self.go_on_with_disk();
        assert!(self.world.is_open(client), "{client} was not welcomed");
    }

    /// Has clients enter whose sessions end with their links.
    pub(crate) fn enter_for_now(&mut self, client: ClientNo) {
        let hello = Hello { session_expiry: None, ..self.hello(client) };
        self.enter_with(client, hello);
    }

    /// Makes a will at QoS 1 for a CONNECT. Returns it with its number.
    pub(crate) fn will(&mut self, topic: &str, delay: u32) -> (MessageNo, Will) {
        let number = self.world.new_message();
        let message = Publish {
            number: Some(number),
            topic: topic.to_owned(),
            alias: None,
            qos: Qos::AtLeastOnce,
            id: None,
            retain: false,
            dup: false,
            expiry: None,
            subscription_ids: Vec::new(),
        };
        (number, Will { message, delay })
    }

    /// Has a client ask for a filter, and no more than that.
    pub(crate) fn ask(&mut self, client: ClientNo, filter: &str) {
        self.ask_for_all(client, &[filter]);
    }

    /// Has a client ask for several filters at once, at QoS 2 with a replay.
    pub(crate) fn ask_for_all(&mut self, client: ClientNo, filters: &[&str]) {
        let options = SubscribeOptions {
            qos: Qos::ExactlyOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Always,
        };
        let filters = filters.iter().map(|filter| ((*filter).to_owned(), options)).collect();
        self.act(|world| world.subscribe(client, filters, None));
    }

    /// Has a client ask for a filter and waits until it has it.
    pub(crate) fn subscribe(&mut self, client: ClientNo, filter: &str) {
        let before = self.events.len();
        self.ask(client, filter);
        self.go_on_with_disk();
        let granted = self.since(before, client).any(|packet| match packet {
            Packet::SubAck { reasons, .. } => reasons.iter().all(|reason| !reason.is_failure()),
            _ => false,
        });
        assert!(granted, "{client} does not get {filter}");
    }

    /// Has a client give a filter up.
    pub(crate) fn unsubscribe(&mut self, client: ClientNo, filter: &str) {
        self.act(|world| world.unsubscribe(client, vec![filter.to_owned()]));
    }

    /// Has a client send a message, and no more than that. Returns its number.
    pub(crate) fn publish(&mut self, client: ClientNo, note: Note<'_>) -> MessageNo {
        let draft = self.draft(note);
        let number = draft.number.unwrap();
        let before = self.events.len();
        self.act(|world| world.publish(client, draft));
        assert!(self.events.len() > before, "{client} cannot publish");
        number
    }

    /// Has a client send a message of QoS 0 right behind CONNECT.
    pub(crate) fn publish_unasked(&mut self, client: ClientNo, topic: &str) -> MessageNo {
        let draft = self.draft(qos0(topic));
        let number = draft.number.unwrap();
        self.act(|world| world.publish_unasked(client, draft));
        number
    }

    fn draft(&mut self, Note { topic, qos, retain }: Note<'_>) -> Draft {
        let number = Some(self.world.new_message());
        Draft { number, topic: topic.to_owned(), qos, retain, expiry: None, large: false }
    }

    /// Has a client read and acknowledge nothing.
    pub(crate) fn mute(&mut self, client: ClientNo) {
        self.mute.insert(client);
    }

    /// Has a client acknowledge again.
    pub(crate) fn unmute(&mut self, client: ClientNo) {
        self.mute.remove(&client);
    }

    /// Has a client acknowledge one thing.
    pub(crate) fn acknowledge_one(&mut self, client: ClientNo) {
        self.act(|world| world.acknowledge(client, false));
    }

    /// Has a client take nothing of what is written to it, and its link neither.
    pub(crate) fn block(&mut self, client: ClientNo) {
        let link = self.link(client);
        self.act(|world| {
            world.set_reading(client, false);
            world.narrow(link, 0);
        });
    }

    /// Has a client take what is written to it again.
    pub(crate) fn unblock(&mut self, client: ClientNo) {
        let link = self.link(client);
        self.act(|world| {
            world.set_reading(client, true);
            world.narrow(link, usize::MAX);
        });
    }

    /// Has a client close its link without a word.
    pub(crate) fn break_link(&mut self, client: ClientNo) {
        self.act(|world| world.break_link(client));
    }

    /// Has a client say DISCONNECT and have its session end by it.
    pub(crate) fn disconnect_for_good(&mut self, client: ClientNo) {
        self.act(|world| world.disconnect(client, ReasonCode::Success, Some(0)));
    }

    /// Cuts a client's link; both ends learn of it.
    pub(crate) fn cut(&mut self, client: ClientNo) {
        let link = self.link(client);
        self.act(|world| world.cut(link, Cut::Known));
    }

    /// Returns the link of a client.
    pub(crate) fn link(&self, client: ClientNo) -> LinkId {
        self.world.link_of(client).unwrap()
    }

    /// Tells whether a client has a link over which it was welcomed.
    pub(crate) fn is_open(&self, client: ClientNo) -> bool {
        self.world.is_open(client)
    }

    // The operator.

    /// Orders rules that let everybody do everything but this; they lie on disk, and no shard has them.
    pub(crate) fn forbid(&mut self, denied: &[(ClientNo, Action, &str)]) {
        let rules = all_but(&self.setup.accounts, denied);
        self.act(|world| world.set_rules(rules));
    }

    /// Orders another standing of a client's account; the door goes by it, and no shard has it.
    pub(crate) fn set_standing(&mut self, client: ClientNo, standing: Standing) {
        let account = AccountNo(client.0);
        let (epoch, _) = self.world.account(account);
        self.act(|world| world.set_account(account, epoch, standing));
    }

    /// Has the operator give an account new credentials.
    pub(crate) fn restore(&mut self, client: ClientNo) {
        let account = AccountNo(client.0);
        let (epoch, _) = self.world.account(account);
        self.act(|world| world.set_account(account, epoch + 1, Standing::Active));
    }

    /// Puts the operator's oldest order into the inbox of every shard.
    pub(crate) fn hand_to_all(&mut self) {
        for _ in 0..self.setup.shards {
            self.act(World::hand_on);
        }
    }

    // What was seen.

    /// Returns what each shard holds.
    pub(crate) fn stats(&self) -> Vec<ShardStats> {
        self.world.stats()
    }

    /// Returns who a client is.
    pub(crate) fn identity(&self, client: ClientNo) -> &Identity {
        &self.setup.accounts[client.0]
    }

    /// Lists what happened in this scene.
    pub(crate) fn seen(&self) -> impl Iterator<Item = &What> {
        self.events[self.scene..].iter().map(|event| &event.what)
    }

    /// Lists the packets that a client heard in this scene.
    pub(crate) fn heard(&self, client: ClientNo) -> impl Iterator<Item = &Packet> {
        self.since(self.scene, client)
    }

    fn since(&self, event: usize, client: ClientNo) -> impl Iterator<Item = &Packet> {
        self.events[event..].iter().filter_map(move |event| match &event.what {
            What::Hears { client: of, packet, .. } if *of == client => Some(packet),
            _ => None,
        })
    }

    /// Lists the messages that a client heard in this scene.
    pub(crate) fn messages(&self, client: ClientNo) -> impl Iterator<Item = &Publish> {
        self.heard(client).filter_map(|packet| match packet {
            Packet::Publish(publish) => Some(publish),
            _ => None,
        })
    }

    /// Lists the numbers of these messages.
    pub(crate) fn got(&self, client: ClientNo) -> Vec<MessageNo> {
        self.messages(client).filter_map(|publish| publish.number).collect()
    }

    /// Lists the verdicts that a client heard on what it published in this scene: those of PUBACK and PUBREC.
    pub(crate) fn verdicts(&self, client: ClientNo) -> Vec<ReasonCode> {
        let heard = self.heard(client).filter_map(|packet| match packet {
            Packet::PubAck(ack) | Packet::PubRec(ack) => Some(ack.reason),
            _ => None,
        });
        heard.collect()
    }

    /// Lists how a client's CONNECTs were answered in this scene: was there a session, and how the verdict was.
    pub(crate) fn welcomes(&self, client: ClientNo) -> Vec<(bool, ReasonCode)> {
        let heard = self.heard(client).filter_map(|packet| match packet {
            Packet::ConnAck { session_present, reason, .. } => Some((*session_present, *reason)),
            _ => None,
        });
        heard.collect()
    }

    /// Fails if a race has not come up: then the scenario has shown nothing.
    #[track_caller]
    pub(crate) fn expect_race(&self, race: Race) {
        assert!(self.model.races().count(race) > 0, "this never occurred: {}", race.as_str());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _unseen = self.world.take_events();
            let first = self.events.len().saturating_sub(SHOWN);
            self.events[first..].iter().for_each(|event| eprintln!("  {event}"));
        }
    }
}
