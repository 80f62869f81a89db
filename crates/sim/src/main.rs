//! The command line of the simulated worlds: replays one seed, or runs many on all cores; scores the watch on fleets.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks to its user")]

mod clock;
mod mutants;
mod watched;

use clap::{Parser, Subcommand};
use keyward_sim::crowd::{Crowd, Tally};
use keyward_sim::run::{self, Plan, Trace};
use std::process::ExitCode;

/// After so many runs progress is told.
const TOLD: u64 = 200;

/// Runs the broker in a simulated world and checks it against a reference model.
#[derive(Debug, Parser)]
#[command(name = "keyward-sim", args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    task: Option<Task>,

    /// Replays one seed.
    #[arg(long, conflicts_with = "seeds", required_unless_present = "seeds")]
    seed: Option<u64>,

    /// Runs so many seeds, on all cores.
    #[arg(long)]
    seeds: Option<u64>,

    /// The first of many seeds.
    #[arg(long, default_value_t = 0, conflicts_with = "seed")]
    first: u64,

    /// Steps of each run.
    #[arg(long, default_value_t = 400)]
    steps: u32,

    /// Shards of the broker.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=8))]
    shards: u16,

    /// Lets what is on disk be there after a crash; without it the next broker begins with nothing.
    #[arg(long)]
    disk: bool,

    /// Prints everything that happens.
    #[arg(long, conflicts_with = "seeds")]
    trace: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Applies each deliberate bug of crates/sim/mutants to a copy and looks whether it is found.
    Mutants(mutants::Hunt),
    /// Scores the watch on simulated fleets, whose labels say what was the case.
    Fleet(watched::Fleets),
}

fn main() -> ExitCode {
    let Cli { task, seed, seeds, first, steps, shards, disk, trace } = Cli::parse();
    match task {
        Some(Task::Mutants(hunt)) => return mutants::hunt(&hunt),
        Some(Task::Fleet(fleets)) => return watched::run(&fleets),
        None => {}
    }
    run::keep_panics();
    match seed {
        Some(seed) => replay(Plan { seed, steps, shards, disk }, trace),
        None => run_many(Crowd { first, seeds: seeds.unwrap_or_default(), steps, shards, disk }),
    }
}

fn replay(plan: Plan, trace: bool) -> ExitCode {
    match run::run(plan, if trace { Trace::Print } else { Trace::Digest }) {
        Ok(outcome) => {
            let digest = outcome.digest.map(|digest| format!(", trace {digest:016x}")).unwrap_or_default();
            println!("seed {}: {} events{digest}", plan.seed, outcome.events);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run_many(crowd: Crowd) -> ExitCode {
    let begun = clock::now();
    let tally = crowd.run(|runs| {
        if runs.is_multiple_of(TOLD) {
            eprintln!("{runs} of {} seeds", crowd.seeds);
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let missing = tally.missing(crowd);
    let Tally { runs, events, races, failures } = tally;
    for failure in &failures {
        println!("{failure}\n");
    }
    println!(
        "{runs} seeds of {} steps with {} shards, each twice with one trace; {events} events",
        crowd.steps, crowd.shards
    );
    println!("{races}");
    println!("{seconds:.1} s, {:.1} seeds a second", runs as f64 / seconds.max(0.001));
    for race in &missing {
        println!("this race of rule {} never occurred: {}", race.rule(), race.as_str());
    }
    if failures.is_empty() && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
