//! The decoders of this crate that meet foreign bytes, opened to the fuzz targets alone.

use crate::backup::archive::{ArchiveError, ArchiveWriter, Survey, survey};
use crate::control::{CallError, Refusal, client, limits::CONTROL_REQUEST_BYTES, line, socket};

use crate::plane::tls::channel::{Channel, TlsFault};
use crate::plane::tls::fragment::Fragment;
use crate::plane::tls::{TlsSettings, certificate, hello, version1};
use crate::plane::websocket::WebSocket;
use crate::plane::{Entrance, TlsError, TlsMaterial, WebSocketFault};
use keyward_ids::{CertSerial, DeviceId, KeyId};
use keyward_mqtt::time::UnixMillis;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ServerConfig;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

/// Is what the first bytes of a connection say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Which name was asked for, if any.
    pub asked: Option<String>,
    /// Tells that it speaks TLS before 1.2 only.
    pub is_old: bool,
    /// The most bytes of application data in a record that it is sent; `None` if it asks for something odd.
    pub fragment: Option<usize>,
}

/// Reads the first bytes of a connection; `None` while the hello is not whole, or if it is none.
pub fn client_hello(wire: &[u8]) -> Option<Hello> {
    let _ = hello::Dialect::of(wire);
    let hello::Reading::Whole(hello) = hello::read(wire) else { return None };
    let fragment = (hello.fragment != Fragment::Odd).then_some(hello.fragment.bytes());
    Some(Hello { asked: hello.asked.map(|asked| asked.as_text()), is_old: hello.is_old, fragment })
}

/// Is what the door reads of a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its serial number.
    pub serial: CertSerial,
    /// Its public key.
    pub key: KeyId,
    /// Its common name.
    pub common_name: String,
    /// Whether it is valid at the time that was asked for.
    pub is_valid: bool,
}

/// Reads a client's certificate as the door does after the verifier; also what it would name as a server's. `None` if
/// it cannot be read.
pub fn client_certificate(der: &[u8], at: UnixMillis) -> Option<ClientCertificate> {
    let der = CertificateDer::from(der);
    let names = certificate::ServerNames::of(&der);
    let _ = names.holds_name("mqtt.home");
    let shown = certificate::ClientCertificate::read(&der)?;
    let is_valid = shown.is_valid_at(at);
    Some(ClientCertificate { serial: shown.serial, key: shown.key, common_name: shown.common_name, is_valid })
}

/// Is what the verifier reads of a certificate of version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version1 {
    /// Its serial number, without leading zeros.
    pub serial: Vec<u8>,
    /// The name of its issuer, in DER.
    pub issuer: Vec<u8>,
    /// When it begins and ends, in seconds since 1970.
    pub validity: (i64, i64),
    /// Its public key, in DER.
    pub key: Vec<u8>,
}

/// Reads a certificate of version 1; `None` if it is none.
pub fn version1_certificate(der: &[u8]) -> Option<Version1> {
    let read = version1::Certificate::read(der)?;
    let [serial, issuer, key] = [read.serial, read.issuer, read.key].map(<[u8]>::to_vec);
    Some(Version1 { serial, issuer, validity: read.validity, key })
}

/// Tells whether a certificate of version 1 is taken under this one of a trusted authority, at this time.
pub fn takes_version1(root: &[u8], der: &[u8], at: Duration) -> bool {
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    let issuer = version1::Issuer::read(&CertificateDer::from(root), &[], algorithms);
    let Ok(Some(issuer)) = issuer else { return false };
    issuer.verify(&CertificateDer::from(der), UnixTime::since_unix_epoch(at)).is_ok()
}

/// Is the server's end of TLS links, as a listener has it.
pub struct TlsServer(Arc<ServerConfig>);

impl TlsServer {
    /// Makes a listener's settings; certificates of clients are optional.
    ///
    /// # Errors
    /// [`TlsError`] if the material does not fit together.
    pub fn new(material: TlsMaterial) -> Result<Self, TlsError> {
        Ok(Self(TlsSettings::new(material)?.configure("mqtts", &Entrance::default(), 16)?.config))
    }

    /// Accepts a connection; `None` if the library refuses.
    pub fn accept(&self) -> Option<TlsLink> {
        Channel::tls(Arc::clone(&self.0)).ok().map(TlsLink)
    }
}

/// Is the server's end of one TLS link.
pub struct TlsLink(Channel);

impl TlsLink {
    /// Takes bytes from the socket, appends the bytes of MQTT to `plain` and what goes back to the peer to `out`.
    ///
    /// # Errors
    /// A text if the link cannot go on.
    pub fn receive(&mut self, bytes: &[u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), String> {
        let mut wire = vec![0; self.0.held()];
        self.0.restore(&mut wire);
        wire.extend_from_slice(bytes);
        let fault = |fault: TlsFault| format!("{fault:?}");
        plain.extend_from_slice(self.0.open(&mut wire, &mut Vec::new(), out).map_err(fault)?);
        Ok(())
    }

    /// Seals `text` as the broker does at the end of a tick.
    ///
    /// # Errors
    /// A text if the link cannot go on.
    pub fn send(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        self.0.seal(text, out).map_err(|fault| format!("{fault:?}"))
    }

    /// Returns how many bytes the link holds that are no whole record.
    pub fn held(&self) -> usize {
        self.0.held()
    }

    /// Tells whether MQTT can flow.
    pub fn is_established(&self) -> bool {
        self.0.is_established()
    }

    /// Returns the certificate that the client showed.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.0.peer_certificate().map(|der| der.as_ref())
    }
}

