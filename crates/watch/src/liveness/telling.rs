//! What is told of one device, and when that is over.

use super::Liveness;
use super::device::{Loss, Told};
use super::losses::{self, Judgement, fact};
use super::starts::Started;
use crate::event::{Exposure, Heartbeat, Scope, UnixMillis};
use crate::finding::{Class, Confidence, Evidence, Finding, Severity, Turn};
use crate::limits;
use keyward_ids::DeviceId;

/// The sensors that are named as evidence: beyond, there are others.
const NAMED_SENSORS: usize = 4;

impl Liveness {
    pub(super) fn push(&mut self, mut finding: Finding) {
        finding.evidence.truncate(limits::EVIDENCE);
        for Evidence { what, .. } in &mut finding.evidence {
            if what.len() > limits::EVIDENCE_BYTES {
                *what = what[..what.floor_char_boundary(limits::EVIDENCE_BYTES)].into();
            }
        }
        self.findings.push_back(finding);
    }

    /// Tells what a device suffers, unless that was told.
    pub(super) fn tell(
        &mut self,
        now: UnixMillis,
        id: &DeviceId,
        judgement: Judgement,
        loss: Loss,
        part_of: Option<(Scope, Class)>,
    ) {
        let Some(device) = self.devices.get_mut(id) else { return };
        let Judgement { class, confidence, severity, evidence } = judgement;
        let told =
            Told { class, confidence, severity, part_of, loss, back: None, again: None, is_explained: false };
        let before = device.told.replace(told.clone());
        let is_known =
            before.as_ref().is_some_and(|before| before.class == class && before.part_of == told.part_of);
        if is_known {
            return;
        }
        let instead_of = before.map(|before| before.class).filter(|before| *before != class);
        self.push(Finding {
            at: now,
            scope: Scope::Device(id.clone()),
            class,
            turn: Turn::Set,
            confidence,
            severity,
            evidence,
            instead_of,
            part_of: told.part_of,
        });
    }

    /// Tells that what was told of a device is part of something larger.
    pub(super) fn fold(&mut self, now: UnixMillis, id: &DeviceId, parent: (Scope, Class)) {
        let Some(told) = self.devices.get_mut(id).and_then(|device| device.told.as_mut()) else { return };
        if told.part_of.as_ref().is_some_and(|of| *of == parent) {
            return;
        }
        let evidence = vec![fact(now, "others of its group were lost at the same time")];
        told.part_of = Some(parent.clone());
        let (class, confidence, severity) = (told.class, told.confidence, told.severity);
        self.push(Finding {
            at: now,
            scope: Scope::Device(id.clone()),
            class,
            turn: Turn::Set,
            confidence,
            severity,
            evidence,
            instead_of: None,
            part_of: Some(parent),
        });
    }

    /// Judges again what a device suffered, by what it says itself when it is back.
    pub(super) fn explain(
        &mut self,
        now: UnixMillis,
        id: &DeviceId,
        started: Started,
        heartbeat: &Heartbeat,
        is_verified: bool,
    ) {
        let Some(device) = self.devices.get_mut(id) else { return };
        let Some(told) = device.told.as_mut().filter(|told| told.back.is_some() && !told.is_explained) else {
            return;
        };
        told.is_explained = true;
        let Some(judgement) = losses::by_heartbeat(told, now, started, heartbeat, is_verified) else {
            return;
        };
        let (groups, to) = (device.groups.clone(), told.loss.to);
        let before = told.class;
        (told.class, told.confidence, told.severity) =
            (judgement.class, judgement.confidence, judgement.severity);
        let part_of = told.part_of.clone();
        if judgement.class != before {
            self.push(Finding {
                at: now,
                scope: Scope::Device(id.clone()),
                class: judgement.class,
                turn: Turn::Set,
                confidence: judgement.confidence,
                severity: judgement.severity,
                evidence: judgement.evidence,
                instead_of: Some(before),
                part_of,
            });
        }
        self.count_explained(now, &groups, to, judgement.class);
    }

    /// Ends what was told of a device if it has been back for long enough by its messages.
    pub(super) fn end_if_back(&mut self, now: UnixMillis, id: &DeviceId) {
        if self.devices.get(id).is_some_and(|device| device.is_back()) {
            self.tell_back(now, id, "messages come again");
        }
    }

