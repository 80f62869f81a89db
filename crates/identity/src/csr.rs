//! Signing requests: only the public key is taken, and a request that asks for more is refused, not trimmed.

use crate::{
    authority::{PublicKey, identity_uri},
    limits, pem,
};
use keyward_ids::{Identity, InstallationId};
use std::borrow::Cow;
use x509_parser::{
    certification_request::X509CertificationRequest,
    cri_attributes::ParsedCriAttribute,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA, OID_X509_COMMON_NAME},
    prelude::FromDer,
    public_key::PublicKey as KeyKind,
    x509::SubjectPublicKeyInfo,
};

/// Says why a signing request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrRefusal {
    /// The request is larger than any honest one.
    #[error("the signing request has {len} bytes; at most {} are read", limits::CSR_BYTES)]
    TooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// The text is not a signing request.
    #[error("this is not a signing request (PKCS #10, PEM or DER): {0}")]
    Malformed(&'static str),
    /// The file holds a private key.
    #[error(
        "this file holds a private key; hand over the signing request alone, and keep the key where it is"
    )]
    HoldsPrivateKey,
    /// The request is not signed by the key in it.
    #[error("the signing request is not signed by the key that it holds")]
    BadSignature,
    /// The key is of a kind that is not certified.
    #[error("the key is {0}; use P-256 (or P-384, or RSA of 2048 to 4096 bits)")]
    Key(String),
    /// The request asks for something that it does not get.
    #[error("the signing request asks for {what}; ask for CN={id} or an empty subject, and for nothing else")]
    AsksForMore {
        /// What it asks for.
        what: String,
        /// The name that the certificate will have.
        id: String,
    },
}

/// Takes the public key out of a request for `identity`.
///
/// # Errors
/// [`CsrRefusal`] if the request is not sound or asks for anything that the certificate will not have.
pub(crate) fn take_key(
    bytes: &[u8],
    identity: &Identity,
    installation: &InstallationId,
) -> Result<PublicKey, CsrRefusal> {
    if bytes.len() > limits::CSR_BYTES {
        return Err(CsrRefusal::TooLarge { len: bytes.len() });
    }
    let der = to_der(bytes)?;
    let (rest, request) = X509CertificationRequest::from_der(&der)
        .map_err(|_| CsrRefusal::Malformed("its DER cannot be read"))?;
    if !rest.is_empty() {
        return Err(CsrRefusal::Malformed("bytes follow it"));
    }
    let key = check_key(&request.certification_request_info.subject_pki)?;
    check_signature(&request)?;
    Wish { identity, installation }.check(&request)?;
    Ok(key)
}

fn to_der(bytes: &[u8]) -> Result<Cow<'_, [u8]>, CsrRefusal> {
    // DER begins with a SEQUENCE; PEM with text.
    if bytes.first() == Some(&0x30) {
        return Ok(Cow::Borrowed(bytes));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| CsrRefusal::Malformed("it is neither PEM nor DER"))?;
    let blocks = pem::decode(text).ok_or(CsrRefusal::Malformed("its PEM is cut off or garbled"))?;
    if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
        return Err(CsrRefusal::HoldsPrivateKey);
    }
    let [block] = blocks.as_slice() else {
        return Err(CsrRefusal::Malformed("it is not exactly one PEM block"));
    };
    if !matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
        return Err(CsrRefusal::Malformed("its PEM block is something else"));
    }
    Ok(Cow::Owned(block.bytes.to_vec()))
}

fn check_key(spki: &SubjectPublicKeyInfo<'_>) -> Result<PublicKey, CsrRefusal> {
    let kind = spki.parsed().map_err(|_| CsrRefusal::Key("of an unknown kind".into()))?;
    match kind {
        // An uncompressed point of P-256 has 65 bytes, one of P-384 has 97.
        KeyKind::EC(point) if matches!(point.data(), [4, rest @ ..] if matches!(rest.len(), 64 | 96)) => {}
        KeyKind::EC(_) => return Err(CsrRefusal::Key("a compressed point or on another curve".into())),
        KeyKind::RSA(rsa) => {
            let bits = rsa.key_size();
            if !(2_048..=4_096).contains(&bits) {
                return Err(CsrRefusal::Key(format!("RSA of {bits} bits")));
            }
            if rsa.try_exponent().is_ok_and(|exponent| exponent < 65_537) {
                return Err(CsrRefusal::Key("RSA with a small exponent".into()));
            }
        }
        _ => return Err(CsrRefusal::Key("of another kind".into())),
    }
    PublicKey::from_spki(spki.raw).ok_or_else(|| CsrRefusal::Key("of another kind, or oddly encoded".into()))
}

fn check_signature(request: &X509CertificationRequest<'_>) -> Result<(), CsrRefusal> {
    let algorithm = &request.signature_algorithm.algorithm;
    if *algorithm == OID_PKCS1_SHA1WITHRSA || *algorithm == OID_SHA1_WITH_RSA {
        return Err(CsrRefusal::BadSignature);
    }
    request.verify_signature().map_err(|_| CsrRefusal::BadSignature)
}

