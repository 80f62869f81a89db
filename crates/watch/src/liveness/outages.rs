//! What whole groups suffer: told once, with what is lost by it folded in, until most of it is back.

use super::groups::Moment;
use crate::event::{Scope, UnixMillis};
use crate::finding::{Class, Confidence, Severity};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which part of what was lost may stay away while the group counts as back: a fifth.
const REST: u32 = 5;

/// Holds what is told of groups now, one of each at most.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Outages {
    pub(super) open: BTreeMap<Scope, Outage>,
    ending: BTreeSet<(UnixMillis, Scope)>,
}

/// Is one group that is lost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Outage {
    pub(super) class: Class,
    pub(super) confidence: Confidence,
    pub(super) severity: Severity,
    /// What was lost since is part of it.
    pub(super) since: UnixMillis,
    pub(super) part_of: Option<(Scope, Class)>,
    /// How many are away now, and how many were at most.
    out: u32,
    most: u32,
    /// How many said when they were back that they had lost their supply, and that they ran all the time.
    pub(super) restarted: u32,
    pub(super) ran: u32,
    /// Whether it is so because somebody says so.
    pub(super) is_said: bool,
    ending: Option<UnixMillis>,
}

impl Outage {
    pub(super) fn new(class: Class, confidence: Confidence, severity: Severity, since: UnixMillis) -> Self {
        Self {
            class,
            confidence,
            severity,
            since,
            part_of: None,
            out: 0,
            most: 0,
            restarted: 0,
            ran: 0,
            is_said: false,
            ending: None,
        }
    }

    /// Returns what is part of it: what was lost since.
    pub(super) fn moment(&self) -> Moment {
        Moment { from: self.since, to: UnixMillis(u64::MAX) }
    }

    /// Tells whether those that are back say mostly that their supply had failed.
    pub(super) fn was_power(&self) -> bool {
        self.class == Class::SiteOutage && self.restarted >= 2 && self.restarted > 2 * self.ran
    }

    pub(super) fn set_out(&mut self, out: u32) {
        (self.out, self.most) = (out, out);
    }

    fn is_nearly_over(&self) -> bool {
        !self.is_said && self.out * REST <= self.most
    }
}

impl Outages {
    /// Returns the smallest of these groups that is lost, if that explains a loss up to `to`.
    pub(super) fn over(&self, groups: &[Scope], to: UnixMillis) -> Option<(Scope, Class)> {
        let explains = |scope: &&Scope| self.open.get(scope).is_some_and(|outage| to >= outage.since);
        groups.iter().find(explains).map(|scope| (scope.clone(), self.open[scope].class))
    }

    /// Counts one more that is away, or one less.
    pub(super) fn count(
        &mut self,
        now: UnixMillis,
        back_ms: u64,
        groups: &[Scope],
        to: UnixMillis,
        is_away: bool,
    ) {
        for scope in groups {
            let Some(outage) = self.open.get_mut(scope) else { continue };
            if to < outage.since {
                continue;
            }
            outage.out = if is_away { outage.out + 1 } else { outage.out.saturating_sub(1) };
            outage.most = outage.most.max(outage.out);
            self.look(now, back_ms, scope);
        }
    }

    /// Begins or ends the time after which a group counts as back.
    pub(super) fn look(&mut self, now: UnixMillis, back_ms: u64, scope: &Scope) {
        let Some(outage) = self.open.get_mut(scope) else { return };
        if outage.is_nearly_over() {
            let at = *outage.ending.get_or_insert(now.plus(back_ms));
            self.ending.insert((at, scope.clone()));
        } else if let Some(at) = outage.ending.take() {
            self.ending.remove(&(at, scope.clone()));
        }
    }

    /// Takes out one, whether it is over or not.
    pub(super) fn take(&mut self, scope: &Scope) -> Option<Outage> {
        let outage = self.open.remove(scope)?;
        if let Some(at) = outage.ending {
            self.ending.remove(&(at, scope.clone()));
        }
        Some(outage)
    }

    pub(super) fn next(&self) -> Option<UnixMillis> {
        self.ending.first().map(|(at, _)| *at)
    }

    /// Takes out one that is over.
    pub(super) fn pop(&mut self, now: UnixMillis) -> Option<(Scope, Outage)> {
        self.next().filter(|at| *at <= now)?;
        let (_, scope) = self.ending.pop_first()?;
        let outage = self.open.remove(&scope)?;
        Some((scope, outage))
    }
}
