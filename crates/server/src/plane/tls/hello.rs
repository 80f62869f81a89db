//! What the first bytes of a connection say, read beside rustls: for the line that a failed handshake leaves, the
//! name must be known even where rustls refuses it (an IP address, a text that is no name); and rustls does not know
//! the wish for short records, nor show all that a client offers.

use crate::plane::limits::HANDSHAKE_BYTES;
use crate::plane::tls::fingerprint::Fingerprint;
use crate::plane::tls::fragment::{Fragment, RECORD_BYTES};
use std::net::IpAddr;

/// Says what speaks at the other end, judged by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A TLS handshake record.
    Tls,
    /// An MQTT CONNECT in clear text.
    Mqtt,
    /// An HTTP request in clear text.
    Http,
    /// Anything else: a scanner, SSH, TLS before 1.0.
    Unknown,
}

impl Dialect {
    /// Judges the first bytes; `None` if there are none.
    pub(crate) fn of(first: &[u8]) -> Option<Self> {
        const METHODS: [&[u8]; 6] = [b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT "];
        Some(match first {
            [] => return None,
            [0x16, ..] => Self::Tls,
            [0x10, ..] => Self::Mqtt,
            bytes if METHODS.iter().any(|method| bytes.starts_with(method)) => Self::Http,
            _ => Self::Unknown,
        })
    }
}

/// Is the server name that a client asked for (RFC 6066 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AskedName {
    /// A text that can be a DNS name.
    Name(String),
    /// An IP address, which the standard forbids and some clients send.
    Address(IpAddr),
}

impl AskedName {
    fn from_bytes(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.parse().map_or(Self::Name(text), Self::Address)
    }

    /// Returns the name as text; raw, a peer chose it.
    pub(crate) fn as_text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// Is the part of a ClientHello that the lines speak of, and how long its records may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hello {
    /// Which name was asked for, if any.
    pub(crate) asked: Option<AskedName>,
    /// Tells that it speaks TLS before 1.2 only. (TLS 1.3 calls itself 1.2 here.)
    pub(crate) is_old: bool,
    /// How long the records may be that it is sent.
    pub(crate) fragment: Fragment,
    /// What it has in common with others of its program.
    pub(crate) fingerprint: Fingerprint,
}

/// Says what the first bytes of a TLS client are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A ClientHello.
    Whole(Hello),
    /// The beginning of one.
    Coming,
    /// Something else, about which rustls has the word.
    Strange,
}

/// The kind of handshake message that a client begins with (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;

/// Reads the ClientHello at the front of what a client sent.
pub(crate) fn read(wire: &[u8]) -> Reading {
    let (message, is_open) = handshake_bytes(wire);
    let unfinished = if is_open { Reading::Coming } else { Reading::Strange };
    match message[..] {
        [] => unfinished,
        [CLIENT_HELLO, a, b, c, ref body @ ..] => {
            let length = [a, b, c].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            match body.get(..length) {
                Some(body) => hello(body).map_or(Reading::Strange, Reading::Whole),
                None if length > HANDSHAKE_BYTES => Reading::Strange,
                None => unfinished,
            }
        }
        [CLIENT_HELLO, ..] => unfinished,
        _ => Reading::Strange,
    }
}

/// Follows the records of a hello that comes in pieces, and looks at each byte once.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes of whole records.
    seen: usize,
    /// Bytes of the message in these.
    message: usize,
    /// The first of these: the kind of the message and its length.
    head: [u8; HEAD],
}

/// Bytes before the body of a handshake message.
const HEAD: usize = 4;

