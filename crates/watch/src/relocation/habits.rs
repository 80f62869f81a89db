//! From where a device uses to come.

use crate::event::{Source, UnixMillis};
use crate::limits;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Is what is new of a source; of several the one that says most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum News {
    Network(u64),
    System(u32),
    Country([u8; 2]),
}

impl News {
    pub(super) fn points(self) -> f64 {
        match self {
            Self::Network(_) => 1.0,
            Self::System(_) => 2.0,
            Self::Country(_) => 4.0,
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(_) => f.write_str("it came from a network that is new"),
            Self::System(number) => write!(f, "it came from the system AS{number}, which is new"),
            Self::Country(code) => {
                write!(f, "it came from the country {}, which is new", code.escape_ascii())
            }
        }
    }
}

/// Remembers the sources of one device.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Habits {
    networks: Known<u64>,
    systems: Known<u32>,
    countries: Known<[u8; 2]>,
}

/// Bytes behind it at most: a list has room for twice what it holds.
#[cfg(test)]
pub(super) const BYTES: usize = 2 * (limits::NETWORKS + limits::SYSTEMS + limits::COUNTRIES) * 16;

impl Habits {
    /// Takes a source. Returns what is new of it; of the first one nothing is.
    pub(super) fn learn(&mut self, now: UnixMillis, source: &Source, known_ms: u64) -> Option<News> {
        let network = self.networks.learn(now, source.network, limits::NETWORKS, known_ms);
        let system =
            source.system.filter(|system| self.systems.learn(now, *system, limits::SYSTEMS, known_ms));
        let country =
            source.country.filter(|country| self.countries.learn(now, *country, limits::COUNTRIES, known_ms));
        country
            .map(News::Country)
            .or(system.map(News::System))
            .or(network.then_some(News::Network(source.network)))
    }

    /// Returns from how many networks it is known to come.
    pub(super) fn networks(&self) -> usize {
        self.networks.0.len()
    }

    /// Takes that it was still there from where it came last.
    pub(super) fn stay(&mut self, now: UnixMillis) {
        self.networks.stay(now);
        self.systems.stay(now);
        self.countries.stay(now);
    }
}

/// Remembers what was seen within some time of the newest; the newest stands last, and is never too old: who was away for a month is still
/// known.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known<T>(Vec<(T, UnixMillis)>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> Known<T> {
    /// Returns whether it is new.
    fn learn(&mut self, now: UnixMillis, what: T, most: usize, known_ms: u64) -> bool {
        let is_first = self.0.is_empty();
        let before = self.0.len();
        self.0.retain(|(other, _)| *other != what);
        let is_new = self.0.len() == before;
        self.0.retain(|(_, at)| now.since(*at) <= known_ms);
        self.0.push((what, now));
        if self.0.len() > most {
            self.0.remove(0);
        }
        is_new && !is_first
    }

    fn stay(&mut self, now: UnixMillis) {
        if let Some((_, at)) = self.0.last_mut() {
            *at = now;
        }
    }
}
