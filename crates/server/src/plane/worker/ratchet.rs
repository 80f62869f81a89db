//! The rolling secrets of devices, as far as a worker carries them: answers to who judges them, and back what came of it.

use super::Worker;
use crate::plane::handover::WorkerMessage;
use crate::plane::ratchets::{Answered, Ruling};
use keyward_broker::{Input, LinkId, RatchetAnswer};
use keyward_ids::Identity;

impl Worker {
    pub(super) fn offer_ratchet(&self, answer: RatchetAnswer) {
        let Some(desk) = &self.parts.ratchets else { return };
        let (link, identity) = (answer.link, answer.identity.clone());
        let (inboxes, own) = (self.parts.inboxes.clone(), self.parts.index);
        desk.offer(Answered::new(answer, move |ruling| {
            if let Some(inbox) = inboxes.get(usize::from(own.0)) {
                inbox.command(WorkerMessage::Ratchet { link, identity, ruling });
            }
        }));
    }

    /// Tells the device, and the watch, what came of its answer. Of a link that is gone the watch hears all the same: that somebody came
    /// with a secret that was used up stays true.
    pub(super) fn tell_ratchet(&mut self, link: LinkId, identity: &Identity, ruling: Ruling) {
        if let Some(shown) = ruling.shown {
            self.hearing.ratcheted(identity, link.0, shown);
        }
        self.handle(Input::Ratchet { link, text: ruling.text });
    }
}
