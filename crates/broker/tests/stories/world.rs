//! A broker in memory: its shards, the wires between them, its clients, its registry and its rules.

use crate::disk::Disk;
use crate::peer::{Got, Hello, Peer, Wire};
use keyward_broker::output::Report;
use keyward_broker::persist::PageAsk;
use keyward_broker::placement::shard_of;
use keyward_broker::{
    Attach, Check, CloseCause, Denial, Directory, HashKey, Input, Limits, LinkId, Login, MessageKey, Notice,
    Output, Principal, RatchetAnswer, SecondHolder, Shard, ShardConfig, ShardIndex, ShardMessage, ShardStats,
    Signed, Standing, Storage, Ticket,
};
use keyward_ids::{ClientId, Identity};
use keyward_mqtt::codec::{self, Sender};
use keyward_mqtt::packet::{Packet, Version};
use keyward_mqtt::time::{Millis, Now, UnixMillis};
use keyward_policy::{Policy, SourceFile, Subject};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The installation that messages are signed for.
pub(crate) const INSTALLATION: &str = "k7m2q9xw4hp3a8cd";

/// Is a broker with its clients.
pub(crate) struct World {
    pub(crate) hash_key: HashKey,
    limits: Limits,
    pub(crate) shards: Vec<Shard>,
    inboxes: Vec<VecDeque<ShardMessage>>,
    /// Shards whose inbox is not read for now.
    deaf: Vec<bool>,
    pub(crate) now: Millis,
    pub(crate) wires: BTreeMap<LinkId, Wire>,
    principals: BTreeMap<Identity, Principal>,
    revision: u64,
    generation: u64,
    policy: Arc<Policy>,
    links: u64,
    /// Tickets that the store has not answered, if it is slow.
    unstored: Option<Vec<(usize, Ticket)>>,
    /// Pages that are not read yet, if reading takes its time.
    unread: Option<Vec<(usize, PageAsk)>>,
    /// Signatures that are not verified yet, if verifying takes its time.
    unchecked: Option<Vec<(usize, Check)>>,
    /// What survives the process, if anything does.
    pub(crate) disk: Option<Disk>,
    /// Since when numbers of signed messages are known.
    pub(crate) numbers_since: UnixMillis,
    /// What the shards said, in words, if that is recorded.
    record: Option<Vec<String>>,
    pub(crate) denials: Vec<Denial>,
    pub(crate) second_holders: Vec<SecondHolder>,
    /// What devices answered for their rolling secrets.
    pub(crate) ratchets: Vec<RatchetAnswer>,
    /// What devices said that was accepted: topic and what was signed.
    pub(crate) said: Vec<(String, Option<Signed>)>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) reports: Vec<Report>,
}

/// Runs a story in a broker of one, of two and of three shards.
pub(crate) fn in_every_world(story: impl Fn(&mut World)) {
    in_every_world_with(Limits::default(), story);
}

/// Runs a story in every version and every size of broker.
pub(crate) fn in_every_world_and_version(story: impl Fn(&mut World, Version)) {
    for version in [Version::V31, Version::V311, Version::V5] {
        in_every_world(|world| story(world, version));
    }
}

pub(crate) fn in_every_world_with(limits: Limits, story: impl Fn(&mut World)) {
    for shards in 1..=3 {
        story(&mut World::new(shards, limits));
    }
}

/// Names the identity `text`: `device:NAME` or `user:NAME`.
pub(crate) fn identity(text: &str) -> Identity {
    text.parse().unwrap()
}

/// Writes one rule.
pub(crate) fn rule(who: &str, effect: &str, actions: &[&str], topics: &[&str]) -> String {
    format!("[[rule]]\nwho = \"{who}\"\n{effect} = {actions:?}\ntopics = {topics:?}\n")
}

/// The rules of most stories: `user:app` may do everything, others have their own topics.
pub(crate) fn app_may_everything() -> String {
    rule("user:app", "allow", &["publish", "subscribe"], &["#"])
}

