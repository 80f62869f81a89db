//! How far down an authority of others may certify: the `pathLenConstraint` of its own certificate (RFC 5280, 4.2.1.9).
//!
//! webpki makes a trust anchor of the certificate, and a trust anchor has no such constraint; those of the certificates in between
//! it enforces itself. As it does there, every one of them is counted, also one that is issued by itself.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use std::sync::Arc;
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationOptionsBuilder,
    VerifiedPath,
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Is the certificate of an authority that says how many certificates may stand between it and a client's.
#[derive(Debug, Clone)]
pub(crate) struct PathLength {
    most: usize,
    anchor: TrustAnchor<'static>,
    lists: Arc<[CertRevocationList<'static>]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PathLength {
    /// Reads the certificate of an authority and the lists of revoked ones that it signed; `None` if it does not say how far it
    /// reaches.
    ///
    /// # Errors
    /// A sentence if something cannot be read.
    pub(crate) fn read(
        root: &CertificateDer<'_>,
        lists: &[CertificateRevocationListDer<'_>],
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Option<Self>, String> {
        let Some(most) = path_length(root)? else { return Ok(None) };
        let anchor = webpki::anchor_from_trusted_cert(root).map_err(unreadable)?.to_owned();
        let read = |list: &CertificateRevocationListDer<'_>| {
            OwnedCertRevocationList::from_der(list).map(CertRevocationList::from)
        };
        let lists = lists.iter().map(read).collect::<Result<_, _>>().map_err(unreadable)?;
        Ok(Some(Self { most, anchor, lists, algorithms }))
    }

    /// Tells whether one of the ways from a client's certificate to this authority is short enough, and holds. The ways are those of
    /// webpki with the settings of the verifier that was asked before: one that is short and revoked is none.
    pub(crate) fn reaches(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> bool {
        if issuers.is_empty() {
            return true;
        }
        let Ok(leaf) = EndEntityCert::try_from(leaf) else { return false };
        let lists: Vec<_> = self.lists.iter().collect();
        // The builder fails without a list: then nothing is asked of any.
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(RevocationOptionsBuilder::build);
        let is_short = |path: &VerifiedPath<'_>| match path.intermediate_certificates().count() <= self.most {
            true => Ok(()),
            false => Err(webpki::Error::PathLenConstraintViolated),
        };
        let anchors = std::slice::from_ref(&self.anchor);
        let usage = KeyUsage::client_auth();
        leaf.verify_for_usage(self.algorithms.all, anchors, issuers, now, usage, revocation, Some(&is_short))
            .is_ok()
    }
}

fn path_length(root: &CertificateDer<'_>) -> Result<Option<usize>, String> {
    let (_, root) = X509Certificate::from_der(root).map_err(unreadable)?;
    let constraints = root.basic_constraints().map_err(unreadable)?;
    let most = constraints.and_then(|constraints| constraints.value.path_len_constraint);
    Ok(most.map(|most| usize::try_from(most).unwrap_or(usize::MAX)))
}

fn unreadable(error: impl std::fmt::Display) -> String {
    format!("it cannot be read: {error}")
}
