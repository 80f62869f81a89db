//! What a peer can make this crate hold or wait for: bound, unit, default, reason.

use crate::time::Millis;

/// The largest packet that MQTT can express, in bytes: five of fixed header and the largest remaining length.
pub const PACKET_BYTES: u32 = 5 + crate::codec::VARINT_MAX;

/// Bytes of a topic that has an alias: as long as the broker lets a topic be by default. Longer ones are sent whole.
pub const TOPIC_ALIAS_BYTES: usize = 4_096;

/// Bounds what a client may send to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Bytes of a CONNECT, header included. Default 16 KiB: a peer that nobody knows yet pays for no more.
    pub connect_max: u32,
    /// Bytes of any other packet, header included. Default 2,000,000, which fleets are used to from Mosquitto.
    pub packet_max: u32,
    /// Topic aliases that a client of 5.0 may set on its link, each for a topic of at most [`TOPIC_ALIAS_BYTES`].
    /// Default 10, as Mosquitto. To be announced in CONNACK.
    pub topic_alias_max: u16,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { connect_max: 16 * 1024, packet_max: 2_000_000, topic_alias_max: 10 }
    }
}

/// Bounds what a server may make a client hold, and what a client holds for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Bytes of a packet from the server, header included. Default 2,000,000, like the server's own.
    pub packet_max: u32,
    /// Messages of QoS 1 and 2 under way at once; the server's receive maximum may be lower. Default 64: enough to
    /// hide a round trip, few enough to send again.
    pub in_flight_max: u16,
    /// Messages of QoS 1 and 2 that are kept until they are acknowledged, those under way included. Default 1,024;
    /// never above 65,535, for each holds a packet identifier.
    pub queue_max: u16,
    /// SUBSCRIBE and UNSUBSCRIBE packets that wait for an answer. Default 64.
    pub requests_max: u16,
    /// Topic aliases that a server of 5.0 may set on its link, each for a topic of at most [`TOPIC_ALIAS_BYTES`].
    /// Default 10, like the server's own. CONNECT announces it.
    pub topic_alias_max: u16,
    /// Topic aliases that the client sets on its link, each for such a topic; the server may take fewer. Default 10:
    /// what Keyward and Mosquitto take. 0 sends every topic in full.
    pub topic_alias_out_max: u16,
    /// How long the server may take for CONNACK or PINGRESP. Default 20 seconds: longer than a slow TLS terminator,
    /// shorter than people wait.
    pub answer_timeout: Millis,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            packet_max: 2_000_000,
            in_flight_max: 64,
            queue_max: 1024,
            requests_max: 64,
            topic_alias_max: 10,
            topic_alias_out_max: 10,
            answer_timeout: Millis::from_secs(20),
        }
    }
}
