//! A shared group: the members of `$share/NAME/FILTER` and the messages that are each for one of them (rule 11).
//!
//! It lives on the shard of its hash and knows members only by what their shards say. It does not decide who may read:
//! it hands a message to one member, and the member's shard gives it back if it may not. A group without members does
//! not exist.
//!
//! Order: what one publisher sends to one topic reaches one member in that order, unless a message came back from a
//! member that lost its link or may not read it; between members there is none. MQTT asks for none in shared
//! subscriptions [MQTT-4.6.0-6].

mod letters;
mod members;
mod pages;
mod payers;
mod places;
mod words;

use crate::law::LawStamp;
use crate::message::{Message, MessageId};
use crate::outbound::Parcel;
use crate::persist::{Away, Kept};
use crate::placement::HashKey;
use crate::retained::Holding;
use crate::session::Incarnation;
use keyward_ids::Identity;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::time::Millis;
use letters::{Handed, Letter, Letters};
use members::Members;
use std::sync::Arc;

pub(crate) use payers::{PayerSlot, Payers};
pub(crate) use words::{HandOut, Joined, Loan, Membership, Outcome, Seat, ToGroup, Word};

/// Is one group.
#[derive(Debug)]
pub(crate) struct Group {
    /// The whole text, `$share/NAME/FILTER`.
    pub(crate) name: Arc<str>,
    /// Tells it from others that had its slot; for interest it is one session.
    pub(crate) incarnation: Incarnation,
    /// Who is charged for what it holds; the identity of one of its members.
    pub(crate) payer: PayerSlot,
    /// The round of asking members again that its denials follow.
    round: u64,
    members: Members,
    letters: Letters,
}

/// Is a message that a group did not get rid of otherwise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) publisher: Identity,
    pub(crate) cause: LossCause,
}

/// Says why a group dropped a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LossCause {
    /// The queue was full (rule 18).
    Full,
    /// It was QoS 0 and no member was connected.
    Absent,
    /// No member may read it.
    Unreadable,
    /// It could not be read from disk.
    Damaged,
}

/// Says which of the messages that wait somebody might take now who could not before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stirred {
    Nothing,
    One(u64),
    All,
}

/// Is a walk over the messages that wait.
#[derive(Debug)]
pub(crate) struct Walk {
    next: u64,
    last: u64,
    /// What it has cost.
    pub(crate) steps: usize,
}

impl Walk {
    /// Begins one over what was stirred; `None` if that is nothing.
    pub(crate) fn over(stirred: Stirred) -> Option<Self> {
        let (next, last) = match stirred {
            Stirred::Nothing => return None,
            Stirred::One(number) => (number, number),
            Stirred::All => (0, u64::MAX),
        };
        Some(Self { next, last, steps: 0 })
    }
}

impl Group {
    pub(crate) fn new(
        name: Arc<str>,
        incarnation: Incarnation,
        payer: PayerSlot,
        round: u64,
        hash_key: HashKey,
    ) -> Self {
        Self { name, incarnation, payer, round, members: Members::default(), letters: Letters::new(hash_key) }
    }

    /// Returns what is held, waiting or handed out.
    pub(crate) fn held(&self) -> Holding {
        self.letters.held()
    }

    /// Returns what waits.
    pub(crate) fn queued(&self) -> Holding {
        self.letters.queued()
    }

    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// Returns the payer of each member, in the order of their seats.
    pub(crate) fn payers(&self) -> impl Iterator<Item = PayerSlot> {
        self.members.payers()
    }

    /// Returns how many members an identity has.
    pub(crate) fn members_of(&self, payer: PayerSlot) -> usize {
        self.payers().filter(|of_member| *of_member == payer).count()
    }

    pub(crate) fn payer_of(&self, seat: Seat) -> Option<PayerSlot> {
        self.members.payer_of(seat)
    }

    pub(crate) fn has_member(&self, seat: Seat) -> bool {
        self.members.contains(seat)
    }

    /// Tells whether some member outlives its link: then the group does.
    pub(crate) fn is_stored(&self) -> bool {
        self.members.is_any_stored()
    }

    /// Adds a member or changes its terms.
    pub(crate) fn join(&mut self, seat: Seat, membership: Membership, payer: PayerSlot, life: u64) {
        self.members.join(seat, membership, payer, life);
    }

    /// Removes a member. What it was handed is still to be settled.
    pub(crate) fn leave(&mut self, seat: Seat, losses: &mut Vec<Loss>) {
        let Some(place) = self.members.leave(seat) else { return };
        // The next member in this place was denied nothing.
        self.letters.forget(place);
        self.drop_hopeless(losses);
        self.drop_unkept(losses);
        self.let_all_go();
    }

