//! Sensors of one kind at one site, bin after bin.

use super::calibration::Calibration;
use super::fit::{Expected, FEWEST, Fit};
use super::member::Member;
use super::{BIN_MS, BINS, DAY};
use crate::event::UnixMillis;
use crate::finding::Severity;
use crate::limits;
use keyward_ids::DeviceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bins until something is said: three days to learn, one to calibrate.
const LEARNING: u64 = 4 * DAY as u64;
/// Within how long sensors step together, in milliseconds.
const TOGETHER_MS: u64 = 15 * 60_000;
/// After so long a new state of the world is no step any more, in milliseconds.
const STEP_MS: u64 = 6 * 60 * 60_000;
/// Bins after a step in which those that report seldom catch up.
const SETTLING: u64 = 2;

/// Compares sensors of one kind at one site.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Cluster {
    members: BTreeMap<DeviceId, Member>,
    /// The bin that is filled.
    bin: u64,
    /// When lines are fitted next.
    fits_at: u64,
    calibration: Calibration,
    multiplier: Option<f64>,
    /// Since when the world changes, and until which bin it is not compared.
    step: Option<UnixMillis>,
    settles_until: u64,
    is_torn: bool,
    /// What is to be told: of which sensors, and of all.
    #[serde(skip)]
    changed: Vec<(DeviceId, String)>,
    #[serde(skip)]
    words: Option<String>,
}

impl Cluster {
    pub(super) fn new(now: UnixMillis) -> Self {
        let bin = now.0 / BIN_MS;
        Self {
            members: BTreeMap::new(),
            bin,
            fits_at: bin.saturating_add(LEARNING),
            calibration: Calibration::default(),
            multiplier: None,
            step: None,
            settles_until: 0,
            is_torn: false,
            changed: Vec::new(),
            words: None,
        }
    }

    pub(super) fn holds(&self, name: &DeviceId) -> bool {
        self.members.contains_key(name)
    }

