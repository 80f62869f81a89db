//! What lies between the socket and MQTT: TLS or nothing, and within it WebSocket or nothing. No socket is touched here,
//! so that a link is a value that can move from the door to a worker.

use crate::plane::tls::channel::{Channel, TlsFault};
use crate::plane::tls::hello::Hello;
use crate::plane::websocket::frame::CloseCode;
use crate::plane::websocket::{WebSocket, WebSocketFault};
use rustls::pki_types::CertificateDer;

/// Is the layers between a socket and the MQTT bytes of one link.
pub(crate) struct Transport {
    channel: Channel,
    web: Option<Box<WebSocket>>,
}

/// Says why a transport cannot go on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TransportFault {
    /// The TLS channel failed.
    Tls(TlsFault),
    /// The WebSocket failed; what the peer is told is among the bytes to be sent.
    Web(WebSocketFault),
}

impl From<TlsFault> for TransportFault {
    fn from(fault: TlsFault) -> Self {
        Self::Tls(fault)
    }
}

/// Says why we end a transport, where it has words for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its session, or its login, is over.
    Done,
    /// The broker stops.
    Stopping,
}

impl Transport {
    pub(crate) fn new(channel: Channel, web: Option<WebSocket>) -> Self {
        Self { channel, web: web.map(Box::new) }
    }

    /// Tells whether the bytes of the socket are MQTT.
    pub(crate) fn is_bare(&self) -> bool {
        self.web.is_none() && matches!(self.channel, Channel::Plain)
    }

    /// Copies the bytes of an unfinished record to the front of `buffer` and returns how many they are; what is read
    /// next from the socket goes behind them.
    pub(crate) fn restore(&mut self, buffer: &mut [u8]) -> usize {
        self.channel.restore(buffer)
    }

    /// Takes restored bytes back after a read that gave nothing behind them.
    pub(crate) fn keep(&mut self, restored: &[u8]) {
        self.channel.keep(restored);
    }

    /// Returns how many bytes it holds of what is not whole.
    pub(crate) fn held(&self) -> usize {
        self.channel.held() + self.web.as_ref().map_or(0, |web| web.held())
    }

    /// Returns in how many pieces the bytes came that were opened since it was asked last; `reads` is how often the socket
    /// gave some.
    pub(crate) fn take_pieces(&mut self, reads: usize) -> usize {
        let pieces = self.channel.take_pieces(reads);
        self.web.as_mut().map_or(pieces, |web| web.take_frames().max(pieces))
    }

    /// Takes what the socket gave, with the restored bytes in front; appends what there is to answer to `out`, also if it
    /// fails, and returns the bytes of MQTT, which lie in `wire` or in `plain`.
    pub(crate) fn open<'a>(
        &mut self,
        wire: &'a mut [u8],
        plain: &'a mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<&'a [u8], TransportFault> {
        let text = self.channel.open(wire, plain, out)?;
        let Some(web) = &mut self.web else { return Ok(text) };
        let mut said = Vec::new();
        let opened = web.open(text, &mut said);
        self.channel.seal(&said, out)?;
        opened.map(|length| &text[..length]).map_err(TransportFault::Web)
    }

    /// Appends `text`, as it goes over the wire, to `out`: one call per tick, for each makes a frame and records of its
    /// own.
    pub(crate) fn seal(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), TransportFault> {
        if self.web.is_none() {
            return Ok(self.channel.seal(text, out)?);
        }
        let mut framed = Vec::new();
        if self.begin(text.len(), &mut framed) {
            framed.extend_from_slice(text);
        }
        self.seal_framed(&framed, out)
    }

    /// Appends to `framed` what goes before `length` bytes of MQTT, which the caller puts behind it; false if nothing may
    /// be said any more.
    pub(crate) fn begin(&self, length: usize, framed: &mut Vec<u8>) -> bool {
        self.web.as_ref().is_none_or(|web| web.begin_frame(length, framed))
    }

    /// Appends what [`Transport::begin`] began, as it goes over the wire, to `out`.
    pub(crate) fn seal_framed(&mut self, framed: &[u8], out: &mut Vec<u8>) -> Result<(), TransportFault> {
        Ok(self.channel.seal(framed, out)?)
    }

    /// Appends the end to `out`, where there is one: nothing cut off afterwards can look like an end.
    pub(crate) fn seal_end(&mut self, ending: Ending, out: &mut Vec<u8>) -> Result<(), TransportFault> {
        if let Some(web) = &mut self.web {
            let mut said = Vec::new();
            let code = match ending {
                Ending::Done => CloseCode::NORMAL,
                Ending::Stopping => CloseCode::GOING_AWAY,
            };
            web.close(code, &mut said);
            self.channel.seal(&said, out)?;
        }
        Ok(self.channel.seal_end(out)?)
    }

    /// Tells whether it has an end that its peer waits for, beside that of the connection.
    pub(crate) fn has_farewell(&self) -> bool {
        self.web.is_some()
    }

    /// Tells whether the TLS handshake is over, where there is one.
    pub(crate) fn is_established(&self) -> bool {
        self.channel.is_established()
    }

    /// Tells whether the peer has ended it in order.
    pub(crate) fn is_closed_by_peer(&self) -> bool {
        self.channel.is_closed_by_peer() || self.web.as_ref().is_some_and(|web| web.is_closed_by_peer())
    }

    /// Returns the certificate that the client showed, also if the session was resumed.
    pub(crate) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.channel.peer_certificate()
    }

    /// Returns the certificate with what the client sent along with it, leaf first.
    pub(crate) fn peer_chain(&self) -> Option<&[CertificateDer<'static>]> {
        self.channel.peer_chain()
    }

    /// Returns what was read of the ClientHello.
    pub(crate) fn hello(&self) -> Option<&Hello> {
        self.channel.hello()
    }
}
