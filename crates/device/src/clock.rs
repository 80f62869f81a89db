//! The one place where this crate reads the clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Dates before this are no dates: a board without a battery wakes up in 1970. 2025-01-01.
const FIRST: u64 = 1_735_689_600;

/// Returns this moment.
#[expect(clippy::disallowed_methods, reason = "the device is the shell: what it drives is told the time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the seconds since 1970; nothing if the clock was never set.
#[expect(clippy::disallowed_methods, reason = "the device is the shell: what it drives is told the time")]
pub(crate) fn unix_seconds() -> Option<u64> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds >= FIRST).then_some(seconds)
}

/// Returns the seconds since 1970 for a device that believes its clock, or nothing.
pub(crate) fn date(is_believed: bool) -> Option<u64> {
    unix_seconds().filter(|_| is_believed)
}
