//! What must be durable before its effect is seen (rule 14). Messages and sessions are in memory until the disk issue;
//! the order in which effects leave is kept already, the shell answers every ticket at once.

use super::Shard;
use crate::input::{CommitOutcome, Ticket};
use crate::interest::{Reader, Subscriber};
use crate::limits;
use crate::message::Message;
use crate::output::{CloseCause, DeniedAction, Notice, Output};
use crate::permit::{self, Purpose, Refusal};
use crate::session::{Inbound, SessionRef};
use keyward_mqtt::packet::PacketId;
use keyward_mqtt::topic::TopicFilter;
use std::collections::VecDeque;
use std::sync::Arc;

/// Numbers what is to be stored and holds what waits for it.
#[derive(Debug, Default)]
pub(super) struct Commits {
    issued: Ticket,
    done: Ticket,
    /// Whether this input already has a ticket: one input is one batch.
    is_open: bool,
    pending: VecDeque<Pending>,
    /// Empty between two inputs; kept for its buffer.
    waiting: Vec<SessionRef>,
    /// The bytes of the messages there, and of the subscriptions.
    bytes: usize,
    subscribed: VecDeque<Subscribing>,
}

/// Is a subscription that is not stored yet.
#[derive(Debug)]
pub(super) struct Subscribing {
    pub(super) ticket: Ticket,
    pub(super) session: SessionRef,
    pub(super) filter: Arc<str>,
    /// What it replaced.
    pub(super) before: Option<Subscriber>,
}

impl Subscribing {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.filter.len()
    }
}

/// Is a QoS 2 message that goes to nobody before it is durable.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) ticket: Ticket,
    pub(super) message: Arc<Message>,
    pub(super) session: SessionRef,
    pub(super) id: PacketId,
}

impl Commits {
    pub(super) fn begin_input(&mut self) {
        self.is_open = false;
    }

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

    pub(super) fn wait_to_subscribe(&mut self, subscribing: Subscribing) {
        self.bytes += subscribing.weight();
        self.subscribed.push_back(subscribing);
    }

    /// Forgets what a subscription replaced: whether that is stored or not, it comes back no more.
    pub(super) fn let_stand(&mut self, session: SessionRef, filter: &str) {
        let bytes = &mut self.bytes;
        self.subscribed.retain(|waiting| {
            let is_it = waiting.session == session && *waiting.filter == *filter;
            *bytes = bytes.saturating_sub(if is_it { waiting.weight() } else { 0 });
            !is_it
        });
    }

    /// Returns the bytes of the messages and subscriptions that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Shard {
    /// Returns the ticket of what this input makes durable.
    pub(super) fn ticket(&mut self) -> Ticket {
        if !self.commits.is_open {
            self.commits.is_open = true;
            self.commits.issued.0 += 1;
            self.out.say(Output::Commit(self.commits.issued));
        }
        self.commits.issued
    }

    /// Lets go of what waited for `through` and what came before it.
    pub(super) fn committed(&mut self, through: Ticket, outcome: CommitOutcome) {
        let since = self.commits.done;
        self.commits.done = through.min(self.commits.issued).max(since);
        while let Some(pending) = self.commits.pending.front()
            && pending.ticket <= self.commits.done
            && let Some(pending) = self.commits.pending.pop_front()
        {
            self.commits.bytes = self.commits.bytes.saturating_sub(pending.message.weight());
            self.settle(pending, outcome);
        }
        while let Some(subscribing) = self.commits.subscribed.front()
            && subscribing.ticket <= self.commits.done
            && let Some(subscribing) = self.commits.subscribed.pop_front()
        {
            self.commits.bytes = self.commits.bytes.saturating_sub(subscribing.weight());
            if outcome == CommitOutcome::NoRoom {
                self.undo_subscription(subscribing);
            }
        }
        self.choices_committed(self.commits.done, outcome);
        if outcome == CommitOutcome::NoRoom {
            self.refuse_answers(since);
        }
        self.release_answers(self.commits.done);
    }

    /// Lets go of answers that waited for other shards.
    pub(super) fn interest_settled(&mut self) {
        self.release_answers(self.commits.issued);
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

    /// Routes a QoS 2 message that is durable now; forgets it if it could not be stored.
    fn settle(&mut self, pending: Pending, outcome: CommitOutcome) {
        let Pending { ticket, message, session, id } = pending;
        let owner =
            self.sessions.get(session.slot as usize).filter(|owner| owner.incarnation == session.incarnation);
        // Its packet id may stand for another message by now.
        if let Some(owner) = owner
            && let Some(known) = owner.inbound.get(&id.0.get()).copied()
            && known.waits_for == Some(ticket)
        {
            match outcome {
                CommitOutcome::Durable => {
                    self.remember_inbound(session.slot, id, Inbound { waits_for: None, ..known });
                }
                CommitOutcome::NoRoom => self.forget_inbound(session.slot, id),
            }
        }
        if outcome == CommitOutcome::Durable {
            self.publish_late(session, message);
        }
    }

    /// Routes a message that has waited, if its publisher may still publish it. If not, PUBREC says success all the same:
    /// the message was taken, and its packet id is in use until PUBREL.
    fn publish_late(&mut self, session: SessionRef, message: Arc<Message>) {
        let refusal = match permit::publish_held(&mut self.law, &message, Purpose::Durable) {
            Ok(permit) => {
                self.route(permit, message);
                return;
            }
            Err(refusal) => refusal,
        };
        self.out.notice(Notice::PublishWithheld { publisher: message.publisher.identity.clone() });
        if refusal == Refusal::Rule
            && self.resolve(session).is_some()
            && let Some(topic) = message.topic_name()
        {
            self.deny(session.slot, DeniedAction::Publish, topic);
        }
    }

    /// Takes a subscription back that could not be stored: what it replaced holds again. If a later one replaces it,
    /// that is the one which stands or falls.
    fn undo_subscription(&mut self, undone: Subscribing) {
        let Subscribing { session, filter: text, before, .. } = undone;
        let later = self.commits.subscribed.iter_mut();
        if let Some(later) = later.into_iter().find(|later| later.session == session && later.filter == text)
        {
            later.before = before;
            return;
        }
        if self.resolve(session).is_some_and(|owner| owner.shares.held.contains_key(&text)) {
            return self.undo_share(session.slot, &text, before);
        }
        let Some(owner) = self.resolve(session).filter(|owner| owner.filters.contains(&text)) else { return };
        let is_stored = owner.is_stored();
        let Ok(filter) = TopicFilter::parse(&text) else { return };
        match before {
            None => {
                self.unsubscribe_one(session.slot, filter);
            }
            Some(before) => {
                self.interest.subscribe(filter, Reader::Session(session.slot), before, is_stored);
            }
        }
    }

    /// Refuses what waited for tickets after `since`. Before 5.0 there is no word for it: such links are closed without
    /// the answer.
    fn refuse_answers(&mut self, since: Ticket) {
        let waiting: Vec<_> = self.out.holding.iter().map(|((_, at), ())| *at).collect();
        for at in waiting {
            self.deliver(at.slot, |delivery| match delivery.session.link.as_deref() {
                Some(link) if !link.version.is_v5() => {
                    let link = link.id;
                    if delivery.withhold_answers(since) {
                        delivery.out.doom(link, CloseCause::NoRoom, None);
                    }
                }
                _ => delivery.refuse_answers(since),
            });
        }
    }
}
