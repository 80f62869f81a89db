//! Whether a device is the one that it says it is, and the only one.
//!
//! [`Identity`] keeps a record of each device that is registered and asks it with each event. What only a holder of the device's key can have
//! done is [`Confidence::Proven`](crate::finding::Confidence::Proven), and may cost it its rights without a person: two messages under one number, numbers that go back twice, starts that
//! alternate, a secret that was used up twice, a key of a lower level. What others can do in its name never is: replays, bad signatures,
//! where links come from. What is proven stays until a person has decided; the rest is over when nothing more was seen for
//! [`Settings::quiet_ms`]. Maintenance changes nothing here: a copy is one at any time.
//!
//! | module | what |
//! |---|---|
//! | `proofs` | numbers, replays and signatures, as the broker found them |
//! | `epochs`, `heartbeats` | starts that alternate: by signed messages, by uptime |
//! | `links` | sources that take each other's place; the rolling secret |
//! | `travel`, `key_level` | impossible travel; keys that are kept worse |
//!
//! A device whose flash was restored looks like two holders, and nothing here tells them apart: both need another key.

mod epochs;
mod heartbeats;
mod key_level;
mod links;
mod proofs;
mod settings;
mod sign;
mod travel;

pub use settings::Settings;

use crate::agenda::Agenda;
use crate::event::{Event, Scope, UnixMillis};
use crate::finding::{Class, Confidence, Finding, Severity, Turn};
use crate::knowledge::{Known, when};
use crate::limits;
use keyward_ids::DeviceId;
use serde::{Deserialize, Serialize};
use sign::Sign;
use std::collections::{BTreeMap, VecDeque};

/// Watches who holds the credentials of the devices.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Identity {
    #[serde(skip)]
    settings: Settings,
    devices: BTreeMap<DeviceId, Box<Record>>,
    agenda: Agenda,
}

impl Identity {
    pub(crate) fn handle(&mut self, now: UnixMillis, event: &Event, findings: &mut VecDeque<Finding>) {
        let (device, record) = match event {
            Event::Registered { device, .. } => {
                self.devices.entry(device.clone()).or_default();
                return;
            }
            Event::Removed { device } => {
                self.devices.remove(device);
                self.agenda.set(device, None);
                return;
            }
            Event::Restarted => {
                self.devices.values_mut().for_each(|record| record.links.restart());
                return;
            }
            Event::Connected { device, .. }
            | Event::Ratcheted { device, .. }
            | Event::Disconnected { device, .. }
            | Event::Message { device, .. }
            | Event::Heartbeat { device, .. }
            | Event::Proof { device, .. } => {
                let Some(record) = self.devices.get_mut(device) else { return };
                (device, record)
            }
            _ => return,
        };
        for sign in record.hear(now, event, &self.settings).into_iter().flatten() {
            findings.extend(record.tell(now, device, sign, &self.settings));
        }
        self.agenda.set(device, record.quiet_from(&self.settings));
    }

    pub(crate) fn handle_timeout(&mut self, now: UnixMillis, findings: &mut VecDeque<Finding>) {
        while let Some(device) = self.agenda.pop(now) {
            let Some(record) = self.devices.get_mut(&device) else { continue };
            findings.extend(record.clear(now, &device, &self.settings));
            self.agenda.set(&device, record.quiet_from(&self.settings));
        }
    }

    /// Says what is known of who holds its credentials.
    pub(crate) fn known(&self, now: UnixMillis, device: &DeviceId) -> Vec<Known> {
        let Some(record) = self.devices.get(device) else { return Vec::new() };
        let level = record
            .key_level
            .highest()
            .map(|level| Known::new("key level", format!("{level}, the highest seen")));
        let told = record.told.iter().map(|told| {
            Known::new("told as", format!("{}, seen last {}", told.class.word(), when(now, told.seen)))
        });
        level.into_iter().chain(told).collect()
    }

    pub(crate) fn poll_timeout(&self) -> Option<UnixMillis> {
        self.agenda.next()
    }
}

/// Is what is known of one device.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Record {
    proofs: proofs::Proofs,
    epochs: epochs::Epochs,
    runs: heartbeats::Runs,
    links: links::Links,
    travel: travel::Travel,
    key_level: key_level::KeyLevel,
    /// What was told and is not over, each class once.
    told: Vec<Told>,
}

