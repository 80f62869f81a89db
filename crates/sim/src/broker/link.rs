//! One link in the hands of a shell: its decoder and the bytes that are not done with.

use crate::packet::Packet;
use crate::words::{self, Aliases};
use keyward_broker::Outbox;
use keyward_mqtt::connection::ServerConnection;
use keyward_mqtt::packet as mqtt;
use keyward_mqtt::packet::Version;
use keyward_mqtt::time::Millis;

/// Is the reading half of a link.
pub(crate) struct Decoder {
    pub(crate) connection: ServerConnection,
    /// What was read and not decoded.
    pub(crate) bytes: Vec<u8>,
}

/// Is a link of a shell.
pub(crate) struct Link {
    pub(crate) version: Version,
    /// Absent only while the link is read.
    pub(crate) decoder: Option<Box<Decoder>>,
    pub(crate) unsent: Vec<u8>,
    /// Since when the peer has taken nothing though there was something.
    pub(crate) stalled: Option<Millis>,
    pub(crate) established: bool,
    /// Tells that it stands in the queue of links to be read.
    pub(crate) queued: bool,
    /// What the trace knows of aliases of the client and of the broker.
    heard: Aliases,
    said: Aliases,
}

/// Is a link that is over but for its last bytes.
pub(crate) struct Parting {
    pub(crate) unsent: Vec<u8>,
    pub(crate) deadline: Millis,
}

impl Link {
    pub(crate) fn new(version: Version, connection: ServerConnection, rest: Vec<u8>) -> Self {
        Self {
            version,
            decoder: Some(Box::new(Decoder { connection, bytes: rest })),
            unsent: Vec::new(),
            stalled: None,
            established: false,
            queued: false,
            heard: Aliases::default(),
            said: Aliases::default(),
        }
    }

    pub(crate) fn establish(&mut self, now: Millis, keep_alive: u16) {
        self.established = true;
        if let Some(decoder) = &mut self.decoder {
            decoder.connection.established(now, keep_alive);
        }
    }

    pub(crate) fn is_late(&self, now: Millis) -> bool {
        !self.queued && self.decoder.as_ref().is_some_and(|decoder| decoder.connection.is_late(now))
    }

    /// Owns a packet of the client.
    pub(crate) fn hear(&mut self, packet: &mqtt::Packet<'_>) -> Packet {
        self.heard.own(packet)
    }

    /// Takes bytes of the shard; returns the packets that they are, each with its size.
    pub(crate) fn take(&mut self, outbox: &Outbox) -> Vec<(Packet, usize)> {
        let mut bytes = Vec::with_capacity(outbox.len());
        outbox.slices().for_each(|slice| bytes.extend_from_slice(slice));
        self.unsent.extend_from_slice(&bytes);
        let packets = std::iter::from_fn(|| {
            let before = bytes.len();
            let packet = words::take_packet(self.version, &mut self.said, &mut bytes)?;
            Some((packet, before - bytes.len()))
        });
        packets.collect()
    }
}
