//! What the broker found when it verified messages: numbers that nobody who counts can have given, replays, signatures that are none.

use super::Settings;
use super::sign::{First, Sign};
use crate::event::{Proof, UnixMillis};
use crate::finding::{Class, Confidence, Severity};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const HOUR_MS: u64 = 60 * 60_000;
const MINUTE_MS: u64 = 60_000;

/// Remembers the proofs of one device, as far as more than one is asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Proofs {
    behind: First,
    /// The newest replays, each message once.
    replays: VecDeque<(UnixMillis, u64)>,
    bad_signatures: VecDeque<UnixMillis>,
}

impl Proofs {
    pub(super) fn hear(&mut self, now: UnixMillis, proof: Proof, settings: &Settings) -> Option<Sign> {
        match proof {
            Proof::Equivocation => {
                Some(Sign::proven(Class::Equivocation, now, "one number stands under two different messages"))
            }
            Proof::NumberBehind => {
                let what = "a newly signed message has a number far below those that were seen";
                Some(self.behind(now, what, settings))
            }
            Proof::Replay { message } => self.replay(now, message, settings),
            Proof::BadSignature => self.bad_signature(now, settings),
        }
    }

    /// Takes a number that went back: a device that lost its count does that once, and one that was copied again and again.
    pub(super) fn behind(&mut self, now: UnixMillis, what: &str, settings: &Settings) -> Sign {
        match self.behind.note(now, settings.first_sign_ms) {
            Some(before) => Sign::proven(Class::NumbersBehind, now, what).after(before, "the same before"),
            None => Sign::new(Class::NumbersBehind, Confidence::High, Severity::High, now, what),
        }
    }

    /// Takes a replay. Anybody can have captured what is replayed: it says nothing of who holds the key.
    fn replay(&mut self, now: UnixMillis, message: u64, settings: &Settings) -> Option<Sign> {
        self.replays.retain(|(at, other)| now.since(*at) <= HOUR_MS && *other != message);
        self.replays.push_back((now, message));
        let surplus = self.replays.len().saturating_sub(settings.replays);
        self.replays.drain(..surplus);
        (self.replays.len() >= settings.replays).then(|| {
            let what = format!("{} old messages came again within an hour", self.replays.len());
            Sign::new(Class::Replay, Confidence::Medium, Severity::Medium, now, what)
        })
    }

    fn bad_signature(&mut self, now: UnixMillis, settings: &Settings) -> Option<Sign> {
        self.bad_signatures.retain(|at| now.since(*at) <= MINUTE_MS);
        self.bad_signatures.push_back(now);
        let surplus = self.bad_signatures.len().saturating_sub(settings.bad_signatures);
        self.bad_signatures.drain(..surplus);
        (self.bad_signatures.len() >= settings.bad_signatures).then(|| {
            let what = format!(
                "{} messages within a minute that must be signed were not, or not truly",
                self.bad_signatures.len()
            );
            Sign::new(Class::BadSignatures, Confidence::Medium, Severity::High, now, what)
        })
    }
}
