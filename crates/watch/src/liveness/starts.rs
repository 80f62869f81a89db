//! How often a device starts: what tells a loop, and whether it ran all the time while it was away.

use super::losses::{fact, reason};
use super::settings::Settings;
use crate::event::{Heartbeat, Reset, UnixMillis};
use crate::finding::{Class, Evidence};
use serde::{Deserialize, Serialize};

/// Starts that are remembered.
const STARTS: usize = 8;
/// By how much the clock of a device may disagree about when it started.
const SLACK_MILLIS: u64 = 10_000;

/// Remembers the last heartbeat and the last starts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Starts {
    last: Option<Life>,
    /// A life with fewer starts than the last one, and when it was heard: if it goes on it is the present one.
    #[serde(default)]
    other: Option<(Life, UnixMillis)>,
    starts: [Option<(UnixMillis, Reset)>; STARTS],
    /// What the loop was told as.
    pub(super) told: Option<Class>,
}

/// Is one life of a device, from start to start.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Life {
    began: UnixMillis,
    boot_count: u64,
}

/// Is what a heartbeat says of starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Started {
    pub(super) began: UnixMillis,
    /// How often it started since the heartbeat before; 0 if it did not.
    pub(super) times: u64,
    /// Whether it had taken leave before.
    pub(super) took_leave: bool,
}

impl Starts {
    /// Tells whether the device sends heartbeats.
    pub(super) fn is_known(&self) -> bool {
        self.last.is_some()
    }

    /// Takes a heartbeat. One of an earlier life, which waited to be sent, says nothing; but one that goes on is the present one: the device
    /// was flashed, or somebody else counted in its name. Chips that sleep deeply start when they wake:
    /// one start after a device `took_leave` is none.
    pub(super) fn note(
        &mut self,
        now: UnixMillis,
        heartbeat: &Heartbeat,
        took_leave: bool,
    ) -> Option<Started> {
        let uptime = heartbeat.uptime_secs.saturating_mul(1_000);
        let began = UnixMillis(now.0.saturating_sub(uptime));
        let life = Life { began, boot_count: heartbeat.boot_count };
        let Some(last) = self.last else {
            self.last = Some(life);
            return Some(Started { began, times: 0, took_leave });
        };
        if life.boot_count < last.boot_count && !self.goes_on(now, life) {
            return None;
        }
        (self.last, self.other) = (Some(life), None);
        let counted = life.boot_count.saturating_sub(last.boot_count);
        // A clock that drifts moves the beginning a little with each heartbeat.
        let is_later = began > last.began.plus(SLACK_MILLIS + now.since(last.began) / 100);
        let times = counted.max(is_later.into());
        for _ in 0..times.saturating_sub(took_leave.into()).min(STARTS as u64) {
            self.starts.rotate_left(1);
            self.starts[STARTS - 1] = Some((now, heartbeat.reset));
        }
        Some(Started { began, times, took_leave })
    }

    /// Tells whether a life with fewer starts than the last one goes on: two heartbeats, some time apart, agree when it began. What waited
    /// to be sent does not.
    fn goes_on(&mut self, now: UnixMillis, life: Life) -> bool {
        let before = self.other.filter(|(other, heard)| {
            let slack = SLACK_MILLIS + now.since(*heard) / 100;
            other.boot_count == life.boot_count && other.began.0.abs_diff(life.began.0) <= slack
        });
        match before {
            Some((_, heard)) => now.since(heard) > 2 * SLACK_MILLIS,
            None => {
                self.other = Some((life, now));
                false
            }
        }
    }

    /// Forgets the starts: somebody works on the device.
    pub(super) fn forgive(&mut self) {
        self.starts = [None; STARTS];
    }

    /// Returns what so many starts are. Those that the program wanted count half: an update needs some.
    pub(super) fn is_loop(&self, now: UnixMillis, settings: &Settings) -> Option<Class> {
        let recent = || self.recent(now, settings);
        let (wanted, unwanted): (Vec<_>, Vec<_>) = recent().partition(|reset| *reset == Reset::Software);
        let external = unwanted.iter().filter(|reset| **reset == Reset::External).count();
        if external >= settings.restarts {
            return Some(Class::TamperReset);
        }
        (unwanted.len() + wanted.len() / 2 >= settings.restarts).then_some(Class::RebootLoop)
    }

    fn recent(&self, now: UnixMillis, settings: &Settings) -> impl Iterator<Item = Reset> {
        let window = settings.restart_window_ms;
        self.starts.iter().flatten().filter(move |(at, _)| now.since(*at) < window).map(|(_, reset)| *reset)
    }

    /// Returns the starts of a loop, for a person.
    pub(super) fn evidence(&self, now: UnixMillis, settings: &Settings) -> Vec<Evidence> {
        let is_recent = |at: UnixMillis| now.since(at) < settings.restart_window_ms;
        let recent = self.starts.iter().flatten().filter(|(at, _)| is_recent(*at));
        recent.map(|(at, reset)| fact(*at, format!("it had started: {}", reason(*reset)))).collect()
    }

    /// Returns when a loop is over unless it starts again.
    pub(super) fn end_at(&self, settings: &Settings) -> Option<UnixMillis> {
        self.told?;
        let last = self.starts[STARTS - 1].map_or(UnixMillis(0), |(at, _)| at);
        Some(last.plus(settings.restart_window_ms))
    }
}
