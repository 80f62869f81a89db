//! Which devices are silent, and why: sleep, work, power, network, theft, or the broker itself.
//!
//! [`Liveness`] keeps a record of each device that is registered. What tells that one is lost: its link ended and does not come back, its
//! messages do not come although they use to come regularly (`cadence`), it did not wake when it said it would, its supply failed. Of a device
//! that reports seldom and irregularly only the link tells. What is lost is first looked at together with what else is lost
//! (`verdicts`): the broker, a site, a gateway and a circuit are told of once, and what is lost by them is part of that. What remains is judged
//! alone (`losses`), and judged again when it is back and says how long it has run.
//!
//! | module | what |
//! |---|---|
//! | `settings` | what can be set |
//! | `cadence` | how often something comes |
//! | `device` | one device: whether it is there, and when it is looked at again |
//! | `losses` | what a loss is taken for |
//! | `starts`, `sensors` | loops of starts; one sensor that is silent |
//! | `groups`, `outages`, `verdicts` | what is lost together |
//!
//! Bounds: a device takes at most 1 KiB, and with [`limits::SENSORS`](crate::limits::SENSORS) sensors 16 KiB; it is in four groups at most, and
//! looked at once when its time has come. An event looks at its own device; a verdict, one in
//! [`Settings::gather_ms`], at what was lost within the last hour in the groups that lost something.
//!
//! Not here: whether a tamper switch alone is worth a call, and where a device is (`relocation`).

mod cadence;
mod device;
mod groups;
mod knowledge;
mod losses;
mod outages;
mod sensors;
mod settings;
mod starts;
mod steps;
mod telling;
mod verdicts;

pub use settings::{Patience, Settings};

use crate::agenda::Agenda;
use crate::event::{End, Event, Heartbeat, Place, UnixMillis};
use crate::finding::Finding;
use crate::fleet::Fleet;
use crate::limits;
use device::{Asleep, Device, Part, Standing, Touch};
use groups::{Absent, Groups};
use keyward_ids::DeviceId;
use outages::Outages;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Watches whether the devices are there.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Liveness {
    #[serde(skip)]
    settings: Settings,
    devices: BTreeMap<DeviceId, Box<Device>>,
    groups: Groups,
    outages: Outages,
    agenda: Agenda,
    /// When the groups that lost something are judged.
    verdict: Option<UnixMillis>,
    /// Until when devices have time to come back after trouble of our own.
    blameless_until: UnixMillis,
    findings: VecDeque<Finding>,
}

impl Liveness {
    /// Takes an event, after all that was due before it.
    pub(crate) fn handle(
        &mut self,
        now: UnixMillis,
        fleet: &Fleet,
        event: &Event,
        findings: &mut VecDeque<Finding>,
    ) {
        if *event == Event::Restarted {
            self.restart(now);
        }
        self.pass(now, fleet);
        match event {
            Event::Registered { device, place } => self.register(now, device, place),
            Event::Removed { device } => self.remove(now, device),
            Event::Connected { device, connection } => {
                self.change(now, device, |device, settings| {
                    device.connect(now, connection);
                    device.hear(now, false, settings);
                });
            }
            Event::Disconnected { device, link, end } => self.part(now, device, *link, *end),
            Event::Message { device, .. } => {
                self.hear(now, device);
                if let Some(device) = self.devices.get_mut(device) {
                    device.count_at_once(now);
                }
            }
            Event::Fix { device, .. } => self.hear(now, device),
            Event::Reading { device, stream, .. } => {
                self.change(now, device, |device, settings| {
                    device.hear(now, true, settings);
                    device.sensors.note(now, stream, device.excused);
                });
                self.end_if_back(now, device);
                self.clear_sensors(now, device);
            }
            Event::Heartbeat { device, heartbeat, verified } => {
                self.hear_heartbeat(now, fleet, device, heartbeat, *verified);
            }
            Event::LastGasp { device, verified } => {
                self.change(now, device, |device, settings| device.gasp(now, *verified, settings));
            }
            Event::Tamper { device, input, verified } => {
                self.change(now, device, |device, settings| {
                    device.hear(now, true, settings);
                    let input = input.chars().take(TAMPER_INPUT_CHARS).collect::<String>().into();
                    device.touch = Some(Touch { at: now, input, is_verified: *verified });
                });
                self.end_if_back(now, device);
            }
            Event::OwnTrouble { is_on } => self.hear_own_trouble(now, *is_on),
            Event::Restarted
            | Event::Declared { .. }
            | Event::Proof { .. }
            | Event::Denied { .. }
            | Event::Maintenance { .. }
            | Event::MovedOnPurpose { .. }
            | Event::Ratcheted { .. } => {}
        }
        findings.append(&mut self.findings);
    }

    /// Lets time pass.
    pub(crate) fn handle_timeout(
        &mut self,
        now: UnixMillis,
        fleet: &Fleet,
        findings: &mut VecDeque<Finding>,
    ) {
        self.pass(now, fleet);
        findings.append(&mut self.findings);
    }

