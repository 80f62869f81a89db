//! What a body says: that it is there, how it is, and what its sensors read.

use super::super::real::Series;
use super::{Air, Body, Kept, NEVER, Wait};
use keyward_ids::DeviceId;
use keyward_watch::event::{
    Claims, Connection, End, Event, Heartbeat, Message, Position, Power, Ratchet, UnixMillis,
};

/// Reports that a body keeps while it cannot send; beyond, the oldest go.
const KEPT: usize = 500;
/// Kept reports that are sent at once, and how long until the next, in milliseconds.
const FLUSHED: usize = 10;
const FLUSH_MS: u64 = 200;
/// How long one that sleeps is awake before it reports, and after.
const AWAKE_MS: u64 = 400;
/// Of so many reports of a device that is set up wrongly one is refused.
const REFUSED: usize = 20;

impl Body {
    pub(super) fn connect(&mut self, air: &mut Air<'_>) {
        let now = air.now;
        if self.is_away(now) || air.broker_away_until > now {
            self.cannot_connect(air);
            return;
        }
        if let Some((holder, link)) = air.session.holder.take() {
            air.out.push_back(Event::Disconnected { device: self.device.clone(), link, end: End::TakenOver });
            if holder != self.index {
                *air.thrown_out = Some(holder);
            }
        }
        self.set_never(Wait::Dies);
        *air.links += 1;
        let link = *air.links;
        air.session.holder = Some((self.index, link));
        self.link = Some(link);
        let source = self.source.clone();
        let connection = Connection { link, source, keep_alive_secs: self.make.keep_alive_secs };
        air.out.push_back(Event::Connected { device: self.device.clone(), connection });
        if self.make.rolls {
            let ratchet = self.roll(air);
            air.out.push_back(Event::Ratcheted { device: self.device.clone(), link, ratchet });
        }
        if self.make.sleeps {
            self.set(Wait::Report, now + AWAKE_MS);
            return;
        }
        // What was kept goes in its order; how many there were is said behind it.
        self.waited = self.kept.len() as u64;
        self.set(Wait::Flush, now + AWAKE_MS);
    }

    fn cannot_connect(&mut self, air: &Air<'_>) {
        if self.make.sleeps {
            if self.hung_until <= air.now {
                self.keep_reading(air);
            }
            self.due = air.now + self.interval;
            self.set(Wait::Connect, self.due);
        } else {
            let back = self.cut_until.max(self.hung_until).max(air.broker_away_until);
            self.wait_to_connect(air.now, back);
        }
    }

    /// Answers for the secret, and gets the next if it knew the last.
    fn roll(&mut self, air: &mut Air<'_>) -> Ratchet {
        if self.secret != air.session.secret {
            return Ratchet::Stale;
        }
        air.session.secret += 1;
        self.secret = air.session.secret;
        Ratchet::Current
    }

    /// Takes the next number.
    fn sign(&mut self) -> (u32, u64) {
        self.count += 1;
        (u32::try_from(self.starts).unwrap_or(u32::MAX), self.count)
    }

    fn message(&self, (epoch, count): (u32, u64), made: UnixMillis) -> Event {
        let claims =
            self.make.key_level.map(|key_level| Claims { key: self.key, epoch, count, made, key_level });
        Event::Message { device: self.device.clone(), message: Message { claims } }
    }

    /// Returns the time by its own clock.
    fn clock(&self, now: u64) -> UnixMillis {
        UnixMillis(now.saturating_add_signed(self.clock_ms))
    }

    /// Says something that is no reading.
    pub(super) fn say(&mut self, air: &mut Air<'_>, event: impl FnOnce(DeviceId) -> Event) {
        let number = self.sign();
        air.out.push_back(self.message(number, self.clock(air.now)));
        air.out.push_back(event(self.device.clone()));
    }

    pub(super) fn heartbeat(&mut self, air: &mut Air<'_>) {
        let Some(every) = self.make.heartbeat_ms else { return };
        if !self.can_speak(air.now) {
            return;
        }
        let battery = self.place.power == Power::Battery;
        let heartbeat = Heartbeat {
            uptime_secs: (air.now - self.started_at) / 1_000,
            boot_count: self.starts,
            reset: self.reset,
            buffered: Some(core::mem::take(&mut self.waited)),
            sleep_until: self.make.sleeps.then_some(UnixMillis(self.due)),
            supply_millivolts: Some(self.dice.between(0, 60) as u32 + if battery { 3_300 } else { 4_970 }),
        };
        let verified = self.make.key_level.is_some();
        self.say(air, |device| Event::Heartbeat { device, heartbeat, verified });
        if let Some(middle) = self.position {
            let position = self.fix(middle);
            self.say(air, |device| Event::Fix { device, position, verified });
        }
        if !self.make.sleeps {
            self.set(Wait::Heartbeat, air.now + every);
        }
    }

