//! What lies between the socket and MQTT: nothing, or TLS. No socket is touched here, so that a link is a value that
//! can move from the door to a worker.

use crate::plane::limits::HANDSHAKE_BYTES;
use crate::plane::tls::fragment::{Fragment, RECORD_BYTES};
use crate::plane::tls::hello::{self, Dialect, Hello, Progress, Reading};
use crate::plane::tls::sealing::{Sealed, encode, seal_into};
use rustls::pki_types::CertificateDer;
use rustls::server::{ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Is the layer between a socket and the MQTT bytes of one link.
pub(crate) enum Channel {
    /// The bytes of the socket are MQTT.
    Plain,
    /// The bytes of the socket are TLS records.
    Tls(Box<TlsChannel>),
}

/// Says why a TLS channel cannot go on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TlsFault {
    /// The peer does not speak TLS at all.
    NotTls(Dialect),
    /// A handshake message is longer than [`HANDSHAKE_BYTES`].
    TooLong,
    /// The hello asks for records of a length that no standard allows.
    OddFragment,
    /// The TLS library gave up.
    Library(rustls::Error),
}

impl From<rustls::Error> for TlsFault {
    fn from(error: rustls::Error) -> Self {
        Self::Library(error)
    }
}

impl Channel {
    /// Starts the server's side of TLS.
    pub(crate) fn tls(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self::Tls(Box::new(TlsChannel {
            connection,
            partial: Vec::new(),
            records: 0,
            hello: None,
            progress: Progress::default(),
            fragment: RECORD_BYTES,
            established: false,
            peer_closed: false,
        })))
    }

    /// Copies the bytes of an unfinished record to the front of `buffer` and returns how many they are; what is read
    /// next from the socket goes behind them.
    pub(crate) fn restore(&mut self, buffer: &mut [u8]) -> usize {
        match self {
            Self::Plain => 0,
            Self::Tls(tls) => {
                let partial = std::mem::take(&mut tls.partial);
                buffer[..partial.len()].copy_from_slice(&partial);
                partial.len()
            }
        }
    }

    /// Takes restored bytes back after a read that gave nothing behind them.
    pub(crate) fn keep(&mut self, restored: &[u8]) {
        if let Self::Tls(tls) = self {
            tls.partial = restored.to_vec();
        }
    }

    /// Returns how many bytes [`Channel::restore`] will copy.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Tls(tls) => tls.partial.len(),
        }
    }

    /// Returns in how many pieces the bytes came that were opened since it was asked last; `reads` is how often the socket
    /// gave some.
    pub(crate) fn take_pieces(&mut self, reads: usize) -> usize {
        match self {
            Self::Plain => reads,
            Self::Tls(tls) => std::mem::take(&mut tls.records).max(reads),
        }
    }

    /// Takes what the socket gave, with the restored bytes in front; appends what TLS has to answer to `out` and
    /// returns the bytes of MQTT, which lie in `wire` or in `plain`.
    pub(crate) fn open<'a>(
        &mut self,
        wire: &'a mut [u8],
        plain: &'a mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<&'a mut [u8], TlsFault> {
        match self {
            Self::Plain => Ok(wire),
            Self::Tls(tls) => {
                plain.clear();
                tls.open(wire, plain, out)?;
                Ok(plain)
            }
        }
    }

    /// Appends `text`, as it goes over the wire, to `out`: one call per tick, for each makes records of its own.
    pub(crate) fn seal(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
        match self {
            Self::Plain => out.extend_from_slice(text),
            Self::Tls(tls) => tls.seal(Sealed::Text(text), out)?,
        }
        Ok(())
    }

    /// Appends the end of the channel to `out`, where it has one: nothing cut off afterwards can look like an end.
    pub(crate) fn seal_end(&mut self, out: &mut Vec<u8>) -> Result<(), TlsFault> {
        match self {
            Self::Plain => Ok(()),
            Self::Tls(tls) => tls.seal(Sealed::End, out),
        }
    }

    /// Tells whether MQTT can flow.
    pub(crate) fn is_established(&self) -> bool {
        match self {
            Self::Plain => true,
            Self::Tls(tls) => tls.established,
        }
    }

    /// Tells whether the peer has ended the channel in order (close_notify).
    pub(crate) fn is_closed_by_peer(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.peer_closed)
    }

    /// Returns the certificate that the client showed, also if the session was resumed.
    pub(crate) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.peer_chain()?.first()
    }

    /// Returns the certificate with what the client sent along with it, leaf first.
    pub(crate) fn peer_chain(&self) -> Option<&[CertificateDer<'static>]> {
        match self {
            Self::Plain => None,
            Self::Tls(tls) => tls.connection.peer_certificates(),
        }
    }

    /// Returns what was read of the ClientHello.
    pub(crate) fn hello(&self) -> Option<&Hello> {
        match self {
            Self::Plain => None,
            Self::Tls(tls) => tls.hello.as_ref(),
        }
    }
}

