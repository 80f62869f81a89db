//! What the two sides of a link allow each other, as CONNECT and CONNACK say.

use super::event::ClientError;
use super::session::StoredPublish;
use crate::codec::{self, Sender, Violation};
use crate::frame::PacketType;
use crate::limits::{self, ClientLimits};
use crate::packet::{ConnAck, Connect, Qos, Version};

/// Is what our CONNECT said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) version: Version,
    pub(super) clean_start: bool,
    pub(super) keep_alive_secs: u16,
    pub(super) receive_max: u16,
    pub(super) packet_max: u32,
    pub(super) topic_alias_max: u16,
    pub(super) authenticates: bool,
    pub(super) session_expires_later: bool,
}

/// Is what the CONNACK said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    pub(super) receive_max: u16,
    pub(super) packet_max: u32,
    pub(super) topic_alias_max: u16,
    pub(super) qos_max: Qos,
    pub(super) retain: bool,
}

impl Terms {
    pub(super) fn of(connect: &Connect<'_>, limits: &ClientLimits) -> Self {
        let properties = &connect.properties;
        let packet_max = properties.maximum_packet_size.map_or(limits.packet_max, |size| size.get());
        Self {
            version: connect.version,
            clean_start: connect.clean_start,
            keep_alive_secs: connect.keep_alive,
            receive_max: properties.receive_maximum.map_or(u16::MAX, |most| most.get()),
            packet_max: packet_max.min(limits.packet_max),
            topic_alias_max: properties.topic_alias_maximum.unwrap_or(0),
            authenticates: properties.authentication_method.is_some(),
            session_expires_later: properties.session_expiry.is_some_and(|seconds| seconds > 0),
        }
    }

    /// Tells whether the server may send this packet now. Before CONNACK it sends AUTH at most, and that only if
    /// CONNECT began an authentication [MQTT-3.2.0-1], [MQTT-4.12.0-6].
    pub(super) fn check_order(&self, is_open: bool, kind: PacketType) -> Result<(), Violation> {
        codec::check_sender(self.version, Sender::Server, kind)?;
        match kind {
            PacketType::Auth if !self.authenticates => Err(Violation::AuthNotBegun),
            PacketType::Auth => Ok(()),
            PacketType::ConnAck if is_open => Err(Violation::Repeated),
            PacketType::ConnAck => Ok(()),
            _ if is_open => Ok(()),
            _ => Err(Violation::OutOfOrder),
        }
    }
}

impl Offer {
    pub(super) fn of(connack: &ConnAck<'_>) -> Self {
        let properties = &connack.properties;
        Self {
            receive_max: properties.receive_maximum.map_or(u16::MAX, |most| most.get()),
            packet_max: properties.maximum_packet_size.map_or(limits::PACKET_BYTES, |size| size.get()),
            topic_alias_max: properties.topic_alias_maximum.unwrap_or(0),
            qos_max: properties.maximum_qos.unwrap_or(Qos::ExactlyOnce),
            retain: properties.retain_available.unwrap_or(true),
        }
    }

    /// Checks a message against what the server takes [MQTT-3.2.2-11], [MQTT-3.2.2-14].
    pub(super) fn check(&self, qos: Qos, retain: bool) -> Result<(), ClientError> {
        if qos > self.qos_max {
            return Err(ClientError::QosNotSupported);
        }
        if retain && !self.retain {
            return Err(ClientError::RetainNotSupported);
        }
        Ok(())
    }

    /// Checks the bytes of a whole packet [MQTT-3.2.2-15].
    pub(super) fn check_len(&self, packet_len: usize) -> Result<(), ClientError> {
        let fits = u32::try_from(packet_len).is_ok_and(|len| len <= self.packet_max);
        if fits { Ok(()) } else { Err(ClientError::PacketTooLarge) }
    }

    pub(super) fn check_stored(&self, publish: &StoredPublish) -> Result<(), ClientError> {
        self.check(publish.qos, publish.retain)?;
        self.check_len(publish.packet().len())
    }
}
