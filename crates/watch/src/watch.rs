//! One watch over one fleet: every event goes to every detector that it concerns.

use crate::declared::Declared;
use crate::event::{Event, Place, Scope, UnixMillis};
use crate::finding::{Class, Finding, Severity, Turn};
use crate::fleet::{Fleet, Word};
use crate::identity::Identity;
use crate::knowledge::{Known, of_place, when};
use crate::liveness::Liveness;
use crate::neighbours::Neighbours;
use crate::relocation::Relocation;
use crate::sensors::Sensors;
use keyward_ids::DeviceId;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Watches a fleet. What it has learned is in what serde writes of it; what can be set is not. Read again, it is told of [`Event::Restarted`] first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Watch {
    fleet: Fleet,
    identity: Identity,
    relocation: Relocation,
    liveness: Liveness,
    sensors: Sensors,
    #[serde(default)]
    neighbours: Neighbours,
    findings: VecDeque<Finding>,
    now: UnixMillis,
}

impl Watch {
    /// Returns a watch that knows no device yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the time that it has come to.
    pub fn now(&self) -> UnixMillis {
        self.now
    }

    /// Returns the devices that it knows, with where they stand.
    pub fn places(&self) -> impl Iterator<Item = (&DeviceId, &Place)> {
        self.fleet.places()
    }

    /// Returns of which devices an owner declared something of their readings, and what.
    pub fn declared(&self) -> impl Iterator<Item = (&DeviceId, &Declared)> {
        self.sensors.declared()
    }

    /// Returns where it was told that somebody works, and until when; those too whose time is over.
    pub fn windows(&self) -> impl Iterator<Item = (&Scope, UnixMillis)> {
        self.fleet.windows()
    }

    /// Takes an event. Time that goes back stands still.
    pub fn handle(&mut self, now: UnixMillis, event: &Event) {
        self.now = now.max(self.now);
        let said = match event {
            Event::Heartbeat { device, verified, .. } => Some((device, Word::Heartbeat, *verified)),
            Event::Fix { device, verified, .. } => Some((device, Word::Fix, *verified)),
            _ => None,
        };
        if let Some((device, word, is_verified)) = said
            && !self.fleet.believes(self.now, device, word, is_verified)
        {
            return;
        }
        match event {
            Event::Registered { device, place } => self.fleet.register(device.clone(), place.clone()),
            Event::Maintenance { scope, until } => self.fleet.maintain(self.now, scope.clone(), *until),
            _ => {}
        }
        let told = self.findings.len();
        self.neighbours.handle(self.now, &self.fleet, event, &mut self.findings);
        self.identity.handle(self.now, event, &mut self.findings);
        self.relocation.handle(self.now, event, &self.fleet, &mut self.findings);
        for device in self.neighbours.take_strangers() {
            self.relocation.note_stranger(self.now, &device, &self.fleet, &mut self.findings);
        }
        self.liveness.handle(self.now, &self.fleet, event, &mut self.findings);
        self.sensors.handle(self.now, &self.fleet, event, &mut self.findings);
        if let Event::Removed { device } = event {
            self.fleet.remove(device);
        }
        self.fold_in(told);
    }

    /// Makes what was found of readings, from a number on, part of what the world around their sensors does. What breaks a limit that
    /// somebody declared stays alone: that limit holds for the world too.
    fn fold_in(&mut self, from: usize) {
        for finding in self.findings.range_mut(from..) {
            let is_of_the_world = match finding.class {
                Class::Unusual | Class::Disagrees => true,
                Class::OutOfRange | Class::TooFast => finding.severity < Severity::High,
                _ => false,
            };
            if let (true, Turn::Set, None, Scope::Device(device)) =
                (is_of_the_world, finding.turn, &finding.part_of, &finding.scope)
                && let Some(site) = self.neighbours.steps(self.now, device)
            {
                finding.part_of = Some((site, Class::GroupStep));
            }
        }
    }

    /// Lets time pass up to `now`.
    pub fn handle_timeout(&mut self, now: UnixMillis) {
        self.now = now.max(self.now);
        self.identity.handle_timeout(self.now, &mut self.findings);
        self.relocation.handle_timeout(self.now, &mut self.findings);
        self.liveness.handle_timeout(self.now, &self.fleet, &mut self.findings);
    }

    /// Returns when [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<UnixMillis> {
        let due =
            [self.liveness.poll_timeout(), self.identity.poll_timeout(), self.relocation.poll_timeout()];
        due.into_iter().flatten().min()
    }

    /// Tells whether a device is later than usual, and not yet missing.
    pub fn is_late(&self, now: UnixMillis, device: &DeviceId) -> bool {
        self.liveness.is_late(now, device)
    }

    /// Returns what is known of a device, for whoever asks why something was told or not; `None` if it knows no such device.
    pub fn known(&self, now: UnixMillis, device: &DeviceId) -> Option<Vec<Known>> {
        let now = now.max(self.now);
        let place = self.fleet.place(device)?;
        let maintained = self.fleet.maintained_until(now, device);
        let maintained = maintained.map(|until| format!("somebody works there; ends {}", when(now, until)));
        let mut known: Vec<Known> = of_place(place, maintained).collect();
        known.extend(self.liveness.known(now, device));
        known.extend(self.sensors.known(now, device));
        known.extend(self.identity.known(now, device));
        known.extend(self.relocation.known(now, device));
        known.extend(self.neighbours.known(device));
        Some(known)
    }

    /// Returns what was found, the oldest first.
    pub fn poll_finding(&mut self) -> Option<Finding> {
        self.findings.pop_front()
    }
}
