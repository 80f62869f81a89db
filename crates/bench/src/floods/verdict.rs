//! What a flood did to the broker, against what it may do.

use super::Flood;
use super::scene::{DESCRIPTORS, Tally};
use crate::error::BenchError;
use crate::histogram::Percentiles;
use crate::load::Outcome;
use serde::Serialize;
use std::fmt::Write;

/// How many times its quiet value the paced client's p99 may become.
const RATIO: f64 = 3.0;
/// Microseconds below which a quiet p99 is taken for this: on a machine that does other things, too, a smaller one is luck.
const QUIET_FLOOR_US: f64 = 1_000.0;

/// What a flood must leave alone to be endured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endured {
    /// Growth, the offender's name, the paced client's messages, the broker's life.
    Bounds,
    /// These, and the paced client's p99.
    BoundsAndPace,
}

/// What was seen of a flood.
pub(super) struct Observed {
    pub(super) quiet: Outcome,
    pub(super) flooded: Result<Outcome, BenchError>,
    pub(super) tally: Tally,
    pub(super) grown_bytes: u64,
    /// The first line of the log that names the offender.
    pub(super) named: Option<String>,
    /// Whether a client was let in when the flood was over.
    pub(super) afterwards: Result<(), BenchError>,
}

/// One flood's figures.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    name: &'static str,
    what: &'static str,
    attacker: Tally,
    quiet: Option<Percentiles>,
    flooded: Option<Percentiles>,
    lost: u64,
    p99_ratio: Option<f64>,
    grown_bytes: u64,
    may_grow_bytes: u64,
    because: &'static str,
    named: Option<String>,
    /// Why it was not endured; empty if it was.
    problems: Vec<String>,
}

impl Verdict {
    /// Judges.
    pub(super) fn new(flood: &Flood, observed: Observed, judged: Endured) -> Self {
        let Observed { quiet, flooded, tally, grown_bytes, named, afterwards } = observed;
        let mut problems = Vec::new();
        let (after, lost) = match flooded {
            Ok(outcome) => (outcome.latency, outcome.lost),
            Err(error) => {
                problems.push(format!("the paced client could not go on: {error}"));
                (None, 0)
            }
        };
        let p99_ratio = quiet.latency.zip(after).map(|(quiet, after)| ratio(quiet.p99_us, after.p99_us));
        if lost > 0 {
            problems.push(format!("the paced client lost {lost} messages"));
        }
        if judged == Endured::BoundsAndPace && p99_ratio.is_none_or(|ratio| ratio > RATIO) {
            problems.push(format!("p99 became more than {RATIO} times its quiet value"));
        }
        if grown_bytes > flood.may_grow {
            problems.push(format!("the broker grew by more than {}", flood.because));
        }
        if named.is_none() {
            problems.push("no line of the log names the offender".to_owned());
        }
        if let Err(error) = afterwards {
            problems.push(format!("nobody was let in afterwards: {error}"));
        }
        Self {
            name: flood.name,
            what: flood.what,
            attacker: tally,
            quiet: quiet.latency,
            flooded: after,
            lost,
            p99_ratio,
            grown_bytes,
            may_grow_bytes: flood.may_grow,
            because: flood.because,
            named,
            problems,
        }
    }
}

/// Returns how many times its quiet value p99 became.
fn ratio(quiet_us: f64, flooded_us: f64) -> f64 {
    flooded_us / quiet_us.max(QUIET_FLOOR_US)
}

/// What is printed, and whether all was endured.
pub(crate) struct Report {
    pub(crate) text: String,
    failed: Vec<&'static str>,
}

impl Report {
    /// Writes the verdicts, for people or as JSON.
    pub(super) fn new(verdicts: &[Verdict], descriptors: u64, json: bool) -> Self {
        let text = match json {
            true => {
                let report =
                    serde_json::json!({ "schema": 2, "descriptors": descriptors, "floods": verdicts });
                report.to_string()
            }
            false => markdown(verdicts, descriptors),
        };
        let failed = verdicts.iter().filter(|verdict| !verdict.problems.is_empty());
        Self { text, failed: failed.map(|verdict| verdict.name).collect() }
    }

