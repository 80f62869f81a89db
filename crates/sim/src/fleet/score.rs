//! Compares what a watch found with what was the case.

use super::{Fleet, Kind, Label, Plan};
use keyward_ids::{DeviceId, NameError};
use keyward_watch::event::{Event, Scope, UnixMillis};
use keyward_watch::finding::{Finding, Turn};
use keyward_watch::{Class, Watch};
use std::collections::{BTreeMap, BTreeSet};

/// Answers what it hears with findings, as [`Watch`] does.
pub trait Detector {
    /// Takes an event.
    fn handle(&mut self, now: UnixMillis, event: &Event);
    /// Lets time pass.
    fn handle_timeout(&mut self, now: UnixMillis);
    /// Returns when time has to pass.
    fn poll_timeout(&self) -> Option<UnixMillis>;
    /// Returns what was found.
    fn poll_finding(&mut self) -> Option<Finding>;
}

impl Detector for Watch {
    fn handle(&mut self, now: UnixMillis, event: &Event) {
        Self::handle(self, now, event);
    }

    fn handle_timeout(&mut self, now: UnixMillis) {
        Self::handle_timeout(self, now);
    }

    fn poll_timeout(&self) -> Option<UnixMillis> {
        Self::poll_timeout(self)
    }

    fn poll_finding(&mut self) -> Option<Finding> {
        Self::poll_finding(self)
    }
}

/// Is what came of some worlds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Score {
    /// How many worlds.
    pub worlds: u64,
    /// What was heard in them.
    pub events: u64,
    /// Devices times milliseconds of quiet days.
    pub quiet_device_ms: u64,
    /// One row for each name of a label.
    pub rows: BTreeMap<(Kind, &'static str), Row>,
    /// Findings that no label explains, without parts of larger ones.
    pub unexplained: BTreeMap<Class, Unexplained>,
    /// From the beginning of what somebody has to know until a right class named it, in milliseconds.
    pub times: BTreeMap<Class, Vec<u64>>,
}

/// Is what came of all labels of one name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// As in [`Label::rule`].
    pub rule: &'static str,
    /// As in [`Label::right`].
    pub right: &'static [Class],
    /// How many.
    pub labels: u64,
    /// For how many a right class was found.
    pub named: u64,
    /// For how many else a fitting one was.
    pub noticed: u64,
    /// For how many nothing was found, be it right or wrong.
    pub nothing: u64,
    /// For how many each class was found.
    pub answers: BTreeMap<Class, u64>,
    /// From when it could be known until a right class named it, in milliseconds; 0 for a good guess before.
    pub delays: Vec<u64>,
}

/// Counts findings that no label explains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unexplained {
    /// All that began.
    pub findings: u64,
    /// On how many somebody was called on a quiet day.
    pub quiet_pages: u64,
    /// On how many somebody was called later, between scenarios or for the wrong reason.
    pub later_pages: u64,
}

