//! The two big tables of MQTT 5.0, transcribed here a second time and compared with what the decoder does.

use keyward_mqtt::codec::{Sender, Violation, decode};
use keyward_mqtt::packet::Version;
use keyward_mqtt::property::PropertyId;

/// Table 2-4: identifier, a value, and the packets that carry it. `S:` and `C:` say which side, where only one may.
const PROPERTIES: &[(u8, &[u8], &str)] = &[
    (0x01, &[1], "PUBLISH WILL"),
    (0x02, &[0, 0, 0, 9], "PUBLISH WILL"),
    (0x03, &[0, 1, b'x'], "PUBLISH WILL"),
    (0x08, &[0, 1, b'x'], "PUBLISH WILL"),
    (0x09, &[0, 1, b'x'], "PUBLISH WILL"),
    (0x0B, &[9], "S:PUBLISH SUBSCRIBE"),
    (0x11, &[0, 0, 0, 9], "CONNECT CONNACK C:DISCONNECT"),
    (0x12, &[0, 1, b'x'], "CONNACK"),
    (0x13, &[0, 9], "CONNACK"),
    (0x15, &[0, 1, b'x'], "CONNECT CONNACK AUTH"),
    (0x16, &[0, 1, b'x'], "CONNECT CONNACK AUTH"),
    (0x17, &[1], "CONNECT"),
    (0x18, &[0, 0, 0, 9], "WILL"),
    (0x19, &[1], "CONNECT"),
    (0x1A, &[0, 1, b'x'], "CONNACK"),
    (0x1C, &[0, 1, b'x'], "CONNACK S:DISCONNECT"),
    (0x1F, &[0, 1, b'x'], "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH"),
    (0x21, &[0, 9], "CONNECT CONNACK"),
    (0x22, &[0, 9], "CONNECT CONNACK"),
    (0x23, &[0, 9], "PUBLISH"),
    (0x24, &[1], "CONNACK"),
    (0x25, &[1], "CONNACK"),
    (
        0x26,
        &[0, 1, b'x', 0, 0],
        "CONNECT CONNACK PUBLISH WILL PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK \
         DISCONNECT AUTH",
    ),
    (0x27, &[0, 0, 0, 9], "CONNECT CONNACK"),
    (0x28, &[1], "CONNACK"),
    (0x29, &[1], "CONNACK"),
    (0x2A, &[1], "CONNACK"),
];

/// Each packet around a property section: what stands before and after it.
const AROUND: &[(&str, u8, &[u8], &[u8])] = &[
    ("CONNECT", 0x10, b"\0\x04MQTT\x05\x02\0\0", b"\0\0"),
    ("WILL", 0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\0", b"\0\x01t\0\0"),
    ("CONNACK", 0x20, &[0, 0], &[]),
    ("PUBLISH", 0x30, &[0, 1, b't'], &[]),
    ("PUBACK", 0x40, &[0, 1, 0], &[]),
    ("PUBREC", 0x50, &[0, 1, 0], &[]),
    ("PUBREL", 0x62, &[0, 1, 0], &[]),
    ("PUBCOMP", 0x70, &[0, 1, 0], &[]),
    ("SUBSCRIBE", 0x82, &[0, 1], &[0, 1, b't', 0]),
    ("SUBACK", 0x90, &[0, 1], &[0]),
    ("UNSUBSCRIBE", 0xA2, &[0, 1], &[0, 1, b't']),
    ("UNSUBACK", 0xB0, &[0, 1], &[0]),
    ("DISCONNECT", 0xE0, &[0], &[]),
    ("AUTH", 0xF0, &[0x18], &[]),
];

fn senders(packet: &str) -> &'static [Sender] {
    match packet {
        "CONNECT" | "WILL" | "SUBSCRIBE" | "UNSUBSCRIBE" => &[Sender::Client],
        "CONNACK" | "SUBACK" | "UNSUBACK" => &[Sender::Server],
        _ => &[Sender::Client, Sender::Server],
    }
}

fn listed(packets: &str, packet: &str, sender: Sender) -> bool {
    let side = if sender == Sender::Client { "C:" } else { "S:" };
    packets.split_whitespace().any(|entry| entry == packet || entry.strip_prefix(side) == Some(packet))
}

fn frame(packet: usize, section: &[u8]) -> Vec<u8> {
    let (name, first, before, after) = AROUND[packet];
    // AUTH needs its method, and data needs a method.
    let method = b"\x15\0\x01m";
    let data_alone = section.first() == Some(&0x16) && name == "CONNECT";
    let extra: &[u8] =
        if (name == "AUTH" || data_alone) && section.first() != Some(&0x15) { method } else { b"" };
    let len = before.len() + 1 + extra.len() + section.len() + after.len();
    let mut frame = vec![first, u8::try_from(len).unwrap()];
    frame.extend(before);
    frame.push(u8::try_from(extra.len() + section.len()).unwrap());
    frame.extend([extra, section, after].concat());
    frame
}

#[test]
fn each_property_stands_in_the_packets_of_table_2_4_only() {
    assert_eq!(PROPERTIES.len(), PropertyId::ALL.len());
    for &(id, value, packets) in PROPERTIES {
        for (index, (packet, ..)) in AROUND.iter().enumerate() {
            for &sender in senders(packet) {
                let section = [&[id], value].concat();
                let accepted = decode(Version::V5, sender, &frame(index, &section)).is_ok();
                assert_eq!(
                    accepted,
                    listed(packets, packet, sender),
                    "{id:#04x} in {packet} from {sender:?}"
                );
            }
        }
    }
}

