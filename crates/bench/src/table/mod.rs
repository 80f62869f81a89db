//! The comparison: Keyward, the relay and mosquitto, turn by turn under the same load.

pub(crate) mod figure;
mod markdown;
pub(crate) mod row;

use crate::CpuWatch;
use crate::args::{TableArguments, seconds};
use crate::error::BenchError;
use crate::load;
use crate::stage::{self, Broker, Keyward, Layout, Persistence};
use figure::Figure;
use row::Row;
use serde::Serialize;

/// A measured table.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    schema: u32,
    turns: u32,
    seconds_per_turn: f64,
    layout: String,
    brokers: Vec<About>,
    rows: Vec<Measured>,
}

#[derive(Debug, Serialize)]
struct About {
    name: &'static str,
    about: String,
}

/// One row with what each broker needed, in the order of `Table::brokers`.
#[derive(Debug, Serialize)]
struct Measured {
    row: String,
    cells: Vec<Cell>,
}

/// One broker's figures in one row.
#[derive(Debug, Default, Serialize)]
struct Cell {
    /// Microseconds of processor time (user and system) per delivered message.
    cpu_us: Option<Figure>,
    per_second: Option<Figure>,
    /// The generator's share of its core: near 1 it is the generator that sets the rate.
    generator_busy: Option<Figure>,
    lost: u64,
    out_of_order: u64,
    /// What went wrong in a turn; the cell has no figures then.
    problem: Option<String>,
}

/// Measures the table and returns it as Markdown or JSON.
///
/// # Errors
/// A program that is missing, or does not start.
pub(crate) fn run(arguments: &TableArguments) -> Result<String, BenchError> {
    let layout = Layout::new(!arguments.stage.no_pin);
    let brokers = brokers(arguments, &layout)?;
    let only = arguments.only.as_deref().unwrap_or_default();
    let rows: Vec<Row> =
        row::all(seconds(arguments.seconds)).into_iter().filter(|row| row.name.contains(only)).collect();
    if rows.is_empty() {
        return Err(BenchError::Misuse(format!("no row's name holds {only:?}")));
    }
    let measured = rows.iter().map(|row| measure(row, &brokers, arguments.turns)).collect();
    let table = Table {
        schema: 1,
        turns: arguments.turns,
        seconds_per_turn: arguments.seconds,
        layout: layout.describe(),
        brokers: brokers.iter().map(|b| About { name: b.name, about: b.about.clone() }).collect(),
        rows: measured,
    };
    if arguments.stage.json {
        return Ok(serde_json::json!(table).to_string());
    }
    Ok(markdown::table(&table))
}

fn brokers(arguments: &TableArguments, layout: &Layout) -> Result<Vec<Broker>, BenchError> {
    let mut brokers = Vec::new();
    // First what may be missing, so that nobody waits for the answer.
    if !arguments.mosquitto.is_left_out {
        brokers.push(stage::mosquitto(arguments.mosquitto.program.as_deref(), Persistence::None, layout)?);
    }
    brokers.push(stage::relay(layout)?);
    brokers
        .push(Keyward::measured(arguments.stage.keyward.as_deref(), arguments.stage.shards).start(layout)?);
    brokers.reverse();
    Ok(brokers)
}

/// Measures one row: A B C, A B C, …, so that a slow minute of the machine hits all.
fn measure(row: &Row, brokers: &[Broker], turns: u32) -> Measured {
    // On standard error: who waits for minutes wants to see that something happens, and the answer stays clean.
    eprintln!("{} …", row.name);
    let mut all: Vec<Turns> = brokers.iter().map(|_| Turns::default()).collect();
    for _ in 0..turns {
        for (broker, turns) in brokers.iter().zip(&mut all) {
            if turns.problem.is_none()
                && let Err(error) = turns.take(row, broker)
            {
                turns.problem = Some(error.to_string());
            }
        }
    }
    Measured { row: row.name.clone(), cells: all.into_iter().map(Turns::sum_up).collect() }
}

#[derive(Default)]
struct Turns {
    cpu_us: Vec<f64>,
    per_second: Vec<f64>,
    generator_busy: Vec<f64>,
    lost: u64,
    out_of_order: u64,
    problem: Option<String>,
}

impl Turns {
    fn take(&mut self, row: &Row, broker: &Broker) -> Result<(), BenchError> {
        let mut watch = CpuWatch::new(broker.pid());
        let outcome = load::run(broker.access(row.tls), &row.options, &mut watch)?;
        self.cpu_us.push(outcome.micros_per_message(watch.used));
        self.per_second.push(outcome.rate());
        self.generator_busy.push(outcome.busy());
        self.lost += outcome.lost;
        self.out_of_order += outcome.out_of_order;
        Ok(())
    }

    fn sum_up(self) -> Cell {
        let figure = |turns: &[f64]| Figure::of(turns).filter(|_| self.problem.is_none());
        Cell {
            cpu_us: figure(&self.cpu_us),
            per_second: figure(&self.per_second),
            generator_busy: figure(&self.generator_busy),
            lost: self.lost,
            out_of_order: self.out_of_order,
            problem: self.problem,
        }
    }
}