    /// Notes that a member takes so many messages more, and that `seen` have come to its shard. In a new turn the others
    /// come back first, so that nothing overtakes them.
    pub(crate) fn grant(&mut self, seat: Seat, turn: u64, credit: u16, seen: u64) -> Stirred {
        let Some(begins) = self.members.grant(seat, turn, credit, seen) else { return Stirred::Nothing };
        if begins {
            self.letters.read_again();
        }
        self.ready(seat)
    }

    /// Lets a member have its turn, if it may.
    fn ready(&mut self, seat: Seat) -> Stirred {
        if self.members.ready(seat) { Stirred::All } else { Stirred::Nothing }
    }

    /// Notes that a member has no link.
    pub(crate) fn depart(&mut self, seat: Seat, turn: u64, losses: &mut Vec<Loss>) {
        if !self.members.depart(seat, turn) {
            return;
        }
        self.drop_unkept(losses);
        self.let_all_go();
    }

    /// Adds a message behind all others, if `bound` has room for it or room can be made (rule 18); `waits` says that it is
    /// handed out only when its place is durable.
    pub(crate) fn offer(
        &mut self,
        message: Arc<Message>,
        waits: bool,
        bound: Holding,
        now: Millis,
        losses: &mut Vec<Loss>,
    ) -> Stirred {
        if !self.members.is_any_present() && !self.keeps(&message) {
            losses.push(Loss::of(&message, LossCause::Absent));
        } else if self.letters.make_room(&message, bound, now, losses) {
            return Stirred::One(self.letters.add(message, !waits));
        }
        Stirred::Nothing
    }

    /// Returns the messages of QoS 1 and 2, with their numbers, that have no place on disk; what is put there is to be
    /// said with [`Group::keep`].
    pub(crate) fn unkept(&self) -> Vec<(u64, Arc<Message>)> {
        self.letters.unkept()
    }

    /// Wants the places again that were given up before they were settled.
    pub(crate) fn reclaim(&mut self) {
        self.letters.reclaim();
    }

    /// Notes how a message stands on disk.
    pub(crate) fn keep(&mut self, number: u64, kept: Kept) {
        self.letters.keep(number, kept);
    }

    /// Tells whether a message waits here or is in the hands of a member.
    pub(crate) fn holds(&self, number: u64) -> bool {
        self.letters.holds(number)
    }

    /// Notes that what was reserved for a message is durable. Returns false if the message is gone.
    pub(crate) fn settle_place(&mut self, number: u64) -> bool {
        self.letters.settle(number)
    }

    /// Notes that nothing is on disk any more, but for what is not in memory if that `stays`.
    pub(crate) fn forsake(&mut self, stays: Away) {
        self.letters.forsake(stays);
    }

    /// Returns the messages whose places on disk are over, since the last question.
    pub(crate) fn take_departed(&mut self) -> Vec<(u64, MessageId)> {
        self.letters.take_departed()
    }

    /// Puts messages back that were found on disk.
    pub(crate) fn restore(&mut self, letters: Vec<(u64, Arc<Message>)>) {
        self.letters.restore(letters);
    }

    /// Drops messages, as rule 18 chooses them, until so much less waits or nothing does.
    pub(crate) fn shed(&mut self, less: Holding, losses: &mut Vec<Loss>) {
        self.letters.shed(less, losses);
    }

    /// Tells whether the next message goes to a member at once.
    pub(crate) fn is_idle(&self) -> bool {
        self.letters.none_waits() && self.members.is_any_ready()
    }

    /// Tells whether a message is kept while no member is connected.
    fn keeps(&self, message: &Message) -> bool {
        message.qos > Qos::AtMostOnce && self.members.is_any_keeping()
    }

    /// Hands the next message that some member can take to the one whose turn it is; drops on the way what `is_alive`
    /// does not hold for. Messages that were denied to all members with credit do not hold up those behind them.
    pub(crate) fn hand_out(
        &mut self,
        walk: &mut Walk,
        mut is_alive: impl FnMut(&Message) -> bool,
    ) -> Option<HandOut> {
        while self.members.is_any_ready() && !self.letters.is_reading() {
            let (number, letter) = self.letters.waiting_in(walk.next, walk.last)?;
            walk.steps += 1;
            walk.next = number + 1;
            if !letter.is_ready {
                continue;
            }
            if !is_alive(&letter.message) {
                self.letters.discard(number);
            } else if let Some(seat) = self.members.choose(&letter.denied) {
                if !self.letters.has_here(number) {
                    return None;
                }
                let letter = self.letters.take_waiting(number)?;
                return self.hand(number, letter, seat);
            }
        }
        None
    }

