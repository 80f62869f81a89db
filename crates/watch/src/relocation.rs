//! Whether a device is still where it was: theft and relocation, by evidence that adds up and fades.
//!
//! Each kind of evidence counts once, with its points and its newest time, and by half after [`Settings::half_life_ms`]. Of network, system and
//! country the largest that is new counts alone: another provider, another address alone never reach the alarm. Rounded to whole points,
//! [`Settings::watch`] is worth a line ([`Class::Moved`], low), [`Settings::alarm`] a call. If nothing but the switch speaks it is
//! [`Class::Tampered`].
//!
//! What was worth a line is over when its points have faded. An alarm stays: a person says that the device was moved on purpose
//! ([`Event::MovedOnPurpose`]), or that it was not. Where somebody works, all but the switch counts half.

mod evidence;
mod habits;

use crate::agenda::Agenda;
use crate::earth;
use crate::event::{Connection, End, Event, Exposure, Fence, Heartbeat, Position, Reset, Scope, UnixMillis};
use crate::finding::{Class, Confidence, Evidence, Finding, Severity, Turn};
use crate::fleet::Fleet;
use crate::knowledge::Known;
use evidence::{Facts, Kind};
use habits::Habits;
use keyward_ids::{DeviceId, SiteId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

const MINUTE_MS: u64 = 60_000;

/// When a device is taken to have been moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// After how long evidence counts half, in milliseconds. Default 30 minutes: who carries a device off connects it elsewhere soon, or
    /// never.
    pub half_life_ms: u64,
    /// From how many points on it is worth a line. Default 3.
    pub watch: f64,
    /// From how many points on somebody is called. Default 5.
    pub alarm: f64,
    /// Of how many points less than [`Self::watch`] it is over, as a part of it. Default 0.6, so that it does not come and go.
    pub clear: f64,
    /// For how long networks, systems and countries are known, in milliseconds. Default 7 days.
    pub known_ms: u64,
    /// How long a device has to be away so that it can have been carried, in milliseconds, and how young its start has to be so that it
    /// belongs to that. Default 10 minutes.
    pub carried_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            half_life_ms: 30 * MINUTE_MS,
            watch: 3.0,
            alarm: 5.0,
            clear: 0.6,
            known_ms: 7 * 24 * 60 * MINUTE_MS,
            carried_ms: 10 * MINUTE_MS,
        }
    }
}

/// Watches where the devices are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Relocation {
    #[serde(skip)]
    settings: Settings,
    devices: BTreeMap<DeviceId, Box<Whereabouts>>,
    agenda: Agenda,
}

impl Relocation {
    pub(crate) fn handle(
        &mut self,
        now: UnixMillis,
        event: &Event,
        fleet: &Fleet,
        findings: &mut VecDeque<Finding>,
    ) {
        let device = match event {
            Event::Registered { device, .. } => {
                self.devices.entry(device.clone()).or_default();
                device
            }
            Event::Removed { device } => {
                self.devices.remove(device);
                self.agenda.set(device, None);
                return;
            }
            Event::Restarted => {
                self.devices.values_mut().for_each(|whereabouts| whereabouts.link = None);
                return;
            }
            Event::Connected { device, .. }
            | Event::Disconnected { device, .. }
            | Event::Heartbeat { device, .. }
            | Event::Fix { device, .. }
            | Event::Tamper { device, .. }
            | Event::MovedOnPurpose { device } => device,
            _ => return,
        };
        let Some(whereabouts) = self.devices.get_mut(device) else { return };
        let is_maintained = fleet.is_maintained(now, device);
        let found = whereabouts.hear(now, device, event, is_maintained, &self.settings);
        findings.extend(found);
        self.agenda.set(device, whereabouts.fades(&self.settings));
    }

    /// Takes that two sensors of a device began to disagree with their neighbours.
    pub(crate) fn note_stranger(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        fleet: &Fleet,
        findings: &mut VecDeque<Finding>,
    ) {
        let Some(whereabouts) = self.devices.get_mut(device) else { return };
        let weight = if fleet.is_maintained(now, device) { 0.5 } else { 1.0 };
        let what = "several of its sensors disagree with those around it";
        whereabouts.add(now, Kind::Neighbours, weight * 2.0, what, &self.settings);
        findings.extend(whereabouts.judge(now, device, &self.settings));
        self.agenda.set(device, whereabouts.fades(&self.settings));
    }

    pub(crate) fn handle_timeout(&mut self, now: UnixMillis, findings: &mut VecDeque<Finding>) {
        while let Some(device) = self.agenda.pop(now) {
            let Some(whereabouts) = self.devices.get_mut(&device) else { continue };
            findings.extend(whereabouts.fade(now, &device));
        }
    }

