//! What real series lend to simulated sensors: the rhythm of a day, how far a day strays from it, and fine noise.
//!
//! The series are three of the Numenta Anomaly Benchmark, kept with their licence in `crates/watch/tests/data/nab`. Their labelled windows are left out.

use crate::dice::Dice;
use serde_json::Value;
use std::sync::OnceLock;

/// Milliseconds of a day.
pub(super) const DAY: u64 = 24 * 60 * 60 * 1_000;

/// Names a real series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Series {
    /// The temperature of an office, once an hour.
    Office,
    /// The temperature of a large machine, once in five minutes.
    Machine,
    /// Passengers of taxis, once in half an hour.
    Taxi,
}

/// Is a real series, taken apart. Units: the median absolute deviation from the rhythm, times 1.4826.
#[derive(Debug)]
pub(super) struct Real {
    per_day: usize,
    /// The median of each time of day, less the median of all.
    rhythm: Vec<f64>,
    /// What is left of each row without the rhythm.
    rest: Vec<f64>,
    /// For each day of the week, Monday first, the rows from which two days without a hole or a label follow.
    days: [Vec<usize>; 7],
    /// How far each row lies beside the middle of its neighbours, in units of the median of that.
    fine: Vec<f64>,
    /// For each day, how many readings its longest hole swallowed.
    holes: Vec<u32>,
}

/// How much of a day fades over from what the day before would have become.
const FADE: f64 = 0.2;

/// By how many rows more each lap through the fine noise is shifted against itself.
const SHIFT: usize = 2_741;

impl Series {
    /// Returns the series, which is read once.
    pub(super) fn read(self) -> &'static Real {
        static SERIES: [OnceLock<Real>; 3] = [const { OnceLock::new() }; 3];
        SERIES[self as usize].get_or_init(|| {
            let (name, text, per_day) = match self {
                Self::Office => {
                    ("ambient_temperature_system_failure", include_str!("../../../watch/tests/data/nab/data/realKnownCause/ambient_temperature_system_failure.csv"), 24)
                }
                Self::Machine => {
                    ("machine_temperature_system_failure", include_str!("../../../watch/tests/data/nab/data/realKnownCause/machine_temperature_system_failure.csv"), 288)
                }
                Self::Taxi => ("nyc_taxi", include_str!("../../../watch/tests/data/nab/data/realKnownCause/nyc_taxi.csv"), 48),
            };
            Real::new(&rows(text), &windows(name), per_day)
        })
    }
}

impl Real {
    fn new(rows: &[(u64, f64)], windows: &[(u64, u64)], per_day: usize) -> Self {
        let period = 86_400 / per_day as u64;
        let bin = |at: u64| ((at % 86_400) / period) as usize;
        let labelled = |at: u64| windows.iter().any(|(first, last)| (*first..=*last).contains(&at));
        let clean: Vec<_> = rows.iter().copied().filter(|(at, _)| !labelled(*at)).collect();
        let all = median(clean.iter().map(|row| row.1).collect());
        let at_bin =
            |wanted| clean.iter().filter(|row| bin(row.0) == wanted).map(|row| row.1 - all).collect();
        let mut rhythm: Vec<f64> = (0..per_day).map(|wanted| median(at_bin(wanted))).collect();
        let mut rest: Vec<f64> = rows.iter().map(|row| row.1 - all - rhythm[bin(row.0)]).collect();
        let unit = unit_of(rows.iter().zip(&rest).filter(|(row, _)| !labelled(row.0)).map(|(_, rest)| *rest));
        rhythm.iter_mut().chain(&mut rest).for_each(|value| *value /= unit);

        let mut days: [Vec<usize>; 7] = Default::default();
        for (first, pair) in rows.windows(2 * per_day + 1).enumerate() {
            let (begin, end) = (pair[0].0, pair[2 * per_day].0);
            let is_whole = begin % 86_400 == 0 && end == begin + 2 * 86_400;
            if is_whole && !windows.iter().any(|window| window.0 <= end && begin <= window.1) {
                // 1 January 1970 was a Thursday.
                days[(begin / 86_400 + 3) as usize % 7].push(first);
            }
        }
        let mut fine: Vec<f64> = rows
            .windows(3)
            .filter(|rows| rows[2].0 == rows[0].0 + 2 * period && !labelled(rows[1].0))
            .map(|rows| rows[1].1 - f64::midpoint(rows[0].1, rows[2].1))
            .collect();
        let unit = unit_of(fine.iter().copied());
        fine.iter_mut().for_each(|value| *value /= unit);

        let first_day = rows.first().map_or(0, |row| row.0 / 86_400);
        let last_day = rows.last().map_or(0, |row| row.0 / 86_400);
        let mut holes = vec![0; (last_day - first_day + 1) as usize];
        for pair in rows.windows(2) {
            let missing = pair[1].0.saturating_sub(pair[0].0) / period;
            let day = &mut holes[(pair[0].0 / 86_400 - first_day) as usize];
            *day = (*day).max(missing.saturating_sub(1) as u32);
        }
        Self { per_day, rhythm, rest, days, fine, holes }
    }

    /// Returns the rhythm at a time.
    pub(super) fn rhythm(&self, at: u64) -> f64 {
        let place = (at % DAY) as f64 / DAY as f64 * self.per_day as f64;
        let (before, part) = (place as usize, place.fract());
        let after = self.rhythm[(before + 1) % self.per_day];
        self.rhythm[before % self.per_day] * (1.0 - part) + after * part
    }

