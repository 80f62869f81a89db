//! Sensors against their neighbours: one that says something else than those around it, and what the world around all of them does.
//!
//! Neighbours are sensors of one kind at one site: those whose streams have the same name but for the id of the device in it. Together they are a
//! [cluster](Cluster); of one with fewer than four nothing is said, and of a device without a site neither.
//!
//! Readings come at different times. They are compared in bins of a quarter of an hour ([`BIN_MS`]): a sensor's value there is the mean of what it said, or, if it
//! reports more seldom, what it said last. What it should say follows from each of its eight best correlated neighbours by a straight
//! line, and the middle of these counts (`fit`); so three that lie spoil nothing. What is left adds up (`deviation`). It is judged in units of what
//! uses to be left, times a number that each cluster calibrates on days that the lines have not seen (`calibration`).
//!
//! If many change together (`step`), the world did: [`Class::GroupStep`]. If more than half of a cluster are off, there is no telling who is right: the site is
//! told, and no culprit.
//!
//! After a pause, after work and after trouble of our own a sensor begins to add up anew; what it has learned stays. Nothing is said in the first
//! four days: three to learn, one to calibrate.

mod calibration;
mod cluster;
mod deviation;
mod fit;
mod member;
mod step;

use crate::event::{Event, Place, Scope, UnixMillis};
use crate::finding::{Class, Confidence, Evidence, Finding, Severity, Turn};
use crate::fleet::Fleet;
use crate::knowledge::Known;
use crate::limits;
use cluster::Cluster;
use keyward_ids::{DeviceId, SiteId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// How long a bin is, in milliseconds.
const BIN_MS: u64 = 15 * 60_000;
/// Bins of a day.
const DAY: usize = 96;
/// Bins that are remembered: seven days.
const BINS: usize = 7 * DAY;
/// How long after the world changed what is told of a sensor there still counts as part of that, in milliseconds.
const ECHO_MS: u64 = 30 * 60_000;

/// Compares sensors with their neighbours.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Neighbours {
    devices: BTreeMap<DeviceId, Home>,
    sites: BTreeMap<SiteId, Site>,
    streams: usize,
    /// The broker is in trouble itself: what comes, or does not, says nothing.
    is_troubled: bool,
    #[serde(skip)]
    strangers: Vec<DeviceId>,
}

/// Knows where a device is compared, and as what it was told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Home {
    site: Option<SiteId>,
    /// The kinds of its streams.
    kinds: Vec<Box<str>>,
    told: Option<Severity>,
    is_part: bool,
    /// Two of its sensors or more disagree.
    is_stranger: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Site {
    scope: Scope,
    clusters: BTreeMap<Box<str>, Cluster>,
    /// It was told that a cluster is at odds.
    is_torn: bool,
    /// It was told that the world changed here.
    is_stepping: bool,
    echo_until: UnixMillis,
}

impl Neighbours {
    pub(crate) fn handle(
        &mut self,
        now: UnixMillis,
        fleet: &Fleet,
        event: &Event,
        findings: &mut VecDeque<Finding>,
    ) {
        match event {
            Event::Registered { device, place } => self.register(now, device, place, findings),
            Event::Removed { device } => self.leave(now, device, "it was removed", findings),
            Event::MovedOnPurpose { device } => self.relearn(now, device, findings),
            Event::OwnTrouble { is_on } => self.lose_alignment(*is_on),
            Event::Restarted => self.lose_alignment(false),
            Event::Reading { device, stream, value } if value.is_finite() && !self.is_troubled => {
                self.read(now, fleet, (device, stream), *value, findings);
            }
            _ => {}
        }
    }

    /// Tells whether the world around a device changes now, or did a moment ago: then what is told of its readings is part of that.
    pub(crate) fn steps(&self, now: UnixMillis, device: &DeviceId) -> Option<Scope> {
        let site = self.sites.get(self.devices.get(device)?.site.as_ref()?)?;
        (site.is_stepping || now < site.echo_until).then(|| site.scope.clone())
    }

