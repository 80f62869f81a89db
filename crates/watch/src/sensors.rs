//! Which sensors of the fleet lie: each reading is asked whether it can be true, by rules that are small state machines each.
//!
//! [`Sensors`] keeps a record of each sensor of each device that is registered. What a sensor's own history says is learned for three days
//! before anything is told, and calls nobody: the world changes too. What was told is over only when readings say so.
//!
//! | module | what |
//! |---|---|
//! | `sensor` | one sensor: what is known of it |
//! | `history` | whether a reading fits what its sensor said before |
//! | `runs` | how long the same can go on by chance: a value that is repeated |
//! | `replay` | values of earlier that come again |
//! | `range`, `rate` | values outside what was declared or ever said; values that change too fast |
//! | `noise` | how noisy a sensor is, and how finely it tells |
//! | `relations` | sensors of one device that contradict each other |
//! | `pace` | how often readings come; which were kept and came late |
//! | `nature` | switches and counters are not measured |
//! | `alarm`, `sign` | when signs are many enough; what they say |
//!
//! Readings that were kept while there was no way, and those of a device that is worked on, are passed over; after a gap, and in trouble of the
//! broker's own, a reading is not compared with the one before it.
//!
//! Bounds: [`limits::SENSORS`] sensors of a device, [`limits::HISTORIES`] histories in all, of [`HISTORY_BYTES`] each at most.
//!
//! Not here: a sensor that is silent (`liveness`), and what its neighbours say.

mod alarm;
mod history;
mod nature;
mod noise;
mod pace;
mod range;
mod rate;
mod relations;
mod replay;
mod runs;
mod sensor;
mod sign;

use crate::declared::Declared;
use crate::event::{Event, Exposure, Scope, UnixMillis};
use crate::finding::{Class, Evidence, Finding, Severity, Turn};
use crate::fleet::Fleet;
use crate::knowledge::Known;
use crate::limits;
use keyward_ids::DeviceId;
use relations::Relations;
use sensor::{Around, Sensor};
use serde::{Deserialize, Serialize};
use sign::Sign;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What the history of one sensor takes, in bytes.
pub const HISTORY_BYTES: usize = sensor::KNOWN_BYTES;

/// For so long after trouble of our own readings may be missing between two.
const AFTER_TROUBLE_MS: u64 = 2 * 60_000;
/// A sensor that was silent for so long makes room for another.
const FORGOTTEN_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// Watches what sensors say.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sensors {
    devices: BTreeMap<DeviceId, Device>,
    /// How many histories there are.
    histories: usize,
    is_trouble: bool,
    trouble_ended: UnixMillis,
}

/// Is a device with its sensors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Device {
    connected: UnixMillis,
    sensors: Vec<Sensor>,
    /// What its owner says of them.
    declared: Declared,
    relations: Relations,
}

impl Sensors {
    /// Takes an event.
    pub(crate) fn handle(
        &mut self,
        now: UnixMillis,
        fleet: &Fleet,
        event: &Event,
        findings: &mut VecDeque<Finding>,
    ) {
        match event {
            Event::Connected { device, .. } if fleet.place(device).is_some() => {
                self.devices.entry(device.clone()).or_default().connected = now;
            }
            Event::Declared { device, declared } if fleet.place(device).is_some() => {
                self.declare(now, device, declared, findings);
            }
            Event::Reading { device, stream, value } if value.is_finite() => {
                self.judge(now, fleet, device, stream, *value, findings);
            }
            Event::Removed { device } => self.remove(now, device, findings),
            Event::OwnTrouble { is_on } => {
                self.is_trouble = *is_on;
                self.trouble_ended = now;
            }
            Event::Restarted => (self.is_trouble, self.trouble_ended) = (false, now),
            _ => {}
        }
    }

    fn judge(
        &mut self,
        now: UnixMillis,
        fleet: &Fleet,
        id: &DeviceId,
        stream: &str,
        value: f64,
        findings: &mut VecDeque<Finding>,
    ) {
        let Some(place) = fleet.place(id) else { return };
        if !self.devices.contains_key(id) {
            self.devices.insert(id.clone(), Device::default());
        }
        let Some(device) = self.devices.get_mut(id) else { return };
        let around = Around {
            connected: device.connected,
            is_trouble: self.is_trouble || now.since(self.trouble_ended) < AFTER_TROUBLE_MS,
            is_maintained: fleet.is_maintained(now, id),
            limits: device.declared.limits.get(stream),
            has_room: self.histories < limits::HISTORIES,
        };
        let histories = device.histories();
        let Some(sensor) = find(&mut device.sensors, now, stream) else { return };
        let signs = sensor.note(now, value, around);
        for sign in signs {
            findings.extend(device.tell(now, id, place.exposure, stream, sign));
        }
        if !around.is_maintained {
            for sign in device.relate(stream) {
                findings.extend(device.tell(now, id, place.exposure, "", sign));
            }
        }
        self.histories = self.histories - histories + device.histories();
    }

    /// Returns of which devices something is declared, and what.
    pub(crate) fn declared(&self) -> impl Iterator<Item = (&DeviceId, &Declared)> {
        let declared = self.devices.iter().map(|(id, device)| (id, &device.declared));
        declared.filter(|(_, declared)| **declared != Declared::default())
    }

