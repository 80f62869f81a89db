//! How links end: by their peer, by a breach of the protocol, by a deadline; and how they are seen off.

use super::Worker;
use super::link::{Link, LinkEnd};
use crate::clock::millis;
use crate::plane::parting::Parted;
use keyward_broker::{Input, LinkId};
use keyward_mqtt::connection::Farewell;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;

impl Worker {
    pub(super) fn end_link(&mut self, id: LinkId, end: LinkEnd) {
        match end {
            LinkEnd::Refused(refused) => self.close_with(id, refused.farewell),
            LinkEnd::Gone => drop(self.take(id)),
        }
        self.handle(Input::Lost { link: id });
    }

    /// Takes a link out of the loop.
    pub(super) fn take(&mut self, id: LinkId) -> Option<Link> {
        let link = self.links.remove(&id)?;
        self.unfinished.change(link.identity(), link.held(), 0);
        Some(link)
    }

    /// Closes a link in order: what the shard has for it still, then a farewell.
    pub(super) fn close_with(&mut self, id: LinkId, farewell: Farewell) {
        let mut last = Vec::new();
        if let Some(outbox) = self.parts.shard.take_outbox(id) {
            outbox.slices().for_each(|slice| last.extend_from_slice(slice));
            self.parts.shard.recycle(outbox);
        }
        farewell.encode(&mut last);
        self.part(id, &last);
    }

    pub(super) fn part(&mut self, id: LinkId, last: &[u8]) {
        let Some(link) = self.take(id) else { return };
        let deadline = self.now.mono.saturating_add(millis(self.parts.limits.linger_time));
        self.partings.insert(id, link.part(last, deadline));
        self.timers.enter(deadline, id);
        self.advance_parting(id);
    }

    pub(super) fn advance_parting(&mut self, id: LinkId) {
        let Some(parting) = self.partings.get_mut(&id) else { return };
        if parting.advance(self.now.mono, self.buffers.scratch()) == Parted::Yes {
            self.partings.remove(&id);
        }
    }

    pub(super) fn expire(&mut self) {
        while let Some(id) = self.timers.pop_due(self.now.mono) {
            self.advance_parting(id);
            self.expire_link(id);
        }
    }

    pub(super) fn expire_link(&mut self, id: LinkId) {
        let now = self.now.mono;
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.armed.is_none_or(|armed| armed > now) {
            return; // an entry that a nearer one replaced
        }
        link.armed = None;
        let stall =
            link.stalled_since().map(|since| since.saturating_add(millis(self.parts.limits.stall_time)));
        if stall.is_some_and(|deadline| deadline <= now) {
            return self.end_link(id, LinkEnd::Gone);
        }
        // What we have not read yet is no fault of the client.
        let packet = match link.queued {
            true => Some(now.saturating_add(Millis::from_secs(1))),
            false => link.packet_deadline(self.parts.limits.packet_time),
        };
        if link.is_late(now) || packet.is_some_and(|deadline| deadline <= now) {
            let farewell = link.farewell(ReasonCode::KeepAliveTimeout);
            self.close_with(id, farewell);
            return self.handle(Input::Lost { link: id });
        }
        if let Some(at) = [link.poll_timeout(), stall, packet].into_iter().flatten().min() {
            // What is due was handled above; a moment later keeps the loop from spinning in any case.
            self.arm(id, at.max(now.saturating_add(Millis(1))));
        }
    }

    pub(super) fn arm(&mut self, id: LinkId, at: Millis) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.armed.is_none_or(|armed| at < armed) {
            link.armed = Some(at);
            self.timers.enter(at, id);
        }
    }
}
