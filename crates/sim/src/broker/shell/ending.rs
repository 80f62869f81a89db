//! How links end in a shell.

use super::Shell;
use crate::broker::Surroundings;
use crate::broker::link::Parting;
use crate::event::What;
use keyward_broker::{Input, LinkId};
use keyward_mqtt::connection::Farewell;
use keyward_mqtt::packet::Version;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;

/// How long a client may take nothing of what is sent to it.
const STALL_TIME: Millis = Millis::from_secs(60);

/// How long a farewell may take to arrive.
const LINGER_TIME: Millis = Millis::from_secs(2);

impl Shell {
    /// Ends links whose client is silent or takes nothing for too long.
    pub(super) fn expire(&mut self, around: &mut Surroundings<'_>) {
        let now = around.log.now.mono;
        let stalled: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.stalled.is_some_and(|since| since.saturating_add(STALL_TIME) <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in stalled {
            self.drop_link(around, id);
            self.lose(around, id);
        }
        let late: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.is_late(now)).map(|(id, _)| *id).collect();
        for id in late {
            let version = self.links.get(&id).map(|link| link.version);
            let farewell = match version {
                Some(Version::V5) => Farewell::Disconnect(ReasonCode::KeepAliveTimeout),
                _ => Farewell::Silent,
            };
            self.close_with(around, id, farewell);
            self.lose(around, id);
        }
    }

    pub(super) fn lose(&mut self, around: &mut Surroundings<'_>, id: LinkId) {
        if !self.closed.contains(&id) {
            around.log.say(What::Loses { shard: self.no(), link: id });
        }
        self.handle(around, Input::Lost { link: id });
    }

    /// Closes a link in order, with a farewell of the shell's own.
    pub(super) fn close_with(&mut self, around: &mut Surroundings<'_>, id: LinkId, farewell: Farewell) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let mut bytes = Vec::new();
        farewell.encode(&mut bytes);
        link.unsent.extend(bytes);
        self.part(around, id);
    }

    /// Closes a link at once; what was not written is dropped. A close with unread bytes may reset the link, which
    /// destroys what is under way.
    pub(super) fn drop_link(&mut self, around: &mut Surroundings<'_>, id: LinkId) {
        self.dirty.remove(&id);
        if self.links.remove(&id).is_none() {
            return;
        }
        if let Some(wire) = around.wires.get_mut(&id) {
            wire.leave_broker();
            if around.dice.chance(300) {
                wire.cut();
            }
        }
    }

    /// Sees a link off: what is unsent is sent, within a bound of time.
    pub(super) fn part(&mut self, around: &mut Surroundings<'_>, id: LinkId) {
        self.dirty.remove(&id);
        if let Some(link) = self.links.remove(&id) {
            let deadline = around.log.now.mono.saturating_add(LINGER_TIME);
            self.partings.insert(id, Parting { unsent: link.unsent, deadline });
        }
    }

    pub(super) fn advance_partings(&mut self, around: &mut Surroundings<'_>) {
        let now = around.log.now.mono;
        self.partings.retain(|id, parting| {
            let Some(wire) = around.wires.get_mut(id) else { return false };
            let written = wire.send_down(&parting.unsent);
            parting.unsent.drain(..written);
            let over = parting.unsent.is_empty() || now >= parting.deadline;
            if over {
                wire.leave_broker();
            }
            !over
        });
    }
}
