//! The devices that there are, where they stand, and where somebody works on them.

use crate::event::{Place, Scope, UnixMillis};
use crate::limits;
use keyward_ids::DeviceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Knows the devices, their places and the maintenance windows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Fleet {
    places: BTreeMap<DeviceId, Place>,
    windows: BTreeMap<Scope, UnixMillis>,
    /// When devices that sign how they are, and those that sign where they are, did so last.
    #[serde(default)]
    signed: [BTreeMap<DeviceId, UnixMillis>; 2],
}

/// Is what devices say of themselves, signed or not.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
    /// How it is.
    Heartbeat,
    /// Where it is.
    Fix,
}

/// For so long nobody is believed who says without a signature what a device signs, in milliseconds: seven days.
const SIGNS_MILLIS: u64 = 7 * 24 * 60 * 60 * 1_000;

impl Fleet {
    pub(crate) fn register(&mut self, device: DeviceId, place: Place) {
        self.places.insert(device, place);
    }

    pub(crate) fn remove(&mut self, device: &DeviceId) {
        self.places.remove(device);
        for signed in &mut self.signed {
            signed.remove(device);
        }
        self.windows.remove(&Scope::Device(device.clone()));
    }

    /// Takes that somebody says something of a device. Returns whether that counts: of one that signs such words only what is signed does.
    pub(crate) fn believes(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        word: Word,
        is_verified: bool,
    ) -> bool {
        let signed = &mut self.signed[word as usize];
        if is_verified && self.places.contains_key(device) {
            signed.insert(device.clone(), now);
        }
        is_verified || signed.get(device).is_none_or(|at| now.since(*at) > SIGNS_MILLIS)
    }

    pub(crate) fn place(&self, device: &DeviceId) -> Option<&Place> {
        self.places.get(device)
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = (&DeviceId, &Place)> {
        self.places.iter()
    }

    /// Lists where somebody works, and until when.
    pub(crate) fn windows(&self) -> impl Iterator<Item = (&Scope, UnixMillis)> {
        self.windows.iter().map(|(scope, until)| (scope, *until))
    }

    /// Opens a maintenance window, which ends after [`limits::WINDOW_MILLIS`] at the latest; a time in the past closes it.
    pub(crate) fn maintain(&mut self, now: UnixMillis, scope: Scope, until: UnixMillis) {
        self.windows.retain(|_, until| *until > now);
        if until <= now {
            self.windows.remove(&scope);
        } else if self.windows.len() < limits::WINDOWS || self.windows.contains_key(&scope) {
            self.windows.insert(scope, until.min(now.plus(limits::WINDOW_MILLIS)));
        }
    }

    /// Tells whether somebody works on what `device` depends on.
    pub(crate) fn is_maintained(&self, now: UnixMillis, device: &DeviceId) -> bool {
        self.maintained_until(now, device).is_some()
    }

    /// Returns until when somebody works on what `device` depends on, if somebody does.
    pub(crate) fn maintained_until(&self, now: UnixMillis, device: &DeviceId) -> Option<UnixMillis> {
        let place = self.place(device)?;
        let open = |scope: &Scope| self.windows.get(scope).copied().filter(|until| *until > now);
        scopes(device, place).iter().filter_map(open).max()
    }
}

/// Returns what a device is part of, the smallest first.
pub(crate) fn scopes(device: &DeviceId, place: &Place) -> Vec<Scope> {
    let site = place.site.clone();
    let gateway = place.gateway.clone().map(|gateway| Scope::Gateway(site.clone(), gateway));
    let circuit = place.circuit.clone().map(|circuit| Scope::Circuit(site.clone(), circuit));
    let all = [
        Some(Scope::Device(device.clone())),
        circuit,
        gateway,
        site.map(Scope::Site),
        Some(Scope::Everything),
    ];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> (Fleet, DeviceId) {
        let device: DeviceId = "pump".parse().unwrap();
        let mut fleet = Fleet::default();
        let site = Some("hall".parse().unwrap());
        fleet.register(device.clone(), Place { site, gateway: Some("ap1".into()), ..Place::default() });
        (fleet, device)
    }

    #[test]
    fn work_on_what_a_device_depends_on_is_work_on_the_device_until_it_ends() {
        let site = || Some("hall".parse().unwrap());
        let scopes = [
            Scope::Device("pump".parse().unwrap()),
            Scope::Gateway(site(), "ap1".into()),
            Scope::Site("hall".parse().unwrap()),
            Scope::Everything,
        ];
        for scope in scopes {
            let (mut fleet, device) = fleet();
            fleet.maintain(UnixMillis(10), scope.clone(), UnixMillis(20));
            assert!(fleet.is_maintained(UnixMillis(19), &device), "{scope:?}");
            assert!(!fleet.is_maintained(UnixMillis(20), &device), "{scope:?}");
        }
    }

    #[test]
    fn work_elsewhere_and_work_that_was_called_off_is_none() {
        let (mut fleet, device) = fleet();
        fleet.maintain(UnixMillis(10), Scope::Gateway(None, "ap1".into()), UnixMillis(20));
        assert!(!fleet.is_maintained(UnixMillis(11), &device));
        fleet.maintain(UnixMillis(10), Scope::Everything, UnixMillis(20));
        fleet.maintain(UnixMillis(12), Scope::Everything, UnixMillis(12));
        assert!(!fleet.is_maintained(UnixMillis(12), &device));
    }

    #[test]
    fn no_window_is_longer_than_a_week_and_there_are_not_endlessly_many() {
        let (mut fleet, device) = fleet();
        fleet.maintain(UnixMillis(0), Scope::Everything, UnixMillis(u64::MAX));
        assert!(!fleet.is_maintained(UnixMillis(limits::WINDOW_MILLIS), &device));
        for number in 0..2 * limits::WINDOWS as u64 {
            fleet.maintain(UnixMillis(0), Scope::Gateway(None, number.to_string().into()), UnixMillis(1));
        }
        assert_eq!(fleet.windows.len(), limits::WINDOWS);
    }
}
