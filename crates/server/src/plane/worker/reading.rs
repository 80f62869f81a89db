//! Reading links: fairly, and little at a time, so that what the shard has to do and what the inbox brings is never
//! far away.

use super::link::Drained;
use super::{Work, Worker, feed, is_due};
use crate::plane::inbox::Room;
use crate::plane::limits::{PACKETS_PER_LINK, PACKETS_PER_TICK, READ_PER_TICK};
use keyward_broker::{Input, LinkId};
use std::ops::ControlFlow;

/// Is what may be read from all links in one tick still.
struct Budget {
    bytes: usize,
    packets: usize,
}

impl Worker {
    pub(super) fn read_links(&mut self) -> Work {
        if self.stopping.is_some() {
            self.ready.clear();
            return Work::Done;
        }
        if self.is_shard_due() {
            return Work::Left; // Slices of earlier work come before new work.
        }
        let mut budget = Budget { bytes: READ_PER_TICK, packets: PACKETS_PER_TICK };
        for _ in 0..self.ready.len() {
            if self.is_held() {
                return Work::Done;
            }
            if budget.bytes == 0 || budget.packets == 0 || self.is_shard_due() {
                break;
            }
            if let Some(id) = self.ready.pop_front() {
                self.read_link(id, &mut budget);
            }
        }
        if self.ready.is_empty() { Work::Done } else { Work::Left }
    }

    /// Tells whether another shard must catch up before links are read; its inbox wakes us when it has.
    fn is_held(&mut self) -> bool {
        if self.held_by != 0 {
            for (index, inbox) in self.parts.inboxes.iter().enumerate() {
                if self.held_by & (1 << index) != 0 && inbox.room(self.parts.sender) == Room::Left {
                    self.held_by &= !(1 << index);
                }
            }
        }
        self.held_by != 0
    }

    fn read_link(&mut self, id: LinkId, budget: &mut Budget) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.queued = false;
        let held = link.held();
        let (shard, outputs, now) = (&mut self.parts.shard, &mut self.outputs, self.now);
        let Budget { bytes, packets } = budget;
        let mut share = PACKETS_PER_LINK.min(*packets);
        let end = link.read(now, &mut self.buffers, bytes, |packet| {
            feed(shard, outputs, now, Input::Packet { link: id, packet });
            *packets -= 1;
            share -= 1;
            // Work that the packet left comes before the next packet.
            match share == 0 || is_due(shard, now) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let answered = link.is_blocked() && link.stalled_since().is_none();
        let identity = link.identity().clone();
        let deadline = link.packet_deadline(self.parts.limits.packet_time);
        self.unfinished.change(&identity, held, link.held());
        self.apply_outputs();
        match end {
            Ok(Drained::NotYet) => self.enqueue(id),
            Ok(Drained::Yes) => {}
            Err(end) => return self.end_link(id, end),
        }
        if let Some(at) = deadline {
            self.arm(id, at);
        }
        if answered {
            self.dirty.push(id); // TLS has something to say for itself, as a key update
        }
        self.bound_unfinished(&identity);
    }
}
