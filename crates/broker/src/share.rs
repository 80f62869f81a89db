//! What a session has in shared groups (rule 11): on what terms, and how much credit it gave them. The groups
//! themselves are in `group`.

use crate::attach::LinkId;
use crate::group::{Membership, Seat, ToGroup, Word};
use crate::limits;
use crate::placement::ShardIndex;
use keyward_mqtt::packet::PacketId;
use keyward_policy::Reading;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Holds a session's shares, by the whole text of the subscription, and its open questions to groups.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    pub(crate) held: BTreeMap<Arc<str>, Share>,
    /// By number: answers to later packets wait for them.
    pub(crate) joining: BTreeMap<u64, Joining>,
}

/// Is a session's share in one group.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) seat: Seat,
    /// Where the group lives.
    pub(crate) home: ShardIndex,
    pub(crate) membership: Membership,
    /// How much of the filter may be shared and read (rule 8), by the rights of the stamp `classed`.
    pub(crate) reading: Reading,
    pub(crate) classed: u64,
    /// Changes whenever the session cannot take what it was handed; what was handed out before is given back.
    pub(crate) turn: u64,
    /// Whether credit is given in this turn.
    is_open: bool,
    /// What the group may still hand out in this turn.
    credit: u16,
    /// How much of what the group handed out has come.
    pub(crate) seen: u64,
}

/// Is a question of a SUBSCRIBE to a group: may this session be a member?
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) group: Arc<str>,
    pub(crate) seat: Seat,
    pub(crate) link: LinkId,
    pub(crate) packet: PacketId,
    /// Which codes of the SUBACK tell the answer.
    pub(crate) places: Vec<usize>,
}

impl Shares {
    /// Tells whether all questions up to this number are answered.
    pub(crate) fn are_answered(&self, through: u64) -> bool {
        self.joining.first_key_value().is_none_or(|(oldest, _)| *oldest > through)
    }

    /// Returns the share in the group of this name.
    pub(crate) fn find(&mut self, group: &str) -> Option<(Arc<str>, &mut Share)> {
        let name = Arc::clone(self.held.get_key_value(group)?.0);
        self.held.get_mut(group).map(|share| (name, share))
    }

    /// Returns what each group may be granted when the session has room for `quota` messages.
    pub(crate) fn portion(&self, quota: u16) -> u16 {
        let groups = u16::try_from(self.held.len()).unwrap_or(u16::MAX).max(1);
        (quota / groups).clamp(1, limits::GROUP_CREDIT)
    }
}

impl Share {
    pub(crate) fn new(
        seat: Seat,
        home: ShardIndex,
        membership: Membership,
        reading: Reading,
        classed: u64,
    ) -> Self {
        Self { seat, home, membership, reading, classed, turn: 0, is_open: false, credit: 0, seen: 0 }
    }

    /// Addresses a word to the group.
    pub(crate) fn say(&self, group: &Arc<str>, word: Word) -> (ShardIndex, ToGroup) {
        (self.home, ToGroup { group: Arc::clone(group), seat: self.seat, word })
    }

    /// Counts what was handed out in `turn`. Tells whether it may be taken.
    pub(crate) fn accept(&mut self, turn: u64) -> bool {
        self.seen += 1;
        let is_current = self.is_open && self.turn == turn;
        if is_current {
            self.credit = self.credit.saturating_sub(1);
        }
        is_current
    }

    /// Begins another turn, without credit for now.
    pub(crate) fn pause(&mut self) {
        if self.is_open {
            self.turn += 1;
            self.is_open = false;
            self.credit = 0;
        }
    }

    /// Returns the credit to be granted so that the group has `portion`; none while it has half of it.
    pub(crate) fn top_up(&mut self, portion: u16) -> Option<u16> {
        self.is_open = true;
        let more = portion.saturating_sub(self.credit);
        if more == 0 || self.credit > portion / 2 {
            return None;
        }
        self.credit = portion;
        Some(more)
    }
}
