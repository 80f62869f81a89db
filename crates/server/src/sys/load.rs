//! Load averages: how much a minute, smoothed exponentially over 1, 5 and 15 minutes.

use keyward_mqtt::time::Millis;

/// The names of the averages and the minutes over which they run.
const WINDOWS: [(&str, f64); 3] = [("1min", 1.0), ("5min", 5.0), ("15min", 15.0)];

/// Holds the averages of `N` counts.
pub(super) struct Loads<const N: usize = 9> {
    at: Millis,
    counts: [u64; N],
    averages: [[f64; WINDOWS.len()]; N],
}

impl<const N: usize> Loads<N> {
    pub(super) fn new(began: Millis) -> Self {
        Self { at: began, counts: [0; N], averages: [[0.0; WINDOWS.len()]; N] }
    }

    /// Takes the counts of this moment; returns all averages as topics and values.
    pub(super) fn update(&mut self, now: Millis, counts: [(&'static str, u64); N]) -> Vec<(String, String)> {
        let minutes = now.saturating_sub(self.at).0 as f64 / 60_000.0;
        let mut values = Vec::with_capacity(N * WINDOWS.len());
        for (index, (name, count)) in counts.into_iter().enumerate() {
            let more = count.saturating_sub(self.counts[index]) as f64;
            for (average, (window, length)) in self.averages[index].iter_mut().zip(WINDOWS) {
                if minutes > 0.0 {
                    let rate = more / minutes;
                    *average = rate + (-minutes / length).exp() * (*average - rate);
                }
                values.push((format!("load/{name}/{window}"), format!("{average:.2}")));
            }
            if minutes > 0.0 {
                self.counts[index] = count;
            }
        }
        self.at = self.at.max(now);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(loads: &mut Loads<1>, secs: u64, count: u64) -> Vec<String> {
        let values = loads.update(Millis::from_secs(secs), [("sockets", count)]);
        assert_eq!(values[0].0, "load/sockets/1min");
        values.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn averages_follow_a_steady_rate_the_short_one_first() {
        let mut loads = Loads::new(Millis::ZERO);
        // 60 a minute, seen for a minute: 1 - 1/e of it, 1 - e^(-1/5), 1 - e^(-1/15).
        assert_eq!(at(&mut loads, 60, 60), ["37.93", "10.88", "3.87"]);
        assert_eq!(at(&mut loads, 60, 60), ["37.93", "10.88", "3.87"], "no time has passed");
        for minute in 2..=60 {
            at(&mut loads, 60 * minute, 60 * minute);
        }
        assert_eq!(at(&mut loads, 3_660, 3_660), ["60.00", "60.00", "58.97"]);
    }

    #[test]
    fn steps_of_any_length_come_to_the_same() {
        let mut loads = Loads::new(Millis::ZERO);
        for step in 1..=6 {
            at(&mut loads, 10 * step, 10 * step);
        }
        assert_eq!(at(&mut loads, 60, 60), ["37.93", "10.88", "3.87"]);
    }
}
