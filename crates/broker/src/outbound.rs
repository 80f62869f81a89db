//! Messages of QoS 1 and 2 on their way to one session: those under way and, behind them, those that wait.

mod exchange;
mod pages;

use crate::input::SubscriptionIdSet;
use crate::limits;
use crate::message::{Message, MessageId};
use crate::persist::{Away, Kept, Paging};
use crate::placement::HashKey;
use crate::publishers::{Measure, Publishers};
use crate::retained::Holding;
use core::num::NonZeroU16;
use keyward_ids::Identity;
use keyward_mqtt::packet::{PacketId, Qos};
use keyward_mqtt::time::Millis;
use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) use exchange::{InFlight, Stage};

/// Numbers a message in the queue of its session; it determines the packet id (rule 16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) u64);

impl Place {
    /// Returns the packet id: 1 + (place mod 65,535).
    pub(crate) fn packet_id(self) -> PacketId {
        // The remainder is at most 65,534.
        PacketId(NonZeroU16::MIN.saturating_add((self.0 % limits::PLACE_WINDOW) as u16))
    }
}

/// Is a message for one session, with the terms on which it gets it.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) ids: SubscriptionIdSet,
}

/// Is a message that waits to be sent.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) place: Place,
    pub(crate) parcel: Parcel,
    pub(crate) kept: Kept,
    /// Whether it may be sent: one of QoS 2 is durable before (rule 14).
    pub(crate) is_ready: bool,
    /// Whether the group that it was chosen from has not let go of it.
    pub(crate) awaits_group: bool,
    /// Whether it was found on disk: then it may have been sent before, and the client may know its packet id.
    pub(crate) may_be_known: bool,
}

impl Queued {
    /// Tells whether the client may be in an exchange about it, which has to be brought to an end.
    pub(crate) fn may_be_in_exchange(&self) -> bool {
        self.may_be_known && self.parcel.qos == Qos::ExactlyOnce
    }
}

/// Is what became of a place on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departed {
    /// Its message has arrived; its packet id is in use.
    Received(Place, MessageId),
    /// It is over. The message is named if the place still referred to it.
    Gone(Place, Option<MessageId>),
}

/// Holds what is on its way to one session.
#[derive(Debug)]
pub(crate) struct Outbound {
    next_place: u64,
    in_flight: VecDeque<InFlight>,
    queue: VecDeque<Queued>,
    held: Holding,
    /// Who holds what of `queue`.
    publishers: Publishers,
    /// How many in flight were not sent over the present link.
    unsent: usize,
    /// What became of places on disk and is not recorded yet.
    departed: Vec<Departed>,
    paging: Paging,
}