    /// Returns the devices of which two sensors disagree with their neighbours since it was asked last: they may be elsewhere.
    pub(crate) fn take_strangers(&mut self) -> Vec<DeviceId> {
        std::mem::take(&mut self.strangers)
    }

    /// Returns with what each sensor of a device is compared, and how that stands.
    pub(crate) fn known(&self, device: &DeviceId) -> Vec<Known> {
        let Some(home) = self.devices.get(device) else { return Vec::new() };
        let Some(site) = home.site.as_ref().and_then(|site| self.sites.get(site)) else { return Vec::new() };
        let kinds = home.kinds.iter().filter_map(|kind| Some((kind, site.clusters.get(kind)?)));
        kinds
            .map(|(kind, cluster)| Known::new("neighbours", format!("{kind}: {}", cluster.known(device))))
            .collect()
    }

    fn clusters<'a>(&'a self, home: &'a Home) -> impl Iterator<Item = &'a Cluster> {
        let site = home.site.as_ref().and_then(|site| self.sites.get(site));
        let of = move |kind| site.and_then(|site| site.clusters.get(kind));
        home.kinds.iter().filter_map(of)
    }

    fn lose_alignment(&mut self, is_troubled: bool) {
        self.is_troubled = is_troubled;
        let clusters = self.sites.values_mut().flat_map(|site| site.clusters.values_mut());
        clusters.for_each(Cluster::lose_alignment);
    }

    fn register(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        place: &Place,
        findings: &mut VecDeque<Finding>,
    ) {
        let site = &place.site;
        if self.devices.get(device).is_some_and(|home| home.site == *site) {
            return;
        }
        self.leave(now, device, "it stands at another site", findings);
        if let Some(site) = site {
            self.sites.entry(site.clone()).or_insert_with(|| Site::new(site));
        }
        self.devices.insert(device.clone(), Home { site: site.clone(), ..Home::default() });
    }

    /// Forgets a device and what was told of it.
    fn leave(&mut self, now: UnixMillis, device: &DeviceId, why: &str, findings: &mut VecDeque<Finding>) {
        let Some(home) = self.devices.remove(device) else { return };
        if home.told.is_some() {
            findings.push_back(finding(now, &of(device), Class::Disagrees, Turn::Clear, why));
        }
        let Some(name) = home.site else { return };
        let Some(site) = self.sites.get_mut(&name) else { return };
        for kind in &home.kinds {
            let Some(cluster) = site.clusters.get_mut(kind) else { continue };
            self.streams -= usize::from(cluster.remove(device));
            if cluster.is_empty() {
                site.clusters.remove(kind);
            }
        }
        site.tell(now, "those that said so are gone", findings);
        if site.clusters.is_empty() && !self.devices.values().any(|home| home.site.as_ref() == Some(&name)) {
            self.sites.remove(&name);
        }
    }

    /// Takes what a device says from now on for what it should.
    fn relearn(&mut self, now: UnixMillis, device: &DeviceId, findings: &mut VecDeque<Finding>) {
        let Some(home) = self.devices.get_mut(device) else { return };
        home.is_stranger = false;
        if home.told.take().is_some() {
            let why = "a person says that it was moved on purpose";
            findings.push_back(finding(now, &of(device), Class::Disagrees, Turn::Clear, why));
        }
        let Some(site) = home.site.as_ref().and_then(|site| self.sites.get_mut(site)) else { return };
        for kind in &home.kinds {
            if let Some(cluster) = site.clusters.get_mut(kind) {
                cluster.relearn(device);
            }
        }
        site.tell(now, "those that said so are gone", findings);
    }

    fn read(
        &mut self,
        now: UnixMillis,
        fleet: &Fleet,
        (device, stream): (&DeviceId, &str),
        value: f64,
        findings: &mut VecDeque<Finding>,
    ) {
        let Some(site) = self.devices.get(device).and_then(|home| home.site.clone()) else { return };
        let kind = kind(stream, device.as_str());
        if !self.admit(now, device, (&site, &kind), value) {
            return;
        }
        let place = (&site, &*kind);
        if self.cluster(place).is_some_and(|cluster| cluster.is_over(now)) {
            self.close(now, fleet, place, findings);
        }
        if self.cluster(place).is_some_and(|cluster| cluster.read(now, device, value)) {
            self.tell(now, place, findings);
        }
    }

