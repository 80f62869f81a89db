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
/// Microseconds below which a quiet p99 is taken for this. A system that changes between threads 250 times a second makes
/// each wait for 4 ms now and then when both cores are busy; whether that is the one client or the other is luck.
const QUIET_FLOOR_US: f64 = 4_000.0;
/// Microseconds of a quiet p99 from which a broker that stands still for 120 ms cannot be told from others' noise, and an
/// attacker comes to too little.
const TOO_NOISY_US: f64 = 30_000.0;

/// What was seen of a flood.
pub(super) struct Observed {
    pub(super) quiet: Outcome,
    /// Of the paced client of the broker that nobody flooded, at the same time.
    pub(super) beside: Outcome,
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
    beside: Option<Percentiles>,
    flooded: Option<Percentiles>,
    lost: u64,
    /// To the p99 of the broker beside, at the same time.
    p99_ratio: Option<f64>,
    is_slow: bool,
    grown_bytes: u64,
    may_grow_bytes: u64,
    because: &'static str,
    named: Option<String>,
    /// Whether others left the attacker too little time to be an offender.
    was_starved: bool,
    /// Why it was not endured; empty if it was.
    problems: Vec<String>,
}

impl Verdict {
    /// Judges.
    pub(super) fn new(flood: &Flood, observed: Observed) -> Self {
        let Observed { quiet, beside, flooded, tally, grown_bytes, named, afterwards } = observed;
        let mut problems = Vec::new();
        let (after, lost) = match flooded {
            Ok(outcome) => (outcome.latency, outcome.lost),
            Err(error) => {
                problems.push(format!("the paced client could not go on: {error}"));
                (None, 0)
            }
        };
        let p99_ratio = beside.latency.zip(after).map(|(quiet, after)| ratio(quiet.p99_us, after.p99_us));
        let is_slow = after.is_some() && p99_ratio.is_none_or(|ratio| ratio > RATIO);
        if lost > 0 {
            problems.push(format!("the paced client lost {lost} messages"));
        }
        if is_slow {
            problems.push(format!("p99 became more than {RATIO} times that of the quiet broker beside"));
        }
        if grown_bytes > flood.may_grow {
            problems.push(format!("the broker grew by more than {}", flood.because));
        }
        let is_noisy = beside.latency.is_none_or(|beside| beside.p99_us > TOO_NOISY_US);
        let was_starved = is_noisy && tally.done < flood.enough;
        if named.is_none() && !was_starved {
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
            beside: beside.latency,
            flooded: after,
            lost,
            p99_ratio,
            is_slow,
            grown_bytes,
            may_grow_bytes: flood.may_grow,
            because: flood.because,
            named,
            was_starved,
            problems,
        }
    }

    /// Tells whether something is wrong, and nothing but the time that it took from the paced client, or that the
    /// offender is not named.
    pub(super) fn is_for_another_try(&self) -> bool {
        let is_unnamed = self.named.is_none();
        let excusable = usize::from(self.is_slow) + usize::from(is_unnamed && !self.was_starved);
        (self.is_slow || is_unnamed) && self.problems.len() == excusable
    }

    /// Tells whether others on the machine kept even the quiet broker's client waiting, so that p99 says nothing.
    fn was_too_noisy(&self) -> bool {
        self.beside.is_none_or(|beside| beside.p99_us > TOO_NOISY_US)
    }

    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        let order = |it: &Self| (it.problems.len(), it.named.is_none(), it.p99_ratio);
        order(self) < order(other)
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
    ///
    /// `stick` is what was seen of a broker that stood still: were that endured, nothing said about p99 would count.
    pub(super) fn new(verdicts: &[Verdict], stick: Option<&Verdict>, descriptors: u64, json: bool) -> Self {
        let text = match json {
            true => {
                let report = serde_json::json!({
                    "schema": 3, "descriptors": descriptors, "stick": stick, "floods": verdicts
                });
                report.to_string()
            }
            false => markdown(verdicts, stick, descriptors),
        };
        let failed = verdicts.iter().filter(|verdict| !verdict.problems.is_empty());
        let blind = stick.filter(|stick| !stick.is_slow && !stick.was_too_noisy());
        Self { text, failed: failed.chain(blind).map(|verdict| verdict.name).collect() }
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

fn markdown(verdicts: &[Verdict], stick: Option<&Verdict>, descriptors: u64) -> String {
    let mut text = String::from(
        "| flood | done (refused) | p99 before µs | p99 beside µs | p99 flooded µs | ratio | grown MiB (may) | named | endured |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |\n",
    );
    let p99 = |percentiles: Option<Percentiles>| {
        percentiles.map_or("–".to_owned(), |p| format!("{:.0}", p.p99_us))
    };
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let yes = |yes: bool| if yes { "yes" } else { "NO" };
    for v in stick.into_iter().chain(verdicts) {
        let ratio = v.p99_ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.1}"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} ({}) | {} | {} | {} | {ratio} | {:.1} ({:.0}) | {} | {} |",
            v.name,
            v.attacker.done,
            v.attacker.refused,
            p99(v.quiet),
            p99(v.beside),
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
        if v.named.is_none() && v.was_starved {
            text.push_str(
                "\n  - The machine was too busy for the attacker: whether it is named was not seen.",
            );
        }
        for problem in &v.problems {
            let _ = write!(text, "\n  - PROBLEM: {problem}");
        }
    }
    let _ = write!(
        text,
        "\n\nThe ratio is to a quiet broker beside, at the same time; its p99 below {QUIET_FLOOR_US} µs is taken for that."
    );
    match stick {
        Some(stick) if stick.is_slow => {
            text.push_str("\nThe broker that stood still (stalls) was seen, as it must be.");
        }
        Some(stick) if stick.was_too_noisy() => {
            text.push_str(
                "\nThe machine was too busy to tell a broker that stood still: p99 says nothing here.",
            );
        }
        Some(_) => text.push_str("\nPROBLEM: a broker that stood still (stalls) was not seen."),
        None => {}
    }
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
        enough: 10,
        attack: |_| Ok(Tally::default()),
    };

