//! Lets bodies live and things befall them, in the order of time.

use super::act::{Act, Cue};
use super::body::{Air, Body, NEVER, Session};
use keyward_watch::event::{Event, UnixMillis};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Is all that happens, event after event.
#[derive(Debug)]
pub(super) struct World {
    bodies: Vec<Body>,
    sessions: Vec<Session>,
    /// How far the world around the sensors of each site is from what it uses to be.
    steps: Vec<f64>,
    cues: VecDeque<Cue>,
    /// When each body acts next; who changed its mind stands there twice, and [`Self::queued`] tells which is true.
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    queued: Vec<u64>,
    out: VecDeque<Event>,
    now: u64,
    ends: u64,
    links: u64,
    broker_away_until: u64,
}

impl World {
    pub(super) fn new(bodies: Vec<Body>, sites: usize, mut cues: Vec<Cue>, ends: u64) -> Self {
        cues.sort_by_key(|cue| cue.at);
        Self {
            sessions: vec![Session::default(); bodies.len()],
            queued: vec![NEVER; bodies.len()],
            steps: vec![0.0; sites],
            cues: cues.into(),
            queue: BinaryHeap::new(),
            out: VecDeque::new(),
            now: 0,
            ends,
            links: 0,
            broker_away_until: 0,
            bodies,
        }
    }

    /// Lets the next thing happen; returns whether there was one.
    fn step(&mut self) -> bool {
        let cue = self.cues.front().map_or(NEVER, |cue| cue.at);
        let body = self.queue.peek().map_or(NEVER, |Reverse((at, _))| *at);
        let next = cue.min(body);
        if next > self.ends {
            return false;
        }
        self.now = self.now.max(next);
        if cue <= body {
            if let Some(cue) = self.cues.pop_front() {
                self.befall(cue);
            }
        } else if let Some(Reverse((at, index))) = self.queue.pop()
            && self.queued[index] == at
        {
            self.queued[index] = NEVER;
            self.with(index, |body, air| body.step(air));
        }
        true
    }

    fn befall(&mut self, Cue { whom, act, .. }: Cue) {
        match act {
            Act::Say(event) => self.out.push_back(event),
            Act::Step { site, swings } => self.steps[site] = swings,
            Act::BrokerAway { until } => {
                self.broker_away_until = until;
                for index in 0..self.bodies.len() {
                    self.with(index, |body, air| body.broker_gone(air, until));
                }
            }
            Act::Copied { source, manner } => {
                let index = self.bodies.len();
                let copy = self.bodies[whom].copy(index, self.now, source, manner);
                self.bodies.push(copy);
                self.queued.push(NEVER);
                self.wait(index);
            }
            Act::CopyLeaves => {
                let copies = self.bodies.iter().filter(|body| body.identity == whom && body.index != whom);
                let copies: Vec<usize> = copies.map(|body| body.index).collect();
                for index in copies {
                    self.with(index, |body, air| body.suffer(air, Act::CopyLeaves));
                }
            }
            act => self.with(whom, |body, air| body.suffer(air, act)),
        }
    }

    fn with(&mut self, index: usize, act: impl FnOnce(&mut Body, &mut Air<'_>)) {
        let body = &mut self.bodies[index];
        let mut thrown_out = None;
        let mut air = Air {
            now: self.now,
            out: &mut self.out,
            session: &mut self.sessions[body.identity],
            links: &mut self.links,
            broker_away_until: self.broker_away_until,
            step: self.steps[body.site],
            thrown_out: &mut thrown_out,
        };
        act(body, &mut air);
        self.wait(index);
        if let Some(other) = thrown_out {
            self.bodies[other].thrown_out(self.now);
            self.wait(other);
        }
    }

    fn wait(&mut self, index: usize) {
        let next = self.bodies[index].next();
        if next != self.queued[index] {
            self.queued[index] = next;
            if next != NEVER {
                self.queue.push(Reverse((next, index)));
            }
        }
    }
}

impl Iterator for World {
    type Item = (UnixMillis, Event);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.out.pop_front() {
                return Some((UnixMillis(self.now), event));
            }
            if !self.step() {
                return None;
            }
        }
    }
}
