//! A device as a thing: it has power or not, a way to the broker or not, a memory, and it speaks when it is time.

mod speech;

use super::act::{Act, Manner};
use super::real::Series;
use super::sensor::{self, Sensor};
use crate::dice::Dice;
use keyward_ids::DeviceId;
use keyward_watch::event::{End, Event, Place, Position, Reset, Source, UnixMillis};
use std::collections::VecDeque;

/// A time that never comes.
pub(super) const NEVER: u64 = u64::MAX;

/// What one thing can do.
#[derive(Debug, Clone)]
pub(super) struct Make {
    /// The protection of the key by which it signs; `None` if it does not.
    pub(super) key_level: Option<u8>,
    /// How often it says how it is, in milliseconds; `None` if it never does.
    pub(super) heartbeat_ms: Option<u64>,
    /// It says when its supply fails.
    pub(super) gasps: bool,
    /// It has a switch that notices tampering.
    pub(super) has_switch: bool,
    /// It keeps what it cannot send.
    pub(super) keeps: bool,
    /// It answers for the rolling secret.
    pub(super) rolls: bool,
    /// It sleeps between two reports.
    pub(super) sleeps: bool,
    /// It is refused a topic now and then: somebody set it up wrongly.
    pub(super) is_misconfigured: bool,
    pub(super) keep_alive_secs: u16,
}

/// What the broker has of one device.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    /// Whose link it is, and its number.
    holder: Option<(usize, u64)>,
    /// How often the rolling secret was used.
    secret: u64,
}

/// What a body meets while it acts.
pub(super) struct Air<'a> {
    pub(super) now: u64,
    pub(super) out: &'a mut VecDeque<Event>,
    pub(super) session: &'a mut Session,
    pub(super) links: &'a mut u64,
    pub(super) broker_away_until: u64,
    /// How far the world around it is from what it uses to be, in swings.
    pub(super) step: f64,
    /// Another body whose link was taken over.
    pub(super) thrown_out: &'a mut Option<usize>,
}

/// Says what a body waits for.
#[derive(Debug, Clone, Copy)]
enum Wait {
    /// The link that the broker still has is given up.
    Dies,
    Start,
    Connect,
    Heartbeat,
    Report,
    /// The next of what was kept is sent.
    Flush,
    Leave,
}

const WAITS: [Wait; 7] =
    [Wait::Dies, Wait::Start, Wait::Connect, Wait::Heartbeat, Wait::Report, Wait::Flush, Wait::Leave];

/// Is something that was to be said and could not.
#[derive(Debug, Clone)]
struct Kept {
    epoch: u32,
    count: u64,
    made: UnixMillis,
    values: Vec<(usize, f64)>,
}

/// Is one thing with the credential of a device: the device, or a copy of it.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) device: DeviceId,
    /// Its index, and that of the device whose credential it has: they differ in a copy.
    pub(super) index: usize,
    pub(super) identity: usize,
    pub(super) site: usize,
    pub(super) make: Make,
    pub(super) place: Place,
    pub(super) source: Source,
    pub(super) interval: u64,
    pub(super) sensors: Vec<Sensor>,
    /// Where it is, if it finds that out.
    pub(super) position: Option<Position>,
    dice: Dice,
    waits: [u64; WAITS.len()],
    is_gone: bool,
    dark_until: u64,
    cut_until: u64,
    hung_until: u64,
    /// Its own link, as far as it knows.
    link: Option<u64>,
    started_at: u64,
    starts: u64,
    reset: Reset,
    next_reset: (Reset, u64),
    count: u64,
    kept: VecDeque<Kept>,
    /// How many were kept when it came back, until it said so.
    waited: u64,
    secret: u64,
    /// Which key it signs with.
    key: u64,
    lose: u32,
    reports: usize,
    /// When it should report next, if its clock were right and the way smooth.
    due: u64,
    /// How much faster its clock is, in millionths.
    drift: i64,
    /// By how much its date is wrong, in milliseconds.
    clock_ms: i64,
    sleep_until: u64,
}

impl Body {
    pub(super) fn new(
        device: DeviceId,
        (index, site): (usize, usize),
        make: Make,
        (place, source): (Place, Source),
        interval: u64,
        sensors: Vec<Sensor>,
        mut dice: Dice,
    ) -> Self {
        Self {
            device,
            index,
            identity: index,
            site,
            make,
            place,
            source,
            interval,
            sensors,
            position: None,
            waits: [NEVER; WAITS.len()],
            is_gone: true,
            dark_until: 0,
            cut_until: 0,
            hung_until: 0,
            link: None,
            started_at: 0,
            starts: dice.between(1, 400) as u64,
            reset: Reset::Unknown,
            next_reset: (Reset::PowerOn, 1),
            count: 0,
            kept: VecDeque::new(),
            waited: 0,
            secret: 0,
            key: dice.draw(),
            lose: 0,
            reports: dice.below(1 << 16),
            due: 0,
            drift: dice.between(0, 100) as i64 - 50,
            clock_ms: dice.between(0, 4_000) as i64 - 2_000,
            sleep_until: 0,
            dice,
        }
    }

