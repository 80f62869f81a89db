//! What is lost together, and by what: the broker, a site, its mains, a gateway, a circuit.

use super::Liveness;
use super::groups::{Together, reaches};
use super::losses::fact;
use super::outages::Outage;
use crate::event::{End, Scope, UnixMillis};
use crate::finding::{Class, Confidence, Evidence, Finding, Severity, Turn};
use keyward_ids::{DeviceId, SiteId};
use std::collections::BTreeMap;

/// How many of all are lost together at least when the broker is to blame.
const ALL_LEAST: u32 = 5;
/// Which part of what was lost together may be elsewhere: a fifth, for something else can fail in the same minute.
const ELSEWHERE: u32 = 5;

impl Liveness {
    /// Judges the groups that lost somebody, the largest first.
    pub(super) fn judge_groups(&mut self, now: UnixMillis) {
        if let Some(until) = self.blameless(now) {
            self.verdict = Some(until);
            return;
        }
        let touched = core::mem::take(&mut self.groups.touched);
        if touched.contains(&Scope::Everything) && self.judge_all(now) {
            // What else is lost is judged when that is over.
            self.groups.touched = touched;
            return;
        }
        let sites = touched.iter().filter(|scope| matches!(scope, Scope::Site(_)));
        for site in sites.clone() {
            self.judge_mains(now, site);
        }
        self.judge_parts(now, touched.iter());
        for site in sites {
            self.judge_site(now, site);
        }
    }

    fn together(&self, scope: &Scope, now: UnixMillis) -> Option<Together> {
        self.groups.together(scope, now, self.settings.together_ms, |_, _| true)
    }

    fn is_group(&self, together: &Together) -> bool {
        together.reaches(self.settings.group_percent, self.settings.group_least)
    }

    /// Blames the broker for what no single site explains.
    fn judge_all(&mut self, now: UnixMillis) -> bool {
        let Some(together) = self.together(&Scope::Everything, now) else { return false };
        let percent = self.settings.all_percent;
        let is_all = together.present.all == 0 && together.lost.all >= self.settings.group_least;
        if !is_all && !together.reaches(percent, ALL_LEAST) {
            return false;
        }
        let mut sites: BTreeMap<&Scope, u32> = BTreeMap::new();
        for site in together.devices.iter().filter_map(|id| self.devices.get(id)?.site()) {
            *sites.entry(site).or_default() += 1;
        }
        let largest = sites.into_iter().max_by_key(|(_, lost)| *lost);
        let (lost, present) = largest.map_or((0, 0), |(site, lost)| (lost, self.groups.present(site).all));
        let elsewhere = (together.lost.all - lost, together.present.all - present);
        if !reaches(elsewhere.0, elsewhere.1, percent, self.settings.group_least) {
            return false;
        }
        self.open(now, Scope::Everything, Class::OwnTrouble, Confidence::Medium, &together);
        true
    }

    /// Tells that a site lost the mains: what has a battery is there, what has none is not.
    fn judge_mains(&mut self, now: UnixMillis, site: &Scope) {
        let told = self.outages.open.get(site).map(|outage| outage.class);
        if told.is_some_and(|told| told != Class::SiteOutage) {
            return;
        }
        let Some(together) = self.together(site, now) else { return };
        let (mains, backed) = (together.lost.mains(), together.lost.backed);
        let are_backed_there =
            together.present.backed > 0 && backed * ELSEWHERE <= backed + together.present.backed;
        let is_mains = mains >= self.settings.group_least && together.present.mains() * 10 <= mains;
        if are_backed_there && is_mains {
            if told.is_some() {
                return self.call_power(now, site, "all that is left of it has a battery");
            }
            let confidence = if together.gasped > 0 { Confidence::High } else { Confidence::Medium };
            self.open(now, site.clone(), Class::SitePower, confidence, &together);
        }
    }

