//! Gives each message its number, also where nothing but flash remembers: a number is stored as used before it is.
//!
//! How to use it. At the start [`Numbers::after`] what was stored, or [`Sequence::after_boot`] where hardware counts the starts and
//! nothing has to be stored. When [`take`](Numbers::take) gives none, [`reserve`](Numbers::reserve) a run of numbers, store
//! [`Reservation::end`] so that it survives a loss of power, and only then hand the reservation [back](Numbers::stored). A start skips what is left
//! of a run: numbers are many, writes to flash are not. (The idea is that of RFC 8613, appendix B.1.1.)

use crate::claims::Sequence;

/// Gives out numbers up to the end of a run that is stored as used.
#[derive(Debug, PartialEq, Eq)]
pub struct Numbers {
    next: u64,
    end: u64,
}

/// Is a run of numbers that is to be stored as used.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "it is to be stored, and then handed back"]
pub struct Reservation(u64);

impl Reservation {
    /// Returns what to store: the first number after the run.
    pub fn end(&self) -> Sequence {
        Sequence(self.0)
    }
}

impl Numbers {
    /// Begins after a start: nothing below `stored` is given out, and nothing at all before a run is reserved.
    pub fn after(stored: Sequence) -> Self {
        Self { next: stored.0, end: stored.0 }
    }

    /// Gives the next number; none if a run has to be reserved first.
    pub fn take(&mut self) -> Option<Sequence> {
        let number = self.next;
        (number < self.end).then(|| {
            self.next = number + 1;
            Sequence(number)
        })
    }

    /// Plans a run of `len` numbers; none if there are no more, which is after centuries.
    pub fn reserve(&self, len: u32) -> Option<Reservation> {
        self.next.checked_add(u64::from(len)).map(Reservation)
    }

    /// Takes a run that is stored.
    pub fn stored(&mut self, run: Reservation) {
        self.end = self.end.max(run.0);
    }
}
