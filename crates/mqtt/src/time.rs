//! Time as a value that comes in from outside. Nothing in this crate, or in the broker, reads a clock.

/// Is a point or a span on a monotonic clock, in milliseconds; the origin is the caller's. Deadlines and timers use
/// it, for the wall clock may jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// The origin, and the empty span.
    pub const ZERO: Self = Self(0);

    /// Returns a span of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns the whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the point that lies `span` later, or the last one that there is.
    pub const fn saturating_add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// Returns the span since `earlier`, or the point that lies so much earlier; zero rather than less.
    pub const fn saturating_sub(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

/// Is a point in wall-clock time: milliseconds since 1970-01-01T00:00:00Z. What must survive a restart is stored so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Returns the point of this second.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns the whole seconds since 1970, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the point that lies `span` later, or the last one that there is.
    pub const fn saturating_add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// Returns the point that lies `span` earlier, or the first one.
    pub const fn saturating_sub(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// Returns the span since `earlier`, or none if the clock went back.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// Is one reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Now {
    /// For timers.
    pub mono: Millis,
    /// For what is stored or shown.
    pub wall: UnixMillis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Millis(5).saturating_sub(Millis(7)), Millis::ZERO);
        assert_eq!(Millis(u64::MAX).saturating_add(Millis(1)), Millis(u64::MAX));
        assert_eq!(Millis::from_secs(u64::MAX), Millis(u64::MAX));
        assert_eq!(UnixMillis(5).saturating_sub(Millis(7)), UnixMillis(0));
        assert_eq!(UnixMillis(u64::MAX).saturating_add(Millis(1)), UnixMillis(u64::MAX));
    }

    #[test]
    fn a_wall_clock_that_went_back_gives_no_span() {
        assert_eq!(UnixMillis(7_000).since(UnixMillis(5_000)), Millis::from_secs(2));
        assert_eq!(UnixMillis(5_000).since(UnixMillis(7_000)), Millis::ZERO);
    }
}
