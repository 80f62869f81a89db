//! The score of the Numenta Anomaly Benchmark, after its published definition (A. Lavin and S. Ahmad, "Evaluating
//! real-time anomaly detection algorithms", 2015, and the scorer of its version 1.1).
//!
//! A labelled window is worth what its earliest detection is worth: 1 at its first row, falling on a sigmoid towards 0 at its
//! last. A window without a detection costs. A detection outside costs on the same sigmoid, less shortly after a window. The
//! first 15 % of a series, at most 750 rows, are not judged. One threshold serves all series; the benchmark chooses the one
//! that scores best for each profile. 0 is what a detector scores that never detects, 100 what a perfect one does.

/// What true and false detections are worth in the eyes of somebody who pays for them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Profile {
    pub(crate) name: String,
    /// Of a window that is detected.
    pub(crate) true_positive: f64,
    /// Of a row outside all windows that is taken for an anomaly.
    pub(crate) false_positive: f64,
    /// Of a window that is not detected.
    pub(crate) false_negative: f64,
}

/// First and last row of a labelled anomaly, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Window {
    fn rows(self) -> f64 {
        (self.last - self.first + 1) as f64
    }
}

/// Where a row stands, and what a detection there is worth before a profile weighs it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Probation,
    Inside { window: usize, worth: f64 },
    Outside { worth: f64 },
}

/// A row of some series, as the benchmark looks at it.
#[derive(Debug, Clone, Copy)]
struct Row {
    score: f64,
    place: Place,
}

/// The rows of one or more series with the scores that a detector gave them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Judged {
    rows: Vec<Row>,
    windows: usize,
}

/// What is scored at one threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    /// Rows of this score and above are detections.
    pub(crate) threshold: f64,
    /// Before it is normalised.
    pub(crate) raw: f64,
    /// Windows with a detection.
    pub(crate) found: usize,
    /// Detections outside all windows.
    pub(crate) false_alarms: usize,
}

impl Judged {
    /// Judges the scores of one series; the windows are in order and do not overlap.
    pub(crate) fn series(scores: &[f64], windows: &[Window]) -> Self {
        let probation = probation(scores.len());
        let mut counted: Vec<bool> = vec![false; windows.len()];
        let mut rows = Vec::with_capacity(scores.len());
        for (at, &score) in scores.iter().enumerate() {
            let place = if at < probation { Place::Probation } else { place(at, windows) };
            if let Place::Inside { window, .. } = place {
                counted[window] = true;
            }
            rows.push(Row { score, place });
        }
        Self { rows, windows: counted.iter().filter(|counted| **counted).count() }
    }

    /// Adds the rows of other series.
    pub(crate) fn add(&mut self, other: &Self) {
        let windows = self.windows;
        self.rows.extend(other.rows.iter().map(|row| match row.place {
            Place::Inside { window, worth } => {
                Row { place: Place::Inside { window: window + windows, worth }, ..*row }
            }
            _ => *row,
        }));
        self.windows += other.windows;
    }

    /// Returns what each threshold scores, from one above all scores down to the lowest.
    fn sweep(&self, profile: &Profile) -> Vec<Outcome> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| row.place != Place::Probation).collect();
        rows.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut best: Vec<Option<f64>> = vec![None; self.windows];
        let mut now = Outcome {
            threshold: f64::INFINITY,
            raw: 0.0 - profile.false_negative * self.windows as f64,
            found: 0,
            false_alarms: 0,
        };
        let mut outcomes = Vec::new();
        for row in rows {
            if row.score < now.threshold {
                outcomes.push(now);
                now.threshold = row.score;
            }
            match row.place {
                Place::Probation => {}
                Place::Outside { worth } => {
                    now.raw += worth * profile.false_positive;
                    now.false_alarms += 1;
                }
                Place::Inside { window, worth } => match &mut best[window] {
                    Some(best) if *best >= worth => {}
                    Some(best) => {
                        now.raw += (worth - *best) * profile.true_positive;
                        *best = worth;
                    }
                    none => {
                        now.raw += worth * profile.true_positive + profile.false_negative;
                        now.found += 1;
                        *none = Some(worth);
                    }
                },
            }
        }
        outcomes.push(now);
        outcomes
    }

    /// Returns the outcome of the threshold that scores best, the highest of several.
    pub(crate) fn best(&self, profile: &Profile) -> Outcome {
        let outcomes = self.sweep(profile);
        outcomes.iter().skip(1).fold(outcomes[0], |best, next| if next.raw > best.raw { *next } else { best })
    }

    /// Returns the outcome of a threshold that was chosen elsewhere.
    pub(crate) fn at(&self, threshold: f64, profile: &Profile) -> Outcome {
        let outcomes = self.sweep(profile);
        let reached = outcomes.partition_point(|outcome| outcome.threshold >= threshold);
        Outcome { threshold, ..outcomes[reached.saturating_sub(1)] }
    }

    /// Returns an outcome on the scale of the benchmark; without a window there is none.
    pub(crate) fn normalised(&self, outcome: Outcome, profile: &Profile) -> Option<f64> {
        let windows = self.windows as f64;
        let (null, perfect) = (-profile.false_negative * windows, profile.true_positive * windows);
        (self.windows > 0).then(|| 100.0 * (outcome.raw - null) / (perfect - null))
    }

    /// Returns how many windows there are to find.
    pub(crate) fn windows(&self) -> usize {
        self.windows
    }
}

/// Returns how many rows at the beginning of a series are not judged: 15 % of it, of at most 5,000 rows.
pub(crate) fn probation(rows: usize) -> usize {
    rows.min(5_000) * 15 / 100
}

