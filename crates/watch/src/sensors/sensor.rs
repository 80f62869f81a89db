//! One sensor: what is known of it, and all rules that it is asked by.

use super::history::{History, Unusual};
use super::nature::Nature;
use super::noise::{Differs, Noise};
use super::pace::{Arrival, Changed, Pace};
use super::range::{Bounds, Range};
use super::rate::{Change, Rate};
use super::relations::Said;
use super::replay::{Noticed, Replay};
use super::runs::Runs;
use super::sign::Sign;
use crate::declared::Limits;
use crate::event::UnixMillis;
use crate::finding::{Class, Confidence, Severity, Turn};
use crate::readings::Aspect;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How long a sensor is learned before its own history tells anything, in milliseconds and in readings.
const LEARNING_MS: u64 = 3 * 24 * 60 * 60 * 1_000;
const LEARNING_READINGS: u32 = 200;

/// What comes closer together was kept together: nobody knows when it was taken.
const TOGETHER_MS: u64 = 500;

/// No value beyond this is looked at: its square is still a number.
const FARTHEST: f64 = 1e30;

/// How often a sensor says something, as long as that is not known.
const UNKNOWN_USUAL_MS: u64 = 60_000;

/// Readings after which a history of a sensor is kept: a name that comes a few times and never again costs little.
const KNOWN_FROM: u32 = 20;

/// Is one sensor of a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sensor {
    pub(super) name: Box<str>,
    first: UnixMillis,
    pub(super) last: UnixMillis,
    readings: u32,
    value: f64,
    range: Range,
    rate: Rate,
    pub(super) known: Option<Box<Known>>,
    /// What is told of it and not over.
    pub(super) told: BTreeSet<Class>,
}

/// Is the history of a sensor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Known {
    pace: Pace,
    nature: Nature,
    noise: Noise,
    history: History,
    repeats: Runs,
    replay: Replay,
}

/// What a history takes, in bytes, with what is behind it.
pub(super) const KNOWN_BYTES: usize = size_of::<Known>() + super::replay::BYTES;

/// Is what matters of the device when a reading comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// When the link began over which it came.
    pub(super) connected: UnixMillis,
    /// The broker is, or was just now, in trouble itself.
    pub(super) is_trouble: bool,
    /// Somebody works on the device: what it says meanwhile is neither judged nor learned.
    pub(super) is_maintained: bool,
    /// What was declared of the sensor.
    pub(super) limits: Option<&'a Limits>,
    /// Whether there is room for one more history.
    pub(super) has_room: bool,
}

impl Sensor {
    pub(super) fn new(now: UnixMillis, name: &str) -> Self {
        Self {
            name: name.into(),
            first: now,
            last: now,
            readings: 0,
            value: 0.0,
            range: Range::default(),
            rate: Rate::default(),
            known: None,
            told: BTreeSet::new(),
        }
    }

    /// Takes a reading, and returns what the rules say of it.
    pub(super) fn note(&mut self, now: UnixMillis, value: f64, around: Around<'_>) -> Vec<Sign> {
        let value = value.clamp(-FARTHEST, FARTHEST);
        let in_ms = now.since(core::mem::replace(&mut self.last, now));
        self.readings = self.readings.saturating_add(1);
        let before = core::mem::replace(&mut self.value, value);
        if self.known.is_none() && self.readings >= KNOWN_FROM && around.has_room {
            self.known = Some(Box::new(Known::new()));
        }
        let may_tell = self.readings >= LEARNING_READINGS && now.since(self.first) >= LEARNING_MS;
        let arrival = self
            .known
            .as_mut()
            .map_or(Arrival::AfterGap, |known| known.pace.arrive(now, around.connected, around.is_trouble));
        if around.is_maintained {
            return Vec::new();
        }
        let mut signs = Vec::new();
        signs.extend(self.judge_range(now, value, around.limits, arrival, may_tell));
        if arrival == Arrival::Regular {
            let change = Change { by: value - before, in_ms };
            signs.extend(self.judge_rate(
                change,
                around.limits.and_then(|limits| limits.per_second),
                may_tell,
            ));
        }
        if let Some(known) = self.known.as_mut().filter(|_| arrival != Arrival::Kept) {
            signs.extend(known.judge(now, (before, value), arrival, may_tell));
        }
        signs.into_iter().filter(|sign| self.told.mark(sign)).collect()
    }

