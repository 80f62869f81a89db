//! Since when a store knows every number of a signed message that was taken.
//!
//! A store that begins anew, that was restored from a backup or saved from damage does not know which numbers were taken before: a message
//! that is dated before that moment may have been taken already.

use super::wire::Reader;
use super::{HASH_KEY, META, NUMBERS_SINCE};
use keyward_mqtt::time::UnixMillis;
use keyward_store::{Batch, Read, ReadError};

/// Tells whether no broker has had a store yet.
///
/// # Errors
/// It cannot be read.
pub fn is_new(store: &dyn Read) -> Result<bool, ReadError> {
    Ok(store.get(META, HASH_KEY)?.is_none())
}

/// Returns what says in a store that numbers are known since `now` and not before: append it when the store is made, restored or saved.
pub fn begin_numbers(now: UnixMillis) -> Batch {
    let mut batch = Batch::new();
    batch.put(META, NUMBERS_SINCE, &now.0.to_be_bytes());
    batch
}

/// Reads since when: always, if a store does not say; from now on, if that does not read. A moment in the future is a wrong clock's: what was
/// taken since is known in any case.
pub(super) fn numbers_since(store: &dyn Read, now: UnixMillis) -> Result<UnixMillis, ReadError> {
    let Some(bytes) = store.get(META, NUMBERS_SINCE)? else { return Ok(UnixMillis(0)) };
    Ok(Reader::new(&bytes).u64().map_or(now, |since| UnixMillis(since).min(now)))
}
