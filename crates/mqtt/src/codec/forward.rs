//! A PUBLISH for many receivers: what is the same for all is encoded once, the rest is written before it.

use super::EncodeError;
use crate::packet::{Delivery, Version};
use crate::property::PublishProperties;
use alloc::vec::Vec;
use core::num::NonZeroU32;

/// Is everything of a PUBLISH but its payload, for one receiver.
#[derive(Debug, Clone, Copy)]
pub struct PublishHead<'a> {
    /// The receiver's version; 3.1.1 gets no properties.
    pub version: Version,
    /// Whether this delivery repeats an earlier one.
    pub dup: bool,
    /// Quality of service and packet identifier.
    pub delivery: Delivery,
    /// Retain flag.
    pub retain: bool,
    /// A topic name that was parsed.
    pub topic: &'a str,
    /// What [`PublishProperties::encode_forwarded`] wrote.
    pub forwarded: &'a [u8],
    /// Seconds that are left.
    pub message_expiry: Option<u32>,
    /// Identifiers of the subscriptions that match, each at most 268,435,455.
    pub subscription_ids: &'a [NonZeroU32],
    /// Bytes of the payload, which the caller writes after the head.
    pub payload_len: usize,
}

/// Returns the bytes of the whole packet, payload included, to be compared with a receiver's maximum packet size.
pub fn publish_len(head: &PublishHead<'_>) -> usize {
    todo!("{head:?}")
}

/// Appends everything of a PUBLISH but its payload.
///
/// # Errors
/// The topic is too long or empty, an identifier is out of range, or the packet is longer than MQTT can express;
/// `out` is then unchanged.
pub fn encode_publish_head(out: &mut Vec<u8>, head: &PublishHead<'_>) -> Result<(), EncodeError> {
    todo!("{out:?} {head:?}")
}

impl PublishProperties<'_> {
    /// Appends the properties that a server passes on unaltered ([MQTT-3.3.2-4], -15, -16, -17, -20): payload format,
    /// content type, response topic, correlation data, and user properties in their order. There is no length
    /// before them.
    ///
    /// # Errors
    /// A value is too long or holds NUL; `out` is then unchanged.
    pub fn encode_forwarded(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        todo!("{out:?}")
    }
}
