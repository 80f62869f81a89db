//! Incidents: what findings become for people. A finding is a moment; an incident has a number, a beginning, an end, a history and somebody
//! who looks after it.
//!
//! How to use it. [`Incidents::handle`] takes the findings of the [`Watch`](crate::Watch) in their order; people's words come in by
//! [`acknowledge`](Incidents::acknowledge) and [`resolve`](Incidents::resolve); let time pass when [`poll_timeout`](Incidents::poll_timeout)
//! says so; [`poll_change`](Incidents::poll_change) tells what is to be published, and whom to call.
//!
//! So that few alarms are false and none is told ten times:
//! - Of one scope and class there is one incident at a time. What is found again is counted, not told again.
//! - It ends when its finding is cleared, but not before it has stood for [`Settings::hold_ms`]. What comes back within
//!   [`Settings::cool_down_ms`] is the same incident again, and calls nobody a second time.
//! - What is part of something larger (a device of a site without power) is folded into that, and calls nobody.
//! - Of a class that people mostly called false, incidents call nobody until their verdicts improve (`verdicts.rs`).
//! - More calls in an hour than somebody can answer become one (`calls.rs`).

mod calls;
mod incident;
mod verdicts;

pub use incident::{Entry, Incident, Number, State, What};
pub use verdicts::Verdict;

use crate::event::{Scope, UnixMillis};
use crate::finding::{Class, Finding, Severity, Turn};
use crate::limits;
use calls::Calls;
use core::fmt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use verdicts::Verdicts;

/// How patient incidents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long an incident stands at least, in milliseconds: who is called finds it still there.
    pub hold_ms: u64,
    /// How long after its end it can come back as the same, in milliseconds.
    pub cool_down_ms: u64,
    /// How many calls there are in an hour.
    pub calls_per_hour: u16,
}

impl Default for Settings {
    /// Ten minutes, an hour, and twelve calls.
    fn default() -> Self {
        Self { hold_ms: 10 * 60_000, cool_down_ms: 60 * 60_000, calls_per_hour: 12 }
    }
}

/// Is something that is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An incident has begun, or has come back; or is now something else or worse.
    Told {
        /// Which.
        number: Number,
        /// Whether somebody is called for it.
        calls: bool,
    },
    /// It is over, or a person resolved it.
    Ended {
        /// Which.
        number: Number,
    },
    /// There were as many calls in this hour as somebody can answer: the next ones are made when it is over, as one.
    TooManyCalls,
    /// Calls that were held back, told as one.
    HeldBack {
        /// How many.
        calls: u32,
    },
    /// A class is mostly wrong: it calls nobody any more. Or it has improved, and does again.
    SteppedDown {
        /// Which.
        class: Class,
        /// Whether it is down.
        is_down: bool,
    },
}

/// Says why there is no such thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSuch {
    /// No incident has this number, or it was forgotten.
    Number(Number),
    /// The incident is resolved.
    Resolved(Number),
}

impl fmt::Display for NoSuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => {
                write!(
                    f,
                    "there is no incident {number}: `keyward incident list --all` lists those that are remembered"
                )
            }
            Self::Resolved(number) => write!(f, "incident {number} is resolved: nothing is left to do"),
        }
    }
}

impl core::error::Error for NoSuch {}

/// No incident has a higher number but one of a damaged file: what JSON holds exactly.
const LAST: u64 = 1 << 53;

/// Is what survives a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Saved {
    last: Number,
    incidents: Vec<Incident>,
    #[serde(default)]
    verdicts: Verdicts,
}

/// Holds the incidents of an installation: at most [`limits::INCIDENTS`] that are open, and [`limits::PAST_INCIDENTS`] that are not.
#[derive(Debug, Clone)]
pub struct Incidents {
    settings: Settings,
    all: BTreeMap<Number, Incident>,
    /// The newest of each scope and class.
    newest: BTreeMap<(Scope, Class), Number>,
    /// Those whose end is due once they have stood long enough.
    ending: BTreeSet<(UnixMillis, Number)>,
    past: VecDeque<Number>,
    last: Number,
    verdicts: Verdicts,
    calls: Calls,
    changes: VecDeque<Change>,
}