impl Outbound {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        Self {
            next_place: 0,
            in_flight: VecDeque::new(),
            queue: VecDeque::new(),
            held: Holding::default(),
            publishers: Publishers::new(hash_key),
            unsent: 0,
            departed: Vec::new(),
            paging: Paging::Idle,
        }
    }

    /// Returns what is held, under way or waiting.
    pub(crate) fn held(&self) -> Holding {
        self.held
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Tells whether nothing waits to be sent, for the first time or again.
    pub(crate) fn is_drained(&self) -> bool {
        self.queue.is_empty() && self.unsent == 0
    }

    /// Tells whether another message may get under way: packet ids stay different (rule 16).
    pub(crate) fn window_is_open(&self) -> bool {
        let next = self.queue.front().map_or(self.next_place, |queued| queued.place.0);
        self.in_flight.front().is_none_or(|oldest| next - oldest.place.0 < limits::PLACE_WINDOW)
    }

    /// Adds a message behind all others, in the place that was taken last.
    pub(crate) fn enqueue(&mut self, queued: Queued) {
        self.held.add(Holding::of(&queued.parcel.message));
        self.publishers.add(&queued.parcel.message);
        self.queue.push_back(queued);
    }

    /// Takes the first waiting message out if it may be sent and is in memory; it is then either sent ([`Outbound::start`])
    /// or dropped ([`Outbound::drop_dequeued`]).
    pub(crate) fn dequeue(&mut self) -> Option<Queued> {
        let first = self.queue.front()?;
        let may_leave = first.is_ready && !first.awaits_group && !first.parcel.message.is_away();
        if may_leave { self.remove_queued(0) } else { None }
    }

    /// Notes that a message which was taken out goes nowhere.
    pub(crate) fn drop_dequeued(&mut self, dropped: &Queued) {
        self.depart(dropped.place, dropped.kept, Some(dropped.parcel.message.id));
    }

    /// Returns how many messages wait.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Gives the place of a message that is sent without waiting.
    pub(crate) fn take_place(&mut self) -> Place {
        let place = Place(self.next_place);
        self.next_place += 1;
        place
    }

    /// Notes that a message has left a place which was none in the queue.
    pub(crate) fn leave(&mut self, place: Place, kept: Kept, parcel: &Parcel) {
        self.depart(place, kept, Some(parcel.message.id));
    }

    /// Notes that a place is over; what is reserved only is dealt with when that is settled.
    fn depart(&mut self, place: Place, kept: Kept, message: Option<MessageId>) {
        if kept.is_stored() {
            self.departed.push(Departed::Gone(place, message));
        }
    }

    /// Returns what became of places on disk since the last question.
    pub(crate) fn take_departed(&mut self) -> Vec<Departed> {
        core::mem::take(&mut self.departed)
    }

    /// Notes that a place is durable: its message may be sent. Returns false if it is over.
    pub(crate) fn settle(&mut self, place: Place) -> bool {
        if let Ok(index) = self.queue.binary_search_by_key(&place, |queued| queued.place)
            && let Some(queued) = self.queue.get_mut(index)
        {
            queued.is_ready = true;
            return queued.kept.settle();
        }
        let found = self.in_flight.binary_search_by_key(&place, |flight| flight.place);
        let flight = found.ok().and_then(|index| self.in_flight.get_mut(index));
        flight.is_some_and(|flight| flight.kept.settle())
    }

    /// Notes that the group of a message has let go of it.
    pub(crate) fn release(&mut self, place: Place) {
        if let Ok(index) = self.queue.binary_search_by_key(&place, |queued| queued.place)
            && let Some(queued) = self.queue.get_mut(index)
        {
            queued.awaits_group = false;
        }
    }

    /// Notes that nothing is on disk any more, but for what is not in memory if that `stays`.
    pub(crate) fn forsake(&mut self, stays: Away) {
        let queued = self.queue.iter_mut().filter_map(|queued| {
            queued.is_ready = true;
            let message = &queued.parcel.message;
            (!stays.keeps(message)).then(|| (queued.place, queued.kept.forsake(), Some(message.id)))
        });
        let flights = self.in_flight.iter_mut().filter_map(|flight| {
            let message = match &flight.stage {
                Stage::Sent(parcel) if stays.keeps(&parcel.message) => return None,
                Stage::Sent(parcel) => Some(parcel.message.id),
                Stage::Received => None,
            };
            Some((flight.place, flight.kept.forsake(), message))
        });
        let forsaken = flights.chain(queued).filter(|(_, was_stored, _)| *was_stored);
        self.departed.extend(forsaken.map(|(place, _, message)| Departed::Gone(place, message)));
    }

    /// Puts a place back that was found on disk, behind all others. The first `in_flight` may have been sent before and
    /// go under their packet ids again (rule 16).
    pub(crate) fn restore(&mut self, place: Place, parcel: Option<Parcel>, in_flight: usize) {
        self.next_place = place.0 + 1;
        if let Some(parcel) = &parcel {
            self.held.add(Holding::of(&parcel.message));
        }
        let kept = Kept::Durable;
        match parcel {
            Some(parcel) if self.in_flight.len() >= in_flight || !self.queue.is_empty() => {
                self.publishers.add(&parcel.message);
                self.queue.push_back(Queued {
                    place,
                    parcel,
                    kept,
                    is_ready: true,
                    awaits_group: false,
                    may_be_known: true,
                });
            }
            parcel => {
                let stage = parcel.map_or(Stage::Received, Stage::Sent);
                self.in_flight.push_back(InFlight { place, stage, on_link: false, loan: None, kept });
                self.unsent += 1;
            }
        }
    }

    /// Drops waiting messages that have expired [MQTT-3.3.2-5].
    pub(crate) fn drop_expired(&mut self, now: Millis) {
        let mut index = 0;
        while let Some(queued) = self.queue.get(index) {
            if queued.parcel.message.is_expired(now) && !queued.may_be_in_exchange() {
                if let Some(expired) = self.remove_queued(index) {
                    self.drop_dequeued(&expired);
                }
            } else {
                index += 1;
            }
        }
    }

    /// Makes room as rule 18 says: removes the oldest waiting message of the publisher that holds most of the queue
    /// and returns it, or nothing if that is `newcomer` itself or nothing waits.
    pub(crate) fn evict(&mut self, newcomer: &Identity, measure: Measure) -> Option<Parcel> {
        let gives_way = self.publishers.give_way_to(newcomer, measure)?;
        let mut queue = self.queue.iter();
        let index = queue.position(|it| gives_way(&it.parcel.message) && !it.may_be_in_exchange())?;
        drop(gives_way);
        let evicted = self.remove_queued(index)?;
        self.drop_dequeued(&evicted);
        Some(evicted.parcel)
    }

    fn remove_queued(&mut self, index: usize) -> Option<Queued> {
        let removed = self.queue.remove(index)?;
        self.held.subtract(Holding::of(&removed.parcel.message));
        self.publishers.subtract(&removed.parcel.message);
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Draft;

    fn parcel(publisher: &str) -> Parcel {
        let message = Message::from(Draft { qos: Qos::AtLeastOnce, ..Draft::of(publisher, b"x") });
        Parcel {
            message: Arc::new(message),
            qos: Qos::AtLeastOnce,
            retain: false,
            ids: SubscriptionIdSet::NONE,
        }
    }

    fn outbound() -> Outbound {
        Outbound::new(HashKey::new([3; 16]))
    }

    fn enqueue(outbound: &mut Outbound, parcel: Parcel) {
        let place = outbound.take_place();
        outbound.enqueue(Queued {
            place,
            parcel,
            kept: Kept::No,
            is_ready: true,
            awaits_group: false,
            may_be_known: false,
        });
    }

    fn send_next(outbound: &mut Outbound) -> PacketId {
        let Queued { place, parcel, kept, .. } = outbound.dequeue().unwrap();
        outbound.start(place, parcel, kept, None);
        place.packet_id()
    }

    #[test]
    fn packet_ids_follow_places_and_are_found_again_after_they_wrapped() {
        let mut outbound = outbound();
        for round in 0..3_u32 {
            for expected in 1..=65_535_u16 {
                enqueue(&mut outbound, parcel("device:a"));
                let id = send_next(&mut outbound);
                assert_eq!(id.0.get(), expected, "round {round}");
                let index = outbound.find(id).unwrap();
                outbound.finish(index);
            }
        }
        assert_eq!(outbound.held(), Holding::default());
    }

    #[test]
    fn the_window_closes_before_a_packet_id_could_be_used_twice() {
        let mut outbound = outbound();
        enqueue(&mut outbound, parcel("device:a"));
        let oldest = send_next(&mut outbound);
        for _ in 1..65_535 {
            enqueue(&mut outbound, parcel("device:a"));
            assert!(outbound.window_is_open());
            let id = send_next(&mut outbound);
            assert_ne!(id, oldest);
            let index = outbound.find(id).unwrap();
            outbound.finish(index);
        }
        enqueue(&mut outbound, parcel("device:a"));
        assert!(!outbound.window_is_open());
        outbound.finish(0);
        assert!(outbound.window_is_open());
    }

    #[test]
    fn the_oldest_message_of_the_greediest_publisher_makes_room() {
        let mut outbound = outbound();
        for publisher in ["device:modest", "device:greedy", "device:greedy"] {
            enqueue(&mut outbound, parcel(publisher));
        }
        let greedy: Identity = "device:greedy".parse().unwrap();
        let fresh: Identity = "device:fresh".parse().unwrap();
        assert!(outbound.evict(&greedy, Measure::Messages).is_none());
        let evicted = outbound.evict(&fresh, Measure::Messages).unwrap();
        assert_eq!(evicted.message.publisher.identity, greedy);
        let left: Vec<_> = std::iter::from_fn(|| outbound.dequeue())
            .map(|queued| (queued.place.0, queued.parcel.message.publisher.identity.name().to_owned()))
            .collect();
        assert_eq!(left, [(0, "modest".to_owned()), (2, "greedy".to_owned())]);
    }
}