impl Progress {
    /// Tells whether the beginning of a hello is all that came: [`read`] would say [`Reading::Coming`]. `wire` begins with what
    /// it was given before.
    pub(crate) fn is_coming(&mut self, wire: &[u8]) -> bool {
        let is_open = loop {
            match record(wire.get(self.seen..).unwrap_or_default()) {
                Record::Whole(payload) => {
                    let head = self.head.iter_mut().skip(self.message);
                    head.zip(payload).for_each(|(kept, byte)| *kept = *byte);
                    self.message += payload.len();
                    self.seen += RECORD_HEAD + payload.len();
                }
                Record::Coming => break true,
                Record::Strange => break false,
            }
        };
        let [kind, length @ ..] = self.head;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        match self.message {
            0 => is_open,
            _ if kind != CLIENT_HELLO => false,
            1..HEAD => is_open,
            message => is_open && message - HEAD < length && length <= HANDSHAKE_BYTES,
        }
    }
}

fn hello(body: &[u8]) -> Option<Hello> {
    let mut hello = Reader(body);
    let version = hello.u16()?;
    hello.take(32)?; // random
    hello.prefixed_u8()?; // session id
    let suites = hello.prefixed_u16()?;
    hello.prefixed_u8()?; // compression methods
    let extensions = hello.prefixed_u16().unwrap_or_default();
    let fragment = Fragment::of(Extensions(Reader(extensions)));
    let fingerprint = Fingerprint::of(version, suites, Extensions(Reader(extensions)));
    Some(Hello { asked: server_name(extensions), is_old: version < 0x0303, fragment, fingerprint })
}

/// Joins the payloads of the handshake records at the front; a hello may be cut over several. Tells, too, whether what
/// comes next can belong to them.
fn handshake_bytes(wire: &[u8]) -> (Vec<u8>, bool) {
    let mut joined = Vec::new();
    let mut rest = wire;
    loop {
        match record(rest) {
            Record::Whole(payload) => {
                joined.extend_from_slice(payload);
                rest = &rest[RECORD_HEAD + payload.len()..];
            }
            Record::Coming => return (joined, true),
            Record::Strange => return (joined, false),
        }
    }
}

/// Bytes before the payload of a record.
const RECORD_HEAD: usize = 5;

/// Is what stands at the front of some bytes.
enum Record<'a> {
    /// A handshake record with this payload.
    Whole(&'a [u8]),
    /// The beginning of one, or nothing.
    Coming,
    /// Something else.
    Strange,
}

fn record(wire: &[u8]) -> Record<'_> {
    match wire {
        [0x16, 3, _, high, low, rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            match rest.get(..length) {
                Some(payload) if length > 0 => Record::Whole(payload),
                None if length <= RECORD_BYTES => Record::Coming,
                _ => Record::Strange,
            }
        }
        [] | [0x16] | [0x16, 3] | [0x16, 3, _] | [0x16, 3, _, _] => Record::Coming,
        _ => Record::Strange,
    }
}

fn server_name(extensions: &[u8]) -> Option<AskedName> {
    const SERVER_NAME: usize = 0;
    const HOST_NAME: u8 = 0;
    let (_, body) = Extensions(Reader(extensions)).find(|(kind, _)| *kind == SERVER_NAME)?;
    let mut names = Reader(Reader(body).prefixed_u16()?);
    let kind = names.byte()?;
    (kind == HOST_NAME).then(|| names.prefixed_u16()).flatten().map(AskedName::from_bytes)
}

/// Is the kind and the body of each extension; a cut one ends the list, and rustls refuses such a hello.
struct Extensions<'a>(Reader<'a>);

