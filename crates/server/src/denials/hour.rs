//! How often something happened within the last hour.

use keyward_mqtt::time::Millis;

const MINUTES: usize = 60;

/// Counts what happened within the last hour, to the minute.
#[derive(Debug)]
pub(super) struct HourCount {
    minute: u64,
    counts: [u64; MINUTES],
}

impl Default for HourCount {
    fn default() -> Self {
        Self { minute: 0, counts: [0; MINUTES] }
    }
}

impl HourCount {
    pub(super) fn add(&mut self, now: Millis) {
        let minute = now.0 / 60_000;
        for old in (self.minute + 1..=minute).rev().take(MINUTES) {
            self.counts[slot(old)] = 0;
        }
        self.minute = self.minute.max(minute);
        self.counts[slot(minute)] += 1;
    }

    pub(super) fn sum(&self, now: Millis) -> u64 {
        let minute = now.0 / 60_000;
        let oldest =
            minute.saturating_sub(MINUTES as u64 - 1).max(self.minute.saturating_sub(MINUTES as u64 - 1));
        (oldest..=self.minute).map(|minute| self.counts[slot(minute)]).sum()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder of 60 fits")]
fn slot(minute: u64) -> usize {
    (minute % MINUTES as u64) as usize
}