    /// Returns how far the day that `seed` draws for this time strays from the rhythm. A day is a whole real day of the same day of the
    /// week; it fades over from what followed the real day before.
    pub(super) fn stray(&self, seed: u64, at: u64) -> f64 {
        let (day, phase) = (at / DAY, (at % DAY) as f64 / DAY as f64);
        let today = self.rest_at(self.drawn_day(seed, day), phase);
        if phase >= FADE || day == 0 {
            return today;
        }
        let yesterday = self.rest_at(self.drawn_day(seed, day - 1), 1.0 + phase);
        yesterday + (today - yesterday) * phase / FADE
    }

    fn drawn_day(&self, seed: u64, day: u64) -> usize {
        // 1 January 1970 was a Thursday.
        let days = &self.days[(day + 3) as usize % 7];
        Dice::new(seed ^ day.wrapping_mul(0xD6E8_FEB8_6659_FD93)).pick(days).copied().unwrap_or(0)
    }

    fn rest_at(&self, first: usize, phase: f64) -> f64 {
        let place = phase * self.per_day as f64;
        let (before, part) = (first + place as usize, place.fract());
        self.rest[before] * (1.0 - part) + self.rest[before + 1] * part
    }

    /// Returns the fine noise of one row; rows that follow each other belong together. Each lap through the series meets another part of
    /// it, because noise that comes again as it was is a lie and no noise.
    pub(super) fn fine(&self, row: usize) -> f64 {
        let rows = self.fine.len();
        let other = row + (row / rows + 1) * SHIFT;
        // Squares that add up to one: as much noise as one part has.
        0.8 * self.fine[row % rows] + 0.6 * self.fine[other % rows]
    }

    /// Draws a day and returns how many readings its longest hole swallowed; mostly none.
    pub(super) fn hole(&self, dice: &mut Dice) -> u32 {
        dice.pick(&self.holes).copied().unwrap_or(0)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn unit_of(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    let middle = median(values.clone());
    (1.4826 * median(values.iter().map(|value| (value - middle).abs()).collect())).max(f64::MIN_POSITIVE)
}

/// Reads lines of "YYYY-MM-DD HH:MM:SS,VALUE" into seconds since 1970 and values, less the one that goes back in time (an hour is there twice).
fn rows(text: &str) -> Vec<(u64, f64)> {
    let mut rows: Vec<(u64, f64)> = Vec::new();
    for (at, value) in text.lines().skip(1).filter_map(|line| line.trim().split_once(',')) {
        let (Some(at), Ok(value)) = (seconds(at), value.parse()) else { continue };
        if rows.last().is_none_or(|last| last.0 < at) {
            rows.push((at, value));
        }
    }
    rows
}

/// Reads "YYYY-MM-DD HH:MM:SS", and more behind it, as seconds since 1970.
fn seconds(text: &str) -> Option<u64> {
    let numbers: Vec<u64> =
        text.split(['-', ' ', ':', '.']).take(6).filter_map(|part| part.parse().ok()).collect();
    let &[year, month, day, hour, minute, second] = numbers.as_slice() else { return None };
    // Days of the civil calendar, counted from March, so that a leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(((days.checked_sub(719_468)? * 24 + hour) * 60 + minute) * 60 + second)
}

/// Reads the labelled windows of one series, in seconds since 1970.
fn windows(name: &str) -> Vec<(u64, u64)> {
    let text = include_str!("../../../watch/tests/data/nab/labels/combined_windows.json");
    let labels: Value = serde_json::from_str(text).unwrap_or_default();
    let windows = labels[format!("realKnownCause/{name}.csv")].as_array().cloned().unwrap_or_default();
    let end = |window: &Value, end: usize| seconds(window[end].as_str()?);
    windows.iter().filter_map(|window| Some((end(window, 0)?, end(window, 1)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(seconds("1970-01-01 00:00:00"), Some(0));
        assert_eq!(seconds("2014-03-01 01:02:03.000000"), Some(1_393_635_723));
    }

    #[test]
    fn each_series_has_its_length_its_holes_and_its_labels() {
        let [office, machine, taxi] = [Series::Office, Series::Machine, Series::Taxi].map(Series::read);
        assert_eq!([office.rest.len(), taxi.rest.len()], [7_267, 10_320]);
        assert!(machine.rest.len() > 22_600);
        let holes = |real: &Real| real.holes.iter().filter(|hole| **hole > 0).count();
        assert!((5..=12).contains(&holes(office)), "{}", holes(office));
        assert_eq!([holes(machine), holes(taxi)], [0, 0]);
        let counts = ["ambient_temperature_system_failure", "machine_temperature_system_failure", "nyc_taxi"]
            .map(|name| windows(name).len());
        assert_eq!(counts, [2, 4, 5]);
        for real in [office, machine, taxi] {
            assert!(real.days.iter().all(|days| days.len() >= 3), "{:?}", real.days.each_ref().map(Vec::len));
        }
    }

    #[test]
    fn noise_does_not_come_again() {
        for real in [Series::Office, Series::Machine, Series::Taxi].map(Series::read) {
            let lap = |lap: usize| -> Vec<f64> {
                (0..real.fine.len()).map(|row| real.fine(lap * real.fine.len() + row)).collect()
            };
            let first = lap(0);
            for again in [1, 2, 30].map(lap) {
                let same = first.iter().zip(&again).filter(|(a, b)| (**a - **b).abs() < 0.05).count();
                assert!(same < first.len() / 4, "{same} of {}", first.len());
            }
        }
    }

    #[test]
    fn a_day_flows_into_the_next() {
        let real = Series::Machine.read();
        for day in 0..20 {
            let midnight = 20_000 * DAY + day * DAY;
            let step = (real.stray(7, midnight) - real.stray(7, midnight - 1)).abs();
            assert!(step < 0.01, "{step}");
        }
    }
}
