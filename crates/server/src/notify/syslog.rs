//! Syslog (RFC 5424), with what programs look for as structured data.

use super::notice::{Event, Letter, Notice, Origin};
use super::smtp::connect;
use super::{Channel, limits};
use crate::clock;
use crate::config::{self, SyslogPlace};
use keyward_identity::WallTime;
use keyward_watch::finding::Severity;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, Ipv6Addr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

/// The facility: system daemons.
const DAEMON: u8 = 3;

/// The name of our structured data, under the number that stands for whoever has none of his own (RFC 5612).
const DATA: &str = "keyward@32473";

/// Speaks to one place that listens to syslog.
pub(super) struct Syslog {
    settings: config::Syslog,
    origin: Origin,
}

impl Syslog {
    pub(super) fn new(settings: config::Syslog, origin: Origin) -> Self {
        Self { settings, origin }
    }

    fn send_one(&self, letter: &Letter) -> Result<(), String> {
        let mut line = line(letter, &self.origin);
        match &self.settings.to {
            SyslogPlace::Socket(path) => {
                cut(&mut line);
                send_to_socket(path, line.as_bytes(), limits::NOTICE_TIME)
            }
            SyslogPlace::Udp(host, port) => {
                cut(&mut line);
                send_datagram(host, *port, line.as_bytes())
            }
            SyslogPlace::Tcp(host, port) => {
                let deadline = clock::now().mono.saturating_add(clock::millis(limits::NOTICE_TIME));
                let mut stream = connect(host, *port, deadline)?;
                let framed = format!("{} {line}", line.len());
                let sent = stream
                    .set_write_timeout(Some(limits::NOTICE_TIME))
                    .and_then(|()| stream.write_all(framed.as_bytes()));
                sent.map_err(|error| format!("{host}: {}", error.kind()))
            }
        }
    }
}

impl Channel for Syslog {
    fn send(&self, letters: &[Letter]) -> Result<(), String> {
        letters.iter().try_for_each(|letter| self.send_one(letter))
    }
}

/// Sends to a socket of this machine. Where its reader has stopped, that waits for room.
fn send_to_socket(path: &Path, bytes: &[u8], at_most: Duration) -> Result<(), String> {
    let sent = UnixDatagram::unbound().and_then(|socket| {
        socket.set_write_timeout(Some(at_most))?;
        socket.send_to(bytes, path)
    });
    sent.map(drop).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => format!("{}: nobody reads there", path.display()),
        _ => format!("{}: {error}", path.display()),
    })
}

fn send_datagram(host: &str, port: u16, bytes: &[u8]) -> Result<(), String> {
    let found = (host, port).to_socket_addrs();
    let mut found =
        found.map_err(|_| format!("{host}: no such host, or this machine's DNS does not answer"))?;
    let address = found.next().ok_or_else(|| format!("{host} has no address"))?;
    let socket = match address.is_ipv4() {
        true => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        false => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let sent = socket.and_then(|socket| socket.send_to(bytes, address));
    sent.map(drop).map_err(|error| format!("{host}: {}", error.kind()))
}

/// Returns a letter as a syslog message, with the byte order mark that says that it is UTF-8.
fn line(letter: &Letter, origin: &Origin) -> String {
    let Origin { installation, host, .. } = origin;
    let Notice { event, kind, severity, at_unix_ms, incident, .. } = &letter.notice;
    let text =
        |key: &str| incident.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let number = incident.get("number").and_then(serde_json::Value::as_u64);
    let scope = match (text("scope"), text("device")) {
        (scope, _) if !scope.is_empty() => scope,
        (_, device) if !device.is_empty() => format!("device:{device}"),
        _ => String::new(),
    };
    let word = serde_json::to_value(severity).unwrap_or_default();
    let values = [
        ("id", letter.id.clone()),
        ("event", event.word().to_owned()),
        ("kind", kind.clone()),
        ("severity", word.as_str().unwrap_or_default().to_owned()),
        ("scope", scope),
        ("incident", number.map(|number| number.to_string()).unwrap_or_default()),
        ("calls", letter.notice.calls.to_string()),
        ("installation", installation.clone()),
    ];
    let values = values.iter().filter(|(_, value)| !value.is_empty());
    let values: String = values.map(|(name, value)| format!(" {name}=\"{}\"", escaped(value))).collect();
    let what: String = letter.notice.line().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let (priority, at, process) =
        (DAEMON * 8 + level(*event, *severity), WallTime(*at_unix_ms), std::process::id());
    format!("<{priority}>1 {at} {host} keyward {process} incident [{DATA}{values}] \u{feff}{what}")
}

/// Returns the level of syslog: from 1, somebody must act at once, to 6, for information.
fn level(event: Event, severity: Severity) -> u8 {
    match (event, severity) {
        (Event::Test, _) | (_, Severity::Info) => 6,
        (Event::End, _) | (_, Severity::Low) => 5,
        (_, Severity::Medium) => 4,
        (_, Severity::High) => 2,
        (_, Severity::Critical) => 1,
    }
}

/// Writes the value of a parameter (RFC 5424, 6.3.3).
fn escaped(value: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' | ']' => format!("\\{c}"),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    };
    value.chars().map(escape).collect()
}

/// Cuts what is longer than a receiver should take, between two characters.
fn cut(line: &mut String) {
    let mut end = line.len().min(limits::SYSLOG_BYTES);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
}

/// Returns the name of this machine, or `-` if it is none that fits (RFC 5424, 6.2.4).
#[cfg(test)]
mod tests;
