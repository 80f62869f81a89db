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

/// Counts losses that the broker has told of, by publisher and receiver.
#[derive(Debug, Default)]
pub(super) struct Losses(BTreeMap<Loss, u64>);

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
        *self.0.entry(loss).or_default() += 1;
    }

    pub(super) fn count(&self, loss: &Loss) -> u64 {
        self.0.get(loss).copied().unwrap_or(0)
    }

    /// Explains one missing message by one loss that was told of. Returns whether there is one.
    pub(super) fn explain(&mut self, message: &Message, qos: Qos, receiver: AccountNo) -> bool {
        let publisher = message.account;
        // First what explains no other kind of message, so that enough is left for the others.
        let mut kinds = Vec::new();
        if qos == Qos::AtMostOnce {
            kinds.extend([Loss::TooSlow(receiver), Loss::ShardBehind(publisher)]);
        }
        kinds.extend([
            Loss::QueueFull { publisher, receiver },
            Loss::TooLarge(receiver),
            Loss::NoMemory(receiver),
            Loss::PublisherGone(publisher),
        ]);
        if message.is_will {
            kinds.push(Loss::WillWithheld(publisher));
        }
        self.use_up(&kinds)
    }

    /// Explains that a group lost a message, by what there was a reason for in that group. Returns whether there is
    /// such a loss.
    pub(super) fn explain_group(&mut self, message: &Message, excuses: &BTreeSet<Loss>) -> bool {
        let publisher = message.account;
        let mut kinds: Vec<Loss> = excuses.iter().cloned().collect();
        kinds.extend([Loss::NoMemory(publisher), Loss::PublisherGone(publisher)]);
        if message.is_will {
            kinds.push(Loss::WillWithheld(publisher));
        }
        self.use_up(&kinds)
    }

    /// Uses up one loss of the first kind that there is one of.
    fn use_up(&mut self, kinds: &[Loss]) -> bool {
        kinds.iter().any(|kind| match self.0.get_mut(kind) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        })
    }
}
