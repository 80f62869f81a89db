//! Which numbers of a key were seen, so that each message counts once.
//!
//! How to use it. [`Window::judge`] a number whose message was verified; if it is new, and fresh too, [`take`](Window::take) it.
//! [`Decision::New`] gives a [`Record`]: store it together with the message, under the key's owner, kid and [`slot`](Record::slot), where it
//! takes the place of an older one; then acknowledge. If the message was not stored, [`give_back`](Window::give_back) the record. After
//! a restart [`restore`](Window::restore) all records that are there, in any order.
//!
//! What is kept is bounded by [`WINDOW`]: for each number that was seen 4 bytes of its message's digest, keyed with a secret of the verifier. They
//! tell a repeat from another message. Of 2³² other messages with a number that was seen one is taken for a repeat: it is not
//! forwarded either, only not reported; without the secret nobody can choose which.

use crate::claims::Sequence;
use crate::limits::{RECENT, WINDOW};
use crate::signed::Digest;
use core::fmt;
use sha2::{Digest as _, Sha256};

/// Holds 4 bytes that tell the messages of one number apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(u32);

impl From<Tag> for u32 {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl Digest {
    /// Returns the tag of a message, keyed with a secret of the verifier, the same for ever.
    pub fn tag(&self, secret: &[u8; 16]) -> Tag {
        let hash: [u8; 32] = Sha256::new().chain_update(secret).chain_update(self.0).finalize().into();
        Tag(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]))
    }
}

/// Is what to store of a number that was taken, 12 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    number: Sequence,
    tag: Tag,
}

impl Record {
    /// The length of a record, in bytes.
    pub const LEN: usize = 12;

    /// Returns under which of [`WINDOW`] places of its key it is stored: the number's remainder.
    pub fn slot(&self) -> u16 {
        (self.number.0 % WINDOW as u64) as u16
    }

    /// Returns the record as it is stored: number and tag, big-endian.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.number.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.tag.0.to_be_bytes());
        bytes
    }

    /// Reads a record.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, tag @ ..] = *bytes;
        Self {
            number: Sequence(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
            tag: Tag(u32::from_be_bytes(tag)),
        }
    }
}

/// Says what a number is to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It was never seen. Once it is [taken](Window::take) the record is to be stored with the message.
    New(Record),
    /// The same message again: to be acknowledged, when the first is stored, and not forwarded.
    Repeat,
    /// Another message of a number that was seen: two hold the key, or one has lost count. Refused, and an alarm.
    Equivocation,
    /// So far below the highest that nobody remembers. Refused.
    TooOld,
}

/// Remembers which of the last [`WINDOW`] numbers of one key were seen, in 4.2 KiB.
#[derive(Clone, PartialEq, Eq)]
pub struct Window {
    /// The highest number that was taken; nothing was yet if its bit is not set.
    highest: u64,
    seen: [u64; WINDOW / 64],
    tags: [u32; WINDOW],
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("highest", &self.highest()).finish_non_exhaustive()
    }
}

impl Default for Window {
    fn default() -> Self {
        Self { highest: 0, seen: [0; WINDOW / 64], tags: [0; WINDOW] }
    }
}

impl Window {
    /// Decides about the number of a verified message, and changes nothing.
    pub fn judge(&self, number: Sequence, tag: Tag) -> Decision {
        let record = Record { number, tag };
        if self.is_below(number) {
            return Decision::TooOld;
        }
        if number.0 <= self.highest && self.has(record.slot()) {
            let same = self.tags.get(usize::from(record.slot())) == Some(&tag.0);
            return if same { Decision::Repeat } else { Decision::Equivocation };
        }
        Decision::New(record)
    }

    /// Decides about the number of a verified message, and takes it if it is new: from now on it was seen.
    pub fn take(&mut self, number: Sequence, tag: Tag) -> Decision {
        let decision = self.judge(number, tag);
        if let Decision::New(record) = decision {
            self.restore(record);
        }
        decision
    }

    /// Takes a record that was stored; records come in any order.
    pub fn restore(&mut self, record: Record) {
        if self.is_below(record.number) {
            return;
        }
        self.advance(record.number.0);
        self.mark(record.slot(), true);
        if let Some(tag) = self.tags.get_mut(usize::from(record.slot())) {
            *tag = record.tag.0;
        }
    }

    /// Forgets a number whose message was not stored after all. Numbers that its coming made too old stay so until the next restart.
    pub fn give_back(&mut self, record: Record) {
        let same = self.tags.get(usize::from(record.slot())) == Some(&record.tag.0);
        if same && record.number.0 <= self.highest && !self.is_below(record.number) {
            self.mark(record.slot(), false);
        }
    }

    /// Returns the tag of a number that was seen and is not behind the window.
    pub fn tag_of(&self, number: Sequence) -> Option<Tag> {
        let slot = Record { number, tag: Tag(0) }.slot();
        let is_seen = number.0 <= self.highest && !self.is_below(number) && self.has(slot);
        self.tags.get(usize::from(slot)).filter(|_| is_seen).map(|tag| Tag(*tag))
    }

    /// Returns the highest number that was taken, nothing before the first.
    pub fn highest(&self) -> Option<Sequence> {
        let empty = self.highest == 0 && self.seen.iter().all(|word| *word == 0);
        (!empty).then_some(Sequence(self.highest))
    }

    fn is_below(&self, number: Sequence) -> bool {
        self.highest.saturating_sub(number.0) >= WINDOW as u64
    }

    fn has(&self, slot: u16) -> bool {
        self.seen.get(usize::from(slot / 64)).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    fn mark(&mut self, slot: u16, seen: bool) {
        if let Some(word) = self.seen.get_mut(usize::from(slot / 64)) {
            *word = *word & !(1 << (slot % 64)) | u64::from(seen) << (slot % 64);
        }
    }

    /// Moves up to a number and forgets those that fall out below.
    fn advance(&mut self, to: u64) {
        let steps = to.saturating_sub(self.highest);
        if steps >= WINDOW as u64 {
            self.seen = [0; WINDOW / 64];
        } else {
            (1..=steps).for_each(|step| self.mark(((self.highest + step) % WINDOW as u64) as u16, false));
        }
        self.highest = self.highest.max(to);
    }
}

/// Remembers which of the last [`RECENT`] numbers of the server's key a device has seen, in 16 bytes.
///
/// Store [`to_bytes`](Self::to_bytes) before acting on a command: what was acted upon and forgotten can be done to the device again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recent {
    highest: u64,
    /// Bit 0 is the highest number, bit n the n-th below.
    seen: u64,
}

impl Recent {
    /// Takes a number; false if it was seen, or is too far below the highest to know.
    #[must_use]
    pub fn take(&mut self, number: Sequence) -> bool {
        if number.0 > self.highest {
            let steps = number.0 - self.highest;
            self.seen = if steps < RECENT as u64 { self.seen << steps } else { 0 };
            self.highest = number.0;
        }
        let below = self.highest - number.0;
        if below >= RECENT as u64 || self.seen >> below & 1 == 1 {
            return false;
        }
        self.seen |= 1 << below;
        true
    }

    /// Returns what to store: highest number and bits, big-endian.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.highest) << 64 | u128::from(self.seen)).to_be_bytes()
    }

    /// Reads what was stored.
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        let both = u128::from_be_bytes(*bytes);
        Self { highest: (both >> 64) as u64, seen: both as u64 }
    }
}
