//! What a sensor should say, by what its neighbours say.

use super::member::Member;
use super::{BINS, DAY};
use keyward_ids::DeviceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::{Bound, Range};

/// Neighbours that are asked: the best correlated; and how few are enough.
const PEERS: usize = 8;
pub(super) const FEWEST: usize = 3;
/// Neighbours among which they are looked for: those that follow by name. So the work grows with the cluster, and not with its square.
const CANDIDATES: usize = 32;
/// How well a neighbour has to follow.
const CORRELATION: f64 = 0.5;
/// Bins that two have to have in common: of three days, two thirds.
const COMMON: usize = 2 * DAY;
/// What uses to be left is at least this part of how much the sensor itself moves: who fits better does so by chance.
const LEAST: f64 = 0.02;

/// Says what a sensor should say.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Fit {
    peers: Vec<Peer>,
    /// What uses to be left, in the unit of the sensor: as a standard deviation.
    pub(super) scale: f64,
}

/// Is a straight line through what a sensor and one neighbour said.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Peer {
    name: DeviceId,
    correlation: f64,
    /// What both say on the average, and how much the sensor moves when the neighbour moves by one.
    own: f64,
    its: f64,
    slope: f64,
}

/// Is what neighbours say of a sensor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// The middle of it.
    pub(super) value: f64,
    /// How many there are, and how far the middle one of them is from the middle.
    pub(super) peers: usize,
    pub(super) spread: f64,
}

/// Bytes behind the lines of one sensor at most.
#[cfg(test)]
pub(super) const BYTES: usize = PEERS * size_of::<Peer>();

type Members = BTreeMap<DeviceId, Member>;

impl Fit {
    /// Finds the neighbours of one sensor and their lines, in the bins of `train`; the scale is of all bins up to `end`. `None` if too few follow it, or if it
    /// only counts.
    pub(super) fn find(members: &Members, name: &DeviceId, train: &Range<u64>, end: u64) -> Option<Self> {
        let own = members.get(name)?;
        if is_counter(own, train) {
            return None;
        }
        let after = members.range((Bound::Excluded(name), Bound::Unbounded));
        let others = after.chain(members.iter()).filter(|(other, _)| *other != name);
        let lines = others.take(CANDIDATES.min(members.len() - 1));
        let mut peers: Vec<Peer> =
            lines.filter_map(|(name, other)| Peer::find(own, name, other, train)).collect();
        peers.sort_by(|a, b| b.correlation.total_cmp(&a.correlation).then_with(|| a.name.cmp(&b.name)));
        peers.truncate(PEERS);
        peers.shrink_to_fit();
        let mut fit = Self { peers, scale: 0.0 };
        fit.scale = fit.learn_scale(members, own, train.start..end)?;
        Some(fit)
    }

    /// Returns what the neighbours say it should say; `None` if too few say something. `value` gives what each says.
    pub(super) fn expect(&self, value: impl Fn(&DeviceId) -> Option<f64>) -> Option<Expected> {
        let said = |peer: &Peer| Some(peer.own + peer.slope * (value(&peer.name)? - peer.its));
        let mut said: Vec<f64> = self.peers.iter().filter_map(said).collect();
        if said.len() < FEWEST {
            return None;
        }
        let middle = median(&mut said);
        let peers = said.len();
        let mut apart: Vec<f64> = said.iter().map(|said| (said - middle).abs()).collect();
        Some(Expected { value: middle, peers, spread: median(&mut apart) })
    }

    /// Returns how many neighbours are asked.
    pub(super) fn peers(&self) -> usize {
        self.peers.len()
    }

    /// Tells whether enough of its neighbours are there.
    pub(super) fn has_peers(&self, members: &Members) -> bool {
        self.peers.iter().filter(|peer| members.contains_key(&peer.name)).count() >= FEWEST
    }

    /// Returns what is left in a bin that is remembered.
    pub(super) fn left(&self, members: &Members, own: &Member, bin: u64) -> Option<f64> {
        let value = own.recall(bin)? + own.origin;
        let of = |name: &DeviceId| members.get(name).and_then(|peer| Some(peer.recall(bin)? + peer.origin));
        Some(value - self.expect(of)?.value)
    }

    fn learn_scale(&self, members: &Members, own: &Member, bins: Range<u64>) -> Option<f64> {
        let mut left: Vec<f64> =
            bins.clone().filter_map(|bin| self.left(members, own, bin)).map(f64::abs).collect();
        let mut moved: Vec<f64> = bins.filter_map(|bin| own.recall(bin)).collect();
        if left.len() < COMMON {
            return None;
        }
        let square = left.iter().map(|left| left * left).sum::<f64>() / left.len() as f64;
        let middle = median(&mut moved);
        let mut moved: Vec<f64> = moved.iter().map(|value| (value - middle).abs()).collect();
        // Where little is left mostly and much at times, half of the latter is usual.
        let scale = (1.4826 * median(&mut left)).max(square.sqrt() / 2.0).max(LEAST * median(&mut moved));
        (scale > 0.0).then_some(scale)
    }
}

impl Peer {
    fn find(own: &Member, name: &DeviceId, other: &Member, train: &Range<u64>) -> Option<Self> {
        let pairs = || train.clone().filter_map(|bin| Some((own.recall(bin)?, other.recall(bin)?)));
        let (mut count, mut x, mut y) = (0_usize, 0.0, 0.0);
        for (own, other) in pairs() {
            (count, x, y) = (count + 1, x + own, y + other);
        }
        if count < COMMON {
            return None;
        }
        let (x, y) = (x / count as f64, y / count as f64);
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (own, other) in pairs() {
            let (own, other) = (own - x, other - y);
            (xx, xy, yy) = (xx + own * own, xy + own * other, yy + other * other);
        }
        let correlation = xy / (xx.sqrt() * yy.sqrt());
        let (own, its) = (x + own.origin, y + other.origin);
        // Of one that never moves the correlation is no number.
        (correlation >= CORRELATION).then(|| Self {
            name: name.clone(),
            correlation,
            own,
            its,
            slope: xy / yy,
        })
    }
}

/// Tells whether a sensor mostly goes one way, as meters and uptimes do: all such follow each other, and that says nothing.
fn is_counter(own: &Member, train: &Range<u64>) -> bool {
    let (mut ups, mut downs, mut before) = (0_u32, 0_u32, None);
    for value in train.clone().filter_map(|bin| own.recall(bin)) {
        if let Some(before) = before.replace(value) {
            ups += u32::from(value > before);
            downs += u32::from(value < before);
        }
    }
    ups.min(downs) * 20 < ups + downs
}

/// Returns the middle one of values that are there; puts them in order.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values {
        [] => 0.0,
        values if values.len() % 2 == 1 => values[half],
        values => f64::midpoint(values[half - 1], values[half]),
    }
}

const _: () = assert!(COMMON < BINS - DAY);
