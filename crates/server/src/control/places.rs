//! Where devices stand, and where somebody works, on the control socket.

use super::accounts::Exposure;
use serde::{Deserialize, Serialize};

/// Says where a device stands: what is named is set, the rest stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlaceChange {
    /// The site, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Who can lay hands on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
    /// What connects it: an access point, a radio gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The fuse that it hangs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit: Option<String>,
    /// What it lives on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
    /// How often it is to report, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_secs: Option<u64>,
    /// The area that it is not to leave: latitude, longitude, radius in metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fence: Option<String>,
    /// What is not known any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<PlaceField>,
}

/// Names a part of where a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceField {
    /// The site.
    Site,
    /// Who can lay hands on it.
    Exposure,
    /// What connects it.
    Gateway,
    /// The fuse.
    Circuit,
    /// What it lives on.
    Power,
    /// How often it is to report.
    Interval,
    /// The area.
    Fence,
}

/// Says what a device lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// The mains.
    Mains,
    /// A battery of its own.
    Battery,
    /// A supply that outlasts the mains for a while.
    Ups,
}

/// Is a value, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub by: SaidBy,
}

/// Says where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaidBy {
    /// Somebody said it of the device.
    Device,
    /// The configuration says it of its site.
    Site,
    /// The configuration says it of its type.
    Type,
    /// Nobody said anything: it is what is taken then.
    Nobody,
}

/// Is where a device stands, and what it depends on there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceRow {
    /// Who can lay hands on it.
    pub exposure: Said<Exposure>,
    /// What connects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The fuse that it hangs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<String>,
    /// What it lives on.
    pub power: Said<Power>,
    /// How often it is to report, in seconds; learned if nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_secs: Option<Said<u64>>,
    /// The area that it is not to leave: latitude, longitude, radius in metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<String>,
    /// When a person last moved it on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<MovedRow>,
    /// The level that is asked of its keys where it stands, 0 to 3.
    pub asked_level: u8,
    /// What is weak about it there, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Says when a person moved a device on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedRow {
    /// When that was said.
    pub at_unix_ms: u64,
    /// Why; empty if nothing was said.
    pub because: String,
}

/// Is one maintenance window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceRow {
    /// What is worked on: `device:ID`, `site:NAME`, `gateway:SITE/NAME`, `circuit:SITE/NAME`, `everything`.
    pub scope: String,
    /// When it began.
    pub since_unix_ms: u64,
    /// When it ends.
    pub until_unix_ms: u64,
    /// Who opened it.
    pub by: String,
    /// Why.
    pub because: String,
    /// How many devices it covers.
    pub devices: usize,
}
