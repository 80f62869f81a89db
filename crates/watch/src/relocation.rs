//! Whether a device is still where it was: theft and relocation, by evidence that adds up and fades.
//!
//! Each kind of evidence counts once, with its points and its newest time, and by half after [`Settings::half_life_ms`]. Of network, system and
//! country the largest that is new counts alone: another provider, another address alone never reach the alarm. Rounded to whole points,
//! [`Settings::watch`] is worth a line ([`Class::Moved`], low), [`Settings::alarm`] a call. If nothing but the switch speaks it is
//! [`Class::Tampered`].
//!
//! Where at least a third of a site, and three devices, come from within an hour of each other, nobody was carried to: of that network or
//! system nothing counts then (`arrivals`). A country always does.
//!
//! What was worth a line is over when its points have faded. An alarm stays: a person says that the device was moved on purpose
//! ([`Event::MovedOnPurpose`]), or that it was not. Where somebody works, all but the switch counts half.

mod arrivals;
mod evidence;
mod habits;
mod whereabouts;

use crate::agenda::Agenda;
use crate::event::{Event, Source, UnixMillis};
use crate::finding::Finding;
use crate::fleet::Fleet;
use crate::knowledge::Known;
use arrivals::{Arrivals, Company};
use evidence::Kind;
use habits::News;
use keyward_ids::{DeviceId, SiteId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use whereabouts::{Around, Whereabouts};

const MINUTE_MS: u64 = 60_000;

/// When a device is taken to have been moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// After how long evidence counts half, in milliseconds. Default 30 minutes: who carries a device off connects it elsewhere soon, or
    /// never.
    pub half_life_ms: u64,
    /// From how many points on it is worth a line. Default 3.
    pub watch: f64,
    /// From how many points on somebody is called. Default 5.
    pub alarm: f64,
    /// Of how many points less than [`Self::watch`] it is over, as a part of it. Default 0.6, so that it does not come and go.
    pub clear: f64,
    /// For how long networks, systems and countries are known, in milliseconds. Default 7 days.
    pub known_ms: u64,
    /// How long a device has to be away so that it can have been carried, in milliseconds, and how young its start has to be so that it
    /// belongs to that. Default 10 minutes.
    pub carried_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            half_life_ms: 30 * MINUTE_MS,
            watch: 3.0,
            alarm: 5.0,
            clear: 0.6,
            known_ms: 7 * 24 * 60 * MINUTE_MS,
            carried_ms: 10 * MINUTE_MS,
        }
    }
}

/// Watches where the devices are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Relocation {
    #[serde(skip)]
    settings: Settings,
    devices: BTreeMap<DeviceId, Box<Whereabouts>>,
    #[serde(default)]
    sites: BTreeMap<SiteId, Arrivals>,
    agenda: Agenda,
}

impl Relocation {
    pub(crate) fn handle(
        &mut self,
        now: UnixMillis,
        event: &Event,
        fleet: &Fleet,
        findings: &mut VecDeque<Finding>,
    ) {
        let device = match event {
            Event::Registered { device, place } => {
                let known = self.devices.entry(device.clone()).or_default();
                let left = known.site.clone();
                self.change_site(left.as_ref(), place.site.as_ref());
                device
            }
            Event::Removed { device } => {
                let left = self.devices.remove(device).and_then(|known| known.site);
                self.change_site(left.as_ref(), None);
                self.agenda.set(device, None);
                return;
            }
            Event::Restarted => {
                self.devices.values_mut().for_each(|whereabouts| whereabouts.link = None);
                return;
            }
            Event::Connected { device, .. }
            | Event::Disconnected { device, .. }
            | Event::Heartbeat { device, .. }
            | Event::Fix { device, .. }
            | Event::Tamper { device, .. }
            | Event::MovedOnPurpose { device } => device,
            _ => return,
        };
        let news = match event {
            Event::Connected { connection, .. } => self.arrive(now, device, &connection.source, findings),
            _ => None,
        };
        let Some(whereabouts) = self.devices.get_mut(device) else { return };
        let around = Around { is_maintained: fleet.is_maintained(now, device), news };
        findings.extend(whereabouts.hear(now, device, event, around, &self.settings));
        self.agenda.set(device, whereabouts.fades(&self.settings));
    }

