//! How links end: by their peer, by a breach of the protocol, by a deadline; and how they are seen off.

use super::Worker;
use super::link::{Link, LinkEnd};
use crate::clock::millis;
use crate::plane::hearing::Leave;
use crate::plane::parting::Parted;
use crate::plane::transport::Ending;
use keyward_broker::output::CloseCause;
use keyward_broker::{Input, LinkId};
use keyward_mqtt::connection::Farewell;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;

impl Worker {
    pub(super) fn end_link(&mut self, id: LinkId, end: LinkEnd) {
        let is_gone = matches!(end, LinkEnd::Gone | LinkEnd::Closed);
        self.note_leave(id, if is_gone { Leave::Closed } else { Leave::Server });
        match end {
            LinkEnd::Refused(refused) => self.close_with(id, refused.farewell),
            LinkEnd::Gone => drop(self.take(id)),
            LinkEnd::Closed => self.part(id, &[]),
            LinkEnd::Broken(fault) => {
                if let Some(link) = self.links.get(&id) {
                    self.parts.reporter.broken(self.now.mono, link.identity().clone(), fault);
                }
                self.part(id, &[]);
            }
        }
        self.handle(Input::Lost { link: id });
    }

    /// Closes a link for which the shard has no last packet: at once, but for a WebSocket, whose client waits for a close;
    /// whoever may not be here is told nothing.
    pub(super) fn close(&mut self, id: LinkId, cause: CloseCause) {
        self.note_leave(id, cause.into());
        let is_owed = !matches!(cause, CloseCause::NotAllowed | CloseCause::NotReading);
        match self.links.get(&id) {
            Some(link) if is_owed && link.has_farewell() => self.part(id, &[]),
            _ => drop(self.take(id)),
        }
    }

    /// Notes how a link ends, for the watch; what was noted first holds.
    pub(super) fn note_leave(&mut self, id: LinkId, how: Leave) {
        if let Some(link) = self.links.get_mut(&id) {
            link.leave.get_or_insert(how);
        }
    }

    /// Takes a link out of the loop.
    pub(super) fn take(&mut self, id: LinkId) -> Option<Link> {
        let link = self.links.remove(&id)?;
        self.unfinished.change(link.identity(), link.held(), 0);
        self.burden.lose(&link);
        if link.established {
            self.hearing.parted(&link.identity, id.0, link.leave.unwrap_or(Leave::Server));
        }
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
        let ending = if self.stopping.is_some() { Ending::Stopping } else { Ending::Done };
        let parting = link.part(last, ending, deadline);
        self.burden.see_off(&parting);
        self.partings.insert(id, parting);
        self.timers.enter(deadline, id);
        self.advance_parting(id);
    }

    pub(super) fn advance_parting(&mut self, id: LinkId) {
        let Some(parting) = self.partings.get_mut(&id) else { return };
        if parting.advance(self.now.mono, self.buffers.scratch()) == Parted::Yes
            && let Some(parting) = self.partings.remove(&id)
        {
            self.burden.forget(&parting);
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
        self.resume(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.armed.is_none_or(|armed| armed > now) {
            return; // an entry that a nearer one replaced
        }
        link.armed = None;
        let stall =
            link.stalled_since().map(|since| since.saturating_add(millis(self.parts.limits.stall_time)));
        if stall.is_some_and(|deadline| deadline <= now) {
            let identity = link.identity().clone();
            self.report_limit(identity, "stall_time", self.parts.limits.stall_time.as_secs());
            return self.end_link(id, LinkEnd::Gone);
        }
        // What we have not read yet is no fault of the client.
        if link.is_waiting_for_us() {
            let soon = now.saturating_add(Millis::from_secs(1));
            return self.arm(id, stall.map_or(soon, |stall| stall.min(soon)));
        }
        let packet = link.packet_deadline(self.parts.limits.packet_time);
        let is_slow = packet.is_some_and(|deadline| deadline <= now);
        if link.is_late(now) || is_slow {
            let (farewell, identity) = (link.farewell(ReasonCode::KeepAliveTimeout), link.identity().clone());
            if is_slow {
                self.report_limit(identity, "packet_time", self.parts.limits.packet_time.as_secs());
            }
            self.note_leave(id, if is_slow { Leave::Server } else { Leave::KeepAlive });
            self.close_with(id, farewell);
            return self.handle(Input::Lost { link: id });
        }
        if let Some(at) = [link.poll_timeout(), stall, packet].into_iter().flatten().min() {
            // What is due was handled above; a moment later keeps the loop from spinning in any case.
            self.arm(id, at.max(now.saturating_add(Millis(1))));
        }
    }

    /// Reads a link again that was too fast, when its time has come.
    fn resume(&mut self, id: LinkId) {
        let now = self.now.mono;
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.paused.is_some_and(|until| until <= now) {
            link.paused = None;
            self.enqueue(id);
        }
    }

    pub(super) fn arm(&mut self, id: LinkId, at: Millis) {
        self.resume(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.armed.is_none_or(|armed| at < armed) {
            link.armed = Some(at);
            self.timers.enter(at, id);
        }
    }
}