    /// Returns what it said last.
    pub(super) fn said(&self) -> Said {
        let usual = self.known.as_ref().and_then(|known| known.pace.usual()).unwrap_or(UNKNOWN_USUAL_MS);
        Said { at: self.last, value: self.value, usual }
    }

    /// Says what is known of it, for people.
    pub(super) fn known(&self, now: UnixMillis) -> String {
        let left = LEARNING_MS.saturating_sub(now.since(self.first));
        let learned = match &self.known {
            None => "nothing is known of its history".to_owned(),
            Some(_) if self.readings < LEARNING_READINGS || left > 0 => {
                format!("its history is learned, {} readings so far", self.readings)
            }
            Some(known) => match known.nature.is_measured() {
                true => "its history is known".to_owned(),
                false => "its history is known; it stands still by nature".to_owned(),
            },
        };
        let told: Vec<_> = self.told.iter().map(|class| class.word()).collect();
        let told = if told.is_empty() { String::new() } else { format!("; told: {}", told.join(", ")) };
        format!("\"{}\": {learned}{told}", self.name)
    }

    fn judge_range(
        &mut self,
        now: UnixMillis,
        value: f64,
        limits: Option<&Limits>,
        arrival: Arrival,
        may_tell: bool,
    ) -> Option<Sign> {
        let is_measured = self.known.as_ref().is_some_and(|known| known.nature.is_measured());
        let declared = limits.and_then(Limits::range);
        // What was kept is true or not, but says nothing of what is usual now.
        if declared.is_none() && arrival == Arrival::Kept {
            return None;
        }
        let (turn, bounds) = self.range.note(now, value, declared, may_tell && is_measured)?;
        let Bounds { least, most, is_declared } = bounds;
        let [least, most] = [least, most].map(rounded);
        let unit = limits.map_or("", |limits| &*limits.unit);
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let what = match turn {
            Turn::Set if is_declared => format!("said {value}{unit}; declared is {least} to {most}{unit}"),
            Turn::Set => {
                format!("said {value}; all that it ever said is in the middle third of {least} to {most}")
            }
            Turn::Clear => format!("said {value}, which is within its limits"),
        };
        Some(declared_or_soft(Class::OutOfRange, turn, is_declared, what))
    }

    fn judge_rate(&mut self, change: Change, declared: Option<f64>, may_tell: bool) -> Option<Sign> {
        let known = self.known.as_ref()?;
        if change.in_ms < TOGETHER_MS {
            return None;
        }
        // A reading that came early after one that was late is not faster.
        let in_ms = change.in_ms.max(known.pace.usual().unwrap_or(0) / 2);
        let change = Change { in_ms, ..change };
        let (turn, most) = self.rate.note(change, declared, may_tell && known.nature.is_measured())?;
        let (most, by) = (rounded(most), rounded(change.by));
        let seconds = in_ms as f64 / 1_000.0;
        let what = match turn {
            Turn::Set => {
                format!("changes again and again by more than {most} in {seconds:.1} s, now by {by}")
            }
            Turn::Clear => "changes no faster than it can".to_owned(),
        };
        Some(declared_or_soft(Class::TooFast, turn, declared.is_some(), what))
    }
}

/// Is a sign of what was declared, which is sure and worth a call; or of what was learned, which is neither.
fn declared_or_soft(class: Class, turn: Turn, is_declared: bool, what: String) -> Sign {
    if is_declared { Sign::hard(class, turn, what) } else { Sign::soft(class, turn, what) }
}

/// Returns a value without what cannot be written in decimals.
fn rounded(value: f64) -> f64 {
    if value.is_finite() { (value * 1e6).round() / 1e6 } else { value }
}

/// Keeps which classes are told.
trait Mark {
    /// Takes a sign; returns whether it says something: what was not told is not over.
    fn mark(&mut self, sign: &Sign) -> bool;
}

impl Mark for BTreeSet<Class> {
    fn mark(&mut self, sign: &Sign) -> bool {
        match sign.turn {
            Turn::Set => {
                self.insert(sign.class);
                true
            }
            Turn::Clear => self.remove(&sign.class),
        }
    }
}

impl Known {
    fn new() -> Self {
        Self {
            pace: Pace::default(),
            nature: Nature::default(),
            noise: Noise::default(),
            history: History::new(),
            repeats: Runs::default(),
            replay: Replay::default(),
        }
    }

