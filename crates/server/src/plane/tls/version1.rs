//! Client certificates of X.509 version 1 under authorities of others.
//!
//! `openssl x509 -req` writes them where no extensions are asked for, so many a fleet has nothing else, and webpki takes
//! version 3 only. They are taken here as strictly as they can be: one that is signed by a trusted certificate itself,
//! that holds nothing which version 1 does not have, with the algorithms that are allowed to others. Such a certificate
//! vouches for nobody, and since it cannot say what it is for, one of a server is a client too. A certificate of our own
//! authorities never comes here: they have no such issuer.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer,
    UnixTime,
};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved};
use std::collections::HashSet;
use webpki::RawPublicKeyEntity;
use x509_parser::certificate::Validity;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// Is what stands in a certificate of version 1: RFC 5280, 4.1, without anything that came with later versions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Certificate<'a> {
    /// What is signed, whole.
    signed: &'a [u8],
    /// Its serial number, without leading zeros.
    pub(crate) serial: &'a [u8],
    /// The algorithm of its signature, without tag and length.
    algorithm: &'a [u8],
    /// The name of its issuer, whole.
    pub(crate) issuer: &'a [u8],
    /// When it begins and ends, in seconds since 1970, both included.
    pub(crate) validity: (i64, i64),
    /// Its public key, whole.
    pub(crate) key: &'a [u8],
    signature: &'a [u8],
}

/// Tells whether a certificate does not say of which version it is, which only those of version 1 do.
pub(crate) fn is_version1(der: &CertificateDer<'_>) -> bool {
    let signed = Element::take(SEQUENCE, der).and_then(|(outer, _)| Element::take(SEQUENCE, outer.content));
    signed.is_some_and(|(signed, _)| Element::take(INTEGER, signed.content).is_some())
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; `None` if it is none of version 1, in DER to the last byte.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let [outer] = elements([SEQUENCE], der)?;
        let [signed, algorithm, signature] = elements([SEQUENCE, SEQUENCE, BIT_STRING], outer.content)?;
        let kinds = [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE];
        // Nothing follows the key: no unique ids, no extensions.
        let [serial, inner_algorithm, issuer, validity, _subject, key] = elements(kinds, signed.content)?;
        if algorithm != inner_algorithm || serial.content.is_empty() {
            return None;
        }
        let (rest, validity) = Validity::from_der(validity.whole).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let (&unused_bits, signature) = signature.content.split_first()?;
        (unused_bits == 0).then_some(Self {
            signed: signed.whole,
            serial: without_zeros(serial.content),
            algorithm: algorithm.content,
            issuer: issuer.whole,
            validity: (validity.not_before.timestamp(), validity.not_after.timestamp()),
            key: key.whole,
            signature,
        })
    }

    fn is_signed_by(
        &self,
        key: &SubjectPublicKeyInfoDer<'_>,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> bool {
        let Ok(key) = RawPublicKeyEntity::try_from(key) else { return false };
        let named = algorithms.all.iter().filter(|each| each.signature_alg_id().as_ref() == self.algorithm);
        // Several have one name: which curve it is, the key says.
        named.into_iter().any(|each| key.verify_signature(*each, self.signed, self.signature).is_ok())
    }

    fn check_time(&self, now: UnixTime) -> Result<(), CertificateError> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        match self.validity {
            (not_before, _) if now < not_before => Err(CertificateError::NotValidYet),
            (_, not_after) if not_after < now => Err(CertificateError::Expired),
            _ => Ok(()),
        }
    }
}

