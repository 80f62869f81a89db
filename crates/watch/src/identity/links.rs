//! From where a device connects: two sources that take each other's place, and a secret that was used up.

use super::Settings;
use super::sign::{First, Sign};
use crate::event::{Connection, End, Ratchet, Source, UnixMillis};
use crate::finding::{Class, Confidence, Evidence, Severity};
use crate::limits;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Is a source that took another's place.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Side {
    at: UnixMillis,
    network: u64,
    fingerprint: u64,
}

impl Side {
    fn new(at: UnixMillis, source: &Source) -> Self {
        Self { at, network: source.network, fingerprint: source.fingerprint }
    }

    /// Tells two programs at two places apart. One that changes its network keeps its fingerprint, and one that is updated its network.
    fn is_another(&self, other: &Self) -> bool {
        self.network != other.network && self.fingerprint != other.fingerprint
    }
}

/// Remembers the links of one device and who took whose place.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Links {
    /// Those that are open, the oldest first.
    open: VecDeque<(u64, Side)>,
    /// One whose place was taken by a link that was not yet heard of.
    taken: Option<Side>,
    /// Who took the place of whom, one after the other.
    sides: VecDeque<Side>,
    stale: First,
    #[serde(default)]
    empty: First,
}

/// Bytes behind it at most: a list has room for twice what it holds.
#[cfg(test)]
pub(super) const BYTES: usize = 2 * limits::LINKS * size_of::<(u64, Side)>() + 8 * size_of::<Side>();

impl Links {
    pub(super) fn connect(
        &mut self,
        now: UnixMillis,
        connection: &Connection,
        settings: &Settings,
    ) -> Option<Sign> {
        let side = Side::new(now, &connection.source);
        self.open.push_back((connection.link, side));
        if self.open.len() > limits::LINKS {
            self.open.pop_front();
        }
        let taken = self.taken.take();
        taken.and_then(|from| self.take_over(from, side, settings))
    }

    pub(super) fn disconnect(
        &mut self,
        now: UnixMillis,
        link: u64,
        end: End,
        settings: &Settings,
    ) -> Option<Sign> {
        let index = self.open.iter().position(|(open, _)| *open == link)?;
        let (_, from) = self.open.remove(index)?;
        if end != End::TakenOver {
            return None;
        }
        // The new link may be told of before the end of the old one or after it.
        let Some((_, to)) = self.open.back().copied().filter(|_| self.open.len() > index) else {
            self.taken = Some(from);
            return None;
        };
        self.take_over(from, Side { at: now, ..to }, settings)
    }

    /// Forgets all links: the broker has started.
    pub(super) fn restart(&mut self) {
        self.open.clear();
        self.taken = None;
    }

    /// Returns the link that is open, if it is the only one.
    pub(super) fn only(&self) -> Option<u64> {
        self.open.front().filter(|_| self.open.len() == 1).map(|(link, _)| *link)
    }

    /// Takes how a link answered for the rolling secret.
    pub(super) fn answer(&mut self, now: UnixMillis, ratchet: Ratchet, settings: &Settings) -> Option<Sign> {
        let (first, what) = match ratchet {
            Ratchet::Current => return None,
            Ratchet::Stale => {
                (&mut self.stale, "somebody connected with its credential and a secret that was used up")
            }
            Ratchet::Empty => (
                &mut self.empty,
                "somebody connected with its credential and no secret, though it was given some",
            ),
        };
        let sign = |confidence, severity| Sign::new(Class::StaleRatchet, confidence, severity, now, what);
        Some(match (first.note(now, settings.first_sign_ms), ratchet) {
            (None, _) => sign(Confidence::Medium, Severity::Medium),
            (Some(before), Ratchet::Stale) => {
                Sign::proven(Class::StaleRatchet, now, what).after(before, "the same before")
            }
            // It was erased, or somebody has read its password: that is no copy.
            (Some(before), _) => sign(Confidence::High, Severity::High).after(before, "the same before"),
        })
    }

    fn take_over(&mut self, from: Side, to: Side, settings: &Settings) -> Option<Sign> {
        if self
            .sides
            .back()
            .is_none_or(|last| last.network != from.network || last.fingerprint != from.fingerprint)
        {
            self.sides.clear();
            self.sides.push_back(from);
        }
        self.sides.push_back(to);
        let surplus = self.sides.len().saturating_sub(4);
        self.sides.drain(..surplus);
        let [first, second, third, fourth] = *self.sides.make_contiguous() else { return None };
        let is_back = |now: Side, before: Side| now.fingerprint == before.fingerprint;
        let alternates = first.is_another(&second)
            && third.is_another(&fourth)
            && is_back(third, first)
            && is_back(fourth, second)
            && fourth.at.since(second.at) <= settings.ping_pong_ms;
        alternates.then(|| ping_pong([second, third, fourth]))
    }
}

fn ping_pong(takeovers: [Side; 3]) -> Sign {
    let tell = |side: &Side| Evidence {
        at: side.at,
        what: format!("network {:x}, TLS {:x} took its place", side.network, side.fingerprint).into(),
    };
    Sign {
        class: Class::TakeoverPingPong,
        confidence: Confidence::High,
        severity: Severity::High,
        evidence: takeovers.iter().map(tell).collect(),
    }
}
