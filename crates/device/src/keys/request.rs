//! What a device hands in of its keys: the signing request, and the public keys of messages.

use super::messages::public_key;
use super::tls::sign_message;
use super::{Generation, KeyError, KeyStore, Role};
use keyward_envelope::{Purpose, limits};
use rcgen::{CertificateParams, DistinguishedName, DnType, PublicKeyData, SignatureAlgorithm};
use std::cell::RefCell;

/// Makes a signing request for the key of [`Role::Tls`] (PKCS #10, PEM). The subject is empty or names the device; it asks for nothing else,
/// because Keyward decides what stands in the certificate.
///
/// # Errors
/// [`KeyError`] if there is no such key, or it cannot sign.
pub fn signing_request(
    store: &dyn KeyStore,
    generation: Generation,
    subject: Option<&str>,
) -> Result<String, KeyError> {
    let public = store.public(Role::Tls, generation)?;
    let key = RequestKey { store, generation, public, failure: RefCell::new(None) };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(subject) = subject {
        params.distinguished_name.push(DnType::CommonName, subject);
    }
    let made = params.serialize_request(&key).and_then(|request| request.pem());
    made.map_err(|problem| {
        key.failure.take().unwrap_or_else(|| KeyError::Hardware {
            store: format!("{store:?}"),
            problem: format!("the signing request could not be made: {problem}"),
        })
    })
}

struct RequestKey<'a> {
    store: &'a dyn KeyStore,
    generation: Generation,
    public: [u8; 65],
    /// What the library's error cannot say.
    failure: RefCell<Option<KeyError>>,
}

impl PublicKeyData for RequestKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for RequestKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        sign_message(self.store, self.generation, message).map_err(|error| {
            self.failure.replace(Some(error));
            rcgen::Error::RemoteKeyError
        })
    }
}

/// Returns the public half of a key as a `COSE_Key` (RFC 9052), as enrolment and `keyward keys add` take it: of
/// [`Role::Message`] or [`Role::Agreement`].
///
/// # Errors
/// [`KeyError`] if there is no such key; the key for TLS is none that messages know.
pub fn cose_key(store: &dyn KeyStore, role: Role, generation: Generation) -> Result<Vec<u8>, KeyError> {
    let purpose = match role {
        Role::Message => Purpose::Sign,
        Role::Agreement => Purpose::Agree,
        Role::Tls => {
            return Err(KeyError::Invalid {
                what: role.key(generation).to_owned(),
                problem: "it is shown by its certificate, never as a key of messages".to_owned(),
            });
        }
    };
    let mut out = vec![0; limits::KEY_BYTES];
    let written = public_key(store, role, generation)?.to_cose(purpose, &mut out);
    let len = written.map_err(|error| KeyError::Invalid {
        what: role.key(generation).to_owned(),
        problem: error.to_string(),
    })?;
    out.truncate(len);
    Ok(out)
}
