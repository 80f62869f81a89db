//! Whether values of earlier come again.
//!
//! Of each sixteen values a checksum is kept. When the last sixteen have one that is known, the next ones are compared with what followed then. What
//! comes again is told once it is so long and so varied that chance is out of the question: what goes up and down says so many bits, a constant or a
//! ramp says none. Who repeated himself while he was learned repeats himself by nature.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Values of a block.
const BLOCK: usize = 16;
/// Blocks that are remembered: 10,240 values, a week of one in a minute.
const BLOCKS: usize = 640;
/// How much has to come again. What is counted is more than what is said: values depend on those before them. Comparisons of a year with all that is
/// remembered are less than 2³⁰; a third of what is counted is enough for that.
const BITS: f64 = 96.0;

/// Bytes behind it at most.
pub(super) const BYTES: usize = BLOCKS * size_of::<u32>();

/// Remembers what was said.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Replay {
    last: [f64; BLOCK],
    count: u64,
    blocks: VecDeque<u32>,
    /// How many blocks were forgotten.
    forgotten: u64,
    follows: Option<Follows>,
    is_natural: bool,
}

/// Says that an earlier block came again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Follows {
    /// Its number.
    block: u64,
    /// With which value the next block ends.
    next: u64,
    bits: f64,
    values: u64,
    is_told: bool,
}

/// Is what was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noticed {
    /// So many values are those that were said so many before.
    Again { values: u64, before: u64 },
    /// What comes now is new.
    New,
}

impl Replay {
    /// Takes a value. While it `learns`, what repeats itself is taken for nature.
    pub(super) fn note(&mut self, value: f64, learns: bool) -> Option<Noticed> {
        self.last.rotate_left(1);
        self.last[BLOCK - 1] = value;
        self.count += 1;
        if self.count < BLOCK as u64 {
            return None;
        }
        let block = checksum(&self.last);
        let noticed = self.compare(block, learns);
        if self.count.is_multiple_of(BLOCK as u64) {
            if self.blocks.len() == BLOCKS {
                self.blocks.pop_front();
                self.forgotten += 1;
            }
            self.blocks.push_back(block);
        }
        noticed
    }

    fn compare(&mut self, block: u32, learns: bool) -> Option<Noticed> {
        let Some(mut follows) = self.follows else {
            self.follows = self.find(block);
            return None;
        };
        if self.count < follows.next {
            return None;
        }
        if self.at(follows.block + 1) != Some(block) {
            self.follows = self.find(block);
            return follows.is_told.then_some(Noticed::New);
        }
        follows.block += 1;
        follows.next += BLOCK as u64;
        follows.bits += bits(&self.last);
        follows.values += BLOCK as u64;
        let is_enough = follows.bits >= BITS && !follows.is_told;
        self.is_natural |= is_enough && learns;
        let is_news = is_enough && !self.is_natural;
        follows.is_told |= is_news;
        self.follows = Some(follows);
        let before = self.count.saturating_sub((follows.block + 1) * BLOCK as u64);
        is_news.then_some(Noticed::Again { values: follows.values, before })
    }

    fn at(&self, number: u64) -> Option<u32> {
        self.blocks.get(usize::try_from(number.checked_sub(self.forgotten)?).ok()?).copied()
    }

    /// Finds the newest block that is the same; not that which has just been filled.
    fn find(&self, block: u32) -> Option<Follows> {
        let earlier = self.blocks.len().checked_sub(1)?;
        let place = self.blocks.iter().take(earlier).rposition(|known| *known == block)?;
        let bits = bits(&self.last);
        (bits > 0.0).then_some(Follows {
            block: self.forgotten + place as u64,
            next: self.count + BLOCK as u64,
            bits,
            values: BLOCK as u64,
            is_told: false,
        })
    }
}

/// Returns 32 bits that depend on all values and their order: FNV-1a, its halves folded.
fn checksum(values: &[f64; BLOCK]) -> u32 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for value in values {
        // Two zeros are one value.
        sum = (sum ^ (value + 0.0).to_bits()).wrapping_mul(0x0100_0000_01b3);
        sum ^= sum >> 29;
    }
    (sum ^ sum >> 32) as u32
}

/// Returns how many bits the values say: by how often two of them are the same, or two of their steps, whichever is the more often.
fn bits(values: &[f64; BLOCK]) -> f64 {
    // Steps of decimals differ by what cannot be written in binary.
    let scale = values.iter().fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs())) * 1e-9;
    let mut steps = [0.0; BLOCK - 1];
    for (step, pair) in steps.iter_mut().zip(values.windows(2)) {
        *step = pair[1] - pair[0];
    }
    let same = same(values, scale).max(same(&steps, scale));
    (-same.log2()).max(0.0) * BLOCK as f64
}

/// Returns which part of all pairs is the same; one more than there are.
fn same(values: &[f64], scale: f64) -> f64 {
    let (mut same, mut pairs) = (1.0, 0.0);
    for (place, value) in values.iter().enumerate() {
        for other in &values[..place] {
            pairs += 1.0;
            same += f64::from(u8::from((value - other).abs() <= scale));
        }
    }
    same / pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise in steps of 0.1 about a slow wave.
    fn honest(count: usize) -> impl Iterator<Item = f64> {
        let mut random = 7_u64;
        (0..count).map(move |turn| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (random >> 40) as f64 / f64::from(1 << 24);
            ((20.0 + (turn as f64 / 200.0).sin() + 0.3 * noise) * 10.0).round() / 10.0
        })
    }

    fn hear(replay: &mut Replay, values: impl IntoIterator<Item = f64>) -> Vec<Noticed> {
        values.into_iter().filter_map(|value| replay.note(value, false)).collect()
    }

    #[test]
    fn a_record_that_is_played_is_told_once_and_over_when_it_ends() {
        let mut replay = Replay::default();
        assert_eq!(hear(&mut replay, honest(6_000)), []);
        let record: Vec<f64> = honest(3_000).skip(2_003).take(300).collect();
        let found = hear(&mut replay, record);
        let &[Noticed::Again { values, before }] = found.as_slice() else { panic!("{found:?}") };
        assert!(values <= 128, "{values}");
        assert_eq!(before, 3_997);
        let other = honest(7_000).skip(6_500).map(|value| value + 0.1);
        assert_eq!(hear(&mut replay, other), [Noticed::New]);
    }

    #[test]
    fn two_months_of_an_honest_sensor_say_nothing_twice() {
        assert_eq!(hear(&mut Replay::default(), honest(86_400)), []);
    }

    /// A value between two steps: one in four is the upper, and a change lasts.
    #[test]
    fn what_flickers_between_two_values_says_little() {
        let mut is_high = false;
        let flicker = honest(400_000).map(|value| {
            let draw = (value * 10.0) as i64 % 4;
            is_high = if is_high { draw != 0 } else { draw == 1 };
            if is_high { 20.2 } else { 20.1 }
        });
        assert_eq!(hear(&mut Replay::default(), flicker), []);
    }

    #[test]
    fn what_stands_still_counts_up_or_swings_by_nature_is_no_replay() {
        let mut replay = Replay::default();
        assert_eq!(hear(&mut replay, [21.5; 5_000]), []);
        assert_eq!(hear(&mut replay, (0..5_000).map(|turn| f64::from(turn % 256) / 10.0)), []);
        let swing = |turn: u32| [3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0][turn as usize % 7];
        let mut replay = Replay::default();
        (0..1_000).for_each(|turn| assert_eq!(replay.note(swing(turn), true), None));
        assert_eq!(hear(&mut replay, (1_000..5_000).map(swing)), []);
    }
}
