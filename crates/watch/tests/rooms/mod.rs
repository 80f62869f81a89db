//! A device with a thermometer in a room, which reports by the clock, and a watch over it. Time passes only here.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_ids::DeviceId;
use keyward_watch::Watch;
use keyward_watch::declared::Declared;
use keyward_watch::event::{Connection, End, Event, Message, Place, Scope, Source, UnixMillis};
use keyward_watch::finding::{Class, Finding, Turn};
use std::collections::BTreeSet;

pub(crate) const MINUTE: u64 = 60_000;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// What is told here; what other detectors find is another story.
const OF_SENSORS: [Class; 8] = [
    Class::OutOfRange,
    Class::TooFast,
    Class::Stuck,
    Class::Unusual,
    Class::NoiseChanged,
    Class::ValueReplay,
    Class::RelationBroken,
    Class::CadenceChanged,
];

/// What a sensor says at the given reading of its life, at a time, with a random number from -1 to 1.
type Nature = fn(u64, UnixMillis, f64) -> f64;

/// What another sensor says of what the first said.
type Other = fn(f64) -> f64;

/// A room: 20 degrees, 2 more in the afternoon, weather that wanders from day to day, noise, in steps of 0.1.
pub(crate) fn room(_: u64, at: UnixMillis, random: f64) -> f64 {
    let day = at.0 as f64 / DAY as f64;
    let wave = |days: f64| (day / days * std::f64::consts::TAU).sin();
    let value = 20.0 - 2.0 * wave(1.0) + 0.5 * wave(0.37) + 0.7 * wave(3.1) + 0.25 * random;
    (value * 10.0).round() / 10.0
}

pub(crate) fn switch(reading: u64, _: UnixMillis, _: f64) -> f64 {
    f64::from(u8::from(reading * 7 % 90 < 13))
}

/// Energy, in kWh: it stands still at night.
pub(crate) fn counter(_: u64, at: UnixMillis, _: f64) -> f64 {
    let (days, minutes) = (at.0 / DAY, at.0 % DAY / MINUTE);
    (days * 1_000 + minutes.saturating_sub(360) / 2) as f64 / 10.0
}

pub(crate) fn constant(_: u64, _: UnixMillis, _: f64) -> f64 {
    230.0
}

pub(crate) struct Rooms {
    watch: Watch,
    now: UnixMillis,
    next: UnixMillis,
    every: u64,
    nature: Nature,
    bend: Option<Box<dyn Fn(f64) -> f64>>,
    /// Another sensor, which says something of what the first said.
    other: Option<(&'static str, Other)>,
    /// Said again from this place on.
    plays: Option<usize>,
    said: Vec<f64>,
    readings: u64,
    random: u64,
    loses_every_second: bool,
    link: u64,
    findings: Vec<Finding>,
    open: BTreeSet<Class>,
}

fn room_1() -> DeviceId {
    "room-1".parse().unwrap()
}

impl Rooms {
    /// A device that reports once in five minutes.
    pub(crate) fn begin(place: Place) -> Self {
        let now = UnixMillis(1_800_000_000_000);
        let mut rooms = Self {
            watch: Watch::new(),
            now,
            next: now,
            every: 5 * MINUTE,
            nature: room,
            bend: None,
            other: None,
            plays: None,
            said: Vec::new(),
            readings: 0,
            random: 1,
            loses_every_second: false,
            link: 0,
            findings: Vec::new(),
            open: BTreeSet::new(),
        };
        rooms.hear(&Event::Registered { device: room_1(), place });
        rooms.connect();
        rooms
    }

    pub(crate) fn hear(&mut self, event: &Event) {
        self.watch.handle(self.now, event);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(finding) = self.watch.poll_finding() {
            if !OF_SENSORS.contains(&finding.class) {
                continue;
            }
            assert!(!finding.evidence.is_empty(), "{finding:?}");
            match finding.turn {
                Turn::Set => _ = self.open.insert(finding.class),
                Turn::Clear => assert!(self.open.remove(&finding.class), "was not open: {finding:?}"),
            }
            self.findings.push(finding);
        }
    }

    fn connect(&mut self) {
        self.link += 1;
        let connection = Connection { link: self.link, source: Source::default(), keep_alive_secs: 60 };
        self.hear(&Event::Connected { device: room_1(), connection });
    }

    fn draw(&mut self) -> f64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f64 / f64::from(1 << 23) - 1.0
    }

    fn value(&mut self, at: UnixMillis) -> f64 {
        self.readings += 1;
        let random = self.draw();
        let honest = (self.nature)(self.readings, at, random);
        let value = match (&self.bend, &mut self.plays) {
            (_, Some(place)) => {
                *place += 1;
                self.said[*place - 1]
            }
            (Some(bend), None) => bend(honest),
            (None, None) => honest,
        };
        self.said.push(value);
        value
    }

