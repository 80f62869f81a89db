//! When which device is to be looked at again, where nothing else happens.

use crate::event::UnixMillis;
use keyward_ids::DeviceId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Holds one time for each device at most.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Agenda {
    times: BTreeSet<(UnixMillis, DeviceId)>,
    of: BTreeMap<DeviceId, UnixMillis>,
}

impl Agenda {
    /// Sets when a device is to be looked at, in place of what was set before.
    pub(crate) fn set(&mut self, device: &DeviceId, at: Option<UnixMillis>) {
        if self.of.get(device).copied() == at {
            return;
        }
        if let Some(before) = self.of.remove(device) {
            self.times.remove(&(before, device.clone()));
        }
        if let Some(at) = at {
            self.of.insert(device.clone(), at);
            self.times.insert((at, device.clone()));
        }
    }

    /// Sets when a device is to be looked at, unless it is looked at sooner.
    pub(crate) fn bring_forward(&mut self, device: &DeviceId, at: UnixMillis) {
        if self.of.get(device).is_none_or(|before| at < *before) {
            self.set(device, Some(at));
        }
    }

    /// Tells whether a device is to be looked at some time.
    pub(crate) fn holds(&self, device: &DeviceId) -> bool {
        self.of.contains_key(device)
    }

    /// Takes out a device whose time has come, the earliest first.
    pub(crate) fn pop(&mut self, now: UnixMillis) -> Option<DeviceId> {
        self.next().filter(|at| *at <= now)?;
        let (_, device) = self.times.pop_first()?;
        self.of.remove(&device);
        Some(device)
    }

    /// Returns the earliest time.
    pub(crate) fn next(&self) -> Option<UnixMillis> {
        self.times.first().map(|(at, _)| *at)
    }
}