impl<'a> Iterator for Extensions<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.u16()?, self.0.prefixed_u16()?))
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<usize> {
        self.take(2).map(|bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    }

    fn prefixed_u8(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        self.take(length.into())
    }

    fn prefixed_u16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn length(n: usize) -> [u8; 2] {
        u16::try_from(n).unwrap().to_be_bytes()
    }

    /// A ClientHello of the least size that asks for `name`, in records of at most `cut` bytes.
    fn hello_for(name: &str, cut: usize) -> Vec<u8> {
        let mut list = vec![0];
        list.extend(length(name.len()));
        list.extend(name.as_bytes());
        let mut extension = vec![0, 0];
        extension.extend(length(list.len() + 2));
        extension.extend(length(list.len()));
        extension.extend(list);
        hello_with(&extension, cut)
    }

    /// A ClientHello with these extensions, in records of at most `cut` bytes.
    pub(crate) fn hello_with(extensions: &[u8], cut: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
        body.extend(length(extensions.len()));
        body.extend(extensions);
        let mut message = vec![1, 0];
        message.extend(length(body.len()));
        message.extend(body);
        let record = |part: &[u8]| [&[0x16, 3, 1][..], &length(part.len()), part].concat();
        message.chunks(cut).flat_map(record).collect()
    }

    fn whole(wire: &[u8]) -> Hello {
        match read(wire) {
            Reading::Whole(hello) => hello,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_name_is_found_also_where_the_hello_is_cut_over_records() {
        for cut in [1, 7, 60, 4096] {
            let asked = whole(&hello_for("mqtt.home", cut)).asked;
            assert_eq!(asked, Some(AskedName::Name("mqtt.home".into())), "cut {cut}");
        }
    }

    #[test]
    fn an_address_in_the_name_is_told_from_a_name() {
        let asked = whole(&hello_for("192.168.1.20", 512)).asked;
        assert_eq!(asked, Some(AskedName::Address("192.168.1.20".parse().unwrap())));
    }

    #[test]
    fn tls_before_1_2_is_told_by_its_version() {
        let mut hello = hello_for("mqtt.home", 512);
        assert!(!whole(&hello).is_old);
        hello[10] = 2;
        assert!(whole(&hello).is_old);
    }

    #[test]
    fn half_a_hello_is_not_a_hello() {
        for cut in [1, 7, 60, 4096] {
            let whole = hello_for("mqtt.home", cut);
            for end in 0..whole.len() {
                assert_eq!(read(&whole[..end]), Reading::Coming, "{end} bytes of records of {cut}");
            }
        }
    }

    #[test]
    fn a_hello_in_pieces_is_looked_at_once_and_judged_as_when_it_is_read_anew() {
        let hello = hello_for("mqtt.home", 3);
        let places = (0..hello.len()).flat_map(|place| [0, 1, 3, 22, 255].map(|byte| (place, byte)));
        for (place, byte) in places {
            for step in [5, 17, 64] {
                let mut wire = hello.clone();
                wire[place] = byte;
                wire.extend([0x16, 3, 1, 0, 0]);
                let mut progress = Progress::default();
                let mut end = 0;
                while end < wire.len() {
                    end = wire.len().min(end + step);
                    let (is_coming, seen) = (progress.is_coming(&wire[..end]), progress.seen);
                    assert_eq!(is_coming, read(&wire[..end]) == Reading::Coming, "{place} {byte} {end}");
                    assert!(seen <= end && seen + RECORD_HEAD + RECORD_BYTES > end);
                }
            }
        }
    }

    #[test]
    fn what_cannot_become_a_hello_is_not_waited_for() {
        for strange in [
            &[0x16, 3, 1, 0, 1, 2][..],            // another message
            &[0x16, 3, 1, 0, 2, 1, 0, 0x17],       // another record half way
            &[0x16, 3, 1, 0, 0],                   // an empty record
            &[0x16, 3, 1, 0x40, 1],                // a record that is too long
            &[0x16, 3, 1, 0, 4, 1, 255, 255, 255], // a message that is too long
            &[0x16, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3], // a hello without its parts
            &[0x16, 2],
        ] {
            assert_eq!(read(strange), Reading::Strange, "{strange:?}");
        }
    }

    #[test]
    fn the_first_byte_tells_who_speaks() {
        assert_eq!(Dialect::of(&[]), None);
        assert_eq!(Dialect::of(&[0x16, 3, 1]), Some(Dialect::Tls));
        assert_eq!(Dialect::of(&[0x10, 0x20]), Some(Dialect::Mqtt));
        assert_eq!(Dialect::of(b"GET / HTTP/1.1"), Some(Dialect::Http));
        assert_eq!(Dialect::of(b"SSH-2.0"), Some(Dialect::Unknown));
    }
}
