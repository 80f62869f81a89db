//! What messages on disk say comes back before their turn (rule 20).

use super::Shard;
use crate::persist::{Owner, Page};

impl Shard {
    /// Takes what was read; a queue that has ended meanwhile needs it no longer.
    pub(super) fn take_page(&mut self, page: Page) {
        let Page { owner, bytes, contents, has_failed } = page;
        self.out.pages.came(bytes);
        match owner {
            Owner::Session(at) => {
                if self.resolve(at).is_some() {
                    self.deliver(at.slot, |delivery| delivery.take_page(contents, has_failed));
                }
            }
            Owner::Group(slot, incarnation) => {
                if self.groups.get(slot).is_some_and(|group| group.incarnation == incarnation) {
                    self.tend(slot, |group, losses| group.take_page(contents, has_failed, losses));
                }
            }
        }
    }

    /// Lets go of what the messages of a session say that nobody takes.
    pub(super) fn let_all_go(&mut self, slot: u32) {
        self.deliver(slot, |delivery| delivery.session.outbound.let_all_go());
    }
}