    /// Tells of gateways and circuits that explain what their site lost, of each site the one that explains it best.
    fn judge_parts<'a>(&mut self, now: UnixMillis, touched: impl Iterator<Item = &'a Scope>) {
        let mut best: BTreeMap<Option<SiteId>, (u32, bool, Scope, Class, Together)> = BTreeMap::new();
        for scope in touched {
            let (site, class) = match scope {
                Scope::Gateway(site, _) => (site, Class::GatewayLoss),
                Scope::Circuit(site, _) => (site, Class::CircuitLoss),
                _ => continue,
            };
            let Some(together) = self.judge_part(now, scope, site.as_ref()) else { continue };
            // A circuit that fails lets its devices say so.
            let fits = (together.gasped > 0) == (class == Class::CircuitLoss);
            let rank = (together.percent(), fits);
            if best.get(site).is_none_or(|(percent, fits, ..)| rank > (*percent, *fits)) {
                best.insert(site.clone(), (rank.0, rank.1, scope.clone(), class, together));
            }
        }
        for (_, _, scope, class, together) in best.into_values() {
            self.open(now, scope, class, Confidence::Medium, &together);
        }
    }

    /// Returns what a gateway or a circuit lost, if it was lost and no more than it.
    fn judge_part(&self, now: UnixMillis, scope: &Scope, site: Option<&SiteId>) -> Option<Together> {
        let site = site.map(|site| Scope::Site(site.clone()));
        let is_told = |scope: &Scope| self.outages.open.contains_key(scope);
        if is_told(scope) || site.as_ref().is_some_and(is_told) {
            return None;
        }
        let is_unexplained = |id: &DeviceId| {
            let groups = self.devices.get(id).map(|device| &device.groups);
            groups.is_none_or(|groups| !groups.iter().any(is_told))
        };
        let slack = self.settings.together_ms;
        let together = self
            .groups
            .together(scope, now, slack, |id, _| is_unexplained(id))
            .filter(|all| self.is_group(all))?;
        let Some(site) = site else { return Some(together) };
        let others = self.groups.present(&site).all - together.present.all;
        let lost = self.groups.lost_at(&site, together.moment).filter(|(id, _)| is_unexplained(id)).count();
        let elsewhere = lost.saturating_sub(together.devices.len());
        (others > 0 && elsewhere * (ELSEWHERE as usize) <= lost).then_some(together)
    }

    fn judge_site(&mut self, now: UnixMillis, site: &Scope) {
        let Some(together) = self.together(site, now).filter(|_| !self.outages.open.contains_key(site))
        else {
            return;
        };
        if !self.is_group(&together) {
            return;
        }
        let is_explained = |id: &&DeviceId| {
            self.devices
                .get(*id)
                .is_some_and(|device| device.groups.iter().any(|scope| self.outages.open.contains_key(scope)))
        };
        let unexplained = together.devices.len() - together.devices.iter().filter(is_explained).count();
        if unexplained * (ELSEWHERE as usize) <= together.devices.len() && together.present.all > 0 {
            return;
        }
        let (class, confidence) = if together.gasped * 3 >= together.lost.all {
            (Class::SitePower, Confidence::High)
        } else {
            (Class::SiteOutage, Confidence::Medium)
        };
        self.open(now, site.clone(), class, confidence, &together);
    }

    fn open(
        &mut self,
        now: UnixMillis,
        scope: Scope,
        class: Class,
        confidence: Confidence,
        together: &Together,
    ) {
        let (lost, moment) = (together.lost, together.moment);
        let mut evidence = vec![
            fact(moment.from, "the earliest moment"),
            fact(
                moment.to,
                format!("{} were lost at one moment, {} are there", lost.all, together.present.all),
            ),
        ];
        if together.present.backed > 0 || lost.backed > 0 {
            let (out, there) = (lost.backed, together.present.backed);
            evidence.push(fact(now, format!("of those with a battery {out} are lost, {there} are there")));
        }
        if together.gasped > 0 {
            evidence.push(fact(now, format!("{} said that their supply fails", together.gasped)));
        }
        self.open_since(now, scope, class, confidence, Severity::High, moment.from, evidence);
    }

    #[allow(clippy::too_many_arguments, reason = "a finding in parts")]
    fn open_since(
        &mut self,
        now: UnixMillis,
        scope: Scope,
        class: Class,
        confidence: Confidence,
        severity: Severity,
        since: UnixMillis,
        evidence: Vec<Evidence>,
    ) {
        let mut outage = Outage::new(class, confidence, severity, since);
        let members: Vec<_> =
            self.groups.lost_at(&scope, outage.moment()).map(|(id, _)| id.clone()).collect();
        outage.set_out(members.len() as u32);
        self.tell_outage(now, &scope, &outage, None, evidence);
        self.outages.open.insert(scope.clone(), outage);
        for id in members {
            self.fold_device(now, &id);
        }
        self.fold_outages(now, &scope, class);
    }

    /// Folds a device into the smallest group that is lost.
    fn fold_device(&mut self, now: UnixMillis, id: &DeviceId) {
        let Some(device) = self.devices.get(id) else { return };
        let Some(told) = &device.told else { return };
        if let Some(parent) = self.outages.over(&device.groups, told.loss.to) {
            self.fold(now, id, parent);
        }
    }

    /// Folds groups into a larger one that has come to be lost.
    fn fold_outages(&mut self, now: UnixMillis, larger: &Scope, class: Class) {
        let within: Vec<_> =
            self.outages.open.keys().filter(|scope| is_within(scope, larger)).cloned().collect();
        for scope in within {
            self.part_outage(now, &scope, Some((larger.clone(), class)));
        }
    }

    fn part_outage(&mut self, now: UnixMillis, scope: &Scope, part_of: Option<(Scope, Class)>) {
        let Some(outage) = self.outages.open.get_mut(scope).filter(|outage| outage.part_of != part_of) else {
            return;
        };
        outage.part_of = part_of;
        let (outage, what) = (outage.clone(), "what it is part of has changed");
        self.tell_outage(now, scope, &outage, None, vec![fact(now, what)]);
    }

    fn tell_outage(
        &mut self,
        now: UnixMillis,
        scope: &Scope,
        outage: &Outage,
        instead_of: Option<Class>,
        evidence: Vec<Evidence>,
    ) {
        self.push(Finding {
            at: now,
            scope: scope.clone(),
            class: outage.class,
            turn: Turn::Set,
            confidence: outage.confidence,
            severity: outage.severity,
            evidence,
            instead_of,
            part_of: outage.part_of.clone(),
        });
    }

    /// Counts what devices of a group say when they are back: a site that is silent without reason had no power if they started anew.
    pub(super) fn count_explained(
        &mut self,
        now: UnixMillis,
        groups: &[Scope],
        to: UnixMillis,
        class: Class,
    ) {
        for scope in groups {
            let Some(outage) = self.outages.open.get_mut(scope).filter(|outage| to >= outage.since) else {
                continue;
            };
            match class {
                Class::PowerLoss => outage.restarted += 1,
                Class::NetworkLoss | Class::Stalled => outage.ran += 1,
                _ => {}
            }
            if outage.was_power() {
                let (restarted, ran) = (outage.restarted, outage.ran);
                self.call_power(
                    now,
                    scope,
                    &format!("{restarted} of those that are back had lost their supply, {ran} had not"),
                );
            }
        }
    }

    /// Calls a site that is silent one without power.
    fn call_power(&mut self, now: UnixMillis, site: &Scope, why: &str) {
        let Some(outage) = self.outages.open.get_mut(site) else { return };
        let before = core::mem::replace(&mut outage.class, Class::SitePower);
        outage.confidence = Confidence::High;
        let outage = outage.clone();
        self.tell_outage(now, site, &outage, Some(before), vec![fact(now, why)]);
    }

    pub(super) fn end_outages(&mut self, now: UnixMillis) {
        while let Some((scope, outage)) = self.outages.pop(now) {
            self.end_outage(now, &scope, &outage, "nearly all are back");
        }
    }

    fn end_outage(&mut self, now: UnixMillis, scope: &Scope, outage: &Outage, why: &str) {
        self.push(Finding {
            at: now,
            scope: scope.clone(),
            class: outage.class,
            turn: Turn::Clear,
            confidence: Confidence::High,
            severity: Severity::Info,
            evidence: vec![fact(now, why)],
            instead_of: None,
            part_of: None,
        });
        if *scope == Scope::Everything {
            self.blameless_until = self.blameless_until.max(now.plus(self.settings.own_grace_ms));
            self.verdict.get_or_insert(self.blameless_until);
        }
        let within: Vec<_> =
            self.outages.open.keys().filter(|other| is_within(other, scope)).cloned().collect();
        for other in within {
            self.part_outage(now, &other, None);
        }
        let away: Vec<_> = self.groups.lost_at(scope, outage.moment()).map(|(id, _)| id.clone()).collect();
        for id in away {
            self.judge_again(now, &id);
        }
    }

    /// Gives a device that is still away the time to come back that others have, before it is judged alone.
    fn judge_again(&mut self, now: UnixMillis, id: &DeviceId) {
        let Some(device) = self.devices.get_mut(id) else { return };
        device.excuse(now);
        let reconnect_ms = self.settings.patience(device.exposure).reconnect_ms;
        if let Some(told) = &mut device.told {
            told.again = Some(now.plus(reconnect_ms));
        }
        self.arm(now, id);
    }

    pub(super) fn hear_own_trouble(&mut self, now: UnixMillis, is_on: bool) {
        let scope = Scope::Everything;
        if is_on {
            if !self.outages.open.contains_key(&scope) {
                // It takes a while to notice, here as with devices.
                let since = UnixMillis(now.0.saturating_sub(self.settings.own_grace_ms));
                let evidence = vec![fact(now, "the broker is in trouble, as it says itself")];
                let (confidence, severity) = (Confidence::High, Severity::High);
                self.open_since(now, scope.clone(), Class::OwnTrouble, confidence, severity, since, evidence);
            }
            if let Some(outage) = self.outages.open.get_mut(&scope) {
                outage.is_said = true;
            }
            self.outages.look(now, self.settings.group_back_ms, &scope);
        } else if let Some(outage) = self.outages.open.get_mut(&scope).filter(|outage| outage.is_said) {
            outage.is_said = false;
            if let Some(outage) = self.outages.take(&scope) {
                self.end_outage(now, &scope, &outage, "the broker is well again");
            }
        }
    }

    /// Goes on after a start of the broker: it knows why nothing was heard, and devices have time to come back.
    pub(super) fn restart(&mut self, now: UnixMillis) {
        self.hear_own_trouble(now, false);
        self.blameless_until = self.blameless_until.max(now.plus(self.settings.own_grace_ms));
        let linked = self.devices.iter().filter_map(|(id, device)| Some((id.clone(), device.link_number()?)));
        let links: Vec<_> = linked.collect();
        for (id, link) in links {
            self.part(now, &id, link, End::Server);
        }
    }

    /// Takes note that nobody called the watch for a while: the machine slept, or its clock was set.
    pub(super) fn note_own_absence(&mut self, now: UnixMillis, overdue: u64) {
        let grace = now.plus(self.settings.own_grace_ms);
        if self.outages.open.contains_key(&Scope::Everything) || self.blameless_until >= grace {
            return;
        }
        let what = format!(
            "the watch was called {} late: the machine slept, or its clock was set",
            super::losses::span(overdue)
        );
        let outage = Outage::new(Class::OwnTrouble, Confidence::High, Severity::Low, now);
        self.tell_outage(now, &Scope::Everything, &outage, None, vec![fact(now, what)]);
        self.end_outage(now, &Scope::Everything, &outage, "devices have time to come back");
    }
}

/// Tells whether a group is part of a larger one.
fn is_within(scope: &Scope, larger: &Scope) -> bool {
    match (scope, larger) {
        (Scope::Gateway(Some(site), _) | Scope::Circuit(Some(site), _), Scope::Site(larger)) => {
            site == larger
        }
        (scope, Scope::Everything) => *scope != Scope::Everything,
        _ => false,
    }
}
