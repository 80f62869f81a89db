//! What waits to be told to which place, and when it is tried: no clock, no file, no network.
//!
//! How to use it. [`Queue::put`] takes a notice; [`Queue::take`] hands out what is to be sent to a place now, one job at a time;
//! [`Queue::done`] says how that went; [`Queue::poll_timeout`] says when there may be a next job.
//!
//! Of one incident nothing overtakes anything. A notice that a place does not take lets those of other incidents pass, and a place that
//! takes nothing is tried with pauses that grow.

use super::limits;
use super::notice::{Event, Letter, Notice};
use crate::clock::millis;
use crate::config::Wanted;
use keyward_mqtt::time::Millis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Says what a place is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Interest {
    /// Incidents from beginning to end, one by one.
    Incidents(Wanted),
    /// Those for which somebody is called, as many at a time as there are, and not again for a while.
    Calls { at_once: usize, gather: Millis },
}

/// Is what waits, and where its places are told of its end.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    places: BTreeMap<String, Place>,
    /// When this began, for how long something has waited.
    began: Millis,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Waiting {
    #[serde(flatten)]
    letter: Letter,
    places: BTreeSet<String>,
    /// How long it had waited at `since`, which another process cannot know.
    waited_ms: u64,
    #[serde(skip)]
    since: Option<Millis>,
}

#[derive(Debug)]
struct Place {
    interest: Interest,
    /// Keys of which it heard, and not yet that they are over.
    told: BTreeSet<String>,
    /// Letters that are on their way to it.
    under_way: Vec<String>,
    failures: u32,
    not_before: Millis,
    /// How often it did not take what belongs to a key: those that it takes go first.
    refused: BTreeMap<String, u32>,
    counts: Counts,
    trouble: Option<Trouble>,
}

/// Counts what became of notices for one place since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) waiting: u64,
    pub(crate) told: u64,
    pub(crate) failed: u64,
    pub(crate) dropped: u64,
}

impl Counts {
    /// Returns the sum.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            waiting: self.waiting + other.waiting,
            told: self.told + other.told,
            failed: self.failed + other.failed,
            dropped: self.dropped + other.dropped,
        }
    }
}

/// Says that a place cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Since when.
    pub(crate) since: Millis,
    /// Why the last try failed.
    pub(crate) why: String,
}

/// Is what survives a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    waiting: VecDeque<Waiting>,
    told: BTreeMap<String, BTreeSet<String>>,
}

impl Queue {
    /// Returns a queue for these places with what another process left for them.
    pub(super) fn new(now: Millis, places: Vec<(String, Interest)>, saved: Saved) -> Self {
        let Saved { waiting, mut told } = saved;
        let place = |(name, interest): (String, Interest)| {
            let told =
                told.remove(&name).unwrap_or_default().into_iter().take(limits::NOTICES_TOLD).collect();
            let place = Place {
                interest,
                told,
                under_way: Vec::new(),
                failures: 0,
                not_before: now,
                refused: BTreeMap::new(),
                counts: Counts::default(),
                trouble: None,
            };
            (name, place)
        };
        let mut queue =
            Self { waiting: VecDeque::new(), places: places.into_iter().map(place).collect(), began: now };
        for mut left in waiting.into_iter().take(limits::NOTICES) {
            left.places.retain(|name| queue.places.contains_key(name));
            queue.enqueue(left);
        }
        queue
    }

    pub(super) fn saved(&self, now: Millis) -> Saved {
        let aged =
            |waiting: &Waiting| Waiting { waited_ms: waiting.waited(self.began, now), ..waiting.clone() };
        let told = self.places.iter().map(|(name, place)| (name.clone(), place.told.clone())).collect();
        Saved { waiting: self.waiting.iter().map(aged).collect(), told }
    }

    /// Takes a notice with the name that its letter is to have. Returns whether a place is told of it.
    pub(super) fn put(&mut self, now: Millis, id: String, notice: Notice) -> bool {
        let mut places = BTreeSet::new();
        for (name, place) in &mut self.places {
            if place.wants(&notice) {
                places.insert(name.clone());
            }
        }
        let is_wanted = !places.is_empty();
        self.enqueue(Waiting { letter: Letter { id, notice }, places, waited_ms: 0, since: Some(now) });
        is_wanted
    }

    fn enqueue(&mut self, waiting: Waiting) {
        if waiting.places.is_empty() {
            return;
        }
        if self.waiting.len() >= limits::NOTICES
            && let Some(place) = self.waiting.iter().position(|it| !self.is_under_way(it))
            && let Some(oldest) = self.waiting.remove(place)
        {
            self.count_dropped(&oldest);
        }
        for name in &waiting.places {
            if let Some(place) = self.places.get_mut(name) {
                place.counts.waiting += 1;
            }
        }
        self.waiting.push_back(waiting);
    }

    fn is_under_way(&self, waiting: &Waiting) -> bool {
        let id = &waiting.letter.id;
        self.places.values().any(|place| place.under_way.contains(id))
    }

    fn count_dropped(&mut self, waiting: &Waiting) {
        for name in &waiting.places {
            if let Some(place) = self.places.get_mut(name) {
                place.counts.waiting -= 1;
                place.counts.dropped += 1;
            }
        }
    }

