//! Puts packets into the outbox of the session's link.

use super::{Delivery, Pressure};
use crate::aliases::Naming;
use crate::bound::Bound;
use crate::frames::{Frames, delivery};
use crate::link::Link;
use crate::outbound::Parcel;
use crate::outgoing::Outgoing;
use crate::output::{CloseCause, Notice};
use crate::permit::{Permit, Receive};
use core::num::NonZeroU16;
use keyward_mqtt::codec::{self, PublishHead, encode_publish_head, publish_len};
use keyward_mqtt::packet::{Packet, PacketId};
use keyward_mqtt::time::Millis;

impl Delivery<'_> {
    /// Writes a PUBLISH; `id` is needed above QoS 0. Returns false if it was not written: there is no link, or it is
    /// larger than the client takes.
    pub(super) fn write_message(
        &mut self,
        _permit: Permit<Receive>,
        parcel: &Parcel,
        id: Option<PacketId>,
        dup: bool,
        frames: Option<&mut Frames>,
    ) -> bool {
        let Some(link) = self.session.link.as_deref_mut() else { return false };
        let id = id.unwrap_or(PacketId(NonZeroU16::MIN));
        let has_ids = link.version.is_v5() && !parcel.ids.as_slice().is_empty();
        let topic = parcel.message.topic();
        let naming = if link.aliases.are_offered() {
            link.aliases.name(topic, self.terms.hash_key.hash(topic))
        } else {
            Naming::InFull
        };
        let written = match (frames, naming) {
            (Some(frames), Naming::InFull) if !dup && !has_ids => {
                write_shared(self.out, link, parcel, id, frames, self.terms.now)
            }
            _ => write_own(self.out, link, parcel, id, dup, naming, self.terms.now),
        };
        if written {
            self.stats.sent += 1;
            self.stats.sent_payload += parcel.message.payload().len() as u64;
        } else {
            let receiver = self.session.key.identity.clone();
            self.out.notice(Notice::TooLarge { receiver });
        }
        written
    }

    /// Tells whether the client takes a message, its topic said in full.
    pub(super) fn takes(&self, parcel: &Parcel) -> bool {
        let Some(link) = self.session.link.as_deref() else { return false };
        let message = &parcel.message;
        let head = PublishHead {
            version: link.version,
            dup: false,
            delivery: delivery(parcel.qos, PacketId(NonZeroU16::MIN)),
            retain: parcel.retain,
            topic: message.topic(),
            topic_alias: None,
            forwarded: message.forwarded(),
            message_expiry: message.seconds_left(self.terms.now),
            subscription_ids: parcel.ids.as_slice(),
            payload_len: message.payload().len(),
        };
        publish_len(&head) <= link.maximum_packet_size
    }

    /// Tells whether the client takes a packet of this size.
    pub(super) fn fits(&self, packet: &Packet<'_>) -> bool {
        let Some(link) = self.session.link.as_deref() else { return false };
        link.maximum_packet_size == usize::MAX
            || codec::encoded_len(packet, link.version).is_ok_and(|len| len <= link.maximum_packet_size)
    }

    /// Writes a packet that carries no message. One that is larger than the client takes is left out, as MQTT has it
    /// [MQTT-3.1.2-24].
    pub(super) fn write_packet(&mut self, packet: &Packet<'_>) {
        if !self.fits(packet) {
            return;
        }
        let Some(link) = self.session.link.as_deref_mut() else { return };
        let version = link.version;
        // What cannot be encoded is left out: our own packets can.
        let _ =
            self.out.write(link, |outbox| outbox.push_with(|bytes| codec::encode(packet, version, bytes)));
        let (link, waits) = (link.id, link.waiting_bytes());
        let limits = self.terms.limits;
        let is_short = self.terms.pressure == Pressure::Critical;
        let named = if waits > limits.outbox_bytes_hard || (is_short && waits > limits.outbox_bytes) {
            Bound::OutboxBytesHard
        } else if waits > limits.outbox_bytes && !self.outboxes_have_room() {
            Bound::OutboxBytesPerIdentity
        } else {
            return;
        };
        self.out.doom(link, CloseCause::NotReading, None);
        let identity = self.session.key.identity.clone();
        self.out.notice(Notice::Limit { identity, bound: named });
    }
}

/// Copies the frame that all receivers of this kind get.
fn write_shared(
    out: &mut Outgoing,
    link: &mut Link,
    parcel: &Parcel,
    id: PacketId,
    frames: &mut Frames,
    now: Millis,
) -> bool {
    let message = &parcel.message;
    let Some(frame) = frames.get(message, now, link.version, parcel.qos, parcel.retain) else { return false };
    if frame.head.len() + message.payload().len() > link.maximum_packet_size {
        return false;
    }
    out.write(link, |outbox| {
        frame.write(parcel.qos, id, outbox);
        message.append_payload(outbox);
    });
    true
}

/// Encodes a frame for this receiver alone. An alias for which the packet has no room is left out.
fn write_own(
    out: &mut Outgoing,
    link: &mut Link,
    parcel: &Parcel,
    id: PacketId,
    dup: bool,
    naming: Naming,
    now: Millis,
) -> bool {
    let message = &parcel.message;
    let (topic, topic_alias) = match naming {
        Naming::InFull => (message.topic(), None),
        Naming::Introduced(alias) => (message.topic(), Some(alias)),
        Naming::Known(alias) => ("", Some(alias)),
    };
    let mut head = PublishHead {
        version: link.version,
        dup,
        delivery: delivery(parcel.qos, id),
        retain: parcel.retain,
        topic,
        topic_alias,
        forwarded: message.forwarded(),
        message_expiry: message.seconds_left(now),
        subscription_ids: parcel.ids.as_slice(),
        payload_len: message.payload().len(),
    };
    if publish_len(&head) > link.maximum_packet_size && !head.topic.is_empty() {
        head.topic_alias = None;
    }
    if publish_len(&head) > link.maximum_packet_size {
        return false;
    }
    let written = out.write(link, |outbox| {
        let encoded = outbox.push_with(|bytes| encode_publish_head(bytes, &head));
        if encoded.is_ok() {
            message.append_payload(outbox);
        }
        encoded.is_ok()
    });
    if let (true, Some(alias), false) = (written, head.topic_alias, head.topic.is_empty()) {
        link.aliases.learn(alias, message.topic());
    }
    written
}