    /// Returns what is known of the readings of a device.
    pub(crate) fn known(&self, now: UnixMillis, id: &DeviceId) -> Vec<Known> {
        let sensors = self.devices.get(id).map(|device| device.sensors.as_slice()).unwrap_or_default();
        sensors.iter().take(NAMED).map(|sensor| Known::new("readings", sensor.known(now))).collect()
    }

    fn declare(
        &mut self,
        now: UnixMillis,
        id: &DeviceId,
        declared: &Declared,
        findings: &mut VecDeque<Finding>,
    ) {
        let device = self.devices.entry(id.clone()).or_default();
        if device.declared == *declared {
            return;
        }
        device.declared = declared.clone();
        if core::mem::take(&mut device.relations).is_told() {
            let sign =
                Sign::hard(Class::RelationBroken, Turn::Clear, "what holds was declared anew".to_owned());
            findings.push_back(finding(now, id, "", &sign, Severity::Low));
        }
    }

    fn remove(&mut self, now: UnixMillis, id: &DeviceId, findings: &mut VecDeque<Finding>) {
        let Some(device) = self.devices.remove(id) else { return };
        self.histories -= device.histories();
        for class in device.told() {
            let sign = Sign::soft(class, Turn::Clear, "was removed with its device".to_owned());
            findings.push_back(finding(now, id, "", &sign, Severity::Low));
        }
    }
}

impl Device {
    fn histories(&self) -> usize {
        self.sensors.iter().filter(|sensor| sensor.known.is_some()).count()
    }

    /// Asks the relations in which a sensor stands that has said something.
    fn relate(&mut self, stream: &str) -> Vec<Sign> {
        if self.declared.relations.is_empty() {
            return Vec::new();
        }
        let said = |name: &str| Some(self.sensors.iter().find(|sensor| &*sensor.name == name)?.said());
        let turns = self.relations.note(stream, &self.declared, said);
        turns.into_iter().map(|(turn, what)| Sign::hard(Class::RelationBroken, turn, what)).collect()
    }

    /// Returns what is told of one sensor or another.
    fn told(&self) -> BTreeSet<Class> {
        let of_sensors = self.sensors.iter().flat_map(|sensor| sensor.told.iter().copied());
        of_sensors.chain(self.relations.is_told().then_some(Class::RelationBroken)).collect()
    }

    /// Makes a finding of a sign. What is over for one sensor is not over while it is so of another.
    fn tell(
        &self,
        now: UnixMillis,
        id: &DeviceId,
        exposure: Exposure,
        name: &str,
        sign: Sign,
    ) -> Option<Finding> {
        if sign.turn == Turn::Clear && self.told().contains(&sign.class) {
            return None;
        }
        // Where only those with a key come, a look today is soon enough.
        let most = if exposure == Exposure::Locked { Severity::Medium } else { Severity::Critical };
        let severity = sign.severity.min(most);
        Some(finding(now, id, name, &sign, severity))
    }
}

/// Finds a sensor, or makes room for it where it can be had.
fn find<'a>(sensors: &'a mut Vec<Sensor>, now: UnixMillis, name: &str) -> Option<&'a mut Sensor> {
    if name.len() > limits::SENSOR_NAME_BYTES {
        return None;
    }
    let place = sensors.iter().position(|sensor| &*sensor.name == name);
    let place = match place {
        Some(place) => place,
        None if sensors.len() < limits::SENSORS => {
            sensors.push(Sensor::new(now, name));
            sensors.len() - 1
        }
        None => {
            let may_go = |sensor: &Sensor| {
                sensor.told.is_empty() && (sensor.known.is_none() || now.since(sensor.last) >= FORGOTTEN_MS)
            };
            let oldest = sensors.iter().enumerate().filter(|(_, sensor)| may_go(sensor));
            let (place, _) = oldest.min_by_key(|(_, sensor)| sensor.last)?;
            sensors[place] = Sensor::new(now, name);
            place
        }
    };
    sensors.get_mut(place)
}

/// Sensors of one device of which is told what is known.
const NAMED: usize = 8;

/// Bytes of the name of a sensor that stand in evidence.
const NAME_BYTES: usize = 80;

fn finding(now: UnixMillis, id: &DeviceId, name: &str, sign: &Sign, severity: Severity) -> Finding {
    let name = &name[..name.floor_char_boundary(NAME_BYTES)];
    let mut what = if name.is_empty() { sign.what.clone() } else { format!("\"{name}\" {}", sign.what) };
    what.truncate(what.floor_char_boundary(limits::EVIDENCE_BYTES));
    Finding {
        at: now,
        scope: Scope::Device(id.clone()),
        class: sign.class,
        turn: sign.turn,
        confidence: sign.confidence,
        severity,
        evidence: vec![Evidence { at: now, what: what.into() }],
        instead_of: None,
        part_of: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `limits` says of a history.
    #[test]
    fn a_history_takes_nine_kilobytes() {
        assert!((8_000..=9_216).contains(&HISTORY_BYTES), "{HISTORY_BYTES}");
    }
}
