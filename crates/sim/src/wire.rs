//! Links between clients and the broker: two streams of bytes that the network delays, tears and loses.

use crate::dice::Dice;
use keyward_broker::LinkId;
use keyward_mqtt::time::Millis;
use std::collections::BTreeMap;

/// Holds the links that exist, also those that only one end still knows.
pub(crate) type Wires = BTreeMap<LinkId, Wire>;

/// Is one direction of a link.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Sent and not arrived.
    under_way: Vec<u8>,
    /// Arrived and not read.
    arrived: Vec<u8>,
    /// How many bytes the two hold at most: what the sender's system and the receiver's take between them.
    capacity: usize,
    /// The sender has closed its end: nothing comes after what was sent.
    finished: bool,
    /// Nothing arrives before.
    stalled_until: Millis,
    /// After so many bytes more the link is cut.
    cut_after: Option<usize>,
}

/// Says how a reader finds its end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// More may come.
    Open,
    /// Nothing will come after what has arrived.
    Over,
}

/// Says who learns that a link was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aftermath {
    pub(crate) client_learns: bool,
    pub(crate) broker_learns: bool,
}

/// Is one link.
#[derive(Debug)]
pub(crate) struct Wire {
    /// From the client to the broker.
    pub(crate) up: Pipe,
    /// From the broker to the client.
    pub(crate) down: Pipe,
    /// What follows when one of the pipes is cut.
    aftermath: Aftermath,
    /// The link was cut.
    cut: bool,
    client_left: bool,
    broker_left: bool,
}

impl Pipe {
    fn new(capacity: usize) -> Self {
        Self {
            under_way: Vec::new(),
            arrived: Vec::new(),
            capacity,
            finished: false,
            stalled_until: Millis::ZERO,
            cut_after: None,
        }
    }

    /// Takes as much of `bytes` as there is room for; returns how much that was.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> usize {
        let room = self.capacity.saturating_sub(self.under_way.len() + self.arrived.len());
        let count = room.min(bytes.len());
        self.under_way.extend_from_slice(&bytes[..count]);
        count
    }

    /// Takes all of `bytes`: a client holds back nothing, it has a buffer of its own.
    pub(crate) fn send_all(&mut self, bytes: &[u8]) {
        self.under_way.extend_from_slice(bytes);
    }

    /// Reads at most `most` bytes.
    pub(crate) fn read(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.arrived.len());
        let rest = self.arrived.split_off(count);
        std::mem::replace(&mut self.arrived, rest)
    }

    pub(crate) fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    pub(crate) fn stall(&mut self, until: Millis) {
        self.stalled_until = until;
    }

    pub(crate) fn cut_after(&mut self, bytes: usize) {
        self.cut_after = Some(bytes);
    }

    pub(crate) fn set_capacity(&mut self, bytes: usize) {
        self.capacity = bytes;
    }

    fn clear(&mut self) {
        self.under_way.clear();
        self.arrived.clear();
    }

    fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.arrived.is_empty()
    }

    /// Lets at most `most` bytes arrive. Returns true if that was where the link is cut.
    fn carry(&mut self, now: Millis, most: usize) -> bool {
        if now < self.stalled_until {
            return false;
        }
        let mut count = most.min(self.under_way.len());
        let cut = self.cut_after.is_some_and(|left| left <= count);
        if let Some(left) = &mut self.cut_after {
            count = count.min(*left);
            *left -= count;
        }
        self.arrived.extend(self.under_way.drain(..count));
        cut
    }
}

impl Wire {
    pub(crate) fn new(capacity: usize) -> Self {
        let aftermath = Aftermath { client_learns: true, broker_learns: true };
        Self {
            up: Pipe::new(usize::MAX),
            down: Pipe::new(capacity),
            aftermath,
            cut: false,
            client_left: false,
            broker_left: false,
        }
    }

    /// Says who will learn of it if the link is cut.
    pub(crate) fn plan(&mut self, aftermath: Aftermath) {
        self.aftermath = aftermath;
    }

