//! The one clock of the shell: whatever works with time gets a reading handed down from here.

use keyward_mqtt::time::{Millis, Now, UnixMillis};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::macros::format_description;

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

/// Tells how long something took, to the nanosecond.
#[expect(clippy::disallowed_methods, reason = "this is the place where the clocks are read")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let done = work();
    (done, begin.elapsed())
}

/// Writes a moment (milliseconds since 1970) for the name of a file, in UTC: `20261129T170000Z`.
pub(crate) fn date_time(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(format).unwrap_or_else(|_| seconds.to_string())
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
