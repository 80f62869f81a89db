//! The one place where time is read: to say how fast seeds run. No run sees it.

use std::time::Instant;

/// Returns the time.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