    fn hand(&mut self, number: u64, letter: Letter, seat: Seat) -> Option<HandOut> {
        let (membership, turn) = self.members.spend(seat)?;
        let message = Arc::clone(&letter.message);
        let parcel = Parcel {
            qos: membership.qos.min(message.qos),
            retain: message.retain && membership.retain_as_published,
            ids: membership.id.into_iter().collect(),
            message,
        };
        let session = membership.session;
        self.letters.hand(number, Handed { seat, turn, letter });
        let (group, incarnation) = (Arc::clone(&self.name), self.incarnation);
        Some(HandOut { group, incarnation, session, seat, turn, letter: number, parcel })
    }

    /// Takes note of what became of a message. `stamp` is the law here: what is denied by the same is denied to all
    /// members of that identity, none of which need be asked.
    pub(crate) fn settle(
        &mut self,
        seat: Seat,
        number: u64,
        outcome: Outcome,
        stamp: LawStamp,
        losses: &mut Vec<Loss>,
    ) -> Stirred {
        let Some(Handed { turn, mut letter, .. }) = self.letters.take_handed(number, seat) else {
            return Stirred::Nothing;
        };
        match outcome {
            Outcome::Done | Outcome::Chosen { .. } => {
                self.letters.depart(number, &letter);
                return Stirred::Nothing;
            }
            Outcome::Denied { by } if by == stamp => {
                self.members.places_alike(seat).for_each(|place| letter.deny(place));
            }
            Outcome::Denied { .. } => {
                if let Some(place) = self.members.place_of(seat) {
                    letter.deny(place);
                }
            }
            Outcome::TooLarge => {
                if let Some(place) = self.members.place_of(seat) {
                    letter.exclude(place);
                }
            }
            Outcome::Unable => self.members.exhaust(seat, turn),
        }
        let is_last_awaited = outcome == Outcome::Unable && self.members.came_back(seat, turn);
        let lost = if self.is_hopeless(&letter) {
            Some(LossCause::Unreadable)
        } else if !self.members.is_any_present() && !self.keeps(&letter.message) {
            Some(LossCause::Absent)
        } else {
            None
        };
        let Some(cause) = lost else {
            let is_for_another = !letter.denied.is_empty() || !self.members.is_any_ready();
            self.letters.put_back(number, letter);
            if is_for_another {
                self.letters.let_go(number);
            }
            return if is_last_awaited { self.ready(seat) } else { Stirred::One(number) };
        };
        losses.push(Loss::of(&letter.message, cause));
        self.letters.depart(number, &letter);
        if is_last_awaited { self.ready(seat) } else { Stirred::Nothing }
    }

    /// Tells whether something was denied to a member by an earlier law than that of `turn`.
    pub(crate) fn has_outdated(&self, round: u64) -> bool {
        self.round != round && self.letters.has_forgivable()
    }

    /// Forgets who might not read what, if rules or the registry have changed since. Returns whether there was anything
    /// to forget.
    pub(crate) fn follow(&mut self, round: u64) -> bool {
        let has_changed = core::mem::replace(&mut self.round, round) != round;
        has_changed && self.letters.forgive()
    }

    fn is_hopeless(&self, letter: &Letter) -> bool {
        self.members.are_all_in(&letter.denied)
    }

    /// Drops what no member may read.
    fn drop_hopeless(&mut self, losses: &mut Vec<Loss>) {
        if self.letters.has_denied() {
            self.drop_where(LossCause::Unreadable, losses, |group, letter| group.is_hopeless(letter));
        }
    }

    /// Drops what is not kept while no member is connected.
    fn drop_unkept(&mut self, losses: &mut Vec<Loss>) {
        if !self.members.is_any_present() {
            self.drop_where(LossCause::Absent, losses, |group, letter| !group.keeps(&letter.message));
        }
    }

    fn drop_where(
        &mut self,
        cause: LossCause,
        losses: &mut Vec<Loss>,
        is_lost: impl Fn(&Self, &Letter) -> bool,
    ) {
        let waiting = self.letters.waiting();
        let lost: Vec<u64> =
            waiting.filter(|(_, letter)| is_lost(self, letter)).map(|(number, _)| number).collect();
        for letter in lost.into_iter().filter_map(|number| self.letters.discard(number)) {
            losses.push(Loss::of(&letter.message, cause));
        }
    }
}

impl Loss {
    fn of(message: &Message, cause: LossCause) -> Self {
        Self { publisher: message.publisher.identity.clone(), cause }
    }
}
