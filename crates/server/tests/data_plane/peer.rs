//! A client that sends exactly the bytes that a test wants.

use crate::frames::Framed;
use crate::world::{Bundle, PATIENCE, World};
use keyward_mqtt::codec::{self, Sender};
use keyward_mqtt::frame;
use keyward_mqtt::packet::{
    Connect, Delivery, Packet, PacketId, Publish, Subscribe, SubscribeFilters, SubscribeOptions, Version,
};
use keyward_mqtt::property::{ConnectProperties, PublishProperties, SubscribeProperties};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicName;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

pub(crate) trait Stream: Read + Write + Send {
    fn is_resumed(&self) -> bool;
}

impl Stream for TcpStream {
    fn is_resumed(&self) -> bool {
        false
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn is_resumed(&self) -> bool {
        self.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

impl Stream for Box<dyn Stream> {
    fn is_resumed(&self) -> bool {
        (**self).is_resumed()
    }
}

pub(crate) struct Peer {
    stream: Box<dyn Stream>,
    pub(crate) socket: TcpStream,
    version: Version,
    buffer: Vec<u8>,
}

/// What a CONNECT says.
#[derive(Clone)]
pub(crate) struct Hello<'a> {
    pub(crate) version: Version,
    pub(crate) client_id: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    pub(crate) keep_alive: u16,
    /// For how long the session stays; it is resumed if that is not 0.
    pub(crate) session_expiry: u32,
}

impl Default for Hello<'_> {
    fn default() -> Self {
        let (version, client_id) = (Version::V5, "c1");
        Self { version, client_id, username: None, password: None, keep_alive: 60, session_expiry: 0 }
    }
}

impl Hello<'_> {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let connect = Connect {
            version: self.version,
            clean_start: self.session_expiry == 0,
            keep_alive: self.keep_alive,
            client_id: self.client_id,
            will: None,
            username: self.username,
            password: self.password.map(str::as_bytes),
            properties: ConnectProperties {
                session_expiry: (self.session_expiry > 0).then_some(self.session_expiry),
                ..ConnectProperties::default()
            },
        };
        encode(&Packet::Connect(connect), self.version)
    }
}

pub(crate) fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(packet, version, &mut bytes).unwrap();
    bytes
}

pub(crate) fn publish(topic: &str, payload: &[u8], id: Option<u16>) -> Vec<u8> {
    let delivery = match id {
        None => Delivery::AtMostOnce,
        Some(id) => Delivery::AtLeastOnce(packet_id(id)),
    };
    let topic = Some(TopicName::parse(topic).unwrap());
    let properties = PublishProperties::default();
    let packet = Publish { dup: false, delivery, retain: false, topic, properties, payload };
    encode(&Packet::Publish(packet), Version::V5)
}

pub(crate) fn subscribe(filter: &str, id: u16) -> Vec<u8> {
    let filters = [(filter, SubscribeOptions::default())];
    let packet = Subscribe {
        id: packet_id(id),
        properties: SubscribeProperties::default(),
        filters: SubscribeFilters::List(&filters),
    };
    encode(&Packet::Subscribe(packet), Version::V5)
}

fn packet_id(id: u16) -> PacketId {
    PacketId(id.try_into().unwrap())
}

/// Makes the client's side of TLS, trusting `ca_pem` only.
pub(crate) fn tls_config(ca_pem: &str, bundle: Option<&Bundle>) -> Arc<ClientConfig> {
    tls_config_of(ca_pem, bundle, rustls::DEFAULT_VERSIONS)
}

/// Makes the client's side of TLS in some versions only.
pub(crate) fn tls_config_of(
    ca_pem: &str,
    bundle: Option<&Bundle>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let config = match bundle {
        None => builder.with_no_client_auth(),
        // rustls itself would show no certificate of version 1, and none that its key does not fit.
        Some(bundle) => {
            let key = any_supported_type(&bundle.key).unwrap();
            let certified = CertifiedKey::new(bundle.chain.clone(), key);
            builder.with_client_cert_resolver(Arc::new(Shows(Arc::new(certified))))
        }
    };
    Arc::new(config)
}

