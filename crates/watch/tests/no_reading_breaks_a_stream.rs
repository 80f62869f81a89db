//! Whatever a device says, and whenever it says it happened.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_watch::readings::{MAX_BITS, NotFinite, Reading, Settings, Stream};
use proptest::prelude::*;

/// Readings as bad devices send them: any number, some often, at any time, some in order.
fn readings() -> impl Strategy<Value = Vec<Reading>> {
    let value = prop_oneof![
        4 => -50.0..50.0,
        2 => prop::sample::select(vec![0.0, -0.0, 1.0, 85.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 1e-300, 1e300]),
        1 => prop::num::f64::ANY,
    ];
    let pause =
        prop_oneof![4 => Just(60_000), 1 => Just(0), 1 => any::<i64>(), 1 => -100_000_i64..100_000_000];
    prop::collection::vec((pause, value), 1..400).prop_map(|steps| {
        let mut at_ms = 1_700_000_000_000_i64;
        let next = |(pause, value): (i64, f64)| {
            at_ms = at_ms.wrapping_add(pause);
            Reading { at_ms, value }
        };
        steps.into_iter().map(next).collect()
    })
}

proptest! {
    #[test]
    fn every_reading_gets_a_finite_surprise_or_is_no_number(readings in readings()) {
        let mut stream = Stream::new(Settings::default());
        for reading in readings {
            match stream.observe(reading) {
                Ok(seen) => {
                    prop_assert!((0.0..=MAX_BITS).contains(&seen.bits), "{seen:?}");
                    prop_assert!((0.0..1.0).contains(&seen.score()), "{seen:?}");
                }
                Err(NotFinite) => prop_assert!(!reading.value.is_finite()),
            }
        }
    }

    #[test]
    fn what_is_no_number_leaves_no_trace(readings in readings()) {
        let (mut with, mut without) = (Stream::new(Settings::default()), Stream::new(Settings::default()));
        for reading in readings {
            if reading.value.is_finite() {
                prop_assert_eq!(with.observe(reading), without.observe(reading));
            } else {
                prop_assert_eq!(with.observe(reading), Err(NotFinite));
            }
        }
    }

    #[test]
    fn the_unit_does_not_matter(readings in prop::collection::vec(1..100_i32, 1..400), power in -20..20) {
        // By powers of four, so that half bits stay half bits.
        let (mut one, mut other) = (Stream::new(Settings::default()), Stream::new(Settings::default()));
        let (all, mut apart) = (readings.len(), 0);
        for (minute, value) in readings.into_iter().enumerate() {
            let at_ms = minute as i64 * 60_000;
            let value = f64::from(value);
            let (a, b) = (
                one.observe(Reading { at_ms, value }).unwrap(),
                other.observe(Reading { at_ms, value: value * 4_f64.powi(power) }).unwrap(),
            );
            apart += usize::from((a.bits - b.bits).abs() > 0.05);
        }
        // Magnitudes are kept as logarithms of 24 bits: what is added to them rounds the last of these, and what lies on the edge of
        // an anomaly that was reported falls to the one side or the other.
        prop_assert!(apart <= 4 + all / 20, "{apart} of {all}");
    }
}

/// What `docs/benchmarks.md` says a stream takes.
#[test]
fn a_stream_takes_less_than_six_kilobytes() {
    const { assert!(Stream::BYTES <= 6 * 1024) };
    assert!(!std::mem::needs_drop::<Stream>(), "it owns memory elsewhere");
}
