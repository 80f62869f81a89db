//! What a run found.

use crate::histogram::Percentiles;
use crate::process::CpuTime;
use serde::Serialize;

/// Counts of the measured part, losses of the whole run. With absent readers an acknowledgement stands for a delivery.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    /// Messages that reached a reader (each copy counts).
    pub(crate) delivered: u64,
    /// The same, of the whole run.
    pub(crate) delivered_in_all: u64,
    /// Copies that never arrived, of the whole run.
    pub(crate) lost: u64,
    /// Copies that were not the next one of their publisher, of the whole run: after a gap, twice, or out of order.
    pub(crate) out_of_order: u64,
    /// From when a message was due to when it was read.
    pub(crate) latency: Option<Percentiles>,
    /// The generator's own processor time.
    pub(crate) generator: CpuTime,
}

impl Outcome {
    /// Returns deliveries per second.
    pub(crate) fn rate(&self) -> f64 {
        self.delivered as f64 / self.seconds
    }

    /// Returns the microseconds of `cpu` per delivered message; not a number if none was.
    pub(crate) fn micros_per_message(&self, cpu: CpuTime) -> f64 {
        cpu.secs() * 1e6 / self.delivered as f64
    }

    /// Returns which share of a core the generator used.
    pub(crate) fn busy(&self) -> f64 {
        self.generator.secs() / self.seconds
    }
}
