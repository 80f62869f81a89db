//! What must be true of a device in quarantine, from the moment at which its shard goes by it: nothing but recovery topics flows to it or
//! from it. And recovery flows: what was taken on such a topic comes, however often the broker died.

use super::RECOVERY;
use crate::event::{Change, ClientNo, Event, MessageNo, Serial, ShardNo, What};
use crate::model::Breach;
use crate::packet::{Packet, Publish};
use crate::pump_and_reader::{PUMP, READER};
use crate::races::{Race, Races};
use crate::run::Promises;
use keyward_broker::LinkId;
use keyward_mqtt::reason::ReasonCode;
use std::collections::BTreeMap;

/// Is the model of one run.
#[derive(Debug)]
pub(super) struct Model {
    races: Races,
    /// Whether the pump is in quarantine at each revision of the registry.
    revisions: Vec<bool>,
    /// Which revision each shard goes by.
    shards: Vec<u64>,
    links: BTreeMap<LinkId, Link>,
    messages: BTreeMap<MessageNo, Message>,
}

/// Is a link of one of the two.
#[derive(Debug)]
struct Link {
    client: ClientNo,
    /// What stands under a packet id.
    under_way: BTreeMap<u16, MessageNo>,
}

/// Is what is known of a message.
#[derive(Debug)]
struct Message {
    from: ClientNo,
    topic: String,
    /// Whether a shard took it when its publisher might say it.
    is_free: bool,
    is_acknowledged: bool,
    has_arrived: bool,
}

macro_rules! breach {
    ($($words:tt)*) => { Err(Breach::new(format!($($words)*))) };
}

impl Model {
    pub(super) fn new(shards: u16) -> Self {
        Self {
            races: Races::default(),
            revisions: vec![false],
            shards: vec![0; usize::from(shards)],
            links: BTreeMap::new(),
            messages: BTreeMap::new(),
        }
    }

    /// Tells whether the pump is in quarantine, as far as a shard knows.
    fn is_in(&self, shard: ShardNo) -> bool {
        self.revisions[self.shards[shard.0] as usize]
    }

    fn newest(&self) -> u64 {
        self.revisions.len() as u64 - 1
    }

    /// A shard goes by a revision of the registry.
    fn enact(&mut self, shard: ShardNo, revision: u64) {
        let was_in = self.is_in(shard);
        self.shards[shard.0] = revision;
        let waits = self.messages.values().any(|it| it.is_acknowledged && !it.has_arrived && !it.recovers());
        self.races.note_if(!was_in && self.is_in(shard) && waits, Race::QuarantinedWithMailUnderWay);
    }

    /// A shard takes a message.
    fn take(&mut self, shard: ShardNo, link: LinkId, publish: &Publish) {
        let (Some(number), Some(of)) = (publish.number, self.links.get_mut(&link)) else { return };
        if let Some(id) = publish.id {
            of.under_way.insert(id, number);
        }
        let from = of.client;
        let may = from != PUMP || publish.topic.starts_with(RECOVERY) || !self.is_in(shard);
        let fresh = || Message {
            from,
            topic: publish.topic.clone(),
            is_free: false,
            is_acknowledged: false,
            has_arrived: false,
        };
        self.messages.entry(number).or_insert_with(fresh).is_free |= may;
    }

    /// A shard answers a message.
    fn answer(&mut self, link: LinkId, id: u16, reason: ReasonCode) -> Result<(), Breach> {
        let number = self.links.get(&link).and_then(|of| of.under_way.get(&id)).copied();
        let Some(message) = number.and_then(|number| self.messages.get_mut(&number)) else { return Ok(()) };
        if !matches!(reason, ReasonCode::Success | ReasonCode::NoMatchingSubscribers) {
            return match message.recovers() && reason == ReasonCode::NotAuthorized {
                true => breach!("refused on a topic of recovery: {}", message.topic),
                false => Ok(()),
            };
        }
        if !message.is_free {
            return breach!("accepted from quarantine: {}", message.topic);
        }
        message.is_acknowledged = true;
        Ok(())
    }

    /// A shard writes a message to one of the two.
    fn write(&mut self, shard: ShardNo, link: LinkId, publish: &Publish) -> Result<(), Breach> {
        let Some(client) = self.links.get(&link).map(|of| of.client) else { return Ok(()) };
        if client == PUMP && self.is_in(shard) && !publish.topic.starts_with(RECOVERY) {
            return breach!("sent into quarantine: {publish}");
        }
        let Some(message) = publish.number.and_then(|number| self.messages.get_mut(&number)) else {
            return breach!("nobody published what was sent: {publish}");
        };
        if client == READER && !message.is_free {
            return breach!("sent out of quarantine: {publish}");
        }
        message.has_arrived |= client != message.from;
        Ok(())
    }

    fn settled(&self) -> Result<(), Breach> {
        let is_lost = |of: &&Message| of.recovers() && of.is_acknowledged && !of.has_arrived;
        match self.messages.values().find(is_lost) {
            Some(message) => breach!("it was acknowledged and never came: {}", message.topic),
            None => Ok(()),
        }
    }
}

impl Message {
    fn recovers(&self) -> bool {
        self.topic.starts_with(RECOVERY)
    }
}

impl Promises for Model {
    fn observe(&mut self, event: &Event) -> Result<(), Breach> {
        match &event.what {
            What::Connects { client, link, .. } => {
                self.links.insert(*link, Link { client: *client, under_way: BTreeMap::new() });
            }
            What::Orders(Change::Quarantine { is_in, .. }) => self.revisions.push(*is_in),
            What::Enacts { shard, change: Serial::Registry(revision) } => self.enact(*shard, *revision),
            // A new process goes by what is on disk.
            What::Starts => {
                let newest = self.newest();
                self.shards.fill(newest);
            }
            What::Takes { shard, link, packet: Packet::Publish(publish) } => {
                self.take(*shard, *link, publish)
            }
            What::Writes { shard, link, packet, .. } => match packet {
                Packet::Publish(publish) => return self.write(*shard, *link, publish),
                Packet::PubAck(ack) | Packet::PubRec(ack) => return self.answer(*link, ack.id, ack.reason),
                _ => {}
            },
            What::Settled => return self.settled(),
            _ => {}
        }
        Ok(())
    }

    fn races(&self) -> &Races {
        &self.races
    }
}
