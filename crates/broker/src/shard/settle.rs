//! What follows when a message is durable with its places: other shards learn it, and what waited for that is sent
//! (rule 15).

use super::Shard;
use crate::input::Body;
use crate::outbound::Place;
use crate::persist::{Owner, Publication, Reservation, Reserved, Settlement};
use crate::placement::ShardIndex;

impl Shard {
    /// Deals with everything that has become durable here.
    pub(super) fn settle_durable(&mut self) {
        while let Some((shard, publication)) = self.out.record.next_slotted() {
            self.out.post(shard, Body::Slotted { publication });
        }
        while let Some(settlement) = self.out.record.next_settlement(self.commits.done()) {
            let Settlement { publication, shards, places } = settlement;
            if let Some(publication) = publication {
                for shard in shards.iter() {
                    self.out.post(shard, Body::Settled { publication });
                }
            }
            for reserved in places {
                self.settle_place(reserved.owner, reserved.place);
            }
        }
    }

    /// Tells the publisher's shard which places are reserved here.
    pub(super) fn answer_reservation(&mut self, reservation: Reservation) {
        let Reservation { from, publication, entry, places } = reservation;
        let count = places.len();
        self.out.record.remember(from, publication, places);
        self.out.post(from, Body::Reserved { publication, entry, places: count });
    }

    /// Takes note that what was reserved here is on disk. What is over meanwhile is recorded as gone.
    pub(super) fn settle_reserved(&mut self, from: ShardIndex, publication: Publication) {
        for Reserved { owner, place, message } in self.out.record.settled(from, publication) {
            if !self.settle_place(owner, place) {
                self.out.record.gone(owner.incarnation(), place, Some(message));
            }
        }
    }

    /// Notes that a place is on disk, and sends what waited for that. Returns false if the place is over.
    fn settle_place(&mut self, owner: Owner, place: u64) -> bool {
        match owner {
            Owner::Session(at) => {
                if self.resolve(at).is_none() {
                    return false;
                }
                self.deliver(at.slot, |delivery| delivery.settle(Place(place))).unwrap_or(false)
            }
            Owner::Group(slot, incarnation) => {
                let group = self.groups.get(slot).filter(|group| group.incarnation == incarnation);
                group.is_some() && self.settle_letter(slot, place)
            }
        }
    }
}
