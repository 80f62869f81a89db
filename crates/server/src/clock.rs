//! The one clock of the shell: whatever works with time gets a reading handed down from here.

use keyward_mqtt::time::{Millis, Now, UnixMillis};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads both clocks. The monotonic one counts from the first reading of this process.
#[expect(clippy::disallowed_methods, reason = "this is the place where the clocks are read")]
pub fn now() -> Now {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let now = Instant::now();
    let mono = now.saturating_duration_since(*ORIGIN.get_or_init(|| now));
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { mono: millis(mono), wall: UnixMillis(millis(wall).0) }
}

/// Returns a span in milliseconds, rounded down.
pub fn millis(span: Duration) -> Millis {
    Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_does_not_go_back() {
        let first = now();
        assert!(now().mono >= first.mono);
        assert!(first.wall.as_secs() > 1_700_000_000);
    }
}
