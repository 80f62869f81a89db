//! Who keeps a worker busy. Whoever does that within all bounds is refused nothing, but it is named: bytes that come
//! one by one, topics that are ever new, subscriptions that come and go.

use super::Worker;
use keyward_ids::Identity;
use keyward_mqtt::packet::Packet;
use keyward_mqtt::time::Millis;
use std::collections::HashMap;

/// Counts what identities make a worker do within a second: reads, packets, filters.
#[derive(Debug, Default)]
pub(super) struct Efforts {
    since: Millis,
    /// Only of identities with a link; each second begins empty.
    by_identity: HashMap<Identity, u64>,
}

impl Efforts {
    const WINDOW: Millis = Millis::from_secs(1);

    /// Counts. Returns whether the identity has now reached `most` in this second.
    fn count(&mut self, now: Millis, identity: &Identity, effort: u64, most: u64) -> bool {
        if now.saturating_sub(self.since) >= Self::WINDOW {
            self.since = now;
            self.by_identity.clear();
        }
        let before = match self.by_identity.get_mut(identity) {
            Some(so_far) => std::mem::replace(so_far, *so_far + effort),
            None => self.by_identity.insert(identity.clone(), effort).unwrap_or(0),
        };
        (before..before + effort).contains(&(most.saturating_sub(1)))
    }
}

/// Returns for how much a packet counts: filters are work, however small they are written.
pub(super) fn of(packet: &Packet<'_>) -> u64 {
    match packet {
        Packet::Subscribe(subscribe) => 1 + subscribe.filters.iter().count() as u64,
        Packet::Unsubscribe(unsubscribe) => 1 + unsubscribe.filters.iter().count() as u64,
        _ => 1,
    }
}

impl Worker {
    /// Counts what a client of `identity` made us do, and names whoever reaches `busy_rate`.
    pub(super) fn count_effort(&mut self, identity: &Identity, effort: u64) {
        let most = self.parts.limits.busy_rate;
        if self.efforts.count(self.now.mono, identity, effort, most) {
            self.report_limit(identity.clone(), "busy_rate", most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str) -> Identity {
        name.parse().unwrap()
    }

    #[test]
    fn who_reaches_the_rate_is_told_once_in_a_second_and_nobody_else_is() {
        let (busy, other) = (identity("device:a"), identity("device:b"));
        let mut efforts = Efforts::default();
        let mut told = Vec::new();
        for ms in 0..2_000 {
            if efforts.count(Millis(ms), &busy, 3, 1_000) {
                told.push(ms);
            }
            assert!(!efforts.count(Millis(ms), &other, 1, 1_001), "a second has 1,000 ms");
        }
        assert_eq!(told, [333, 1_333]);
    }

    #[test]
    fn what_was_done_in_an_earlier_second_is_forgotten() {
        let mut efforts = Efforts::default();
        for second in 0..5 {
            assert!(!efforts.count(Millis::from_secs(second), &identity("device:a"), 9, 10));
        }
        assert_eq!(efforts.by_identity.len(), 1);
    }
}