    /// Says what is known of where it is.
    pub(crate) fn known(&self, now: UnixMillis, device: &DeviceId) -> Vec<Known> {
        let Some(whereabouts) = self.devices.get(device) else { return Vec::new() };
        let points = whereabouts.facts.points(now, self.settings.half_life_ms);
        let networks = whereabouts.habits.networks();
        let mut known = vec![Known::new(
            "whereabouts",
            format!(
                "known from {networks} network{}; {points:.1} points that it is elsewhere, and {} are an alarm",
                if networks == 1 { "" } else { "s" },
                self.settings.alarm
            ),
        )];
        if let Some(fence) = whereabouts.fence {
            let inside = if whereabouts.is_outside { "outside" } else { "inside, or never located" };
            known.push(Known::new("fence", format!("{} m; {inside}", fence.radius_m)));
        }
        known.extend(whereabouts.facts.evidence().iter().map(|fact| Known::new("sign", fact.what.clone())));
        known
    }

    pub(crate) fn poll_timeout(&self) -> Option<UnixMillis> {
        self.agenda.next()
    }
}

/// Says how far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Level {
    #[default]
    Calm,
    Watch,
    Alarm,
}

/// Is what is known of where one device is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Whereabouts {
    site: Option<SiteId>,
    exposure: Exposure,
    fence: Option<Fence>,
    /// The fence that it left on purpose, which counts no more; another one does.
    left: Option<Fence>,
    habits: Habits,
    /// Its newest link.
    link: Option<u64>,
    away_since: Option<UnixMillis>,
    /// Whether a switch was said to be triggered in a message that is verified, and nobody works there.
    #[serde(default)]
    is_signed: bool,
    /// Whether its last fix was outside the fence.
    is_outside: bool,
    /// Boot count and uptime of its last heartbeat.
    beat: Option<(u64, u64)>,
    facts: Facts,
    level: Level,
    /// As what it was told last, until that is over.
    told: Option<Class>,
    /// An alarm was told, and no person has said a word that is heard here.
    is_alarmed: bool,
}

impl Whereabouts {
    fn hear(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        event: &Event,
        is_maintained: bool,
        settings: &Settings,
    ) -> Option<Finding> {
        let weight = if is_maintained { 0.5 } else { 1.0 };
        match event {
            Event::Registered { place, .. } => {
                let is_elsewhere = self.site.is_some() && self.site != place.site;
                (self.site, self.exposure, self.fence) = (place.site.clone(), place.exposure, place.fence);
                self.left = self.left.filter(|left| place.fence == Some(*left));
                return is_elsewhere.then(|| self.settle(now, device)).flatten();
            }
            Event::MovedOnPurpose { .. } => {
                self.left = self.fence;
                return self.settle(now, device);
            }
            Event::Connected { connection, .. } => self.connect(now, connection, weight, settings),
            Event::Disconnected { link, end, .. } => self.disconnect(now, *link, *end),
            Event::Heartbeat { heartbeat, .. } => self.beat(now, heartbeat, weight, settings),
            Event::Fix { position, .. } => self.fix(now, *position, weight, settings),
            Event::Tamper { input, verified, .. } => {
                // Whoever works on a device may open it.
                self.is_signed |= *verified && !is_maintained;
                self.add(now, Kind::Switch, 5.0, &format!("its switch {input} was triggered"), settings);
            }
            _ => {}
        }
        self.judge(now, device, settings)
    }

    fn connect(&mut self, now: UnixMillis, connection: &Connection, weight: f64, settings: &Settings) {
        if let Some(since) = self.away_since.take()
            && now.since(since) > settings.carried_ms
        {
            let what = format!("it was away for {} min", now.since(since) / MINUTE_MS);
            self.add(now, Kind::Away, weight, &what, settings);
        }
        if let Some(news) = self.habits.learn(now, &connection.source, settings.known_ms) {
            self.add(now, Kind::Source, weight * news.points(), &news.to_string(), settings);
        }
        self.link = Some(connection.link);
    }

    fn disconnect(&mut self, now: UnixMillis, link: u64, end: End) {
        self.habits.stay(now);
        // What the server ended is no absence of the device.
        if self.link == Some(link) && !matches!(end, End::Server | End::TakenOver) {
            self.away_since = Some(now);
        }
    }

    fn beat(&mut self, now: UnixMillis, heartbeat: &Heartbeat, weight: f64, settings: &Settings) {
        let (boot_count, uptime) = (heartbeat.boot_count, heartbeat.uptime_secs);
        let before = self.beat.replace((boot_count, uptime));
        let started_again = before.is_none_or(|(boot, earlier)| boot != boot_count || uptime < earlier);
        let is_young = uptime.saturating_mul(1_000) < settings.carried_ms;
        let by_itself = matches!(heartbeat.reset, Reset::Software | Reset::Watchdog);
        if started_again && is_young && !by_itself {
            let what = format!("it started {uptime} s before");
            self.add(now, Kind::PowerCycle, weight, &what, settings);
        }
    }

