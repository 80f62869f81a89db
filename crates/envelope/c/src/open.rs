//! Looking at messages, verifying and opening them.

use crate::borrow::{
    CallbackAgreement, CallbackVerifier, RawAgreement, RawContext, RawFound, RawGroupKey, RawServerKey,
    RawVerifier, bytes, context, place, room, value,
};
use crate::status::{ARGUMENT, Failed, MALFORMED, NO_ROOM, OK, OTHER_FORM};
use keyward_envelope::limits::KEY_SET_KEYS;
use keyward_envelope::{Content, Format, KeySet, Verified, inspect, open_grant};

/// Finds out which key a message names.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_inspect(message: *const u8, len: usize, kid: *mut [u8; 8]) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (bytes(message, len), place(kid)) };
    let (Ok(message), Ok(kid)) = given else { return ARGUMENT };
    let Ok(found) = inspect(message) else { return MALFORMED };
    *kid = *found.kid().as_bytes();
    OK
}

/// Is a message as C gives it, with what it is verified by and for.
type Raw = (*const u8, usize, *const RawVerifier, *const RawContext);

/// Verifies a message.
///
/// # Safety
/// As the header says.
unsafe fn verified<'a>((message, len, verifier, raw_context): Raw) -> Result<Verified<'a>, Failed> {
    // SAFETY: the caller's promise, for each pointer.
    unsafe {
        let verifier = CallbackVerifier::new(value(verifier)?)?;
        let found = inspect(bytes(message, len)?).map_err(|_| MALFORMED)?;
        Ok(found.verify(&verifier, &context(raw_context)?)?)
    }
}

/// Verifies a message, lets `open` write its payload, and tells C what was found.
///
/// # Safety
/// As the header says.
unsafe fn opened(
    raw: Raw,
    found: *mut RawFound,
    written: *mut usize,
    open: impl FnOnce(&Content<'_>) -> Result<(usize, Option<Format>), Failed>,
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (verified(raw), place(found), place(written)) };
    let (verified, Ok(found), Ok(written)) = given else { return ARGUMENT };
    let result = verified.and_then(|verified| {
        let content = verified.content().map_err(|_| MALFORMED)?;
        let (len, format) = open(&content)?;
        found.write(verified.claims(), format);
        Ok(len)
    });
    let (status, len) = match result {
        Ok(len) => (OK, len),
        Err(failed) => (failed.status, failed.needed),
    };
    *written = len;
    status
}

/// Opens a message that is not encrypted.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_open(
    message: *const u8,
    len: usize,
    verifier: *const RawVerifier,
    context: *const RawContext,
    found: *mut RawFound,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    unsafe {
        opened((message, len, verifier, context), found, written, |content| {
            let Content::Plain { format, payload } = content else { return Err(OTHER_FORM.into()) };
            let needed = payload.len();
            let out = room(out, capacity)?.get_mut(..needed).ok_or(Failed { status: NO_ROOM, needed })?;
            out.copy_from_slice(payload);
            Ok((needed, *format))
        })
    }
}

/// Opens a message for the holder of one key.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_open_for_recipient(
    message: *const u8,
    len: usize,
    verifier: *const RawVerifier,
    context: *const RawContext,
    key: *const RawAgreement,
    found: *mut RawFound,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    unsafe {
        opened((message, len, verifier, context), found, written, |content| {
            let Content::ForRecipient(sealed) = content else { return Err(OTHER_FORM.into()) };
            let opened = sealed.open(&mut CallbackAgreement(value(key)?), room(out, capacity)?)?;
            Ok((opened.len(), sealed.format()))
        })
    }
}

/// Opens a message for a group.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_open_for_group(
    message: *const u8,
    len: usize,
    verifier: *const RawVerifier,
    context: *const RawContext,
    key: *const RawGroupKey,
    found: *mut RawFound,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    unsafe {
        opened((message, len, verifier, context), found, written, |content| {
            let Content::ForGroup(sealed) = content else { return Err(OTHER_FORM.into()) };
            let opened = sealed.open(&value(key)?.read()?, room(out, capacity)?)?;
            Ok((opened.len(), sealed.format()))
        })
    }
}

/// Opens the grant of a group key.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_open_grant(
    message: *const u8,
    len: usize,
    verifier: *const RawVerifier,
    context: *const RawContext,
    key: *const RawAgreement,
    found: *mut RawFound,
    granted: *mut RawGroupKey,
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let result = unsafe {
        verified((message, len, verifier, context)).and_then(|verified| {
            let opened = open_grant(&verified, &mut CallbackAgreement(value(key)?))?;
            place(granted)?.write(&opened);
            place(found)?.write(verified.claims(), None);
            Ok(())
        })
    };
    result.map_or_else(|failed| failed.status, |()| OK)
}

/// Opens a key set.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_open_key_set(
    message: *const u8,
    len: usize,
    root: *const RawVerifier,
    context: *const RawContext,
    found: *mut RawFound,
    keys: *mut [RawServerKey; KEY_SET_KEYS],
    count: *mut usize,
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (verified((message, len, root, context)), place(found), place(keys), place(count)) };
    let (verified, Ok(found), Ok(keys), Ok(count)) = given else { return ARGUMENT };
    *count = 0;
    let set = match verified {
        Ok(verified) => KeySet::read(&verified).map(|set| (verified, set)),
        Err(failed) => return failed.status,
    };
    let Ok((verified, set)) = set else { return MALFORMED };
    for (place, (key, purpose)) in keys.iter_mut().zip(set.keys()) {
        *place = RawServerKey::new(key, purpose);
        *count += 1;
    }
    found.write(verified.claims(), None);
    OK
}
