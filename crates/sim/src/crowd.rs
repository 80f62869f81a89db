//! Many runs, on all cores.

use crate::races::{Race, Races};
use crate::run::{Failure, Outcome, Plan, Trace, retrace, run};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Says which runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// The first seed.
    pub first: u64,
    /// How many seeds.
    pub seeds: u64,
    /// Steps of each.
    pub steps: u32,
    /// Shards of each.
    pub shards: u16,
    /// Whether what is on disk is there after a crash.
    pub disk: bool,
}

/// Says what became of all.
#[derive(Debug, Default)]
pub struct Tally {
    /// Runs that broke no promise.
    pub runs: u64,
    /// What happened in them.
    pub events: u64,
    /// How often each race occurred.
    pub races: Races,
    /// What went wrong: of each core at most one, for all stop at the first.
    pub failures: Vec<Failure>,
}

/// Seeds from which on every race has to have occurred.
pub const ENOUGH: u64 = 600;

/// Shards without which some races cannot occur.
const SHARDS: u16 = 3;

impl Crowd {
    /// Runs all seeds, or until one fails; `progress` is told how many are done.
    pub fn run(self, progress: impl Fn(u64) + Sync) -> Tally {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
        let tally = Mutex::new(Tally::default());
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    while !failed.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.seeds {
                            break;
                        }
                        let outcome = self.run_one(number);
                        failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
                        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                        tally.add(outcome);
                        progress(tally.runs);
                    }
                });
            }
        });
        tally.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one seed twice: the two traces must be one.
    fn run_one(&self, number: u64) -> Result<Outcome, Failure> {
        let Self { steps, shards, disk, .. } = *self;
        let plan = Plan { seed: self.first + number, steps, shards, disk };
        let outcome = run(plan, Trace::Digest)?;
        if retrace(plan) == outcome.digest {
            return Ok(outcome);
        }
        let what = "two runs of this seed differ: compare their traces".to_owned();
        Err(Failure { plan, step: 0, what, recent: Vec::new() })
    }
}

impl Tally {
    /// Lists the races that `crowd` should have brought up and did not.
    pub fn missing(&self, crowd: Crowd) -> Vec<Race> {
        if crowd.seeds < ENOUGH || crowd.shards < SHARDS {
            return Vec::new();
        }
        let mut missing = self.races.missing();
        missing.retain(|race| crowd.disk || !race.needs_disk());
        missing
    }

    fn add(&mut self, outcome: Result<Outcome, Failure>) {
        match outcome {
            Ok(outcome) => {
                self.runs += 1;
                self.events += outcome.events;
                self.races.add(&outcome.races);
            }
            Err(failure) => self.failures.push(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_race_that_never_occurred_is_reported_of_many_seeds_and_not_of_few() {
        let crowd = Crowd { first: 0, seeds: ENOUGH, steps: 400, shards: SHARDS, disk: true };
        let mut tally = Tally::default();
        Race::ALL.iter().skip(1).for_each(|race| tally.races.note(*race));
        assert_eq!(tally.missing(crowd), [Race::ALL[0]]);
        assert_eq!(tally.missing(Crowd { seeds: ENOUGH - 1, ..crowd }), []);
        assert_eq!(tally.missing(Crowd { shards: 1, ..crowd }), []);
        tally.races.note(Race::ALL[0]);
        assert_eq!(tally.missing(crowd), []);
    }
}
