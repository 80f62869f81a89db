//! What a worker holds for its links beside their sessions, so that it counts against `memory_total` (invariant 11):
//! messages in the inbox, packets and TLS records that are not whole, bytes that peers have not taken, farewells.

use super::Worker;
use super::link::Link;
use crate::plane::parting::Parting;
use keyward_broker::Input;

/// Counts bytes.
#[derive(Debug, Default)]
pub(super) struct Burden {
    links: usize,
    partings: usize,
    told: usize,
}

impl Burden {
    /// Counts a link anew.
    pub(super) fn weigh(&mut self, link: &mut Link) {
        let (before, after) = link.weigh();
        self.links = self.links + after - before;
    }

    /// Takes out a link that is no more.
    pub(super) fn lose(&mut self, link: &Link) {
        self.links -= link.counted();
    }

    pub(super) fn see_off(&mut self, parting: &Parting) {
        self.partings += parting.held();
    }

    pub(super) fn forget(&mut self, parting: &Parting) {
        self.partings -= parting.held();
    }
}

impl Worker {
    /// Tells the shard, if it has changed.
    pub(super) fn tell_burden(&mut self) {
        let bytes = self.burden.links + self.burden.partings + self.inbox().bytes();
        if bytes != self.burden.told {
            self.burden.told = bytes;
            self.handle(Input::Burden { bytes });
        }
    }
}
