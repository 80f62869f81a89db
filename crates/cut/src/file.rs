//! The content of one file: as programs see it, and as it would be found after a power cut.

use crate::dice::Dice;

/// Is a content; what is behind the bytes, up to the length, is zeros.
#[derive(Debug, Default)]
struct Image {
    bytes: Vec<u8>,
    length: usize,
}

/// Is what was done since the last sync.
#[derive(Debug)]
enum Change {
    Write { at: usize, data: Vec<u8> },
    Length(usize),
}

impl Image {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { at, data } => {
                let end = at + data.len();
                if self.bytes.len() < end {
                    self.bytes.resize(end, 0);
                }
                self.bytes[*at..end].copy_from_slice(data);
                self.length = self.length.max(end);
            }
            Change::Length(length) => {
                self.bytes.truncate(*length);
                self.length = *length;
            }
        }
    }
}

/// A file's content.
#[derive(Debug, Default)]
pub(crate) struct Content {
    seen: Image,
    synced: Image,
    since: Vec<Change>,
}

impl Content {
    pub(crate) fn length(&self) -> usize {
        self.seen.length
    }

    pub(crate) fn read(&self, at: usize, size: usize) -> Vec<u8> {
        let end = at.saturating_add(size).min(self.seen.length);
        let mut data = vec![0; end.saturating_sub(at)];
        if let Some(bytes) = self.seen.bytes.get(at..) {
            let stored = bytes.len().min(data.len());
            data[..stored].copy_from_slice(&bytes[..stored]);
        }
        data
    }

    pub(crate) fn write(&mut self, at: usize, data: &[u8]) {
        if !data.is_empty() {
            self.change(Change::Write { at, data: data.to_vec() });
        }
    }

    pub(crate) fn set_length(&mut self, length: usize) {
        self.change(Change::Length(length));
    }

    fn change(&mut self, change: Change) {
        self.seen.apply(&change);
        self.since.push(change);
    }

    pub(crate) fn sync(&mut self) {
        self.since.drain(..).for_each(|change| self.synced.apply(&change));
    }

    /// Loses what was not synced: all of it, or with dice a random part. A disk keeps what it likes, in any order: the
    /// part is the first few changes, or any of them; the last write that is kept is torn.
    pub(crate) fn cut(&mut self, dice: Option<&mut Dice>) {
        let mut kept = std::mem::take(&mut self.since);
        match dice {
            None => kept.clear(),
            Some(dice) => keep_part(&mut kept, dice),
        }
        kept.iter().for_each(|change| self.synced.apply(change));
        self.seen = Image { bytes: self.synced.bytes.clone(), length: self.synced.length };
    }
}

fn keep_part(changes: &mut Vec<Change>, dice: &mut Dice) {
    if dice.upto(1) == 0 {
        changes.truncate(dice.upto(changes.len()));
    } else {
        changes.retain(|_| dice.upto(1) == 0);
    }
    if let Some(Change::Write { data, .. }) = changes.last_mut() {
        data.truncate(dice.upto(data.len()));
        if data.is_empty() {
            changes.pop();
        }
    }
}
