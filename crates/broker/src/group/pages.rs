//! What the messages of a group on disk say leaves memory while nobody takes them, and comes back in pages before their
//! turn (rule 20).

use super::letters::{Letter, Letters};
use super::{Group, Loss, LossCause, Stirred};
use crate::limits;
use crate::message::{Content, Message};
use crate::persist::{Kept, Wanted};
use crate::retained::Holding;
use keyward_mqtt::packet::Qos;
use std::sync::Arc;

impl Group {
    /// Lets go of what a message says that is on disk, unless it may be wanted soon.
    pub(crate) fn let_go(&mut self, number: u64) {
        let is_near = self.members.is_any_present() && self.letters.queued().messages <= limits::READ_AHEAD;
        if !self.members.is_any_ready() && !is_near {
            self.letters.let_go(number);
        }
    }

    /// Lets go of what messages say that are on disk, if no member is connected.
    pub(super) fn let_all_go(&mut self) {
        if !self.members.is_any_present() {
            self.letters.let_all_go();
        }
    }

    /// Hands out no QoS 2 message any more that is on disk: the store is broken, and will not say that the group has let go.
    pub(crate) fn freeze(&mut self) {
        self.letters.freeze();
    }

    /// Returns the messages that are to be read next, by their numbers, if one that is not in memory holds up the others.
    pub(crate) fn next_page(&mut self, bytes: usize) -> Wanted {
        self.letters.next_page(bytes)
    }

    /// Takes what was read. What could not be read is lost.
    pub(crate) fn take_page(
        &mut self,
        page: Vec<(u64, Option<Content>)>,
        has_failed: bool,
        losses: &mut Vec<Loss>,
    ) -> Stirred {
        for number in self.letters.take_page(page, has_failed) {
            if let Some(letter) = self.letters.discard(number) {
                losses.push(Loss::of(&letter.message, LossCause::Damaged));
            }
        }
        Stirred::All
    }
}

impl Letters {
    pub(super) fn let_go(&mut self, number: u64) {
        if let Some(letter) = self.waiting.get_mut(&number)
            && letter.kept == Kept::Durable
            && letter.message.may_leave()
        {
            let stand_in = letter.message.stand_in();
            let before = core::mem::replace(&mut letter.message, stand_in);
            let after = Arc::clone(&letter.message);
            self.recount(&before, &after);
        }
    }

    /// Lets go of everything that is on disk: nobody is there. What waits behind the messages that are read ahead was let go
    /// of as it came.
    pub(super) fn let_all_go(&mut self) {
        let first: Vec<u64> = self.waiting.keys().copied().take(2 * limits::READ_AHEAD).collect();
        first.into_iter().for_each(|number| self.let_go(number));
    }

    fn freeze(&mut self) {
        let waits = |letter: &&mut Letter| letter.message.qos == Qos::ExactlyOnce && letter.kept.is_stored();
        self.waiting.values_mut().filter(waits).for_each(|letter| letter.is_ready = false);
    }

    /// Reads again after the engine has failed to: a member has come back.
    pub(super) fn read_again(&mut self) {
        self.paging.try_again();
    }

    /// Tells whether nothing may be handed out: a page is being read, and what is on it comes first.
    pub(super) fn is_reading(&self) -> bool {
        !self.paging.is_idle()
    }

    /// Tells whether a message is in memory; if not, a page is wanted.
    pub(super) fn has_here(&mut self, number: u64) -> bool {
        let is_away = |letter: &Letter| letter.message.is_away();
        let is_away = self.waiting.get(&number).is_some_and(is_away);
        if is_away {
            self.wants_page = Some(number);
        }
        !is_away
    }

    fn next_page(&mut self, bytes: usize) -> Wanted {
        let mut page = Wanted::default();
        let Some(first) = self.wants_page.take().filter(|_| self.paging.is_idle()) else { return page };
        let away = self.waiting.range(first..).filter(|(_, letter)| letter.message.is_away());
        for (number, letter) in away.take(limits::READ_AHEAD) {
            page.add(*number, &letter.message);
            if page.bytes() >= bytes {
                break;
            }
        }
        self.paging.begin(&page);
        page
    }

    /// Returns the numbers of those that do not read.
    fn take_page(&mut self, page: Vec<(u64, Option<Content>)>, has_failed: bool) -> Vec<u64> {
        self.paging.end(has_failed);
        let mut lost = Vec::new();
        for (number, content) in page {
            let Some(letter) = self.waiting.get_mut(&number).filter(|letter| letter.message.is_away()) else {
                continue;
            };
            if content.is_none() {
                lost.push(number);
                continue;
            }
            let whole = Message::whole(&letter.message, content);
            let before = core::mem::replace(&mut letter.message, Arc::clone(&whole));
            self.recount(&before, &whole);
        }
        lost
    }

    fn recount(&mut self, before: &Message, after: &Message) {
        self.publishers.exchange(before, after);
        for holding in [&mut self.held, &mut self.queued] {
            holding.exchange(Holding::of(before), Holding::of(after));
        }
    }
}
