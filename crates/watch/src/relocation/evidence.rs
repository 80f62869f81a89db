//! Evidence that a device was moved, with its points.

use crate::event::UnixMillis;
use crate::finding::Evidence;
use crate::limits;
use serde::{Deserialize, Serialize};

/// Is a kind of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// A switch that notices tampering.
    Switch,
    /// Its own location.
    Fence,
    /// Where its link comes from.
    Source,
    /// It was away for a while.
    Away,
    /// It was switched off.
    PowerCycle,
    /// Its sensors say something else than those around it.
    Neighbours,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fact {
    kind: Kind,
    points: f64,
    seen: Evidence,
}

impl Fact {
    fn points(&self, now: UnixMillis, half_life_ms: u64) -> f64 {
        let half_lives = now.since(self.seen.at) as f64 / half_life_ms.max(1) as f64;
        self.points * (-half_lives).exp2()
    }
}

/// Holds the newest evidence of each kind, in the order of time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Facts {
    facts: Vec<Fact>,
    has_news: bool,
}

/// Bytes behind it at most: a list has room for twice what it holds.
#[cfg(test)]
pub(super) const BYTES: usize = 8 * size_of::<Fact>() + 6 * limits::EVIDENCE_BYTES;

impl Facts {
    /// Adds evidence in place of that of its kind, unless that is worth more still. Returns whether it was added.
    pub(super) fn add(
        &mut self,
        at: UnixMillis,
        kind: Kind,
        points: f64,
        half_life_ms: u64,
        what: &str,
    ) -> bool {
        self.has_news |= !self.facts.iter().any(|fact| fact.kind == kind);
        let is_worth_more = |fact: &Fact| fact.kind == kind && fact.points(at, half_life_ms) > points;
        if self.facts.iter().any(is_worth_more) {
            return false;
        }
        self.facts.retain(|fact| fact.kind != kind);
        let what = format!("{what} ({points} points)");
        let what = what.get(..what.floor_char_boundary(limits::EVIDENCE_BYTES)).unwrap_or_default();
        self.facts.push(Fact { kind, points, seen: Evidence { at, what: what.into() } });
        true
    }

    /// Takes evidence of a kind back.
    pub(super) fn withdraw(&mut self, kind: Kind) {
        self.facts.retain(|fact| fact.kind != kind);
    }

    /// Returns what all of it is worth now.
    pub(super) fn points(&self, now: UnixMillis, half_life_ms: u64) -> f64 {
        self.facts.iter().map(|fact| fact.points(now, half_life_ms)).sum()
    }

    /// Tells whether nothing but a switch says anything that counts.
    pub(super) fn is_switch_alone(&self, now: UnixMillis, half_life_ms: u64) -> bool {
        let others = self.facts.iter().filter(|fact| fact.kind != Kind::Switch);
        others.map(|fact| fact.points(now, half_life_ms)).sum::<f64>() < 1.0
    }

    /// Returns when it is worth less than so many points.
    pub(super) fn below(&self, points: f64, half_life_ms: u64) -> UnixMillis {
        let newest = self.facts.iter().map(|fact| fact.seen.at).max().unwrap_or_default();
        let half_lives = (self.points(newest, half_life_ms) / points).log2().max(0.0);
        newest.plus((half_lives * half_life_ms as f64) as u64 + 1)
    }

    /// Has it told again, though its kind is known.
    pub(super) fn note_news(&mut self) {
        self.has_news = true;
    }

    /// Tells whether evidence of a kind was added that was not there, since it was asked last.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    pub(super) fn evidence(&self) -> Vec<Evidence> {
        self.facts.iter().map(|fact| fact.seen.clone()).collect()
    }
}
