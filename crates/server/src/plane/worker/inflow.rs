//! The MQTT bytes of one link that are not done with: a packet that is not whole yet, or whole packets beyond what
//! the link may cause in one tick.

use super::link::LinkEnd;
use crate::clock::millis;
use crate::plane::limits::PACKET_RATE;
use keyward_mqtt::connection::{ServerConnection, Step};
use keyward_mqtt::packet::Packet;
use keyward_mqtt::time::{Millis, Now};
use std::ops::ControlFlow;
use std::time::Duration;

/// Is what was read from a link and not decoded yet.
pub(super) struct Inflow {
    bytes: Vec<u8>,
    /// Where in `bytes` that begins.
    start: usize,
    /// How long its first packet will be, as far as its header tells; 0 while that may be whole.
    need: usize,
    /// Since when the rest of that packet is waited for.
    begun: Option<Millis>,
}

impl Inflow {
    /// Begins with what came behind CONNECT.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0, need: 0, begun: None }
    }

    /// Returns how many bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Tells whether whole packets may lie here, for which no event will come.
    pub(super) fn may_be_whole(&self) -> bool {
        self.need == 0 && !self.bytes.is_empty()
    }

    /// Returns when the packet that was begun must be whole: `time` after its begin, and longer for a long one.
    pub(super) fn deadline(&self, time: Duration) -> Option<Millis> {
        let length = Millis(1_000 * self.need as u64 / PACKET_RATE);
        Some(self.begun?.saturating_add(millis(time)).saturating_add(length))
    }

    /// Takes `text` in, and decodes and delivers whole packets until `deliver` breaks off.
    pub(super) fn digest(
        &mut self,
        connection: &mut ServerConnection,
        now: Now,
        text: &[u8],
        deliver: impl FnMut(Packet<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, LinkEnd> {
        if self.bytes.is_empty() {
            let decoded = decode(connection, now, text, deliver)?;
            self.bytes = text[decoded.used..].to_vec();
            return Ok(self.note(now, &decoded));
        }
        self.append(text);
        if self.bytes.len() - self.start < self.need {
            return Ok(ControlFlow::Continue(()));
        }
        let decoded = decode(connection, now, &self.bytes[self.start..], deliver)?;
        self.start += decoded.used;
        // Whole packets that are left are not copied to the front again and again.
        if decoded.need > 0 || self.start == self.bytes.len() {
            self.bytes = self.bytes[self.start..].to_vec();
            self.start = 0;
        }
        Ok(self.note(now, &decoded))
    }

    /// Appends without holding more than the packet will need.
    fn append(&mut self, text: &[u8]) {
        let wanted = self.bytes.len() + text.len();
        if wanted > self.bytes.capacity() {
            let room = (2 * wanted).min(self.need.max(wanted));
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(text);
    }

    fn note(&mut self, now: Now, decoded: &Decoded) -> ControlFlow<()> {
        self.need = decoded.need;
        self.begun = match self.bytes.is_empty() || self.may_be_whole() {
            true => None,
            false => self.begun.filter(|_| decoded.used == 0).or(Some(now.mono)),
        };
        decoded.flow
    }
}

struct Decoded {
    used: usize,
    need: usize,
    flow: ControlFlow<()>,
}

fn decode(
    connection: &mut ServerConnection,
    now: Now,
    input: &[u8],
    mut deliver: impl FnMut(Packet<'_>) -> ControlFlow<()>,
) -> Result<Decoded, LinkEnd> {
    let mut used = 0;
    loop {
        match connection.decode(now.mono, &input[used..]).map_err(LinkEnd::Refused)? {
            Step::Packet { packet, size } => {
                used += size;
                if deliver(packet).is_break() {
                    return Ok(Decoded { used, need: 0, flow: ControlFlow::Break(()) });
                }
            }
            Step::Incomplete { need } => {
                return Ok(Decoded { used, need, flow: ControlFlow::Continue(()) });
            }
        }
    }
}
