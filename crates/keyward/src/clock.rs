//! The one place where this crate reads the clock, and how it shows times to people.

use std::time::{Duration, Instant, SystemTime};
use time::OffsetDateTime;
use time::macros::format_description;

/// Returns this moment on the monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line is the shell; everything below is told the time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns this moment in milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line is the shell; everything below is told the time"
)]
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Shows a moment in UTC to the second.
pub(crate) fn moment(unix_ms: u64) -> String {
    show(unix_ms, |at| at.format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z")).ok())
}

/// Shows the day of a moment in UTC.
pub(crate) fn day(unix_ms: u64) -> String {
    show(unix_ms, |at| at.format(format_description!("[year]-[month]-[day]")).ok())
}

fn show(unix_ms: u64, format: impl Fn(OffsetDateTime) -> Option<String>) -> String {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(format)
        .unwrap_or_else(|| "beyond the calendar".to_owned())
}

/// Shows how long ago a moment was.
pub(crate) fn ago(unix_ms: u64, now_ms: u64) -> String {
    format!("{} ago", span(now_ms.saturating_sub(unix_ms) / 1_000))
}

/// Shows a span of whole seconds in its largest unit, or two of them.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_in_utc() {
        assert_eq!(moment(1_795_457_245_999), "2026-11-23 18:07:25Z");
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(u64::MAX), "beyond the calendar");
    }

    #[test]
    fn a_span_is_shown_in_units_that_people_use() {
        assert_eq!(span(59), "59 s");
        assert_eq!(span(3_599), "59 min");
        assert_eq!(span(3_660), "1 h 1 min");
        assert_eq!(span(90_000), "1 d 1 h");
        assert_eq!(ago(5_000, 2_000), "0 s ago");
    }
}
