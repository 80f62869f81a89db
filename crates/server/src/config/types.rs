//! What is particular of a type of device: how it logs in, how long its certificates last, what the watch is to expect of it.

use super::{
    error::{ConfigError, Places},
    file,
    unit::Span,
};
use crate::login::LoginRule;
use keyward_identity::{Exposure, Lifetimes, Power, limits};
use keyward_ids::TypeId;
use std::collections::BTreeMap;
use toml::Spanned;

/// The most types of devices with settings of their own.
pub const MAX_TYPES: usize = 256;

/// Holds what is particular of a type of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceType {
    /// What its devices must show, beside what the listener demands; `None` leaves that to the listener.
    pub login: Option<LoginRule>,
    /// How long its certificates last, in days; `None` leaves what all devices have.
    pub device_days: Option<u32>,
    /// How often its devices are to report, in seconds; `None` has it learned.
    pub interval_secs: Option<u64>,
    /// What its devices live on.
    pub power: Option<Power>,
    /// Who can lay hands on its devices, where neither they nor their site say so.
    pub exposure: Option<Exposure>,
}

pub(super) fn validate(
    raw: &BTreeMap<Spanned<String>, file::DeviceType>,
    places: &Places<'_>,
) -> Result<BTreeMap<TypeId, DeviceType>, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut valid = BTreeMap::new();
    if let Some(extra) = raw.keys().nth(MAX_TYPES) {
        errors.push(places.error(&extra.span(), format!("at most {MAX_TYPES} types")));
    }
    for (name, settings) in raw.iter().take(MAX_TYPES) {
        let device_days = settings.device_lifetime.as_ref().map(|span| days(span, places)).transpose();
        let interval_secs = settings.interval.as_ref().map(|span| interval(span, places)).transpose();
        match (TypeId::parse(name.get_ref()), device_days, interval_secs) {
            (Ok(name), Ok(device_days), Ok(interval_secs)) => {
                let login = settings.login.as_ref().map(|login| *login.get_ref());
                let (power, exposure) = (settings.power, settings.exposure);
                valid.insert(name, DeviceType { login, device_days, interval_secs, power, exposure });
            }
            (Err(_), _, _) => errors.push(places.error(&name.span(), "the name of a device type")),
            (_, days, interval) => errors.extend(days.err().into_iter().chain(interval.err())),
        }
    }
    if errors.is_empty() { Ok(valid) } else { Err(errors) }
}

/// Returns the time from one report to the next, in seconds.
fn interval(span: &Spanned<Span>, places: &Places<'_>) -> Result<u64, ConfigError> {
    let secs = span.get_ref().0.as_secs();
    match (1..=limits::INTERVAL_SECONDS).contains(&secs) {
        true => Ok(secs),
        false => Err(places.error(&span.span(), "a time from 1 s to 30 days")),
    }
}

/// Returns a lifetime of certificates in days.
pub(super) fn days(span: &Spanned<Span>, places: &Places<'_>) -> Result<u32, ConfigError> {
    let days = u32::try_from(span.get_ref().0.as_secs() / 86_400).unwrap_or(u32::MAX);
    if (1..=Lifetimes::default().device).contains(&days) {
        return Ok(days);
    }
    Err(places.error(&span.span(), "a time from 1 day to 10 years"))
}
