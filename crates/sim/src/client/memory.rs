//! What a client remembers of its session; it outlives the link, unless the client loses it.

use crate::packet::Publish;
use keyward_broker::LinkId;
use std::collections::BTreeSet;

/// The highest packet id that clients use: few, so that ids come again soon and both directions use the same.
const IDS: u16 = 24;

/// Is a message of QoS 1 or 2 that the broker has not finished.
pub(crate) struct Outgoing {
    pub(crate) id: u16,
    pub(crate) publish: Publish,
    pub(crate) payload: Vec<u8>,
    pub(crate) stage: Stage,
    /// Over which link its newest packet went.
    pub(crate) link: LinkId,
}

/// Says for what an exchange waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// For PUBACK or PUBREC.
    Sent,
    /// For this client to send PUBREL.
    Received,
    /// For PUBCOMP.
    Released,
}

/// Is what a client remembers of its session.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) outgoing: Vec<Outgoing>,
    /// Packet ids of QoS 2 messages that came and are not released.
    pub(crate) incoming: BTreeSet<u16>,
    /// Packet ids of SUBSCRIBE and UNSUBSCRIBE that wait for their answer.
    pub(crate) asking: BTreeSet<u16>,
    /// What it asked for; the broker may have refused.
    pub(crate) filters: Vec<String>,
    /// Whether the broker may keep a session for it.
    pub(crate) may_have_session: bool,
    /// Whether it has lost its memory: it has to ask for a new session.
    pub(crate) is_blank: bool,
    pub(crate) last_id: u16,
}

impl Memory {
    /// Returns a packet id that is not in use.
    pub(crate) fn free_id(&mut self) -> Option<u16> {
        let next = |id: u16| id % IDS + 1;
        let mut id = next(self.last_id);
        for _ in 0..IDS {
            let in_use = self.asking.contains(&id) || self.outgoing.iter().any(|out| out.id == id);
            if !in_use {
                self.last_id = id;
                return Some(id);
            }
            id = next(id);
        }
        None
    }

    /// Counts the messages that the broker has not finished answering over this link.
    pub(crate) fn under_way(&self, link: LinkId) -> usize {
        self.outgoing.iter().filter(|out| out.link == link).count()
    }

    pub(crate) fn find(&mut self, id: u16) -> Option<&mut Outgoing> {
        self.outgoing.iter_mut().find(|out| out.id == id)
    }

    pub(crate) fn finish(&mut self, id: u16) {
        self.outgoing.retain(|out| out.id != id);
    }

    pub(crate) fn release(&mut self, id: u16, link: LinkId) {
        if let Some(out) = self.find(id) {
            out.stage = Stage::Released;
            out.link = link;
        }
    }

    /// Begins a new session: what belonged to the old one is void.
    pub(crate) fn begin_anew(&mut self) {
        *self = Self { may_have_session: true, last_id: self.last_id, ..Self::default() };
    }
}
