//! The client's end of SMTP (RFC 5321), as far as submitting a mail takes: EHLO, STARTTLS (RFC 3207), AUTH (RFC 4954), and the mail.
//!
//! It is our own: the library for it brings thirty packages, of which most are about names in other scripts.

use super::{limits, tls};
use crate::clock;
use crate::config::{Mail, MailTls};
use crate::escape::escape_cut;
use base64ct::{Base64, Encoding};
use keyward_mqtt::time::Millis;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Characters that are told of what a server says.
const SAID: usize = 300;

/// Is a conversation with a mail server that is over at a certain time.
pub(super) struct Smtp {
    host: String,
    /// The connection below `stream`.
    socket: Timed,
    stream: Box<dyn Stream>,
    /// What was read and belongs to the next answer.
    read: Vec<u8>,
    /// What the server can do: the lines that answer EHLO.
    abilities: Vec<String>,
}

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// Is a connection of which each read and write ends with the conversation: who gives or takes a byte at a time gains no time by that.
struct Timed {
    socket: TcpStream,
    deadline: Millis,
}

impl Timed {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, deadline: self.deadline })
    }

    /// Returns the socket for something that may take what is left of the time.
    fn armed(&self) -> io::Result<&TcpStream> {
        let left = match self.deadline.saturating_sub(clock::now().mono).0 {
            0 => return Err(ErrorKind::TimedOut.into()),
            left => Some(Duration::from_millis(left)),
        };
        self.socket.set_read_timeout(left)?;
        self.socket.set_write_timeout(left)?;
        Ok(&self.socket)
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.armed()?.read(into)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.armed()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.armed()?.flush()
    }
}

/// Is an answer: its number, and what stands behind it in each line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) lines: Vec<String>,
}

/// A recipient who was refused, and why.
pub(super) type Refused = (String, String);

impl Smtp {
    /// Connects, and is greeted; when this returns the conversation is protected as the settings say.
    ///
    /// # Errors
    /// What went wrong, and what to do.
    pub(super) fn open(settings: &Mail, deadline: Millis) -> Result<Self, String> {
        let host = settings.host.clone();
        let socket = Timed { socket: connect(&host, settings.port, deadline)?, deadline };
        let below = socket.try_clone().map_err(|error| error.to_string())?;
        let stream = Box::new(socket);
        let mut smtp = Self { host, socket: below, stream, read: Vec::new(), abilities: Vec::new() };
        if settings.tls == MailTls::Tls {
            smtp.secure(settings)?;
        }
        smtp.hear(220)?;
        smtp.greet()?;
        if settings.tls == MailTls::StartTls {
            if !smtp.can("STARTTLS") {
                return Err(format!(
                    "{} offers no STARTTLS, and nothing is said without TLS: is the port right? (tls = \"tls\" for port 465)",
                    smtp.host
                ));
            }
            smtp.say("STARTTLS", 220)?;
            if !smtp.read.is_empty() {
                // Said before TLS and to be believed after it: somebody in between wants that.
                return Err(format!("{} says more than it should before TLS", smtp.host));
            }
            smtp.secure(settings)?;
            smtp.greet()?;
        }
        Ok(smtp)
    }

    /// Shows a name and its password.
    ///
    /// # Errors
    /// They are refused, or the server knows no way to show them.
    pub(super) fn log_in(&mut self, user: &str, password: &[u8]) -> Result<(), String> {
        let ways = self.abilities.iter().find_map(|line| line.strip_prefix("AUTH ").map(str::to_owned));
        let ways = ways.unwrap_or_default();
        let offers = |way: &str| ways.split(' ').any(|offered| offered.eq_ignore_ascii_case(way));
        if offers("PLAIN") {
            let words = Zeroizing::new([b"\0", user.as_bytes(), b"\0", password].concat());
            let line =
                Zeroizing::new(format!("AUTH PLAIN {}", *Zeroizing::new(Base64::encode_string(&words))));
            return self.show(&line, 235);
        }
        if offers("LOGIN") {
            self.say("AUTH LOGIN", 334)?;
            self.say(&Base64::encode_string(user.as_bytes()), 334)?;
            let password = Zeroizing::new(Base64::encode_string(password));
            return self.show(&password, 235);
        }
        Err(format!(
            "{} takes no password (it offers: {})",
            self.host,
            if ways.is_empty() { "nothing".to_owned() } else { escape_cut(&ways, SAID) }
        ))
    }

    /// Says from whom a mail is and for whom. Returns who was refused, and why.
    ///
    /// # Errors
    /// The sender is refused, or the conversation has broken.
    pub(super) fn address(&mut self, from: &str, to: &[String]) -> Result<Vec<Refused>, String> {
        self.say(&format!("MAIL FROM:<{from}>"), 250)?;
        let mut refused = Vec::new();
        for who in to {
            self.write_line(&format!("RCPT TO:<{who}>"))?;
            let answer = self.answer()?;
            match answer.code {
                250..=259 => {}
                // For good; what may go better the next time is tried again for all.
                500..=599 => refused.push((who.clone(), answer.text())),
                _ => return Err(format!("{} does not take {who} now: {}", self.host, answer.text())),
            }
        }
        Ok(refused)
    }

    /// Sends a mail, whose lines end with CR and LF.
    ///
    /// # Errors
    /// It is refused, or the conversation has broken.
    pub(super) fn write(mut self, text: &str) -> Result<(), String> {
        self.say("DATA", 354)?;
        let mut stuffed = String::with_capacity(text.len() + 8);
        for line in text.split_inclusive("\r\n") {
            if line.starts_with('.') {
                stuffed.push('.'); // RFC 5321, 4.5.2
            }
            stuffed.push_str(line);
        }
        self.send(stuffed.as_bytes())?;
        self.say(".", 250)?;
        let _ = self.write_line("QUIT"); // It has the mail.
        Ok(())
    }

