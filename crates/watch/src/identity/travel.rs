//! Places that nobody travels between so fast.

use super::Settings;
use super::sign::Sign;
use crate::earth;
use crate::event::{Connection, End, Position, UnixMillis};
use crate::finding::{Class, Confidence, Severity};
use serde::{Deserialize, Serialize};

/// Remembers where a device was heard last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Travel(Option<Stay>);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Stay {
    link: u64,
    place: Position,
    /// When it was heard there.
    heard: UnixMillis,
}

impl Travel {
    pub(super) fn connect(
        &mut self,
        now: UnixMillis,
        connection: &Connection,
        settings: &Settings,
    ) -> Option<Sign> {
        let (north, east) = connection.source.location?;
        let place = Position { latitude: i32::from(north) * 10_000, longitude: i32::from(east) * 10_000 };
        let before = self.0.replace(Stay { link: connection.link, place, heard: now })?;
        let kilometres = earth::kilometres(before.place, place);
        let hours = now.since(before.heard) as f64 / 3_600_000.0;
        (kilometres - settings.location_error_km > settings.speed_kmh * hours).then(|| {
            let minutes = now.since(before.heard) / 60_000;
            let what = format!("it connected {kilometres:.0} km from where it was {minutes} min before");
            Sign::new(Class::ImpossibleTravel, Confidence::Medium, Severity::Medium, now, what)
        })
    }

    /// Takes that a device was heard on a link.
    pub(super) fn hear(&mut self, now: UnixMillis, link: u64) {
        if let Some(stay) = self.0.as_mut().filter(|stay| stay.link == link) {
            stay.heard = now;
        }
    }

    /// Takes the end of a link: who says goodbye, or is cut off, was there until then.
    pub(super) fn disconnect(&mut self, now: UnixMillis, link: u64, end: End) {
        if matches!(end, End::Disconnect | End::Closed) {
            self.hear(now, link);
        }
    }
}
