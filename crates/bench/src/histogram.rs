//! Latencies in classes whose width is at most 1/64 of their value, so that memory does not grow with the run.

use serde::Serialize;
use std::time::Duration;

const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;
/// Values up to 2^40 ns, about 18 minutes; longer ones fall into the last class.
const CLASSES: usize = SUB * (40 - SUB_BITS as usize + 1);

/// Counts latencies.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_ns: u64,
}

/// What people read of a histogram, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
}

impl Histogram {
    /// Begins empty.
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; CLASSES], total: 0, max_ns: 0 }
    }

    /// Counts one latency.
    pub(crate) fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[class(ns)] += 1;
        self.total += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// Returns the smallest class border below which lies this share (0 to 1) of all latencies, in nanoseconds;
    /// 0 if there are none.
    fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(class).min(self.max_ns);
            }
        }
        self.max_ns
    }

    /// Returns median, 99th percentile and maximum; `None` if nothing was counted.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        let us = |ns: u64| ns as f64 / 1_000.0;
        (self.total > 0).then(|| Percentiles {
            p50_us: us(self.quantile(0.5)),
            p99_us: us(self.quantile(0.99)),
            max_us: us(self.max_ns),
        })
    }
}

fn class(ns: u64) -> usize {
    if ns < SUB as u64 {
        return ns as usize;
    }
    let shift = ns.ilog2() - SUB_BITS;
    let within = (ns >> shift) as usize - SUB;
    ((shift as usize + 1) * SUB + within).min(CLASSES - 1)
}

/// Returns the largest value of a class.
fn upper(class: usize) -> u64 {
    if class < SUB {
        return class as u64;
    }
    let shift = class / SUB - 1;
    ((SUB + class % SUB + 1) as u64).wrapping_shl(shift as u32) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        for ns in values {
            histogram.record(Duration::from_nanos(ns));
        }
        histogram
    }

    #[test]
    fn a_class_is_at_most_a_64th_of_its_value_wide() {
        for ns in (0..38).flat_map(|bits| [1_u64 << bits, (1 << bits) + 1, (3 << bits) - 1]) {
            let border = upper(class(ns));
            assert!(border >= ns && border - ns <= ns / 64, "{ns} ns fell into the class up to {border}");
        }
    }

    #[test]
    fn percentiles_of_a_thousand_even_latencies_are_where_they_should_be() {
        let found = filled((1..=1_000).map(|n| n * 1_000)).percentiles().unwrap();
        assert!((500.0..=508.0).contains(&found.p50_us), "{found:?}");
        assert!((990.0..=1_000.0).contains(&found.p99_us), "{found:?}");
        assert_eq!(found.max_us, 1_000.0);
    }

    #[test]
    fn one_straggler_among_a_thousand_shows_in_the_maximum_only() {
        let found = filled((0..999).map(|_| 50_000).chain([90_000_000])).percentiles().unwrap();
        assert!(found.p99_us < 51.0, "{found:?}");
        assert_eq!(found.max_us, 90_000.0);
    }

    #[test]
    fn a_longer_wait_than_the_last_class_is_still_the_maximum() {
        assert_eq!(filled([u64::MAX]).percentiles().unwrap().max_us, u64::MAX as f64 / 1_000.0);
    }

    #[test]
    fn nothing_counted_has_no_percentiles() {
        assert_eq!(Histogram::new().percentiles(), None);
    }
}
