//! What the watch has proven, on its way to those who may do something about it.

use crate::admin::limits::PROVEN;
use keyward_ids::DeviceId;
use keyward_watch::Finding;
use keyward_watch::event::Scope;
use keyward_watch::finding::{Class, Confidence, Turn};
use std::collections::VecDeque;

/// Is something that the signatures, or the credential, of a device prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) device: DeviceId,
    pub(crate) class: Class,
    /// What was seen, as a sentence for a person.
    pub(crate) what: String,
}

impl Proven {
    /// Returns what a finding proves of a device; nothing if it proves nothing.
    pub(crate) fn of(finding: &Finding) -> Option<Self> {
        let Scope::Device(device) = &finding.scope else { return None };
        if finding.turn != Turn::Set || finding.confidence != Confidence::Proven {
            return None;
        }
        let what = finding.evidence.last().map_or(String::new(), |fact| fact.what.to_string());
        Some(Self { device: device.clone(), class: finding.class, what })
    }
}

/// Holds what nobody has taken yet, each device and class once.
#[derive(Debug, Default)]
pub(super) struct Proofs(VecDeque<Proven>);

impl Proofs {
    pub(super) fn put(&mut self, proven: Proven) {
        let is_same = |other: &Proven| other.device == proven.device && other.class == proven.class;
        if self.0.len() < PROVEN && !self.0.iter().any(is_same) {
            self.0.push_back(proven);
        }
    }

    pub(super) fn take(&mut self) -> VecDeque<Proven> {
        std::mem::take(&mut self.0)
    }
}
