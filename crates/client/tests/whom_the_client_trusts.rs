//! TLS: the client trusts the anchor that it was given and nothing else, and understands how it is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_client::{Client, ClientError, ClientOptions, TlsIdentity, TlsKey, TlsOptions};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

const WELCOME: &[u8] = &[0x20, 3, 0, 0, 0];

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
}

impl Authority {
    fn issue(&self, names: &[&str]) -> TlsIdentity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        TlsIdentity::from_pem(certificate.pem(), key.serialize_pem().into_bytes())
    }
}

/// Serves one client over TLS and welcomes it. With `clients`, a certificate of that authority is demanded.
fn serve(identity: &TlsIdentity, clients: Option<&Authority>) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = CertificateDer::pem_slice_iter(&identity.chain_pem).map(Result::unwrap).collect();
    let TlsKey::Pem(key) = &identity.key else { panic!("the authority makes keys in memory") };
    let key = PrivateKeyDer::from_pem_slice(key).unwrap();
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut tls = ServerConnection::new(config).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        let mut bytes = [0; 256];
        // A client that does not come through is what the test looks at from its own side.
        if stream.read(&mut bytes).is_ok() && stream.write_all(WELCOME).is_ok() {
            while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
        }
    });
    port
}

fn options(port: u16, anchor: &Authority, identity: Option<TlsIdentity>) -> ClientOptions {
    let mut options = ClientOptions::new("127.0.0.1", port);
    options.timeout = Duration::from_secs(5);
    options.tls = Some(TlsOptions {
        roots_pem: anchor.pem.clone().into_bytes(),
        identity,
        server_name: Some("localhost".to_owned()),
    });
    options
}

#[test]
fn mutual_tls_succeeds_with_the_right_authorities() {
    let (servers, devices) = (authority(), authority());
    let port = serve(&servers.issue(&["localhost"]), Some(&devices));
    let client = Client::connect(&options(port, &servers, Some(devices.issue(&[])))).unwrap();
    client.disconnect().unwrap();
}

#[test]
fn a_server_of_another_authority_is_not_trusted() {
    let (servers, others) = (authority(), authority());
    let port = serve(&others.issue(&["localhost"]), None);
    let error = Client::connect(&options(port, &servers, None)).err().unwrap();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error}");
    assert!(error.to_string().contains("ca.pem"), "{error}");
}

#[test]
fn a_server_without_the_name_is_not_trusted_and_the_remedy_is_named() {
    let servers = authority();
    let port = serve(&servers.issue(&["elsewhere.example"]), None);
    let error = Client::connect(&options(port, &servers, None)).err().unwrap();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error}");
    assert!(error.to_string().contains("keyward server name add"), "{error}");
}

#[test]
fn the_alert_of_a_server_that_demands_a_certificate_is_understood() {
    let (servers, devices) = (authority(), authority());
    let port = serve(&servers.issue(&["localhost"]), Some(&devices));
    let error = Client::connect(&options(port, &servers, None)).err().unwrap();
    assert!(matches!(&error, ClientError::Alert { alert } if alert == "certificate_required"), "{error}");
}

#[test]
fn the_alert_of_a_server_that_does_not_know_the_authority_is_understood() {
    let (servers, devices, others) = (authority(), authority(), authority());
    let port = serve(&servers.issue(&["localhost"]), Some(&devices));
    let error = Client::connect(&options(port, &servers, Some(others.issue(&[])))).err().unwrap();
    assert!(matches!(&error, ClientError::Alert { .. }), "{error}");
}

#[test]
fn a_plain_server_is_told_from_one_that_speaks_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let mut bytes = [0; 64];
        while socket.read(&mut bytes).is_ok_and(|count| count > 0) {}
    });
    let error = Client::connect(&options(port, &authority(), None)).err().unwrap();
    assert!(matches!(error, ClientError::Tls(_)), "{error}");
}

#[test]
fn credentials_that_are_no_credentials_are_named() {
    let right = authority();
    let broken = |change: &dyn Fn(&mut TlsOptions)| {
        let port = serve(&right.issue(&["localhost"]), None);
        let mut options = options(port, &right, Some(right.issue(&[])));
        change(options.tls.as_mut().unwrap());
        Client::connect(&options).err().unwrap()
    };
    let anchor = broken(&|tls| tls.roots_pem = b"no PEM".to_vec());
    assert!(anchor.to_string().contains("trust anchor"), "{anchor}");
    let chain = broken(&|tls| tls.identity.as_mut().unwrap().chain_pem = Vec::new());
    assert!(chain.to_string().contains("certificate"), "{chain}");
    let other = right.issue(&[]);
    let mismatch = broken(&|tls| tls.identity.as_mut().unwrap().key = other.key.clone());
    assert!(mismatch.to_string().contains("private key"), "{mismatch}");
}

/// Shows a chain with its root behind it, and says what the client sent after the handshake.
fn serve_with_root(authority: &Authority) -> (u16, [u8; 32]) {
    let mut identity = authority.issue(&["localhost"]);
    identity.chain_pem.extend_from_slice(authority.pem.as_bytes());
    let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &root);
    (serve(&identity, None), digest.as_ref().try_into().unwrap())
}

#[test]
fn a_root_that_is_known_by_its_fingerprint_alone_is_trusted() {
    let (port, fingerprint) = serve_with_root(&authority());
    let client = Client::connect_to_root(&ClientOptions::new("localhost", port), &fingerprint).unwrap();
    client.disconnect().unwrap();
}

#[test]
fn a_server_with_another_root_is_not_spoken_to() {
    let (port, _) = serve_with_root(&authority());
    let (_, other) = serve_with_root(&authority());
    let error = Client::connect_to_root(&ClientOptions::new("localhost", port), &other).err().unwrap();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error}");
    assert!(error.to_string().contains("its root is not the one that the claim names"), "{error}");
}

#[test]
fn a_chain_that_only_ends_in_the_root_is_not_believed() {
    let (ours, strangers) = (authority(), authority());
    let mut identity = strangers.issue(&["localhost"]);
    identity.chain_pem.extend_from_slice(ours.pem.as_bytes());
    let root = CertificateDer::from_pem_slice(ours.pem.as_bytes()).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &root);
    let options = ClientOptions::new("localhost", serve(&identity, None));
    let error = Client::connect_to_root(&options, &digest.as_ref().try_into().unwrap()).err().unwrap();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error}");
}
