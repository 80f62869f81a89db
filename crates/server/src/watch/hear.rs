//! What workers tell, in the words of the detectors.

use super::{heartbeat, position, readings};
use crate::plane::{Heard, Host, Leave, What};
use keyward_broker::{Message, Signed, Unfit};
use keyward_envelope::limits::LATE_SECONDS;
use keyward_envelope::{freshness, inspect};
use keyward_ids::{DeviceId, Identity};
use keyward_watch::event::{Claims, Connection, End, Event, Message as Said, Proof, Source, UnixMillis};
use std::net::IpAddr;
use std::sync::Arc;

/// Returns what the detectors are told of one thing that was heard.
pub(super) fn events(heard: Heard, at: UnixMillis) -> Vec<Event> {
    let Identity::Device(device) = heard.device else { return Vec::new() };
    match heard.what {
        What::Connected { link, from, fingerprint, keep_alive_secs } => {
            let source = Source { fingerprint, ..from.map(source).unwrap_or_default() };
            let connection = Connection { link, source, keep_alive_secs };
            vec![Event::Connected { device, connection }]
        }
        What::Ratcheted { link, shown } => vec![Event::Ratcheted { device, link, ratchet: shown }],
        What::Parted { link, how } => vec![Event::Disconnected { device, link, end: end(how) }],
        What::Said { message, signed } => said(device, message.as_deref(), signed, at),
        What::Unfit(Unfit::Signature | Unfit::Form | Unfit::Key) => {
            vec![Event::Proof { device, proof: Proof::BadSignature }]
        }
        // It is there, and what else it says in this second is nobody's loss.
        What::Floods => Vec::new(),
        // Two holders of a key are an incident of the ledger already; the others prove nothing.
        What::Unfit(_) => Vec::new(),
    }
}

/// Returns the message of what was heard, if its signature was verified.
pub(super) fn signed_message(heard: &Heard) -> Option<Arc<Message>> {
    match &heard.what {
        What::Said { message: Some(message), signed: Some(_) } => Some(Arc::clone(message)),
        _ => None,
    }
}

fn said(device: DeviceId, message: Option<&Message>, signed: Option<Signed>, at: UnixMillis) -> Vec<Event> {
    let claims = signed.map(|signed| Claims {
        key: u64::from_be_bytes(*signed.kid.as_bytes()),
        epoch: u32::try_from(signed.sequence.0 >> 32).unwrap_or(u32::MAX),
        count: signed.sequence.0 & u64::from(u32::MAX),
        made: signed.made.map_or(at, |secs| UnixMillis(secs.saturating_mul(1_000))),
        key_level: signed.level,
    });
    let mut events = vec![Event::Message { device: device.clone(), message: Said { claims } }];
    let Some(message) = message else { return events };
    if let Some(content) = content(message.payload(), signed, at) {
        events.extend(told(&device, message.topic(), &content, signed.is_some(), at));
    }
    events
}

/// Returns what the content of a message tells.
fn told(
    device: &DeviceId,
    topic: &str,
    content: &Content<'_>,
    is_signed: bool,
    at: UnixMillis,
) -> Vec<Event> {
    // That it was opened matters however long ago; but whoever works there now may not have then, so nothing follows from it.
    let mut told = read(device, topic, content.payload, is_signed && !content.is_kept, at);
    if content.is_kept {
        // Else it says how things were, not how they are.
        told.retain(|event| matches!(event, Event::Tamper { .. }));
    }
    told
}

/// Returns what the words of a device say: of itself, of where it is, and of what it measures.
pub(super) fn read(
    device: &DeviceId,
    topic: &str,
    payload: &[u8],
    verified: bool,
    at: UnixMillis,
) -> Vec<Event> {
    let heartbeat::Told { events: told, says_all } = heartbeat::told(device, topic, payload, verified, at);
    if says_all {
        return told;
    }
    let mut values = readings::of(topic, payload);
    values.retain(|(stream, _)| !heartbeat::is_word(topic, stream));
    let position = position::take(&mut values);
    let fix = position.map(|position| Event::Fix { device: device.clone(), position, verified });
    let reading = |(stream, value)| Event::Reading { device: device.clone(), stream, value };
    let readings = values.into_iter().map(reading);
    fix.into_iter().chain(readings).chain(told).collect()
}

/// Is what a message says, out of its signed form if it has one.
#[derive(Debug, PartialEq, Eq)]
struct Content<'a> {
    payload: &'a [u8],
    /// Whether it was made long ago.
    is_kept: bool,
}

/// Returns what a message says; nothing if that is encrypted. Who signs is understood where the broker checks no signature, too: then it proves
/// nothing.
fn content(bytes: &[u8], signed: Option<Signed>, at: UnixMillis) -> Option<Content<'_>> {
    let Ok(message) = inspect(bytes) else { return Some(Content { payload: bytes, is_kept: false }) };
    let claims = message.claims();
    let is_old = || freshness::of_reading(claims, at.0 / 1_000, claims.nonce.as_ref(), LATE_SECONDS).is_err();
    let is_kept = signed.map_or_else(is_old, |signed| signed.is_late);
    Some(Content { payload: message.unverified_payload()?, is_kept })
}

fn end(how: Leave) -> End {
    match how {
        Leave::Disconnected => End::Disconnect,
        Leave::Closed => End::Closed,
        Leave::KeepAlive => End::KeepAlive,
        Leave::TakenOver => End::TakenOver,
        Leave::Server => End::Server,
    }
}

