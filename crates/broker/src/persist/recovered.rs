//! What was found on disk at a start, and which shard each part of it belongs to.

use super::journal::References;
use super::wire::{SessionTerms, WillRecord};
use crate::message::Message;
use crate::outbound::Parcel;
use crate::placement::{HashKey, ShardIndex, group_home, shard_of, topic_home};
use crate::session::Incarnation;
use crate::windows::WindowKey;
use core::num::NonZeroU32;
use keyward_envelope::Record as Seen;
use keyward_ids::ClientId;
use keyward_mqtt::packet::SubscribeOptions;
use keyward_mqtt::time::UnixMillis;
use keyward_store::{Batch, Table};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Holds everything that was found.
#[derive(Debug)]
pub struct Recovered {
    pub(super) hash_key: HashKey,
    pub(super) numbers_since: UnixMillis,
    pub(super) sessions: BTreeMap<Incarnation, SessionRecord>,
    pub(super) wills: BTreeMap<Incarnation, WillRecord>,
    pub(super) groups: BTreeMap<Incarnation, GroupRecord>,
    pub(super) retained: Vec<Arc<Message>>,
    pub(super) accepted: Vec<Arc<Message>>,
    pub(super) windows: Vec<(WindowKey, Seen)>,
    pub(super) survey: Survey,
}

/// Counts what was found, and says what is to be tidied up.
#[derive(Debug, Default)]
pub struct Survey {
    /// How many records refer to each message.
    pub(super) references: References,
    /// Lower than every number that is to be given from now on.
    pub(crate) last_number: u64,
    /// Removes what belongs to nobody: commit it before anything else.
    pub litter: Batch,
    /// Records that do not read, by table and key. They are left where they are, with what may belong to them.
    pub damaged: Vec<String>,
    /// Stored sessions.
    pub sessions: usize,
    /// Messages that wait in sessions and groups.
    pub places: usize,
    /// Retained messages.
    pub retained: usize,
}

/// Is a stored session with all that belongs to it.
#[derive(Debug)]
pub(crate) struct SessionRecord {
    pub(crate) terms: SessionTerms,
    pub(crate) subscriptions: Vec<(String, SubscribeOptions, Option<NonZeroU32>)>,
    /// Packet ids in use by QoS 2 messages from the client, with the digests of these.
    pub(crate) inbound: Vec<(u16, u64)>,
    pub(crate) places: Vec<Place>,
}

/// Is a message that waits in a session or a group.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) number: u64,
    /// What is to be sent; `None` once it has arrived and only PUBCOMP is owed.
    pub(crate) parcel: Option<Parcel>,
}

/// Is a shared group.
#[derive(Debug)]
pub(crate) struct GroupRecord {
    pub(crate) name: String,
    pub(crate) letters: Vec<(u64, Arc<Message>)>,
}

/// Is what belongs to one shard.
#[derive(Debug)]
pub struct Portion {
    pub(crate) last_number: u64,
    pub(crate) sessions: Vec<(Incarnation, SessionRecord)>,
    pub(crate) wills: Vec<(Incarnation, WillRecord)>,
    pub(crate) groups: Vec<(Incarnation, GroupRecord)>,
    pub(crate) retained: Vec<Arc<Message>>,
    pub(crate) accepted: Vec<Arc<Message>>,
    pub(crate) windows: Vec<(WindowKey, Seen)>,
}

impl Recovered {
    /// Returns the key of hashes: that of the store.
    pub fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    /// Returns since when every number of a signed message that was taken is known: what is dated before that may have been taken.
    pub fn numbers_since(&self) -> UnixMillis {
        self.numbers_since
    }

    /// Returns the counts.
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Gives each of so many shards what belongs to it.
    pub fn split(self, shards: u16) -> (Vec<Portion>, Survey) {
        let last_number = self.survey.last_number;
        let empty = || Portion {
            last_number,
            sessions: Vec::new(),
            wills: Vec::new(),
            groups: Vec::new(),
            retained: Vec::new(),
            accepted: Vec::new(),
            windows: Vec::new(),
        };
        let mut split: Vec<Portion> = (0..shards.max(1)).map(|_| empty()).collect();
        let key = self.hash_key;
        let at = |index: ShardIndex| usize::from(index.0);
        for (incarnation, session) in self.sessions {
            let home = shard_of(&key, &session.terms.key.identity, &session.terms.key.client_id, shards);
            split[at(home)].sessions.push((incarnation, session));
        }
        for (incarnation, will) in self.wills {
            let home = shard_of(&key, &will.key.identity, &will.key.client_id, shards);
            split[at(home)].wills.push((incarnation, will));
        }
        for (incarnation, group) in self.groups {
            let home = group_home(&key, &group.name, shards);
            split[at(home)].groups.push((incarnation, group));
        }
        for message in self.retained {
            let home = topic_home(&key, message.topic(), shards);
            split[at(home)].retained.push(message);
        }
        for (window, seen) in self.windows {
            // Only devices have keys, and all sessions of one are on one shard.
            let home = shard_of(&key, &window.identity, &ClientId::new(""), shards);
            split[at(home)].windows.push((window, seen));
        }
        // In the order of their ids, which is that of each publisher's messages; any one shard can route them.
        split[0].accepted = self.accepted;
        (split, self.survey)
    }
}

impl Survey {
    /// Deletes what belongs to nobody. Where something does not read, it may belong to that: then it is left where it is.
    pub(super) fn drop_row(&mut self, table: Table, key: &[u8]) {
        if self.damaged.is_empty() {
            self.litter.delete(table, key);
        }
    }
}