/// What a request may ask for.
struct Wish<'a> {
    identity: &'a Identity,
    installation: &'a InstallationId,
}

impl Wish<'_> {
    fn check(&self, request: &X509CertificationRequest<'_>) -> Result<(), CsrRefusal> {
        self.check_subject(request)?;
        let mut has_extensions = false;
        for attribute in request.certification_request_info.iter_attributes() {
            match attribute.parsed_attribute() {
                ParsedCriAttribute::ExtensionRequest(wanted) if !has_extensions => {
                    has_extensions = true;
                    wanted.extensions.iter().try_for_each(|extension| {
                        self.check_extension(extension.parsed_extension(), &extension.oid.to_id_string())
                    })?;
                }
                // `openssl req` asks for one; it is for the authority's eyes and wishes nothing.
                ParsedCriAttribute::ChallengePassword(_) => {}
                _ => return Err(self.more(format!("the attribute {}", attribute.oid))),
            }
        }
        Ok(())
    }

    fn check_subject(&self, request: &X509CertificationRequest<'_>) -> Result<(), CsrRefusal> {
        let mut names = 0;
        for attribute in request.certification_request_info.subject.iter_attributes() {
            names += 1;
            let value = attribute.as_str().unwrap_or_default();
            let is_ours = *attribute.attr_type() == OID_X509_COMMON_NAME
                && value.eq_ignore_ascii_case(self.identity.name())
                && names == 1;
            if !is_ours {
                let subject = request.certification_request_info.subject.to_string();
                return Err(self.more(format!("the subject '{}'", subject.escape_debug())));
            }
        }
        Ok(())
    }

    fn check_extension(&self, extension: &ParsedExtension<'_>, oid: &str) -> Result<(), CsrRefusal> {
        match extension {
            ParsedExtension::SubjectAlternativeName(names) => {
                let ours = identity_uri(self.installation, self.identity);
                match names.general_names.iter().find(|name| **name != GeneralName::URI(&ours)) {
                    Some(name) => Err(self.more(format!("the name '{}'", name.to_string().escape_debug()))),
                    None => Ok(()),
                }
            }
            ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
                Err(self.more("the right to be an authority".into()))
            }
            ParsedExtension::BasicConstraints(_) | ParsedExtension::SubjectKeyIdentifier(_) => Ok(()),
            ParsedExtension::KeyUsage(usage) if usage.key_cert_sign() || usage.crl_sign() => {
                Err(self.more("the right to sign certificates".into()))
            }
            ParsedExtension::KeyUsage(_) => Ok(()),
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let others = usage.any
                    || usage.server_auth
                    || usage.code_signing
                    || usage.email_protection
                    || usage.time_stamping
                    || usage.ocsp_signing
                    || !usage.other.is_empty();
                if others {
                    return Err(self.more("another use than that of a client".into()));
                }
                Ok(())
            }
            _ => Err(self.more(format!("the extension {oid}"))),
        }
    }

    fn more(&self, what: String) -> CsrRefusal {
        CsrRefusal::AsksForMore { what, id: self.identity.name().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn installation() -> InstallationId {
        InstallationId::from_random([3; 16])
    }

    fn take(bytes: &[u8]) -> Result<PublicKey, CsrRefusal> {
        take_key(bytes, &"device:pump-1".parse().unwrap(), &installation())
    }

    fn request() -> rcgen::CertificateSigningRequest {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "pump-1");
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn pem_and_der_hold_the_same_key() {
        let request = request();
        let from_der = take(request.der()).unwrap().id();
        assert_eq!(take(request.pem().unwrap().as_bytes()).unwrap().id(), from_der);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// What is not signed (the name of the signature's algorithm) may be read with tolerance; it says nothing.
        #[test]
        fn a_request_altered_in_what_is_signed_is_refused(at in any::<prop::sample::Index>(), flip in 1u8..) {
            let request = request();
            let (_, parsed) = X509CertificationRequest::from_der(request.der()).unwrap();
            let signed = parsed.certification_request_info.raw;
            let begin = request.der().windows(signed.len()).position(|window| window == signed).unwrap();
            let mut bytes = request.der().to_vec();
            bytes[begin + at.index(signed.len())] ^= flip;
            prop_assert!(take(&bytes).is_err());
        }

        #[test]
        fn bytes_that_nobody_meant_are_refused_without_harm(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            looks_like_der in any::<bool>(),
        ) {
            if looks_like_der && bytes.len() > 4 {
                let rest = u16::try_from(bytes.len() - 4).unwrap().to_be_bytes();
                bytes[..4].copy_from_slice(&[0x30, 0x82, rest[0], rest[1]]);
            }
            prop_assert!(take(&bytes).is_err());
        }
    }
}