    /// Returns whether every flood was endured.
    ///
    /// # Errors
    /// Which were not.
    pub(crate) fn verdict(&self) -> Result<(), BenchError> {
        match self.failed[..] {
            [] => Ok(()),
            _ => Err(BenchError::broker("keyward", format!("not endured: {}", self.failed.join(", ")))),
        }
    }
}

fn markdown(verdicts: &[Verdict], descriptors: u64) -> String {
    let mut text = String::from(
        "| flood | done (refused) | p99 quiet µs | p99 flooded µs | ratio | grown MiB (may) | named | endured |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |\n",
    );
    let p99 = |percentiles: Option<Percentiles>| {
        percentiles.map_or("–".to_owned(), |p| format!("{:.0}", p.p99_us))
    };
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let yes = |yes: bool| if yes { "yes" } else { "NO" };
    for v in verdicts {
        let ratio = v.p99_ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.1}"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} ({}) | {} | {} | {ratio} | {:.1} ({:.0}) | {} | {} |",
            v.name,
            v.attacker.done,
            v.attacker.refused,
            p99(v.quiet),
            p99(v.flooded),
            mib(v.grown_bytes),
            mib(v.may_grow_bytes),
            yes(v.named.is_some()),
            yes(v.problems.is_empty()),
        );
    }
    for v in verdicts {
        let _ = write!(text, "\n- {}: {}; growth bounded by {}.", v.name, v.what, v.because);
        if let Some(line) = &v.named {
            let _ = write!(text, " Log: {line}");
        }
        for problem in &v.problems {
            let _ = write!(text, "\n  - PROBLEM: {problem}");
        }
    }
    let _ = write!(text, "\n\nThe ratio takes a quiet p99 below {QUIET_FLOOR_US} µs for {QUIET_FLOOR_US}.");
    if descriptors < DESCRIPTORS {
        let _ = write!(
            text,
            "\nBroker and attacker had {descriptors} descriptors each, not {DESCRIPTORS}: raise the hard limit \
             (ulimit -Hn {DESCRIPTORS})."
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;
    use crate::process::CpuTime;
    use std::time::Duration;

    const FLOOD: Flood = Flood {
        name: "test",
        what: "",
        may_grow: 100,
        because: "`bound`",
        offender: &[],
        attack: |_| Ok(Tally::default()),
    };

    fn outcome(latency_us: u64) -> Outcome {
        let mut histogram = Histogram::new();
        histogram.record(Duration::from_micros(latency_us));
        let latency = histogram.percentiles();
        let generator = CpuTime::default();
        Outcome { seconds: 1.0, delivered: 1, lost: 0, out_of_order: 0, latency, generator }
    }

    fn endured() -> Observed {
        Observed {
            quiet: outcome(100),
            flooded: Ok(outcome(2_900)),
            tally: Tally::default(),
            grown_bytes: 100,
            named: Some("user:attacker".to_owned()),
            afterwards: Ok(()),
        }
    }

    fn problems(observed: Observed, judged: Endured) -> usize {
        Verdict::new(&FLOOD, observed, judged).problems.len()
    }

    #[test]
    fn a_flood_within_all_bounds_is_endured_from_a_quiet_p99_of_at_least_a_millisecond() {
        assert_eq!(problems(endured(), Endured::BoundsAndPace), 0);
    }

    #[test]
    fn a_slow_paced_client_counts_only_where_time_is_judged() {
        let slow = || Observed { flooded: Ok(outcome(3_200)), ..endured() };
        assert_eq!(problems(slow(), Endured::BoundsAndPace), 1);
        assert_eq!(problems(slow(), Endured::Bounds), 0);
    }

    #[test]
    fn each_other_damage_is_a_problem_and_makes_the_report_fail() {
        let error = || BenchError::Misuse(String::new());
        let damages = [
            Observed { grown_bytes: 101, ..endured() },
            Observed { named: None, ..endured() },
            Observed { afterwards: Err(error()), ..endured() },
            Observed { flooded: Err(error()), ..endured() },
            Observed { flooded: Ok(Outcome { lost: 1, ..outcome(1) }), ..endured() },
        ];
        for damage in damages {
            let verdict = Verdict::new(&FLOOD, damage, Endured::Bounds);
            assert_eq!(verdict.problems.len(), 1, "{verdict:?}");
            assert!(Report::new(&[verdict], DESCRIPTORS, false).verdict().is_err());
        }
    }
}
