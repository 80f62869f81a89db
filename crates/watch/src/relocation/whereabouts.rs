//! What is known of where one device is, and what that says.

use super::evidence::{Facts, Kind};
use super::habits::{Habits, News};
use super::{MINUTE_MS, Settings};
use crate::earth;
use crate::event::{End, Event, Exposure, Fence, Heartbeat, Position, Reset, Scope, UnixMillis};
use crate::finding::{Class, Confidence, Evidence, Finding, Severity, Turn};
use keyward_ids::{DeviceId, SiteId};
use serde::{Deserialize, Serialize};

/// How long a switch, and what it proves, is not told again, in milliseconds.
const AGAIN_MS: u64 = 10 * MINUTE_MS;

/// Is what matters of the surroundings of a device when something is heard of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    /// Somebody works there.
    pub(super) is_maintained: bool,
    /// What is new of the place from where it comes.
    pub(super) news: Option<News>,
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
pub(super) struct Whereabouts {
    pub(super) site: Option<SiteId>,
    exposure: Exposure,
    pub(super) fence: Option<Fence>,
    /// The fence that it left on purpose, which counts no more; another one does.
    left: Option<Fence>,
    pub(super) habits: Habits,
    /// What was new of the place from where it came, while that counts.
    #[serde(default)]
    pub(super) news: Option<News>,
    /// Its newest link.
    pub(super) link: Option<u64>,
    away_since: Option<UnixMillis>,
    /// Whether a switch was said to be triggered in a message that is verified, and nobody works there.
    #[serde(default)]
    is_signed: bool,
    /// When its switch was told last.
    #[serde(default)]
    switched: Option<UnixMillis>,
    /// When it was told last that this proves something.
    #[serde(default)]
    proven: Option<UnixMillis>,
    /// Whether its last fix was outside the fence.
    pub(super) is_outside: bool,
    /// Boot count and uptime of its last heartbeat.
    beat: Option<(u64, u64)>,
    pub(super) facts: Facts,
    level: Level,
    /// As what it was told last, until that is over.
    told: Option<Class>,
    /// An alarm was told, and no person has said a word that is heard here.
    is_alarmed: bool,
}

impl Whereabouts {
    pub(super) fn hear(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        event: &Event,
        Around { is_maintained, news }: Around,
        settings: &Settings,
    ) -> Vec<Finding> {
        let weight = if is_maintained { 0.5 } else { 1.0 };
        let mut is_proof = false;
        match event {
            Event::Registered { place, .. } => {
                let is_elsewhere = self.site.is_some() && self.site != place.site;
                (self.site, self.exposure, self.fence) = (place.site.clone(), place.exposure, place.fence);
                self.left = self.left.filter(|left| place.fence == Some(*left));
                return if is_elsewhere { self.settle(now, device) } else { Vec::new() };
            }
            Event::MovedOnPurpose { .. } => {
                self.left = self.fence;
                return self.settle(now, device);
            }
            Event::Connected { connection, .. } => {
                self.connect(now, connection.link, news, weight, settings);
            }
            Event::Disconnected { link, end, .. } => self.disconnect(now, *link, *end),
            Event::Heartbeat { heartbeat, .. } => self.beat(now, heartbeat, weight, settings),
            Event::Fix { position, .. } => self.fix(now, *position, weight, settings),
            Event::Tamper { input, verified, .. } => {
                // A person may have said what the last time was; and what is told anew is proven anew.
                if self.switched.is_none_or(|at| now.since(at) >= AGAIN_MS) {
                    (self.switched, self.is_signed) = (Some(now), false);
                    self.facts.note_news();
                }
                // Whoever works on a device may open it.
                is_proof = *verified && !is_maintained;
                self.is_signed |= is_proof;
                self.add(now, Kind::Switch, 5.0, &format!("its switch {input} was triggered"), settings);
            }
            _ => {}
        }
        let mut found: Vec<_> = self.judge(now, device, settings).into_iter().collect();
        if is_proof {
            let is_told = found.iter().any(|finding| finding.confidence == Confidence::Proven);
            found.extend(self.prove(now, device, is_told));
        }
        found
    }

    /// Says what a signed switch proves, if that is not told: neither what somebody said before without a signature nor evidence that it was
    /// moved may hide it.
    fn prove(&mut self, now: UnixMillis, device: &DeviceId, is_told: bool) -> Option<Finding> {
        let before = self.proven;
        if !is_told && before.is_some_and(|at| now.since(at) < AGAIN_MS) {
            return None;
        }
        self.proven = Some(now);
        if is_told {
            return None;
        }
        let severity = if self.exposure == Exposure::Public { Severity::Critical } else { Severity::High };
        let grade = (Confidence::Proven, severity);
        let evidence = self.facts.evidence().into_iter().rev().take(1).collect();
        let moved = self.told.filter(|told| *told == Class::Moved);
        Some(Finding {
            part_of: moved.map(|class| (Scope::Device(device.clone()), class)),
            ..finding(now, device, Class::Tampered, Turn::Set, grade, evidence)
        })
    }

    fn connect(&mut self, now: UnixMillis, link: u64, news: Option<News>, weight: f64, settings: &Settings) {
        if let Some(since) = self.away_since.take()
            && now.since(since) > settings.carried_ms
        {
            let what = format!("it was away for {} min", now.since(since) / MINUTE_MS);
            self.add(now, Kind::Away, weight, &what, settings);
        }
        if let Some(news) = news
            && self.add(now, Kind::Source, weight * news.points(), &news.to_string(), settings)
        {
            self.news = Some(news);
        }
        self.link = Some(link);
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

    /// Returns whether it counts.
    pub(super) fn add(
        &mut self,
        now: UnixMillis,
        kind: Kind,
        points: f64,
        what: &str,
        settings: &Settings,
    ) -> bool {
        self.facts.add(now, kind, points, settings.half_life_ms, what)
    }

    /// Takes back what spoke for it that it came from somewhere else. An alarm stays one.
    pub(super) fn withdraw(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        settings: &Settings,
    ) -> Option<Finding> {
        self.news = None;
        self.facts.withdraw(Kind::Source);
        let points = self.facts.points(now, settings.half_life_ms).round();
        if self.level != Level::Watch || self.is_alarmed || points >= settings.watch {
            return None;
        }
        self.level = Level::Calm;
        let class = self.told.take()?;
        Some(over(now, device, class, "others of its site come from there too: it was not carried there"))
    }

    /// Tells what the evidence says now, if it says more than was told: until it has faded it does not say less.
    pub(super) fn judge(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        settings: &Settings,
    ) -> Option<Finding> {
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
    fn settle(&mut self, now: UnixMillis, device: &DeviceId) -> Vec<Finding> {
        (self.facts, self.is_outside, self.is_signed, self.level, self.is_alarmed) =
            (Facts::default(), false, false, Level::Calm, false);
        self.switched = None;
        let told = self.told.take();
        let proven = self.proven.take().map(|_| Class::Tampered).filter(|class| told != Some(*class));
        let over = |class| over(now, device, class, "a person says that it was moved on purpose");
        told.into_iter().chain(proven).map(over).collect()
    }

    /// Returns when the evidence has faded.
    pub(super) fn fades(&self, settings: &Settings) -> Option<UnixMillis> {
        let is_up = self.level > Level::Calm;
        is_up.then(|| self.facts.below(settings.watch * settings.clear, settings.half_life_ms))
    }

    /// Begins anew after the evidence has faded. An alarm is not over by that, but evidence that comes again is told again.
    pub(super) fn fade(&mut self, now: UnixMillis, device: &DeviceId) -> Option<Finding> {
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
