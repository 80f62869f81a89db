//! What an owner knows of the readings of a device, and says.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Is what was declared of the sensors of a device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// What is known of one sensor, by its name as in [`Event::Reading`](crate::Event::Reading).
    pub limits: BTreeMap<Box<str>, Limits>,
    /// What is known of several.
    pub relations: Vec<Relation>,
}

/// Is what a sensor cannot do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// The unit, as it is shown to people.
    pub unit: Box<str>,
    /// It says no less, in its unit.
    pub min: Option<f64>,
    /// It says no more.
    pub max: Option<f64>,
    /// It changes by no more in a second.
    pub per_second: Option<f64>,
}

impl Limits {
    /// Returns between which values it stays, if that is declared.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let is_declared = self.min.is_some() || self.max.is_some();
        is_declared.then(|| (self.min.unwrap_or(f64::NEG_INFINITY), self.max.unwrap_or(f64::INFINITY)))
    }
}

/// Is what sensors of one device cannot say together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Relation {
    /// One never says more than another: a dew point, a temperature.
    AtMost {
        /// The one.
        less: Box<str>,
        /// The other.
        more: Box<str>,
    },
    /// While one is not 0, another says more than so much: a pump, its flow.
    WhileOn {
        /// The one.
        switch: Box<str>,
        /// The other.
        stream: Box<str>,
        /// In its unit.
        above: f64,
    },
    /// One is the sum of others.
    Sum {
        /// The one.
        total: Box<str>,
        /// The others.
        parts: Vec<Box<str>>,
        /// By how much it may differ, in their unit.
        tolerance: f64,
    },
}

impl Relation {
    /// Returns the names of the sensors, in the order in which they stand.
    pub fn streams(&self) -> impl Iterator<Item = &str> {
        let (first, others) = match self {
            Self::AtMost { less, more } => (less, std::slice::from_ref(more)),
            Self::WhileOn { switch, stream, .. } => (switch, std::slice::from_ref(stream)),
            Self::Sum { total, parts, .. } => (total, parts.as_slice()),
        };
        std::iter::once(first).chain(others).map(|name| &**name)
    }
}
