//! TLS, certificates and messages use the keys of a store without seeing them.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_device::{
    FileStore, Generation, KeyStore, MessageSigner, Opener, Role, SystemRandom, TlsSigner, cose_key,
    signing_request,
};
use keyward_envelope::software::P256Key;
use keyward_envelope::{
    Claims, Content, Context, Direction, Message, PublicKey, Purpose, Sequence, Signer as _, inspect, sign,
    sign_for_recipient,
};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SigningKey as _, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};
use std::sync::Arc;
use tempfile::TempDir;

fn store() -> (TempDir, Arc<dyn KeyStore>) {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(FileStore::create(dir.path().join("keys")).unwrap());
    (dir, store)
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        Arc::new(roots)
    }

    /// Certifies what a device asks for, as a server would: the request proves that it has the key.
    fn certify(&self, request: &str) -> CertificateDer<'static> {
        let request = CertificateSigningRequestParams::from_pem(request).unwrap();
        request.signed_by(&self.issuer).unwrap().der().clone()
    }
}

#[test]
fn a_signing_request_proves_the_key_and_asks_for_nothing_else() {
    let (_dir, store) = store();
    for (subject, written) in [(None, ""), (Some("pump-7"), "CN=pump-7")] {
        let pem = signing_request(&*store, Generation::Current, subject).unwrap();
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        use x509_parser::prelude::FromDer as _;
        let (rest, request) =
            x509_parser::certification_request::X509CertificationRequest::from_der(&block.contents).unwrap();
        assert!(rest.is_empty());
        request.verify_signature().unwrap();
        let info = &request.certification_request_info;
        assert_eq!(info.subject.to_string(), written);
        assert_eq!(
            *info.subject_pki.subject_public_key.data,
            store.public(Role::Tls, Generation::Current).unwrap()
        );
        assert!(request.requested_extensions().is_none_or(|extensions| extensions.count() == 0));
    }
}

#[test]
fn a_device_shows_its_certificate_in_both_versions_of_tls() {
    let (_dir, store) = store();
    let authority = Authority::new();
    let certificate = authority.certify(&signing_request(&*store, Generation::Current, None).unwrap());
    let key = TlsSigner::new(Arc::clone(&store), Generation::Current).unwrap();
    let shown = CertifiedKey::new(vec![certificate.clone()], Arc::new(key));
    shown.keys_match().unwrap();
    let shown = Arc::new(SingleCertAndKey::from(shown));
    for (version, number) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let server = handshake(&authority, Arc::clone(&shown), version);
        assert_eq!(server.protocol_version(), Some(number));
        assert_eq!(server.peer_certificates().unwrap(), std::slice::from_ref(&certificate));
    }
}

/// Lets a client that shows `shown` shake hands with a server that demands it.
fn handshake(
    authority: &Authority,
    shown: Arc<SingleCertAndKey>,
    version: &'static SupportedProtocolVersion,
) -> ServerConnection {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server_key = KeyPair::generate().unwrap();
    let server_certificate = CertificateParams::new(vec!["broker".to_owned()])
        .unwrap()
        .signed_by(&server_key, &authority.issuer)
        .unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(authority.roots(), Arc::clone(&provider))
        .build()
        .unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![server_certificate.der().clone()],
            PrivateKeyDer::from_pem_slice(server_key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_client_cert_resolver(shown);
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut client =
        ClientConnection::new(Arc::new(client), ServerName::try_from("broker").unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        feed(&bytes, |bytes| server.read_tls(bytes));
        server.process_new_packets().unwrap();
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        feed(&bytes, |bytes| client.read_tls(bytes));
        client.process_new_packets().unwrap();
    }
    server
}

fn feed(mut bytes: &[u8], mut read: impl FnMut(&mut dyn std::io::Read) -> std::io::Result<usize>) {
    while !bytes.is_empty() {
        read(&mut bytes).unwrap();
    }
}

#[test]
fn a_key_signs_for_tls_only_as_it_can() {
    let (_dir, store) = store();
    let key = TlsSigner::new(store, Generation::Current).unwrap();
    assert!(key.choose_scheme(&[SignatureScheme::ECDSA_NISTP384_SHA384, SignatureScheme::ED25519]).is_none());
    let signer = key
        .choose_scheme(&[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256])
        .unwrap();
    assert_eq!(signer.scheme(), SignatureScheme::ECDSA_NISTP256_SHA256);
}

const CONTEXT: Context<'_> = Context {
    direction: Direction::Up { device: "pump-1" },
    installation: "k7m2q9xw4hp3a8cd",
    topic: "plant/pump-1/temperature",
    correlation: None,
};

fn message() -> Message<'static> {
    Message { claims: Claims::issued_at(Sequence(1), 1_795_000_000), format: None, payload: b"21.5" }
}

#[test]
fn a_message_is_signed_by_the_store_and_verified_by_the_key_that_was_handed_in() {
    let (_dir, store) = store();
    let handed_in = cose_key(&*store, Role::Message, Generation::Current).unwrap();
    let (public, purpose) = PublicKey::from_cose(&handed_in).unwrap();
    assert_eq!(purpose, Purpose::Sign);
    let mut signer = MessageSigner::new(Arc::clone(&store), Generation::Current).unwrap();
    assert_eq!(signer.kid(), public.kid());
    let mut buffer = [0; 256];
    let len = sign(&message(), &CONTEXT, &mut signer, &mut buffer).unwrap();
    inspect(&buffer[..len]).unwrap().verify(&public, &CONTEXT).unwrap();

    store.destroy().unwrap();
    assert!(sign(&message(), &CONTEXT, &mut signer, &mut buffer).is_err());
    assert!(signer.failure().unwrap().to_string().contains("destroyed"));
    assert!(cose_key(&*store, Role::Tls, Generation::Current).is_err());
}

#[test]
fn what_is_encrypted_to_the_device_opens_with_its_store() {
    let (_dir, store) = store();
    let handed_in = cose_key(&*store, Role::Agreement, Generation::Current).unwrap();
    let (to, purpose) = PublicKey::from_cose(&handed_in).unwrap();
    assert_eq!(purpose, Purpose::Agree);
    let mut sender = P256Key::generate(&mut SystemRandom).unwrap();
    let mut buffer = [0; 512];
    let len =
        sign_for_recipient(&message(), &CONTEXT, &mut sender, &to, &mut SystemRandom, &mut buffer).unwrap();
    let verified = inspect(&buffer[..len]).unwrap().verify(&sender.public(), &CONTEXT).unwrap();
    let Content::ForRecipient(sealed) = verified.content().unwrap() else { unreachable!() };
    let mut opener = Opener::new(Arc::clone(&store), Generation::Current).unwrap();
    let mut out = [0; 64];
    assert_eq!(sealed.open(&mut opener, &mut out).unwrap(), b"21.5");
    store.destroy().unwrap();
    assert!(sealed.open(&mut opener, &mut out).is_err());
    assert!(opener.failure().is_some());
}
