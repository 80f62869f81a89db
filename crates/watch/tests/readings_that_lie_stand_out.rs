//! A sensor is watched for a month, then something happens to it.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod world;

use keyward_watch::readings::{Aspect, Reading, Stream};
use world::{ALARM_BITS, DAY, HOUR, Sensor, Watched};

fn a_month() -> Watched {
    let mut watched = Watched::new(Sensor::of_an_office(1));
    watched.quiet_days(30);
    watched
}

#[test]
fn ten_sensors_raise_fewer_than_five_alarms_in_a_quiet_quarter() {
    let mut alarms = 0;
    for seed in 0..10 {
        let mut watched = Watched::new(Sensor::of_an_office(seed));
        watched.quiet_days(7);
        alarms += watched.quiet_days(90);
    }
    assert!(alarms < 5, "{alarms} alarms");
}

#[test]
fn one_reading_far_off_is_seen_at_once() {
    let mut watched = a_month();
    let seen = watched.lie(1, |reading| reading + 30.0).unwrap();
    assert_eq!(seen.after, 1);
    assert!(
        matches!(seen.aspect, Aspect::Rate | Aspect::Range | Aspect::TimeOfDay | Aspect::TimeOfWeek),
        "{seen:?}"
    );
}

#[test]
fn a_sensor_that_was_warmed_by_a_hand_is_seen_within_the_hour() {
    let mut watched = a_month();
    let seen = watched.lie(HOUR, |reading| reading + 8.0).unwrap();
    assert!(seen.after <= HOUR, "{seen:?}");
}

#[test]
fn a_small_offset_that_stays_is_seen_within_the_day() {
    let mut watched = a_month();
    let seen = watched.lie(DAY, |reading| reading + 2.0).unwrap();
    assert!(
        matches!(seen.aspect, Aspect::TimeOfDay | Aspect::TimeOfWeek | Aspect::Shift | Aspect::Drift),
        "{seen:?}"
    );
}

#[test]
fn a_day_that_does_not_come_is_seen() {
    let mut watched = a_month();
    let night = watched.sensor.value_at_night();
    let seen = watched.lie(DAY, |_| night).unwrap();
    assert!(seen.after <= DAY, "{seen:?}");
}

#[test]
fn a_sensor_that_repeats_itself_is_seen_within_six_hours() {
    let mut watched = a_month();
    let stuck = watched.sensor.next().value;
    let seen = watched.lie(6 * HOUR, |_| stuck).unwrap();
    assert_eq!(seen.aspect, Aspect::Stuck);
}

#[test]
fn a_loose_contact_is_seen_within_four_hours() {
    let mut watched = a_month();
    watched.sensor.noise *= 8.0;
    assert!(watched.lie(4 * HOUR, |reading| reading).is_some());
}

#[test]
fn an_anomaly_that_goes_on_is_reported_a_few_times_not_with_each_reading() {
    let mut watched = a_month();
    let reports = watched.reports(DAY, |reading| reading + 15.0);
    assert!((1..=4).contains(&reports), "{reports} reports of one anomaly");
}

#[test]
fn what_stays_becomes_usual() {
    let mut watched = a_month();
    watched.reports(14 * DAY, |reading| reading + 15.0);
    assert_eq!(watched.reports(14 * DAY, |reading| reading + 15.0), 0);
}

#[test]
fn one_absurd_reading_blinds_nobody_for_long() {
    let mut watched = a_month();
    assert_eq!(watched.lie(1, |_| 1e300).unwrap().after, 1);
    watched.quiet_days(7);
    assert!(watched.quiet_days(30) <= 1);
    let seen = watched.lie(HOUR, |reading| reading + 30.0).unwrap();
    assert!(seen.after <= HOUR, "{seen:?}");
}

#[test]
fn a_value_that_never_changes_is_usual_and_its_first_change_is_not() {
    let mut stream = Stream::new(keyward_watch::readings::Settings::default());
    let mut at_ms = 0;
    let mut observe = |value: f64| {
        at_ms += 300_000;
        stream.observe(Reading { at_ms, value }).unwrap().bits
    };
    let highest = (0..10_000).map(|_| observe(45.0)).fold(0.0, f64::max);
    assert!(highest < ALARM_BITS, "{highest} bits");
    assert!(observe(46.0) >= ALARM_BITS);
}

#[test]
fn a_clock_that_stands_still_or_jumps_back_is_no_anomaly_of_the_value() {
    let mut watched = a_month();
    watched.clock_is_off_ms = -400 * 86_400_000;
    assert_eq!(watched.quiet_days(10), 0);
}

/// Series that people labelled (`tests/data/nab`), all judged from the same, lower threshold on: windows, of these found, alarms elsewhere.
#[test]
fn most_of_what_people_found_anomalous_in_real_series_is_found() {
    assert_eq!(world::real("nyc_taxi").judge(), (5, 5, 1));
    assert_eq!(world::real("ambient_temperature_system_failure").judge(), (2, 1, 5));
    assert_eq!(world::real("machine_temperature_system_failure").judge(), (4, 3, 3));
}