#[test]
fn a_property_comes_once_but_for_user_properties_and_subscription_identifiers_of_a_publish() {
    for &(id, value, packets) in PROPERTIES {
        for (index, (packet, ..)) in AROUND.iter().enumerate() {
            for &sender in senders(packet).iter().filter(|&&sender| listed(packets, packet, sender)) {
                let frame = frame(index, &[&[id], value, &[id], value].concat());
                let result = decode(Version::V5, sender, &frame);
                if id == 0x26 || (id == 0x0B && *packet == "PUBLISH") {
                    assert!(result.is_ok(), "{id:#04x} twice in {packet}");
                } else {
                    let repeated = Violation::RepeatedProperty(PropertyId::from_number(id.into()).unwrap());
                    assert_eq!(result.unwrap_err().violation, repeated, "{id:#04x} twice in {packet}");
                }
            }
        }
    }
}

#[test]
fn a_property_that_is_cut_is_refused() {
    for &(id, value, packets) in PROPERTIES {
        for (index, (packet, ..)) in AROUND.iter().enumerate() {
            for &sender in senders(packet).iter().filter(|&&sender| listed(packets, packet, sender)) {
                let section = [&[id], &value[..value.len() - 1]].concat();
                let error = decode(Version::V5, sender, &frame(index, &section)).unwrap_err();
                assert_eq!(error.violation, Violation::Truncated, "{id:#04x} in {packet}");
            }
        }
    }
}

/// Table 2-6, with the sides of tables 3-4, 3-10 and 3-11.
const CODES: &[(u8, &str)] = &[
    (0x00, "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT S:AUTH"),
    (0x01, "SUBACK"),
    (0x02, "SUBACK"),
    (0x04, "C:DISCONNECT"),
    (0x10, "S:PUBACK S:PUBREC"),
    (0x11, "UNSUBACK"),
    (0x18, "AUTH"),
    (0x19, "C:AUTH"),
    (0x80, "CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT"),
    (0x81, "CONNACK DISCONNECT"),
    (0x82, "CONNACK DISCONNECT"),
    (0x83, "CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT"),
    (0x84, "CONNACK"),
    (0x85, "CONNACK"),
    (0x86, "CONNACK"),
    (0x87, "CONNACK PUBACK PUBREC SUBACK UNSUBACK S:DISCONNECT"),
    (0x88, "CONNACK"),
    (0x89, "CONNACK S:DISCONNECT"),
    (0x8A, "CONNACK"),
    (0x8B, "S:DISCONNECT"),
    (0x8C, "CONNACK"),
    (0x8D, "S:DISCONNECT"),
    (0x8E, "S:DISCONNECT"),
    (0x8F, "SUBACK UNSUBACK S:DISCONNECT"),
    (0x90, "CONNACK PUBACK PUBREC DISCONNECT"),
    (0x91, "PUBACK PUBREC SUBACK UNSUBACK"),
    (0x92, "PUBREL PUBCOMP"),
    (0x93, "DISCONNECT"),
    (0x94, "DISCONNECT"),
    (0x95, "CONNACK DISCONNECT"),
    (0x96, "DISCONNECT"),
    (0x97, "CONNACK PUBACK PUBREC SUBACK DISCONNECT"),
    (0x98, "DISCONNECT"),
    (0x99, "CONNACK PUBACK PUBREC DISCONNECT"),
    (0x9A, "CONNACK S:DISCONNECT"),
    (0x9B, "CONNACK S:DISCONNECT"),
    (0x9C, "CONNACK S:DISCONNECT"),
    (0x9D, "CONNACK S:DISCONNECT"),
    (0x9E, "SUBACK S:DISCONNECT"),
    (0x9F, "CONNACK S:DISCONNECT"),
    (0xA0, "S:DISCONNECT"),
    (0xA1, "SUBACK S:DISCONNECT"),
    (0xA2, "SUBACK S:DISCONNECT"),
];

#[test]
fn each_reason_code_stands_in_the_packets_of_table_2_6_only() {
    const PACKETS: &[(&str, u8)] = &[
        ("CONNACK", 0x20),
        ("PUBACK", 0x40),
        ("PUBREC", 0x50),
        ("PUBREL", 0x62),
        ("PUBCOMP", 0x70),
        ("SUBACK", 0x90),
        ("UNSUBACK", 0xB0),
        ("DISCONNECT", 0xE0),
        ("AUTH", 0xF0),
    ];
    for code in 0..=255 {
        let packets = CODES.iter().find(|(listed, _)| *listed == code).map_or("", |(_, packets)| packets);
        for &(packet, first) in PACKETS {
            let body: Vec<u8> = match packet {
                "CONNACK" => vec![0, code, 0],
                "SUBACK" | "UNSUBACK" => vec![0, 1, 0, code],
                "DISCONNECT" => vec![code],
                "AUTH" => vec![code, 4, 0x15, 0, 1, b'm'],
                _ => vec![0, 1, code],
            };
            for &sender in senders(packet) {
                let frame = [&[first, body.len() as u8], &body[..]].concat();
                let result = decode(Version::V5, sender, &frame);
                assert_eq!(
                    result.is_ok(),
                    listed(packets, packet, sender),
                    "{code:#04x} in {packet} {sender:?}"
                );
                if let Err(error) = result {
                    assert_eq!(error.violation, Violation::ReasonCode(code), "{code:#04x} in {packet}");
                }
            }
        }
    }
}
