//! The TLS channel as a peer meets it: a real client whose bytes the input cuts and damages.

use crate::script::Script;
use keyward_server::decoders::{TlsLink, TlsServer};
use keyward_server::plane::TlsMaterial;
use keyward_server::plane::limits::HANDSHAKE_BYTES;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ED25519};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

/// What the client says once it can: longer than a record, so that what is left out would be missed.
static SAID: [u8; 20_000] = {
    let mut said = [0; 20_000];
    let mut at = 0;
    while at < said.len() {
        said[at] = (at % 251) as u8;
        at += 1;
    }
    said
};

/// What the server answers.
const ANSWERED: &[u8] = b"and good day to you";

/// The most bytes with which a handshake is answered: certificates, tickets, an alert.
const ANSWER_BYTES: usize = 8 * 1024;

/// How many times bytes go to and fro before a link is given up.
const TURNS: usize = 16;

/// Holds both ends of the links to come.
struct Ends {
    server: TlsServer,
    /// TLS 1.3 and 1.2, without and with a certificate.
    clients: [Arc<ClientConfig>; 4],
    certificate: Vec<u8>,
}

fn ends() -> &'static Ends {
    static ENDS: OnceLock<Ends> = OnceLock::new();
    ENDS.get_or_init(|| {
        make_ends().unwrap_or_else(|error| panic!("the target cannot set itself up: {error}"))
    })
}

/// Makes keys of Ed25519: their signatures have one length, so that an input means the same places each time.
fn make_ends() -> Result<Ends, Box<dyn core::error::Error>> {
    let root_key = KeyPair::generate_for(&PKCS_ED25519)?;
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_der = root.self_signed(&root_key)?.der().clone();
    let issuer = Issuer::new(root, root_key);
    let leaf = |name: &str| -> Result<_, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let leaf = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &issuer)?;
        Ok((leaf.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into())))
    };
    let (server, server_key) = leaf("localhost")?;
    let (device, device_key) = leaf("pump")?;
    let material = TlsMaterial {
        chain: vec![server],
        key: server_key,
        root: None,
        device_roots: vec![root_der.clone()],
        device_issuers: Vec::new(),
        trusted: Vec::new(),
        listeners: Vec::new(),
    };
    let mut roots = RootCertStore::empty();
    roots.add(root_der)?;
    let client = |version, shows: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>| {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])?
            .with_root_certificates(roots.clone());
        let mut config = match shows {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key)?,
        };
        // Each input meets the same two strangers.
        config.resumption = rustls::client::Resumption::disabled();
        Ok::<_, rustls::Error>(Arc::new(config))
    };
    let shows = || Some((device.clone(), device_key.clone_key()));
    let clients =
        [client(&TLS13, None)?, client(&TLS12, None)?, client(&TLS13, shows())?, client(&TLS12, shows())?];
    Ok(Ends { server: TlsServer::new(material)?, clients, certificate: device.to_vec() })
}

/// Lets a client speak to the server's end of a link. The first byte chooses the client, or none, then the rest is what
/// the peer sends; the second how its bytes are cut; then come edits of each of its flights. Whatever happens to the
/// bytes: MQTT gets the beginning of what the client said or nothing, a link that nobody touched gets all of it, no
/// certificate appears that was not shown, and what is held and answered stays within its bounds.
pub fn tls_channel(data: &[u8]) {
    let mut script = Script(data);
    let (Some(choice), Some(cut)) = (script.byte(), script.byte()) else { return };
    let Some(link) = ends().server.accept() else { panic!("no link") };
    let mut end = ServerEnd { link, piece: usize::from(cut) + 1, plain: Vec::new(), fault: None };
    match ends().clients.get(usize::from(choice)) {
        None => {
            end.take(script.0);
            assert!(!end.link.is_established(), "a handshake without a key");
        }
        Some(config) => converse(&mut end, config, script, usize::from(choice) >= 2),
    }
}

fn converse(end: &mut ServerEnd, config: &Arc<ClientConfig>, mut script: Script<'_>, shows: bool) {
    let name = ServerName::try_from("localhost").map(|name| ClientConnection::new(config.clone(), name));
    let Ok(Ok(mut client)) = name else { panic!("no client") };
    let (mut said, mut touched, mut heard) = (0, false, Vec::new());
    for _ in 0..TURNS {
        if !client.is_handshaking() && said < SAID.len() {
            said += client.writer().write(&SAID[said..]).unwrap_or(0);
        }
        let mut flight = Vec::new();
        while client.wants_write() && client.write_tls(&mut flight).is_ok() {}
        touched |= damage(&mut script, &mut flight);
        let mut answer = end.take(&flight);
        if end.fault.is_none() && end.link.is_established() && heard.is_empty() {
            end.fault = end.link.send(ANSWERED, &mut answer).err();
        }
        let mut answer = answer.as_slice();
        while !answer.is_empty() && client.read_tls(&mut answer).is_ok_and(|count| count > 0) {
            let taken = client.process_new_packets();
            assert!(touched || taken.is_ok(), "the client refuses what the server says: {taken:?}");
            // An end of the peer is an error here; what was heard before counts.
            let _ = client.reader().read_to_end(&mut heard);
        }
    }
    if !touched {
        assert_eq!(end.fault, None);
        assert!(
            end.plain == SAID && heard == ANSWERED,
            "{} of {} bytes arrived",
            end.plain.len(),
            SAID.len()
        );
        assert_eq!(end.link.peer_certificate().is_some(), shows);
    }
    assert!(SAID.starts_with(&end.plain), "the server heard what nobody said");
    assert!(ANSWERED.starts_with(&heard), "the client heard what nobody said");
    assert!(
        end.link.peer_certificate().is_none_or(|shown| shown == ends().certificate)
            || !end.link.is_established()
    );
}

/// Damages a flight as the script says; tells whether it did.
fn damage(script: &mut Script<'_>, flight: &mut Vec<u8>) -> bool {
    let before = flight.clone();
    for _ in 0..script.byte().unwrap_or(0) % 4 {
        if script.edit(flight).is_none() {
            break;
        }
    }
    before != *flight
}

/// Is the server's end of one link, and what came out of it.
struct ServerEnd {
    link: TlsLink,
    piece: usize,
    plain: Vec<u8>,
    fault: Option<String>,
}

impl ServerEnd {
    /// Takes a flight in pieces; returns what goes back. After a fault nothing is taken.
    fn take(&mut self, flight: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        // Long flights come in long pieces, as they do from a socket.
        for piece in flight.chunks(self.piece.max(flight.len() / 64)) {
            if self.fault.is_some() {
                break;
            }
            self.fault = self.link.receive(piece, &mut self.plain, &mut answer).err();
            assert!(self.link.held() <= HANDSHAKE_BYTES, "{} bytes are held", self.link.held());
        }
        assert!(answer.len() <= ANSWER_BYTES, "an answer of {} bytes", answer.len());
        answer
    }
}
