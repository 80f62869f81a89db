//! A yard of devices that report by the clock, and a watch over them. Time passes only here.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_watch::event::{
    Connection, End, Event, Exposure, Heartbeat, Message, Place, Power, Reset, Scope, Source, UnixMillis,
};
use keyward_watch::finding::{Class, Finding, Turn};
use keyward_watch::{Watch, finding::Evidence};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// What is told here; what other detectors find is another story.
const OF_LIVENESS: [Class; 14] = [
    Class::Missing,
    Class::PowerLoss,
    Class::NetworkLoss,
    Class::Stalled,
    Class::RebootLoop,
    Class::TamperReset,
    Class::SensorSilent,
    Class::DestroyedOrStolen,
    Class::TheftSuspected,
    Class::SiteOutage,
    Class::SitePower,
    Class::GatewayLoss,
    Class::CircuitLoss,
    Class::OwnTrouble,
];

pub(crate) struct Yard {
    watch: Watch,
    pub(crate) now: UnixMillis,
    devices: BTreeMap<String, Device>,
    findings: Vec<Finding>,
    open: BTreeSet<(Scope, Class)>,
    links: u64,
}

/// A device: by default mains, at a workplace, linked with a keep-alive of a minute, one message a minute.
#[derive(Clone)]
pub(crate) struct Device {
    place: Place,
    every: Option<u64>,
    keep_alive_secs: u16,
    sensors: Vec<&'static str>,
    mute: BTreeSet<&'static str>,
    tells_heartbeats: bool,
    link: Option<u64>,
    is_on: bool,
    next: UnixMillis,
    last_packet: UnixMillis,
    began: UnixMillis,
    boots: u64,
}

pub(crate) fn device() -> Device {
    Device {
        place: Place::default(),
        every: Some(MINUTE),
        keep_alive_secs: 60,
        sensors: Vec::new(),
        mute: BTreeSet::new(),
        tells_heartbeats: true,
        link: None,
        is_on: true,
        next: UnixMillis(0),
        last_packet: UnixMillis(0),
        began: UnixMillis(0),
        boots: 1,
    }
}

impl Device {
    pub(crate) fn at(mut self, site: &str) -> Self {
        self.place.site = Some(site.parse().unwrap());
        self
    }
    pub(crate) fn behind(mut self, gateway: &str) -> Self {
        self.place.gateway = Some(gateway.into());
        self
    }
    pub(crate) fn on_circuit(mut self, circuit: &str) -> Self {
        self.place.circuit = Some(circuit.into());
        self
    }
    pub(crate) fn on_battery(mut self) -> Self {
        self.place.power = Power::Battery;
        self
    }
    pub(crate) fn exposed(mut self, exposure: Exposure) -> Self {
        self.place.exposure = exposure;
        self
    }
    pub(crate) fn public(self) -> Self {
        self.exposed(Exposure::Public)
    }
    pub(crate) fn every(mut self, millis: u64) -> Self {
        self.every = Some(millis);
        self
    }
    pub(crate) fn declared(mut self, millis: u64) -> Self {
        self.place.interval_ms = Some(millis);
        self.every(millis)
    }
    /// It reports only when the story says so.
    pub(crate) fn when_asked(mut self) -> Self {
        self.every = None;
        self
    }
    pub(crate) fn keep_alive(mut self, secs: u16) -> Self {
        self.keep_alive_secs = secs;
        self
    }
    pub(crate) fn sensing(mut self, sensors: &[&'static str]) -> Self {
        self.sensors = sensors.to_vec();
        self
    }
    /// It sends no heartbeats, as firmware of others.
    pub(crate) fn plain(mut self) -> Self {
        self.tells_heartbeats = false;
        self
    }
}

fn id(name: &str) -> keyward_ids::DeviceId {
    name.parse().unwrap()
}

pub(crate) fn of(name: &str) -> Scope {
    Scope::Device(id(name))
}
pub(crate) fn site(name: &str) -> Scope {
    Scope::Site(name.parse().unwrap())
}
pub(crate) fn gateway(site: &str, name: &str) -> Scope {
    Scope::Gateway(Some(site.parse().unwrap()), name.into())
}
pub(crate) fn circuit(site: &str, name: &str) -> Scope {
    Scope::Circuit(Some(site.parse().unwrap()), name.into())
}

pub(crate) fn yard() -> Yard {
    Yard {
        watch: Watch::new(),
        now: UnixMillis(1_800_000_000_000),
        devices: BTreeMap::new(),
        findings: Vec::new(),
        open: BTreeSet::new(),
        links: 0,
    }
}

/// One device, watched for a day.
pub(crate) fn yard_with(name: &str, device: Device) -> Yard {
    let mut yard = yard();
    yard.add(name, device);
    yard.pass(DAY);
    yard.expect_nothing();
    yard
}

impl Yard {
    pub(crate) fn add(&mut self, name: &str, device: Device) {
        self.hear(Event::Registered { device: id(name), place: device.place.clone() });
        // Not all at the same second.
        let began = self.now;
        let first = began.plus(7_000 * (1 + self.devices.len() as u64 % 8));
        self.devices.insert(name.to_owned(), Device { began, next: first, ..device });
        self.connect(name);
    }

