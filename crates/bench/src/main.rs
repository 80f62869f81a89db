//! Measures brokers on one machine: a load generator and a minimal relay that share no code with the broker, and the
//! commands that compare, profile and weigh Keyward with them. See docs/benchmarks.md.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people and scripts: it prints figures"
)]

mod args;
mod caller;
mod clock;
mod codec;
mod durable;
mod error;
mod files;
mod floods;
mod histogram;
mod load;
mod memory;
mod nab;
mod process;
mod profile;
mod recovery;
mod relay;
mod shape;
mod signed;
mod stage;
mod table;
mod tls;
mod watched;
mod wire;

use args::{Arguments, Command, LoadArguments, RelayArguments};
use clap::Parser;
use error::BenchError;
use load::Watcher;
use process::CpuTime;
use std::net::Ipv4Addr;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Load(arguments) => put_load(&arguments),
        Command::Relay(arguments) => run_relay(&arguments),
        Command::Table(arguments) => table::run(&arguments).map(|text| println!("{text}")),
        Command::Profile(arguments) => profile::run(&arguments).map(|text| println!("{text}")),
        Command::Memory(arguments) => memory::run(&arguments).map(|text| println!("{text}")),
        Command::Durable(arguments) => durable::run(&arguments).map(|text| println!("{text}")),
        Command::Recovery(arguments) => recovery::run(&arguments).map(|text| println!("{text}")),
        Command::Floods(arguments) => floods::run(&arguments).and_then(|report| {
            println!("{}", report.text);
            report.verdict()
        }),
        Command::Signed(arguments) => signed::run(&arguments).map(|text| println!("{text}")),
        Command::Watched(arguments) => watched::run(&arguments).map(|text| println!("{text}")),
        Command::Nab(arguments) => nab::run(&arguments).map(|text| println!("{text}")),
        Command::Attack(arguments) => floods::attack(&arguments).map(|text| println!("{text}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn put_load(arguments: &LoadArguments) -> Result<(), BenchError> {
    if let Some(core) = arguments.pin {
        process::run_on(&[core])?;
    }
    let mut watched = arguments.pid.map(CpuWatch::new);
    let mut unwatched = NoWatch;
    let watcher: &mut dyn Watcher = match &mut watched {
        Some(watch) => watch,
        None => &mut unwatched,
    };
    let outcome = load::run(&arguments.access(), &arguments.options(), watcher)?;
    let broker = watched.map(|watch| watch.used);
    if arguments.json {
        println!("{}", serde_json::json!({ "schema": 1, "outcome": outcome, "broker": broker }));
        return Ok(());
    }
    println!("delivered      {} in {:.2} s: {:.0}/s", outcome.delivered, outcome.seconds, outcome.rate());
    println!("lost           {} (out of order: {})", outcome.lost, outcome.out_of_order);
    if let Some(latency) = outcome.latency {
        let (p50, p99, max) = (latency.p50_us, latency.p99_us, latency.max_us);
        println!("latency        p50 {p50:.0} us, p99 {p99:.0} us, max {max:.0} us");
    }
    println!("generator      {:.0} % of a core", outcome.busy() * 100.0);
    if let Some(cpu) = broker {
        println!(
            "broker         {:.2} us of processor time per delivered message",
            outcome.micros_per_message(cpu)
        );
    }
    Ok(())
}

fn run_relay(arguments: &RelayArguments) -> Result<(), BenchError> {
    let tls = match (arguments.tls_port, &arguments.certificate, &arguments.key) {
        (Some(port), Some(chain), Some(key)) => {
            Some(((Ipv4Addr::LOCALHOST, port).into(), tls::server_config(chain, key)?))
        }
        _ => None,
    };
    let relay = relay::Relay::open((Ipv4Addr::LOCALHOST, arguments.port).into(), tls)?;
    println!("listening on {}", relay.address()?);
    relay.run(clock::now() + args::seconds(arguments.seconds))
}

/// Looks at nothing.
pub(crate) struct NoWatch;

impl Watcher for NoWatch {
    fn opened(&mut self) -> Result<(), BenchError> {
        Ok(())
    }

    fn closed(&mut self) -> Result<(), BenchError> {
        Ok(())
    }
}

/// Counts the processor time of a process in the counted part of a run.
#[derive(Debug)]
pub(crate) struct CpuWatch {
    pid: u32,
    begin: CpuTime,
    pub(crate) used: CpuTime,
}

impl CpuWatch {
    /// Watches this process.
    pub(crate) fn new(pid: u32) -> Self {
        Self { pid, begin: CpuTime::default(), used: CpuTime::default() }
    }
}

impl Watcher for CpuWatch {
    fn opened(&mut self) -> Result<(), BenchError> {
        self.begin = process::cpu_time(self.pid)?;
        Ok(())
    }

    fn closed(&mut self) -> Result<(), BenchError> {
        self.used = process::cpu_time(self.pid)? - self.begin;
        Ok(())
    }
}