/// Lets a detector hear the world of a plan, and scores what it finds. `witness` is shown everything in its order.
///
/// # Errors
/// As [`Fleet::new`].
pub fn score(
    plan: Plan,
    detector: &mut impl Detector,
    mut witness: impl FnMut(UnixMillis, Seen<'_>),
) -> Result<Score, NameError> {
    let fleet = Fleet::new(plan)?;
    let mut judge = Judge::new(fleet.labels().to_vec(), fleet.quiet_until());
    let mut events = 0;
    for (now, event) in fleet {
        // One that is due again at a time that it was given waits for the event.
        let mut given = None;
        while let Some(due) = detector.poll_timeout().filter(|due| *due <= now && Some(*due) > given) {
            given = Some(due);
            detector.handle_timeout(due);
            judge.hear(detector, &mut witness);
        }
        witness(now, Seen::Event(&event));
        detector.handle(now, &event);
        judge.hear(detector, &mut witness);
        events += 1;
    }
    let quiet_device_ms = plan.devices as u64 * plan.days * super::DAY;
    Ok(Score { worlds: 1, events, quiet_device_ms, ..judge.done() })
}

/// Is what a witness of a world is shown.
#[derive(Debug)]
pub enum Seen<'a> {
    /// Something was heard.
    Event(&'a Event),
    /// Something was found.
    Finding(&'a Finding),
}

/// Knows what was the case, and compares.
struct Judge {
    labels: Vec<Label>,
    quiet_until: UnixMillis,
    /// The labels that concern each device, and those that concern something larger.
    of_device: BTreeMap<DeviceId, Vec<usize>>,
    larger: Vec<usize>,
    /// What was found for each label, and when first.
    found: Vec<BTreeMap<Class, UnixMillis>>,
    /// For what somebody was called, until it is over.
    called: BTreeSet<(Scope, Class)>,
    unexplained: BTreeMap<Class, Unexplained>,
}

impl Judge {
    fn new(labels: Vec<Label>, quiet_until: UnixMillis) -> Self {
        let mut of_device: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (number, label) in labels.iter().enumerate() {
            for device in &label.devices {
                of_device.entry(device.clone()).or_default().push(number);
            }
        }
        let larger = (0..labels.len()).filter(|number| !labels[*number].scopes.is_empty()).collect();
        let found = vec![BTreeMap::new(); labels.len()];
        Self {
            labels,
            quiet_until,
            of_device,
            larger,
            found,
            called: BTreeSet::new(),
            unexplained: BTreeMap::new(),
        }
    }

    fn hear(&mut self, detector: &mut impl Detector, witness: &mut impl FnMut(UnixMillis, Seen<'_>)) {
        while let Some(finding) = detector.poll_finding() {
            witness(finding.at, Seen::Finding(&finding));
            self.judge(&finding);
        }
    }

    fn judge(&mut self, finding: &Finding) {
        let subject = (finding.scope.clone(), finding.class);
        if finding.turn == Turn::Clear {
            self.called.remove(&subject);
            return;
        }
        let is_a_call = self.is_a_call(finding, subject);
        let about: Vec<usize> = self.about(finding);
        for number in &about {
            self.found[*number].entry(finding.class).or_insert(finding.at);
        }
        let is_explained = about.iter().any(|number| self.labels[*number].explains(finding.class));
        // What is part of something larger is right or wrong with that, and people see it there.
        if is_explained || finding.part_of.is_some() {
            return;
        }
        let unexplained = self.unexplained.entry(finding.class).or_default();
        unexplained.findings += 1;
        if is_a_call && finding.at < self.quiet_until {
            unexplained.quiet_pages += 1;
        } else if is_a_call {
            unexplained.later_pages += 1;
        }
    }

    /// Tells whether somebody is called: the finding is grave, no part of a larger one, and nobody was called for the same, or for what it takes the place of.
    fn is_a_call(&mut self, finding: &Finding, subject: (Scope, Class)) -> bool {
        let was_called =
            finding.instead_of.is_some_and(|class| self.called.remove(&(finding.scope.clone(), class)));
        if was_called {
            self.called.insert(subject);
            return false;
        }
        finding.severity.pages() && finding.part_of.is_none() && self.called.insert(subject)
    }

    /// Returns the labels of which a finding speaks.
    fn about(&self, finding: &Finding) -> Vec<usize> {
        let of_scope = match &finding.scope {
            Scope::Device(device) => self.of_device.get(device).map(Vec::as_slice).unwrap_or_default(),
            _ => &self.larger,
        };
        let concerns = |number: &usize| self.labels[*number].concerns(finding.at, &finding.scope);
        of_scope.iter().copied().filter(concerns).collect()
    }

    fn done(self) -> Score {
        let mut score = Score { unexplained: self.unexplained, ..Score::default() };
        for (label, found) in self.labels.iter().zip(self.found) {
            let row = score.rows.entry((label.kind, label.name)).or_default();
            (row.rule, row.right) = (label.rule, label.right);
            row.labels += 1;
            row.nothing += u64::from(found.is_empty());
            for class in found.keys() {
                *row.answers.entry(*class).or_default() += 1;
            }
            let named =
                found.iter().filter(|(class, _)| label.right.contains(class)).min_by_key(|(_, at)| **at);
            if let Some((class, at)) = named {
                row.named += 1;
                row.delays.push(at.since(label.knowable));
                if label.kind == Kind::Harm {
                    score.times.entry(*class).or_default().push(at.since(label.begins));
                }
            } else if found.keys().any(|class| label.fitting.contains(class)) {
                row.noticed += 1;
            }
        }
        score
    }
}

impl Score {
    /// Adds what came of other worlds.
    pub fn add(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.events += other.events;
        self.quiet_device_ms += other.quiet_device_ms;
        for (name, row) in other.rows {
            self.rows.entry(name).or_default().add(row);
        }
        for (class, more) in other.unexplained {
            let all = self.unexplained.entry(class).or_default();
            all.findings += more.findings;
            all.quiet_pages += more.quiet_pages;
            all.later_pages += more.later_pages;
        }
        for (class, times) in other.times {
            self.times.entry(class).or_default().extend(times);
        }
    }

    /// Returns on how many findings that no label explains somebody was called on quiet days, for 100 devices in a week.
    pub fn quiet_pages_per_100_devices_and_week(&self) -> f64 {
        let pages: u64 = self.unexplained.values().map(|unexplained| unexplained.quiet_pages).sum();
        let weeks = self.quiet_device_ms as f64 / (100 * 7 * super::DAY) as f64;
        if weeks > 0.0 { pages as f64 / weeks } else { 0.0 }
    }
}

impl Row {
    fn add(&mut self, other: Self) {
        (self.rule, self.right) = (other.rule, other.right);
        self.labels += other.labels;
        self.named += other.named;
        self.noticed += other.noticed;
        self.nothing += other.nothing;
        for (class, count) in other.answers {
            *self.answers.entry(class).or_default() += count;
        }
        self.delays.extend(other.delays);
    }
}

/// Returns the middle one; `None` of nothing.
pub fn median(values: &[u64]) -> Option<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests;
