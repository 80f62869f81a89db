//! TLS settings that are the same for every broker: 1.3 with AES-128-GCM, so that no cipher decides a comparison.

use crate::error::BenchError;
use crate::files;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name that the certificates of all compared brokers have.
pub(crate) const NAME: &str = "localhost";

fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    Arc::new(provider)
}

fn tls(error: impl std::fmt::Display) -> BenchError {
    BenchError::Tls(error.to_string())
}

/// Makes the settings of a client that trusts the certificates of one PEM file.
pub(crate) fn client_config(ca: &Path) -> Result<Arc<ClientConfig>, BenchError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(tls)? {
        roots.add(certificate.map_err(tls)?)?;
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Makes the settings of the relay.
pub(crate) fn server_config(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>, BenchError> {
    let chain =
        CertificateDer::pem_file_iter(chain).map_err(tls)?.collect::<Result<Vec<_>, _>>().map_err(tls)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(tls)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// Begins a client's connection.
pub(crate) fn client(config: &Arc<ClientConfig>) -> Result<ClientConnection, BenchError> {
    let name = ServerName::try_from(NAME).map_err(tls)?;
    let mut connection = ClientConnection::new(Arc::clone(config), name)?;
    // What one tick sends may be longer than the 64 KB at which rustls takes no more.
    connection.set_buffer_limit(None);
    Ok(connection)
}

/// Begins the relay's end of a connection.
pub(crate) fn server(config: &Arc<ServerConfig>) -> Result<Connection, BenchError> {
    let mut connection = ServerConnection::new(Arc::clone(config))?;
    connection.set_buffer_limit(None);
    Ok(connection.into())
}

/// A certificate for the brokers that do not make their own, as PEM files.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) ca: PathBuf,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Issued {
    /// Makes an authority and a P-256 certificate of it in `folder`, as Keyward's are.
    pub(crate) fn make(folder: &Path) -> Result<Self, BenchError> {
        let ca_key = rcgen::KeyPair::generate().map_err(tls)?;
        let mut ca = rcgen::CertificateParams::new(Vec::new()).map_err(tls)?;
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        let ca_pem = ca.self_signed(&ca_key).map_err(tls)?.pem();
        let key = rcgen::KeyPair::generate().map_err(tls)?;
        let leaf = rcgen::CertificateParams::new(vec![NAME.to_owned()]).map_err(tls)?;
        let leaf = leaf.signed_by(&key, &rcgen::Issuer::new(ca, ca_key)).map_err(tls)?;
        let write = |name: &str, text: String| files::write_new(&folder.join(name), &text);
        Ok(Self {
            ca: write("issued-ca.pem", ca_pem)?,
            chain: write("issued-chain.pem", leaf.pem())?,
            key: write("issued-key.pem", key.serialize_pem())?,
        })
    }
}
