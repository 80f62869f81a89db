//! The command that scores the watch on simulated fleets, on all cores, or prints one world.

use crate::clock;
use clap::{Args, value_parser};
use keyward_sim::fleet::score::{Score, Seen, score};
use keyward_sim::fleet::{Fleet, Plan, report};
use keyward_watch::Watch;
use keyward_watch::event::UnixMillis;
use std::io::{self, Write as _};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Says which fleets.
#[derive(Debug, Args)]
#[command(
    after_help = "Seeds 0..50 are for choosing thresholds, 1000..1050 for reporting what they do: who has looked at a world has learnt from it.\n\n\
Examples:\n  cargo run --release -p keyward-sim -- fleet --seeds 0..50\n  cargo run --release -p keyward-sim -- fleet --seeds 1000..1050 --json\n  cargo run --release -p keyward-sim -- fleet --trace 7 --days 3 --devices 40"
)]
pub(crate) struct Fleets {
    /// Scores the worlds of these seeds; the last is left out, as in 0..50.
    #[arg(long, value_name = "A..B", value_parser = read_range, required_unless_present = "trace")]
    seeds: Option<Range<u64>>,

    /// Quiet days before the scenarios.
    #[arg(long, default_value_t = 30, value_parser = value_parser!(u64).range(0..=365))]
    days: u64,

    /// Devices of each fleet; each twenty are a site. Fewer than 100 do not have somebody for each scenario.
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u16).range(1..=10_000))]
    devices: u16,

    /// Writes JSON.
    #[arg(long)]
    json: bool,

    /// Prints one world instead: its labels, and all that was heard and found.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "json"])]
    trace: Option<u64>,
}

fn read_range(text: &str) -> Result<Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(first, end)| Some((first.parse().ok()?, end.parse().ok()?)));
    match ends {
        Some((first, end)) if first < end => Ok(first..end),
        _ => Err("write two numbers, the smaller first, as in 0..50".to_owned()),
    }
}

/// Does what was asked.
pub(crate) fn run(fleets: &Fleets) -> ExitCode {
    let (days, devices) = (fleets.days, usize::from(fleets.devices));
    let done = match (fleets.trace, &fleets.seeds) {
        (Some(seed), _) => trace(Plan { seed, days, devices }),
        (None, seeds) => {
            score_all(seeds.clone().unwrap_or_default(), |seed| Plan { seed, days, devices }, fleets.json);
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads a trace may have read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the trace cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn score_all(seeds: Range<u64>, plan: impl Fn(u64) -> Plan + Sync, json: bool) {
    let begun = clock::now();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (next, total) = (AtomicU64::new(seeds.start), Mutex::new(Score::default()));
    let worlds = seeds.end - seeds.start;
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    match score(plan(seed), &mut Watch::new(), |_, _| {}) {
                        Ok(score) => {
                            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                            total.add(score);
                            let (done, seconds) = (total.worlds, begun.elapsed().as_secs_f64());
                            eprintln!("world {done} of {worlds} is done: seed {seed}, after {seconds:.0} s");
                        }
                        Err(error) => eprintln!("seed {seed} has no world: {error}"),
                    }
                }
            });
        }
    });
    let score = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Plan { days, devices, .. } = plan(seeds.start);
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!(
        "seeds {}..{}, {devices} devices, {days} quiet days and then each scenario: {} worlds, {} events, {seconds:.1} s",
        seeds.start, seeds.end, score.worlds, score.events
    );
    if json {
        println!("{:#}", report::json(&score));
    } else {
        println!("{}", report::text(&score));
    }
}

fn trace(plan: Plan) -> io::Result<()> {
    let fleet = Fleet::new(plan).map_err(io::Error::other)?;
    let begins = fleet.begins();
    let mut out = io::BufWriter::new(io::stdout().lock());
    for label in fleet.labels() {
        let [begin, knowable, end] =
            [label.begins, label.knowable, label.ends].map(|at| clock_of(begins, at));
        let devices: Vec<&str> = label.devices.iter().map(keyward_ids::DeviceId::as_str).collect();
        writeln!(
            out,
            "label {begin} {:?}: knowable {knowable}, until {end}: {}",
            label.name,
            devices.join(" ")
        )?;
    }
    let mut written = Ok(());
    score(plan, &mut Watch::new(), |at, seen| {
        if written.is_ok() {
            written = match seen {
                Seen::Event(event) => writeln!(out, "{} {event:?}", clock_of(begins, at)),
                Seen::Finding(finding) => writeln!(out, "{} FOUND {finding:?}", clock_of(begins, at)),
            };
        }
    })
    .map_err(io::Error::other)?;
    written.and_then(|()| out.flush())
}

/// Writes a time as day of the world and time of day: "d12 03:14:05.123".
fn clock_of(begins: UnixMillis, at: UnixMillis) -> String {
    let millis = at.since(begins);
    let (days, of_day) = (millis / 86_400_000, millis % 86_400_000);
    let (hours, minutes, seconds) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60);
    format!("d{days} {hours:02}:{minutes:02}:{seconds:02}.{:03}", of_day % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_numbers_the_smaller_first() {
        assert_eq!(read_range("0..50"), Ok(0..50));
        for text in ["", "5", "5..5", "9..3", "a..b", "0..=5"] {
            assert!(read_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_is_a_day_of_the_world_and_a_time_of_day() {
        assert_eq!(clock_of(UnixMillis(0), UnixMillis(12 * 86_400_000 + 11_645_123)), "d12 03:14:05.123");
    }
}
