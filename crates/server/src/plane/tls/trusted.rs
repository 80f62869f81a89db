//! Client certificates of authorities that are not ours. Each authority has a verifier of its own, so that it is known which
//! one vouches; what its word is worth, the registry says.

use crate::plane::entrance::Entrance;
use crate::plane::tls::{path_length::PathLength, version1};
use keyward_identity::{LocalName, certificate_has_signed, check_certifies_clients};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, DistinguishedName, Error, OtherError, RootCertStore};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

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
pub(crate) struct TrustedVerifiers(Vec<Anchor>);

impl TrustedVerifiers {
    /// Makes the verifiers. One that cannot be made is told in the log, and its authority accepted nowhere.
    pub(crate) fn new(trusted: Vec<TrustedClients>, provider: &Arc<CryptoProvider>) -> Self {
        let anchors = |clients: TrustedClients| {
            let made = Anchor::all_of(&clients, provider);
            let name = clients.name;
            made.inspect_err(|why| tracing::error!(authority = %name, "it cannot be trusted: {why}"))
                .unwrap_or_default()
        };
        Self(trusted.into_iter().flat_map(anchors).collect())
    }

    /// Returns the authority under which a certificate stands now, if its word counts at this entrance.
    ///
    /// # Errors
    /// The most telling reason why there is none; `None` if all that is known is that no authority signed it.
    pub(crate) fn vouching(
        &self,
        entrance: &Entrance,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<&LocalName, Option<Error>> {
        let mut telling = None;
        for anchor in &self.0 {
            match anchor.verify(leaf, issuers, now) {
                Ok(()) if entrance.heeds(&anchor.authority) => return Ok(&anchor.authority),
                Ok(()) => telling = Some(Unheard::NotHeeded(anchor.authority.clone()).into()),
                Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {}
                // It may be of another certificate with the same name.
                Err(error @ Error::InvalidCertificate(CertificateError::BadSignature)) => {
                    telling = telling.or(Some(error));
                }
                Err(error) => telling = Some(error),
            }
        }
        Err(telling)
    }

    /// Returns the names of the authorities whose word counts at this entrance, which clients are told in the handshake.
    pub(crate) fn hints(&self, entrance: &Entrance) -> impl Iterator<Item = &DistinguishedName> {
        let heeded = self.0.iter().filter(|anchor| entrance.heeds(&anchor.authority));
        heeded.flat_map(|anchor| anchor.webpki.root_hint_subjects())
    }
}

/// Says why the word of an authority that signed a certificate is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unheard {
    /// It counts at other listeners.
    #[error("the authority {0} does not count at this listener")]
    NotHeeded(LocalName),
    /// It has ended, or has not begun.
    #[error("the authority {0} is not valid now")]
    NotValid(LocalName),
    /// Its own certificate limits what it certifies.
    #[error("the authority {0} may not certify it")]
    MayNotCertify(LocalName),
}

impl From<Unheard> for Error {
    fn from(why: Unheard) -> Self {
        CertificateError::Other(OtherError(Arc::new(why))).into()
    }
}

/// Is one certificate of an authority of others, under which certificates of clients stand.
#[derive(Debug, Clone)]
struct Anchor {
    authority: LocalName,
    /// When it begins and ends, in seconds since 1970, both included: for webpki a trust anchor has no end.
    validity: (i64, i64),
    webpki: Arc<dyn ClientCertVerifier>,
    version1: Option<version1::Issuer>,
    /// Whether it may certify clients at all: webpki does not look at the key usages of a trust anchor.
    certifies_clients: bool,
    /// How far down it may certify, if it says so: webpki forgets it of a trust anchor.
    path_length: Option<PathLength>,
    /// Whether its authority has lists, and none of them is of its key.
    lacks_list: bool,
}

impl Anchor {
    fn all_of(clients: &TrustedClients, provider: &Arc<CryptoProvider>) -> Result<Vec<Self>, String> {
        clients.roots.iter().map(|root| Self::of(root, clients, provider)).collect()
    }

    fn of(
        root: &CertificateDer<'static>,
        clients: &TrustedClients,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        // A list is found by the name of its issuer, and two generations of an authority may have one name.
        let is_its_own = |list: &&CertificateRevocationListDer<'_>| certificate_has_signed(root, list);
        let lists: Vec<_> = clients.revocations.iter().filter(is_its_own).cloned().collect();
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self {
            authority: clients.name.clone(),
            validity: validity(root).ok_or("its certificate cannot be read")?,
            webpki: webpki(root, &lists, provider)?,
            version1: version1::Issuer::read(root, &lists, algorithms)?,
            certifies_clients: check_certifies_clients(root).is_ok(),
            path_length: PathLength::read(root, &lists, algorithms)?,
            lacks_list: lists.is_empty() && !clients.revocations.is_empty(),
        })
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        match (version1::is_version1(leaf), &self.version1) {
            (false, _) => self.webpki.verify_client_cert(leaf, issuers, now).map(drop),
            // No issuers in between: none of them says that it may certify.
            (true, Some(issuer)) => issuer.verify(leaf, now),
            (true, None) => Err(CertificateError::UnknownIssuer.into()),
        }?;
        let reaches = || self.path_length.as_ref().is_none_or(|length| length.reaches(leaf, issuers, now));
        if !self.certifies_clients || !reaches() {
            return Err(Unheard::MayNotCertify(self.authority.clone()).into());
        }
        if self.lacks_list {
            return Err(CertificateError::UnknownRevocationStatus.into());
        }
        let (not_before, not_after) = self.validity;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        match (not_before..=not_after).contains(&now) {
            true => Ok(()),
            false => Err(Unheard::NotValid(self.authority.clone()).into()),
        }
    }
}

/// Makes the verifier of webpki. Where there are lists, every issuer of a client needs one: an intermediate that the client sends
/// along would be a way around them. An old list is better than none: it is used, and the doctor says that it is old.
fn webpki(
    root: &CertificateDer<'static>,
    lists: &[CertificateRevocationListDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).map_err(|error| error.to_string())?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    builder.with_crls(lists.iter().cloned()).build().map_err(|error| error.to_string())
}

fn validity(root: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let (_, root) = X509Certificate::from_der(root).ok()?;
    let validity = root.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// Tells whether the TLS library can use the certificates and lists of an authority.
///
/// # Errors
/// What it objects to.
pub(crate) fn check(clients: &TrustedClients) -> Result<(), String> {
    Anchor::all_of(clients, &Arc::new(rustls::crypto::aws_lc_rs::default_provider())).map(drop)
}

#[cfg(test)]
mod tests;
