//! One turn of one broker: fresh, under one load, and what that cost.

use super::contender::{CLIENTS, Contender, Programs};
use crate::codec::Version;
use crate::error::BenchError;
use crate::histogram::Percentiles;
use crate::load::{self, Options, Watcher};
use crate::process::{self, CpuTime};
use crate::shape::Shape;
use crate::stage::Layout;
use std::time::Duration;

/// Messages that a publisher may have under way in a paced run: more than come while a disk stalls.
const PATIENT: u64 = 10_000;

/// What is asked of a broker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Bytes of a payload.
    pub(super) payload: usize,
    /// Messages a second of all publishers; `None` is as many as it takes.
    pub(super) rate: Option<f64>,
    pub(super) length: Duration,
}

impl Load {
    fn options(self) -> Options {
        let (burst, window) = if self.rate.is_some() { (1, PATIENT) } else { (4, 16) };
        Options {
            version: Version::V311,
            shape: Shape::Absent,
            clients: CLIENTS,
            qos: 1,
            payload: self.payload,
            burst,
            window,
            rate: self.rate,
            length: self.length,
            ..Options::default()
        }
    }
}

/// What one turn gave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) per_second: f64,
    pub(super) generator_busy: f64,
    /// Microseconds of the broker's processor time per acknowledged message.
    pub(super) cpu_us: f64,
    /// Bytes that the broker wrote per byte of acknowledged payload.
    pub(super) written: f64,
    /// Bytes of resident memory by which the broker grew, per message that it holds then.
    pub(super) memory: f64,
    pub(super) latency: Option<Percentiles>,
    pub(super) unacknowledged: u64,
}

/// Starts a fresh broker with its sessions, puts the load on it and ends it.
pub(super) fn take(
    contender: Contender,
    programs: Programs<'_>,
    load: Load,
    layout: &Layout,
) -> Result<Turn, BenchError> {
    let broker = contender.start(programs, layout)?;
    let before = process::resident_bytes(broker.pid())?;
    let mut watch = Watch { pid: broker.pid(), cpu: CpuTime::default(), written: 0 };
    let outcome = load::run(&broker.plain, &load.options(), &mut watch)?;
    let grown = process::resident_bytes(broker.pid())?.saturating_sub(before);
    Ok(Turn {
        per_second: outcome.rate(),
        generator_busy: outcome.busy(),
        cpu_us: outcome.micros_per_message(watch.cpu),
        written: watch.written as f64 / (outcome.delivered * load.payload as u64) as f64,
        memory: grown as f64 / outcome.delivered_in_all as f64,
        latency: outcome.latency,
        unacknowledged: outcome.lost,
    })
}

/// Counts processor time and what is written in the counted part.
struct Watch {
    pid: u32,
    cpu: CpuTime,
    written: u64,
}

impl Watcher for Watch {
    fn opened(&mut self) -> Result<(), BenchError> {
        self.cpu = process::cpu_time(self.pid)?;
        self.written = process::written_bytes(self.pid)?;
        Ok(())
    }

    fn closed(&mut self) -> Result<(), BenchError> {
        self.cpu = process::cpu_time(self.pid)? - self.cpu;
        self.written = process::written_bytes(self.pid)?.saturating_sub(self.written);
        Ok(())
    }
}
