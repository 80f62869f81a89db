//! A live or replayed message is offered to a session: sent at once, queued, or dropped.

use super::{Delivery, Pressure};
use crate::frames::Frames;
use crate::outbound::{Parcel, Place, Queued};
use crate::output::Notice;
use crate::permit::{self, Permit, Receive, Topic};
use crate::persist::{Kept, Owner};
use crate::publishers::Measure;
use crate::replay::{HeldLive, Live, Replay};
use crate::retained::Holding;
use crate::session::Incarnation;
use keyward_mqtt::packet::Qos;
use keyward_policy::Reading;

/// Is a message for a session with what is known about it.
#[derive(Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) parcel: Parcel,
    pub(crate) topic: Topic<'a>,
    /// The best class of the subscriptions that it came through, by the rights of this stamp.
    pub(crate) reading: Reading,
    pub(crate) classed: u64,
    /// Whether it is a retained message that the session asked for: those are paced and never dropped as too slow.
    pub(crate) replayed: bool,
}

impl Delivery<'_> {
    /// Offers a message that was published now. It may have to wait for a replay.
    pub(crate) fn offer_live(&mut self, offer: Offer<'_>, frames: &mut Frames) {
        let retained = offer.parcel.message.retain;
        let mut fate = Live::Deliver;
        let remembered = self.session.replays.iter().map(Replay::seen).sum();
        let may_hold = !self.session.replays.is_empty()
            && self.terms.pressure < Pressure::Critical
            && self.has_room(&offer.parcel);
        for replay in &mut self.session.replays {
            if !replay.matches(offer.topic.name) {
                continue;
            }
            match replay.note_live(offer.topic.hash, retained, remembered) {
                Live::Deliver => {}
                Live::Hold if may_hold => {
                    let number = replay.number();
                    return self.hold(number, offer.parcel);
                }
                Live::Hold | Live::Drop => fate = Live::Drop,
            }
        }
        if fate == Live::Drop {
            let publisher = offer.parcel.message.publisher.identity.clone();
            let receiver = self.session.key.identity.clone();
            self.stats.dropped += 1;
            return self.out.notice(Notice::QueueFull { publisher, receiver });
        }
        self.offer(offer, Some(frames));
    }

    /// Lets a live message wait for the end of a replay. On disk it has a place already.
    fn hold(&mut self, replay: u64, parcel: Parcel) {
        let place = self.session.outbound.take_place();
        let (kept, _) = self.record(place, &parcel, None);
        if let Some(replay) = self.session.replays.iter_mut().find(|found| found.number() == replay) {
            replay.hold(HeldLive { place, parcel, kept });
        }
    }

    /// Tells whether what this session gets is on disk.
    pub(super) fn is_kept(&self) -> bool {
        self.session.is_stored() && self.out.record.is_on()
    }

    /// Records a place of this session. Returns how it stands, and whether its message may be sent at once.
    pub(super) fn record(
        &mut self,
        place: Place,
        parcel: &Parcel,
        from: Option<(Incarnation, u64)>,
    ) -> (Kept, bool) {
        if parcel.qos == Qos::AtMostOnce || !self.is_kept() {
            return (Kept::No, true);
        }
        self.out.record.place(Owner::Session(self.at), place.0, parcel, from)
    }

    /// Offers a message: decides whether the session may read it, then sends or queues it.
    pub(crate) fn offer(&mut self, offer: Offer<'_>, frames: Option<&mut Frames>) {
        let Some(permit) = self.permit(&offer) else {
            self.stats.withheld += 1;
            return;
        };
        match offer.parcel.qos {
            Qos::AtMostOnce => self.send_unacknowledged(permit, &offer, frames),
            Qos::AtLeastOnce | Qos::ExactlyOnce
                if self.can_send()
                    && self.has_room(&offer.parcel)
                    && !self.must_be_durable(&offer.parcel) =>
            {
                self.send(permit, None, offer.parcel, frames);
            }
            Qos::AtLeastOnce | Qos::ExactlyOnce => self.queue(offer.parcel),
        }
    }

    pub(super) fn permit(&mut self, offer: &Offer<'_>) -> Option<Permit<Receive>> {
        if offer.reading == Reading::Never && offer.classed == self.entitled.stamp {
            return None;
        }
        permit::receive_covered(self.entitled, offer.classed, offer.reading)
            .or_else(|| self.ask_permit(offer.topic))
    }

    /// Permits this session to be handed a message of `topic`, if it may.
    pub(super) fn ask_permit(&mut self, topic: Topic<'_>) -> Option<Permit<Receive>> {
        permit::receive(self.entitled, &mut self.session.read_decisions, topic)
    }

    /// Sends a QoS 0 message, or drops it: nobody waits for one.
    fn send_unacknowledged(
        &mut self,
        permit: Permit<Receive>,
        offer: &Offer<'_>,
        frames: Option<&mut Frames>,
    ) {
        let is_connected = self.is_connected();
        if !is_connected {
            return;
        }
        if self.can_write() || offer.replayed {
            self.write_message(permit, &offer.parcel, None, false, frames);
        } else {
            let receiver = self.session.key.identity.clone();
            self.stats.dropped += 1;
            self.out.notice(Notice::TooSlow { receiver });
        }
    }

    /// Puts a message behind all others, if there is room or room can be made (rule 18).
    fn queue(&mut self, parcel: Parcel) {
        if self.make_room(&parcel) {
            self.enqueue(parcel, None);
        }
    }

    /// Tells whether a message is on disk before it is sent, so that its packet id stays its own (rules 14 and 16).
    pub(super) fn must_be_durable(&self, parcel: &Parcel) -> bool {
        parcel.qos == Qos::ExactlyOnce && self.is_kept()
    }

    /// Puts a message behind all others; `from` names the group that handed it out, which is to let go of it before it is
    /// sent. Returns its place.
    pub(super) fn enqueue(&mut self, parcel: Parcel, from: Option<(Incarnation, u64)>) -> Place {
        let place = self.session.outbound.take_place();
        let (kept, is_ready) = self.record(place, &parcel, from);
        let (awaits_group, may_be_known) = (from.is_some(), false);
        self.session.outbound.enqueue(Queued { place, parcel, kept, is_ready, awaits_group, may_be_known });
        place
    }

    fn make_room(&mut self, newcomer: &Parcel) -> bool {
        let publisher = newcomer.message.publisher.identity.clone();
        let receiver = self.session.key.identity.clone();
        if self.terms.pressure == Pressure::Critical {
            self.stats.dropped += 1;
            self.out.notice(Notice::NoMemory { identity: receiver });
            return false;
        }
        let size = Holding::of(&newcomer.message);
        if self.full_by(size).is_some() {
            self.session.outbound.drop_expired(self.terms.now);
        }
        let too_large = size.bytes > self.terms.limits.queue_bytes;
        while let Some(measure) = self.full_by(size) {
            // Either the newcomer is lost or one that waited.
            self.stats.dropped += 1;
            let evicted = if too_large { None } else { self.session.outbound.evict(&publisher, measure) };
            let Some(lost) = evicted else {
                self.out.notice(Notice::QueueFull { publisher, receiver });
                return false;
            };
            let publisher = lost.message.publisher.identity.clone();
            self.out.notice(Notice::QueueFull { publisher, receiver: receiver.clone() });
        }
        true
    }

    /// Tells whether a message has room among those that wait and those under way: what a client does not acknowledge is
    /// held as what it is not sent. Who takes its messages at once gets them while memory is short, to its last byte.
    fn has_room(&self, parcel: &Parcel) -> bool {
        let size = Holding::of(&parcel.message);
        self.has_memory(size) && self.full_by(size).is_none()
    }

    /// Tells whether there is memory for `more`. Below the marks that is not asked.
    pub(super) fn has_memory(&self, more: Holding) -> bool {
        let grown = self.session.outbound.held().in_memory().saturating_sub(self.held_before.in_memory());
        self.terms.pressure < Pressure::Critical || grown + more.bytes <= self.terms.memory_left
    }

    /// Tells whether no message waits or is under way.
    pub(super) fn holds_nothing(&self) -> bool {
        self.session.outbound.held().messages == 0
    }

    /// Returns for how many messages there is room; none once the bytes that a queue may have are used up.
    pub(super) fn places_left(&self) -> usize {
        let held = self.session.held();
        let is_full = self.full_by(Holding::bound(1, 1)).is_some();
        if is_full { 0 } else { self.terms.limits.queue_messages.saturating_sub(held.messages) }
    }

    /// Says by which measure the session's queue, or those of its principal together, have no room for `more`.
    fn full_by(&self, more: Holding) -> Option<Measure> {
        let session = self.session.held();
        let mut principal = self.principal_holds;
        principal.subtract(self.held_before);
        principal.add(session);
        let limits = self.terms.limits;
        let bound = self.terms.principal_bound;
        if session.messages + more.messages > limits.queue_messages
            || principal.messages + more.messages > bound.messages
        {
            Some(Measure::Messages)
        } else if session.bytes + more.bytes > limits.queue_bytes
            || principal.bytes + more.bytes > bound.bytes
        {
            Some(Measure::Bytes)
        } else {
            None
        }
    }
}