    /// Hands out what is to be sent to a place now; nothing while something is on its way there.
    pub(super) fn take(&mut self, now: Millis, name: &str) -> Vec<Letter> {
        self.forget_old(now);
        let Some(place) = self.places.get_mut(name) else { return Vec::new() };
        if !place.under_way.is_empty() || place.not_before > now {
            return Vec::new();
        }
        if self.waiting.is_empty() || place.refused.len() > limits::NOTICES {
            place.refused.clear(); // What was refused is gone.
        }
        let at_once = match place.interest {
            Interest::Incidents(_) => 1,
            Interest::Calls { at_once, .. } => at_once,
        };
        let times = |it: &&Waiting| place.refused.get(&it.letter.notice.key).copied().unwrap_or_default();
        let mut ready: Vec<&Waiting> = self.waiting.iter().filter(|it| it.places.contains(name)).collect();
        ready.sort_by_key(times);
        let letters: Vec<Letter> = ready.into_iter().take(at_once).map(|it| it.letter.clone()).collect();
        place.under_way = letters.iter().map(|letter| letter.id.clone()).collect();
        letters
    }

    /// Says how it went to send what was taken. `draw` is a random number of 64 bits.
    pub(super) fn done(&mut self, now: Millis, name: &str, result: Result<(), String>, draw: u64) {
        let Some(place) = self.places.get_mut(name) else { return };
        let sent = std::mem::take(&mut place.under_way);
        let keys: BTreeSet<String> = self
            .waiting
            .iter()
            .filter(|it| sent.contains(&it.letter.id))
            .map(|it| it.letter.notice.key.clone())
            .collect();
        match result {
            Err(why) => {
                place.counts.failed += 1;
                place.not_before = now.saturating_add(pause(place.failures, draw));
                place.failures = place.failures.saturating_add(1);
                for key in keys {
                    *place.refused.entry(key).or_default() += 1;
                }
                let since = place.trouble.take().map_or(now, |trouble| trouble.since);
                place.trouble = Some(Trouble { since, why });
            }
            Ok(()) => {
                place.failures = 0;
                place.trouble = None;
                place.counts.told += sent.len() as u64;
                place.counts.waiting -= sent.len() as u64;
                place.not_before = match place.interest {
                    Interest::Calls { gather, .. } => now.saturating_add(gather),
                    Interest::Incidents(_) => now,
                };
                place.refused.retain(|key, _| !keys.contains(key));
                for waiting in self.waiting.iter_mut().filter(|it| sent.contains(&it.letter.id)) {
                    waiting.places.remove(name);
                }
                self.waiting.retain(|it| !it.places.is_empty());
            }
        }
    }

    /// Returns when something may be sent next, to a place to which nothing is on its way.
    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        let next = |(name, place): (&String, &Place)| {
            self.waiting.iter().any(|it| it.places.contains(name)).then_some(place.not_before)
        };
        self.places.iter().filter(|(_, place)| place.under_way.is_empty()).filter_map(next).min()
    }

    /// Returns the names of the places.
    pub(super) fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    /// Returns how each place is.
    pub(super) fn health(&self) -> impl Iterator<Item = (&str, Counts, Option<&Trouble>)> {
        self.places.iter().map(|(name, place)| (name.as_str(), place.counts, place.trouble.as_ref()))
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Drops what nobody took for too long.
    fn forget_old(&mut self, now: Millis) {
        let longest = millis(limits::NOTICE_TRIED).0;
        let is_old =
            |queue: &Self, it: &Waiting| it.waited(queue.began, now) > longest && !queue.is_under_way(it);
        while let Some(at) = self.waiting.iter().position(|it| is_old(self, it))
            && let Some(old) = self.waiting.remove(at)
        {
            self.count_dropped(&old);
        }
    }
}

impl Waiting {
    fn waited(&self, began: Millis, now: Millis) -> u64 {
        self.waited_ms.saturating_add(now.saturating_sub(self.since.unwrap_or(began)).0)
    }
}

impl Place {
    /// Tells whether it is told of this, and remembers that it was.
    fn wants(&mut self, notice: &Notice) -> bool {
        let Interest::Incidents(wanted) = &self.interest else { return notice.calls };
        if notice.event == Event::End {
            return self.told.remove(&notice.key);
        }
        let wants = wanted.wants(&notice.kind, notice.severity) && !notice.is_part;
        if wants && self.told.len() < limits::NOTICES_TOLD {
            self.told.insert(notice.key.clone());
        }
        wants || self.told.contains(&notice.key)
    }
}

/// Returns the pause after so many tries that failed, with a jitter of half of it: so that many brokers do not come back in one moment.
fn pause(failures: u32, draw: u64) -> Millis {
    let longest = limits::NOTICE_PAUSE_FIRST.saturating_mul(1 << failures.min(16));
    let longest = millis(longest.min(limits::NOTICE_PAUSE_LONGEST)).0;
    Millis(longest / 2 + draw % (longest / 2 + 1))
}

#[cfg(test)]
mod tests;
