//! From where the devices of one site come together: a site that changes its provider, or gets another address after a power cut, carries nobody off.

use super::habits::News;
use crate::event::UnixMillis;
use crate::limits;
use serde::{Deserialize, Serialize};

/// Within what time of each other devices have to come so that they come together, in milliseconds.
const TOGETHER_MS: u64 = 60 * 60_000;
/// As many of a site as come together at least before that says something: who carries off two does not hide it by that.
const LEAST: usize = 3;
/// The part of a site that has to.
const PART: usize = 3;

/// Knows from where devices of one site came that never came from there before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Arrivals {
    /// How many devices the site has.
    pub(super) devices: usize,
    newest: Vec<Arrival>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Arrival {
    news: News,
    devices: usize,
    last: UnixMillis,
}

/// Says what it means for one that it comes from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    /// It is alone, or one of few.
    Few,
    /// With it there are so many that none of them was carried off.
    Enough,
    /// There were so many before.
    Known,
}

impl Arrivals {
    /// Takes that a device came from where it never came from.
    pub(super) fn note(&mut self, now: UnixMillis, news: News, known_ms: u64) -> Company {
        let wanted = LEAST.max(self.devices.div_ceil(PART));
        self.newest.retain(|arrival| {
            let valid_ms = if arrival.devices >= wanted { known_ms } else { TOGETHER_MS };
            now.since(arrival.last) <= valid_ms
        });
        let place = self.newest.iter().position(|arrival| arrival.news == news);
        let mut arrival =
            place.map_or(Arrival { news, devices: 0, last: now }, |place| self.newest.remove(place));
        (arrival.devices, arrival.last) = (arrival.devices + 1, now);
        let company = match arrival.devices {
            devices if devices < wanted => Company::Few,
            devices if devices == wanted => Company::Enough,
            _ => Company::Known,
        };
        if self.newest.len() >= limits::ARRIVALS {
            self.newest.remove(0);
        }
        self.newest.push(arrival);
        company
    }
}