/// Shows what it has, whatever it is.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Peer {
    pub(crate) fn plain(address: SocketAddr) -> Self {
        let socket = connect(address);
        let stream = Box::new(socket.try_clone().unwrap());
        Self { stream, socket, version: Version::V5, buffer: Vec::new() }
    }

    pub(crate) fn tls(world: &World, bundle: Option<&Bundle>) -> Self {
        Self::tls_to(world.tls, "localhost", tls_config(&world.ca_pem(), bundle))
    }

    pub(crate) fn tls_to(address: SocketAddr, name: &str, config: Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(config, name).unwrap();
        let socket = connect(address);
        let stream = StreamOwned::new(connection, socket.try_clone().unwrap());
        Self { stream: Box::new(stream), socket, version: Version::V5, buffer: Vec::new() }
    }

    /// Speaks over WebSocket.
    pub(crate) fn web(world: &World) -> Self {
        Self::web_to(world.ws)
    }

    /// Speaks over WebSocket at an address.
    pub(crate) fn web_to(address: SocketAddr) -> Self {
        let socket = connect(address);
        let stream = Box::new(Framed::begin(socket.try_clone().unwrap()));
        Self { stream, socket, version: Version::V5, buffer: Vec::new() }
    }

    /// Speaks over WebSocket over TLS.
    pub(crate) fn secure_web(world: &World, bundle: Option<&Bundle>) -> Self {
        let mut peer = Self::tls_to(world.wss, "localhost", tls_config(&world.ca_pem(), bundle));
        peer.stream = Box::new(Framed::begin(peer.stream));
        peer
    }

    /// Sends CONNECT and returns the code of CONNACK.
    pub(crate) fn hello(&mut self, hello: &Hello<'_>) -> ReasonCode {
        self.version = hello.version;
        self.send(&hello.bytes());
        self.connack()
    }

    /// Logs in with the defaults, and must be let in.
    pub(crate) fn log_in(mut self, client_id: &str) -> Self {
        let code = self.hello(&Hello { client_id, ..Hello::default() });
        assert_eq!(code, ReasonCode::Success);
        self
    }

    pub(crate) fn connack(&mut self) -> ReasonCode {
        let frame = self.frame().expect("CONNACK before the end");
        match self.decode(&frame) {
            Packet::ConnAck(ack) => ack.reason,
            other => panic!("not CONNACK: {other:?}"),
        }
    }

    /// Tells whether its TLS session goes on from an earlier connection.
    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.is_resumed()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends as much as the socket takes.
    pub(crate) fn try_send_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    pub(crate) fn decode<'a>(&self, frame: &'a [u8]) -> Packet<'a> {
        codec::decode(self.version, Sender::Server, frame).unwrap()
    }

    /// Returns the next packet, or `None` when the broker closes.
    pub(crate) fn frame(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(header) = frame::peek(&self.buffer).unwrap()
                && self.buffer.len() >= header.total_len
            {
                return Some(self.buffer.drain(..header.total_len).collect());
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing came in {PATIENCE:?}"),
                Err(_) => return None,
            }
        }
    }

    /// Takes packets until the broker closes, and returns them.
    pub(crate) fn rest(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.frame()).collect()
    }

    /// Reads raw bytes and throws them away; false at the end.
    pub(crate) fn raw(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 4096]), Ok(1..))
    }

    /// Tells whether it is open, whatever it is told meanwhile.
    pub(crate) fn try_alive(&mut self) -> bool {
        let ping = encode(&Packet::PingReq, self.version);
        self.try_send(&ping).is_ok() && self.frame().is_some()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        let ping = encode(&Packet::PingReq, self.version);
        self.try_send(&ping).is_ok()
            && self.frame().is_some_and(|frame| matches!(self.decode(&frame), Packet::PingResp))
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}