    /// Returns when [`Self::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<UnixMillis> {
        self.agenda.next().into_iter().chain(self.verdict).chain(self.outages.next()).min()
    }

    /// Tells whether a device is later than usual, and not yet missing.
    pub(crate) fn is_late(&self, now: UnixMillis, device: &DeviceId) -> bool {
        self.devices.get(device).is_some_and(|device| device.is_late(now))
    }

    fn pass(&mut self, now: UnixMillis, fleet: &Fleet) {
        let overdue = self.poll_timeout().map_or(0, |due| now.since(due));
        if overdue > self.settings.overdue_ms {
            self.note_own_absence(now, overdue);
        }
        // Groups are judged before their members, so that these find what they are part of.
        if self.verdict.take_if(|at| *at <= now).is_some() {
            self.judge_groups(now);
        }
        while let Some(device) = self.agenda.pop(now) {
            self.look_at(now, fleet, &device);
        }
        self.end_outages(now);
    }

    fn register(&mut self, now: UnixMillis, id: &DeviceId, place: &Place) {
        let Some(before) = self.devices.get(id).map(|device| device.part()) else {
            self.devices.insert(id.clone(), Box::new(Device::new(id, place)));
            return;
        };
        self.take_part(now, id, before, Part::None);
        if let Some(device) = self.devices.get_mut(id) {
            device.place(id, place);
        }
        self.take_part(now, id, Part::None, before);
        self.arm(now, id);
    }

    fn remove(&mut self, now: UnixMillis, id: &DeviceId) {
        let Some(part) = self.devices.get(id).map(|device| device.part()) else { return };
        self.clear_removed(now, id);
        self.take_part(now, id, part, Part::None);
        self.agenda.set(id, None);
        self.devices.remove(id);
    }

    fn part(&mut self, now: UnixMillis, id: &DeviceId, link: u64, end: End) {
        self.change(now, id, |device, settings| {
            if let Some(loss) = device.disconnect(now, link, end, settings) {
                device.standing = Standing::Lost { loss, settled: false };
            }
        });
    }

    fn hear(&mut self, now: UnixMillis, id: &DeviceId) {
        self.change(now, id, |device, settings| device.hear(now, true, settings));
        self.end_if_back(now, id);
    }

    fn hear_heartbeat(
        &mut self,
        now: UnixMillis,
        fleet: &Fleet,
        id: &DeviceId,
        heartbeat: &Heartbeat,
        is_verified: bool,
    ) {
        let started = self.change(now, id, |device, settings| {
            device.hear(now, true, settings);
            if let Some(until) = heartbeat.sleep_until.filter(|until| *until > now) {
                device.asleep = Some(Asleep { from: now, until: until.min(now.plus(limits::SLEEP_MILLIS)) });
                device.says_nothing = true;
            }
            let took_leave = core::mem::replace(&mut device.took_leave, false);
            device.starts.note(now, heartbeat, took_leave)
        });
        if let Some(Some(started)) = started {
            self.judge_starts(now, id, fleet.is_maintained(now, id));
            self.explain(now, id, started, heartbeat, is_verified);
        }
        self.end_if_back(now, id);
    }

    /// Changes a device, keeps its groups up to date, and looks when it is looked at again.
    fn change<R>(
        &mut self,
        now: UnixMillis,
        id: &DeviceId,
        change: impl FnOnce(&mut Device, &Settings) -> R,
    ) -> Option<R> {
        let device = self.devices.get_mut(id)?;
        let (before, was_there) = (device.part(), device.standing == Standing::Present);
        let result = change(device, &self.settings);
        let after = device.part();
        let is_quiet = was_there && device.standing == Standing::Present && device.told.is_none();
        if before != after {
            self.take_part(now, id, before, after);
        }
        // What only goes on is looked at when it was to be: then is early enough to see that it went on.
        if !is_quiet || !self.agenda.holds(id) {
            self.arm(now, id);
        }
        Some(result)
    }

    /// Counts a device as something else in its groups.
    fn take_part(&mut self, now: UnixMillis, id: &DeviceId, before: Part, after: Part) {
        let Some(device) = self.devices.get(id) else { return };
        let (groups, back_ms) = (&device.groups, self.settings.group_back_ms);
        match before {
            Part::None => {}
            Part::Present => self.groups.leave(groups, device.is_backed),
            Part::Lost(loss) => {
                self.groups.find(groups, id, &loss);
                self.outages.count(now, back_ms, groups, loss.to, false);
            }
        }
        match after {
            Part::None => {}
            Part::Present => self.groups.enter(groups, device.is_backed),
            Part::Lost(loss) => {
                let gasped = device.gasped(&loss, &self.settings).is_some();
                let absent = Absent { from: loss.from, to: loss.to, is_backed: device.is_backed, gasped };
                self.groups.lose(groups, id, &loss, absent);
                self.outages.count(now, back_ms, groups, loss.to, true);
                self.verdict.get_or_insert(now.plus(self.settings.gather_ms));
            }
        }
    }

    fn arm(&mut self, now: UnixMillis, id: &DeviceId) {
        let next = self.devices.get(id).and_then(|device| device.next(now, &self.settings));
        if let Some((at, _)) = next {
            self.agenda.bring_forward(id, at);
        }
    }
}

/// Characters of the name of a switch that are kept.
const TAMPER_INPUT_CHARS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// What the module says a device takes.
    #[test]
    fn a_device_takes_no_more_than_a_kilobyte_and_its_sensors_sixteen() {
        const { assert!(size_of::<Device>() + 2 * size_of::<(UnixMillis, DeviceId)>() <= 1_024) };
        const { assert!(limits::SENSORS * (sensors::BYTES + limits::SENSOR_NAME_BYTES) <= 16 * 1_024) };
    }
}
