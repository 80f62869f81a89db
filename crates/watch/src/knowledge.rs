//! What the watch knows of one device, for whoever asks why it said something, or nothing.

use crate::event::{Exposure, Place, Power, UnixMillis};
use serde::{Deserialize, Serialize};

/// Is one thing that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// What it is about, in a word or two.
    pub about: Box<str>,
    /// What is known, for people.
    pub what: Box<str>,
}

impl Known {
    pub(crate) fn new(about: &str, what: impl Into<Box<str>>) -> Self {
        Self { about: about.into(), what: what.into() }
    }
}

/// Says a span in words: `90 s`, `25 min`, `3 h`, `4 days`.
pub(crate) fn span(millis: u64) -> String {
    let secs = millis / 1_000;
    match secs {
        0..120 => format!("{secs} s"),
        120..7_200 => format!("{} min", secs / 60),
        7_200..172_800 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

/// Says how long ago, or in how long, something is.
pub(crate) fn when(now: UnixMillis, at: UnixMillis) -> String {
    if at > now { format!("in {}", span(at.since(now))) } else { format!("{} ago", span(now.since(at))) }
}

/// Says where a device stands.
pub(crate) fn of_place(place: &Place, maintained: Option<String>) -> impl Iterator<Item = Known> {
    let exposure = match place.exposure {
        Exposure::Locked => "locked: those with a key to the room reach it",
        Exposure::Workplace => "workplace: those who work there reach it",
        Exposure::Public => "public: everybody reaches it",
    };
    let power = match place.power {
        Power::Mains => "mains",
        Power::Battery => "battery",
        Power::Ups => "a supply that outlasts the mains",
    };
    let named = |about, name: Option<String>| name.map(|name| Known::new(about, name));
    [
        named("site", place.site.as_ref().map(ToString::to_string)),
        named("gateway", place.gateway.as_ref().map(ToString::to_string)),
        named("circuit", place.circuit.as_ref().map(ToString::to_string)),
        Some(Known::new("exposure", exposure)),
        Some(Known::new("power", power)),
        named("maintenance", maintained),
    ]
    .into_iter()
    .flatten()
}