    fn fix(&mut self, now: UnixMillis, position: Position, weight: f64, settings: &Settings) {
        let Some(fence) = self.fence.filter(|fence| self.left != Some(*fence)) else { return };
        let metres = earth::kilometres(fence.middle, position) * 1_000.0;
        if metres <= f64::from(fence.radius_m) {
            self.is_outside = false;
        } else if std::mem::replace(&mut self.is_outside, true) {
            let what = format!(
                "twice it was outside its fence: {metres:.0} m from the middle of one of {} m",
                fence.radius_m
            );
            self.add(now, Kind::Fence, weight * 5.0, &what, settings);
        }
    }

    fn add(&mut self, now: UnixMillis, kind: Kind, points: f64, what: &str, settings: &Settings) {
        self.facts.add(now, kind, points, settings.half_life_ms, what);
    }

    /// Tells what the evidence says now, if it says more than was told: until it has faded it does not say less.
    fn judge(&mut self, now: UnixMillis, device: &DeviceId, settings: &Settings) -> Option<Finding> {
        let points = self.facts.points(now, settings.half_life_ms).round();
        let level = match points {
            points if points >= settings.alarm => Level::Alarm,
            points if points >= settings.watch => Level::Watch,
            _ => Level::Calm,
        };
        let class = if self.facts.is_switch_alone(now, settings.half_life_ms) {
            Class::Tampered
        } else {
            Class::Moved
        };
        let level = level.max(self.level);
        let is_clearer = level == Level::Alarm && self.told == Some(Class::Tampered) && class == Class::Moved;
        let is_news = self.facts.take_news() && level > Level::Calm;
        if level == self.level && !is_clearer && !is_news {
            return None;
        }
        self.level = level;
        self.is_alarmed |= level == Level::Alarm;
        let before = self.told.replace(class).filter(|_| is_clearer);
        let (confidence, severity) = match (level, self.exposure) {
            // What its switch says is signed: nobody else can have said it.
            (Level::Alarm, exposure) if class == Class::Tampered && self.is_signed => {
                let is_public = exposure == Exposure::Public;
                (Confidence::Proven, if is_public { Severity::Critical } else { Severity::High })
            }
            (Level::Alarm, Exposure::Public) => (Confidence::High, Severity::Critical),
            (Level::Alarm, _) => (Confidence::High, Severity::High),
            _ => (Confidence::Low, Severity::Low),
        };
        let evidence = self.facts.evidence();
        Some(Finding {
            instead_of: before,
            ..finding(now, device, class, Turn::Set, (confidence, severity), evidence)
        })
    }

    /// Takes where it is now for where it belongs.
    fn settle(&mut self, now: UnixMillis, device: &DeviceId) -> Option<Finding> {
        (self.facts, self.is_outside, self.is_signed, self.level, self.is_alarmed) =
            (Facts::default(), false, false, Level::Calm, false);
        let class = self.told.take()?;
        Some(over(now, device, class, "a person says that it was moved on purpose"))
    }

    /// Returns when the evidence has faded.
    fn fades(&self, settings: &Settings) -> Option<UnixMillis> {
        let is_up = self.level > Level::Calm;
        is_up.then(|| self.facts.below(settings.watch * settings.clear, settings.half_life_ms))
    }

    /// Begins anew after the evidence has faded. An alarm is not over by that, but evidence that comes again is told again.
    fn fade(&mut self, now: UnixMillis, device: &DeviceId) -> Option<Finding> {
        (self.level, self.is_signed) = (Level::Calm, false);
        if self.is_alarmed {
            return None;
        }
        let class = self.told.take()?;
        Some(over(now, device, class, "nothing more spoke for it"))
    }
}

fn over(now: UnixMillis, device: &DeviceId, class: Class, what: &str) -> Finding {
    let evidence = vec![Evidence { at: now, what: what.into() }];
    finding(now, device, class, Turn::Clear, (Confidence::Medium, Severity::Low), evidence)
}

fn finding(
    now: UnixMillis,
    device: &DeviceId,
    class: Class,
    turn: Turn,
    (confidence, severity): (Confidence, Severity),
    evidence: Vec<Evidence>,
) -> Finding {
    Finding {
        at: now,
        scope: Scope::Device(device.clone()),
        class,
        turn,
        confidence,
        severity,
        evidence,
        instead_of: None,
        part_of: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `limits.rs` says of a device.
    #[test]
    fn what_is_known_of_where_a_device_is_takes_three_kilobytes() {
        let bytes = size_of::<Whereabouts>() + evidence::BYTES + habits::BYTES;
        assert!(bytes <= 3 * 1_024, "{bytes}");
    }
}