    /// Returns when it wants to act next.
    pub(super) fn next(&self) -> u64 {
        self.waits.into_iter().min().unwrap_or(NEVER)
    }

    fn set(&mut self, wait: Wait, at: u64) {
        self.waits[wait as usize] = at;
    }

    fn set_never(&mut self, wait: Wait) {
        self.set(wait, NEVER);
    }

    /// Draws a time from `first` to `last` milliseconds from now on.
    fn soon(&mut self, now: u64, first: usize, last: usize) -> u64 {
        now + self.dice.between(first, last) as u64
    }

    /// Does what is due.
    pub(super) fn step(&mut self, air: &mut Air<'_>) {
        for wait in WAITS {
            if self.waits[wait as usize] > air.now {
                continue;
            }
            self.set(wait, NEVER);
            match wait {
                Wait::Dies => self.end_link(air, End::KeepAlive),
                Wait::Start => self.start(air.now),
                Wait::Connect => self.connect(air),
                Wait::Heartbeat => self.heartbeat(air),
                Wait::Report => self.report(air),
                Wait::Flush => self.flush(air),
                Wait::Leave => self.leave(air),
            }
        }
    }

    /// Suffers or does what befalls it.
    pub(super) fn suffer(&mut self, air: &mut Air<'_>, act: Act) {
        match act {
            Act::Begin => {
                air.out
                    .push_back(Event::Registered { device: self.device.clone(), place: self.place.clone() });
                let declared = sensor::declared(&self.sensors).into();
                air.out.push_back(Event::Declared { device: self.device.clone(), declared });
                self.is_gone = false;
                let at = self.soon(air.now, 1_000, 120_000);
                self.darken(at);
            }
            Act::Remove => {
                self.end_link(air, End::Server);
                self.vanish();
                air.out.push_back(Event::Removed { device: self.device.clone() });
            }
            Act::CopyLeaves => {
                self.end_link(air, End::Closed);
                self.vanish();
            }
            Act::Interval(interval) => self.interval = interval,
            Act::Source(source) => self.source = source,
            Act::Position(position) => self.position = self.position.and(Some(position)),
            Act::Bend { sensor, bend } => self.sensor(sensor, |sensor| sensor.bend(bend)),
            Act::Mute { sensor, until } => self.sensor(sensor, |sensor| sensor.mute_until = until),
            Act::Lose(reports) => self.lose += reports,
            Act::NewKey => self.key = self.dice.draw(),
            Act::KeyLevel(level) => self.make.key_level = Some(level),
            _ if self.is_gone || self.dark_until > air.now => {}
            Act::Gone => {
                self.give_up_link(air.now);
                let dies = self.waits[Wait::Dies as usize];
                self.vanish();
                self.set(Wait::Dies, dies);
            }
            Act::PowerCut { until, starts } => {
                if self.make.gasps && self.can_speak(air.now) {
                    self.say(air, |device| Event::LastGasp { device, verified: true });
                }
                self.give_up_link(air.now);
                self.next_reset = (Reset::PowerOn, starts);
                self.darken(until);
            }
            Act::Reboot { reset, is_clean } => {
                if is_clean {
                    self.end_link(air, End::Disconnect);
                } else if self.dice.chance(500) {
                    self.end_link(air, End::Closed);
                } else {
                    self.give_up_link(air.now);
                }
                self.next_reset = (reset, 1);
                let at = self.soon(air.now, 2_000, 15_000);
                self.darken(at);
            }
            Act::WayCut { until } => {
                self.cut_until = self.cut_until.max(until);
                self.lose_way(air.now);
            }
            Act::Hang { until } => {
                self.hung_until = self.hung_until.max(until);
                self.lose_way(air.now);
            }
            Act::Drop { back_at } => {
                if self.link.is_some() {
                    self.end_link(air, End::Closed);
                    self.interrupt(air.now, back_at);
                }
            }
            Act::Tamper(input) => {
                if self.can_speak(air.now) {
                    self.say(air, |device| Event::Tamper { device, input: input.into(), verified: true });
                }
            }
            Act::Sleep { until } => self.sleep_until = until,
            Act::Copied { .. } | Act::Say(_) | Act::BrokerAway { .. } | Act::Step { .. } => {}
        }
    }

