//! What holds for every packet and for every string of bytes.

use crate::packets::{Sent, any_client_packet, any_packet};
use keyward_mqtt::codec::{Sender, decode, encode, encoded_len};
use keyward_mqtt::connection::{ConnectionLimits, ServerConnection, Step};
use keyward_mqtt::frame;
use keyward_mqtt::packet::{Connect, Packet, Version};
use keyward_mqtt::property::ConnectProperties;
use keyward_mqtt::time::Millis;
use proptest::prelude::*;

const LIMITS: ConnectionLimits = ConnectionLimits { connect_max: 256, packet_max: 4096, topic_alias_max: 3 };

fn connect(version: Version) -> Packet<'static> {
    Packet::Connect(Connect {
        version,
        clean_start: true,
        keep_alive: 0,
        client_id: "dev01",
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
    })
}

/// Feeds a server `stream` in pieces and returns what it decoded, each packet printed.
fn decoded(stream: &[u8], cuts: &[usize]) -> Vec<String> {
    let mut server = ServerConnection::new(LIMITS);
    let (mut seen, mut start, mut end) = (Vec::new(), 0, 0);
    for piece in cuts.iter().copied().chain([stream.len()]) {
        end = (end + piece).min(stream.len());
        loop {
            match server.decode(Millis(0), &stream[start..end]).unwrap() {
                Step::Incomplete { need } => {
                    assert!(need > end - start, "it has {} and needs {need}", end - start);
                    break;
                }
                Step::Packet { packet, size } => {
                    seen.push(format!("{packet:?}"));
                    start += size;
                    if let Packet::Connect(_) = packet {
                        server.established(Millis(0), 0);
                    }
                }
            }
        }
    }
    assert_eq!(start, stream.len());
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_packet_comes_back_as_it_was_sent(sent in any_packet()) {
        let Sent { version, sender, packet } = sent;
        let mut bytes = vec![0xAA];
        encode(&packet, version, &mut bytes).unwrap();
        let frame = &bytes[1..];
        prop_assert_eq!(encoded_len(&packet, version).unwrap(), frame.len());
        let header = frame::peek(frame).unwrap().unwrap();
        prop_assert_eq!((header.kind, header.total_len), (packet.kind(), frame.len()));
        let back = decode(version, sender, frame).unwrap();
        prop_assert_eq!(&back, &packet);
        let mut again = Vec::new();
        encode(&back, version, &mut again).unwrap();
        prop_assert_eq!(&again, frame);
    }

    #[test]
    fn a_changed_byte_is_refused_or_gives_a_packet_that_can_be_written(
        sent in any_packet(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = Vec::new();
        encode(&sent.packet, sent.version, &mut bytes).unwrap();
        *at.get_mut(&mut bytes[..]) = byte;
        if let Ok(packet) = decode(sent.version, sent.sender, &bytes) {
            encode(&packet, sent.version, &mut Vec::new()).unwrap();
        }
    }

    #[test]
    fn random_bytes_never_panic_a_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        for version in [Version::V31, Version::V311, Version::V5] {
            for sender in [Sender::Client, Sender::Server] {
                let _ = decode(version, sender, &bytes);
            }
        }
    }

    #[test]
    fn a_server_never_waits_for_more_than_its_limit(
        bytes in proptest::collection::vec(any::<u8>(), 0..64), version in prop::sample::select(vec![Version::V31, Version::V311, Version::V5]),
    ) {
        let mut fresh = ServerConnection::new(LIMITS);
        if let Ok(Step::Incomplete { need }) = fresh.decode(Millis(0), &bytes) {
            prop_assert!(need > bytes.len() && need <= LIMITS.connect_max as usize);
        }
        let mut open = ServerConnection::new(LIMITS);
        let mut first = Vec::new();
        encode(&connect(version), version, &mut first).unwrap();
        open.decode(Millis(0), &first).unwrap();
        open.established(Millis(0), 0);
        let mut rest = &bytes[..];
        while let Ok(step) = open.decode(Millis(0), rest) {
            match step {
                Step::Packet { size, .. } => rest = &rest[size..],
                Step::Incomplete { need } => {
                    prop_assert!(need > rest.len() && need <= LIMITS.packet_max as usize);
                    break;
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_cut_of_a_stream_gives_the_same_packets(
        (version, packets) in prop::sample::select(vec![Version::V31, Version::V311, Version::V5])
            .prop_flat_map(|v| (Just(v), proptest::collection::vec(any_client_packet(v), 0..6))),
        cuts in proptest::collection::vec(0_usize..40, 0..60),
    ) {
        let mut stream = Vec::new();
        encode(&connect(version), version, &mut stream).unwrap();
        for packet in &packets {
            encode(packet, version, &mut stream).unwrap();
        }
        let whole = decoded(&stream, &[]);
        prop_assert_eq!(whole.len(), packets.len() + 1);
        prop_assert_eq!(&whole, &decoded(&stream, &cuts));
        prop_assert_eq!(&whole, &decoded(&stream, &vec![1; stream.len()]));
    }
}
