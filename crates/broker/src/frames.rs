//! The PUBLISH packets of one message, encoded once for each version, quality of service and retain flag and copied
//! to every receiver; only the packet id differs.

use crate::limits;
use crate::message::Message;
use crate::outbox::Outbox;
use core::num::NonZeroU16;
use keyward_mqtt::codec::{PublishHead, encode_publish_head};
use keyward_mqtt::packet::{Delivery, PacketId, Qos, Version};
use keyward_mqtt::time::Millis;

const KINDS: usize = 12;

/// Holds the frames of the message that is being fanned out; buffers are kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    frames: [Frame; KINDS],
}

/// Is a PUBLISH without its payload.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    is_made: bool,
    pub(crate) head: Vec<u8>,
    /// Where the packet id stands in `head`.
    id_at: usize,
}

impl Frame {
    /// Appends the frame with this packet id.
    pub(crate) fn write(&self, qos: Qos, id: PacketId, outbox: &mut Outbox) {
        if qos == Qos::AtMostOnce {
            return outbox.push(&self.head);
        }
        let (before, rest) = self.head.split_at(self.id_at.min(self.head.len()));
        outbox.push(before);
        outbox.push(&id.0.get().to_be_bytes());
        outbox.push(rest.get(2..).unwrap_or_default());
    }
}

impl Frames {
    /// Forgets the frames of the message before.
    pub(crate) fn clear(&mut self) {
        for frame in &mut self.frames {
            frame.is_made = false;
            frame.head.clear();
            frame.head.shrink_to(limits::KEPT_FRAME);
        }
    }

    /// Returns the frame for receivers of this kind that get no subscription identifiers. `None` if the message cannot
    /// be expressed, which a message that came as a packet can.
    pub(crate) fn get(
        &mut self,
        message: &Message,
        now: Millis,
        version: Version,
        qos: Qos,
        retain: bool,
    ) -> Option<&Frame> {
        let kind = usize::from(version.is_v5()) * 6 + qos as usize * 2 + usize::from(retain);
        let frame = self.frames.get_mut(kind)?;
        if !frame.is_made {
            let head = PublishHead {
                version,
                dup: false,
                delivery: delivery(qos, PacketId(NonZeroU16::MIN)),
                retain,
                topic: message.topic(),
                topic_alias: None,
                forwarded: message.forwarded(),
                message_expiry: message.seconds_left(now),
                subscription_ids: &[],
                payload_len: message.payload().len(),
            };
            encode_publish_head(&mut frame.head, &head).ok()?;
            // The fixed header is one byte and the remaining length, whose last byte has no continuation bit.
            let length_bytes = frame.head.iter().skip(1).position(|byte| byte & 0x80 == 0)? + 1;
            frame.id_at = 1 + length_bytes + 2 + message.topic().len();
            frame.is_made = true;
        }
        Some(frame)
    }
}

/// Joins a quality of service with the packet id that it needs.
pub(crate) fn delivery(qos: Qos, id: PacketId) -> Delivery {
    match qos {
        Qos::AtMostOnce => Delivery::AtMostOnce,
        Qos::AtLeastOnce => Delivery::AtLeastOnce(id),
        Qos::ExactlyOnce => Delivery::ExactlyOnce(id),
    }
}