    /// Learns from where a device comes. Returns what is new of that, if it speaks for a device that was carried there.
    fn arrive(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        source: &Source,
        findings: &mut VecDeque<Finding>,
    ) -> Option<News> {
        let known_ms = self.settings.known_ms;
        let whereabouts = self.devices.get_mut(device)?;
        let news = whereabouts.habits.learn(now, source, known_ms)?;
        if matches!(news, News::Country(_)) {
            return Some(news);
        }
        let Some(site) = whereabouts.site.clone() else { return Some(news) };
        match self.sites.entry(site.clone()).or_default().note(now, news, known_ms) {
            Company::Few => return Some(news),
            Company::Enough => self.withdraw(now, &site, news, findings),
            Company::Known => {}
        }
        None
    }

    /// Takes back what was said of those of a site who came from there before it was clear that many do.
    fn withdraw(&mut self, now: UnixMillis, site: &SiteId, news: News, findings: &mut VecDeque<Finding>) {
        let of_site = |known: &Whereabouts| known.site.as_ref() == Some(site) && known.news == Some(news);
        for (device, known) in self.devices.iter_mut().filter(|(_, known)| of_site(known)) {
            findings.extend(known.withdraw(now, device, &self.settings));
            self.agenda.set(device, known.fades(&self.settings));
        }
    }

    /// Takes that a device belongs to another site.
    fn change_site(&mut self, from: Option<&SiteId>, to: Option<&SiteId>) {
        if let Some(from) = from
            && let Some(arrivals) = self.sites.get_mut(from)
        {
            arrivals.devices = arrivals.devices.saturating_sub(1);
            if arrivals.devices == 0 {
                self.sites.remove(from);
            }
        }
        if let Some(to) = to {
            self.sites.entry(to.clone()).or_default().devices += 1;
        }
    }

    /// Takes that two sensors of a device began to disagree with their neighbours.
    pub(crate) fn note_stranger(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        fleet: &Fleet,
        findings: &mut VecDeque<Finding>,
    ) {
        let Some(whereabouts) = self.devices.get_mut(device) else { return };
        let weight = if fleet.is_maintained(now, device) { 0.5 } else { 1.0 };
        let what = "several of its sensors disagree with those around it";
        whereabouts.add(now, Kind::Neighbours, weight * 2.0, what, &self.settings);
        findings.extend(whereabouts.judge(now, device, &self.settings));
        self.agenda.set(device, whereabouts.fades(&self.settings));
    }

    pub(crate) fn handle_timeout(&mut self, now: UnixMillis, findings: &mut VecDeque<Finding>) {
        while let Some(device) = self.agenda.pop(now) {
            let Some(whereabouts) = self.devices.get_mut(&device) else { continue };
            findings.extend(whereabouts.fade(now, &device));
        }
    }

    /// Says what is known of where it is.
    pub(crate) fn known(&self, now: UnixMillis, device: &DeviceId) -> Vec<Known> {
        let Some(whereabouts) = self.devices.get(device) else { return Vec::new() };
        let points = whereabouts.facts.points(now, self.settings.half_life_ms);
        let networks = whereabouts.habits.networks();
        let mut known = vec![Known::new(
            "whereabouts",
            format!(
                "known from {networks} network{}; {:.1} points that it is elsewhere, and {} are an alarm",
                if networks == 1 { "" } else { "s" },
                // A sum of nothing is -0.
                points + 0.0,
                self.settings.alarm
            ),
        )];
        if let Some(fence) = whereabouts.fence {
            let inside = if whereabouts.is_outside { "outside" } else { "inside, or never located" };
            known.push(Known::new("fence", format!("{} m; {inside}", fence.radius_m)));
        }
        known.extend(whereabouts.facts.evidence().iter().map(|fact| Known::new("sign", fact.what.clone())));
        known
    }

    pub(crate) fn poll_timeout(&self) -> Option<UnixMillis> {
        self.agenda.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `limits.rs` says of a device.
    #[test]
    fn what_is_known_of_where_a_device_is_takes_three_kilobytes() {
        let bytes = size_of::<Whereabouts>() + evidence::BYTES + habits::BYTES;
        assert!(bytes <= 3 * 1_024, "{bytes}");
    }
}