    /// Finds itself some ten metres beside where it is; once in a long time, far away.
    fn fix(&mut self, middle: Position) -> Position {
        let real = Series::Office.read();
        let row = self.dice.below(1 << 16);
        let wild = if self.dice.chance(1) { 40_000.0 } else { 0.0 };
        let beside = |row| (real.fine(row) * 100.0 + wild) as i32;
        Position {
            latitude: middle.latitude + beside(row),
            longitude: middle.longitude + beside(row + 7_919),
        }
    }

    pub(super) fn report(&mut self, air: &mut Air<'_>) {
        if self.make.sleeps {
            self.report_awake(air);
            return;
        }
        if self.can_speak(air.now) && self.kept.is_empty() {
            let values = self.values(air);
            self.send(air, values);
        } else if self.hung_until <= air.now {
            self.keep_reading(air);
        }
        let clock = self.interval as i64 * self.drift / 1_000_000;
        self.due = (self.due + self.interval).saturating_add_signed(-clock).max(air.now + 1);
        let late = self.lateness();
        self.set(Wait::Report, self.due + late);
    }

    /// Reports, says how it is and until when it sleeps, and goes.
    fn report_awake(&mut self, air: &mut Air<'_>) {
        if !self.can_speak(air.now) {
            return;
        }
        let values = self.values(air);
        self.waited = self.kept.len() as u64;
        self.flush(air);
        self.send(air, values);
        self.due = if self.sleep_until > air.now { self.sleep_until } else { air.now + self.interval };
        self.sleep_until = 0;
        self.heartbeat(air);
        self.set(Wait::Leave, air.now + AWAKE_MS);
    }

    pub(super) fn leave(&mut self, air: &mut Air<'_>) {
        self.end_link(air, End::Disconnect);
        self.set_never(Wait::Flush);
        let late = self.lateness();
        self.set(Wait::Connect, self.due + late);
    }

    fn values(&mut self, air: &Air<'_>) -> Vec<(usize, f64)> {
        let mut partner = None;
        let mut values = Vec::with_capacity(self.sensors.len());
        for (number, sensor) in self.sensors.iter_mut().enumerate() {
            let value = sensor.read(air.now, air.step, partner);
            partner = Some(value);
            if sensor.mute_until <= air.now {
                values.push((number, value));
            }
        }
        values
    }

    fn send(&mut self, air: &mut Air<'_>, values: Vec<(usize, f64)>) {
        if values.is_empty() {
            return;
        }
        let (epoch, count) = self.sign();
        if self.lose > 0 {
            self.lose -= 1;
            return;
        }
        self.emit(air, &Kept { epoch, count, made: self.clock(air.now), values });
        if self.make.is_misconfigured && self.reports.is_multiple_of(REFUSED) {
            air.out.push_back(Event::Denied { device: self.device.clone() });
        }
    }

    fn emit(&self, air: &mut Air<'_>, report: &Kept) {
        air.out.push_back(self.message((report.epoch, report.count), report.made));
        for (number, value) in &report.values {
            let stream = self.sensors[*number].stream.clone();
            air.out.push_back(Event::Reading { device: self.device.clone(), stream, value: *value });
        }
    }

    fn keep_reading(&mut self, air: &Air<'_>) {
        let values = self.values(air);
        if !self.make.keeps || values.is_empty() {
            return;
        }
        let (epoch, count) = self.sign();
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { epoch, count, made: self.clock(air.now), values });
    }

    pub(super) fn flush(&mut self, air: &mut Air<'_>) {
        if !self.can_speak(air.now) {
            return;
        }
        for _ in 0..FLUSHED {
            let Some(report) = self.kept.pop_front() else { break };
            self.emit(air, &report);
        }
        if !self.kept.is_empty() {
            self.set(Wait::Flush, air.now + FLUSH_MS);
        } else if self.waits[Wait::Heartbeat as usize] == NEVER && !self.make.sleeps {
            self.heartbeat(air);
        }
    }
}
