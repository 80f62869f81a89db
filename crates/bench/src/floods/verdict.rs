//! What a flood did to the broker, against what it may do.

use super::Flood;
use super::scene::Tally;
use crate::error::BenchError;
use crate::histogram::Percentiles;
use crate::load::Outcome;
use serde::Serialize;
use std::fmt::Write;

/// How many times its quiet value the paced client's p99 may become.
const RATIO: f64 = 3.0;

/// One flood's figures.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    name: &'static str,
    what: &'static str,
    attacker: Tally,
    quiet: Option<Percentiles>,
    flooded: Option<Percentiles>,
    /// Why the paced client could not go on, if it could not.
    broken: Option<String>,
    lost: u64,
    p99_ratio: Option<f64>,
    grown_bytes: u64,
    may_grow_bytes: u64,
    because: &'static str,
    /// The first line of the log that names the offender.
    named: Option<String>,
    endured: bool,
}

impl Verdict {
    /// Judges.
    pub(super) fn new(
        flood: &Flood,
        quiet: &Outcome,
        flooded: Result<Outcome, BenchError>,
        attacker: Tally,
        grown_bytes: u64,
        named: Option<String>,
    ) -> Self {
        let lost = flooded.as_ref().map_or(0, |outcome| outcome.lost);
        let (after, broken) = match flooded {
            Ok(outcome) => (outcome.latency, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let p99_ratio = quiet.latency.zip(after).map(|(quiet, after)| after.p99_us / quiet.p99_us);
        let calm = p99_ratio.is_some_and(|ratio| ratio <= RATIO) && lost == 0;
        Self {
            name: flood.name,
            what: flood.what,
            attacker,
            quiet: quiet.latency,
            flooded: after,
            broken,
            lost,
            p99_ratio,
            grown_bytes,
            may_grow_bytes: flood.may_grow,
            because: flood.because,
            endured: calm && grown_bytes <= flood.may_grow && named.is_some(),
            named,
        }
    }
}

/// Writes the verdicts for people.
pub(super) fn markdown(verdicts: &[Verdict]) -> String {
    let mut text = String::from(
        "| flood | done (refused) | quiet p99 µs | flooded p99 µs | ratio | grown MiB (may) | named | endured |\n\
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
            yes(v.endured),
        );
    }
    for v in verdicts {
        let named = v.named.as_deref().unwrap_or("no line of the log names the offender");
        let _ = write!(text, "\n- {}: {}; growth bounded by {}. Log: {named}", v.name, v.what, v.because);
        if let Some(problem) = &v.broken {
            let _ = write!(text, ". The paced client: {problem}");
        }
    }
    text
}
