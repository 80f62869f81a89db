//! Numbers: of messages that are made, and of commands that come.

use crate::borrow::{RawClaims, bytes, place, value};
use crate::status::{ARGUMENT, OK, REPEAT, RESERVE, STALE};
use keyward_envelope::{Nonce, Recent, Sequence, freshness};

/// Is `kw_numbers`.
#[repr(C)]
pub struct RawNumbers {
    next: u64,
    end: u64,
}

/// Gives the next number of a message.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_next_number(numbers: *mut RawNumbers, sequence: *mut u64) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (place(numbers), place(sequence)) };
    let (Ok(numbers), Ok(sequence)) = given else { return ARGUMENT };
    if numbers.next >= numbers.end {
        return RESERVE;
    }
    *sequence = numbers.next;
    numbers.next += 1;
    OK
}

/// Judges the age of a command.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_command_is_fresh(
    claims: *const RawClaims,
    now: u64,
    nonce: *const u8,
    nonce_len: usize,
) -> i32 {
    // SAFETY: the caller's promise, for each pointer.
    let given = unsafe { (value(claims), bytes(nonce, nonce_len)) };
    let (Ok(claims), Ok(nonce)) = given else { return ARGUMENT };
    let Ok(claims) = claims.read() else { return ARGUMENT };
    let now = (now != 0).then_some(now);
    freshness::of_command(&claims, now, Nonce::new(nonce).as_ref()).map_or(STALE, |()| OK)
}

/// Takes the number of a command.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kw_command_is_new(recent: *mut [u8; 16], sequence: u64) -> i32 {
    // SAFETY: the caller's promise.
    let Ok(stored) = (unsafe { place(recent) }) else { return ARGUMENT };
    let mut recent = Recent::from_bytes(stored);
    let new = recent.take(Sequence(sequence));
    *stored = recent.to_bytes();
    if new { OK } else { REPEAT }
}
