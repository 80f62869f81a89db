//! The HTTP request that begins a WebSocket (RFC 6455 §4.2): what it must say, who may send it, and the answer.
//!
//! A browser lets every page open a WebSocket to every place, with the certificate that the user has installed; only
//! `Origin` says which page it is. Programs that are no browser send none, or say what they like: for them it is no lock.

use crate::plane::limits::{SHOWN_TEXT, UPGRADE_BYTES, UPGRADE_HEADERS};
use crate::plane::tls::hello::Dialect;
use aws_lc_rs::digest;
use base64ct::{Base64, Encoding};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What the accept key is made with (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// What ends the head of a request.
const END: &[u8] = b"\r\n\r\n";
/// Where MQTT is spoken; everything else is nowhere.
const PATHS: [&str; 2] = ["/mqtt", "/"];
/// The subprotocols that are spoken, the better first; MQTT 3.1 had a name of its own.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Says the pages of which origins may connect, beside programs that are no browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Pages that come from the host that they connect to, whatever their port.
    SameHost {
        /// Whether the listener speaks TLS: then a page must have come by https, since whoever is on the way writes into
        /// one that came by http what they like.
        tls: bool,
    },
    /// The pages of these origins alone, like `https://panel.example:1880`; none if there are none.
    Listed(Vec<String>),
    /// All pages.
    All,
}

impl Default for Origins {
    fn default() -> Self {
        Self::SameHost { tls: true }
    }
}

impl Origins {
    fn allow(&self, origin: &str, host: &str) -> bool {
        match self {
            Self::All => true,
            Self::Listed(listed) => listed.iter().any(|each| each.eq_ignore_ascii_case(origin)),
            Self::SameHost { tls } => origin.split_once("://").is_some_and(|(scheme, from)| {
                let is = |name: &str| scheme.eq_ignore_ascii_case(name);
                (is("https") || is("http") && !tls)
                    && without_port(from).eq_ignore_ascii_case(without_port(host))
            }),
        }
    }
}

/// Cuts the port off `host:port`; an IPv6 address stands in brackets.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Says why a request begins no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UpgradeFault {
    /// It speaks MQTT without WebSocket.
    Mqtt,
    /// It speaks TLS, and the listener has none.
    Tls,
    /// It speaks neither HTTP nor anything else that is known.
    NotHttp,
    /// The request is longer than its bound, or has more headers.
    TooLong,
    /// The request is not well formed, or says a thing twice.
    Malformed,
    /// Its method is not GET.
    Method,
    /// It asks for a path that is not there. Raw: the peer chose it.
    Path(String),
    /// It does not ask for a WebSocket.
    NoUpgrade,
    /// It asks for another version than 13.
    Version,
    /// Its key is missing, or not 16 bytes in Base64.
    Key,
    /// It does not offer the subprotocol `mqtt`.
    Subprotocol,
    /// A page of this origin may not connect. Raw: the peer chose it.
    Origin(String),
}

impl fmt::Display for UpgradeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = |text: &str| crate::escape::escape_cut(text, SHOWN_TEXT);
        match self {
            Self::Mqtt => f.write_str("it speaks MQTT without WebSocket"),
            Self::Tls => f.write_str("it speaks TLS, and the listener has none"),
            Self::NotHttp => f.write_str("it speaks no HTTP"),
            Self::TooLong => {
                write!(f, "the request is longer than {UPGRADE_BYTES} bytes or {UPGRADE_HEADERS} headers")
            }
            Self::Malformed => f.write_str("the request is not well formed"),
            Self::Method => f.write_str("the method is not GET"),
            Self::Path(path) => write!(f, "there is no `{}`: MQTT is at /mqtt", cut(path)),
            Self::NoUpgrade => f.write_str("it asks for no WebSocket"),
            Self::Version => f.write_str("it asks for another version of WebSocket than 13"),
            Self::Key => f.write_str("Sec-WebSocket-Key is missing or wrong"),
            Self::Subprotocol => f.write_str("it does not offer the subprotocol `mqtt`"),
            Self::Origin(origin) => write!(f, "pages of `{}` may not connect", cut(origin)),
        }
    }
}