fn place(at: usize, windows: &[Window]) -> Place {
    let later = windows.partition_point(|window| window.first <= at);
    let Some(window) = later.checked_sub(1) else { return Place::Outside { worth: -1.0 } };
    let Window { last, .. } = windows[window];
    let rows = windows[window].rows();
    if at <= last {
        let position = -((last - at + 1) as f64) / rows;
        return Place::Inside { window, worth: sigmoid(position) / sigmoid(-1.0) };
    }
    // A window of one row says nothing of how near is near.
    let position = if rows > 1.0 { (at - last) as f64 / (rows - 1.0) } else { f64::INFINITY };
    Place::Outside { worth: if position >= 3.0 { -1.0 } else { sigmoid(position) } }
}

/// Falls from 1 far before the end of a window (its length is the unit) over 0 at the end to -1 far behind it.
fn sigmoid(position: f64) -> f64 {
    2.0 / (1.0 + (5.0 * position).exp()) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standard() -> Profile {
        Profile { name: "standard".into(), true_positive: 1.0, false_positive: 0.11, false_negative: 1.0 }
    }

    /// Two hundred rows, of which thirty are not judged, with a window of eleven rows and one of one.
    const WINDOWS: [Window; 2] = [Window { first: 100, last: 110 }, Window { first: 150, last: 150 }];

    fn detections(at: &[usize]) -> Judged {
        let scores: Vec<f64> = (0..200).map(|row| if at.contains(&row) { 0.9 } else { 0.1 }).collect();
        Judged::series(&scores, &WINDOWS)
    }

    fn raw(at: &[usize]) -> f64 {
        detections(at).at(0.5, &standard()).raw
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-4, "{a} is not {b}");
    }

    #[test]
    fn who_never_detects_scores_zero_and_who_detects_each_window_at_once_a_hundred() {
        let (nothing, perfect) = (detections(&[]), detections(&[100, 150]));
        assert_eq!(nothing.normalised(nothing.at(0.5, &standard()), &standard()), Some(0.0));
        assert_eq!(perfect.normalised(perfect.at(0.5, &standard()), &standard()), Some(100.0));
    }

    #[test]
    fn a_detection_counts_less_the_later_in_the_window_it_comes() {
        // Row 105 is 6/11 before the end: 2/(1+e^(-30/11)) - 1 = 0.87726, of 0.98661 at the first row.
        close(raw(&[105, 150]), 1.0 + 0.87726 / 0.98661);
        // The last row is 1/11 before it: 2/(1+e^(-5/11)) - 1 = 0.22344.
        close(raw(&[110, 150]), 1.0 + 0.22344 / 0.98661);
    }

    #[test]
    fn only_the_earliest_detection_in_a_window_counts() {
        assert_eq!(raw(&[105, 150]), raw(&[105, 106, 110, 150]));
    }

    #[test]
    fn a_detection_before_all_windows_costs_the_whole_weight() {
        close(raw(&[60, 100, 150]), 2.0 - 0.11);
    }

    #[test]
    fn a_detection_shortly_after_a_window_costs_little_and_one_long_after_it_all() {
        // One row behind a window of eleven: 2/(1+e^0.5) - 1 = -0.24492.
        close(raw(&[100, 111, 150]), 2.0 - 0.11 * 0.24492);
        // Thirty rows are three windows.
        close(raw(&[100, 140, 150]), 2.0 - 0.11);
        close(raw(&[100, 150, 151]), 2.0 - 0.11);
    }

    #[test]
    fn the_beginning_of_a_series_is_not_judged() {
        close(raw(&[0, 29, 100, 150]), 2.0);
        close(raw(&[30, 100, 150]), 2.0 - 0.11);
        assert_eq!(
            [probation(100), probation(4_032), probation(5_000), probation(22_695)],
            [15, 604, 750, 750]
        );
    }

    #[test]
    fn a_missed_window_costs_what_the_profile_says() {
        let careful = Profile { false_negative: 2.0, ..standard() };
        close(detections(&[100]).at(0.5, &careful).raw, 1.0 - 2.0);
    }

    #[test]
    fn the_best_threshold_is_found_and_is_one_for_all_series() {
        // In one series the anomaly stands out by 0.6 and noise reaches 0.5; in the other it does by 0.4 only. A
        // threshold of its own would find both without a false alarm; a common one has to pay for the noise.
        let series = |anomaly: f64, noise: f64| {
            let scores: Vec<f64> = (0..200)
                .map(|row| match row {
                    100 => anomaly,
                    60 | 70 => noise,
                    _ => 0.0,
                })
                .collect();
            Judged::series(&scores, &WINDOWS[..1])
        };
        let mut all = series(0.6, 0.5);
        all.add(&series(0.4, 0.1));
        let best = all.best(&standard());
        assert_eq!((best.threshold, best.found, best.false_alarms), (0.4, 2, 2));
        close(best.raw, 2.0 - 0.22);
        assert_eq!(all.at(best.threshold, &standard()), best);
        // Who pays twenty times as much for a false alarm does without the second.
        let strict = Profile { false_positive: 2.2, ..standard() };
        assert_eq!(all.best(&strict).threshold, 0.6);
    }

    #[test]
    fn a_detector_that_is_worse_than_none_is_not_asked() {
        let best = detections(&[40, 50, 60]).best(&Profile { false_positive: 1.0, ..standard() });
        assert_eq!((best.threshold, best.raw), (f64::INFINITY, -2.0));
    }
}
