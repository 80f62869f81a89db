//! What the messages of a group on disk say leaves memory while nobody takes them, and comes back in pages before their
//! turn (rule 20).

use super::letters::{Letter, Letters};
use super::{Group, Loss, LossCause, Stirred};
use crate::limits;
use crate::message::{Content, Message};
use crate::persist::{Kept, Wanted};
use crate::retained::Holding;
use std::sync::Arc;

impl Group {
    /// Lets go of what a message says that is on disk, unless it may be wanted soon.
    pub(crate) fn let_go(&mut self, number: u64) {
        let is_near = self.present > 0 && self.letters.queued().messages <= limits::READ_AHEAD;
        if self.ready.is_empty() && !is_near {
            self.letters.let_go(number);
        }
    }

    /// Returns the messages that are to be read next, by their numbers, if one that is not in memory holds up the others.
    pub(crate) fn next_page(&mut self) -> Wanted {
        self.letters.next_page()
    }

    /// Takes what was read. What could not be read is lost.
    pub(crate) fn take_page(&mut self, page: Vec<(u64, Option<Content>)>, losses: &mut Vec<Loss>) -> Stirred {
        for number in self.letters.take_page(page) {
            if let Some(letter) = self.letters.discard(number) {
                losses.push(Loss::of(&letter.message, LossCause::Damaged));
            }
        }
        Stirred::All
    }
}

impl Letters {
    fn let_go(&mut self, number: u64) {
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

    /// Tells whether nothing may be handed out: a page is being read, and what is on it comes first.
    pub(super) fn is_reading(&self) -> bool {
        self.is_reading
    }

    /// Tells whether a message is in memory; if not, a page is wanted.
    pub(super) fn has_here(&mut self, number: u64) -> bool {
        let is_away = |letter: &Letter| letter.message.is_away();
        let is_away = self.waiting.get(&number).is_some_and(is_away);
        self.wants_page |= is_away;
        !is_away
    }

    fn next_page(&mut self) -> Wanted {
        let mut page = Wanted::default();
        if self.is_reading || !core::mem::take(&mut self.wants_page) {
            return page;
        }
        let away = self.waiting.iter().filter(|(_, letter)| letter.message.is_away());
        for (number, letter) in away.take(limits::READ_AHEAD) {
            page.add(*number, &letter.message);
            if page.bytes() >= limits::READ_AHEAD_BYTES {
                break;
            }
        }
        self.is_reading = !page.is_empty();
        page
    }

    /// Returns the numbers of those that could not be read.
    fn take_page(&mut self, page: Vec<(u64, Option<Content>)>) -> Vec<u64> {
        self.is_reading = false;
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