    fn can(&self, ability: &str) -> bool {
        self.abilities.iter().any(|line| line.eq_ignore_ascii_case(ability))
    }

    fn greet(&mut self) -> Result<(), String> {
        let name = match self.socket.socket.local_addr().map(|address| address.ip().to_canonical()) {
            Ok(IpAddr::V4(address)) => format!("[{address}]"),
            Ok(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
            Err(_) => "[127.0.0.1]".to_owned(),
        };
        let answer = self.say(&format!("EHLO {name}"), 250)?;
        self.abilities = answer.lines.into_iter().skip(1).collect();
        Ok(())
    }

    /// Puts TLS between the two.
    fn secure(&mut self, settings: &Mail) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(tls::roots(settings.ca_file.as_deref())?);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name =
            ServerName::try_from(self.host.clone()).map_err(|error| format!("{}: {error}", self.host))?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
        let socket = self.socket.try_clone().map_err(|error| error.to_string())?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            let done = stream.conn.complete_io(&mut stream.sock);
            done.map_err(|error| match error.get_ref() {
                Some(why) => format!("{}: {}", self.host, tls::trouble(why)),
                None => self.broken(&error),
            })?;
        }
        self.stream = Box::new(stream);
        Ok(())
    }

    /// Sends a line, and expects an answer with this number.
    fn say(&mut self, line: &str, expected: u16) -> Result<Answer, String> {
        self.write_line(line)?;
        self.hear(expected)
    }

    /// Sends a line with something secret. Of what is answered nothing is told but the number, for some repeat what they did not like.
    fn show(&mut self, line: &str, expected: u16) -> Result<(), String> {
        self.write_line(line)?;
        let answer = Answer { lines: Vec::new(), ..self.answer()? };
        self.judge(answer, expected).map(drop)
    }

    fn hear(&mut self, expected: u16) -> Result<Answer, String> {
        let answer = self.answer()?;
        self.judge(answer, expected)
    }

    fn judge(&self, answer: Answer, expected: u16) -> Result<Answer, String> {
        if answer.code == expected {
            return Ok(answer);
        }
        let remedy = match answer.code {
            530 | 534 | 535 => ": are `user` and the password right?",
            421 | 450..=459 => ": it may go better later",
            _ => "",
        };
        Err(format!("{} answers {}{remedy}", self.host, answer.text()))
    }

    fn write_line(&mut self, line: &str) -> Result<(), String> {
        let line = Zeroizing::new(format!("{line}\r\n"));
        self.send(line.as_bytes())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        sent.map_err(|error| self.broken(&error))
    }

    fn answer(&mut self) -> Result<Answer, String> {
        loop {
            if let Some((answer, length)) =
                parse(&self.read).map_err(|what| format!("{} {what}", self.host))?
            {
                self.read.drain(..length);
                return Ok(answer);
            }
            let mut more = [0; 1_024];
            match self.stream.read(&mut more) {
                Ok(0) => return Err(format!("{} has hung up", self.host)),
                Ok(count) => self.read.extend_from_slice(&more[..count]),
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    fn broken(&self, error: &std::io::Error) -> String {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => too_late(&self.host),
            kind => format!("{}: {kind}", self.host),
        }
    }
}

impl Answer {
    /// Returns it in a line for a person.
    fn text(&self) -> String {
        let said = escape_cut(&self.lines.join(" / "), SAID);
        format!("{} {said}", self.code).trim_end().to_owned()
    }
}

fn too_late(host: &str) -> String {
    format!("{host}: no answer within {} s", limits::NOTICE_TIME.as_secs())
}

fn left(host: &str, deadline: Millis) -> Result<Duration, String> {
    match deadline.saturating_sub(clock::now().mono).0 {
        0 => Err(too_late(host)),
        left => Ok(Duration::from_millis(left)),
    }
}

/// Connects to the first address of a host that answers.
pub(super) fn connect(host: &str, port: u16, deadline: Millis) -> Result<TcpStream, String> {
    let found = (host, port).to_socket_addrs();
    let addresses =
        found.map_err(|_| format!("{host}: no such host, or this machine's DNS does not answer"))?;
    let mut why = format!("{host} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(host, deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => why = format!("{host}: {}", error.kind()),
        }
    }
    Err(why)
}

/// Reads an answer (RFC 5321, 4.2), if it is whole: `250-…` and more lines, the last `250 …`. Returns it with its length.
///
/// # Errors
/// It is none, or too long.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, &'static str> {
    const NONE: &str = "does not speak SMTP";
    let (mut lines, mut at) = (Vec::new(), 0);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return if rest.len() > limits::SMTP_LINE_BYTES { Err("says too long a line") } else { Ok(None) };
        };
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        at += end + 1;
        let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit)).ok_or(NONE)?;
        let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        let is_last = match line.get(3) {
            Some(b' ') | None => true,
            Some(b'-') => false,
            Some(_) => return Err(NONE),
        };
        if line.len() > limits::SMTP_LINE_BYTES || lines.len() >= limits::SMTP_LINES {
            return Err("says too much");
        }
        let text = String::from_utf8_lossy(line.get(4..).unwrap_or_default());
        lines.push(text.chars().filter(|c| !c.is_control()).collect());
        if is_last {
            return Ok(Some((Answer { code, lines }, at)));
        }
    }
}

/// Returns how long an answer is.
#[cfg(feature = "decoders")]
pub(crate) fn decode(bytes: &[u8]) -> Option<usize> {
    parse(bytes).ok()?.map(|(_, length)| length)
}

#[cfg(test)]
mod tests;
