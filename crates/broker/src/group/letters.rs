//! The messages of a group: those that wait, by number, and those that a member has been handed. One that comes back
//! takes its old place.

use super::places::Places;
use super::{Loss, LossCause, Seat};
use crate::message::{Message, MessageId};
use crate::persist::{Away, Kept, Paging};
use crate::placement::HashKey;
use crate::publishers::{Measure, Publishers};
use crate::retained::Holding;
use keyward_ids::Identity;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::time::Millis;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Holds the messages of one group.
#[derive(Debug)]
pub(super) struct Letters {
    next: u64,
    pub(super) waiting: BTreeMap<u64, Letter>,
    handed: BTreeMap<u64, Handed>,
    pub(super) held: Holding,
    /// What of it waits.
    pub(super) queued: Holding,
    /// Who holds what of `waiting`.
    pub(super) publishers: Publishers,
    /// How many of `waiting` are not for every member.
    denied: usize,
    /// How many of these may be so no longer once the law has changed.
    forgivable: usize,
    /// Messages whose places on disk are over, not recorded yet.
    departed: Vec<(u64, MessageId)>,
    pub(super) paging: Paging,
    /// One that is not in memory and holds up the others.
    pub(super) wants_page: Option<u64>,
}

/// Is a message that is for one of the members.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) message: Arc<Message>,
    /// The members that may not read it, or cannot take it.
    pub(super) denied: Places,
    /// Those of them that cannot take it: it is larger than their clients accept.
    too_large: Places,
    pub(super) kept: Kept,
    /// Whether it may be handed out: one of QoS 2 is durable in its place before.
    pub(super) is_ready: bool,
}

impl Letter {
    fn new(message: Arc<Message>, kept: Kept, is_ready: bool) -> Self {
        Self { message, denied: Places::default(), too_large: Places::default(), kept, is_ready }
    }

    /// Notes that the member in this place may not read it.
    pub(super) fn deny(&mut self, place: usize) {
        self.denied.insert(place);
    }

    /// Notes that the member in this place cannot take it, whatever it may read.
    pub(super) fn exclude(&mut self, place: usize) {
        self.denied.insert(place);
        self.too_large.insert(place);
    }

