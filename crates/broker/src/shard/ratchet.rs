//! A link takes part in the rolling secret: it asks, is told its nonce, answers once.

use super::Shard;
use crate::attach::LinkId;
use crate::link::{Answer, Link, Wait};
use crate::output::Output;
use crate::ratchet::{RatchetAnswer, Turn, text};
use crate::session::Session;
use core::num::NonZeroU32;
use keyward_ids::Kind;

impl Shard {
    /// Tells a device the nonce of its link, behind its SUBACK and as often as it asks until it has answered.
    pub(super) fn ask_ratchet(&mut self, slot: u32, subscription: Option<NonZeroU32>) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let is_device = session.key.identity.kind() == Kind::Device;
        let Some(link) = session.link.as_deref_mut().filter(|link| is_device && link.nonce.is_some()) else {
            return;
        };
        let has_answered = link.ratchet.is_some_and(|turn| turn.has_answered);
        link.ratchet = Some(Turn { subscription, has_answered });
        if !has_answered {
            self.answer(slot, Wait::default(), Answer::Ratchet(None));
        }
    }

    /// Takes what a link says that was asked; false if it was not, or has answered.
    pub(super) fn take_ratchet_answer(&mut self, slot: u32, payload: &[u8]) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return false };
        let (identity, life) = (session.key.identity.clone(), session.life);
        let Some(link) = session.link.as_deref_mut() else { return false };
        let Link { id, epoch, nonce: Some(nonce), ratchet: Some(turn), .. } = link else { return false };
        if turn.has_answered {
            return false;
        }
        turn.has_answered = true;
        let answer = RatchetAnswer {
            link: *id,
            identity,
            life,
            epoch: *epoch,
            nonce: nonce.as_bytes().into(),
            text: text(payload),
        };
        self.out.say(Output::Ratchet(Box::new(answer)));
        true
    }

    /// Tells a link what came of its answer.
    pub(super) fn tell_ratchet(&mut self, link: LinkId, text: String) {
        let Some(slot) = self.by_link.get(&link).copied() else { return };
        let is_asked = |session: &Session| session.link.as_ref().is_some_and(|link| link.ratchet.is_some());
        if self.sessions.get(slot as usize).is_some_and(is_asked) {
            self.answer(slot, Wait::default(), Answer::Ratchet(Some(text.into())));
        }
    }
}
