//! What must be durable before its effect is seen (rule 14). What is written is in `persist`; here is what waits for it.

use super::Shard;
use crate::input::{Storage, Ticket};
use crate::limits;
use crate::message::Message;
use crate::output::{DeniedAction, Notice};
use crate::permit::{self, Purpose, Refusal};
use crate::session::{Inbound, SessionRef};
use keyward_mqtt::packet::PacketId;
use std::collections::VecDeque;
use std::sync::Arc;

/// Holds what waits for the store.
#[derive(Debug, Default)]
pub(super) struct Commits {
    done: Ticket,
    pending: VecDeque<Pending>,
    /// Empty between two inputs; kept for its buffer.
    waiting: Vec<SessionRef>,
    /// The bytes of the messages there.
    bytes: usize,
}

/// Is a message that goes to nobody before it is durable: one of QoS 2, or a signed one of QoS 0 before its number is.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) ticket: Ticket,
    pub(super) message: Arc<Message>,
    pub(super) session: SessionRef,
    /// Its packet id; none if it is a signed message of QoS 0.
    pub(super) id: Option<PacketId>,
}

impl Commits {
    pub(super) fn done(&self) -> Ticket {
        self.done
    }

    /// Tells whether a QoS 2 message waits.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn wait_for(&mut self, pending: Pending) {
        self.bytes += pending.message.weight();
        self.pending.push_back(pending);
    }

    /// Returns the bytes of the messages that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Shard {
    /// Takes note of what the store can take.
    pub(super) fn hear_of_store(&mut self, storage: Storage) {
        self.storage = storage;
        if storage == Storage::Broken {
            self.groups.slots.iter_mut().for_each(|(_, group)| group.freeze());
        }
    }

    /// Returns the ticket of what this input makes durable.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.out.record.ticket()
    }

    /// Lets go of what waited for `through` and what came before it.
    pub(super) fn committed(&mut self, through: Ticket) {
        self.commits.done = self.out.record.committed(through);
        self.settle_durable();
        while let Some(pending) = self.commits.pending.front()
            && pending.ticket <= self.commits.done
            && let Some(pending) = self.commits.pending.pop_front()
        {
            self.commits.bytes = self.commits.bytes.saturating_sub(pending.message.weight());
            self.settle(pending);
        }
        self.out.post_durable(self.commits.done);
        self.release_answers(self.commits.done);
    }

    /// Lets go of answers that waited for other shards.
    pub(super) fn interest_settled(&mut self) {
        self.release_answers(self.out.record.issued());
    }

    /// Lets go of answers where the first of a link waits for a ticket up to this one.
    fn release_answers(&mut self, through: Ticket) {
        let mut waiting = core::mem::take(&mut self.commits.waiting);
        let entries = self.out.holding.iter().map(|(key, ())| *key);
        waiting.extend(entries.take_while(|(ticket, _)| *ticket <= through).map(|(_, at)| at));
        for at in waiting.drain(..) {
            self.deliver(at.slot, |delivery| delivery.release_answers());
        }
        waiting.shrink_to(limits::ORDERED_KEPT);
        self.commits.waiting = waiting;
    }

    /// Routes a message that is durable now.
    fn settle(&mut self, pending: Pending) {
        let Pending { ticket, message, session, id } = pending;
        // Its packet id may stand for another message by now.
        if let Some(id) = id
            && let Some(owner) = self.resolve(session)
            && let Some(known) = owner.inbound.get(&id.0.get()).copied()
            && known.waits_for == Some(ticket)
        {
            self.remember_inbound(session.slot, id, Inbound { waits_for: None, ..known });
        }
        self.publish_late(session, message);
    }

    /// Routes a message that has waited, if its publisher may still publish it. If not, PUBREC says success all the same:
    /// the message was taken, and its packet id is in use until PUBREL.
    fn publish_late(&mut self, session: SessionRef, message: Arc<Message>) {
        let client_id = self.resolve(session).map(|owner| owner.key.client_id.clone());
        let refusal =
            match permit::publish_held(&mut self.law, &message, client_id.as_ref(), Purpose::Durable) {
                Ok(permit) => {
                    self.route(permit, message, true);
                    return;
                }
                Err(refusal) => refusal,
            };
        self.out.record.withheld(&message);
        self.out.notice(Notice::PublishWithheld { publisher: message.publisher.identity.clone() });
        if refusal == Refusal::Rule
            && self.resolve(session).is_some()
            && let Some(topic) = message.topic_name()
        {
            self.deny(session.slot, DeniedAction::Publish, topic);
        }
    }
}
