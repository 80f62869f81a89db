//! Messages that were published, and what each session is owed of them.

use crate::event::{AccountNo, ClientNo, MessageNo};
use keyward_broker::LinkId;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// Is one message that a shard took, or a will that was due.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) number: MessageNo,
    pub(super) client: ClientNo,
    pub(super) account: AccountNo,
    /// The life of the name that published it last.
    pub(super) epoch: u64,
    /// Those that published it.
    pub(super) epochs: BTreeSet<u64>,
    /// The session that it came from.
    pub(super) origin: u64,
    pub(super) topic: String,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) expires: Option<Millis>,
    /// When the retained copy does that a process found on disk.
    pub(super) expires_in_slot: Option<Millis>,
    pub(super) is_will: bool,
    /// The oldest generation and the oldest revision that some shard went by when it was taken.
    pub(super) since: usize,
    pub(super) since_revision: usize,
    /// Which step took it first.
    pub(super) taken: u64,
    pub(super) taken_last: Millis,
    /// How often it was taken: a client may publish it again when it did not hear of the first time.
    pub(super) copies: u32,
    /// Whether its publisher was told that the broker has it, or nobody waits for that.
    pub(super) accepted: bool,
    /// Whether it is anywhere between publisher and receivers.
    pub(super) flying: bool,
}

impl Message {
    pub(super) fn is_expired(&self, now: Millis) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Is what a session is owed of one message.
#[derive(Debug, Clone)]
pub(super) struct Owed {
    /// Whether it must arrive, if it is accepted; else it may.
    pub(super) must: bool,
    /// Whether it has: written at QoS 0, answered by the client above.
    pub(super) arrived: bool,
    /// The least and the most quality of service that subscriptions allow.
    pub(super) qos: (Qos, Qos),
    /// The identifiers that it carries, while that is certain.
    pub(super) ids: Option<Vec<u32>>,
    /// The link that was open when it was published.
    pub(super) link: Option<LinkId>,
    /// How many live copies may be sent, repetitions over later links not counted.
    pub(super) copies: u32,
    pub(super) sent: u32,
    /// How many of those that were sent had the retain flag, so that they may have come from the slot.
    pub(super) flagged: u32,
    /// Which step sent one last.
    pub(super) last: u64,
}

/// Counts losses that the broker has told of, and which of them explain what is missing.
#[derive(Debug, Default)]
pub(super) struct Losses {
    told: BTreeMap<Loss, u64>,
    /// The missing messages that each kind explains, by their place in `missing`.
    explained: BTreeMap<Loss, Vec<usize>>,
    /// For each missing message the kinds of loss that may be its.
    missing: Vec<Vec<Loss>>,
}

/// Is one kind of loss that is told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    QueueFull { publisher: AccountNo, receiver: AccountNo },
    PublisherGone(AccountNo),
    TooSlow(AccountNo),
    ShardBehind(AccountNo),
    TooLarge(AccountNo),
    NoMemory(AccountNo),
    RetainedFull(AccountNo),
    WillWithheld(AccountNo),
    GroupFull(AccountNo),
    GroupAbsent(AccountNo),
    GroupDenied(AccountNo),
}

impl Losses {
    pub(super) fn note(&mut self, loss: Loss) {
        *self.told.entry(loss).or_default() += 1;
    }

    pub(super) fn count(&self, loss: &Loss) -> u64 {
        self.told.get(loss).copied().unwrap_or(0)
    }

    /// Explains one missing message by one loss of these kinds. Returns whether there is one: each loss explains one
    /// message, and those explained before give way to another kind that explains them as well.
    pub(super) fn explain(&mut self, kinds: Vec<Loss>) -> bool {
        self.missing.push(kinds);
        self.assign(self.missing.len() - 1, &mut BTreeSet::new())
    }

    fn assign(&mut self, place: usize, asked: &mut BTreeSet<Loss>) -> bool {
        for kind in self.missing[place].clone() {
            if !asked.insert(kind.clone()) {
                continue;
            }
            let taken = self.explained.get(&kind).cloned().unwrap_or_default();
            let is_left = (taken.len() as u64) < self.count(&kind);
            let freed = match is_left {
                true => Some(taken.len()),
                false => taken.iter().position(|other| self.assign(*other, asked)),
            };
            let Some(freed) = freed else { continue };
            let taken = self.explained.entry(kind).or_default();
            match taken.get_mut(freed) {
                Some(other) => *other = place,
                None => taken.push(place),
            }
            return true;
        }
        false
    }
}

impl Loss {
    /// Lists what may have become of a message that a session was to get.
    pub(super) fn of_session(message: &Message, qos: Qos, receiver: AccountNo) -> Vec<Self> {
        let publisher = message.account;
        let mut kinds = vec![
            Self::QueueFull { publisher, receiver },
            Self::TooLarge(receiver),
            Self::NoMemory(receiver),
            Self::PublisherGone(publisher),
        ];
        if qos == Qos::AtMostOnce {
            kinds.extend([Self::TooSlow(receiver), Self::ShardBehind(publisher)]);
        }
        if message.is_will {
            kinds.push(Self::WillWithheld(publisher));
        }
        kinds
    }

    /// Lists what may have become of a message that a group was to hand out, which had these reasons to lose it.
    pub(super) fn of_group(message: &Message, excuses: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let publisher = message.account;
        let mut kinds: Vec<Self> = excuses.into_iter().collect();
        kinds.extend([Self::NoMemory(publisher), Self::PublisherGone(publisher)]);
        if message.is_will {
            kinds.push(Self::WillWithheld(publisher));
        }
        kinds
    }
}