/// Returns the nonce that the door of this world gives a link.
pub(crate) fn nonce_of(link: LinkId) -> [u8; 16] {
    u128::from(link.0).to_be_bytes()
}

impl World {
    pub(crate) fn new(shards: u16, limits: Limits) -> Self {
        let hash_key = HashKey::new([7; 16]);
        let mut world = Self {
            hash_key,
            limits,
            shards: Vec::new(),
            inboxes: Vec::new(),
            deaf: Vec::new(),
            now: Millis(1_000_000),
            wires: BTreeMap::new(),
            principals: BTreeMap::new(),
            revision: 0,
            generation: 0,
            policy: Arc::new(Policy::builtin()),
            links: 0,
            unstored: None,
            unread: None,
            unchecked: None,
            disk: None,
            numbers_since: UnixMillis(0),
            record: None,
            denials: Vec::new(),
            second_holders: Vec::new(),
            ratchets: Vec::new(),
            said: Vec::new(),
            notices: Vec::new(),
            reports: Vec::new(),
        };
        world.build(shards);
        world.rules(&app_may_everything());
        for name in ["device:pump", "device:lamp", "user:app", "user:eve"] {
            world.set(name, 1, Standing::Active);
        }
        world
    }

    /// Makes so many shards that hold nothing.
    pub(crate) fn build(&mut self, shards: u16) {
        let (hash_key, limits, numbers_since) = (self.hash_key, self.limits, self.numbers_since);
        let is_stored = self.disk.is_some();
        let config = |index| ShardConfig {
            index: ShardIndex(index),
            shards,
            hash_key,
            limits,
            is_stored,
            numbers_since,
            is_watched: true,
        };
        self.shards = (0..shards).map(|index| Shard::new(config(index))).collect();
        self.inboxes = (0..shards).map(|_| VecDeque::new()).collect();
        self.deaf = vec![false; usize::from(shards)];
    }

    // Registry and rules.

    /// Puts other rules in force.
    pub(crate) fn rules(&mut self, text: &str) {
        let policy = Policy::load(&[SourceFile::new("policy.d/test.toml", text)]);
        let policy = Arc::new(policy.unwrap_or_else(|errors| panic!("{errors}")));
        self.generation += 1;
        self.policy = policy;
        self.publish_policy();
        self.settle();
    }

    pub(crate) fn publish_policy(&mut self) {
        let (generation, policy) = (self.generation, Arc::clone(&self.policy));
        self.tell_all(|| Input::Policy { generation, policy: Arc::clone(&policy) });
    }

    /// Puts other rules in force on one shard after another, from this one on, and lets all that follows happen between
    /// two of them.
    pub(crate) fn rules_one_by_one(&mut self, text: &str, first: usize) {
        let policy = Policy::load(&[SourceFile::new("policy.d/test.toml", text)]);
        let policy = Arc::new(policy.unwrap_or_else(|errors| panic!("{errors}")));
        self.generation += 1;
        let generation = self.generation;
        for index in 0..self.shards.len() {
            let shard = (first + index) % self.shards.len();
            self.give(shard, Input::Policy { generation, policy: Arc::clone(&policy) });
            self.settle();
        }
    }

    /// Puts a principal into the registry.
    pub(crate) fn set(&mut self, name: &str, life: u64, standing: Standing) {
        self.set_only(name, life, standing);
        self.settle();
    }

    /// Puts a principal into the registry and lets nothing else happen.
    pub(crate) fn set_only(&mut self, name: &str, life: u64, standing: Standing) {
        // A new life has new credentials.
        let subject = Subject::new(identity(name));
        self.principals.insert(
            identity(name),
            Principal { subject, life, epoch: life, standing, message_keys: Vec::new() },
        );
        self.publish_directory();
    }

    /// Takes the credentials of an identity of the first life away, as the registry does whenever its standing ends too;
    /// those of `epoch` hold from now on.
    pub(crate) fn renew(&mut self, name: &str, epoch: u64, standing: Standing) {
        self.renew_only(name, epoch, standing);
        self.settle();
    }

