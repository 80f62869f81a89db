//! Those who do not belong: another authority, and a server with a device's key.

use crate::failure::{Failure, Outcome};
use keyward_client::{TlsIdentity, TlsKey};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the impostor listens to its victim.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes a certificate for `common_name` under an authority that the broker has never heard of.
pub(super) fn forged_identity(common_name: &str) -> Outcome<TlsIdentity> {
    forge(common_name).map_err(|error| Failure::failed(format!("cannot forge a certificate: {error}")))
}

fn forge(common_name: &str) -> Result<TlsIdentity, rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Another authority");
    let issuer = Issuer::new(authority, KeyPair::generate()?);
    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name.push(DnType::CommonName, common_name);
    let certificate = leaf.signed_by(&key, &issuer)?;
    Ok(TlsIdentity::from_pem(certificate.pem(), key.serialize_pem().into_bytes()))
}

/// Tells whether a chain leads from the certificate of `identity` to `anchor_pem`, whatever it was issued for.
pub(super) fn chains_to(identity: &TlsIdentity, anchor_pem: &str) -> Outcome<bool> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("cannot check a chain: {error}"));
    let chain = certificates(&identity.chain_pem).map_err(|error| failed(&error))?;
    let [leaf, issuers @ ..] = chain.as_slice() else { return Err(failed(&"there is no certificate")) };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(anchor_pem.as_bytes()).map_err(|error| failed(&error))?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // A verifier of clients: it asks for the purpose for which the device's certificate *was* issued.
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| failed(&error))?;
    Ok(verifier.verify_client_cert(leaf, issuers, UnixTime::now()).is_ok())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_slice_iter(pem).collect()
}

/// Is a TLS server that shows a device's certificate to whoever connects.
pub(super) struct Impostor {
    port: u16,
    thread: JoinHandle<usize>,
}

impl Impostor {
    /// Listens on a free port of this machine for one victim.
    pub(super) fn start(identity: &TlsIdentity) -> Outcome<Self> {
        let failed =
            |error: &dyn std::fmt::Display| Failure::failed(format!("cannot play a broker: {error}"));
        let config = config(identity).map_err(|error| failed(&error))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| failed(&error))?;
        let port = listener.local_addr().map_err(|error| failed(&error))?.port();
        let thread =
            std::thread::spawn(move || listener.accept().map_or(0, |(victim, _)| listen(config, victim)));
        Ok(Self { port, thread })
    }

    /// Returns where it listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns how many bytes of MQTT the victim sent.
    pub(super) fn heard(self) -> usize {
        self.thread.join().unwrap_or(usize::MAX)
    }
}

fn config(identity: &TlsIdentity) -> Result<Arc<ServerConfig>, String> {
    let text = |error: pem::Error| error.to_string();
    let chain = certificates(&identity.chain_pem).map_err(text)?;
    let TlsKey::Pem(key) = &identity.key else { return Err("the key is not at hand".to_owned()) };
    let key = PrivateKeyDer::from_pem_slice(key).map_err(text)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map(Arc::new)
        .map_err(|error| error.to_string())
}

/// Counts what the victim says after the handshake; 0 if it turns away.
fn listen(config: Arc<ServerConfig>, mut victim: TcpStream) -> usize {
    let timeouts =
        victim.set_read_timeout(Some(PATIENCE)).and_then(|()| victim.set_write_timeout(Some(PATIENCE)));
    let (Ok(()), Ok(mut tls)) = (timeouts, ServerConnection::new(config)) else { return 0 };
    let mut bytes = [0; 256];
    rustls::Stream::new(&mut tls, &mut victim).read(&mut bytes).unwrap_or(0)
}
