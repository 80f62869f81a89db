//! One client that waits for its answers: for what is weighed, and for those that flood.

use crate::codec::{self, Ack, Connect, Frame, Publish, Version};
use crate::error::BenchError;
use crate::load::Access;
use crate::tls;
use rustls::{ClientConfig, ClientConnection, Stream};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What many callers of one broker share.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    pub(crate) access: Access,
    config: Option<Arc<ClientConfig>>,
}

impl Calls {
    /// Reads the trust anchor once.
    pub(crate) fn new(access: Access) -> Result<Self, BenchError> {
        let config = access.ca.as_deref().map(|ca: &Path| tls::client_config(ca)).transpose()?;
        Ok(Self { access, config })
    }

    /// Opens a connection; the TLS handshake waits for the first bytes.
    pub(crate) fn open(&self) -> Result<Caller, BenchError> {
        let doing = || format!("connecting to {}", self.access.address);
        let tcp = TcpStream::connect(self.access.address).map_err(BenchError::io(doing()))?;
        let set = tcp.set_nodelay(true).and_then(|()| tcp.set_read_timeout(Some(PATIENCE)));
        set.and_then(|()| tcp.set_write_timeout(Some(PATIENCE))).map_err(BenchError::io(doing()))?;
        let tls = self.config.as_ref().map(tls::client).transpose()?.map(Box::new);
        Ok(Caller { tcp, tls, version: Version::V5, arrived: Vec::new(), next_id: 0 })
    }

    /// Opens a connection and logs in; with `keep` the session outlives its link.
    pub(crate) fn log_in(&self, client_id: &str, keep: bool) -> Result<Caller, BenchError> {
        let mut caller = self.open()?;
        let login = self.access.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
        let expiry_secs = if keep { 3_600 } else { 0 };
        caller.connect(Connect { client_id, clean: !keep, expiry_secs, login })?;
        Ok(caller)
    }
}

/// A link that speaks MQTT 5.
pub(crate) struct Caller {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
    version: Version,
    arrived: Vec<u8>,
    next_id: u16,
}

impl Caller {
    /// Logs in.
    ///
    /// # Errors
    /// A refusal, with its code.
    pub(crate) fn connect(&mut self, connect: Connect<'_>) -> Result<(), BenchError> {
        let mut out = Vec::new();
        codec::connect(&mut out, self.version, connect);
        self.send(&out)?;
        self.await_frame("CONNACK", |frame| match frame {
            Frame::Connack { code } => Some(*code),
            _ => None,
        })
    }