    /// Says a value of a stream now.
    pub(crate) fn say(&mut self, stream: &str, value: f64) {
        self.hear(&Event::Reading { device: room_1(), stream: stream.into(), value });
    }

    fn report(&mut self) {
        let value = self.value(self.now);
        if self.loses_every_second && self.readings.is_multiple_of(2) {
            return;
        }
        self.hear(&Event::Message { device: room_1(), message: Message::default() });
        self.say("air/temperature", value);
        if let Some((stream, value_of)) = self.other {
            self.say(stream, value_of(value));
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, millis: u64) {
        let until = self.now.plus(millis);
        loop {
            let due = self.watch.poll_timeout().unwrap_or(until).max(self.now);
            if due.min(self.next) > until {
                break;
            }
            if due < self.next {
                self.now = due;
                self.watch.handle_timeout(due);
                self.collect();
                if due == until {
                    break;
                }
            } else {
                self.now = self.next;
                self.report();
                // Up to two seconds late.
                let late = (self.draw().abs() * 2_000.0) as u64;
                self.next = UnixMillis(self.next.0 / self.every * self.every + self.every + late);
            }
        }
        self.now = until;
    }

    pub(crate) fn every(&mut self, millis: u64) {
        self.every = millis;
    }

    pub(crate) fn is(&mut self, nature: Nature) {
        self.nature = nature;
    }

    pub(crate) fn lie(&mut self, bend: impl Fn(f64) -> f64 + 'static) {
        self.bend = Some(Box::new(bend));
        self.plays = None;
    }

    /// It says what it said so many milliseconds ago.
    pub(crate) fn play_what_was(&mut self, millis_ago: u64) {
        self.plays = Some(self.said.len() - (millis_ago / self.every) as usize);
    }

    /// It says what it said last.
    pub(crate) fn hold(&mut self) {
        let last = *self.said.last().unwrap();
        self.lie(move |_| last);
    }

    pub(crate) fn tell_the_truth(&mut self) {
        (self.bend, self.plays) = (None, None);
    }

    pub(crate) fn also(&mut self, stream: &'static str, value_of: Other) {
        self.other = Some((stream, value_of));
    }

    pub(crate) fn declare(&mut self, declared: Declared) {
        self.hear(&Event::Declared { device: room_1(), declared: declared.into() });
    }

    pub(crate) fn work(&mut self, millis: u64) {
        let until = self.now.plus(millis);
        self.hear(&Event::Maintenance { scope: Scope::Device(room_1()), until });
    }

    pub(crate) fn trouble(&mut self, is_on: bool) {
        self.hear(&Event::OwnTrouble { is_on });
    }

    pub(crate) fn lose_every_second(&mut self) {
        self.loses_every_second = true;
    }

    pub(crate) fn lose_none(&mut self) {
        self.loses_every_second = false;
    }

    /// Its way is cut; then it says all that it kept, within a second.
    pub(crate) fn cut_for(&mut self, millis: u64) {
        self.hear(&Event::Disconnected { device: room_1(), link: self.link, end: End::Closed });
        let mut kept = Vec::new();
        let back = self.now.plus(millis);
        while self.next <= back {
            kept.push(self.value(self.next));
            self.next = self.next.plus(self.every);
        }
        self.now = back;
        self.connect();
        for value in kept {
            self.hear(&Event::Message { device: room_1(), message: Message::default() });
            self.say("air/temperature", value);
        }
    }

    pub(crate) fn remove(&mut self) {
        self.hear(&Event::Removed { device: room_1() });
    }

    /// What was found since the last time.
    pub(crate) fn found(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Takes the first finding of a class; others are told too, for one lie has several faces.
    pub(crate) fn expect(&mut self, class: Class, turn: Turn) -> Finding {
        let found = self.found();
        let it = found.iter().find(|finding| finding.class == class && finding.turn == turn).cloned();
        it.unwrap_or_else(|| panic!("no {class} {turn:?} in {}", brief(&found)))
    }

    pub(crate) fn expect_over(&mut self, class: Class) {
        assert!(!self.open.contains(&class), "{class} is not over: {}", brief(&self.findings));
        self.findings.clear();
    }

    pub(crate) fn expect_nothing(&mut self) {
        let found = self.found();
        assert!(found.is_empty(), "{}", brief(&found));
    }

    pub(crate) fn expect_none_of(&mut self, classes: &[Class]) {
        let found = self.found();
        assert!(!found.iter().any(|finding| classes.contains(&finding.class)), "{}", brief(&found));
    }
}

pub(crate) fn brief(found: &[Finding]) -> String {
    let line = |finding: &Finding| {
        format!("{} {} {:?} {:?}\n", finding.at.0, finding.class, finding.turn, finding.evidence)
    };
    found.iter().map(line).collect()
}
