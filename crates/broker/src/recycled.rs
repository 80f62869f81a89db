//! Messages whose memory is used again: the newest are remembered, and one that nobody else holds any more becomes the
//! next of its size. In the steady state publishing asks the allocator for nothing.

use crate::limits::{
    KEPT_MESSAGE_MAX, KEPT_MESSAGE_MIN, KEPT_MESSAGES, KEPT_MESSAGES_BYTES, KEPT_MESSAGES_LOOKS,
};
use crate::message::{Draft, Message};
use std::collections::VecDeque;
use std::sync::Arc;

const SIZES: usize = (KEPT_MESSAGE_MAX / KEPT_MESSAGE_MIN).ilog2() as usize + 1;

/// Makes messages, in used memory where it can. Buffers have a power of two of bytes and stay with messages that fill
/// at least half of one (or have the smallest): what a message weighs does not depend on those before it.
#[derive(Debug, Default)]
pub(crate) struct RecycledMessages {
    by_size: [Shelf; SIZES],
}

/// Remembers messages of one size, the newest last.
#[derive(Debug, Default)]
struct Shelf(VecDeque<Arc<Message>>);

impl RecycledMessages {
    /// Makes a message. One that is retained or large gets memory of its own, of exactly its size.
    pub(crate) fn make(&mut self, draft: Draft<'_>) -> Arc<Message> {
        if draft.retain || draft.len() > KEPT_MESSAGE_MAX {
            return Arc::new(draft.into());
        }
        let size = draft.len().next_power_of_two().max(KEPT_MESSAGE_MIN);
        let index = (size / KEPT_MESSAGE_MIN).ilog2() as usize;
        let Some(shelf) = self.by_size.get_mut(index) else { return Arc::new(draft.into()) };
        let made = shelf.make(size, draft);
        shelf.remember(&made, KEPT_MESSAGES.min(KEPT_MESSAGES_BYTES / size));
        made
    }
}

impl Shelf {
    fn make(&mut self, size: usize, draft: Draft<'_>) -> Arc<Message> {
        if let Some(mut used) = self.take_unused()
            && let Some(message) = Arc::get_mut(&mut used)
        {
            *message = Message::in_buffer(message.take_buffer(), draft);
            return used;
        }
        Arc::new(Message::in_buffer(Vec::with_capacity(size), draft))
    }

    /// Takes a message that nobody else holds: the newest, whose memory is in the cache still, or one of the oldest.
    /// Old ones that are in use stand in a queue and are looked at again after all others.
    fn take_unused(&mut self) -> Option<Arc<Message>> {
        let newest = self.0.pop_back_if(|newest| is_unused(newest));
        if newest.is_some() {
            return newest;
        }
        for _ in 0..KEPT_MESSAGES_LOOKS {
            let oldest = self.0.pop_front()?;
            if is_unused(&oldest) {
                return Some(oldest);
            }
            self.0.push_back(oldest);
        }
        None
    }

    fn remember(&mut self, message: &Arc<Message>, most: usize) {
        if self.0.len() >= most {
            self.0.pop_front();
        }
        self.0.push_back(Arc::clone(message));
    }
}

fn is_unused(message: &Arc<Message>) -> bool {
    Arc::strong_count(message) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(payload: &[u8]) -> Draft<'_> {
        Draft::of("device:a", payload)
    }

    #[test]
    fn a_message_that_somebody_holds_is_left_alone() {
        let mut recycled = RecycledMessages::default();
        let held = recycled.make(draft(b"held"));
        let let_go = recycled.make(draft(b"let go"));
        let memory = Arc::as_ptr(&let_go);
        drop(let_go);
        let next = recycled.make(draft(b"next"));
        assert_eq!(Arc::as_ptr(&next), memory);
        assert_eq!((held.payload(), next.payload()), (&b"held"[..], &b"next"[..]));
        assert_eq!(next.topic(), "t");
    }

    #[test]
    fn what_a_message_weighs_does_not_depend_on_those_before_it() {
        let mut recycled = RecycledMessages::default();
        let weight = recycled.make(draft(b"small")).weight();
        drop(recycled.make(draft(&[0; KEPT_MESSAGE_MAX / 2])));
        assert_eq!(recycled.make(draft(b"small")).weight(), weight);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut recycled = RecycledMessages::default();
        for size in [1, 1_000, KEPT_MESSAGE_MAX - 1, KEPT_MESSAGE_MAX, 1_000_000] {
            let held: Vec<_> = (0..2 * KEPT_MESSAGES).map(|_| recycled.make(draft(&vec![0; size]))).collect();
            drop(held);
        }
        let bytes = |shelf: &Shelf| shelf.0.iter().map(|message| message.weight()).sum::<usize>();
        for shelf in &recycled.by_size {
            assert!(bytes(shelf) <= KEPT_MESSAGES_BYTES + KEPT_MESSAGES * crate::limits::MESSAGE_OVERHEAD);
        }
    }
}