    /// Makes a copy with the memory of this body, at a place of its own.
    pub(super) fn copy(&self, index: usize, now: u64, source: Source, manner: Manner) -> Self {
        let mut copy = self.clone();
        copy.index = index;
        copy.dice = Dice::new(
            self.device.as_str().bytes().fold(now, |sum, byte| sum.rotate_left(8) ^ u64::from(byte)),
        );
        copy.source = source;
        copy.waits = [NEVER; WAITS.len()];
        (copy.link, copy.sleep_until) = (None, 0);
        (copy.dark_until, copy.cut_until, copy.hung_until) = (0, 0, 0);
        copy.kept.clear();
        copy.make.heartbeat_ms = None;
        copy.make.sleeps = matches!(manner, Manner::Visits(_));
        if let Manner::Visits(interval) = manner {
            copy.interval = interval;
        }
        copy.start(now);
        copy
    }

    fn sensor(&mut self, sensor: usize, change: impl FnOnce(&mut Sensor)) {
        let count = self.sensors.len().max(1);
        if let Some(sensor) = self.sensors.get_mut(sensor % count) {
            change(sensor);
        }
    }

    fn vanish(&mut self) {
        self.is_gone = true;
        self.waits = [NEVER; WAITS.len()];
    }

    /// Does nothing until a time, and then starts. What the broker thinks of its link goes on.
    fn darken(&mut self, until: u64) {
        let dies = self.waits[Wait::Dies as usize];
        self.waits = [NEVER; WAITS.len()];
        self.set(Wait::Dies, dies);
        self.dark_until = until;
        self.set(Wait::Start, until);
    }

    fn start(&mut self, now: u64) {
        let (reset, starts) = core::mem::replace(&mut self.next_reset, (Reset::PowerOn, 1));
        self.reset = reset;
        self.starts += starts;
        (self.started_at, self.count) = (now, 0);
        let at = self.soon(now, 1_500, 6_000);
        self.set(Wait::Connect, at);
        if !self.make.sleeps {
            self.due = self.soon(now, 4_000, 12_000);
            self.set(Wait::Report, self.due);
        }
    }

    /// It cannot be heard: the broker notices by the keep-alive, the body tries again when it can.
    fn lose_way(&mut self, now: u64) {
        self.give_up_link(now);
        self.interrupt(now, self.cut_until.max(self.hung_until));
    }

    /// Without a link it tries again when it can; one that sleeps, when it wakes.
    fn interrupt(&mut self, now: u64, back: u64) {
        self.set_never(Wait::Flush);
        self.set_never(Wait::Heartbeat);
        if self.make.sleeps {
            self.set_never(Wait::Report);
            self.set_never(Wait::Leave);
            let wakes = self.waits[Wait::Connect as usize].min(now + self.interval);
            self.set(Wait::Connect, wakes);
        } else {
            self.wait_to_connect(now, back);
        }
    }

    fn wait_to_connect(&mut self, now: u64, back: u64) {
        let at = self.soon(back.max(now), 500, 30_000);
        self.set(Wait::Connect, at);
    }

    /// Its own end of the link is gone, and the broker does not know yet.
    fn give_up_link(&mut self, now: u64) {
        if self.link.take().is_some() {
            let keep_alive = usize::from(self.make.keep_alive_secs) * 1_000;
            let at = self.soon(now, keep_alive / 2, keep_alive * 3 / 2);
            self.set(Wait::Dies, at);
        }
    }

    /// The broker hears that the link ended.
    pub(super) fn end_link(&mut self, air: &mut Air<'_>, end: End) {
        self.link = None;
        self.set(Wait::Dies, NEVER);
        if let Some((holder, link)) = air.session.holder
            && holder == self.index
        {
            air.session.holder = None;
            air.out.push_back(Event::Disconnected { device: self.device.clone(), link, end });
        }
    }

    /// Another took its link: it tries again.
    pub(super) fn thrown_out(&mut self, now: u64) {
        self.link = None;
        self.set(Wait::Dies, NEVER);
        if !self.is_gone && self.dark_until <= now {
            self.interrupt(now, now);
        }
    }

    /// The broker went away with all links.
    pub(super) fn broker_gone(&mut self, air: &mut Air<'_>, until: u64) {
        self.end_link(air, End::Server);
        if !self.is_gone && self.dark_until <= air.now {
            self.interrupt(air.now, until);
        }
    }

    fn can_speak(&self, now: u64) -> bool {
        self.link.is_some() && self.hung_until <= now && self.cut_until <= now
    }

    /// How far a report is late, by the fine noise of a real series: mostly some thousandths of the interval.
    fn lateness(&mut self) -> u64 {
        self.reports += 1;
        let part = (Series::Machine.read().fine(self.reports).abs() * 0.004).min(0.1);
        (self.interval as f64 * part) as u64
    }

    fn is_away(&self, now: u64) -> bool {
        self.hung_until > now || self.cut_until > now
    }
}