    pub(super) fn tell_back(&mut self, now: UnixMillis, id: &DeviceId, why: &str) {
        let Some(device) = self.devices.get_mut(id) else { return };
        let Some(told) = device.told.take() else { return };
        let since = told.back.map_or(now, |back| back.since);
        let evidence = vec![fact(since, "it is heard again"), fact(now, why)];
        self.clear(now, id, told.class, evidence);
    }

    fn clear(&mut self, now: UnixMillis, id: &DeviceId, class: Class, evidence: Vec<Evidence>) {
        self.push(Finding {
            at: now,
            scope: Scope::Device(id.clone()),
            class,
            turn: Turn::Clear,
            confidence: Confidence::High,
            severity: Severity::Info,
            evidence,
            instead_of: None,
            part_of: None,
        });
    }

    /// Ends all that was told of a device that is removed.
    pub(super) fn clear_removed(&mut self, now: UnixMillis, id: &DeviceId) {
        let Some(device) = self.devices.get_mut(id) else { return };
        let told = device.told.take().map(|told| told.class);
        let looping = device.starts.told.take();
        let silent = core::mem::take(&mut device.sensors.is_told).then_some(Class::SensorSilent);
        for class in told.into_iter().chain(looping).chain(silent) {
            self.clear(now, id, class, vec![fact(now, "the device was removed")]);
        }
    }

    /// Tells of a loop of starts; not while somebody works on the device.
    pub(super) fn judge_starts(&mut self, now: UnixMillis, id: &DeviceId, is_maintained: bool) {
        let Some(device) = self.devices.get_mut(id) else { return };
        if is_maintained {
            return device.starts.forgive();
        }
        let Some(class) = device.starts.is_loop(now, &self.settings) else { return };
        let before = device.starts.told.replace(class);
        if before == Some(class) {
            return;
        }
        let is_public = device.exposure == Exposure::Public;
        let severity =
            if class == Class::TamperReset && is_public { Severity::High } else { Severity::Medium };
        let evidence = device.starts.evidence(now, &self.settings);
        self.push(Finding {
            at: now,
            scope: Scope::Device(id.clone()),
            class,
            turn: Turn::Set,
            confidence: Confidence::High,
            severity,
            evidence,
            instead_of: before,
            part_of: None,
        });
        self.arm(now, id);
    }

    pub(super) fn clear_starts(&mut self, now: UnixMillis, id: &DeviceId) {
        let Some(class) = self.devices.get_mut(id).and_then(|device| device.starts.told.take()) else {
            return;
        };
        self.clear(now, id, class, vec![fact(now, "it has not started again since")]);
    }

    pub(super) fn look_at_sensors(&mut self, now: UnixMillis, id: &DeviceId) {
        let Some(device) = self.devices.get_mut(id) else { return };
        let intervals = self.settings.patience(device.exposure).intervals;
        let heard = device.heard.unwrap_or_default();
        let silent = device.sensors.look(now, heard, device.excused, intervals);
        if silent.is_empty() {
            return self.clear_sensors(now, id);
        }
        device.sensors.is_told = true;
        let severity = if device.exposure == Exposure::Locked { Severity::Low } else { Severity::Medium };
        let mut evidence: Vec<_> = silent
            .iter()
            .take(NAMED_SENSORS)
            .map(|silent| {
                let usual = losses::span(silent.interval);
                fact(silent.last, format!("the last of {:?}, which comes every {usual}", silent.name))
            })
            .collect();
        if silent.len() > NAMED_SENSORS {
            evidence.push(fact(now, format!("{} sensors more", silent.len() - NAMED_SENSORS)));
        }
        evidence.push(fact(heard, "the device itself was heard"));
        self.push(Finding {
            at: now,
            scope: Scope::Device(id.clone()),
            class: Class::SensorSilent,
            turn: Turn::Set,
            confidence: Confidence::High,
            severity,
            evidence,
            instead_of: None,
            part_of: None,
        });
    }

    /// Ends that a sensor is silent, if none is.
    pub(super) fn clear_sensors(&mut self, now: UnixMillis, id: &DeviceId) {
        let Some(sensors) = self.devices.get_mut(id).map(|device| &mut device.sensors) else { return };
        if sensors.is_told && !sensors.any_silent() {
            sensors.is_told = false;
            self.clear(
                now,
                id,
                Class::SensorSilent,
                vec![fact(now, "no sensor is silent that is expected to talk")],
            );
        }
    }
}