/// Reads lines that come in pieces of `piece` bytes as requests. Returns how each ended: taken or refused.
pub fn control_requests(bytes: &[u8], piece: usize) -> Vec<Result<(), Refusal>> {
    let mut source = Pieces { bytes, piece };
    let mut lines = line::Lines::new(CONTROL_REQUEST_BYTES);
    core::iter::from_fn(|| lines.next(&mut source).ok().map(|line| socket::parse(&line).map(drop))).collect()
}

/// Is the server's end of one WebSocket.
pub struct WebSocketLink(WebSocket);

impl WebSocketLink {
    /// Takes in a connection and waits for its request.
    pub fn accept() -> Self {
        Self(WebSocket::new(Arc::default()))
    }

    /// Takes bytes, returns what they carry for MQTT, and appends what there is to answer to `said`.
    ///
    /// # Errors
    /// [`WebSocketFault`] as the door and the workers meet it.
    pub fn open(&mut self, bytes: &[u8], said: &mut Vec<u8>) -> Result<Vec<u8>, WebSocketFault> {
        let mut wire = bytes.to_vec();
        let length = self.0.open(&mut wire, said)?;
        wire.truncate(length);
        Ok(wire)
    }

    /// Tells whether the peer has closed in order.
    pub fn is_closed_by_peer(&self) -> bool {
        self.0.is_closed_by_peer()
    }

    /// Returns how many bytes it holds of what is not whole.
    pub fn held(&self) -> usize {
        self.0.held()
    }
}

/// Reads an answer of the control socket; returns it as the broker would write it.
///
/// # Errors
/// [`CallError`] if it is a refusal or not understood.
pub fn control_answer(line: &[u8]) -> Result<Vec<u8>, CallError> {
    let response = client::read(line)?;
    let mut written = Vec::new();
    line::write(&mut written, &socket::Answer::of(&Ok(response)))?;
    Ok(written)
}

/// Reads a backup that is not encrypted, or no longer.
///
/// # Errors
/// [`ArchiveError`] if it is not as it was written.
pub fn backup(bytes: &[u8]) -> Result<Survey, ArchiveError> {
    survey(&mut &*bytes)
}

/// Packs files into a backup whose headers and digests are right; `None` if none can have such a name.
pub fn packed_backup(manifest: &[u8], files: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let mut archive = ArchiveWriter::begin_with(Vec::new(), manifest, 0).ok()?;
    files.iter().try_for_each(|(name, bytes)| archive.file(name, bytes)).ok()?;
    Some(archive.finish().ok()?.0)
}

struct Pieces<'a> {
    bytes: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.piece.min(buffer.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.bytes = later;
        Ok(count)
    }
}

/// Reads what a device says as the watch does. Returns how many things that tells.
pub fn device_payload(device: &DeviceId, topic: &str, payload: &[u8]) -> usize {
    let told = crate::watch::told(device, topic, payload).len();
    let values = crate::watch::values(topic, payload);
    assert!(values.iter().all(|(name, value)| name.len() <= 200 && value.is_finite()));
    told
}

/// Reads what a watch has learned; `None` if it cannot be read. What is read can be written and lived with.
pub fn learned_file(bytes: &[u8]) -> Option<usize> {
    let mut watch = crate::watch::decode_learned(bytes).ok()?;
    let at = watch.now();
    watch.handle(at, &keyward_watch::Event::Restarted);
    watch.handle_timeout(at);
    crate::watch::encode_learned(&watch).ok().map(|bytes| bytes.len())
}

/// Reads a watch without the head of its file; tells whether it can be read.
pub fn learned_body(body: &[u8]) -> bool {
    crate::watch::decode_learned_body(body).is_ok()
}

/// Plays a recording; returns how many events it held, `None` if it cannot be played to its end.
pub fn recording(text: &[u8]) -> Option<u64> {
    crate::watch::replay(text, drop).ok().map(|played| played.events)
}

/// Reads a file of what waits to be told as a start does. Returns how much of it waits for somebody; `None` if it is none.
pub fn notices_file(text: &[u8]) -> Option<usize> {
    crate::notify::decode_notices(text).ok()
}

/// Reads what a mail server answers. Returns how many bytes that takes; `None` if it is none, or not whole.
pub fn smtp_answer(bytes: &[u8]) -> Option<usize> {
    let length = crate::notify::decode_smtp_answer(bytes)?;
    assert!(length <= bytes.len());
    Some(length)
}

/// Reads a file of incidents as a start does, and lives on with it for a while. Returns how many it holds; `None` if it is none.
pub fn incidents_file(text: &[u8]) -> Option<usize> {
    let (mut incidents, _) = crate::watch::decode_incidents(text).ok()?;
    let count = incidents.all().count();
    for _ in 0..1_000 {
        let Some(at) = incidents.poll_timeout() else { break };
        incidents.handle_timeout(at);
    }
    while incidents.poll_change().is_some() {}
    Some(count)
}

/// Reads what a device answers for its rolling secret, and the file that the server keeps of these.
pub fn rolling_secrets(bytes: &[u8]) {
    let _ = crate::ratchet::read(bytes);
    let _ = crate::ratchet::decode(bytes);
}
