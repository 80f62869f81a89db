//! Sends what waits, as fast as the client takes it: first what an earlier link left unfinished, in its order, then
//! the queue, then the next slice of a replay.

use super::{Delivery, Offer, Pressure};
use crate::frames::Frames;
use crate::group::Loan;
use crate::input::{Body, ReplaySlice, Ticket};
use crate::law::Provenance;
use crate::limits;
use crate::link::{Answer, Wait};
use crate::message::{Content, Message};
use crate::outbound::{Parcel, Place, Queued, Stage};
use crate::output::Notice;
use crate::permit::{Permit, Receive, Topic};
use crate::persist::{Kept, Owner, PageAsk};
use crate::replay::{HeldLive, Replay};
use keyward_mqtt::packet::{PacketId, Qos};
use keyward_mqtt::reason::ReasonCode;
use keyward_policy::Reading;
use std::collections::VecDeque;
use std::sync::Arc;

impl Delivery<'_> {
    /// Sends as much as the client and the link take now.
    pub(crate) fn pump(&mut self) {
        while self.can_write() {
            if !self.resend_next() && !self.send_next() {
                break;
            }
        }
        self.ask_page();
        self.ask_replay();
        self.grant_credit();
    }

    /// Tells whether a message of QoS 1 or 2 may be sent without waiting.
    pub(super) fn can_send(&self) -> bool {
        self.session.outbound.is_drained() && self.may_start()
    }

    fn may_start(&self) -> bool {
        let outbound = &self.session.outbound;
        self.can_write()
            && self.quota() > 0
            && outbound.in_flight() < usize::from(self.terms.limits.in_flight.get())
            && outbound.window_is_open()
    }

    /// Returns how many more messages of QoS 1 and 2 the client takes now [MQTT-3.3.4-9]. A PUBREL that is owed from an
    /// older link holds a place too: the client has not finished that message.
    pub(super) fn quota(&self) -> u16 {
        let most = self.session.link.as_ref().map_or(0, |link| link.receive_maximum);
        most.saturating_sub(u16::try_from(self.session.outbound.on_link()).unwrap_or(u16::MAX))
    }

    /// Sends a message of QoS 1 or 2 that may be sent. One that the client cannot take counts as delivered
    /// [MQTT-3.1.2-25]; then false is returned.
    pub(super) fn send(
        &mut self,
        permit: Permit<Receive>,
        loan: Option<Loan>,
        parcel: Parcel,
        frames: Option<&mut Frames>,
    ) -> bool {
        let place = self.session.outbound.take_place();
        if !self.write_message(permit, &parcel, Some(place.packet_id()), false, frames) {
            return false;
        }
        // What a group lends is in the group's place.
        let kept = if loan.is_some() { Kept::No } else { self.record(place, &parcel, None).0 };
        self.session.outbound.start(place, parcel, kept, loan);
        true
    }

    /// Repeats the oldest unfinished exchange that this link does not know [MQTT-4.4.0-1]. Returns false if there is
    /// none or the client takes no more.
    fn resend_next(&mut self) -> bool {
        let Some(index) = self.session.outbound.first_unsent() else { return false };
        let Some(flight) = self.session.outbound.flight(index) else { return false };
        if matches!(&flight.stage, Stage::Sent(parcel) if parcel.message.is_away()) {
            return false;
        }
        let id = flight.place.packet_id();
        let Stage::Sent(parcel) = &flight.stage else {
            self.session.outbound.mark_sent(index);
            self.write_answer(&Answer::PubRel(id, ReasonCode::Success));
            return true;
        };
        let parcel = parcel.clone();
        if self.quota() == 0 {
            return false;
        }
        let written = match self.readable(&parcel.message) {
            Some(permit) => self.write_message(permit, &parcel, Some(id), true, None),
            None => false,
        };
        if written {
            self.session.outbound.mark_sent(index);
        } else if parcel.qos == Qos::ExactlyOnce {
            self.finish_without(index, id);
        } else {
            self.session.outbound.finish(index);
        }
        true
    }

    /// Ends an exchange of QoS 2 whose message is not sent any more. The client may know the packet id: a later message
    /// of the same id is not to be taken for a repetition. PUBREL waits as it does for PUBREC (rule 14): after it the
    /// message would come as another one.
    fn finish_without(&mut self, index: usize, id: PacketId) {
        self.session.outbound.receive(index);
        self.session.outbound.mark_sent(index);
        let is_stored = self.session.is_stored();
        let ticket = if is_stored { self.out.record.ticket() } else { Ticket::default() };
        self.session.exchanged = self.session.exchanged.max(ticket);
        self.answer(Wait { ticket, ..Wait::default() }, Answer::PubRel(id, ReasonCode::Success));
    }

    /// Sends the first waiting message, or drops it if it expired, its publisher is gone, or it may not be read any
    /// more. Returns false if nothing waits or the client takes no more.
    fn send_next(&mut self) -> bool {
        if !self.may_start() || self.session.outbound.first_unsent().is_some() {
            return false;
        }
        let Some(queued) = self.session.outbound.dequeue() else { return false };
        let message = &queued.parcel.message;
        let permit = if message.is_expired(self.terms.now) { None } else { self.readable(message) };
        let id = queued.place.packet_id();
        if let Some(permit) = permit
            && self.write_message(permit, &queued.parcel, Some(id), queued.may_be_known, None)
        {
            let Queued { place, parcel, kept, .. } = queued;
            self.session.outbound.start(place, parcel, kept, None);
        } else if queued.may_be_in_exchange() {
            let Queued { place, parcel, kept, .. } = queued;
            self.session.outbound.start(place, parcel, kept, None);
            self.finish_without(self.session.outbound.in_flight() - 1, id);
        } else {
            self.session.outbound.drop_dequeued(&queued);
        }
        true
    }

    /// Asks again about a message that waited: is its publisher still there, may the session still read it?
    fn readable(&mut self, message: &Arc<Message>) -> Option<Permit<Receive>> {
        if self.law.provenance(message) == Provenance::Gone {
            let publisher = message.publisher.identity.clone();
            self.out.notice(Notice::PublisherGone { publisher });
            return None;
        }
        let topic = Topic::new(message.topic_name()?, &self.terms.hash_key);
        let permit = self.ask_permit(topic);
        if permit.is_none() {
            self.stats.withheld += 1;
        }
        permit
    }

    /// Asks for what messages say whose turn is near and that are on disk only (rule 20).
    fn ask_page(&mut self) {
        if !self.is_connected() {
            return;
        }
        let bytes = match self.terms.pressure {
            Pressure::None => limits::READ_AHEAD_BYTES,
            _ if !self.can_write() => return,
            Pressure::High => limits::READ_AHEAD_BYTES / 8,
            // One message, when the client has taken those before it.
            Pressure::Critical if self.session.outbound.on_link() > 0 => return,
            Pressure::Critical => 0,
        };
        let page = self.session.outbound.next_page(bytes);
        if !page.is_empty() {
            self.out.pages.join(PageAsk::new(Owner::Session(self.at), page));
        }
    }

    /// Takes a page that was asked for, and sends what has its turn now.
    pub(crate) fn take_page(&mut self, contents: Vec<(u64, Option<Content>)>, has_failed: bool) {
        for lost in self.session.outbound.take_page(contents, has_failed) {
            self.stats.dropped += 1;
            self.out.notice(Notice::Damaged { publisher: lost.publisher.identity.clone() });
        }
        self.pump();
        if !self.is_connected() {
            self.session.outbound.let_all_go();
        }
    }

    /// Takes note that a place is on disk: what waited for that is sent, or its message need not be held in memory any
    /// longer. Returns false if the place is over.
    pub(crate) fn settle(&mut self, place: Place) -> bool {
        let is_settled = self.session.settle(place);
        self.pump();
        let near = if self.is_connected() { limits::READ_AHEAD } else { 0 };
        self.session.outbound.let_go(place, near);
        is_settled
    }

    /// Asks for the next retained messages once everything before them is sent.
    fn ask_replay(&mut self) {
        if !self.can_send() {
            return;
        }
        let most = self.quota().min(limits::REPLAY_SLICE);
        let Some(replay) = self.session.replays.front_mut() else { return };
        if let Some((home, ask)) = replay.ask(self.at, most) {
            self.out.post(home, Body::ReplayAsk(ask));
        }
    }

    /// Takes a slice of retained messages that was asked for.
    pub(crate) fn take_slice(&mut self, slice: ReplaySlice) {
        let is_connected = self.is_connected();
        let Some(mut replay) = self.session.replays.pop_front() else { return };
        if is_connected && replay.answered(slice.replay, slice.next) {
            self.play(replay, slice.messages);
            return self.pump();
        }
        if !is_connected {
            replay.postpone();
        }
        self.session.replays.push_front(replay);
    }

    fn play(&mut self, replay: Replay, messages: Vec<Arc<Message>>) {
        for message in messages {
            self.offer_retained(&replay, message);
        }
        if replay.is_finished(self.terms.shards) {
            self.release_held(replay.into_held());
        } else {
            self.session.replays.push_front(replay);
        }
    }

    fn offer_retained(&mut self, replay: &Replay, message: Arc<Message>) {
        let gone = self.law.provenance(&message) == Provenance::Gone;
        let shared = Arc::clone(&message);
        let Some(name) = shared.topic_name() else { return };
        let topic = Topic::new(name, &self.terms.hash_key);
        if gone || message.is_expired(self.terms.now) || replay.is_outdated(topic.hash) {
            return;
        }
        let (qos, ids) = replay.terms(message.qos);
        let parcel = Parcel { message, qos, retain: true, ids };
        self.offer(Offer { parcel, topic, reading: Reading::Mixed, classed: 0, replayed: true }, None);
    }

    /// Delivers the live messages that waited for the end of a replay.
    pub(super) fn release_held(&mut self, held: VecDeque<HeldLive>) {
        for HeldLive { place, parcel, kept } in held {
            self.session.outbound.leave(place, kept, &parcel);
            let message = Arc::clone(&parcel.message);
            let Some(name) = message.topic_name() else { continue };
            if self.law.provenance(&message) == Provenance::Gone {
                continue;
            }
            let topic = Topic::new(name, &self.terms.hash_key);
            self.offer(Offer { parcel, topic, reading: Reading::Mixed, classed: 0, replayed: false }, None);
        }
    }
}