    fn is_forgivable(&self) -> bool {
        !self.denied.are_all_in(&self.too_large)
    }
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
            forgivable: 0,
            departed: Vec::new(),
            paging: Paging::Idle,
            wants_page: None,
        }
    }

    pub(super) fn held(&self) -> Holding {
        self.held
    }

    pub(super) fn queued(&self) -> Holding {
        self.queued
    }

    pub(super) fn none_waits(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn has_denied(&self) -> bool {
        self.denied > 0
    }

    pub(super) fn has_forgivable(&self) -> bool {
        self.forgivable > 0
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = (u64, &Letter)> {
        self.waiting.iter().map(|(number, letter)| (*number, letter))
    }

    /// Returns the first message that waits and has a number from `first` to `last`.
    pub(super) fn waiting_in(&self, first: u64, last: u64) -> Option<(u64, &Letter)> {
        let (number, letter) = self.waiting.range(first..).next()?;
        (*number <= last).then_some((*number, letter))
    }

    /// Adds a message behind all others. Returns its number.
    pub(super) fn add(&mut self, message: Arc<Message>, is_ready: bool) -> u64 {
        let number = self.next;
        self.next += 1;
        self.put_back(number, Letter::new(message, Kept::No, is_ready));
        number
    }

    /// Lets a message wait in its place.
    pub(super) fn put_back(&mut self, number: u64, letter: Letter) {
        let size = Holding::of(&letter.message);
        self.held.add(size);
        self.queued.add(size);
        self.denied += usize::from(!letter.denied.is_empty());
        self.forgivable += usize::from(letter.is_forgivable());
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
        self.forgivable -= usize::from(letter.is_forgivable());
        self.publishers.subtract(&letter.message);
        Some(letter)
    }

    /// Takes a waiting message out that goes nowhere.
    pub(super) fn discard(&mut self, number: u64) -> Option<Letter> {
        let letter = self.take_waiting(number)?;
        self.depart(number, &letter);
        Some(letter)
    }

    /// Notes that a message is no longer the group's.
    pub(super) fn depart(&mut self, number: u64, letter: &Letter) {
        if letter.kept.is_stored() {
            self.departed.push((number, letter.message.id));
        }
    }

    pub(super) fn take_departed(&mut self) -> Vec<(u64, MessageId)> {
        core::mem::take(&mut self.departed)
    }

    pub(super) fn holds(&self, number: u64) -> bool {
        self.waiting.contains_key(&number) || self.handed.contains_key(&number)
    }

    fn find_mut(&mut self, number: u64) -> Option<&mut Letter> {
        match self.waiting.get_mut(&number) {
            Some(letter) => Some(letter),
            None => self.handed.get_mut(&number).map(|handed| &mut handed.letter),
        }
    }

    pub(super) fn keep(&mut self, number: u64, kept: Kept) {
        if let Some(letter) = self.find_mut(number) {
            letter.kept = kept;
        }
    }

    pub(super) fn settle(&mut self, number: u64) -> bool {
        self.find_mut(number).is_some_and(|letter| {
            letter.is_ready = true;
            letter.kept.settle()
        })
    }

    fn all_mut(&mut self) -> impl Iterator<Item = (u64, &mut Letter)> {
        let handed = self.handed.iter_mut().map(|(number, handed)| (*number, &mut handed.letter));
        self.waiting.iter_mut().map(|(number, letter)| (*number, letter)).chain(handed)
    }

    pub(super) fn unkept(&self) -> Vec<(u64, Arc<Message>)> {
        let handed = self.handed.iter().map(|(number, handed)| (number, &handed.letter));
        let all = self.waiting.iter().chain(handed);
        all.filter(|(_, letter)| letter.kept == Kept::No && letter.message.qos > Qos::AtMostOnce)
            .map(|(number, letter)| (*number, Arc::clone(&letter.message)))
            .collect()
    }

    /// Wants the places again that were given up before they were settled.
    pub(super) fn reclaim(&mut self) {
        self.all_mut().for_each(|(_, letter)| letter.kept.reclaim());
    }

    pub(super) fn forsake(&mut self, stays: Away) {
        let forsaken: Vec<_> = self
            .all_mut()
            .filter_map(|(number, letter)| {
                letter.is_ready = true;
                let goes = !stays.keeps(&letter.message);
                goes.then(|| (number, letter.kept.forsake(), letter.message.id))
            })
            .filter(|(_, was_stored, _)| *was_stored)
            .collect();
        self.departed.extend(forsaken.into_iter().map(|(number, _, message)| (number, message)));
    }

    pub(super) fn restore(&mut self, letters: Vec<(u64, Arc<Message>)>) {
        for (number, message) in letters {
            self.next = self.next.max(number + 1);
            self.put_back(number, Letter::new(message, Kept::Durable, true));
        }
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

    /// Forgets to whom what was denied; what is too large for a member stays so. Returns whether anything that waits was
    /// denied.
    pub(super) fn forgive(&mut self) -> bool {
        let had_forgivable = self.has_forgivable();
        self.change_denied(|letter| letter.denied.clone_from(&letter.too_large));
        had_forgivable
    }

    /// Forgets what the member in this place may not read or cannot take.
    pub(super) fn forget(&mut self, place: usize) {
        self.change_denied(|letter| {
            letter.denied.remove(place);
            letter.too_large.remove(place);
        });
    }

    fn change_denied(&mut self, change: impl Fn(&mut Letter)) {
        self.handed.values_mut().for_each(|handed| change(&mut handed.letter));
        self.waiting.values_mut().for_each(change);
        self.denied = self.waiting.values().filter(|letter| !letter.denied.is_empty()).count();
        self.forgivable = self.waiting.values().filter(|letter| letter.is_forgivable()).count();
    }

    /// Drops the oldest messages of publishers that hold most until so much less waits, or nothing does.
    pub(super) fn shed(&mut self, less: Holding, losses: &mut Vec<Loss>) {
        let mut bound = self.queued;
        bound.subtract(less);
        while let Some(measure) = self.full_by(Holding::default(), bound)
            && let Some(lost) = self.evict_of_greatest(measure)
        {
            losses.push(Loss::of(&lost.message, LossCause::Full));
        }
    }

    fn evict_of_greatest(&mut self, measure: Measure) -> Option<Letter> {
        let greatest = self.publishers.greatest(measure)?;
        let (&oldest, _) = self.waiting.iter().find(|(_, letter)| greatest(&letter.message))?;
        drop(greatest);
        self.discard(oldest)
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
            self.discard(number);
        }
    }

    /// Removes the oldest waiting message of the publisher that holds most; nothing if that is `newcomer`.
    fn evict(&mut self, newcomer: &Identity, measure: Measure) -> Option<Letter> {
        let gives_way = self.publishers.give_way_to(newcomer, measure)?;
        let (&oldest, _) = self.waiting.iter().find(|(_, letter)| gives_way(&letter.message))?;
        drop(gives_way);
        self.discard(oldest)
    }
}
