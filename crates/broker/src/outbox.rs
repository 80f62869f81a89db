//! Bytes for one link: small packets copied one after the other, large payloads shared between links.

use crate::limits;
use crate::message::Message;
use std::sync::Arc;

/// Holds the packets that wait to be written to a link, in their order.
#[derive(Debug, Default)]
pub struct Outbox {
    inline: Vec<u8>,
    shared: Vec<Shared>,
    len: usize,
}

/// Is a message whose payload stands after the first `at` inline bytes.
#[derive(Debug)]
struct Shared {
    at: usize,
    message: Arc<Message>,
}

impl Outbox {
    /// Returns how many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Tells whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the bytes as slices in their order, none of them empty: for a vectored write or one encryption.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        let parts = self.shared.iter().flat_map(move |shared| {
            let inline = self.inline.get(start..shared.at).unwrap_or_default();
            start = shared.at;
            [inline, shared.message.payload()]
        });
        let rest = self.shared.last().map_or(0, |shared| shared.at);
        parts.chain([self.inline.get(rest..).unwrap_or_default()]).filter(|slice| !slice.is_empty())
    }

    /// Forgets all bytes and keeps small buffers.
    pub fn clear(&mut self) {
        self.inline.clear();
        self.inline.shrink_to(limits::OUTBOX_KEPT);
        self.shared.clear();
        self.shared.shrink_to(limits::OUTBOX_KEPT / size_of::<Shared>());
        self.len = 0;
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.inline.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends what `write` appends to a buffer.
    pub(crate) fn push_with<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.inline.len();
        write(&mut self.inline)?;
        self.len += self.inline.len() - before;
        Ok(())
    }

    /// Appends the payload of `message` without copying it.
    pub(crate) fn push_shared(&mut self, message: &Arc<Message>) {
        self.len += message.payload().len();
        self.shared.push(Shared { at: self.inline.len(), message: Arc::clone(message) });
    }

    /// Tells whether there is no buffer yet.
    pub(crate) fn is_unallocated(&self) -> bool {
        self.inline.capacity() == 0
    }

    /// Returns the bytes of the buffers.
    pub(crate) fn capacity(&self) -> usize {
        self.inline.capacity() + self.shared.capacity() * size_of::<Shared>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Draft;

    #[test]
    fn slices_keep_the_order_of_what_was_pushed() {
        let large = Arc::new(Message::from(Draft::of("device:a", &[7; 2_000])));
        let mut outbox = Outbox::default();
        outbox.push(b"head");
        outbox.push_shared(&large);
        outbox.push_shared(&large);
        outbox.push(b"x");
        let slices: Vec<_> = outbox.slices().map(<[u8]>::len).collect();
        assert_eq!(slices, [4, 2_000, 2_000, 1]);
        assert_eq!(outbox.len(), slices.iter().sum());
        outbox.clear();
        assert!(outbox.is_empty() && outbox.slices().next().is_none());
    }
}
