//! Wills: published with the rights and the standing that their owner has when they are due.

use super::Shard;
use crate::message::{Draft, Message, deadline};
use crate::output::{DeniedAction, Notice};
use crate::permit::{self, Purpose, Refusal};
use std::sync::Arc;

impl Shard {
    /// Publishes the will of a session, if it has one and its owner may still publish it. A will is published once.
    pub(super) fn fire_will(&mut self, slot: u32) {
        self.cancel_will_timer(slot);
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let Some(will) = session.will.take() else { return };
        let message = Message::from(Draft {
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
        let owner = session.key.identity.clone();
        match permit::publish_held(&mut self.law, &message, Purpose::Will) {
            Ok(permit) => {
                self.route(permit, Arc::new(message));
            }
            Err(Refusal::Standing) => self.out.notice(Notice::WillWithheld { owner }),
            Err(Refusal::Rule) => {
                self.out.notice(Notice::WillWithheld { owner });
                if let Some(topic) = message.topic_name() {
                    self.deny(slot, DeniedAction::Will, topic);
                }
            }
        }
        self.weigh(slot);
    }

    /// Forgets the will of a session: it ended well, or its client is back in time.
    pub(super) fn drop_will(&mut self, slot: u32) {
        self.cancel_will_timer(slot);
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            session.will = None;
            self.weigh(slot);
        }
    }
}
