//! What a client keeps when its link is lost: messages that are not acknowledged, and what came in of QoS 2.

use crate::codec::publish::DUP;
use crate::packet::{PacketId, Qos, Version};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::num::NonZeroU16;

/// Is the client's half of a session (chapter 4.1).
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The version in which `publishes` are encoded; `None` before the first link.
    pub(super) version: Option<Version>,
    ids: PacketIds,
    /// Messages without PUBACK or PUBREC, in the order of their publishing [MQTT-4.6.0-1].
    publishes: VecDeque<StoredPublish>,
    /// How many of `publishes`, from the front, were sent on this link.
    sent: usize,
    /// Messages with PUBREC and without PUBCOMP, in the order of the PUBRECs [MQTT-4.6.0-4].
    releases: VecDeque<PacketId>,
    /// Messages of QoS 2 that came and were not released: they are not handed on twice [MQTT-4.3.3-10].
    received: BTreeSet<PacketId>,
}

/// Is a message on its way to the server.
#[derive(Debug)]
pub(super) struct StoredPublish {
    id: PacketId,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    /// The whole packet. Its DUP flag is set once it was sent, so that it is right when it is sent again
    /// [MQTT-3.3.1-1].
    packet: Vec<u8>,
}

impl StoredPublish {
    pub(super) fn was_sent(&self) -> bool {
        self.packet.first().is_some_and(|first| first & DUP != 0)
    }

    pub(super) fn packet(&self) -> &[u8] {
        &self.packet
    }
}

/// Says whether a QoS 2 message came for the first time.
pub(super) enum Arrival {
    New,
    Repeated,
    /// More are unreleased than the client allowed.
    TooMany,
}

impl Session {
    pub(super) fn take_id(&mut self) -> Option<PacketId> {
        self.ids.take()
    }

    pub(super) fn give_back(&mut self, id: PacketId) {
        self.ids.give_back(id);
    }

    /// Returns the messages that are not acknowledged, in order.
    pub(super) fn publishes(&self) -> impl Iterator<Item = &StoredPublish> {
        self.publishes.iter()
    }

    pub(super) fn releases(&self) -> impl Iterator<Item = PacketId> {
        self.releases.iter().copied()
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.publishes.len() + self.releases.len()
    }

    pub(super) fn store(&mut self, id: PacketId, qos: Qos, retain: bool, packet: Vec<u8>) {
        self.publishes.push_back(StoredPublish { id, qos, retain, packet });
    }

    /// Returns the oldest message that was not sent on this link, if fewer than `window` are under way.
    pub(super) fn next_unsent(&self, window: usize) -> Option<&StoredPublish> {
        if self.sent + self.releases.len() >= window {
            return None;
        }
        self.publishes.get(self.sent)
    }

    /// Notes that the message of [`Session::next_unsent`] was sent.
    pub(super) fn count_sent(&mut self) {
        let Some(publish) = self.publishes.get_mut(self.sent) else { return };
        if let Some(first) = publish.packet.first_mut() {
            *first |= DUP;
        }
        self.sent += 1;
    }

    /// Ends the exchange of a QoS 1 message, or of a QoS 2 message that the server refused; false if there is none.
    pub(super) fn finish(&mut self, id: PacketId, qos: Qos) -> bool {
        let found = self.take_sent(id, qos);
        if found {
            self.ids.give_back(id);
        }
        found
    }

    /// Moves a QoS 2 message on to its release; false if there is none, true also if it is there already.
    pub(super) fn release(&mut self, id: PacketId) -> bool {
        if self.take_sent(id, Qos::ExactlyOnce) {
            self.releases.push_back(id);
            return true;
        }
        self.releases.contains(&id)
    }

    /// Ends the exchange of a QoS 2 message; false if it was not released.
    pub(super) fn complete(&mut self, id: PacketId) -> bool {
        let Some(index) = self.releases.iter().position(|&released| released == id) else { return false };
        self.releases.remove(index);
        self.ids.give_back(id);
        true
    }

    /// Removes a message that was sent on this link. Answers come in order, so the search ends at once.
    fn take_sent(&mut self, id: PacketId, qos: Qos) -> bool {
        let mut sent = self.publishes.iter().take(self.sent);
        let Some(index) = sent.position(|publish| publish.id == id && publish.qos == qos) else {
            return false;
        };
        self.publishes.remove(index);
        self.sent -= 1;
        true
    }

    pub(super) fn receive(&mut self, id: PacketId, most: u16) -> Arrival {
        if self.received.contains(&id) {
            return Arrival::Repeated;
        }
        if self.received.len() >= usize::from(most) {
            return Arrival::TooMany;
        }
        self.received.insert(id);
        Arrival::New
    }

    /// Notes the release of a message that came; false if there is none.
    pub(super) fn released(&mut self, id: PacketId) -> bool {
        self.received.remove(&id)
    }

    pub(super) fn link_lost(&mut self) {
        self.sent = 0;
    }

    /// Gives up what the server no longer knows [MQTT-3.2.2-5] and returns it. Messages that were never sent stay:
    /// to the server they are new.
    pub(super) fn discard(&mut self) -> Vec<PacketId> {
        let mut given_up: Vec<_> = self.releases.drain(..).collect();
        let unsent = self.publishes.iter().position(|publish| !publish.was_sent());
        let tried = unsent.unwrap_or(self.publishes.len());
        given_up.extend(self.publishes.drain(..tried).map(|publish| publish.id));
        for &id in &given_up {
            self.ids.give_back(id);
        }
        self.received.clear();
        given_up
    }
}

/// Hands out packet identifiers that are not in use [MQTT-2.2.1-3], in turn.
#[derive(Debug, Default)]
struct PacketIds {
    last: u16,
    used: BTreeSet<PacketId>,
}

impl PacketIds {
    fn take(&mut self) -> Option<PacketId> {
        for _ in 0..=u16::MAX {
            self.last = self.last.wrapping_add(1);
            let Some(id) = NonZeroU16::new(self.last).map(PacketId) else { continue };
            if self.used.insert(id) {
                return Some(id);
            }
        }
        None
    }

    fn give_back(&mut self, id: PacketId) {
        self.used.remove(&id);
    }
}
