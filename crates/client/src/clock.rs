//! The one place where this crate reads the clock.

use keyward_mqtt::time::Millis;
use std::time::{Duration, Instant};

/// Returns this moment.
#[expect(
    clippy::disallowed_methods,
    reason = "a blocking client is the shell: what it drives is told the time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Counts milliseconds from its own beginning, as the sans-IO connection wants them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Begins now.
    pub(crate) fn start() -> Self {
        Self(now())
    }

    /// Returns this moment.
    pub(crate) fn millis(self) -> Millis {
        Millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Returns the instant of a moment of this clock.
    pub(crate) fn instant(self, at: Millis) -> Option<Instant> {
        self.0.checked_add(Duration::from_millis(at.0))
    }
}
