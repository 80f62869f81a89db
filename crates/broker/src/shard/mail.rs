//! What other shards say, and what this shard says to itself in the same words.

use super::Shard;
use crate::input::{Asks, Body, ReplayAsk, ReplaySlice, Stored};
use crate::interest::Announcement;
use crate::law::Provenance;
use crate::message::Message;
use crate::output::Notice;
use crate::permit::{self, Permit, Publish};
use crate::persist::Reservation;
use crate::placement::ShardIndex;
use crate::retained::Fate;
use keyward_mqtt::topic::TopicFilter;
use std::sync::Arc;

/// Says what is to be done with a message of another shard.
struct Wanted {
    retain: bool,
    deliver: bool,
    asks: Option<Asks>,
}

impl Shard {
    pub(super) fn read(&mut self, from: ShardIndex, body: Body) {
        let permit = permit::published_elsewhere(&body);
        match body {
            Body::Publish { message, retain, deliver, asks } => {
                if let Some(permit) = permit {
                    self.receive(from, permit, message, Wanted { retain, deliver, asks });
                }
            }
            Body::Reserved { publication, entry, places } => {
                self.out.record.join(publication, from, &entry, places);
            }
            Body::Slotted { publication } => self.out.record.close(publication),
            Body::Settled { publication } => self.settle_reserved(from, publication),
            Body::Interest { filter, level, token } => self.hear_interest(from, &filter, level, token),
            Body::InterestKnown { through } => {
                self.interest.acknowledge(from, through);
                self.interest_settled();
                self.answer_joins();
            }
            Body::ReplayAsk(ask) => self.answer_replay(from, &ask),
            Body::ReplaySlice(slice) => self.take_slice(slice),
            Body::ToGroup(said) => self.hear_member(from, said),
            Body::Joined(joined) => self.joined(joined),
            Body::HandOut(hand) => self.take_hand_out(from, hand),
            Body::Released { session, place } => self.release_choice(session, place),
            Body::Reconsider => self.review_groups(),
        }
    }

    /// Takes a message that another shard published. It may have overtaken a revocation there that is known here.
    fn receive(&mut self, from: ShardIndex, permit: Permit<Publish>, message: Arc<Message>, wanted: Wanted) {
        let Wanted { retain, deliver, asks } = wanted;
        let reservation =
            asks.filter(|asks| asks.places).map(|asks| Reservation::new(from, asks.publication));
        if self.law.provenance(&message) == Provenance::Gone {
            let publisher = message.publisher.identity.clone();
            self.out.notice(Notice::PublisherGone { publisher });
            return self.answer_unused(from, asks, reservation);
        }
        if retain {
            self.keep(&permit, &message);
        }
        if let Some(Asks { publication, slot: true, .. }) = asks {
            self.out.record.await_slot(from, publication);
        }
        if deliver {
            self.fan_out(permit, message, reservation);
        }
    }

    /// Answers what the publisher's shard waits for where nothing is kept.
    fn answer_unused(&mut self, from: ShardIndex, asks: Option<Asks>, reservation: Option<Box<Reservation>>) {
        if let Some(Asks { publication, slot: true, .. }) = asks {
            self.out.post(from, Body::Slotted { publication });
        }
        if let Some(reservation) = reservation {
            self.answer_reservation(*reservation);
        }
    }

    fn hear_interest(&mut self, from: ShardIndex, filter: &str, level: Option<Stored>, token: u64) {
        if let Ok(filter) = TopicFilter::parse(filter) {
            self.interest.hear(from, filter, level);
        }
        if token > 0 {
            self.out.post(from, Body::InterestKnown { through: token });
        }
    }

    /// Tells all other shards of a change of interest.
    pub(super) fn announce(&mut self, announcement: Option<Announcement>) {
        let Some(Announcement { filter, level, token }) = announcement else { return };
        for shard in (0..self.config.shards).map(ShardIndex).filter(|shard| *shard != self.config.index) {
            self.out.post(shard, Body::Interest { filter: Arc::clone(&filter), level, token });
        }
    }

    fn answer_replay(&mut self, from: ShardIndex, ask: &ReplayAsk) {
        let Ok(filter) = TopicFilter::parse(&ask.filter) else { return };
        let (law, out) = (&mut self.law, &mut self.out);
        let slice = self.retained.slice(filter, ask.after.as_deref(), ask.most, |slot| {
            let fate = law.judge(slot);
            if fate == Fate::Erase {
                out.notice(Notice::PublisherGone { publisher: slot.message.publisher.identity.clone() });
            }
            fate
        });
        let (session, replay) = (ask.session, ask.replay);
        let answer = ReplaySlice { session, replay, messages: slice.messages, next: slice.next };
        self.out.post(from, Body::ReplaySlice(answer));
    }

    fn take_slice(&mut self, slice: ReplaySlice) {
        let at = slice.session;
        if self.resolve(at).is_some() {
            self.deliver(at.slot, |delivery| delivery.take_slice(slice));
        }
    }
}
