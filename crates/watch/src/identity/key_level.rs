//! A key that is less protected than the one before: whoever copies a device has no chip to copy its key into.

use super::Settings;
use super::sign::Sign;
use crate::event::{Claims, UnixMillis};
use crate::finding::Class;
use serde::{Deserialize, Serialize};

/// Remembers how well a device's keys are kept, and since when it uses none that is kept worse.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct KeyLevel(Option<(u8, UnixMillis)>);

impl KeyLevel {
    /// Returns the highest level that it has signed with.
    pub(super) fn highest(&self) -> Option<u8> {
        self.0.map(|(level, _)| level)
    }

    pub(super) fn hear(&mut self, now: UnixMillis, claims: Claims, settings: &Settings) -> Option<Sign> {
        let Some((level, since)) = self.0.as_mut() else {
            self.0 = Some((claims.key_level, now));
            return None;
        };
        if claims.key_level > *level {
            (*level, *since) = (claims.key_level, now);
        }
        // What was signed before the better key came is no fall, however late it comes.
        if claims.key_level == *level || claims.made <= since.plus(settings.clock_ahead_ms) {
            return None;
        }
        let was_settled = now.since(*since) > settings.level_settles_ms;
        *since = now;
        was_settled.then(|| {
            let what =
                format!("it signs with a key of level {} after one of level {level}", claims.key_level);
            Sign::proven(Class::KeyLevelFell, now, what)
        })
    }
}
