//! MQTT: packets, both ends of a link, topics.

use keyward_mqtt::codec::{self, Sender};
use keyward_mqtt::connection::{ClientConnection, ClientStep, ConnectionLimits, ServerConnection, Step};
use keyward_mqtt::limits::ClientLimits;
use keyward_mqtt::packet::{Connect, Packet, Version};
use keyward_mqtt::property::ConnectProperties;
use keyward_mqtt::time::Millis;
use keyward_mqtt::topic::{Level, Subscription, TopicFilter, TopicName};

fn limits() -> ConnectionLimits {
    ConnectionLimits { connect_max: 1024, packet_max: 2048, ..ConnectionLimits::default() }
}

fn version(byte: u8) -> Version {
    [Version::V31, Version::V311, Version::V5][usize::from(byte) % 3]
}

/// Decodes one packet; what is decoded can be written, and reads the same again. The first byte chooses version and
/// sender.
pub fn packets(data: &[u8]) {
    let Some((&choice, frame)) = data.split_first() else { return };
    let (version, sender) =
        (version(choice), if choice & 0x80 == 0 { Sender::Client } else { Sender::Server });
    let Ok(packet) = codec::decode(version, sender, frame) else { return };
    let mut written = Vec::new();
    if let Err(error) = codec::encode(&packet, version, &mut written) {
        panic!("{packet:?} was read and cannot be written: {error}");
    }
    assert_eq!(codec::encoded_len(&packet, version), Ok(written.len()));
    assert_eq!(codec::decode(version, sender, &written).as_ref(), Ok(&packet));
}

/// Feeds a stream to the server's end of a link, whole and in pieces: the same comes out, and it never waits for more
/// than its bounds. The first two bytes choose the length of the pieces.
pub fn server_connection(data: &[u8]) {
    let Some((&[a, b], stream)) = data.split_first_chunk() else { return };
    let whole = served(stream, stream.len().max(1));
    let pieces = served(stream, usize::from(a % 16) + 1);
    assert_eq!(whole, pieces);
    assert_eq!(whole, served(stream, usize::from(b) + 1));
}

/// Prints what a server made of a stream that came in pieces of `piece` bytes; the last entry is the refusal, if any.
fn served(stream: &[u8], piece: usize) -> Vec<String> {
    let mut server = ServerConnection::new(limits());
    let (mut seen, mut start, mut end) = (Vec::new(), 0, 0);
    while end < stream.len() {
        end = (end + piece).min(stream.len());
        loop {
            let first = server.version().is_none();
            match server.decode(Millis(0), &stream[start..end]) {
                Ok(Step::Incomplete { need }) => {
                    let bound = if first { limits().connect_max } else { limits().packet_max } as usize;
                    assert!(need > end - start && need <= bound.max(end - start + 1), "it waits for {need}");
                    break;
                }
                Ok(Step::Packet { packet, size }) => {
                    seen.push(format!("{packet:?}"));
                    let opens = matches!(packet, Packet::Connect(_));
                    start += size;
                    if opens {
                        server.established(Millis(0), 0);
                    }
                }
                Err(refused) => {
                    refused.farewell.encode(&mut Vec::new());
                    seen.push(refused.error.to_string());
                    return seen;
                }
            }
        }
    }
    seen
}

/// Feeds a stream to the client's end of a link, whole and in pieces: the same comes out. The first byte chooses version
/// and clean start, the second the length of the pieces.
pub fn client_connection(data: &[u8]) {
    let Some((&[choice, piece], stream)) = data.split_first_chunk() else { return };
    let whole = heard(choice, stream, stream.len().max(1));
    assert_eq!(whole, heard(choice, stream, usize::from(piece) + 1));
}

/// Prints what a client made of a stream that came in pieces of `piece` bytes; the last entry is the error, if any.
fn heard(choice: u8, stream: &[u8], piece: usize) -> Vec<String> {
    let mut client = ClientConnection::new(ClientLimits::default());
    let connect = Connect {
        version: version(choice),
        clean_start: choice & 0x40 != 0,
        keep_alive: 60,
        client_id: "fuzz",
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
    };
    if client.connect(Millis(0), &connect).is_err() {
        panic!("a plain CONNECT cannot be written");
    }
    let (mut seen, mut start, mut end) = (Vec::new(), 0, 0);
    while end < stream.len() {
        end = (end + piece).min(stream.len());
        loop {
            match client.handle(Millis(1), &stream[start..end]) {
                Ok(ClientStep::Incomplete { need }) => {
                    assert!(need > end - start, "it waits for {need} of {}", end - start);
                    break;
                }
                Ok(ClientStep::Packet { event, size }) => {
                    seen.push(format!("{event:?}"));
                    start += size;
                }
                Err(error) => {
                    seen.push(format!("{error:?}"));
                    client.link_lost();
                    return seen;
                }
            }
        }
    }
    client.link_lost();
    seen
}

/// Parses a filter and a topic, separated by a zero byte, and compares the match with a slow one.
pub fn topics(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let (filter, topic) = text.split_once('\0').unwrap_or((text, text));
    let subscription = Subscription::parse(filter);
    let (Ok(parsed), Ok(name)) = (TopicFilter::parse(filter), TopicName::parse(topic)) else {
        return;
    };
    let shared = filter.split('/').next() == Some("$share");
    assert!(subscription.is_ok() || shared, "{filter:?} is a filter and no subscription");
    assert_eq!(parsed.matches(name), matches_slowly(filter, topic), "{filter:?} against {topic:?}");
    if parsed.is_literal() {
        assert_eq!(parsed.matches(name), filter == topic);
    }
    assert_eq!(parsed.levels().count(), filter.split('/').count());
    assert!(
        parsed.levels().all(|level| !matches!(level, Level::Literal(text) if text.contains(['+', '#', '/'])))
    );
}

/// Matches as chapter 4.7 reads, level by level.
fn matches_slowly(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (filter, topic): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
    let fixed = filter.iter().position(|level| *level == "#").unwrap_or(filter.len());
    let has_rest = fixed < filter.len();
    let fits = if has_rest { topic.len() >= fixed } else { topic.len() == fixed };
    fits && filter[..fixed].iter().zip(&topic).all(|(wanted, level)| *wanted == "+" || wanted == level)
}