    fn cluster(&mut self, (site, kind): (&SiteId, &str)) -> Option<&mut Cluster> {
        self.sites.get_mut(site)?.clusters.get_mut(kind)
    }

    /// Sees to it that a stream is in its cluster. Returns whether there is room for it.
    fn admit(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        (site, kind): (&SiteId, &str),
        value: f64,
    ) -> bool {
        let (Some(home), Some(site)) = (self.devices.get_mut(device), self.sites.get_mut(site)) else {
            return false;
        };
        let cluster = site.clusters.get(kind);
        if cluster.is_some_and(|cluster| cluster.holds(device)) {
            return true;
        }
        let is_room = self.streams < limits::COMPARED
            && home.kinds.len() < limits::SENSORS
            && kind.len() <= limits::SENSOR_NAME_BYTES
            && cluster.is_none_or(Cluster::has_room);
        if is_room {
            site.clusters.entry(kind.into()).or_insert_with(|| Cluster::new(now)).add(device, value);
            home.kinds.push(kind.into());
            self.streams += 1;
        }
        is_room
    }

    /// Ends a bin of a cluster, and tells what follows.
    fn close(
        &mut self,
        now: UnixMillis,
        fleet: &Fleet,
        place: (&SiteId, &str),
        findings: &mut VecDeque<Finding>,
    ) {
        let (site, kind) = place;
        let Some(cluster) = self.sites.get_mut(site).and_then(|site| site.clusters.get_mut(kind)) else {
            return;
        };
        for gone in cluster.close(now, |device| fleet.is_maintained(now, device)) {
            self.streams -= 1;
            if let Some(home) = self.devices.get_mut(&gone) {
                home.kinds.retain(|other| **other != *kind);
            }
        }
        self.tell(now, place, findings);
    }

    /// Tells what has changed of a cluster: of the site first, so that its sensors find what they are part of.
    fn tell(&mut self, now: UnixMillis, place: (&SiteId, &str), findings: &mut VecDeque<Finding>) {
        let Some(cluster) = self.cluster(place) else { return };
        let (changed, words) = (cluster.take_changed(), cluster.take_words());
        if let (Some(words), Some(site)) = (words, self.sites.get_mut(place.0)) {
            site.tell(now, &format!("{}: {words}", place.1), findings);
        }
        for (device, words) in changed {
            self.tell_device(now, place, &device, &words, findings);
        }
    }

    /// Tells of a device what its sensors say together, if that is news.
    fn tell_device(
        &mut self,
        now: UnixMillis,
        (site, kind): (&SiteId, &str),
        device: &DeviceId,
        words: &str,
        findings: &mut VecDeque<Finding>,
    ) {
        let Some(home) = self.devices.get(device) else { return };
        let told: Vec<Severity> = self.clusters(home).filter_map(|cluster| cluster.told(device)).collect();
        let severity = told.iter().copied().max();
        let torn = self.sites.get(site).filter(|site| site.clusters.get(kind).is_some_and(Cluster::is_torn));
        let part_of = torn.map(|site| (site.scope.clone(), Class::Disagrees));
        let is_part = part_of.is_some();
        let Some(home) = self.devices.get_mut(device) else { return };
        let was_stranger = std::mem::replace(&mut home.is_stranger, told.len() > 1 && !is_part);
        if home.is_stranger && !was_stranger {
            self.strangers.push(device.clone());
        }
        let is_news = severity > home.told || severity.is_some() && is_part && !home.is_part;
        let what = format!("{kind}: {words}");
        if is_news {
            let high = severity == Some(Severity::High);
            findings.push_back(Finding {
                confidence: if high { Confidence::High } else { Confidence::Medium },
                severity: severity.unwrap_or(Severity::Medium),
                part_of,
                ..finding(now, &of(device), Class::Disagrees, Turn::Set, &what)
            });
        } else if severity.is_none() && home.told.is_some() {
            findings.push_back(finding(now, &of(device), Class::Disagrees, Turn::Clear, &what));
        }
        home.is_part = is_part && severity.is_some();
        // What was told as grave stays so until it is over.
        home.told = severity.map(|severity| home.told.map_or(severity, |told| told.max(severity)));
    }
}

