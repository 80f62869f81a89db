//! Private keys that are made on this side: the broker sees a signing request only.

use crate::failure::{Failure, Outcome};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use zeroize::Zeroizing;

/// Holds a new P-256 key and the request to certify it.
pub(crate) struct NewKey {
    /// PKCS #8, PEM.
    pub(crate) key_pem: Zeroizing<String>,
    /// PKCS #10, DER; asks for the common name and for nothing else.
    pub(crate) csr: Vec<u8>,
}

/// Makes a key and a signing request for `common_name`.
pub(crate) fn make(common_name: &str) -> Outcome<NewKey> {
    let failed = |error: rcgen::Error| Failure::failed(format!("cannot make a key: {error}"));
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let csr = params.serialize_request(&key).map_err(failed)?.der().to_vec();
    Ok(NewKey { key_pem: Zeroizing::new(key.serialize_pem()), csr })
}
