//! Where a device stands: what was said of it comes before what the configuration says of its site, and that before what it says of
//! its type.

use crate::config::{Config, DeviceType, Site};
use crate::control::{Said, SaidBy};
use crate::wiring::subject;
use keyward_identity::{Account, Exposure, HeldMessageKey, MessageKeyStatus, Power, WallTime};
use keyward_ids::{SiteId, TypeId};
use keyward_policy::Policy;
use keyward_watch::event;
use std::collections::BTreeMap;

/// Is what the configuration says of places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ground {
    types: BTreeMap<TypeId, DeviceType>,
    sites: BTreeMap<SiteId, Site>,
}

impl From<&Config> for Ground {
    fn from(config: &Config) -> Self {
        Self { types: config.types.clone(), sites: config.sites.clone() }
    }
}

/// Takes the first that was said.
fn first<T>(said: [(SaidBy, Option<T>); 3]) -> Option<Said<T>> {
    said.into_iter().find_map(|(by, value)| Some(Said { value: value?, by }))
}

impl Ground {
    fn of_type(&self, account: &Account) -> DeviceType {
        account.device_type.as_ref().and_then(|name| self.types.get(name)).copied().unwrap_or_default()
    }

    /// Returns who can lay hands on a device; those who work there, if nobody said.
    pub(crate) fn exposure(&self, account: &Account) -> Said<Exposure> {
        let of_site = account.site.as_ref().and_then(|name| self.sites.get(name)?.exposure);
        let said = [
            (SaidBy::Device, account.exposure),
            (SaidBy::Site, of_site),
            (SaidBy::Type, self.of_type(account).exposure),
        ];
        first(said).unwrap_or(Said { value: Exposure::Workplace, by: SaidBy::Nobody })
    }

    /// Returns what a device lives on; the mains, if nobody said.
    pub(crate) fn power(&self, account: &Account) -> Said<Power> {
        let said = [
            (SaidBy::Device, account.place.power),
            (SaidBy::Site, None),
            (SaidBy::Type, self.of_type(account).power),
        ];
        first(said).unwrap_or(Said { value: Power::Mains, by: SaidBy::Nobody })
    }

    /// Returns how often a device is to report, in seconds, if somebody said.
    pub(crate) fn interval_secs(&self, account: &Account) -> Option<Said<u64>> {
        first([
            (SaidBy::Device, account.place.interval_secs),
            (SaidBy::Site, None),
            (SaidBy::Type, self.of_type(account).interval_secs),
        ])
    }

    /// Returns where a device stands, as the watch takes it.
    pub(crate) fn place(&self, account: &Account) -> event::Place {
        let name = |name: &Option<String>| name.as_deref().map(Box::from);
        event::Place {
            site: account.site.clone(),
            gateway: name(&account.place.gateway),
            circuit: name(&account.place.circuit),
            power: match self.power(account).value {
                Power::Mains => event::Power::Mains,
                Power::Battery => event::Power::Battery,
                Power::Ups => event::Power::Ups,
            },
            exposure: match self.exposure(account).value {
                Exposure::Public => event::Exposure::Public,
                Exposure::Workplace => event::Exposure::Workplace,
                Exposure::Locked => event::Exposure::Locked,
            },
            interval_ms: self.interval_secs(account).map(|said| said.value.saturating_mul(1_000)),
            fence: account.place.fence.map(|fence| event::Fence {
                middle: event::Position { latitude: fence.latitude, longitude: fence.longitude },
                radius_m: fence.radius_m,
            }),
        }
    }
}

/// Returns the level that is asked of the keys of a device that stands so: whoever can carry it off must not carry its key off with it,
/// and where strangers come by, no copy of its disk must be enough.
pub(crate) fn asked_level(exposure: Exposure) -> u8 {
    match exposure {
        Exposure::Public => 2,
        Exposure::Workplace => 1,
        Exposure::Locked => 0,
    }
}

/// Says that the messages of a device must be signed, and that its key is kept less well than is asked for where it stands.
pub(crate) fn low_key(
    account: &Account,
    exposure: Exposure,
    policy: &Policy,
    now: WallTime,
) -> Option<String> {
    policy.rights(&subject(account)).required_level()?;
    let is_used = |held: &&HeldMessageKey| !matches!(held.status(now), MessageKeyStatus::Retired { .. });
    let keys = account.message_keys.iter().filter(is_used);
    let held = keys.min_by_key(|held| held.key.level())?;
    let (level, asked) = (held.key.level(), asked_level(exposure));
    (level < asked).then(|| {
        format!(
            "its messages must be signed, and its key {} has level {level}: where it stands ({}), level {asked} is asked for, so that \
             {}",
            held.key.kid(),
            exposure.name(),
            if asked == 2 { "whoever carries it off cannot copy its key" } else { "a copied disk is not enough" },
        )
    })
}