    fn outcome(latency_us: u64) -> Outcome {
        let mut histogram = Histogram::new();
        histogram.record(Duration::from_micros(latency_us));
        let latency = histogram.percentiles();
        let generator = CpuTime::default();
        Outcome {
            seconds: 1.0,
            delivered: 1,
            delivered_in_all: 1,
            lost: 0,
            out_of_order: 0,
            latency,
            generator,
        }
    }

    fn endured() -> Observed {
        Observed {
            quiet: outcome(100),
            beside: outcome(200),
            flooded: Ok(outcome(11_900)),
            tally: Tally::default(),
            grown_bytes: 100,
            named: Some("user:attacker".to_owned()),
            afterwards: Ok(()),
        }
    }

    fn verdict(observed: Observed) -> Verdict {
        Verdict::new(&FLOOD, observed)
    }

    fn fails(verdicts: &[Verdict], stick: Option<&Verdict>) -> bool {
        Report::new(verdicts, stick, DESCRIPTORS, false).verdict().is_err()
    }

    #[test]
    fn a_flood_within_all_bounds_is_endured_from_a_quiet_p99_of_at_least_four_milliseconds() {
        assert!(!fails(&[verdict(endured())], None));
    }

    #[test]
    fn a_client_as_slow_as_single_bytes_once_made_it_is_a_problem() {
        let slow = verdict(Observed { flooded: Ok(outcome(45_000)), ..endured() });
        assert!(slow.is_for_another_try() && fails(&[slow], None));
    }

    #[test]
    fn who_is_not_named_gets_another_try_and_is_a_problem_if_that_does_not_help() {
        let unnamed = verdict(Observed { named: None, ..endured() });
        assert!(unnamed.is_for_another_try());
        let both = verdict(Observed { named: None, flooded: Ok(outcome(45_000)), ..endured() });
        assert!(both.is_for_another_try() && unnamed.is_better_than(&both) && fails(&[unnamed], None));
        assert!(!verdict(endured()).is_for_another_try());
    }

    #[test]
    fn a_missing_name_is_excused_only_if_the_machine_is_too_busy_and_the_attacker_came_to_little() {
        let unnamed = |beside, done| {
            let tally = Tally { done, refused: 0 };
            verdict(Observed { named: None, beside: outcome(beside), tally, ..endured() })
        };
        assert!(!fails(&[unnamed(50_000, 9)], None) && unnamed(50_000, 9).is_for_another_try());
        assert!(fails(&[unnamed(50_000, 10)], None), "it did enough");
        assert!(fails(&[unnamed(200, 9)], None), "nothing kept it from more");
    }

    #[test]
    fn what_the_quiet_broker_beside_suffers_too_is_no_flood() {
        let busy = || Observed { beside: outcome(16_000), ..endured() };
        assert!(!fails(&[verdict(Observed { flooded: Ok(outcome(45_000)), ..busy() })], None));
        assert!(fails(&[verdict(Observed { flooded: Ok(outcome(50_000)), ..busy() })], None));
        let before = Observed { quiet: outcome(90_000), flooded: Ok(outcome(45_000)), ..endured() };
        assert!(fails(&[verdict(before)], None), "noise from before excuses nothing");
    }

    #[test]
    fn a_stick_that_does_not_see_a_broker_stand_still_makes_the_report_fail() {
        let seen = verdict(Observed { flooded: Ok(outcome(120_000)), ..endured() });
        assert!(!fails(&[], Some(&seen)));
        assert!(fails(&[], Some(&verdict(endured()))));
        let noise = Observed { beside: outcome(50_000), flooded: Ok(outcome(120_000)), ..endured() };
        assert!(!fails(&[], Some(&verdict(noise))), "nothing can be said then");
    }

    #[test]
    fn each_other_damage_is_a_problem_and_makes_the_report_fail() {
        let error = || BenchError::Misuse(String::new());
        let damages = [
            Observed { grown_bytes: 101, ..endured() },
            Observed { afterwards: Err(error()), ..endured() },
            Observed { flooded: Err(error()), ..endured() },
            Observed { flooded: Ok(Outcome { lost: 1, ..outcome(1) }), ..endured() },
        ];
        for damage in damages {
            let verdict = verdict(damage);
            assert_eq!(verdict.problems.len(), 1, "{verdict:?}");
            assert!(!verdict.is_for_another_try());
            assert!(fails(&[verdict], None));
        }
    }
}
