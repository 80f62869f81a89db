//! Wills: published with the rights and the standing that their owner has when they are due.

use super::Shard;
use crate::message::{Draft, Message, deadline};
use crate::output::{DeniedAction, Notice};
use crate::permit::{self, Purpose, Refusal};
use crate::session::Session;
use keyward_mqtt::time::Millis;
use std::sync::Arc;

impl Shard {
    /// Publishes the will of a session, if it has one and its owner may still publish it. A will is published once.
    pub(super) fn fire_will(&mut self, slot: u32) {
        self.cancel_will_timer(slot);
        let id = self.next_message_id();
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let Some(will) = session.will.take() else { return };
        let message = Message::from(Draft {
            id,
            topic: &will.topic,
            forwarded: &will.forwarded,
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            expires: will.expiry.map(|secs| deadline(self.now.mono, secs)),
            publisher: session.publisher(),
            origin: session.incarnation,
            is_will: true,
        });
        let (owner, client_id) = (session.key.identity.clone(), session.key.client_id.clone());
        match permit::publish_held(&mut self.law, &message, Some(&client_id), Purpose::Will) {
            Ok(permit) => {
                self.route(permit, Arc::new(message), false);
            }
            Err(Refusal::Standing) => self.out.notice(Notice::WillWithheld { owner }),
            Err(Refusal::Rule) => {
                self.out.notice(Notice::WillWithheld { owner });
                if let Some(topic) = message.topic_name() {
                    self.deny(slot, DeniedAction::Will, topic);
                }
            }
        }
        self.record_will_gone(slot);
        self.weigh(slot);
    }

    /// Records a will that outlives the process: that of a stored session, and one that is retained or delayed (rule 17).
    /// `due` is when it is published, if that is known.
    pub(super) fn record_will(&mut self, slot: u32, due: Option<Millis>) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let Some(will) = session.will.as_deref() else { return };
        if !(session.is_stored() || will.retain || will.delay > 0) {
            return;
        }
        session.will_is_kept = true;
        let Session { incarnation, key, life, will: Some(will), .. } = session else { return };
        self.out.record.will(*incarnation, key, *life, due, will);
    }

    /// Records that there is no will any more. It goes with the entry in which it is published.
    pub(super) fn record_will_gone(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        session.will_is_of_before = false;
        if core::mem::take(&mut session.will_is_kept) {
            self.out.record.will_gone(session.incarnation);
        }
    }

    /// Forgets the will of a session: it ended well, or its client is back in time.
    pub(super) fn drop_will(&mut self, slot: u32) {
        self.cancel_will_timer(slot);
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            session.will = None;
            self.record_will_gone(slot);
            self.weigh(slot);
        }
    }
}
