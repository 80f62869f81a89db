//! The messages of a group: those that wait, by number, and those that a member has been handed. One that comes back
//! takes its old place.

use super::places::Places;
use super::{Loss, LossCause, Seat};
use crate::message::Message;
use crate::placement::HashKey;
use crate::publishers::{Measure, Publishers};
use crate::retained::Holding;
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Holds the messages of one group.
#[derive(Debug)]
pub(super) struct Letters {
    next: u64,
    waiting: BTreeMap<u64, Letter>,
    handed: BTreeMap<u64, Handed>,
    held: Holding,
    /// What of it waits.
    queued: Holding,
    /// Who holds what of `waiting`.
    publishers: Publishers,
    /// How many of `waiting` were denied to some member.
    denied: usize,
}

/// Is a message that is for one of the members.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) message: Arc<Message>,
    /// The members that may not read it.
    pub(super) denied: Places,
}

/// Is a message that a member was handed.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) seat: Seat,
    /// In which turn of the member.
    pub(super) turn: u64,
    pub(super) letter: Letter,
}

impl Letters {
    pub(super) fn new(hash_key: HashKey) -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
            handed: BTreeMap::new(),
            held: Holding::default(),
            queued: Holding::default(),
            publishers: Publishers::new(hash_key),
            denied: 0,
        }
    }

    pub(super) fn held(&self) -> Holding {
        self.held
    }

    pub(super) fn none_waits(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn has_denied(&self) -> bool {
        self.denied > 0
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = (u64, &Letter)> {
        self.waiting.iter().map(|(number, letter)| (*number, letter))
    }

    /// Returns the first message that waits and has this number or a higher one.
    pub(super) fn waiting_from(&self, number: u64) -> Option<(u64, &Letter)> {
        self.waiting.range(number..).next().map(|(number, letter)| (*number, letter))
    }

    /// Adds a message behind all others.
    pub(super) fn add(&mut self, message: Arc<Message>) {
        let number = self.next;
        self.next += 1;
        self.put_back(number, Letter { message, denied: Places::default() });
    }

    /// Lets a message wait in its place.
    pub(super) fn put_back(&mut self, number: u64, letter: Letter) {
        let size = Holding::of(&letter.message);
        self.held.add(size);
        self.queued.add(size);
        self.denied += usize::from(!letter.denied.is_empty());
        self.publishers.add(&letter.message);
        self.waiting.insert(number, letter);
    }

    /// Takes a waiting message out.
    pub(super) fn take_waiting(&mut self, number: u64) -> Option<Letter> {
        let letter = self.waiting.remove(&number)?;
        let size = Holding::of(&letter.message);
        self.held.subtract(size);
        self.queued.subtract(size);
        self.denied -= usize::from(!letter.denied.is_empty());
        self.publishers.subtract(&letter.message);
        Some(letter)
    }

    /// Notes that a member was handed a message.
    pub(super) fn hand(&mut self, number: u64, handed: Handed) {
        self.held.add(Holding::of(&handed.letter.message));
        self.handed.insert(number, handed);
    }

    /// Takes out a message that this member was handed.
    pub(super) fn take_handed(&mut self, number: u64, seat: Seat) -> Option<Handed> {
        if self.handed.get(&number)?.seat != seat {
            return None;
        }
        let handed = self.handed.remove(&number)?;
        self.held.subtract(Holding::of(&handed.letter.message));
        Some(handed)
    }

    /// Forgets to whom what was denied.
    pub(super) fn forgive(&mut self) {
        self.change_denied(Places::clear);
    }

    /// Forgets what was denied to the member in this place.
    pub(super) fn forget(&mut self, place: usize) {
        self.change_denied(|denied| denied.remove(place));
    }

    fn change_denied(&mut self, change: impl Fn(&mut Places)) {
        for handed in self.handed.values_mut() {
            change(&mut handed.letter.denied);
        }
        for letter in self.waiting.values_mut() {
            change(&mut letter.denied);
        }
        self.denied = self.waiting.values().filter(|letter| !letter.denied.is_empty()).count();
    }

    /// Makes room for one more message among those that wait, as rule 18 says. Returns false if there is none.
    pub(super) fn make_room(
        &mut self,
        newcomer: &Message,
        bound: Holding,
        now: Millis,
        losses: &mut Vec<Loss>,
    ) -> bool {
        let size = Holding::of(newcomer);
        if self.full_by(size, bound).is_some() {
            self.drop_expired(now);
        }
        while let Some(measure) = self.full_by(size, bound) {
            let is_too_large = size.bytes > bound.bytes;
            let evicted = if is_too_large { None } else { self.evict(&newcomer.publisher.identity, measure) };
            let Some(lost) = evicted else {
                losses.push(Loss::of(newcomer, LossCause::Full));
                return false;
            };
            losses.push(Loss::of(&lost.message, LossCause::Full));
        }
        true
    }

    fn full_by(&self, more: Holding, bound: Holding) -> Option<Measure> {
        if self.queued.messages + more.messages > bound.messages {
            Some(Measure::Messages)
        } else if self.queued.bytes + more.bytes > bound.bytes {
            Some(Measure::Bytes)
        } else {
            None
        }
    }

    fn drop_expired(&mut self, now: Millis) {
        let expired: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, letter)| letter.message.is_expired(now))
            .map(|(number, _)| *number)
            .collect();
        for number in expired {
            self.take_waiting(number);
        }
    }

    /// Removes the oldest waiting message of the publisher that holds most; nothing if that is `newcomer`.
    fn evict(&mut self, newcomer: &Identity, measure: Measure) -> Option<Letter> {
        let gives_way = self.publishers.give_way_to(newcomer, measure)?;
        let (&oldest, _) = self.waiting.iter().find(|(_, letter)| gives_way(&letter.message))?;
        drop(gives_way);
        self.take_waiting(oldest)
    }
}