impl Incidents {
    /// Returns a book without incidents.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            all: BTreeMap::new(),
            newest: BTreeMap::new(),
            ending: BTreeSet::new(),
            past: VecDeque::new(),
            last: Number(0),
            verdicts: Verdicts::default(),
            calls: Calls::default(),
            changes: VecDeque::new(),
        }
    }

    /// Returns what is to survive a restart.
    pub fn saved(&self) -> Saved {
        let verdicts = self.verdicts.clone();
        Saved { last: self.last, incidents: self.all.values().cloned().collect(), verdicts }
    }

    /// Returns the incidents that another process saved; what is more than may be, or contradicts itself, is left out.
    pub fn restored(settings: Settings, saved: Saved) -> Self {
        let mut incidents = Self { verdicts: saved.verdicts, ..Self::new(settings) };
        incidents.last = Number(saved.last.0.min(LAST));
        for incident in saved.incidents.into_iter().take(limits::INCIDENTS + limits::PAST_INCIDENTS) {
            let number = incident.number;
            if number.0 > LAST || incidents.all.contains_key(&number) {
                continue;
            }
            incidents.last = incidents.last.max(number);
            incidents.newest.insert((incident.scope.clone(), incident.class), number);
            if let Some(at) = incident.ending {
                incidents.ending.insert((at, number));
            }
            if !incident.is_open() {
                incidents.past.push_back(number);
            }
            incidents.all.insert(number, incident);
        }
        incidents
    }

    /// Takes a finding.
    pub fn handle(&mut self, finding: Finding) {
        match finding.turn {
            Turn::Set => self.set(finding),
            Turn::Clear => self.clear(&finding),
        }
    }

    /// Lets time pass: incidents end that have stood long enough, and calls that were held back are told.
    pub fn handle_timeout(&mut self, now: UnixMillis) {
        while let Some((at, number)) = self.ending.first().copied()
            && at <= now
        {
            self.ending.remove(&(at, number));
            if let Some(incident) = self.all.get_mut(&number)
                && incident.end(at)
            {
                self.close(number);
            }
        }
        if let Some(calls) = self.calls.held_back(now) {
            self.changes.push_back(Change::HeldBack { calls });
        }
    }

    /// Returns when [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<UnixMillis> {
        let ending = self.ending.first().map(|(at, _)| *at);
        ending.into_iter().chain(self.calls.poll_timeout()).min()
    }

    /// Returns what is to be told, the oldest first.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// Returns all that are remembered, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Incident> {
        self.all.values()
    }

    /// Returns one.
    pub fn get(&self, number: Number) -> Option<&Incident> {
        self.all.get(&number)
    }

    /// Returns the newest of a scope and class, open or not.
    pub fn newest(&self, scope: &Scope, class: Class) -> Option<&Incident> {
        self.all.get(self.newest.get(&(scope.clone(), class))?)
    }

    /// Takes what was done by itself about the newest of a scope and class. Of each incident that is taken once, while it is open.
    pub fn answer(&mut self, now: UnixMillis, scope: &Scope, class: Class, what: &str) {
        let number = self.newest.get(&(scope.clone(), class));
        if let Some(incident) = number.and_then(|number| self.all.get_mut(number))
            && incident.answer(now, what)
        {
            self.changes.push_back(Change::Told { number: incident.number, calls: false });
        }
    }

    /// Takes a person's word that they look after an incident: nobody else is called for it.
    ///
    /// # Errors
    /// There is none, or it is resolved.
    pub fn acknowledge(
        &mut self,
        now: UnixMillis,
        number: Number,
        by: &str,
        note: &str,
    ) -> Result<(), NoSuch> {
        let incident = self.all.get_mut(&number).ok_or(NoSuch::Number(number))?;
        if !incident.acknowledge(now, by, note) {
            return Err(NoSuch::Resolved(number));
        }
        self.changes.push_back(Change::Told { number, calls: false });
        Ok(())
    }

    /// Takes a person's verdict: the incident is done with, and its class is judged by it.
    ///
    /// # Errors
    /// There is none, or it is resolved.
    pub fn resolve(
        &mut self,
        now: UnixMillis,
        number: Number,
        verdict: Verdict,
        by: &str,
        note: &str,
    ) -> Result<(), NoSuch> {
        let incident = self.all.get_mut(&number).ok_or(NoSuch::Number(number))?;
        let was_open = incident.is_open();
        if !incident.resolve(now, verdict, by, note) {
            return Err(NoSuch::Resolved(number));
        }
        let class = incident.class;
        if was_open {
            self.close(number);
        }
        if let Some(is_down) = self.verdicts.note(class, verdict) {
            self.changes.push_back(Change::SteppedDown { class, is_down });
        }
        Ok(())
    }

    /// Tells whether a class calls nobody because people mostly called it false.
    pub fn has_stepped_down(&self, class: Class) -> bool {
        self.verdicts.is_down(class)
    }

    fn set(&mut self, finding: Finding) {
        let parent = finding.part_of.clone().and_then(|of| self.newest.get(&of).copied());
        let place = (finding.scope.clone(), finding.class);
        let number = self.present(&place, finding.at).or_else(|| self.relabelled(&finding));
        let Some(number) = number else { return self.open(finding, parent) };
        let Some(incident) = self.all.get_mut(&number) else { return };
        let was_open = incident.is_open();
        if let Some(at) = incident.ending.take() {
            self.ending.remove(&(at, number));
        }
        let is_news = incident.see(&finding, parent);
        if !was_open {
            self.past.retain(|other| *other != number);
        }
        self.newest.insert(place, number);
        if is_news {
            self.tell(finding.at, number);
        }
    }

    /// Returns the incident that a finding is one more sign of.
    fn present(&self, place: &(Scope, Class), now: UnixMillis) -> Option<Number> {
        let incident = self.all.get(self.newest.get(place)?)?;
        let is_same = match incident.state {
            State::Open | State::Acknowledged { .. } => true,
            State::Ended { at } => now.since(at) < self.settings.cool_down_ms,
            State::Resolved { .. } => false,
        };
        is_same.then_some(incident.number)
    }

    /// Returns the incident that a finding gives another name to.
    fn relabelled(&mut self, finding: &Finding) -> Option<Number> {
        let before = (finding.scope.clone(), finding.instead_of?);
        let number = self.newest.get(&before).copied()?;
        let is_open = self.all.get(&number).is_some_and(Incident::is_open);
        if is_open {
            self.newest.remove(&before);
        }
        is_open.then_some(number)
    }

    fn open(&mut self, finding: Finding, parent: Option<Number>) {
        if self.all.len() - self.past.len() >= limits::INCIDENTS {
            // What cannot be told apart any more is told by the calls that are held back.
            return self.calls.hold_back(finding.at);
        }
        self.last = Number(self.last.0 + 1);
        let (number, at) = (self.last, finding.at);
        self.newest.insert((finding.scope.clone(), finding.class), number);
        self.all.insert(number, Incident::new(number, finding, parent));
        self.tell(at, number);
    }

    /// Tells of an incident, and calls somebody if it is worth that and nobody was called for it.
    fn tell(&mut self, now: UnixMillis, number: Number) {
        let Some(incident) = self.all.get_mut(&number) else { return };
        let is_worth = incident.is_worth_a_call() && !self.verdicts.is_down(incident.class);
        let calls = is_worth
            && match self.calls.ask(
                now,
                self.settings.calls_per_hour,
                incident.severity == Severity::Critical,
            ) {
                calls::Answer::Call => true,
                calls::Answer::HoldBack { is_first } => {
                    if is_first {
                        self.changes.push_back(Change::TooManyCalls);
                    }
                    false
                }
            };
        if calls {
            incident.note_call();
        }
        self.changes.push_back(Change::Told { number, calls });
    }

    fn clear(&mut self, finding: &Finding) {
        let place = (finding.scope.clone(), finding.class);
        let Some(number) = self.newest.get(&place).copied() else { return };
        let Some(incident) = self.all.get_mut(&number) else { return };
        if !incident.is_open() {
            return;
        }
        incident.add_evidence(&finding.evidence);
        let at = incident.opened.plus(self.settings.hold_ms).max(finding.at);
        if at > finding.at {
            // Cleared twice it ends when it was to end.
            self.ending.insert((*incident.ending.get_or_insert(at), number));
        } else if incident.end(finding.at) {
            self.close(number);
        }
    }

    /// Moves an incident to those that are past, and forgets the oldest of these if there are too many.
    fn close(&mut self, number: Number) {
        let ending = self.all.get_mut(&number).and_then(|incident| incident.ending.take());
        if let Some(at) = ending {
            self.ending.remove(&(at, number));
        }
        self.changes.push_back(Change::Ended { number });
        self.past.push_back(number);
        while self.past.len() > limits::PAST_INCIDENTS
            && let Some(oldest) = self.past.pop_front()
            && let Some(incident) = self.all.remove(&oldest)
        {
            let place = (incident.scope, incident.class);
            if self.newest.get(&place) == Some(&oldest) {
                self.newest.remove(&place);
            }
        }
    }
}
