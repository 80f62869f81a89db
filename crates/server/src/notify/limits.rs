//! Bounds of what is told outside, each with its reason.

use std::time::Duration;

/// Notices on their way to the thread that tells them; what is more is dropped and counted. Up to 8 KiB each.
pub const NOTICES_ON_WAY: usize = 1_024;

/// Notices that wait to be told, for all places together. When there is no room the oldest is dropped and counted.
pub const NOTICES: usize = 1_000;

/// Incidents of which a place is remembered to have been told, so that it hears of their end.
pub const NOTICES_TOLD: usize = 10_000;

/// Bytes of the file of what waits: all notices that may be, with all that they may hold.
pub const NOTICES_FILE_BYTES: usize = NOTICES * 16 * 1024;

/// How long a notice is tried, counted while the broker runs: over a weekend. What nobody took by then is dropped and counted.
pub const NOTICE_TRIED: Duration = Duration::from_secs(3 * 86_400);

/// The pause after the first try that failed; it doubles with each.
pub const NOTICE_PAUSE_FIRST: Duration = Duration::from_secs(5);

/// The longest pause between tries: so late a place that is there again is noticed at most.
pub const NOTICE_PAUSE_LONGEST: Duration = Duration::from_secs(15 * 60);

/// How long one try may take, from the name of the host to the answer.
pub const NOTICE_TIME: Duration = Duration::from_secs(15);

/// How long calls are gathered behind a mail before the next one leaves.
pub const MAIL_GATHER: Duration = Duration::from_secs(60);

/// Calls in one mail; what is more is the next mail's.
pub const MAIL_CALLS: usize = 50;

/// Bytes of a line that a mail server answers, and lines of one answer (RFC 5321, 4.5.3.1.5, says 512).
pub const SMTP_LINE_BYTES: usize = 2_048;

/// Lines of one answer of a mail server.
pub const SMTP_LINES: usize = 64;

/// Bytes of a syslog message over a datagram: what a receiver should take (RFC 5424, 6.1). What is longer is cut.
pub const SYSLOG_BYTES: usize = 2_048;

/// Bytes of the file of a secret or a password.
pub const SECRET_BYTES: usize = 4_096;

/// The shortest secret of a webhook, in bytes: 128 bits, if they are random.
pub const SECRET_BYTES_MIN: usize = 16;

/// Bytes of a file of certificates: those of a whole system are some 250 KiB.
pub const ROOTS_BYTES: usize = 4 * 1024 * 1024;