impl UpgradeFault {
    /// Returns status, reason and further headers of the answer; `None` for a peer that speaks no HTTP.
    fn answer(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Mqtt | Self::Tls | Self::NotHttp => return None,
            Self::TooLong => ("431 Request Header Fields Too Large", ""),
            Self::Malformed | Self::Key | Self::Subprotocol => ("400 Bad Request", ""),
            Self::Method => ("405 Method Not Allowed", "Allow: GET\r\n"),
            Self::Path(_) => ("404 Not Found", ""),
            Self::NoUpgrade | Self::Version => {
                ("426 Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
            }
            Self::Origin(_) => ("403 Forbidden", ""),
        })
    }
}

/// Is a request that is not whole yet.
#[derive(Debug)]
pub(super) struct Upgrade {
    origins: Arc<Origins>,
    /// What came; a browser may have put cookies into it.
    held: Zeroizing<Vec<u8>>,
}

impl Upgrade {
    pub(super) fn new(origins: Arc<Origins>) -> Self {
        Self { origins, held: Zeroizing::default() }
    }

    /// Returns the bytes that it takes, used or not.
    pub(super) fn held(&self) -> usize {
        self.held.capacity()
    }

    /// Takes bytes of the request and appends the answer to `said` once it is whole or wrong; returns where in `wire`
    /// the request ends.
    pub(super) fn take(&mut self, wire: &[u8], said: &mut Vec<u8>) -> Result<Option<usize>, UpgradeFault> {
        let before = self.held.len();
        let room = UPGRADE_BYTES - before;
        if self.held.capacity() == 0 {
            self.held.reserve_exact(UPGRADE_BYTES); // It never grows, and leaves nothing behind.
        }
        self.held.extend_from_slice(&wire[..wire.len().min(room)]);
        let judged = self.judge(before);
        match &judged {
            Ok(None) => {}
            Ok(Some((_, accepted))) => accepted.write(said),
            Err(fault) => refuse(fault, said),
        }
        Ok(judged?.map(|(end, _)| end - before))
    }

    /// Judges what came; returns the length of the request and what it is answered with.
    fn judge(&self, before: usize) -> Result<Option<(usize, Accepted)>, UpgradeFault> {
        check_dialect(&self.held)?;
        let searched = before.saturating_sub(END.len() - 1);
        let found = self.held[searched..].windows(END.len()).position(|window| window == END);
        match found {
            Some(place) => {
                let end = searched + place + END.len();
                read(&self.held[..end], &self.origins).map(|accepted| Some((end, accepted)))
            }
            None if self.held.len() == UPGRADE_BYTES => Err(UpgradeFault::TooLong),
            None => Ok(None),
        }
    }
}

/// Finds out at the first bytes who will never send a request.
fn check_dialect(first: &[u8]) -> Result<(), UpgradeFault> {
    match Dialect::of(first) {
        Some(Dialect::Mqtt) => Err(UpgradeFault::Mqtt),
        Some(Dialect::Tls) => Err(UpgradeFault::Tls),
        _ if first.first().is_some_and(|byte| !byte.is_ascii_uppercase()) => Err(UpgradeFault::NotHttp),
        _ => Ok(()),
    }
}

/// Is what an accepted request is answered with.
struct Accepted {
    key: String,
    subprotocol: &'static str,
}

impl Accepted {
    fn write(&self, said: &mut Vec<u8>) {
        let Self { key, subprotocol } = self;
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {key}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
        );
        said.extend_from_slice(answer.as_bytes());
    }
}