    /// Cuts the link: what is under way is lost.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
        self.up.under_way.clear();
        self.down.under_way.clear();
    }

    /// Makes both ends learn that a link is cut or that the other has left, and a whole one arrive without delay.
    pub(crate) fn heal(&mut self) {
        self.aftermath = Aftermath { client_learns: true, broker_learns: true };
        self.up.finished |= self.client_left;
        for pipe in [&mut self.up, &mut self.down] {
            pipe.stalled_until = Millis::ZERO;
            pipe.cut_after = None;
        }
    }

    /// The client closes its end: what it sent arrives still, what it is sent is thrown away.
    pub(crate) fn leave_client(&mut self) {
        self.client_left = true;
        self.up.finished = true;
    }

    /// The client gives the link up without closing it: the broker is told nothing.
    pub(crate) fn desert(&mut self) {
        self.client_left = true;
    }

    /// The broker closes its end: what it wrote arrives still, what it is sent is thrown away.
    pub(crate) fn leave_broker(&mut self) {
        self.broker_left = true;
        self.down.finished = true;
    }

    /// Tells whether neither end knows the link any more.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.client_left && self.broker_left
    }

    fn throw_away(&mut self) {
        if self.client_left {
            self.down.clear();
        }
        if self.broker_left {
            self.up.clear();
        }
    }

    /// Lets some bytes arrive, in pieces as the dice want.
    pub(crate) fn carry(&mut self, now: Millis, dice: &mut Dice) {
        self.throw_away();
        if self.cut {
            return;
        }
        let most = |dice: &mut Dice| match dice.below(8) {
            0 => 0,
            1 => dice.between(1, 3),
            2 => dice.between(1, 40),
            _ => usize::MAX,
        };
        let (up, down) = (most(dice), most(dice));
        let cut = self.up.carry(now, up);
        if self.down.carry(now, down) || cut {
            self.cut();
        }
    }

    /// Lets everything arrive.
    pub(crate) fn carry_all(&mut self) {
        self.throw_away();
        let cut = !self.cut && self.up.carry(Millis(u64::MAX), usize::MAX);
        if !self.cut && (self.down.carry(Millis(u64::MAX), usize::MAX) || cut) {
            self.cut();
        }
    }

    /// Tells what the broker finds behind what has arrived.
    pub(crate) fn broker_end(&self) -> Stream {
        let finished = self.up.finished && self.up.under_way.is_empty();
        let over = finished || (self.cut && self.aftermath.broker_learns);
        if over { Stream::Over } else { Stream::Open }
    }

    /// Tells what the client finds behind what has arrived.
    pub(crate) fn client_end(&self) -> Stream {
        let finished = self.down.finished && self.down.under_way.is_empty();
        let over = finished || (self.cut && self.aftermath.client_learns);
        if over { Stream::Over } else { Stream::Open }
    }

    /// Takes bytes of the broker; a cut link swallows them.
    pub(crate) fn send_down(&mut self, bytes: &[u8]) -> usize {
        if self.cut { self.sink(bytes) } else { self.down.send(bytes) }
    }

    /// Counts what a system takes for a peer that is gone, up to what it buffers.
    fn sink(&mut self, bytes: &[u8]) -> usize {
        let count = self.down.capacity.min(bytes.len());
        self.down.capacity -= count;
        count
    }

    /// Takes bytes of the client; a cut link swallows them.
    pub(crate) fn send_up(&mut self, bytes: &[u8]) {
        if !self.cut {
            self.up.send_all(bytes);
        }
    }

    /// Tells whether something is under way or lies unread.
    pub(crate) fn is_quiet(&self) -> bool {
        self.up.is_empty() && self.down.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_cut_at_the_byte_that_was_planned() {
        let mut wire = Wire::new(100);
        wire.send_up(b"abcdef");
        wire.up.cut_after(4);
        wire.carry_all();
        assert!(wire.cut);
        assert_eq!((wire.up.read(9), wire.broker_end()), (b"abcd".to_vec(), Stream::Over));
    }

    #[test]
    fn a_half_open_link_tells_nobody() {
        let mut wire = Wire::new(100);
        wire.plan(Aftermath { client_learns: true, broker_learns: false });
        wire.cut();
        assert_eq!((wire.client_end(), wire.broker_end()), (Stream::Over, Stream::Open));
        assert_eq!(wire.send_down(&[0; 130]), 100);
        assert_eq!(wire.send_down(&[0; 30]), 0);
    }

    #[test]
    fn a_pipe_takes_no_more_than_it_holds() {
        let mut wire = Wire::new(4);
        assert_eq!(wire.send_down(b"abcdef"), 4);
        wire.carry_all();
        assert_eq!((wire.send_down(b"ef"), wire.down.read(2)), (0, b"ab".to_vec()));
        assert_eq!(wire.send_down(b"ef"), 2);
    }
}
