//! Reading links: fairly, and little at a time, so that what the shard has to do and what the inbox brings is never
//! far away.

use super::link::{Came, Drained, Pace};
use super::{Work, Worker, effort, feed, is_due};
use crate::plane::inbox::Room;
use crate::plane::limits::{
    EFFORT_PER_TICK_BEHIND, EFFORT_PORTION, Limits, PACKETS_PER_LINK, PACKETS_PER_LINK_BEHIND,
    PACKETS_PER_TICK, READ_PER_TICK, UNSENT_BYTES,
};
use crate::plane::pace::Rate;
use keyward_broker::{Input, LinkId};
use keyward_ids::Identity;
use keyward_mqtt::packet::Packet;
use keyward_mqtt::time::Millis;
use std::ops::ControlFlow;

/// Is what may be read from all links in one tick still.
struct Budget {
    bytes: usize,
    packets: usize,
    packets_per_link: usize,
    /// Reads, packets and filters.
    effort: usize,
    /// Whether the shard has fan-outs left: then little is read, and nothing from those whose messages wait. Not to read
    /// at all would let who keeps the shard busy from another one silence all that live here.
    is_behind: bool,
}

impl Budget {
    fn new(is_behind: bool) -> Self {
        let (packets_per_link, effort) = match is_behind {
            true => (PACKETS_PER_LINK_BEHIND, EFFORT_PER_TICK_BEHIND),
            false => (PACKETS_PER_LINK, usize::MAX),
        };
        Self { bytes: READ_PER_TICK, packets: PACKETS_PER_TICK, packets_per_link, effort, is_behind }
    }

    fn is_used_up(&self) -> bool {
        self.bytes == 0 || self.packets == 0 || self.effort == 0
    }
}

impl Worker {
    pub(super) fn read_links(&mut self) -> Work {
        if self.stopping.is_some() {
            self.ready.clear();
            return Work::Done;
        }
        // Slices of earlier work come before new work.
        let mut budget = Budget::new(self.is_shard_due());
        for _ in 0..self.ready.len() {
            if self.is_held() {
                return Work::Done;
            }
            if budget.is_used_up() || (!budget.is_behind && self.is_shard_due()) {
                break;
            }
            match self.ready.pop_front() {
                Some(id) if budget.is_behind && !self.parts.shard.may_be_read(id) => self.ready.push_back(id),
                Some(id) => self.read_link(id, &mut budget),
                None => break,
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
        if self.parts.shard.is_held(id) {
            return; // It is read when its last message is verified.
        }
        let owes_too_much =
            || self.parts.shard.outbox_bytes_of(id) > UNSENT_BYTES || link.owes_more_than(UNSENT_BYTES);
        if link.is_blocked() && owes_too_much() {
            link.is_held_back = true;
            return;
        }
        let held = link.held();
        let (shard, outputs, now) = (&mut self.parts.shard, &mut self.outputs, self.now);
        let rates = Rates::of(&self.parts.limits);
        let (mut pace, mut is_too_fast) = (link.pace, false);
        let is_behind = budget.is_behind;
        let packets = &mut budget.packets;
        let mut share = budget.packets_per_link.min(*packets);
        let mut proof = None;
        let before = link.effort;
        let mut effort = before + 1;
        let mut came = Came::default();
        let end = link.read(now, &mut self.buffers, &mut came, |packet| {
            effort += effort::of(&packet);
            if let Packet::Auth(auth) = &packet {
                proof = Some(auth.properties.authentication_data.map(<[u8]>::to_vec));
                *packets -= 1;
                return ControlFlow::Break(());
            }
            is_too_fast = rates.are_on() && rates.count(&mut pace, now.mono, &packet);
            feed(shard, outputs, now, Input::Packet { link: id, packet });
            *packets -= 1;
            share -= 1;
            // Work that the packet left comes before the next packet.
            match share == 0 || is_too_fast || shard.is_held(id) || (!is_behind && is_due(shard, now)) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        self.received += came.text as u64;
        budget.bytes = budget.bytes.saturating_sub(came.cost());
        budget.effort = budget.effort.saturating_sub((effort - before) as usize);
        link.pace = pace;
        let counted = effort >= EFFORT_PORTION;
        link.effort = if counted { 0 } else { effort };
        self.burden.weigh(link);
        let answered = link.is_blocked() && link.stalled_since().is_none();
        let identity = link.identity().clone();
        let deadline = link.packet_deadline(self.parts.limits.packet_time);
        self.unfinished.change(&identity, held, link.held());
        if counted {
            self.count_effort(&identity, effort);
        }
        if is_too_fast {
            self.pause(id, &identity, rates);
        }
        self.apply_outputs();
        if let Some(data) = proof {
            self.reauthenticate(id, data.as_deref());
        }
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

    /// Does not read a link for a while that publishes too fast: what it sends waits at its end.
    fn pause(&mut self, id: LinkId, identity: &Identity, rates: Rates) {
        let now = self.now.mono;
        let Some(link) = self.links.get_mut(&id) else { return };
        let messages = rates.messages.wait(link.pace.messages, now);
        let bytes = rates.bytes.wait(link.pace.bytes, now);
        let Some(until) = messages.max(bytes) else { return };
        link.paused = Some(until);
        self.timers.enter(until, id);
        let (limit, rate) = match messages >= bytes {
            true => ("publish_rate", rates.messages),
            false => ("publish_bytes_rate", rates.bytes),
        };
        self.report_limit(identity.clone(), limit, rate.per_second);
    }
}

/// Holds the rates at which a link may publish.
#[derive(Debug, Clone, Copy)]
struct Rates {
    messages: Rate,
    bytes: Rate,
}

impl Rates {
    fn of(limits: &Limits) -> Self {
        Self {
            messages: Rate::each_second(limits.publish_rate),
            bytes: Rate::each_second(limits.publish_bytes_rate),
        }
    }

    fn are_on(self) -> bool {
        self.messages.is_on() || self.bytes.is_on()
    }

    /// Counts a packet. Returns whether the link is to be left alone for a while.
    fn count(self, pace: &mut Pace, now: Millis, packet: &Packet<'_>) -> bool {
        let Packet::Publish(publish) = packet else { return false };
        let topic = publish.topic.map_or(0, |topic| topic.as_str().len());
        self.messages.spend(&mut pace.messages, now, 1);
        self.bytes.spend(&mut pace.bytes, now, (topic + publish.payload.len()) as u64);
        self.messages.wait(pace.messages, now).is_some() || self.bytes.wait(pace.bytes, now).is_some()
    }
}