/// Is TLS driven by us over rustls' unbuffered connection: half the memory of the buffered one per idle link.
pub(crate) struct TlsChannel {
    connection: UnbufferedServerConnection,
    /// The bytes of a record, or of a handshake message, that is not whole yet.
    partial: Vec<u8>,
    /// Records with bytes of MQTT that were opened and not asked for yet.
    records: usize,
    hello: Option<Hello>,
    /// How much of the hello has come.
    progress: Progress,
    /// The most bytes of application data that the peer takes in one record.
    fragment: usize,
    established: bool,
    peer_closed: bool,
}

impl TlsChannel {
    fn open(&mut self, wire: &mut [u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), TlsFault> {
        let whole = self.hello.is_some() || self.established || self.greet(wire, out)?;
        let used = if whole { self.drive(wire, plain, out, Sealed::Nothing)? } else { 0 };
        let rest = &wire[used..];
        if rest.len() > HANDSHAKE_BYTES {
            return Err(TlsFault::TooLong);
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    /// Reads the hello; tells whether rustls may have what is there. It does not get part of a hello: it would push the
    /// parts together in our buffer, and what comes to our eyes then is no hello any more.
    fn greet(&mut self, wire: &[u8], out: &mut Vec<u8>) -> Result<bool, TlsFault> {
        /// A fatal alert in the clear, as all is before a ServerHello: illegal_parameter (RFC 8446 §6.2).
        const ILLEGAL_PARAMETER: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 47];
        match Dialect::of(wire) {
            None => return Ok(false),
            Some(Dialect::Tls) => {}
            Some(other) => return Err(TlsFault::NotTls(other)),
        }
        if self.progress.is_coming(wire) {
            return Ok(false);
        }
        let hello = match hello::read(wire) {
            Reading::Whole(hello) => hello,
            Reading::Coming => return Ok(false),
            Reading::Strange => {
                self.progress = Progress::default(); // What rustls takes of it is not there the next time.
                return Ok(true);
            }
        };
        if hello.fragment == Fragment::Odd {
            out.extend_from_slice(&ILLEGAL_PARAMETER);
            return Err(TlsFault::OddFragment);
        }
        self.fragment = hello.fragment.bytes();
        self.hello = Some(hello);
        Ok(true)
    }

    fn seal(&mut self, sealed: Sealed<'_>, out: &mut Vec<u8>) -> Result<(), TlsFault> {
        // The unfinished record goes along: rustls remembers places in it.
        let mut partial = std::mem::take(&mut self.partial);
        let used = self.drive(&mut partial, &mut Vec::new(), out, sealed)?;
        partial.drain(..used);
        self.partial = partial;
        Ok(())
    }

    /// Runs rustls until it wants more bytes or has sealed what it was given; returns how much of `wire` is done with.
    ///
    /// Its deframer panics rather than fails when it has lost its place. A peer that finds a way there costs itself its
    /// link, not everybody the broker; the connection is not used again.
    fn drive(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
        sealed: Sealed<'_>,
    ) -> Result<usize, TlsFault> {
        catch_unwind(AssertUnwindSafe(|| self.run(wire, plain, out, sealed)))
            .unwrap_or_else(|_| Err(rustls::Error::General("the TLS library panicked".into()).into()))
    }

    fn run(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
        mut sealed: Sealed<'_>,
    ) -> Result<usize, TlsFault> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut wire[used..]);
            let mut discard = discard;
            let mut idle = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        self.records += 1;
                        plain.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out)?,
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                Ok(ConnectionState::WriteTraffic(traffic)) => {
                    self.established = true;
                    let sealed = std::mem::replace(&mut sealed, Sealed::Nothing);
                    seal_into(traffic, sealed, self.fragment, out)?;
                    idle = true;
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => idle = true,
                Ok(_) => return Err(rustls::Error::General("state that is never asked for".into()).into()),
                Err(error) => {
                    self.take_alert(out);
                    return Err(error.into());
                }
            }
            used += discard;
            if idle {
                return Ok(used);
            }
        }
    }

    /// Appends the alert that rustls has ready after an error. It is asked only while it has bytes to send: else it
    /// would look into a buffer again in which it remembers places, and panic.
    fn take_alert(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            match self.connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    if encode(&mut data, out).is_err() {
                        return;
                    }
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => while traffic.next_record().is_some() {},
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::server::ResolvesServerCertUsingSni;

    fn channel() -> Channel {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        Channel::tls(Arc::new(config)).unwrap()
    }

    fn open(channel: &mut Channel, bytes: &[u8]) -> Result<Vec<u8>, TlsFault> {
        let mut wire = vec![0; channel.held()];
        channel.restore(&mut wire);
        wire.extend_from_slice(bytes);
        let mut out = Vec::new();
        channel.open(&mut wire, &mut Vec::new(), &mut out)?;
        Ok(out)
    }

    // Asking rustls for its alert with an empty buffer, after it had seen half a handshake message, made it panic.
    #[test]
    fn half_a_handshake_message_before_a_bad_record_is_an_error_and_no_panic() {
        let mut channel = channel();
        let half_hello = [&[0x16, 3, 1, 0, 8, 1, 0, 2, 0][..], &[0; 4], &[0; 16_000]].concat();
        let fault = open(&mut channel, &half_hello).unwrap_err();
        assert!(matches!(fault, TlsFault::Library(_)), "{fault:?}");
    }

    #[test]
    fn what_is_not_tls_is_named_at_its_first_byte() {
        assert_eq!(open(&mut channel(), &[0x10]), Err(TlsFault::NotTls(Dialect::Mqtt)));
        assert_eq!(open(&mut channel(), b"GET / HTTP/1.1"), Err(TlsFault::NotTls(Dialect::Http)));
        assert_eq!(open(&mut channel(), &[0]), Err(TlsFault::NotTls(Dialect::Unknown)));
    }

    // rustls pushes the parts of a hello together in our buffer; what was read of it afterwards was no hello.
    #[test]
    fn a_hello_is_read_however_its_records_and_its_pieces_are_cut() {
        for cut in [1, 7, 60, 4096] {
            let odd = hello::tests::hello_with(&[0, 1, 0, 1, 9], cut);
            for piece in [1, 3, 41, odd.len()] {
                let mut channel = channel();
                let faults: Vec<TlsFault> =
                    odd.chunks(piece).filter_map(|piece| open(&mut channel, piece).err()).collect();
                assert_eq!(faults, [TlsFault::OddFragment], "records of {cut}, pieces of {piece}");
            }
        }
    }

    #[test]
    fn no_bytes_make_the_channel_panic_however_they_are_cut() {
        let record =
            [&[0x16, 3, 1, 0, 40, 1, 0, 0, 36, 3, 3][..], &[9; 60], &[0x17, 3, 3, 0, 2, 1, 1]].concat();
        for flipped in 0..record.len() {
            for cut in 1..record.len() {
                let mut bytes = record.clone();
                bytes[flipped] ^= 0x5a;
                let mut channel = channel();
                let _ = open(&mut channel, &bytes[..cut]).and_then(|_| open(&mut channel, &bytes[cut..]));
            }
        }
    }
}
