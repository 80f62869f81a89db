//! Starts of a device that alternate: it cannot go on in a start that it has left.
//!
//! Messages of an earlier start may come late, from a device that keeps what it could not send. They are told from those of a second
//! holder by their date: what was left in a device was signed before its next start was heard.

use super::Settings;
use super::proofs::Proofs;
use super::sign::Sign;
use crate::event::{Claims, UnixMillis};
use crate::finding::Class;
use crate::limits;
use serde::{Deserialize, Serialize};

/// Is one start of a device, as its signed messages tell.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Epoch {
    number: u32,
    /// When it was heard first, or again after another one.
    heard: UnixMillis,
    /// The highest count of its messages.
    count: u64,
}

/// Remembers the starts of one device, for each of its keys, for each counts by itself; the key that was used last stands last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Epochs(Vec<(u64, Starts)>);

/// Bytes behind it at most: a list has room for twice what it holds.
#[cfg(test)]
pub(super) const BYTES: usize =
    2 * limits::MESSAGE_KEYS * (size_of::<(u64, Starts)>() + limits::STARTS * size_of::<Epoch>());

impl Epochs {
    /// Takes what a message proves. A start that was never heard and lies below is one that `proofs` hears of.
    pub(super) fn hear(
        &mut self,
        now: UnixMillis,
        claims: Claims,
        proofs: &mut Proofs,
        settings: &Settings,
    ) -> Option<Sign> {
        let known = self.0.iter().position(|(key, _)| *key == claims.key);
        let (key, mut starts) = match known {
            Some(index) => self.0.remove(index),
            None => (claims.key, Starts::default()),
        };
        let sign = starts.hear(now, claims, proofs, settings);
        if self.0.len() == limits::MESSAGE_KEYS {
            self.0.remove(0);
        }
        self.0.push((key, starts));
        sign
    }
}

/// Remembers the starts that were heard last under one key; the last is the one that the device is in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Starts(Vec<Epoch>);

impl Starts {
    fn hear(
        &mut self,
        now: UnixMillis,
        claims: Claims,
        proofs: &mut Proofs,
        settings: &Settings,
    ) -> Option<Sign> {
        let epoch = Epoch { number: claims.epoch, heard: now, count: claims.count };
        let Some(present) = self.0.last_mut() else {
            self.0.push(epoch);
            return None;
        };
        if present.number == claims.epoch {
            present.count = present.count.max(claims.count);
            return None;
        }
        let present = *present;
        let is_new = claims.made > present.heard.plus(settings.clock_ahead_ms);
        let known = self.0.iter().position(|other| other.number == claims.epoch);
        if let Some(index) = known {
            let before = self.0.remove(index);
            let goes_on = is_new && claims.count > before.count;
            if is_new {
                // With a count that begins again it is a device that was flashed, of which its number behind has spoken.
                self.0.push(epoch);
            } else {
                self.0.insert(index, Epoch { count: before.count.max(claims.count), ..before });
            }
            return goes_on.then(|| interleaved(before, present, epoch));
        }
        let is_below = claims.epoch < present.number;
        if is_below && !is_new {
            self.0.insert(self.0.len() - 1, epoch);
        } else {
            self.0.push(epoch);
        }
        if self.0.len() > limits::STARTS {
            self.0.remove(0);
        }
        (is_below && is_new).then(|| {
            let what = format!("it counts start {} after start {}", epoch.number, present.number);
            proofs.behind(now, &what, settings)
        })
    }
}

fn interleaved(before: Epoch, present: Epoch, again: Epoch) -> Sign {
    let what = format!("start {} goes on, in a message that was signed after that", again.number);
    Sign::proven(Class::EpochsInterleave, again.heard, what)
        .after(present.heard, format!("start {} was heard", present.number))
        .after(before.heard, format!("start {} was heard", before.number))
}
