//! The messages of a store while it is read at a start.

use super::journal::References;
use crate::message::{Message, MessageId};
use keyward_ids::{Identity, Kind};
use siphasher::sip::SipHasher13;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

/// Holds the messages that were found with the number of records that refer to each. Places come in the order of their
/// owners, so that messages are asked for in any order: a map without order answers from one place in memory.
#[derive(Default)]
pub(super) struct Messages(HashMap<MessageId, (Arc<Message>, i32), BuildHasherDefault<SipHasher13>>);

impl Messages {
    pub(super) fn put(&mut self, message: Message) {
        self.0.insert(message.id, (Arc::new(message), 0));
    }

    /// Returns a message, which one more record refers to.
    pub(super) fn refer(&mut self, id: MessageId) -> Option<Arc<Message>> {
        let (message, count) = self.0.get_mut(&id)?;
        *count += 1;
        Some(Arc::clone(message))
    }

    /// Takes a reference back.
    pub(super) fn let_go(&mut self, id: MessageId) {
        if let Some((_, count)) = self.0.get_mut(&id) {
            *count -= 1;
        }
    }

    /// Returns the counts of those that something refers to, and the others, in order.
    pub(super) fn counted(self) -> (References, Vec<MessageId>) {
        let (mut references, mut nobodys) = (References::default(), Vec::new());
        references.reserve(self.0.len());
        for (id, (_, count)) in self.0 {
            if count > 0 {
                references.insert(id, count);
            } else {
                nobodys.push(id);
            }
        }
        nobodys.sort_unstable();
        (references, nobodys)
    }
}

/// Holds the publishers that were read, so that all messages of one share its name, as they did when they came.
#[derive(Debug, Default)]
pub(super) struct Names {
    devices: BTreeMap<Box<str>, Identity>,
    users: BTreeMap<Box<str>, Identity>,
}

impl Names {
    pub(super) fn identity(&mut self, kind: Kind, name: &str) -> Option<Identity> {
        let known = match kind {
            Kind::Device => &mut self.devices,
            Kind::User => &mut self.users,
        };
        if let Some(identity) = known.get(name) {
            return Some(identity.clone());
        }
        let identity = Identity::new(kind, name).ok()?;
        known.insert(name.into(), identity.clone());
        Some(identity)
    }
}