    /// Does the same and lets nothing else happen.
    pub(crate) fn renew_only(&mut self, name: &str, epoch: u64, standing: Standing) {
        let subject = Subject::new(identity(name));
        self.principals.insert(
            identity(name),
            Principal { subject, life: 1, epoch, standing, message_keys: Vec::new() },
        );
        self.publish_directory();
    }

    /// Puts a device into quarantine, or takes it out with its links left open.
    pub(crate) fn quarantine(&mut self, name: &str, quarantined: bool) {
        self.principals.get_mut(&identity(name)).unwrap().subject.quarantined = quarantined;
        self.publish_directory();
        self.settle();
    }

    /// Revokes an identity; nothing of it is kept.
    pub(crate) fn revoke(&mut self, name: &str) {
        self.set(name, 1, Standing::Revoked { keep_messages: false, publish_will: false });
    }

    pub(crate) fn publish_directory(&mut self) {
        self.revision += 1;
        let principals = self.principals.values().cloned().map(Arc::new);
        let directory = Arc::new(Directory::new(self.revision, principals).of_installation(INSTALLATION));
        self.tell_all(|| Input::Directory(Arc::clone(&directory)));
    }

    pub(crate) fn tell_all(&mut self, input: impl Fn() -> Input<'static>) {
        for index in 0..self.shards.len() {
            self.give(index, input());
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    // Clients.

    /// Connects and expects to be welcomed.
    pub(crate) fn connect(&mut self, hello: Hello) -> Peer {
        let peer = self.try_connect(hello);
        assert!(self.is_open(peer), "refused: {:?}", self.wires[&peer.link].got);
        peer
    }

    /// Connects; what comes of it lies with the peer.
    pub(crate) fn try_connect(&mut self, hello: Hello) -> Peer {
        let peer = self.begin_connect(hello);
        self.settle();
        peer
    }

    /// Hands the link to its shard and lets nothing else happen.
    pub(crate) fn begin_connect(&mut self, hello: Hello) -> Peer {
        self.links += 1;
        let link = LinkId(self.links);
        let client_id = ClientId::new(&hello.client_id);
        let shard = shard_of(&self.hash_key, &hello.identity, &client_id, self.shards.len() as u16);
        let assigned = hello.assigned;
        let login = Login { identity: hello.identity.clone(), life: hello.life, epoch: hello.epoch };
        let attach =
            hello.with_packet(|connect| Attach::new(link, connect, login, client_id, assigned).unwrap());
        let attach = attach.in_session(nonce_of(link));
        let wire = Wire::new(usize::from(shard.0), &hello);
        self.wires.insert(link, wire);
        self.give(usize::from(shard.0), Input::Attach(Box::new(attach)));
        Peer { link, version: hello.version }
    }

    /// Says what came of an answer for the rolling secret.
    pub(crate) fn rule(&mut self, peer: Peer, text: &str) {
        let shard = self.wires[&peer.link].shard;
        self.give(shard, Input::Ratchet { link: peer.link, text: text.to_owned() });
    }

    /// Sends a packet, encoded and decoded again, and lets all that follows happen.
    pub(crate) fn send(&mut self, peer: Peer, packet: &Packet<'_>) {
        self.send_only(peer, packet);
        self.settle();
    }

    /// Sends a packet and lets nothing else happen.
    pub(crate) fn send_only(&mut self, peer: Peer, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        codec::encode(packet, peer.version, &mut bytes).unwrap();
        let packet = codec::decode(peer.version, Sender::Client, &bytes).unwrap();
        let shard = self.wires[&peer.link].shard;
        self.give(shard, Input::Packet { link: peer.link, packet });
    }

    /// Cuts the link without a word.
    pub(crate) fn lose(&mut self, peer: Peer) {
        let shard = self.wires[&peer.link].shard;
        self.wires.get_mut(&peer.link).unwrap().closed.get_or_insert(None);
        self.give(shard, Input::Lost { link: peer.link });
        self.settle();
    }

    /// Returns what the peer got since the last question.
    pub(crate) fn got(&mut self, peer: Peer) -> Vec<Got> {
        std::mem::take(&mut self.wires.get_mut(&peer.link).unwrap().got)
    }

    /// Returns the seconds of keep-alive that hold for the link, as the shell was told.
    pub(crate) fn keep_alive(&self, peer: Peer) -> Option<u16> {
        self.wires[&peer.link].keep_alive
    }

    /// Returns every packet that the peer ever got, as it came.
    pub(crate) fn frames(&self, peer: Peer) -> &[Vec<u8>] {
        &self.wires[&peer.link].frames
    }

    /// Returns payloads of the messages that the peer got since the last question, as texts.
    pub(crate) fn payloads(&mut self, peer: Peer) -> Vec<String> {
        let messages = self.messages(peer);
        messages.into_iter().map(|message| String::from_utf8(message.payload).unwrap()).collect()
    }

    /// Returns the messages that the peer got since the last question.
    pub(crate) fn messages(&mut self, peer: Peer) -> Vec<crate::peer::Message> {
        let got = self.got(peer).into_iter();
        got.filter_map(|got| if let Got::Message(message) = got { Some(message) } else { None }).collect()
    }

    pub(crate) fn wire_got(&mut self, peer: Peer) -> &mut Vec<Got> {
        &mut self.wires.get_mut(&peer.link).unwrap().got
    }

    pub(crate) fn is_open(&self, peer: Peer) -> bool {
        self.wires[&peer.link].closed.is_none()
    }

    /// Returns why the broker closed the link, if it did.
    pub(crate) fn closed(&self, peer: Peer) -> Option<CloseCause> {
        self.wires[&peer.link].closed.flatten()
    }

    /// Tells whether the broker wanted what was not written to be written before it closed the link.
    pub(crate) fn was_flushed(&self, peer: Peer) -> bool {
        self.wires[&peer.link].flushed
    }

    /// Says whether the client reads. What it does not read stays with the shell.
    pub(crate) fn set_reading(&mut self, peer: Peer, reads: bool) {
        let wire = self.wires.get_mut(&peer.link).unwrap();
        wire.reads = reads;
        if reads && wire.has_unwritten {
            wire.has_unwritten = false;
            wire.read();
            let shard = wire.shard;
            self.give(shard, Input::Written { link: peer.link });
            self.settle();
        }
    }

    // The machine room.

    /// Lets `secs` seconds pass.
    pub(crate) fn pass(&mut self, secs: u64) {
        let end = self.now.saturating_add(Millis::from_secs(secs));
        while let Some(due) =
            self.shards.iter().filter_map(Shard::poll_timeout).min().filter(|due| *due <= end)
        {
            self.now = self.now.max(due);
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// Stops reading the inbox of the shard where `topic` is retained, or lets it read again.
    pub(crate) fn set_deaf(&mut self, shard: usize, deaf: bool) {
        self.deaf[shard] = deaf;
        if !deaf {
            self.settle();
        }
    }

    /// Lets a deaf shard read so many messages, and nothing else happen.
    pub(crate) fn hear(&mut self, shard: usize, messages: usize) {
        for _ in 0..messages {
            let message = self.inboxes[shard].pop_front().unwrap();
            self.give(shard, Input::FromShard(message));
        }
    }

    pub(crate) fn shard_of(&self, peer: Peer) -> usize {
        self.wires[&peer.link].shard
    }

    /// Tells whether a shard has work now, asked as the shell asks.
    fn is_due(&self, shard: usize) -> bool {
        self.shards[shard].poll_timeout().is_some_and(|due| due <= self.now)
    }

    pub(crate) fn is_behind(&self, peer: Peer) -> bool {
        self.is_due(self.shard_of(peer))
    }

    /// Tells whether the shell would read the peer's link though there is work left.
    pub(crate) fn may_be_read(&self, peer: Peer) -> bool {
        self.shards[self.shard_of(peer)].may_be_read(peer.link)
    }

    pub(crate) fn home_of(&self, topic: &str) -> usize {
        let home = keyward_broker::placement::topic_home(&self.hash_key, topic, self.shards.len() as u16);
        usize::from(home.0)
    }

    /// Makes the store slow: tickets wait for [`World::store`].
    pub(crate) fn slow_store(&mut self) {
        self.unstored = Some(Vec::new());
    }

    /// Lets the store answer what waits.
    pub(crate) fn store(&mut self) {
        self.sync();
        for (shard, through) in self.unstored.replace(Vec::new()).unwrap_or_default() {
            self.give(shard, Input::Committed { through });
        }
        self.settle();
    }

    /// Makes reading from disk slow: pages wait for [`World::read_pages`].
    pub(crate) fn slow_reads(&mut self) {
        self.unread = Some(Vec::new());
    }

    /// Reads the pages that wait, and lets all that follows happen. Returns how many there were.
    pub(crate) fn read_pages(&mut self) -> usize {
        let unread = self.unread.replace(Vec::new()).unwrap_or_default();
        let count = unread.len();
        for (shard, ask) in unread {
            let page = self.disk.as_ref().unwrap().read(ask);
            self.give(shard, Input::Page(page));
        }
        self.settle();
        count
    }

    /// Makes verifying slow: signatures wait for [`World::verify`].
    pub(crate) fn slow_checks(&mut self) {
        self.unchecked = Some(Vec::new());
    }

    /// Verifies the signatures that wait, and lets all that follows happen. Returns how many there were.
    pub(crate) fn verify(&mut self) -> usize {
        let unchecked = self.unchecked.replace(Vec::new()).unwrap_or_default();
        let count = unchecked.len();
        for (shard, check) in unchecked {
            self.give(shard, Input::Checked(check.run_in_software()));
        }
        self.settle();
        count
    }

    /// Tells whether packets of the peer wait for the check of its last message.
    pub(crate) fn is_held(&self, peer: Peer) -> bool {
        self.shards[self.shard_of(peer)].is_held(peer.link)
    }

    /// Gives a device these keys.
    pub(crate) fn message_keys(&mut self, name: &str, keys: Vec<MessageKey>) {
        self.principals.get_mut(&identity(name)).unwrap().message_keys = keys;
        self.publish_directory();
        self.settle();
    }

    /// Tells every shard what the store can take from now on.
    pub(crate) fn storage(&mut self, storage: Storage) {
        self.tell_all(|| Input::Storage(storage));
    }

    /// Writes down what the shards say from now on.
    pub(crate) fn record(&mut self) {
        self.record = Some(Vec::new());
    }

    pub(crate) fn take_record(&mut self) -> Vec<String> {
        self.record.take().unwrap_or_default()
    }

    /// Begins to stop and lets nothing else happen.
    pub(crate) fn begin_shut_down(&mut self) {
        self.tell_all(|| Input::Shutdown);
    }

    /// Cuts the link without a word and lets nothing else happen.
    pub(crate) fn lose_only(&mut self, peer: Peer) {
        let shard = self.wires[&peer.link].shard;
        self.wires.get_mut(&peer.link).unwrap().closed.get_or_insert(None);
        self.give(shard, Input::Lost { link: peer.link });
    }

    /// Says what the shell of the first shard holds.
    pub(crate) fn burden(&mut self, bytes: usize) {
        self.give(0, Input::Burden { bytes });
    }

    /// Lets the broker itself publish.
    pub(crate) fn announce(&mut self, values: &[(&str, &str)]) {
        let values: Vec<_> = values
            .iter()
            .map(|(topic, payload)| ((*topic).to_owned(), payload.as_bytes().to_vec()))
            .collect();
        self.give(0, Input::Announce(&values));
        self.settle();
    }

    pub(crate) fn shut_down(&mut self) {
        self.tell_all(|| Input::Shutdown);
        self.settle();
    }

    pub(crate) fn stats(&self) -> ShardStats {
        self.shards.iter().map(Shard::stats).fold(ShardStats::default(), ShardStats::plus)
    }

    pub(crate) fn give(&mut self, shard: usize, input: Input<'_>) {
        self.handle(shard, input);
        while let Some(output) = self.shards[shard].poll_output() {
            if let Some(record) = &mut self.record {
                record.push(format!("{shard}: {output:?}"));
            }
            self.apply(shard, output);
        }
    }

    fn handle(&mut self, shard: usize, input: Input<'_>) {
        let now = Now { mono: self.now, wall: UnixMillis(self.now.0) };
        self.shards[shard].handle(now, input);
    }

    fn apply(&mut self, shard: usize, output: Output) {
        match output {
            Output::Established { link, keep_alive } => {
                self.wires.get_mut(&link).unwrap().keep_alive = Some(keep_alive);
            }
            Output::Dirty(link) => self.write(shard, link),
            Output::Close { link, cause, last } => self.wires.get_mut(&link).unwrap().close(cause, last),
            Output::ToShard { to, message } => {
                assert_ne!(usize::from(to.0), shard, "a shard wrote to itself");
                assert!(message.weight() > 0);
                self.inboxes[usize::from(to.0)].push_back(message);
            }
            Output::Commit(through) => {
                self.write_entry(shard);
                match &mut self.unstored {
                    Some(unstored) => unstored.push((shard, through)),
                    None => {
                        self.sync();
                        self.handle(shard, Input::Committed { through });
                    }
                }
            }
            Output::ReadPage(ask) => match &mut self.unread {
                Some(unread) => unread.push((shard, ask)),
                None => self.read_page(shard, ask),
            },
            Output::Check(check) => {
                assert!(self.shards[shard].is_held(check.link()));
                match &mut self.unchecked {
                    Some(unchecked) => unchecked.push((shard, *check)),
                    None => self.handle(shard, Input::Checked(check.run_in_software())),
                }
            }
            Output::SecondHolder(found) => self.second_holders.push(*found),
            Output::Ratchet(answer) => self.ratchets.push(*answer),
            Output::Said { message, signed } => self.said.push((message.topic().to_owned(), signed)),
            Output::Denied(denial) => self.denials.push(denial),
            Output::Notice(notice) => self.notices.push(notice),
            Output::Reported(report) => self.reports.push(report),
        }
    }

    /// Reads a page that a shard asked for.
    pub(crate) fn read_page(&mut self, shard: usize, ask: PageAsk) {
        if let Some(disk) = &self.disk {
            let page = disk.read(ask);
            self.handle(shard, Input::Page(page));
        }
    }

    /// Writes what waits for a link, as the worker does at the end of a tick.
    fn write(&mut self, shard: usize, link: LinkId) {
        let Some(outbox) = self.shards[shard].take_outbox(link) else { return };
        let wire = self.wires.get_mut(&link).unwrap();
        wire.arrive(&outbox);
        self.shards[shard].recycle(outbox);
        if self.wires[&link].reads {
            self.handle(shard, Input::Written { link });
        }
    }

    /// Lets everything happen that needs no time: inboxes, slices, acknowledgements of clients.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// Lets things happen one by one until `condition` holds.
    pub(crate) fn settle_until(&mut self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            assert!(self.step(), "the world came to rest before");
        }
    }

    /// Tells whether the peer got something like this since the last question.
    pub(crate) fn has_got(&self, peer: Peer, like: impl Fn(&Got) -> bool) -> bool {
        self.wires[&peer.link].got.iter().any(like)
    }

    fn step(&mut self) -> bool {
        for shard in 0..self.shards.len() {
            if !self.deaf[shard]
                && let Some(message) = self.inboxes[shard].pop_front()
            {
                self.give(shard, Input::FromShard(message));
                return true;
            }
            if self.is_due(shard) {
                self.give(shard, Input::Timeout);
                return true;
            }
        }
        let ready = self.wires.iter_mut().find_map(|(link, wire)| {
            let answer = wire.answers.pop_front()?;
            Some((*link, wire.shard, wire.version, answer))
        });
        let Some((link, shard, version, bytes)) = ready else { return false };
        let packet = codec::decode(version, Sender::Client, &bytes).unwrap();
        self.give(shard, Input::Packet { link, packet });
        true
    }
}
