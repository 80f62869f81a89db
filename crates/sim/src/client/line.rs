//! What a client knows of its link; it dies with the link.

use crate::dice::Dice;
use crate::packet::{Hello, Packet};
use crate::words::Aliases;
use keyward_broker::LinkId;
use keyward_mqtt::time::Millis;
use std::collections::{BTreeMap, VecDeque};

/// Kinds of acknowledgements that a client owes: PUBACK, PUBREC, PUBREL, PUBCOMP.
const KINDS: usize = 4;

/// Is a client's end of a link.
pub(crate) struct Line {
    pub(crate) id: LinkId,
    /// Tells that CONNACK has come.
    pub(crate) is_open: bool,
    /// What was read and is no whole packet yet.
    pub(crate) bytes: Vec<u8>,
    pub(crate) aliases: Aliases,
    /// Messages of QoS 1 and 2 that the broker takes before it must answer one.
    pub(crate) send_maximum: usize,
    pub(crate) spoke_at: Millis,
    pub(crate) expires_later: bool,
    keep_alive: u16,
    clean_start: bool,
    alias_maximum: u16,
    said_aliases: BTreeMap<u16, String>,
    owed: [VecDeque<Packet>; KINDS],
}

impl Line {
    pub(crate) fn new(id: LinkId, hello: &Hello) -> Self {
        Self {
            id,
            is_open: false,
            bytes: Vec::new(),
            aliases: Aliases::default(),
            send_maximum: usize::from(u16::MAX),
            spoke_at: Millis::ZERO,
            expires_later: hello.session_expiry.is_some_and(|seconds| seconds > 0),
            keep_alive: hello.keep_alive,
            clean_start: hello.clean_start,
            alias_maximum: 0,
            said_aliases: BTreeMap::new(),
            owed: Default::default(),
        }
    }

    /// Tells whether its CONNECT asked for a new session.
    pub(crate) fn asked_for_new_session(&self) -> bool {
        self.clean_start
    }

    pub(crate) fn accept_terms(&mut self, send_maximum: Option<u16>, alias_maximum: Option<u16>) {
        self.send_maximum = send_maximum.map_or(self.send_maximum, usize::from);
        self.alias_maximum = alias_maximum.unwrap_or(0);
    }

    /// Owes an acknowledgement.
    pub(crate) fn owe(&mut self, packet: Packet) {
        let kind = match packet {
            Packet::PubAck(_) => 0,
            Packet::PubRec(_) => 1,
            Packet::PubRel(_) => 2,
            _ => 3,
        };
        self.owed[kind].push_back(packet);
    }

    pub(crate) fn take_owed(&mut self, dice: &mut Dice) -> Option<Packet> {
        let first = dice.below(KINDS);
        (0..KINDS).find_map(|step| self.owed[(first + step) % KINDS].pop_front())
    }

    pub(crate) fn owes_nothing(&self) -> bool {
        self.owed.iter().all(VecDeque::is_empty)
    }

    pub(crate) fn is_silent_for_half_a_keep_alive(&self, now: Millis) -> bool {
        let silence = now.saturating_sub(self.spoke_at);
        self.keep_alive > 0 && silence >= Millis(u64::from(self.keep_alive) * 500)
    }

    /// Draws the alias under which a topic is named, if any, and whether the topic stands beside it.
    pub(crate) fn alias_for(&mut self, topic: &str, dice: &mut Dice) -> (Option<u16>, bool) {
        if self.alias_maximum == 0 || dice.chance(500) {
            return (None, true);
        }
        let known = self.said_aliases.iter().find(|(_, known)| *known == topic).map(|(alias, _)| *alias);
        if let Some(alias) = known {
            return (Some(alias), dice.chance(200));
        }
        // Below the maximum, which is a u16; an alias in use is pointed elsewhere.
        let alias = dice.between(1, usize::from(self.alias_maximum.min(3))) as u16;
        self.said_aliases.insert(alias, topic.to_owned());
        (Some(alias), true)
    }
}
