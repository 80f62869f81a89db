//! Keys in memory, as callbacks and by themselves.

use crate::borrow::{place, value};
use crate::status::{ARGUMENT, KEY, OK, SIGNATURE};
use core::ffi::c_void;
use keyward_envelope::software::{Ed25519Key, P256Agreement, P256Key, check_ed25519, check_es256};
use keyward_envelope::{Agreement as _, PublicKey, Signer as _, ToBeSigned};

/// Gives what ES256 signs.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_digest(message: *const ToBeSigned<'_>, digest: *mut [u8; 32]) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (value(message), place(digest)) };
    let (Ok(message), Ok(digest)) = given else { return ARGUMENT };
    *digest = message.digest().0;
    OK
}

/// Signs with 32 secret bytes of P-256.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_p256_sign(
    secret: *mut c_void,
    message: *const ToBeSigned<'_>,
    signature: *mut [u8; 64],
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (value(secret.cast::<[u8; 32]>()), value(message), place(signature)) };
    let (Ok(secret), Ok(message), Ok(signature)) = given else { return ARGUMENT };
    let Ok(mut key) = P256Key::from_secret(secret) else { return KEY };
    match key.sign(message) {
        Ok(made) => {
            *signature = made;
            OK
        }
        Err(unavailable) => unavailable.0,
    }
}

/// Verifies with a point of P-256.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_p256_check(
    point: *const c_void,
    message: *const ToBeSigned<'_>,
    signature: *const [u8; 64],
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (value(point.cast::<[u8; 65]>()), value(message), value(signature)) };
    let (Ok(point), Ok(message), Ok(signature)) = given else { return ARGUMENT };
    check_es256(point, message, signature).map_or(SIGNATURE, |()| OK)
}

/// Agrees with 32 secret bytes of P-256.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_p256_agree(
    secret: *mut c_void,
    peer: *const [u8; 65],
    shared: *mut [u8; 32],
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (value(secret.cast::<[u8; 32]>()), value(peer), place(shared)) };
    let (Ok(secret), Ok(peer), Ok(shared)) = given else { return ARGUMENT };
    let (Ok(mut key), Ok(peer)) = (P256Agreement::from_secret(secret), PublicKey::p256(peer)) else {
        return KEY;
    };
    match key.agree(&peer) {
        Ok(made) => {
            *shared = *made;
            OK
        }
        Err(unavailable) => unavailable.0,
    }
}

/// Gives the point and the identifier of a secret key of P-256.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_p256_public(
    secret: *const [u8; 32],
    point: *mut [u8; 65],
    kid: *mut [u8; 8],
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (value(secret), place(point), place(kid)) };
    let (Ok(secret), Ok(point), Ok(kid)) = given else { return ARGUMENT };
    let Ok(key) = P256Key::from_secret(secret) else { return KEY };
    *kid = *key.kid().as_bytes();
    *point = key.public().to_sec1().unwrap_or([0; 65]);
    OK
}

/// Gives the identifier of a point of P-256.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_p256_kid(point: *const [u8; 65], kid: *mut [u8; 8]) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (value(point), place(kid)) };
    let (Ok(point), Ok(kid)) = given else { return ARGUMENT };
    let Ok(key) = PublicKey::p256(point) else { return KEY };
    *kid = *key.kid().as_bytes();
    OK
}

/// Signs with 32 secret bytes of Ed25519.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_ed25519_sign(
    seed: *mut c_void,
    message: *const ToBeSigned<'_>,
    signature: *mut [u8; 64],
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (value(seed.cast::<[u8; 32]>()), value(message), place(signature)) };
    let (Ok(seed), Ok(message), Ok(signature)) = given else { return ARGUMENT };
    match Ed25519Key::from_seed(seed).sign(message) {
        Ok(made) => {
            *signature = made;
            OK
        }
        Err(unavailable) => unavailable.0,
    }
}

/// Verifies with a key of Ed25519.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_ed25519_check(
    key: *const c_void,
    message: *const ToBeSigned<'_>,
    signature: *const [u8; 64],
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (value(key.cast::<[u8; 32]>()), value(message), value(signature)) };
    let (Ok(key), Ok(message), Ok(signature)) = given else { return ARGUMENT };
    check_ed25519(key, message, signature).map_or(SIGNATURE, |()| OK)
}

/// Gives the key and the identifier of a seed of Ed25519.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_ed25519_public(
    seed: *const [u8; 32],
    key: *mut [u8; 32],
    kid: *mut [u8; 8],
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (value(seed), place(key), place(kid)) };
    let (Ok(seed), Ok(key), Ok(kid)) = given else { return ARGUMENT };
    let secret = Ed25519Key::from_seed(seed);
    *kid = *secret.kid().as_bytes();
    *key = secret.public().to_ed25519().unwrap_or_default();
    OK
}

/// Gives the identifier of a key of Ed25519.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_ed25519_kid(key: *const [u8; 32], kid: *mut [u8; 8]) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (value(key), place(kid)) };
    let (Ok(key), Ok(kid)) = given else { return ARGUMENT };
    let Ok(key) = PublicKey::ed25519(key) else { return KEY };
    *kid = *key.kid().as_bytes();
    OK
}
