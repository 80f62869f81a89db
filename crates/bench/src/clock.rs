//! The one place where this program reads the clock and waits.

use std::time::{Duration, Instant};

/// Returns this moment.
#[expect(
    clippy::disallowed_methods,
    reason = "a measuring program reads the clock; all others get it from here"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Rests between two looks at a condition that comes about outside this process; every caller has a deadline.
#[expect(clippy::disallowed_methods, reason = "another process gives no event to wait for")]
pub(crate) fn rest(time: Duration) {
    std::thread::sleep(time);
}

/// Looks every 20 ms until `condition` gives a value or the time is over.
pub(crate) fn until<T>(patience: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = now();
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if start.elapsed() >= patience {
            return None;
        }
        rest(Duration::from_millis(20));
    }
}

/// Returns the time on the wall, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
