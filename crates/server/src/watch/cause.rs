//! What the watch has found that something may follow from, on its way to those who may do something about it.

use crate::admin::limits::CAUSES;
use crate::config::IN_OTHER_HANDS;
use keyward_ids::DeviceId;
use keyward_watch::Finding;
use keyward_watch::event::Scope;
use keyward_watch::finding::{Class, Confidence, Turn};
use std::collections::VecDeque;

/// Is something that the signatures, or the credential, of a device prove; or that it is likely to be in other hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) device: DeviceId,
    pub(crate) class: Class,
    pub(crate) is_proven: bool,
    /// What was seen, as a sentence for a person.
    pub(crate) what: String,
}

impl Cause {
    /// Returns what may follow from a finding; nothing if nothing may.
    pub(crate) fn of(finding: &Finding) -> Option<Self> {
        let Scope::Device(device) = &finding.scope else { return None };
        let is_proven = finding.confidence == Confidence::Proven;
        let is_in_other_hands =
            IN_OTHER_HANDS.contains(&finding.class) && finding.severity.pages() && finding.part_of.is_none();
        if finding.turn != Turn::Set || !(is_proven || is_in_other_hands) {
            return None;
        }
        let what = finding.evidence.last().map_or(String::new(), |fact| fact.what.to_string());
        Some(Self { device: device.clone(), class: finding.class, is_proven, what })
    }
}

/// Holds what nobody has taken yet, each device and class once.
#[derive(Debug, Default)]
pub(super) struct Causes(VecDeque<Cause>);

impl Causes {
    /// Takes one, if there is room; what is proven takes the place of what is not.
    pub(super) fn put(&mut self, cause: Cause) {
        let is_same = |other: &&mut Cause| other.device == cause.device && other.class == cause.class;
        if let Some(other) = self.0.iter_mut().find(is_same) {
            other.is_proven |= cause.is_proven;
            return;
        }
        if self.0.len() >= CAUSES && cause.is_proven {
            let place = self.0.iter().position(|other| !other.is_proven);
            place.map(|place| self.0.remove(place));
        }
        if self.0.len() < CAUSES {
            self.0.push_back(cause);
        }
    }

    pub(super) fn take(&mut self) -> VecDeque<Cause> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(n: usize, is_proven: bool) -> Cause {
        let device = format!("pump-{n}").parse().unwrap();
        Cause { device, class: Class::Moved, is_proven, what: String::new() }
    }

    #[test]
    fn what_is_likely_takes_no_place_of_what_is_proven() {
        let mut causes = Causes::default();
        (0..CAUSES).for_each(|n| causes.put(cause(n, false)));
        causes.put(cause(CAUSES, false));
        causes.put(cause(CAUSES + 1, true));
        causes.put(cause(3, true));
        let taken = causes.take();
        assert_eq!(taken.len(), CAUSES);
        let proven: Vec<&str> = taken.iter().filter(|it| it.is_proven).map(|it| it.device.as_str()).collect();
        assert_eq!(proven, ["pump-3", &format!("pump-{}", CAUSES + 1)]);
    }
}
