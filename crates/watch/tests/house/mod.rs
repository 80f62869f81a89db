//! A house whose rooms report how warm they are, and a watch over it. Time passes only here.
//!
//! All rooms follow one real series, the office of NAB, each in its own measure; what each does by itself are other days of the same
//! series, before those that are labelled as anomalies. Fine noise
//! and the time of each report are drawn from a hash.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_watch::Watch;
use keyward_watch::event::{Connection, Event, Place, Scope, Source, UnixMillis};
use keyward_watch::finding::{Class, Finding};

pub(crate) const MINUTE: u64 = 60_000;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

pub(crate) struct House {
    watch: Watch,
    pub(crate) now: UnixMillis,
    pub(crate) rooms: Vec<Room>,
    /// By how many degrees the air of all rooms differs from what it was to be.
    pub(crate) weather_step: f64,
    /// Nobody can be heard.
    pub(crate) are_dark: bool,
    office: Vec<f64>,
    links: u64,
}

/// A room with a sensor: every five minutes, by default.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    name: String,
    site: Option<&'static str>,
    number: usize,
    interval: u64,
    next: UnixMillis,
    said: u64,
    /// By how many degrees it lies.
    pub(crate) offset: f64,
    /// It says how humid it is too.
    has_two: bool,
    /// It says how long it has run instead.
    counts: bool,
    pub(crate) counted_from: UnixMillis,
}

pub(crate) fn room(number: usize) -> Room {
    Room {
        name: format!("room-{number}"),
        site: Some("hall"),
        number,
        interval: 5 * MINUTE,
        next: UnixMillis(0),
        said: 0,
        offset: 0.0,
        has_two: false,
        counts: false,
        counted_from: UnixMillis(0),
    }
}

impl Room {
    pub(crate) fn every(self, interval: u64) -> Self {
        Self { interval, ..self }
    }

    pub(crate) fn without_a_site(self) -> Self {
        Self { site: None, ..self }
    }

    pub(crate) fn with_two_sensors(self) -> Self {
        Self { has_two: true, ..self }
    }

    pub(crate) fn counting(self) -> Self {
        Self { counts: true, ..self }
    }
}

pub(crate) fn device(number: usize) -> Scope {
    Scope::Device(format!("room-{number}").parse().unwrap())
}

pub(crate) fn site() -> Scope {
    Scope::Site("hall".parse().unwrap())
}

/// Builds a house; its rooms report from now on.
pub(crate) fn house(rooms: impl IntoIterator<Item = Room>) -> House {
    let now = UnixMillis(1_800_000_000_000);
    let text = include_str!("../data/nab/data/realKnownCause/ambient_temperature_system_failure.csv");
    let value = |line: &str| Some((line.trim().split_once(',')?.1.parse::<f64>().ok()? - 32.0) / 1.8);
    let office = text.lines().skip(1).filter_map(value).collect();
    let rooms = rooms.into_iter().map(|room| Room { next: now.plus(room.number as u64 * 7_001), ..room });
    let mut house = House {
        watch: Watch::new(),
        now,
        rooms: rooms.collect(),
        weather_step: 0.0,
        are_dark: false,
        office,
        links: 0,
    };
    for room in house.rooms.clone() {
        let site = room.site.map(|site| site.parse().unwrap());
        house.tell(Event::Registered {
            device: room.name.parse().unwrap(),
            place: Place { site, ..Place::default() },
        });
    }
    house
}

impl House {
    pub(crate) fn tell(&mut self, event: Event) {
        self.watch.handle(self.now, &event);
    }

    /// Lets time pass, in which rooms report.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now.plus(millis);
        loop {
            let next = (0..self.rooms.len()).min_by_key(|number| self.rooms[*number].next).unwrap();
            let at = self.rooms[next].next;
            if at >= end {
                break;
            }
            self.now = self.now.max(at);
            while let Some(due) = self.watch.poll_timeout().filter(|due| *due <= self.now) {
                self.watch.handle_timeout(due.max(self.now));
            }
            self.report(next);
        }
        self.now = end;
    }

    fn report(&mut self, number: usize) {
        let value = self.value(number);
        let room = &mut self.rooms[number];
        room.said += 1;
        let late = (noise(room.number as u64 * 1_000_003 + room.said).abs() * 2_000.0) as u64;
        room.next = room.next.plus(room.interval + late);
        if !self.are_dark {
            let stream = format!("{}/sensors/temperature", room.name).into();
            let event = Event::Reading { device: room.name.parse().unwrap(), stream, value };
            let room = &self.rooms[number];
            let other = room.has_two.then(|| Event::Reading {
                device: room.name.parse().unwrap(),
                stream: format!("{}/sensors/humidity", room.name).into(),
                value: 70.0 - value,
            });
            self.tell(event);
            other.into_iter().for_each(|event| self.tell(event));
        }
    }

    /// A room's device connects from a network.
    pub(crate) fn connect(&mut self, number: usize, network: u64) {
        self.links += 1;
        let source = Source { network, ..Source::default() };
        let connection = Connection { link: self.links, source, keep_alive_secs: 60 };
        let device = self.rooms[number].name.parse().unwrap();
        self.tell(Event::Connected { device, connection });
    }

    fn value(&self, number: usize) -> f64 {
        let room = &self.rooms[number];
        if room.counts {
            return (self.now.since(room.counted_from) / 1_000) as f64;
        }
        let shared = self.office(0) + self.weather_step;
        let own = 0.2 * (self.office(250 * (room.number + 1)) - 21.0);
        let measure = 0.7 + 0.05 * room.number as f64;
        let fine = 0.1 * noise(room.number as u64 * 7_919 + self.now.0);
        let value = 3.0 + measure * shared + own + fine + room.offset;
        (value * 10.0).round() / 10.0
    }

    /// What the office said, so many hours later than now.
    fn office(&self, later: usize) -> f64 {
        let hours = (self.now.0 - 1_800_000_000_000) as f64 / HOUR as f64;
        let (hour, part) = (hours as usize + later, hours.fract());
        let row = |hour: usize| self.office[hour % self.office.len()];
        row(hour) * (1.0 - part) + row(hour + 1) * part
    }

    /// What was found of sensors, their neighbours and where they are since the last time.
    pub(crate) fn found(&mut self) -> Vec<Finding> {
        let found = std::iter::from_fn(|| self.watch.poll_finding());
        found
            .filter(|finding| matches!(finding.class, Class::Disagrees | Class::GroupStep | Class::Moved))
            .collect()
    }
}

/// About normal, with a deviation of one.
fn noise(seed: u64) -> f64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut draw = || {
        state =
            (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9).wrapping_add(0x94D0_49BB_1331_11EB);
        (state >> 40) as f64 / (1_u64 << 24) as f64 - 0.5
    };
    (0..12).map(|_| draw()).sum()
}
