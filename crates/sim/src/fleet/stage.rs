//! Where trouble is planned: whom it hits, when, and how it is labelled.

use super::HOUR;
use super::act::{Act, Cue};
use super::body::{Body, NEVER};
use super::label::{Kind, Label};
use super::layout::Site;
use super::scenarios::Scenario;
use crate::dice::Dice;
use keyward_watch::event::{Event, Scope, UnixMillis};

/// How long after something is over findings may still speak of it.
const ECHO: u64 = HOUR;

/// Plans.
pub(super) struct Stage<'a> {
    pub(super) sites: &'a [Site],
    pub(super) bodies: &'a [Body],
    pub(super) dice: Dice,
    cues: Vec<Cue>,
    labels: Vec<Label>,
    /// When something befalls each body that nothing else should meddle with: from and until.
    busy: Vec<Vec<(u64, u64)>>,
}

/// Is what was planned: whom it hits, from when on it could be known, and when it is over.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pub(super) whom: Vec<usize>,
    pub(super) scopes: Vec<Scope>,
    pub(super) knowable: u64,
    pub(super) over: u64,
}

impl<'a> Stage<'a> {
    pub(super) fn new(sites: &'a [Site], bodies: &'a [Body], dice: Dice) -> Self {
        Self {
            sites,
            bodies,
            dice,
            cues: Vec::new(),
            labels: Vec::new(),
            busy: vec![Vec::new(); bodies.len()],
        }
    }

    pub(super) fn done(self) -> (Vec<Cue>, Vec<Label>) {
        (self.cues, self.labels)
    }

    /// Plans that something befalls a body.
    pub(super) fn cue(&mut self, at: u64, whom: usize, act: Act) {
        self.cues.push(Cue { at, whom, act });
    }

    /// Plans that the broker or a person says something.
    pub(super) fn say(&mut self, at: u64, event: Event) {
        self.cue(at, 0, Act::Say(event));
    }

    /// Draws a time from `first` to `last` after `at`.
    pub(super) fn after(&mut self, at: u64, first: u64, last: u64) -> u64 {
        at + first + self.dice.draw() % (last.saturating_sub(first) + 1)
    }

    /// Draws a body to which nothing happens at this time and which fits.
    pub(super) fn pick(&mut self, at: u64, fits: impl Fn(&Body) -> bool) -> Option<usize> {
        let free: Vec<usize> = self.free(at).filter(|body| fits(body)).map(|body| body.index).collect();
        self.dice.pick(&free).copied()
    }

    /// Returns the bodies to which nothing happens at this time.
    pub(super) fn free(&self, at: u64) -> impl Iterator<Item = &'a Body> {
        self.bodies.iter().filter(move |body| self.busy_until(body.index) <= at)
    }

    fn busy_until(&self, whom: usize) -> u64 {
        self.busy[whom].iter().map(|(_, until)| *until).max().unwrap_or(0)
    }

    /// Tells whether nothing was planned for a body at this time.
    pub(super) fn is_left_alone(&self, at: u64, whom: usize) -> bool {
        !self.busy[whom].iter().any(|(from, until)| (*from..*until).contains(&at))
    }

    /// Keeps everything else from a body for a time.
    pub(super) fn engage(&mut self, whom: usize, from: u64, until: u64) {
        self.busy[whom].push((from, until));
    }

    /// Labels a scenario that was planned.
    pub(super) fn label(&mut self, scenario: &Scenario, begins: u64, staged: Staged) {
        let Staged { whom, scopes, knowable, over } = staged;
        let Scenario { name, rule, kind, right, fitting, .. } = *scenario;
        for whom in &whom {
            self.engage(*whom, begins, over + ECHO);
        }
        let devices = whom.iter().map(|whom| self.bodies[*whom].device.clone()).collect();
        let [begins, knowable, ends] = [begins, knowable, over + ECHO].map(UnixMillis);
        self.labels.push(Label { name, rule, kind, begins, knowable, ends, devices, scopes, right, fitting });
    }

    /// Labels ordinary trouble. It keeps nothing else away.
    pub(super) fn label_ordinary(
        &mut self,
        name: &'static str,
        (begins, over): (u64, u64),
        whom: &[usize],
        scopes: Vec<Scope>,
        right: &'static [keyward_watch::Class],
    ) {
        let devices = whom.iter().map(|whom| self.bodies[*whom].device.clone()).collect();
        let [begins, ends] = [begins, over + ECHO].map(UnixMillis);
        let (kind, rule, knowable) = (Kind::Ordinary, "", begins);
        self.labels.push(Label {
            name,
            rule,
            kind,
            begins,
            knowable,
            ends,
            devices,
            scopes,
            right,
            fitting: &[],
        });
    }

    /// Returns the bodies of a site.
    pub(super) fn at_site(&self, site: usize) -> impl Iterator<Item = &'a Body> + use<'a> {
        self.bodies.iter().filter(move |body| body.site == site)
    }

    /// Draws a site at which nothing happens.
    pub(super) fn pick_site(&mut self, at: u64) -> Option<usize> {
        let is_free = |site: &usize| {
            self.at_site(*site).all(|body| {
                [0..=at, NEVER..=NEVER].iter().any(|free| free.contains(&self.busy_until(body.index)))
            })
        };
        let free: Vec<usize> = (0..self.sites.len()).filter(is_free).collect();
        self.dice.pick(&free).copied()
    }

    pub(super) fn site(&self, site: usize) -> Scope {
        Scope::Site(self.sites[site].id.clone())
    }
}

impl Staged {
    /// Is what befalls one body.
    pub(super) fn one(whom: usize, knowable: u64, over: u64) -> Self {
        Self { whom: vec![whom], scopes: Vec::new(), knowable, over }
    }
}