    /// Subscribes to all filters with one packet.
    ///
    /// # Errors
    /// A refusal of one of them, with its code.
    pub(crate) fn subscribe<'a>(
        &mut self,
        filters: impl IntoIterator<Item = &'a str>,
        qos: u8,
    ) -> Result<(), BenchError> {
        let id = self.id();
        let mut out = Vec::new();
        codec::subscribe(&mut out, self.version, id, filters, qos);
        self.send(&out)?;
        self.await_frame("SUBACK", |frame| match frame {
            Frame::Suback { id: found, code, .. } if *found == id => Some(*code),
            _ => None,
        })
    }

    /// Subscribes to all filters with one packet, at QoS 0, and returns how many were refused.
    ///
    /// # Errors
    /// The end of the link.
    pub(crate) fn subscribe_all(&mut self, filters: &[String]) -> Result<u64, BenchError> {
        let id = self.id();
        let mut out = Vec::new();
        codec::subscribe(&mut out, self.version, id, filters.iter().map(String::as_str), 0);
        self.send(&out)?;
        self.await_answer("SUBACK", |frame| match frame {
            Frame::Suback { id: found, refused, .. } if *found == id => Some(*refused),
            _ => None,
        })
    }

    /// Gives all filters up with one packet.
    ///
    /// # Errors
    /// The end of the link.
    pub(crate) fn unsubscribe_all(&mut self, filters: &[String]) -> Result<(), BenchError> {
        let id = self.id();
        let mut out = Vec::new();
        codec::unsubscribe(&mut out, id, filters.iter().map(String::as_str));
        self.send(&out)?;
        self.await_answer("UNSUBACK", |frame| match frame {
            Frame::Unsuback { id: found } if *found == id => Some(()),
            _ => None,
        })
    }

    /// Publishes messages of QoS 1 in one write, waits until all are acknowledged, and returns how many were refused.
    ///
    /// # Errors
    /// The end of the link.
    pub(crate) fn publish_all(
        &mut self,
        topics: &[String],
        payload: &[u8],
        retain: bool,
    ) -> Result<u64, BenchError> {
        self.publish_each(topics.iter().map(|topic| (topic.as_str(), payload)), retain)
    }

    /// The same with a payload for each topic.
    ///
    /// # Errors
    /// The end of the link.
    pub(crate) fn publish_each<'a>(
        &mut self,
        messages: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        retain: bool,
    ) -> Result<u64, BenchError> {
        let mut out = Vec::new();
        let mut sent = 0;
        for (topic, payload) in messages {
            let id = self.id();
            codec::publish(&mut out, self.version, Publish { topic, qos: 1, retain, id, payload });
            sent += 1;
        }
        self.send(&out)?;
        let mut refused = 0;
        for _ in 0..sent {
            let code = self.await_answer("PUBACK", |frame| match frame {
                Frame::Ack { ack: Ack::Puback, code, .. } => Some(*code),
                _ => None,
            })?;
            refused += u64::from(code >= 0x80);
        }
        Ok(refused)
    }

    /// Shows `take` the payloads of the messages that come, and acknowledges them, until none has come for `quiet`.
    /// Returns how many came.
    ///
    /// # Errors
    /// The end of the link.
    pub(crate) fn take_messages(
        &mut self,
        quiet: Duration,
        mut take: impl FnMut(&[u8]),
    ) -> Result<u64, BenchError> {
        self.tcp.set_read_timeout(Some(quiet)).map_err(BenchError::io("setting a timeout"))?;
        let mut count = 0;
        loop {
            let (mut acks, mut used) = (Vec::new(), 0);
            while let Some((frame, length)) = codec::decode(&self.arrived[used..], self.version)? {
                if let Frame::Publish { id, payload, .. } = frame {
                    take(payload);
                    codec::ack(&mut acks, Ack::Puback, id);
                    count += 1;
                }
                used += length;
            }
            self.arrived.drain(..used);
            self.send(&acks)?;
            match self.fill() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                filled => filled.map_err(BenchError::io("waiting for messages"))?,
            }
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        let sent = match &mut self.tls {
            None => self.tcp.write_all(bytes),
            Some(tls) => {
                let mut stream = Stream::new(&mut **tls, &mut self.tcp);
                stream.write_all(bytes).and_then(|()| stream.flush())
            }
        };
        sent.map_err(BenchError::io("sending"))
    }

    /// Says goodbye and closes.
    pub(crate) fn leave(mut self) -> Result<(), BenchError> {
        let mut out = Vec::new();
        codec::disconnect(&mut out);
        self.send(&out)
    }

    fn id(&mut self) -> u16 {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.next_id
    }

    /// Reads until the frame comes for which `code` has a value; a code of refusal is an error.
    fn await_frame(&mut self, what: &str, code: impl Fn(&Frame<'_>) -> Option<u8>) -> Result<(), BenchError> {
        match self.await_answer(what, code)? {
            code if code >= 0x80 => Err(BenchError::broker("broker", format!("{what} with {code:#x}"))),
            _ => Ok(()),
        }
    }

    /// Reads until the frame comes for which `answer` has a value, and returns it.
    fn await_answer<T>(
        &mut self,
        what: &str,
        answer: impl Fn(&Frame<'_>) -> Option<T>,
    ) -> Result<T, BenchError> {
        loop {
            while let Some((frame, length)) = codec::decode(&self.arrived, self.version)? {
                let found = answer(&frame);
                let farewell = match frame {
                    Frame::Disconnect { code } => Some(code),
                    _ => None,
                };
                self.arrived.drain(..length);
                match (found, farewell) {
                    (Some(answer), _) => return Ok(answer),
                    (None, Some(code)) => {
                        let problem = format!("DISCONNECT with {code:#x} instead of {what}");
                        return Err(BenchError::broker("broker", problem));
                    }
                    (None, None) => {}
                }
            }
            self.fill().map_err(BenchError::io(format!("waiting for {what}")))?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        let count = match &mut self.tls {
            None => self.tcp.read(&mut bytes)?,
            Some(tls) => Stream::new(&mut **tls, &mut self.tcp).read(&mut bytes)?,
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.arrived.extend_from_slice(&bytes[..count]);
        Ok(())
    }
}
