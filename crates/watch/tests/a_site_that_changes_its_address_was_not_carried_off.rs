//! A site whose provider or address changes carries nobody off, and who takes a few devices of it with them is seen all the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_watch::Watch;
use keyward_watch::event::{Connection, End, Event, Heartbeat, Place, Reset, Source, UnixMillis};
use keyward_watch::finding::{Class, Severity, Turn};

const MINUTE: u64 = 60_000;
const HOME: Source =
    Source { network: 1, fingerprint: 0xa1, system: Some(3_320), country: Some(*b"DE"), location: None };

fn other_provider() -> Source {
    Source { network: 2, system: Some(6_805), ..HOME }
}

/// Twelve lamps in one hall, which have been there for a while.
struct Hall {
    watch: Watch,
    now: UnixMillis,
    /// The newest link of each.
    links: [u64; 12],
}

impl Hall {
    fn new() -> Self {
        let mut hall = Self { watch: Watch::new(), now: UnixMillis(1_800_000_000_000), links: [0; 12] };
        for number in 0..12 {
            let place = Place { site: Some("hall".parse().unwrap()), ..Place::default() };
            hall.tell(&Event::Registered { device: device(number), place });
            hall.connect(number, &HOME);
        }
        hall.wait(60 * MINUTE);
        assert_eq!(hall.moved(), []);
        hall
    }

    fn tell(&mut self, event: &Event) {
        self.watch.handle(self.now, event);
    }

    fn wait(&mut self, millis: u64) {
        let until = self.now.plus(millis);
        while let Some(at) = self.watch.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.watch.handle_timeout(self.now);
        }
        self.now = until;
    }

    fn connect(&mut self, number: u64, source: &Source) {
        let link = &mut self.links[number as usize];
        *link += 1;
        let connection = Connection { link: *link, source: source.clone(), keep_alive_secs: 60 };
        self.tell(&Event::Connected { device: device(number), connection });
    }

    /// These lose power and come back from there after half an hour.
    fn come_back(&mut self, numbers: std::ops::Range<u64>, source: &Source) {
        for number in numbers.clone() {
            let link = self.links[number as usize];
            self.tell(&Event::Disconnected { device: device(number), link, end: End::Closed });
        }
        self.wait(30 * MINUTE);
        for number in numbers {
            self.connect(number, source);
            let heartbeat = Heartbeat { uptime_secs: 5, reset: Reset::PowerOn, ..Heartbeat::default() };
            self.tell(&Event::Heartbeat { device: device(number), heartbeat, verified: true });
            self.wait(1_000);
        }
    }

    /// What was told of devices that were moved, without what only adds evidence.
    fn moved(&mut self) -> Vec<(String, Turn, Severity)> {
        let found = std::iter::from_fn(|| self.watch.poll_finding()).filter(|it| it.class == Class::Moved);
        let mut told: Vec<_> = found.map(|it| (it.scope.to_string(), it.turn, it.severity)).collect();
        told.dedup();
        told
    }

    fn still_told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for (device, turn, _) in self.moved() {
            told.retain(|other| *other != device);
            if turn == Turn::Set {
                told.push(device);
            }
        }
        told
    }
}

fn device(number: u64) -> keyward_ids::DeviceId {
    format!("lamp-{number}").parse().unwrap()
}

#[test]
fn a_site_that_comes_back_from_another_provider_leaves_no_line() {
    let mut hall = Hall::new();
    hall.come_back(0..12, &other_provider());
    assert_eq!(hall.still_told(), [] as [String; 0]);
    hall.come_back(0..12, &HOME);
    assert_eq!(hall.moved(), [], "and from the first one again, which is known still");
}

#[test]
fn it_costs_a_line_each_until_it_is_clear() {
    let mut hall = Hall::new();
    hall.come_back(0..4, &other_provider());
    let moved = hall.moved();
    let turns = |turn| moved.iter().filter(|it| it.1 == turn).count();
    assert_eq!((turns(Turn::Set), turns(Turn::Clear)), (3, 3), "{moved:?}");
    assert!(moved.iter().all(|it| it.2 == Severity::Low), "{moved:?}");
}

#[test]
fn three_of_twelve_that_turn_up_elsewhere_were_carried_there() {
    let mut hall = Hall::new();
    hall.come_back(0..3, &other_provider());
    assert_eq!(hall.still_told().len(), 3);
}

#[test]
fn one_by_one_over_days_nobody_hides_among_others() {
    let mut hall = Hall::new();
    for number in 0..6 {
        hall.come_back(number..number + 1, &other_provider());
        assert_eq!(hall.still_told().len(), 1, "lamp {number}");
        hall.wait(24 * 60 * MINUTE);
        assert_eq!(hall.moved().len(), 1, "it has faded");
    }
}

#[test]
fn a_country_counts_however_many_come_from_there() {
    let mut hall = Hall::new();
    hall.come_back(0..12, &Source { country: Some(*b"PL"), ..other_provider() });
    let calls = hall.moved().into_iter().filter(|(_, turn, severity)| *turn == Turn::Set && severity.pages());
    assert_eq!(calls.count(), 12);
}
