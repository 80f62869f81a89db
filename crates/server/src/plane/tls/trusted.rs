//! Client certificates of authorities that are not ours. Each authority has a verifier of its own, so that it is known which
//! one vouches; what its word is worth, the registry says.

use keyward_identity::LocalName;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, DistinguishedName, Error, RootCertStore};
use std::sync::Arc;

/// Is an authority of others whose client certificates are accepted.
pub struct TrustedClients {
    /// Its name here.
    pub name: LocalName,
    /// Its certificates.
    pub roots: Vec<CertificateDer<'static>>,
    /// Its lists of revoked certificates.
    pub revocations: Vec<CertificateRevocationListDer<'static>>,
}

/// Verifies client certificates under authorities of others.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedVerifiers(Vec<(LocalName, Arc<dyn ClientCertVerifier>)>);

impl TrustedVerifiers {
    /// Makes the verifiers. One that cannot be made is told in the log, and its authority accepted nowhere.
    pub(crate) fn new(trusted: Vec<TrustedClients>, provider: &Arc<CryptoProvider>) -> Self {
        let verifier = |clients: TrustedClients| {
            let name = clients.name.clone();
            let made = verifier(clients, provider);
            let made =
                made.inspect_err(|why| tracing::error!(authority = %name, "it cannot be trusted: {why}"));
            Some((name, made.ok()?))
        };
        Self(trusted.into_iter().filter_map(verifier).collect())
    }

    /// Returns the authority under which a certificate stands now.
    ///
    /// # Errors
    /// The most telling reason why there is none; `None` if all that is known is that no authority signed it.
    pub(crate) fn vouching(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<&LocalName, Option<Error>> {
        let mut telling = None;
        for (name, verifier) in &self.0 {
            match verifier.verify_client_cert(leaf, issuers, now) {
                Ok(_) => return Ok(name),
                Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {}
                Err(error) => telling = Some(error),
            }
        }
        Err(telling)
    }

    /// Returns the names of the authorities, which clients are told in the handshake.
    pub(crate) fn hints(&self) -> impl Iterator<Item = &DistinguishedName> {
        self.0.iter().flat_map(|(_, verifier)| verifier.root_hint_subjects())
    }
}

fn verifier(
    clients: TrustedClients,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for root in clients.roots {
        roots.add(root).map_err(|error| error.to_string())?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    // Not every issuer has a list. An old list is better than none: it is used, and `status` says that it is old.
    let builder = builder.with_crls(clients.revocations).allow_unknown_revocation_status();
    builder.build().map_err(|error| error.to_string())
}

/// Tells whether the TLS library can use the certificates and lists of an authority.
///
/// # Errors
/// What it objects to.
pub(crate) fn check(clients: TrustedClients) -> Result<(), String> {
    verifier(clients, &Arc::new(rustls::crypto::aws_lc_rs::default_provider())).map(drop)
}