/// Is a certificate of a trusted authority, as the issuer of certificates of version 1.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    /// Its name, whole.
    subject: Vec<u8>,
    key: SubjectPublicKeyInfoDer<'static>,
    /// The serial numbers that lists under its name revoke, without leading zeros.
    revoked: HashSet<Vec<u8>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Issuer {
    /// Reads a certificate of an authority and the lists of revoked ones, whose signatures were checked when they were taken.
    /// `None` if its extensions limit what it certifies: version 1 has no words for that.
    ///
    /// # Errors
    /// A sentence if something cannot be read.
    pub(crate) fn read(
        root: &CertificateDer<'_>,
        lists: &[CertificateRevocationListDer<'_>],
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Option<Self>, String> {
        let (_, root) = X509Certificate::from_der(root).map_err(unreadable)?;
        if !may_certify(&root) {
            return Ok(None);
        }
        let subject = root.subject().as_raw();
        let mut revoked = HashSet::new();
        for der in lists {
            let (_, list) = CertificateRevocationList::from_der(der).map_err(unreadable)?;
            if list.issuer().as_raw() == subject {
                let serials = list.iter_revoked_certificates().map(|entry| without_zeros(entry.raw_serial()));
                revoked.extend(serials.map(<[u8]>::to_vec));
            }
        }
        let key = SubjectPublicKeyInfoDer::from(root.public_key().raw.to_vec());
        Ok(Some(Self { subject: subject.to_vec(), key, revoked, algorithms }))
    }

    /// Tells whether it issued this certificate, and it holds now.
    ///
    /// # Errors
    /// [`Error::InvalidCertificate`] says why not.
    pub(crate) fn verify(&self, leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        let leaf = Certificate::read(leaf).ok_or(CertificateError::BadEncoding)?;
        if leaf.issuer != self.subject {
            return Err(CertificateError::UnknownIssuer.into());
        }
        if !leaf.is_signed_by(&self.key, &self.algorithms) {
            return Err(CertificateError::BadSignature.into());
        }
        leaf.check_time(now)?;
        match self.revoked.contains(leaf.serial) {
            true => Err(CertificateError::Revoked.into()),
            false => Ok(()),
        }
    }
}

fn may_certify(root: &X509Certificate<'_>) -> bool {
    let is_free =
        matches!(root.name_constraints(), Ok(None)) && matches!(root.extended_key_usage(), Ok(None));
    let usage = root.key_usage();
    is_free && usage.is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()))
}

fn unreadable(error: impl std::fmt::Display) -> String {
    format!("it cannot be read: {error}")
}

/// Verifies in TLS 1.2 that the peer has the key of its certificate of version 1.
///
/// # Errors
/// [`Error`] if it has not, or signed in a way that we do not offer.
pub(crate) fn verify_tls12_signature(
    message: &[u8],
    leaf: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = key_of(leaf)?;
    let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
    let offered = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signature.scheme);
    let (_, possible) = offered.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    // In TLS 1.2 a scheme does not say which curve it is; the key does.
    let is_valid = |each: &&dyn SignatureVerificationAlgorithm| {
        key.verify_signature(*each, message, signature.signature()).is_ok()
    };
    match possible.iter().any(is_valid) {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(CertificateError::BadSignature.into()),
    }
}

/// Verifies in TLS 1.3 that the peer has the key of its certificate of version 1.
///
/// # Errors
/// [`Error`] if it has not, or signed in a way that we do not offer.
pub(crate) fn verify_tls13_signature(
    message: &[u8],
    leaf: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature_with_raw_key(message, &key_of(leaf)?, signature, algorithms)
}

fn key_of<'a>(leaf: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    let leaf = Certificate::read(leaf).ok_or(CertificateError::BadEncoding)?;
    Ok(SubjectPublicKeyInfoDer::from(leaf.key))
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    &number[first..]
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// Is one element of DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
}

impl<'a> Element<'a> {
    /// Takes an element of this kind off the beginning, and returns what follows. Its length is written as DER wants it:
    /// as short as it can be. None is longer than 65,535 bytes.
    fn take(tag: u8, der: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (length, header) = match *der {
            [first, length @ 0..=0x7f, ..] if first == tag => (usize::from(length), 2),
            [first, 0x81, length @ 0x80..=0xff, ..] if first == tag => (usize::from(length), 3),
            [first, 0x82, high @ 1..=0xff, low, ..] if first == tag => {
                (usize::from(high) << 8 | usize::from(low), 4)
            }
            _ => return None,
        };
        let (whole, rest) = der.split_at_checked(header + length)?;
        Some((Self { whole, content: &whole[header..] }, rest))
    }
}

/// Takes elements of these kinds, in this order; `None` if anything else is there.
fn elements<const N: usize>(tags: [u8; N], mut der: &[u8]) -> Option<[Element<'_>; N]> {
    let mut found = [Element { whole: &[], content: &[] }; N];
    for (place, tag) in found.iter_mut().zip(tags) {
        (*place, der) = Element::take(tag, der)?;
    }
    der.is_empty().then_some(found)
}

#[cfg(test)]
mod tests;