    pub(crate) fn add_many(&mut self, prefix: &str, count: usize, device: &Device) -> Vec<String> {
        let names: Vec<_> = (1..=count).map(|number| format!("{prefix}-{number}")).collect();
        names.iter().for_each(|name| self.add(name, device.clone()));
        names
    }

    pub(crate) fn hear(&mut self, event: Event) {
        self.watch.handle(self.now, &event);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(finding) = self.watch.poll_finding() {
            if !OF_LIVENESS.contains(&finding.class) {
                continue;
            }
            assert!(!finding.evidence.is_empty() && finding.evidence.len() <= 8, "{finding:?}");
            let key = (finding.scope.clone(), finding.class);
            match finding.turn {
                Turn::Set => {
                    if let Some(before) = finding.instead_of {
                        assert!(
                            self.open.remove(&(finding.scope.clone(), before)),
                            "nothing was told to be replaced: {finding:?}"
                        );
                    }
                    self.open.insert(key);
                }
                Turn::Clear => assert!(self.open.remove(&key), "cleared without being set: {finding:?}"),
            }
            self.findings.push(finding);
        }
    }

    fn at_work(&mut self, name: &str) -> &mut Device {
        self.devices.get_mut(name).unwrap()
    }

    pub(crate) fn connect(&mut self, name: &str) {
        self.links += 1;
        let (link, now) = (self.links, self.now);
        let device = self.at_work(name);
        (device.link, device.last_packet, device.is_on) = (Some(link), now, true);
        let connection =
            Connection { link, source: Source::default(), keep_alive_secs: device.keep_alive_secs };
        self.hear(Event::Connected { device: id(name), connection });
    }

    /// Its link ends, and it says nothing until it connects again.
    pub(crate) fn disconnect(&mut self, name: &str, end: End) {
        self.at_work(name).is_on = false;
        if let Some(link) = self.at_work(name).link.take() {
            self.hear(Event::Disconnected { device: id(name), link, end });
        }
    }

    pub(crate) fn message(&mut self, name: &str) {
        let now = self.now;
        self.at_work(name).last_packet = now;
        self.hear(Event::Message { device: id(name), message: Message::default() });
    }

    pub(crate) fn reading(&mut self, name: &str, stream: &str) {
        self.hear(Event::Reading { device: id(name), stream: stream.into(), value: 1.0 });
    }

    pub(crate) fn heartbeat(&mut self, name: &str, change: impl FnOnce(&mut Heartbeat)) {
        let now = self.now;
        let device = self.at_work(name);
        let mut heartbeat = Heartbeat {
            uptime_secs: now.since(device.began) / SECOND,
            boot_count: device.boots,
            reset: Reset::PowerOn,
            ..Heartbeat::default()
        };
        change(&mut heartbeat);
        self.message(name);
        self.hear(Event::Heartbeat { device: id(name), heartbeat, verified: true });
    }