    pub(super) fn has_room(&self) -> bool {
        self.members.len() < limits::NEIGHBOURS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn add(&mut self, name: &DeviceId, value: f64) {
        self.members.insert(name.clone(), Member::new(value));
    }

    /// Returns whether it was there.
    pub(super) fn remove(&mut self, name: &DeviceId) -> bool {
        let was_there = self.members.remove(name).is_some();
        if self.members.is_empty() {
            (self.is_torn, self.step) = (false, None);
        }
        was_there
    }

    pub(super) fn relearn(&mut self, name: &DeviceId) {
        if let Some(member) = self.members.get_mut(name) {
            member.relearn();
        }
    }

    pub(super) fn lose_alignment(&mut self) {
        self.members.values_mut().for_each(Member::lose_alignment);
    }

    /// Returns as what a sensor was told.
    pub(super) fn told(&self, name: &DeviceId) -> Option<Severity> {
        self.members.get(name)?.told
    }

    /// Says with how many a sensor is compared, and how that stands.
    pub(super) fn known(&self, name: &DeviceId) -> String {
        let Some(member) = self.members.get(name) else { return String::new() };
        let (Some(fit), Some(multiplier)) = (&member.fit, self.multiplier) else {
            return "not compared: too few follow each other, or too little is known yet".to_owned();
        };
        let (peers, unit) = (fit.peers(), fit.scale * multiplier);
        let is_off = if member.told.is_some() { "; it disagrees" } else { "" };
        format!("compared with {peers}; off by {unit:.3} is usual{is_off}")
    }

    /// Tells whether more than half disagree.
    pub(super) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Tells whether many changed together.
    pub(super) fn is_stepping(&self) -> bool {
        self.step.is_some()
    }

    /// Returns of which sensors something else is to be told than before, and why.
    pub(super) fn take_changed(&mut self) -> Vec<(DeviceId, String)> {
        std::mem::take(&mut self.changed)
    }

    /// Returns what is to be told of all, if anything is.
    pub(super) fn take_words(&mut self) -> Option<String> {
        self.words.take()
    }

    /// Tells whether the bin that is filled is over: it is closed before more is read.
    pub(super) fn is_over(&self, now: UnixMillis) -> bool {
        now.0 / BIN_MS > self.bin
    }

    /// Takes a reading. Returns whether many stepped now.
    pub(super) fn read(&mut self, now: UnixMillis, name: &DeviceId, value: f64) -> bool {
        let stepped = self.members.get_mut(name).is_some_and(|member| member.read(now, value));
        stepped && self.begins_to_step(now, name)
    }

    /// Ends the bin that was filled, and begins that of `now`. Returns those that were not heard for as long as is remembered, and are forgotten.
    pub(super) fn close(
        &mut self,
        now: UnixMillis,
        is_worked_on: impl Fn(&DeviceId) -> bool,
    ) -> Vec<DeviceId> {
        let over = self.bin;
        self.bin = (now.0 / BIN_MS).max(over);
        for (name, member) in &mut self.members {
            member.close();
            if is_worked_on(name) {
                member.lose_alignment();
            }
        }
        self.end_step(now, over);
        let is_settled = self.step.is_none() && over >= self.settles_until;
        if is_settled {
            self.judge();
        }
        self.remember(over, is_settled);
        if self.bin >= self.fits_at {
            self.fits_at = self.bin.saturating_add(DAY as u64);
            self.fit(self.bin);
            return self.forget(now);
        }
        Vec::new()
    }

    /// Compares each with what its neighbours say.
    fn judge(&mut self) {
        let Some(multiplier) = self.multiplier else { return };
        let expected: Vec<Option<(f64, Expected)>> =
            self.members.values().map(|own| self.expect(own)).collect();
        let (mut judged, mut off) = (0, 0);
        for ((name, member), expected) in self.members.iter_mut().zip(expected) {
            let (Some((value, expected)), Some(fit)) = (expected, &member.fit) else { continue };
            let unit = fit.scale * multiplier;
            let do_peers_agree = expected.spread <= unit && !self.is_torn;
            let is_news = member.judge((value - expected.value) / unit, do_peers_agree);
            judged += 1;
            off += usize::from(member.told.is_some());
            if is_news {
                self.changed.push((name.clone(), words(value, &expected, unit)));
            }
        }
        let is_torn = off * 2 > judged && off >= FEWEST;
        if is_torn != self.is_torn {
            self.is_torn = is_torn;
            self.words = Some(format!("{off} of {judged} disagree: there is no telling which are right"));
            // Those that were told alone are part of it now, or no longer.
            let told = self.members.iter().filter(|(_, member)| member.told.is_some());
            self.changed
                .extend(told.map(|(name, _)| (name.clone(), "so do most of its neighbours".to_owned())));
        }
    }

    /// Returns what a sensor says and what it should.
    fn expect(&self, own: &Member) -> Option<(f64, Expected)> {
        let value = |name: &DeviceId| self.members.get(name).and_then(|peer| peer.value);
        Some((own.value?, own.fit.as_ref()?.expect(value)?))
    }

    /// Remembers a bin, and that nothing is known of those that were left out. What is off is nothing to learn from.
    fn remember(&mut self, over: u64, is_settled: bool) {
        if self.members.len() <= FEWEST {
            return;
        }
        let left_out = over + 1..self.bin.min(over + BINS as u64);
        for member in self.members.values_mut() {
            let value = member.value.filter(|_| is_settled && member.told.is_none());
            member.remember(over, value);
            left_out.clone().for_each(|bin| member.remember(bin, None));
        }
    }

    /// Fits all lines anew with the days before the last, and calibrates on that. What is off, or may be about to be, keeps the lines that say so.
    fn fit(&mut self, end: u64) {
        let bins = end.saturating_sub(BINS as u64)..end;
        let train = bins.start..end.saturating_sub(DAY as u64);
        let is_sound = |member: &Member| member.told.is_none() && !member.deviation.is_doubtful();
        let sound = self.members.iter().filter(|(_, member)| is_sound(member));
        let fits: Vec<_> =
            sound.map(|(name, _)| (name.clone(), Fit::find(&self.members, name, &train, end))).collect();
        for (name, fit) in fits {
            if let Some(member) = self.members.get_mut(&name) {
                member.fit = fit;
            }
        }
        self.calibration.learn(&self.members, end);
        self.multiplier = self.calibration.multiplier();
        self.give_up();
    }

    /// What is told of sensors that are compared with nothing any more is over.
    fn give_up(&mut self) {
        let is_compared =
            |member: &Member| member.fit.as_ref().is_some_and(|fit| fit.has_peers(&self.members));
        let given_up: Vec<DeviceId> = self
            .members
            .iter()
            .filter(|(_, member)| {
                member.told.is_some() && (self.multiplier.is_none() || !is_compared(member))
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in given_up {
            self.relearn(&name);
            self.changed
                .push((name, "it has no neighbours any more that it can be compared with".to_owned()));
        }
    }

    /// Looks whether others stepped with one: three at least, three fifths of those that were heard since, and these a third of all.
    fn begins_to_step(&mut self, now: UnixMillis, name: &DeviceId) -> bool {
        let since = UnixMillis(now.0.saturating_sub(TOGETHER_MS));
        let Some(step) = self.members.get(name).and_then(|member| member.steps.last(since)) else {
            return false;
        };
        if self.step.is_some() {
            return false;
        }
        let steps = self.members.values().filter_map(|member| member.steps.last(since));
        let together: Vec<_> = steps.filter(|other| (other.by > 0.0) == (step.by > 0.0)).collect();
        let first = together.iter().map(|step| step.at).min().unwrap_or(now);
        let able = self.members.values().filter(|member| member.steps.usual().is_some());
        let (all, heard) =
            able.fold((0, 0), |(all, heard), member| (all + 1, heard + usize::from(member.was_heard(first))));
        let stepped = together.len();
        let is_so = stepped >= FEWEST && stepped * 5 >= heard * 3 && heard * 3 >= all;
        if is_so {
            self.step = Some(first);
            self.words = Some(format!("{stepped} of {heard} that were heard changed together"));
        }
        is_so
    }

    /// Ends a step that most came back from, that most did not take part in after all, or that has lasted.
    fn end_step(&mut self, now: UnixMillis, over: u64) {
        // What was said in the bin of the step itself is half of before it.
        let Some(since) = self.step.filter(|since| over > since.0 / BIN_MS) else { return };
        let mut stands = 0;
        let mut heard = 0;
        for member in self.members.values().filter(|member| member.was_heard(since)) {
            let Some(value) = member.value else { continue };
            heard += 1;
            stands += usize::from(member.steps.last(since).is_some_and(|step| step.stands(value)));
        }
        if stands * 5 > heard * 2 && now.since(since) < STEP_MS {
            return;
        }
        self.step = None;
        self.settles_until = self.bin.saturating_add(SETTLING);
        self.words = Some("they are back, or it has lasted".to_owned());
        self.members.values_mut().for_each(|member| member.steps.forget());
    }

    fn forget(&mut self, now: UnixMillis) -> Vec<DeviceId> {
        let is_gone = |member: &Member| member.told.is_none() && member.is_forgotten(now);
        let gone: Vec<DeviceId> =
            self.members.iter().filter(|(_, member)| is_gone(member)).map(|(name, _)| name.clone()).collect();
        for name in &gone {
            self.members.remove(name);
        }
        gone
    }
}

/// Says how a sensor and its neighbours differ.
fn words(value: f64, expected: &Expected, unit: f64) -> String {
    let Expected { value: should, peers, .. } = expected;
    format!("{value:.2}, and {should:.2} by {peers} neighbours; {unit:.2} is usual")
}
