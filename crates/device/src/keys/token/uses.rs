//! What a private key in the token does.

use super::failure::Outcome;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

/// Signs a digest: r‖s; `None` if the token gives something of another length.
pub(super) fn sign(session: &Session, private: ObjectHandle, digest: &[u8; 32]) -> Outcome<Option<[u8; 64]>> {
    Ok(session.sign(&Mechanism::Ecdsa, private, digest)?.try_into().ok())
}

/// Agrees with a point that is on the curve; `None` if the token gives something of another length.
pub(super) fn agree(
    session: &Session,
    private: ObjectHandle,
    peer: &[u8; 65],
) -> Outcome<Option<Zeroizing<[u8; 32]>>> {
    let derived = match derive(session, private, peer) {
        // Some want the point in a DER octet string.
        Err(Error::Pkcs11(RvError::MechanismParamInvalid | RvError::ArgumentsBad, _)) => {
            derive(session, private, &[&[0x04, 0x41][..], peer].concat())?
        }
        other => other?,
    };
    let secret = value(session, derived);
    session.destroy_object(derived)?;
    secret
}

/// Lets the token agree; the secret is an object of this session alone.
fn derive(session: &Session, private: ObjectHandle, peer: &[u8]) -> Result<ObjectHandle, Error> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::ValueLen(32.into()),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    let mechanism = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), peer));
    session.derive_key(&mechanism, private, &template)
}

/// Reads a derived secret.
fn value(session: &Session, key: ObjectHandle) -> Outcome<Option<Zeroizing<[u8; 32]>>> {
    let found = session.get_attributes(key, &[AttributeType::Value])?;
    Ok(found.into_iter().find_map(|attribute| match attribute {
        Attribute::Value(bytes) => Zeroizing::new(bytes).as_slice().try_into().map(Zeroizing::new).ok(),
        _ => None,
    }))
}
