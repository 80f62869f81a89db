//! What one publisher sends: its frame, how much of it is under way, and the stamp inside each payload.

use crate::codec::{self, Places, Publish};
use crate::shape::Shape;
use std::collections::VecDeque;

/// Bytes of the stamp: flow, number and time stand at the beginning of each payload.
pub(crate) const STAMP: usize = 16;

/// What stands at the beginning of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) flow: u32,
    pub(super) number: u32,
    /// When the message was due, in nanoseconds of the run.
    pub(super) due_ns: u64,
}

impl Stamp {
    fn write(self, to: &mut [u8]) {
        to[..4].copy_from_slice(&self.flow.to_be_bytes());
        to[4..8].copy_from_slice(&self.number.to_be_bytes());
        to[8..STAMP].copy_from_slice(&self.due_ns.to_be_bytes());
    }

    /// Reads a payload of this program; `None` if it is too short to be one.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (flow, rest) = payload.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let due_ns = u64::from_be_bytes(*rest.first_chunk()?);
        Some(Self { flow: u32::from_be_bytes(*flow), number: u32::from_be_bytes(*number), due_ns })
    }
}

/// One publisher's messages.
pub(super) struct Flow {
    pub(super) client: usize,
    frame: Vec<u8>,
    places: Places,
    qos: u8,
    copies: u64,
    pub(super) sent: u64,
    pub(super) delivered: u64,
    pub(super) acknowledged: u64,
    next_id: u16,
    /// Ids and due times of what is not acknowledged, where that is what counts.
    unconfirmed: Option<VecDeque<(u16, u64)>>,
    /// Whether the engine is to look at it at the end of the tick.
    pub(super) moved: bool,
}

impl Flow {
    /// Encodes the frame once; only id and stamp differ from message to message.
    pub(super) fn new(client: usize, topic: &str, copies: u64, options: &super::Options) -> Self {
        let payload = vec![b'x'; options.payload.max(STAMP)];
        let message = Publish { topic, qos: options.qos, retain: false, id: 0, payload: &payload };
        let mut frame = Vec::new();
        let places = codec::publish(&mut frame, options.version, message);
        let (sent, delivered, acknowledged) = (0, 0, 0);
        let moved = false;
        Self {
            client,
            frame,
            places,
            qos: options.qos,
            copies,
            sent,
            delivered,
            acknowledged,
            next_id: 0,
            unconfirmed: (options.shape == Shape::Absent).then(VecDeque::new),
            moved,
        }
    }

    /// Appends the next message.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, flow: u32, due_ns: u64) {
        if self.qos > 0 {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            self.frame[self.places.id..self.places.id + 2].copy_from_slice(&self.next_id.to_be_bytes());
        }
        let stamp = Stamp { flow, number: self.sent as u32, due_ns };
        stamp.write(&mut self.frame[self.places.payload..]);
        out.extend_from_slice(&self.frame);
        self.sent += 1;
        if let Some(unconfirmed) = &mut self.unconfirmed {
            unconfirmed.push_back((self.next_id, due_ns));
        }
    }

    /// Takes the acknowledgement of the oldest message that waits for one. Where that is what counts, returns when the
    /// message was due, and whether it was this one's turn.
    pub(super) fn confirm(&mut self, id: u16) -> Option<(u64, bool)> {
        self.acknowledged += 1;
        let (expected, due_ns) = self.unconfirmed.as_mut()?.pop_front()?;
        self.delivered += 1;
        Some((due_ns, expected == id))
    }

    /// Returns how many messages are not delivered to all readers or, above QoS 0, not acknowledged.
    pub(super) fn under_way(&self) -> u64 {
        let undelivered = self.sent.saturating_sub(self.delivered / self.copies);
        let unacknowledged = if self.qos > 0 { self.sent.saturating_sub(self.acknowledged) } else { 0 };
        undelivered.max(unacknowledged)
    }

    /// Returns how many copies nobody got.
    pub(super) fn missing(&self) -> u64 {
        (self.sent * self.copies).saturating_sub(self.delivered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Version;
    use crate::load::Options;

    fn flow(qos: u8, copies: u64) -> Flow {
        let options = Options { qos, version: Version::V311, ..Options::default() };
        Flow::new(0, "t", copies, &options)
    }

    #[test]
    fn a_stamp_comes_back_as_it_was_written() {
        let stamp = Stamp { flow: 7, number: 99, due_ns: u64::MAX - 1 };
        let mut payload = [0; 20];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[..15]), None);
    }

    #[test]
    fn a_fan_out_message_is_under_way_until_the_last_reader_has_it() {
        let mut flow = flow(0, 100);
        flow.append(&mut Vec::new(), 0, 0);
        flow.delivered = 99;
        assert_eq!((flow.under_way(), flow.missing()), (1, 1));
        flow.delivered = 100;
        assert_eq!((flow.under_way(), flow.missing()), (0, 0));
    }

    #[test]
    fn above_qos_0_a_message_is_under_way_until_it_is_acknowledged() {
        let mut flow = flow(1, 1);
        flow.append(&mut Vec::new(), 0, 0);
        flow.delivered = 1;
        assert_eq!(flow.under_way(), 1);
        flow.acknowledged = 1;
        assert_eq!(flow.under_way(), 0);
    }

    #[test]
    fn with_absent_readers_the_acknowledgement_is_the_delivery() {
        let options = Options { qos: 1, shape: Shape::Absent, ..Options::default() };
        let mut flow = Flow::new(0, "t", 1, &options);
        for due_ns in [50, 60, 70] {
            flow.append(&mut Vec::new(), 0, due_ns);
        }
        assert_eq!(flow.confirm(1), Some((50, true)));
        assert_eq!(flow.confirm(3), Some((60, false)));
        assert_eq!((flow.under_way(), flow.missing()), (1, 1));
    }

    #[test]
    fn packet_ids_count_from_one_and_leave_zero_out() {
        let mut flow = flow(1, 1);
        flow.next_id = u16::MAX - 1;
        let mut ids = Vec::new();
        for _ in 0..2 {
            let mut out = Vec::new();
            flow.append(&mut out, 0, 0);
            let (frame, _) = codec::decode(&out, Version::V311).unwrap().unwrap();
            let codec::Frame::Publish { id, .. } = frame else { panic!("not a PUBLISH") };
            ids.push(id);
        }
        assert_eq!(ids, [u16::MAX, 1]);
    }
}
