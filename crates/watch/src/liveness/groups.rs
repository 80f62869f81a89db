//! How many of a group are there and how many are not, and which of these were lost at one moment.

use super::device::Loss;
use crate::event::{Scope, UnixMillis};
use keyward_ids::DeviceId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Losses that were noticed earlier are no longer asked whether they are part of something: a keep-alive of 20 minutes is noticed in half an hour.
const RECENT_MILLIS: u64 = 60 * 60_000;

/// Counts the devices of all groups: each device is in at most four.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Groups {
    all: BTreeMap<Scope, Group>,
    /// Groups that lost somebody since they were judged last.
    pub(super) touched: BTreeSet<Scope>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Group {
    present: Count,
    /// By when it was noticed.
    lost: BTreeMap<(UnixMillis, DeviceId), Absent>,
}

/// Is one that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Absent {
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
    pub(super) is_backed: bool,
    /// Whether it said that its supply failed.
    pub(super) gasped: bool,
}

/// Counts devices, and among them those that outlast the mains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) all: u32,
    pub(super) backed: u32,
}

impl Count {
    fn add(&mut self, is_backed: bool) {
        self.all += 1;
        self.backed += u32::from(is_backed);
    }

    fn take(&mut self, is_backed: bool) {
        self.all = self.all.saturating_sub(1);
        self.backed = self.backed.saturating_sub(is_backed.into());
    }

    pub(super) fn mains(self) -> u32 {
        self.all - self.backed
    }
}

/// Is a moment, as well as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
}

impl Moment {
    /// Tells whether a loss can have happened then.
    pub(super) fn explains(self, absent: &Absent) -> bool {
        absent.from <= self.to && absent.to >= self.from
    }
}

/// Is what a group lost at one moment.
#[derive(Debug, Clone)]
pub(super) struct Together {
    pub(super) moment: Moment,
    pub(super) lost: Count,
    pub(super) gasped: u32,
    /// Those that are there.
    pub(super) present: Count,
    pub(super) devices: Vec<DeviceId>,
}

impl Together {
    /// Tells whether so many of the group were lost.
    pub(super) fn reaches(&self, percent: u32, least: u32) -> bool {
        reaches(self.lost.all, self.present.all, percent, least)
    }

    /// Returns the share that was lost, in percent.
    pub(super) fn percent(&self) -> u32 {
        100 * self.lost.all / (self.lost.all + self.present.all).max(1)
    }
}

pub(super) fn reaches(lost: u32, present: u32, percent: u32, least: u32) -> bool {
    lost >= least && u64::from(lost) * 100 >= u64::from(percent) * (u64::from(lost) + u64::from(present))
}

impl Groups {
    pub(super) fn enter(&mut self, scopes: &[Scope], is_backed: bool) {
        for scope in scopes {
            self.all.entry(scope.clone()).or_default().present.add(is_backed);
        }
    }

    pub(super) fn leave(&mut self, scopes: &[Scope], is_backed: bool) {
        self.each(scopes, |group| group.present.take(is_backed));
    }

    pub(super) fn lose(&mut self, scopes: &[Scope], device: &DeviceId, loss: &Loss, absent: Absent) {
        for scope in scopes {
            let group = self.all.entry(scope.clone()).or_default();
            group.lost.insert((loss.noticed, device.clone()), absent);
            self.touched.insert(scope.clone());
        }
    }

    pub(super) fn find(&mut self, scopes: &[Scope], device: &DeviceId, loss: &Loss) {
        let key = (loss.noticed, device.clone());
        self.each(scopes, |group| _ = group.lost.remove(&key));
    }

    /// Does something to groups, and forgets those that are empty then.
    fn each(&mut self, scopes: &[Scope], mut change: impl FnMut(&mut Group)) {
        for scope in scopes {
            let Some(group) = self.all.get_mut(scope) else { continue };
            change(group);
            if group.present.all == 0 && group.lost.is_empty() {
                self.all.remove(scope);
                self.touched.remove(scope);
            }
        }
    }

    pub(super) fn present(&self, scope: &Scope) -> Count {
        self.all.get(scope).map(|group| group.present).unwrap_or_default()
    }

    /// Returns those of a group that are lost, if a moment explains it.
    pub(super) fn lost_at(
        &self,
        scope: &Scope,
        moment: Moment,
    ) -> impl Iterator<Item = (&DeviceId, &Absent)> {
        let recent = move |noticed: &UnixMillis| *noticed >= moment.from;
        let lost = self.all.get(scope).into_iter().flat_map(|group| group.lost.iter().rev());
        lost.take_while(move |((noticed, _), _)| recent(noticed))
            .filter(move |(_, absent)| moment.explains(absent))
            .map(|((_, device), absent)| (device, absent))
    }

    /// Returns the most that a group can have lost at one moment, of those that `counts`.
    pub(super) fn together(
        &self,
        scope: &Scope,
        now: UnixMillis,
        slack_ms: u64,
        counts: impl Fn(&DeviceId, &Absent) -> bool,
    ) -> Option<Together> {
        let group = self.all.get(scope)?;
        let since = UnixMillis(now.0.saturating_sub(RECENT_MILLIS));
        let recent: Vec<_> = group
            .lost
            .iter()
            .rev()
            .take_while(|((noticed, _), _)| *noticed >= since)
            .map(|((_, device), absent)| (device, absent))
            .filter(|(device, absent)| counts(device, absent))
            .collect();
        let moment = busiest(recent.iter().map(|(_, absent)| **absent), slack_ms)?;
        let mut together = Together {
            moment,
            lost: Count::default(),
            gasped: 0,
            present: group.present,
            devices: Vec::new(),
        };
        for (device, absent) in recent.into_iter().filter(|(_, absent)| moment.explains(absent)) {
            together.lost.add(absent.is_backed);
            together.gasped += u32::from(absent.gasped);
            together.devices.push(device.clone());
        }
        Some(together)
    }
}

/// Returns the moment, `slack_ms` long, in which the most of all losses can have happened; the latest, if there are several.
fn busiest(losses: impl Iterator<Item = Absent>, slack_ms: u64) -> Option<Moment> {
    // A window that ends at `t` holds a loss from `from` to `to` if `from <= t <= to + slack`.
    let mut turns: Vec<(UnixMillis, bool)> =
        losses.flat_map(|absent| [(absent.from, false), (absent.to.plus(slack_ms), true)]).collect();
    // At one time those that begin come first.
    turns.sort_unstable();
    let (mut open, mut most, mut best) = (0_u32, 0, None);
    for (at, ends) in turns {
        if ends {
            open -= 1;
            continue;
        }
        open += 1;
        if open >= most {
            most = open;
            best = Some(Moment { from: UnixMillis(at.0.saturating_sub(slack_ms)), to: at });
        }
    }
    best
}
