//! How often something may happen: so many a second in the long run, and so many at once after a pause.

use keyward_mqtt::time::Millis;

/// Is a rate; 0 a second is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u64,
    /// What may happen at once after a pause.
    pub(crate) burst: u64,
}

/// Is how much of a rate somebody has used up: the moment at which all of it is there again, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub(crate) struct Spent(u64);

const NANOS: u64 = 1_000_000_000;

fn nanos(at: Millis) -> u64 {
    at.0.saturating_mul(1_000_000)
}

impl Rate {
    /// Makes the rate whose burst is what comes in a second.
    pub(crate) fn each_second(per_second: u64) -> Self {
        Self { per_second, burst: per_second }
    }

    pub(crate) fn is_on(self) -> bool {
        self.per_second > 0
    }

    fn time_of(self, units: u64) -> u64 {
        let nanos = u128::from(units) * u128::from(NANOS) / u128::from(self.per_second.max(1));
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// Uses up `units`, even such as are not there.
    pub(crate) fn spend(self, spent: &mut Spent, now: Millis, units: u64) {
        if self.is_on() {
            spent.0 = spent.0.max(nanos(now)).saturating_add(self.time_of(units));
        }
    }

    /// Returns when something is there again; `None` if something is.
    pub(crate) fn wait(self, spent: Spent, now: Millis) -> Option<Millis> {
        let debt = spent.0.saturating_sub(nanos(now));
        let excess = debt.checked_sub(self.time_of(self.burst)).filter(|_| self.is_on())?;
        Some(now.saturating_add(Millis(excess / 1_000_000 + 1)))
    }
}

impl Spent {
    /// Tells whether nothing is used up any more.
    pub(crate) fn is_over(self, now: Millis) -> bool {
        self.0 <= nanos(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_there_at_once_and_then_so_much_a_second() {
        let rate = Rate { per_second: 10, burst: 50 };
        let mut spent = Spent::default();
        let mut happened = 0;
        for ms in 0..10_000 {
            while rate.wait(spent, Millis(ms)).is_none() {
                rate.spend(&mut spent, Millis(ms), 1);
                happened += 1;
            }
            if ms == 0 {
                assert_eq!(happened, 50);
            }
        }
        assert!((149..=150).contains(&happened), "{happened}");
        assert!(spent.is_over(Millis(15_001)) && !spent.is_over(Millis(14_000)));
    }

    #[test]
    fn what_is_too_much_at_once_is_waited_for_in_full() {
        let rate = Rate::each_second(1_000);
        let mut spent = Spent::default();
        rate.spend(&mut spent, Millis(7), 5_000);
        assert_eq!(rate.wait(spent, Millis(7)), Some(Millis(4_008)));
        assert_eq!(rate.wait(spent, Millis(4_008)), None);
    }

    #[test]
    fn no_rate_is_no_bound() {
        let rate = Rate::each_second(0);
        let mut spent = Spent::default();
        rate.spend(&mut spent, Millis(7), u64::MAX);
        assert_eq!(rate.wait(spent, Millis(7)), None);
    }
}
