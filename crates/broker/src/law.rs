//! What is in force: one policy and one directory. They change only between two inputs.

use crate::message::{Message, Publisher};
use crate::placement::{HashKey, Map};
use crate::principal::{Directory, Principal, Standing};
use crate::{limits, retained};
use keyward_ids::{ClientId, Identity};
use keyward_mqtt::topic::TopicName;
use keyward_policy::{Action, Check, Policy, Rights};
use std::sync::Arc;

/// Holds the policy and the directory in force.
#[derive(Debug)]
pub(crate) struct Law {
    generation: u64,
    policy: Option<Arc<Policy>>,
    directory: Arc<Directory>,
    /// Counts the changes of either.
    turn: u64,
    absent: Map<Identity, Absent>,
}

/// Holds the rights of a publisher that has no session here.
#[derive(Debug)]
struct Absent {
    principal: Arc<Principal>,
    rights: Rights,
}

/// Names a policy and a directory, the same for all shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LawStamp {
    generation: u64,
    revision: u64,
}

/// Says what became of somebody who published something earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provenance {
    /// It is still there, or what it published is to be kept.
    Good,
    /// It was revoked or removed.
    Gone,
}

impl Law {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        Self {
            generation: 0,
            policy: None,
            directory: Arc::default(),
            turn: 0,
            absent: Map::with_hasher(hash_key),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn turn(&self) -> u64 {
        self.turn
    }

    pub(crate) fn revision(&self) -> u64 {
        self.directory.revision()
    }

    pub(crate) fn installation(&self) -> Arc<str> {
        self.directory.installation()
    }

    pub(crate) fn stamp(&self) -> LawStamp {
        LawStamp { generation: self.generation, revision: self.revision() }
    }

    pub(crate) fn enact_policy(&mut self, generation: u64, policy: Arc<Policy>) {
        self.generation = generation;
        self.policy = Some(policy);
        self.absent.clear();
        self.turn += 1;
    }

    pub(crate) fn enact_directory(&mut self, directory: Arc<Directory>) {
        self.directory = directory;
        self.turn += 1;
    }

    pub(crate) fn lookup(&self, identity: &Identity) -> Option<&Arc<Principal>> {
        self.directory.lookup(identity)
    }

    /// Compiles the rights of a principal. Without a policy there are none.
    pub(crate) fn rights(&self, principal: &Principal) -> Rights {
        self.policy.as_ref().map_or_else(Rights::none, |policy| policy.rights(&principal.subject))
    }

    /// Returns the principal that published something, if the name still has the life that it had then.
    pub(crate) fn same_life(&self, publisher: &Publisher) -> Option<&Arc<Principal>> {
        self.lookup(&publisher.identity).filter(|principal| principal.life == publisher.life)
    }

    /// Tells whether a message may still be delivered, as far as its publisher is concerned.
    pub(crate) fn provenance(&self, message: &Message) -> Provenance {
        if message.publisher.is_broker() {
            return Provenance::Good;
        }
        match self.same_life(&message.publisher).map(|principal| principal.standing) {
            Some(Standing::Active | Standing::Disabled) => Provenance::Good,
            Some(Standing::Revoked { keep_messages, publish_will }) => {
                // A will that the operator wanted to be published comes after the revocation.
                if keep_messages || (publish_will && message.is_will) {
                    Provenance::Good
                } else {
                    Provenance::Gone
                }
            }
            Some(Standing::Removed) | None => Provenance::Gone,
        }
    }

    /// Decides by the rules of this moment whether `principal` may publish to `topic` with this client id, or with some
    /// client id if nobody knows it any more; its standing is not asked.
    pub(crate) fn may_publish(
        &mut self,
        principal: &Arc<Principal>,
        client: Option<&ClientId>,
        topic: TopicName<'_>,
    ) -> bool {
        let Some(rights) = self.rights_of_absent(principal) else { return false };
        match client {
            Some(client) => {
                let own = rights.of_client(client.as_str());
                own.as_ref().unwrap_or(rights).decide(Action::Publish, topic).allowed
            }
            None => rights.some_client_may(Action::Publish, topic),
        }
    }

    /// Tells whether what `principal` publishes to `topic` must be signed.
    pub(crate) fn requires_signature(&mut self, principal: &Arc<Principal>, topic: TopicName<'_>) -> bool {
        let Some(rights) = self.rights_of_absent(principal) else { return true };
        rights.demand(topic).is_some_and(|demand| demand.check == Check::Require)
    }

    fn rights_of_absent(&mut self, principal: &Arc<Principal>) -> Option<&Rights> {
        let identity = &principal.subject.identity;
        let remembered =
            self.absent.get(identity).is_some_and(|absent| Arc::ptr_eq(&absent.principal, principal));
        if !remembered {
            if self.absent.len() >= limits::ABSENT_RIGHTS {
                self.absent.clear();
            }
            let absent = Absent { principal: Arc::clone(principal), rights: self.rights(principal) };
            self.absent.insert(identity.clone(), absent);
        }
        self.absent.get(identity).map(|absent| &absent.rights)
    }

    /// Says whether a retained message may be delivered: its publisher must be one that may still write there. The
    /// answer is remembered in the slot until the policy or the principal changes.
    pub(crate) fn judge(&mut self, slot: &mut retained::Slot) -> retained::Fate {
        if slot.message.publisher.is_broker() {
            return retained::Fate::Deliver;
        }
        let Some(principal) = self.same_life(&slot.message.publisher).cloned() else {
            return retained::Fate::Erase;
        };
        if self.provenance(&slot.message) == Provenance::Gone {
            return retained::Fate::Erase;
        }
        if principal.standing == Standing::Disabled {
            return retained::Fate::Withhold;
        }
        if let Some(verdict) = &slot.verdict
            && verdict.generation == self.generation
            && Arc::ptr_eq(&verdict.principal, &principal)
        {
            return retained::Fate::deliver_if(verdict.allowed);
        }
        let Some(topic) = slot.message.topic_name() else { return retained::Fate::Erase };
        let allowed = self.may_publish(&principal, None, topic);
        slot.verdict = Some(retained::Verdict { generation: self.generation, principal, allowed });
        retained::Fate::deliver_if(allowed)
    }
}