/// Returns where a link comes from. Kinds of address are told apart by the highest bits.
fn source(host: Host) -> Source {
    let network = match host {
        Host::Address(address) => match address.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits() >> 8),
            IpAddr::V6(address) => 1 << 62 | (address.to_bits() >> 80) as u64,
        },
        Host::Local { uid } => 1 << 63 | u64::from(uid),
    };
    Source { network, ..Source::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_envelope::software::Ed25519Key;
    use keyward_envelope::{Claims as Dated, Context, Direction, Message as Sealed, Sequence, Signer, sign};

    #[test]
    fn what_is_signed_is_understood_where_nobody_checks_it_unless_it_was_kept() {
        let mut key = Ed25519Key::from_seed(&[1; 32]);
        let context = Context {
            direction: Direction::Up { device: "pump" },
            installation: "k7m2q9xw4hp3a8cd",
            topic: "devices/pump/alarm",
            correlation: None,
        };
        let claims = Dated::issued_at(Sequence(1), 1_800_000_000);
        let (message, mut out) = (Sealed { claims, format: None, payload: b"its lid" }, [0; 512]);
        let len = sign(&message, &context, &mut key, &mut out).unwrap();
        let at = |secs: u64| UnixMillis(secs * 1_000);
        let says = |signed, secs| content(&out[..len], signed, at(secs));
        let lid = |is_kept| Some(Content { payload: b"its lid", is_kept });
        let now = 1_800_000_000;
        assert_eq!(says(None, now + 2), lid(false));
        assert_eq!(says(None, now + LATE_SECONDS + 1), lid(true));
        let signed =
            |is_late| Some(Signed { kid: key.kid(), sequence: Sequence(1), made: None, level: 0, is_late });
        assert_eq!(says(signed(false), now + LATE_SECONDS + 1), lid(false), "who checked it judged its date");
        assert_eq!(says(signed(true), now), lid(true));
        assert_eq!(content(b"21.5", None, at(0)), Some(Content { payload: b"21.5", is_kept: false }));
    }

    #[test]
    fn of_what_was_kept_an_opened_lid_is_told_and_proves_nothing() {
        let pump: DeviceId = "pump".parse().unwrap();
        let lid = b"\xa3\x3a\x00\x01\x11\x70\x66tamper\x3a\x00\x01\x11\x71\x63lid\x19\x01\x05\x07";
        let said = |payload: &[u8], is_kept| {
            told(&pump, "devices/pump/alarm", &Content { payload, is_kept }, true, UnixMillis(9))
        };
        let opened = |verified| Event::Tamper { device: pump.clone(), input: "lid".into(), verified };
        assert_eq!(said(lid, true), [opened(false)]);
        assert_eq!(said(lid, false).last(), Some(&opened(true)));
        assert_eq!(said(b"21.5", true), []);
        assert_eq!(said(b"21.5", false).len(), 1);
    }

    /// What is heard in a message: words of itself, where it is, and the names of its sensors.
    fn heard(topic: &str, payload: &str) -> Vec<String> {
        let events = read(&"pump".parse().unwrap(), topic, payload.as_bytes(), false, UnixMillis(7_000));
        let word = |event| match event {
            Event::Reading { stream, value, .. } => format!("{stream} = {value}"),
            Event::Fix { position, .. } => format!("at {} {}", position.latitude, position.longitude),
            Event::Heartbeat { heartbeat, .. } => format!("runs for {} s", heartbeat.uptime_secs),
            other => format!("{other:?}"),
        };
        events.into_iter().map(word).collect()
    }

    #[test]
    fn readings_beside_a_status_are_heard_and_the_status_is_no_reading() {
        let status = r#"{"uptime_s":60,"boots":3,"sleep_s":5,"temperature":21.5}"#;
        assert_eq!(heard("pump/status", status), ["pump/status temperature = 21.5", "runs for 60 s"]);
        let tracker = r#"{"uptime_s":60,"lat":52.5,"lon":13.4,"speed":3}"#;
        let expected = ["at 52500000 13400000", "pump/gps speed = 3", "runs for 60 s"];
        assert_eq!(heard("pump/gps", tracker), expected);
        let tasmota = r#"{"UptimeSec":60,"Heap":25,"Wifi":{"RSSI":70}}"#;
        assert_eq!(heard("tele/pump/STATE", tasmota), ["runs for 60 s"], "of itself alone");
        assert_eq!(heard("pump/t", r#"{"boots":3}"#), [] as [&str; 0]);
    }

    #[test]
    fn neighbours_in_a_network_come_from_one_place_and_kinds_of_address_never_from_the_same() {
        let network = |text: &str| source(Host::Address(text.parse().unwrap())).network;
        assert_eq!(network("192.0.2.7"), network("192.0.2.200"));
        assert_eq!(network("192.0.2.7"), network("::ffff:192.0.2.7"));
        assert_ne!(network("192.0.2.7"), network("192.0.3.7"));
        assert_eq!(network("2001:db8:1::7"), network("2001:db8:1:ffff::9"));
        assert_ne!(network("2001:db8:1::7"), network("2001:db8:2::7"));
        assert_ne!(source(Host::Local { uid: 0 }).network, network("0.0.0.0"));
    }
}
