//! What became of each bug, as a table for people and as JSON.

use core::fmt;
use serde::Serialize;
use std::time::Duration;

/// Says what became of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// A promise was broken.
    Found {
        /// In which run.
        seed: u64,
        /// What the model said.
        breach: String,
    },
    /// Every run ended well.
    Missed,
    /// A run did not end within this time.
    Hangs(Duration),
    /// The code has changed below it.
    DoesNotApply(String),
    /// The compiler refuses it.
    DoesNotBuild(String),
}

/// Is the line of one patch.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    patch: String,
    rule: Option<u8>,
    found: bool,
    seed: Option<u64>,
    said: String,
    seconds: u64,
}

impl Fate {
    /// Reads what the simulator printed: the failure of the lowest seed, of several that ran at once.
    pub(super) fn of(printed: &str) -> Self {
        let failures = printed.lines().filter_map(|line| {
            let (seed, rest) = line.strip_prefix("seed ")?.split_once(", step ")?;
            let (_, breach) = rest.split_once(": ")?;
            Some((seed.parse::<u64>().ok()?, breach))
        });
        match failures.min_by_key(|(seed, _)| *seed) {
            Some((seed, breach)) => Self::Found { seed, breach: breach.to_owned() },
            None => Self::Missed,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { seed, breach } => write!(f, "found at seed {seed}: {breach}"),
            Self::Missed => f.write_str("NOT FOUND"),
            Self::Hangs(time) => write!(f, "DOES NOT END within {} s", time.as_secs()),
            Self::DoesNotApply(words) => write!(f, "DOES NOT APPLY: {words}"),
            Self::DoesNotBuild(words) => write!(f, "DOES NOT BUILD: {words}"),
        }
    }
}

impl Verdict {
    /// Puts a line together; a patch is named after its rule.
    pub(super) fn new(patch: String, fate: Fate, time: Duration) -> Self {
        let rule = patch.split('-').next().and_then(|rule| rule.parse().ok());
        let (seed, said) = match fate {
            Fate::Found { seed, breach } => (Some(seed), breach),
            other => (None, other.to_string()),
        };
        Self { patch, rule, found: seed.is_some(), seed, said, seconds: time.as_secs() }
    }

    /// Tells whether the world found the bug.
    pub(super) fn is_found(&self) -> bool {
        self.found
    }
}

/// Returns a table of all.
pub(super) fn table(verdicts: &[Verdict]) -> String {
    let mut lines = vec![format!("{:<36} {:>4} {:>7}  said", "patch", "seed", "seconds")];
    for Verdict { patch, seed, said, seconds, .. } in verdicts {
        let seed = seed.map_or_else(|| "-".to_owned(), |seed| seed.to_string());
        lines.push(format!("{patch:<36} {seed:>4} {seconds:>7}  {said}"));
    }
    let found = verdicts.iter().filter(|verdict| verdict.found).count();
    lines.push(format!("{found} of {} found", verdicts.len()));
    lines.join("\n")
}

/// Returns all as JSON, one object a line.
pub(super) fn json(verdicts: &[Verdict]) -> String {
    let lines = verdicts.iter().filter_map(|verdict| serde_json::to_string(verdict).ok());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_seed_that_failed_is_reported() {
        let printed = "  1.000 an event\nseed 12, step 7 of 400: twice: m3\nagain: cargo run\n\nseed 9, step 1 of 400: late\n";
        assert_eq!(Fate::of(printed), Fate::Found { seed: 9, breach: "late".to_owned() });
    }

    #[test]
    fn runs_that_end_well_find_nothing() {
        assert_eq!(Fate::of("2000 seeds of 400 steps with 3 shards\n"), Fate::Missed);
    }
}
