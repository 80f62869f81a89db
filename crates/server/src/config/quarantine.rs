//! What the broker does by itself about devices of which two hold the key.

use super::{
    error::{ConfigError, Places},
    file,
};
use keyward_ids::{DeviceId, Identity, TypeId};

/// The most entries of `never`.
pub const MAX_NEVER: usize = 1_000;

/// Holds what the broker does by itself about devices of which two hold the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// Whether proof that two hold a message key puts its device into quarantine. It is an incident in either case.
    pub two_holders: bool,
    /// Devices that only a person puts there.
    pub never: Vec<Exception>,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { two_holders: true, never: Vec::new() }
    }
}

/// Names a device, or devices, that only a person puts into quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exception {
    /// This one.
    Device(DeviceId),
    /// Those of a type.
    Type(TypeId),
}

impl Exception {
    /// Tells whether it names a device of this type.
    pub fn names(&self, identity: &Identity, device_type: Option<&TypeId>) -> bool {
        match self {
            Self::Device(id) => matches!(identity, Identity::Device(it) if it == id),
            Self::Type(name) => device_type == Some(name),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("device", id) => DeviceId::parse(id).ok().map(Self::Device),
            ("type", name) => TypeId::parse(name).ok().map(Self::Type),
            _ => None,
        }
    }
}

pub(super) fn validate(raw: &file::Quarantine, places: &Places<'_>) -> Result<Quarantine, Vec<ConfigError>> {
    let mut errors = Vec::new();
    if let Some(extra) = raw.never.get(MAX_NEVER) {
        errors.push(places.error(&extra.span(), format!("at most {MAX_NEVER} entries")));
    }
    let mut never = Vec::new();
    for given in raw.never.iter().take(MAX_NEVER) {
        match Exception::parse(given.get_ref()) {
            Some(exception) => never.push(exception),
            None => errors.push(places.error(&given.span(), "\"device:ID\" or \"type:NAME\"")),
        }
    }
    match errors.is_empty() {
        true => Ok(Quarantine { two_holders: raw.two_holders.unwrap_or(true), never }),
        false => Err(errors),
    }
}