    /// Somebody says this in its name, without a signature.
    pub(crate) fn pretend(&mut self, name: &str, heartbeat: Heartbeat) {
        self.message(name);
        self.hear(Event::Heartbeat { device: id(name), heartbeat, verified: false });
    }

    fn report(&mut self, name: &str) {
        let device = self.at_work(name);
        device.next = device.next.plus(device.every.unwrap_or(MINUTE));
        let (tells, sensors) = (device.tells_heartbeats, device.sensors.clone());
        let mute = device.mute.clone();
        if tells {
            self.heartbeat(name, |_| {});
        } else {
            self.message(name);
        }
        for sensor in sensors.iter().filter(|sensor| !mute.contains(*sensor)) {
            self.reading(name, sensor);
        }
    }

    /// Lets time pass: devices that are on report, broken links are noticed, the watch looks when it wants to.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now.plus(millis);
        let due = |device: &Device, name: &str| Some((device.due()?, name.to_owned()));
        let mut agenda: BTreeSet<_> =
            self.devices.iter().filter_map(|(name, device)| due(device, name)).collect();
        loop {
            let watch = self.watch.poll_timeout().map(|at| (at.max(self.now), None));
            let device = agenda.first().map(|(at, name)| ((*at).max(self.now), Some(name.clone())));
            let Some((at, who)) =
                watch.into_iter().chain(device).min_by_key(|(at, who)| (*at, who.is_some()))
            else {
                break;
            };
            if at > end {
                break;
            }
            self.now = at;
            match who {
                None => {
                    self.watch.handle_timeout(at);
                    let next = self.watch.poll_timeout();
                    assert!(next.is_none_or(|next| next > at), "the watch wants to be called again at once");
                    self.collect();
                }
                Some(name) => {
                    agenda.pop_first();
                    if self.devices[&name].is_on {
                        self.report(&name);
                    } else {
                        self.disconnect(&name, End::KeepAlive);
                    }
                    agenda.extend(due(&self.devices[&name], &name));
                }
            }
        }
        self.now = end;
    }

    /// Lets a day come at which nobody called the watch.
    pub(crate) fn sleep(&mut self, millis: u64) {
        self.now = self.now.plus(millis);
        let now = self.now;
        for device in self.devices.values_mut() {
            device.next = device.next.max(now.plus(30 * SECOND));
        }
    }

    /// From now on nothing comes from it; the broker notices by the keep-alive.
    pub(crate) fn cut(&mut self, name: &str) {
        let now = self.now;
        let device = self.at_work(name);
        device.is_on = false;
        let ping = u64::from(device.keep_alive_secs.max(1)) * SECOND;
        device.last_packet = UnixMillis(now.0 - now.since(device.last_packet) % ping);
    }

    pub(crate) fn cut_all(&mut self, names: &[String]) {
        names.iter().for_each(|name| self.cut(name));
    }

    /// Its supply comes back.
    pub(crate) fn start(&mut self, name: &str) {
        self.start_after(name, Reset::PowerOn);
    }

    pub(crate) fn start_after(&mut self, name: &str, reset: Reset) {
        self.disconnect(name, End::Closed);
        let now = self.now;
        let device = self.at_work(name);
        (device.began, device.next) = (now, now.plus(MINUTE));
        device.boots += 1;
        let tells = device.tells_heartbeats;
        self.connect(name);
        if tells {
            self.heartbeat(name, |heartbeat| heartbeat.reset = reset);
        }
    }

    /// The way to it is there again; it had kept so many readings.
    pub(crate) fn reconnect(&mut self, name: &str, buffered: u64) {
        let now = self.now;
        self.at_work(name).next = now.plus(10 * SECOND);
        self.connect(name);
        if self.at_work(name).tells_heartbeats {
            self.heartbeat(name, |heartbeat| heartbeat.buffered = Some(buffered));
        }
    }

    /// It stays linked and says nothing.
    pub(crate) fn hang(&mut self, name: &str) {
        self.at_work(name).every = Some(1_000 * DAY);
        let never = self.now.plus(1_000 * DAY);
        self.at_work(name).next = never;
    }

