//! Runs that overlap: a device runs once at a time, so two runs at one time are two devices.
//!
//! When a run began is known from its uptime, as far as a heartbeat came at once. One that waited in the device says too late a time, so a run
//! counts only when two heartbeats, some time apart, agree.

use super::Settings;
use super::sign::Sign;
use crate::event::{Heartbeat, UnixMillis};
use crate::finding::{Class, Confidence, Severity};
use crate::limits;
use serde::{Deserialize, Serialize};

/// Is what is known of one run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Run {
    boot_count: u64,
    /// When it began; never earlier than in truth.
    began: UnixMillis,
    /// When the heartbeat came that says so.
    heard: UnixMillis,
    /// Until when it ran, as it says itself.
    until: UnixMillis,
    /// Whether another heartbeat agreed.
    is_sure: bool,
}

/// Remembers the runs that were heard last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Runs(Vec<Run>);

/// Bytes behind it at most: a list has room for twice what it holds.
#[cfg(test)]
pub(super) const BYTES: usize = 2 * limits::STARTS * size_of::<Run>();

impl Runs {
    pub(super) fn hear(
        &mut self,
        now: UnixMillis,
        heartbeat: &Heartbeat,
        settings: &Settings,
    ) -> Option<Sign> {
        let differs = settings.start_differs_ms;
        let began = UnixMillis(now.0.saturating_sub(heartbeat.uptime_secs.saturating_mul(1_000)));
        let boot_count = heartbeat.boot_count;
        let fresh = Run { boot_count, began, heard: now, until: now, is_sure: false };
        let index = match self.0.iter().position(|run| run.boot_count == boot_count) {
            Some(index) => index,
            None => {
                self.0.push(fresh);
                if self.0.len() > limits::STARTS {
                    self.0.remove(0);
                }
                self.0.len() - 1
            }
        };
        let run = self.0.get_mut(index)?;
        if began.0.saturating_add(differs) < run.began.0 {
            *run = fresh;
        } else if began.since(run.began) <= differs {
            run.is_sure |= now.since(run.heard) > differs;
            run.until = now;
        }
        let run = *run;
        let other = self
            .0
            .iter()
            .position(|other| other.boot_count != boot_count && other.overlaps(&run, differs))?;
        // Forgotten, so that it is told again only if it goes on.
        let other = self.0.remove(other);
        Some(overlapping(now, &other, &run))
    }
}

impl Run {
    fn overlaps(&self, other: &Self, differs_ms: u64) -> bool {
        let later = self.began.max(other.began);
        // Where a restart leaves the uptime as it is, both begin at one time, and are one.
        let is_another = later.since(self.began.min(other.began)) > differs_ms;
        let together = self.until.min(other.until).since(later);
        self.is_sure && other.is_sure && is_another && together > differs_ms
    }
}

/// Returns what two runs at one time say; proof it is none, for when they began is told by when they were heard.
fn overlapping(now: UnixMillis, other: &Run, run: &Run) -> Sign {
    let what =
        format!("by its uptime start {} runs at the same time as start {}", run.boot_count, other.boot_count);
    Sign::new(Class::EpochsInterleave, Confidence::High, Severity::Critical, now, what)
}