    fn judge(
        &mut self,
        now: UnixMillis,
        (before, value): (f64, f64),
        arrival: Arrival,
        may_tell: bool,
    ) -> Vec<Sign> {
        self.nature.note(before, value);
        let mut signs = Vec::new();
        if arrival == Arrival::Regular {
            signs.extend(self.judge_repeats(before, value, may_tell));
            signs.extend(self.judge_noise(now, (before, value), may_tell));
        } else {
            self.noise.skip();
        }
        signs.extend(self.judge_pace(now, may_tell));
        signs.extend(self.judge_replay(value, may_tell));
        let usual = self.pace.usual().unwrap_or(0);
        signs.extend(self.history.note(now, value, usual, may_tell).map(unusual));
        signs
    }

    fn judge_repeats(&mut self, before: f64, value: f64, may_tell: bool) -> Option<Sign> {
        let limit = self.repeats.limit();
        let turn = self.repeats.note(value == before, may_tell && self.nature.is_measured())?;
        let what = match turn {
            Turn::Set => format!(
                "said {value} {} times in a row; by its history {} are too many",
                self.repeats.run + 1,
                limit.unwrap_or_default()
            ),
            Turn::Clear => format!("moves again: {value}"),
        };
        Some(Sign::soft(Class::Stuck, turn, what))
    }

    fn judge_noise(&mut self, now: UnixMillis, values: (f64, f64), may_tell: bool) -> Vec<Sign> {
        let found = self.noise.note(now, values, may_tell && self.nature.is_measured());
        let is_told = self.noise.is_told();
        let is_news = |(turn, _): &(Turn, Differs)| *turn == Turn::Set || !is_told;
        let sign = |(turn, differs)| {
            let what = match (turn, differs) {
                (Turn::Clear, _) => "is as noisy as usual".to_owned(),
                (Turn::Set, Differs::Variance(times)) => format!("has {times:.2} times its usual noise"),
                (Turn::Set, Differs::Onwards(times)) => {
                    format!("went {times} steps in one direction: its noise is missing")
                }
                (Turn::Set, Differs::Coarser(times)) => {
                    format!("said {times} values with fewer decimals than it has")
                }
                (Turn::Set, Differs::Finer(decimals)) => {
                    format!("says values with {decimals} decimals, more than it has")
                }
            };
            Sign::soft(Class::NoiseChanged, turn, what)
        };
        found.into_iter().filter(is_news).map(sign).collect()
    }

    fn judge_pace(&mut self, now: UnixMillis, may_tell: bool) -> Option<Sign> {
        let Changed { turn, usual, now } = self.pace.judge(now, may_tell)?;
        let [usual, now] = [usual, now].map(|millis| millis as f64 / 1_000.0);
        let what = match turn {
            Turn::Set => format!("comes every {now:.1} s; it used to come every {usual:.1} s"),
            Turn::Clear => format!("comes every {now:.1} s, as usual"),
        };
        let (confidence, severity) = (Confidence::Medium, Severity::Low);
        Some(Sign { class: Class::CadenceChanged, turn, confidence, severity, what })
    }

    fn judge_replay(&mut self, value: f64, may_tell: bool) -> Option<Sign> {
        let (turn, what) = match self.replay.note(value, !may_tell)? {
            Noticed::Again { values, before } => (
                Turn::Set,
                format!("said the last {values} values before, in the same order, {before} values ago"),
            ),
            Noticed::New => (Turn::Clear, "says something new".to_owned()),
        };
        Some(Sign::hard(Class::ValueReplay, turn, what))
    }
}

fn unusual(Unusual { turn, aspect, bits }: Unusual) -> Sign {
    let what = match turn {
        Turn::Clear => "is as usual again".to_owned(),
        Turn::Set => {
            let rare = format!("one in 2^{bits:.0} stretches of its history is so");
            format!("{}: {rare}", aspect_words(aspect))
        }
    };
    Sign::soft(Class::Unusual, turn, what)
}

fn aspect_words(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Rate => "jumped",
        Aspect::Range => "is far from its usual level",
        Aspect::TimeOfDay => "is not what it is at this time of the day",
        Aspect::TimeOfWeek => "is not what it is at this time of the week",
        Aspect::Shift => "has been off what is usual at this time",
        Aspect::Drift => "strays from what is usual at this time",
        Aspect::Restless => "is noisier than ever",
        Aspect::Quiet => "has lost its noise",
        Aspect::Stuck => "repeats itself",
    }
}