/// Is a class that was told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Told {
    class: Class,
    severity: Severity,
    /// Whether it was proven.
    #[serde(default)]
    is_proven: bool,
    told: UnixMillis,
    seen: UnixMillis,
}

impl Record {
    fn hear(&mut self, now: UnixMillis, event: &Event, settings: &Settings) -> [Option<Sign>; 2] {
        match event {
            Event::Connected { connection, .. } => [
                self.links.connect(now, connection, settings),
                self.travel.connect(now, connection, settings),
            ],
            Event::Ratcheted { ratchet, .. } => [self.links.answer(now, *ratchet, settings), None],
            Event::Disconnected { link, end, .. } => {
                self.travel.disconnect(now, *link, *end);
                [self.links.disconnect(now, *link, *end, settings), None]
            }
            Event::Message { message, .. } => {
                if let Some(link) = self.links.only() {
                    self.travel.hear(now, link);
                }
                let Some(claims) = message.claims else { return [None, None] };
                let epoch = self.epochs.hear(now, claims, &mut self.proofs, settings);
                [epoch, self.key_level.hear(now, claims, settings)]
            }
            Event::Heartbeat { heartbeat, .. } => [self.runs.hear(now, heartbeat, settings), None],
            Event::Proof { proof, .. } => [self.proofs.hear(now, *proof, settings), None],
            _ => [None, None],
        }
    }

    /// Makes a finding of a sign, unless the same was told just before.
    fn tell(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        sign: Sign,
        settings: &Settings,
    ) -> Option<Finding> {
        let is_proven = sign.confidence == Confidence::Proven;
        let news = Told { class: sign.class, severity: sign.severity, is_proven, told: now, seen: now };
        let says_no_more = |told: &Told| told.severity >= sign.severity && told.is_proven >= is_proven;
        match self.told.iter_mut().find(|told| told.class == sign.class) {
            Some(told) if says_no_more(told) && now.since(told.told) < settings.repeat_ms => {
                told.seen = now;
                return None;
            }
            Some(told) => {
                let (severity, is_proven) = (told.severity.max(sign.severity), told.is_proven || is_proven);
                *told = Told { severity, is_proven, ..news };
            }
            None => self.told.push(news),
        }
        Some(finding(now, device, Turn::Set, sign))
    }

    /// Tells what is over because nothing more was seen of it.
    fn clear(&mut self, now: UnixMillis, device: &DeviceId, settings: &Settings) -> Vec<Finding> {
        let is_over = |told: &Told| passes(told.class) && told.seen.plus(settings.quiet_ms) <= now;
        let over: Vec<Told> = self.told.iter().copied().filter(is_over).collect();
        self.told.retain(|told| !is_over(told));
        let what = "nothing more was seen of it";
        let clear = |told: Told| {
            let sign = Sign::new(told.class, Confidence::Medium, told.severity, now, what);
            finding(now, device, Turn::Clear, sign)
        };
        over.into_iter().map(clear).collect()
    }

    /// Returns when something may be over.
    fn quiet_from(&self, settings: &Settings) -> Option<UnixMillis> {
        self.told.iter().filter(|told| passes(told.class)).map(|told| told.seen.plus(settings.quiet_ms)).min()
    }
}

/// Tells whether a class is over when nothing more is seen of it. That two hold a key does not pass.
fn passes(class: Class) -> bool {
    matches!(class, Class::Replay | Class::BadSignatures | Class::TakeoverPingPong | Class::ImpossibleTravel)
}

fn finding(now: UnixMillis, device: &DeviceId, turn: Turn, sign: Sign) -> Finding {
    let mut evidence = sign.evidence;
    evidence.truncate(limits::EVIDENCE);
    Finding {
        at: now,
        scope: Scope::Device(device.clone()),
        class: sign.class,
        turn,
        confidence: sign.confidence,
        severity: sign.severity,
        evidence,
        instead_of: None,
        part_of: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `limits.rs` says of a device. Beside the lists with a bound there: times of replays and bad signatures, and what was told.
    #[test]
    fn what_is_known_of_who_a_device_is_takes_three_kilobytes() {
        let settings = Settings::default();
        let few = 2 * (16 * settings.replays + 8 * settings.bad_signatures) + 16 * size_of::<Told>();
        let bytes = size_of::<Record>() + epochs::BYTES + heartbeats::BYTES + links::BYTES + few;
        assert!(bytes <= 3 * 1_024, "{bytes}");
    }
}
