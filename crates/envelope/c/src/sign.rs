//! Signing.

use crate::borrow::{
    CallbackRandom, CallbackSigner, RawClaims, RawContext, RawGroupKey, RawRandom, RawSigner, bytes, context,
    format, place, room, value,
};
use crate::status::{ARGUMENT, Failed, KEY, OK};
use keyward_envelope::{Cipher, Message, PublicKey, SealError, sign, sign_for_group, sign_for_recipient};

/// Is what all three functions get.
struct Given<'a> {
    context: keyward_envelope::Context<'a>,
    message: Message<'a>,
    signer: CallbackSigner<'a>,
    out: &'a mut [u8],
}

impl<'a> Given<'a> {
    /// # Safety
    /// As the header says.
    unsafe fn new(
        raw_context: *const RawContext,
        claims: *const RawClaims,
        content: i32,
        payload: (*const u8, usize),
        signer: *const RawSigner,
        out: (*mut u8, usize),
    ) -> Result<Self, Failed> {
        // SAFETY: the caller's promise, for each pointer.
        unsafe {
            let payload = bytes(payload.0, payload.1)?;
            let message = Message { claims: value(claims)?.read()?, format: format(content)?, payload };
            let signer = CallbackSigner::new(value(signer)?)?;
            Ok(Self { context: context(raw_context)?, message, signer, out: room(out.0, out.1)? })
        }
    }
}

/// Tells C how long the message is, or how long it would be.
///
/// # Safety
/// `written` as the header says.
unsafe fn done(result: Result<Result<usize, SealError>, Failed>, written: *mut usize) -> i32 {
    // SAFETY: the caller's promise.
    let Ok(written) = (unsafe { place(written) }) else { return ARGUMENT };
    let (status, len) = match result.and_then(|sealed| sealed.map_err(Failed::from)) {
        Ok(len) => (OK, len),
        Err(failed) => (failed.status, failed.needed),
    };
    *written = len;
    status
}

/// Signs a message that everybody may read.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_sign(
    context: *const RawContext,
    claims: *const RawClaims,
    format: i32,
    payload: *const u8,
    payload_len: usize,
    signer: *const RawSigner,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    unsafe {
        let given = Given::new(context, claims, format, (payload, payload_len), signer, (out, capacity));
        done(
            given.map(|mut given| sign(&given.message, &given.context, &mut given.signer, given.out)),
            written,
        )
    }
}

/// Signs a message for the holder of one key.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_sign_for_recipient(
    context: *const RawContext,
    claims: *const RawClaims,
    format: i32,
    payload: *const u8,
    payload_len: usize,
    signer: *const RawSigner,
    to: *const [u8; 65],
    random: *const RawRandom,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    unsafe {
        let given = Given::new(context, claims, format, (payload, payload_len), signer, (out, capacity));
        let sealed = given.and_then(|mut given| {
            let to = PublicKey::p256(value(to)?).map_err(|_| KEY)?;
            let mut random = CallbackRandom(value(random)?);
            let Given { message, context, signer, out } = &mut given;
            Ok(sign_for_recipient(message, context, signer, &to, &mut random, out))
        });
        done(sealed, written)
    }
}

/// Signs a message for a group.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_sign_for_group(
    context: *const RawContext,
    claims: *const RawClaims,
    format: i32,
    payload: *const u8,
    payload_len: usize,
    signer: *const RawSigner,
    key: *const RawGroupKey,
    cipher: i32,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    unsafe {
        let given = Given::new(context, claims, format, (payload, payload_len), signer, (out, capacity));
        let sealed = given.and_then(|mut given| {
            let key = value(key)?.read()?;
            let cipher = match cipher {
                1 => Cipher::Gcm,
                10 => Cipher::Ccm,
                _ => return Err(ARGUMENT.into()),
            };
            let Given { message, context, signer, out } = &mut given;
            Ok(sign_for_group(message, context, signer, &key, cipher, out))
        });
        done(sealed, written)
    }
}