fn refuse(fault: &UpgradeFault, said: &mut Vec<u8>) {
    let Some((status, headers)) = fault.answer() else { return };
    // What the peer chose is not sent back to it.
    let text = match fault {
        UpgradeFault::Path(_) => "MQTT is at /mqtt\n".to_owned(),
        UpgradeFault::Origin(_) => "pages of this origin may not connect\n".to_owned(),
        other => format!("{other}\n"),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    said.extend_from_slice(answer.as_bytes());
}

fn read(request: &[u8], origins: &Origins) -> Result<Accepted, UpgradeFault> {
    let mut room = [httparse::EMPTY_HEADER; UPGRADE_HEADERS];
    let mut parsed = httparse::Request::new(&mut room);
    match parsed.parse(request) {
        Ok(httparse::Status::Complete(length)) if length == request.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(UpgradeFault::TooLong),
        _ => return Err(UpgradeFault::Malformed),
    }
    if parsed.method != Some("GET") {
        return Err(UpgradeFault::Method);
    }
    if parsed.version != Some(1) {
        return Err(UpgradeFault::Malformed);
    }
    let target = parsed.path.unwrap_or_default();
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    if !PATHS.contains(&path) {
        return Err(UpgradeFault::Path(path.to_owned()));
    }
    Headers(parsed.headers).judge(origins)
}

struct Headers<'a>(&'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    fn judge(&self, origins: &Origins) -> Result<Accepted, UpgradeFault> {
        let host = self.one("host")?.filter(|host| !host.is_empty()).ok_or(UpgradeFault::Malformed)?;
        // A body would be read as frames.
        if self.one("content-length")?.is_some_and(|length| length != "0")
            || self.one("transfer-encoding")?.is_some()
        {
            return Err(UpgradeFault::Malformed);
        }
        if !self.list_holds("upgrade", "websocket")? || !self.list_holds("connection", "upgrade")? {
            return Err(UpgradeFault::NoUpgrade);
        }
        if self.one("sec-websocket-version")? != Some("13") {
            return Err(UpgradeFault::Version);
        }
        let key = self.one("sec-websocket-key")?.filter(|key| is_nonce(key)).ok_or(UpgradeFault::Key)?;
        if let Some(origin) = self.one("origin")?
            && !origins.allow(origin, host)
        {
            return Err(UpgradeFault::Origin(origin.to_owned()));
        }
        let offered = self.list("sec-websocket-protocol")?;
        let subprotocol = SUBPROTOCOLS.into_iter().find(|ours| offered.contains(ours));
        let subprotocol = subprotocol.ok_or(UpgradeFault::Subprotocol)?;
        Ok(Accepted { key: accept_key(key), subprotocol })
    }

    /// Returns the values of a header, each as text.
    fn values(&self, name: &str) -> Result<Vec<&'a str>, UpgradeFault> {
        let of_name = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
        let value = |header: &httparse::Header<'a>| std::str::from_utf8(header.value);
        let values: Result<_, _> = self.0.iter().filter(of_name).map(value).collect();
        values.map_err(|_| UpgradeFault::Malformed)
    }

    /// Returns the value of a header that may be there once.
    fn one(&self, name: &str) -> Result<Option<&'a str>, UpgradeFault> {
        match self.values(name)?[..] {
            [] => Ok(None),
            [value] => Ok(Some(value.trim_matches([' ', '\t']))),
            _ => Err(UpgradeFault::Malformed),
        }
    }

    /// Returns the members of a header that is a list, which may be spread over several lines.
    fn list(&self, name: &str) -> Result<Vec<&'a str>, UpgradeFault> {
        let values = self.values(name)?;
        Ok(values
            .into_iter()
            .flat_map(|value| value.split(','))
            .map(|item| item.trim_matches([' ', '\t']))
            .collect())
    }

    fn list_holds(&self, name: &str, wanted: &str) -> Result<bool, UpgradeFault> {
        Ok(self.list(name)?.iter().any(|item| item.eq_ignore_ascii_case(wanted)))
    }
}

/// Tells whether a key is 16 bytes in Base64 (§4.2.1).
fn is_nonce(key: &str) -> bool {
    Base64::decode(key, &mut [0; 16]).is_ok_and(|bytes| bytes.len() == 16)
}

/// Makes the answer to a key (§4.2.2): SHA-1 as a proof that the request was read, which protects nothing.
fn accept_key(key: &str) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), GUID].concat());
    Base64::encode_string(digest.as_ref())
}

#[cfg(test)]
mod tests;
