//! The properties of MQTT 5.0 (chapter 2.2.2), one struct for each packet that carries them.
//!
//! The default of each struct is "no property present". Values borrow from the packet.

mod id;

pub use id::PropertyId;
pub(crate) use id::Shape;

use crate::packet::Qos;
use core::num::{NonZeroU16, NonZeroU32};

/// Lists user properties (0x26) in their order, decoded lazily from checked bytes.
#[derive(Debug, Clone, Copy, Default)]
pub enum UserProperties<'a> {
    /// There are none.
    #[default]
    None,
    /// The checked property section of a packet: other properties in it are passed over.
    Raw(&'a [u8]),
    /// Built by hand.
    List(&'a [(&'a str, &'a str)]),
}

/// Lists subscription identifiers (0x0B) of a PUBLISH from the server.
#[derive(Debug, Clone, Copy, Default)]
pub enum SubscriptionIds<'a> {
    /// There are none.
    #[default]
    None,
    /// The checked property section of a packet: other properties in it are passed over.
    Raw(&'a [u8]),
    /// Built by hand.
    List(&'a [NonZeroU32]),
}

/// Holds the properties of CONNECT (chapter 3.1.2.11).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectProperties<'a> {
    /// 0x11, seconds; absent is 0, 0xFFFFFFFF is for ever.
    pub session_expiry: Option<u32>,
    /// 0x21; absent is 65,535.
    pub receive_maximum: Option<NonZeroU16>,
    /// 0x27, bytes; absent is no limit.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// 0x22; absent is 0.
    pub topic_alias_maximum: Option<u16>,
    /// 0x19; absent is false.
    pub request_response_information: Option<bool>,
    /// 0x17; absent is true.
    pub request_problem_information: Option<bool>,
    /// 0x26.
    pub user: UserProperties<'a>,
    /// 0x15.
    pub authentication_method: Option<&'a str>,
    /// 0x16.
    pub authentication_data: Option<&'a [u8]>,
}

/// Holds the properties of a will (chapter 3.1.3.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WillProperties<'a> {
    /// 0x18, seconds; absent is 0.
    pub delay: Option<u32>,
    /// 0x01: whether the payload is UTF-8.
    pub payload_format: Option<bool>,
    /// 0x02, seconds.
    pub message_expiry: Option<u32>,
    /// 0x03.
    pub content_type: Option<&'a str>,
    /// 0x08.
    pub response_topic: Option<&'a str>,
    /// 0x09.
    pub correlation_data: Option<&'a [u8]>,
    /// 0x26.
    pub user: UserProperties<'a>,
}

/// Holds the properties of CONNACK (chapter 3.2.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnAckProperties<'a> {
    /// 0x11, seconds.
    pub session_expiry: Option<u32>,
    /// 0x21.
    pub receive_maximum: Option<NonZeroU16>,
    /// 0x24; absent is QoS 2.
    pub maximum_qos: Option<Qos>,
    /// 0x25; absent is true.
    pub retain_available: Option<bool>,
    /// 0x27, bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// 0x12.
    pub assigned_client_id: Option<&'a str>,
    /// 0x22.
    pub topic_alias_maximum: Option<u16>,
    /// 0x1F.
    pub reason_string: Option<&'a str>,
    /// 0x26.
    pub user: UserProperties<'a>,
    /// 0x28; absent is true.
    pub wildcard_subscription_available: Option<bool>,
    /// 0x29; absent is true.
    pub subscription_ids_available: Option<bool>,
    /// 0x2A; absent is true.
    pub shared_subscription_available: Option<bool>,
    /// 0x13, seconds.
    pub server_keep_alive: Option<u16>,
    /// 0x1A.
    pub response_information: Option<&'a str>,
    /// 0x1C.
    pub server_reference: Option<&'a str>,
    /// 0x15.
    pub authentication_method: Option<&'a str>,
    /// 0x16.
    pub authentication_data: Option<&'a [u8]>,
}

/// Holds the properties of PUBLISH (chapter 3.3.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishProperties<'a> {
    /// 0x01: whether the payload is UTF-8.
    pub payload_format: Option<bool>,
    /// 0x02, seconds.
    pub message_expiry: Option<u32>,
    /// 0x23.
    pub topic_alias: Option<NonZeroU16>,
    /// 0x08; a topic name.
    pub response_topic: Option<&'a str>,
    /// 0x09.
    pub correlation_data: Option<&'a [u8]>,
    /// 0x26.
    pub user: UserProperties<'a>,
    /// 0x0B.
    pub subscription_ids: SubscriptionIds<'a>,
    /// 0x03.
    pub content_type: Option<&'a str>,
}

/// Holds the properties of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AckProperties<'a> {
    /// 0x1F.
    pub reason_string: Option<&'a str>,
    /// 0x26.
    pub user: UserProperties<'a>,
}

/// Holds the properties of SUBSCRIBE (chapter 3.8.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscribeProperties<'a> {
    /// 0x0B, 1 to 268,435,455.
    pub subscription_id: Option<NonZeroU32>,
    /// 0x26.
    pub user: UserProperties<'a>,
}

/// Holds the properties of UNSUBSCRIBE (chapter 3.10.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnsubscribeProperties<'a> {
    /// 0x26.
    pub user: UserProperties<'a>,
}

/// Holds the properties of DISCONNECT (chapter 3.14.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DisconnectProperties<'a> {
    /// 0x11, seconds; from the client only.
    pub session_expiry: Option<u32>,
    /// 0x1F.
    pub reason_string: Option<&'a str>,
    /// 0x26.
    pub user: UserProperties<'a>,
    /// 0x1C; from the server only.
    pub server_reference: Option<&'a str>,
}

/// Holds the properties of AUTH (chapter 3.15.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthProperties<'a> {
    /// 0x15.
    pub authentication_method: Option<&'a str>,
    /// 0x16.
    pub authentication_data: Option<&'a [u8]>,
    /// 0x1F.
    pub reason_string: Option<&'a str>,
    /// 0x26.
    pub user: UserProperties<'a>,
}