    pub(crate) fn report_every(&mut self, name: &str, millis: u64) {
        let next = self.now.plus(millis);
        let device = self.at_work(name);
        (device.every, device.next) = (Some(millis), next);
    }

    pub(crate) fn mute(&mut self, name: &str, sensor: &'static str) {
        self.at_work(name).mute.insert(sensor);
    }

    pub(crate) fn unmute(&mut self, name: &str, sensor: &'static str) {
        self.at_work(name).mute.remove(sensor);
    }

    pub(crate) fn gasp(&mut self, name: &str, verified: bool) {
        self.hear(Event::LastGasp { device: id(name), verified });
        self.cut(name);
    }

    pub(crate) fn tamper(&mut self, name: &str, verified: bool) {
        self.hear(Event::Tamper { device: id(name), input: "case".into(), verified });
    }

    pub(crate) fn maintain(&mut self, scope: Scope, millis: u64) {
        let until = self.now.plus(millis);
        self.hear(Event::Maintenance { scope, until });
    }

    pub(crate) fn own_trouble(&mut self, is_on: bool) {
        self.hear(Event::OwnTrouble { is_on });
    }

    /// The watch is written down, and another goes on from what is read.
    pub(crate) fn write_down_and_read(&mut self) {
        let written = minicbor_serde::to_vec(&self.watch).unwrap();
        self.watch = minicbor_serde::from_slice(&written).unwrap();
    }

    /// The broker stops, and starts after a while; nobody is linked then.
    pub(crate) fn restart(&mut self, millis: u64) {
        self.write_down_and_read();
        self.now = self.now.plus(millis);
        for device in self.devices.values_mut() {
            (device.link, device.is_on) = (None, false);
        }
        self.hear(Event::Restarted);
    }

    pub(crate) fn reconnect_all_but(&mut self, names: &[&str]) {
        let all: Vec<_> = self.devices.keys().cloned().collect();
        all.iter().filter(|name| !names.contains(&name.as_str())).for_each(|name| self.reconnect(name, 0));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.hear(Event::Removed { device: id(name) });
        self.devices.remove(name);
    }

    pub(crate) fn is_late(&self, name: &str) -> bool {
        self.watch.is_late(self.now, &id(name))
    }

    /// Returns what was found since this was asked last.
    pub(crate) fn found(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        let found = self.found();
        assert!(found.is_empty(), "{}", brief(&found));
    }

    /// Expects one finding, and returns it.
    #[track_caller]
    pub(crate) fn expect(&mut self, scope: Scope, class: Class, turn: Turn) -> Finding {
        let mut found = self.found();
        assert_eq!(found.len(), 1, "{}", brief(&found));
        let finding = found.remove(0);
        assert_eq!((&finding.scope, finding.class, finding.turn), (&scope, class, turn), "{finding:#?}");
        finding
    }

    #[track_caller]
    pub(crate) fn expect_set(&mut self, scope: Scope, class: Class) -> Finding {
        self.expect(scope, class, Turn::Set)
    }

    #[track_caller]
    pub(crate) fn expect_clear(&mut self, scope: Scope, class: Class) -> Finding {
        self.expect(scope, class, Turn::Clear)
    }

    /// Returns what is so now.
    pub(crate) fn open(&self) -> Vec<(Scope, Class)> {
        self.open.iter().cloned().collect()
    }
}

impl Device {
    fn due(&self) -> Option<UnixMillis> {
        if self.is_on {
            return self.every.map(|_| self.next);
        }
        let patience = u64::from(self.keep_alive_secs) * SECOND * 3 / 2;
        self.link.filter(|_| patience > 0).map(|_| self.last_packet.plus(patience))
    }
}

/// Writes findings one a line.
pub(crate) fn brief(found: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let Finding { at, scope, class, turn, severity, instead_of, part_of, .. } = finding;
        format!(
            "{} {scope:?} {class} {turn:?} {severity:?} {instead_of:?} {part_of:?}\n",
            at.0 / SECOND % 100_000
        )
    };
    found.iter().map(line).collect()
}

pub(crate) fn says(evidence: &[Evidence], words: &str) -> bool {
    evidence.iter().any(|fact| fact.what.contains(words))
}
