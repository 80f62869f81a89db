//! What it costs to keep messages: a hundred publishers at QoS 1 whose readers are stored sessions that are away, for
//! Keyward with each of its promises and for mosquitto with its file; and what of it a crash takes.

mod contender;
mod crash;
mod markdown;
mod turn;

use crate::args::{DurableArguments, seconds};
use crate::error::BenchError;
use crate::stage::Layout;
use crate::table::figure::Figure;
use contender::{Contender, Programs};
use crash::Crash;
use serde::Serialize;
use turn::{Load, Turn};

/// Bytes of the payloads that are measured.
const PAYLOADS: [usize; 2] = [64, 1_024];
/// Messages a second of the paced loads.
const RATES: [u32; 2] = [1_000, 10_000];

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    turns: u32,
    seconds_per_turn: f64,
    layout: String,
    rows: Vec<Row>,
    crashes: Vec<Crash>,
    /// Brokers that could not be measured, and why.
    problems: Vec<String>,
}

/// One broker with one size of payload.
#[derive(Debug, Serialize)]
struct Row {
    payload: usize,
    name: &'static str,
    /// As fast as it takes them.
    saturating: Option<Sum>,
    /// At each of [`RATES`].
    paced: Vec<Option<Sum>>,
}

/// What the turns of one broker under one load gave.
#[derive(Debug, Serialize)]
struct Sum {
    /// Acknowledged messages a second.
    per_second: Figure,
    /// The generator's share of its core: near 1 it is the generator that sets the rate.
    generator_busy: Figure,
    cpu_us_per_message: Figure,
    written_bytes_per_payload_byte: Figure,
    resident_bytes_per_message: Figure,
    ack_p50_us: Figure,
    ack_p99_us: Figure,
    ack_max_us: Figure,
    /// Messages that were not acknowledged within seconds of the end, of all turns.
    unacknowledged: u64,
}

impl Sum {
    fn of(turns: &[Turn]) -> Option<Self> {
        let figure = |of: fn(&Turn) -> f64| Figure::of(&turns.iter().map(of).collect::<Vec<_>>());
        let latency = |turn: &Turn| {
            turn.latency.map_or((f64::NAN, f64::NAN, f64::NAN), |l| (l.p50_us, l.p99_us, l.max_us))
        };
        let waits: Vec<_> = turns.iter().map(latency).collect();
        let wait = |of: fn(&(f64, f64, f64)) -> f64| Figure::of(&waits.iter().map(of).collect::<Vec<_>>());
        Some(Self {
            per_second: figure(|turn| turn.per_second)?,
            generator_busy: figure(|turn| turn.generator_busy)?,
            cpu_us_per_message: figure(|turn| turn.cpu_us)?,
            written_bytes_per_payload_byte: figure(|turn| turn.written)?,
            resident_bytes_per_message: figure(|turn| turn.memory)?,
            ack_p50_us: wait(|(p50, ..)| *p50)?,
            ack_p99_us: wait(|(_, p99, _)| *p99)?,
            ack_max_us: wait(|(.., max)| *max)?,
            unacknowledged: turns.iter().map(|turn| turn.unacknowledged).sum(),
        })
    }
}

/// Measures everything and returns it as Markdown or JSON.
///
/// # Errors
/// A program that is missing, or no broker whose name holds what was asked for.
pub(crate) fn run(arguments: &DurableArguments) -> Result<String, BenchError> {
    let measuring = Measuring::new(arguments)?;
    let mut problems = Vec::new();
    let mut rows = Vec::new();
    for payload in PAYLOADS {
        rows.extend(measuring.rows(payload, &mut problems));
    }
    let report = Report {
        schema: 1,
        turns: arguments.turns,
        seconds_per_turn: arguments.seconds,
        layout: measuring.layout.describe(),
        rows,
        crashes: measuring.crashes(&mut problems),
        problems,
    };
    if arguments.stage.json {
        return Ok(serde_json::json!(report).to_string());
    }
    Ok(markdown::report(&report))
}

struct Measuring<'a> {
    arguments: &'a DurableArguments,
    programs: Programs<'a>,
    layout: Layout,
    contenders: Vec<Contender>,
}

impl<'a> Measuring<'a> {
    fn new(arguments: &'a DurableArguments) -> Result<Self, BenchError> {
        let layout = Layout::new(!arguments.stage.no_pin);
        let programs = Programs {
            keyward: arguments.stage.keyward.as_deref(),
            shards: arguments.stage.shards,
            mosquitto: arguments.mosquitto.program.as_deref(),
        };
        let only = arguments.only.as_deref().unwrap_or_default();
        let mut contenders = Contender::all(!arguments.mosquitto.is_left_out);
        contenders.retain(|contender| contender.name().contains(only));
        if contenders.is_empty() {
            return Err(BenchError::Misuse(format!("no broker's name holds {only:?}")));
        }
        // What is missing is said now, not after minutes.
        for contender in &contenders {
            drop(contender.start(programs, &layout)?);
        }
        Ok(Self { arguments, programs, layout, contenders })
    }

    fn rows(&self, payload: usize, problems: &mut Vec<String>) -> Vec<Row> {
        let saturating = self.measure(payload, None, problems);
        let paced = RATES.map(|rate| self.measure(payload, Some(f64::from(rate)), problems));
        let mut paced = paced.map(Vec::into_iter);
        let rows = self.contenders.iter().zip(saturating).map(|(contender, saturating)| Row {
            payload,
            name: contender.name(),
            saturating,
            paced: paced.iter_mut().map(|sums| sums.next().flatten()).collect(),
        });
        rows.collect()
    }

    /// Measures one load: A B C, A B C, …, so that a slow minute of the machine hits all.
    fn measure(&self, payload: usize, rate: Option<f64>, problems: &mut Vec<String>) -> Vec<Option<Sum>> {
        let named = rate.map_or("saturating".to_owned(), |rate| format!("{rate} messages/s"));
        // On standard error: who waits for minutes wants to see that something happens, and the answer stays clean.
        eprintln!("{payload} bytes, {named} …");
        let load = Load { payload, rate, length: seconds(self.arguments.seconds) };
        let mut all: Vec<Result<Vec<Turn>, BenchError>> =
            self.contenders.iter().map(|_| Ok(Vec::new())).collect();
        for _ in 0..self.arguments.turns {
            for (contender, turns) in self.contenders.iter().zip(&mut all) {
                let Ok(taken) = turns else { continue };
                match turn::take(*contender, self.programs, load, &self.layout) {
                    Ok(turn) => taken.push(turn),
                    Err(error) => *turns = Err(error),
                }
            }
        }
        let sums = self.contenders.iter().zip(all).map(|(contender, turns)| match turns {
            Ok(turns) => Sum::of(&turns),
            Err(error) => {
                problems.push(format!("{}, {payload} bytes, {named}: {error}", contender.name()));
                None
            }
        });
        sums.collect()
    }

    fn crashes(&self, problems: &mut Vec<String>) -> Vec<Crash> {
        eprintln!("kill -9 …");
        let count = self.arguments.acknowledged as usize;
        let crashes = self.contenders.iter().filter_map(|contender| {
            let crash = crash::crash(*contender, self.programs, count, &self.layout);
            crash.map_err(|error| problems.push(format!("{}, kill -9: {error}", contender.name()))).ok()
        });
        crashes.collect()
    }
}
