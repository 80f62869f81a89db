//! What the configuration says of readings, told to the detectors.

use crate::config::Readings;
use keyward_identity::{Account, Registry};
use keyward_ids::{DeviceId, Identity};
use keyward_watch::Watch;
use keyward_watch::declared::Declared;
use keyward_watch::event::Event;
use std::collections::BTreeMap;

/// Returns what is to be told to a watch: what it knows already is not, and of whom nothing is declared any more, that is.
pub(super) fn events(registry: &Registry, readings: &Readings, watch: &Watch) -> Vec<Event> {
    let of = |account: &Account| {
        let Identity::Device(device) = &account.identity else { return None };
        Some((device.clone(), readings.get(account.device_type.as_ref()?)?.of(device)))
    };
    let there: BTreeMap<DeviceId, Declared> = registry.accounts().filter_map(|account| of(account)).collect();
    let known: BTreeMap<&DeviceId, &Declared> = watch.declared().collect();
    let over = known.keys().filter(|device| !there.contains_key(**device));
    let over = over.map(|device| ((*device).clone(), Declared::default()));
    let news = there.iter().filter(|(device, declared)| known.get(device) != Some(declared));
    let news = news.map(|(device, declared)| (device.clone(), declared.clone()));
    over.chain(news)
        .map(|(device, declared)| Event::Declared { device, declared: Box::new(declared) })
        .collect()
}