impl Site {
    fn new(id: &SiteId) -> Self {
        Self {
            scope: Scope::Site(id.clone()),
            clusters: BTreeMap::new(),
            is_torn: false,
            is_stepping: false,
            echo_until: UnixMillis::default(),
        }
    }

    /// Tells what concerns the site as a whole, if that is news.
    fn tell(&mut self, now: UnixMillis, what: &str, findings: &mut VecDeque<Finding>) {
        let is_torn = self.clusters.values().any(Cluster::is_torn);
        if is_torn != self.is_torn {
            self.is_torn = is_torn;
            findings.push_back(finding(now, &self.scope, Class::Disagrees, turn(is_torn), what));
        }
        let is_stepping = self.clusters.values().any(Cluster::is_stepping);
        if is_stepping != self.is_stepping {
            self.is_stepping = is_stepping;
            if !is_stepping {
                self.echo_until = now.plus(ECHO_MS);
            }
            findings.push_back(Finding {
                severity: Severity::Info,
                ..finding(now, &self.scope, Class::GroupStep, turn(is_stepping), what)
            });
        }
    }
}

fn of(device: &DeviceId) -> Scope {
    Scope::Device(device.clone())
}

fn turn(is_so: bool) -> Turn {
    if is_so { Turn::Set } else { Turn::Clear }
}

fn finding(now: UnixMillis, scope: &Scope, class: Class, turn: Turn, what: &str) -> Finding {
    let what = what.get(..what.floor_char_boundary(limits::EVIDENCE_BYTES)).unwrap_or_default();
    Finding {
        at: now,
        scope: scope.clone(),
        class,
        turn,
        confidence: Confidence::Medium,
        severity: Severity::Medium,
        evidence: vec![Evidence { at: now, what: what.into() }],
        instead_of: None,
        part_of: None,
    }
}

/// Returns the name of a stream with `+` where the name of its device stands, as a word of its own: what neighbours have in common.
fn kind(stream: &str, device: &str) -> Box<str> {
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = stream.as_bytes();
    let mut kind = String::with_capacity(stream.len());
    let mut rest = 0;
    for (at, _) in stream.match_indices(device) {
        let end = at + device.len();
        let begins = at == 0 || !is_word(bytes.get(at - 1));
        if at >= rest && begins && !is_word(bytes.get(end)) {
            kind.push_str(&stream[rest..at]);
            kind.push('+');
            rest = end;
        }
    }
    kind.push_str(&stream[rest..]);
    kind.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `limits.rs` says of a sensor.
    #[test]
    fn what_a_sensor_is_compared_with_takes_four_kilobytes() {
        const { assert!(member::BYTES + fit::BYTES <= 4 * 1_024) };
    }

    #[test]
    fn the_name_of_the_device_is_left_out_of_that_of_its_stream() {
        let cases = [
            ("d1/temperature", "d1", "+/temperature"),
            ("tele/d1/SENSOR AM2301 Temperature", "d1", "tele/+/SENSOR AM2301 Temperature"),
            ("id1/d12/d1x", "d1", "id1/d12/d1x"),
            ("hall/sensor_d1", "d1", "hall/sensor_+"),
            ("d1/d1", "d1", "+/+"),
            ("sensors/temperature", "d1", "sensors/temperature"),
            ("é/d1", "d1", "é/+"),
        ];
        for (stream, device, expected) in cases {
            assert_eq!(&*kind(stream, device), expected);
        }
    }
}
