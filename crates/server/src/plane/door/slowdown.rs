//! Slows down guessing, by (source, name): never by the name alone, or anybody could lock anybody out.
//!
//! After a few failures each further attempt is refused unchecked until a pause has passed; the pause doubles. The
//! peer sees no difference: it gets the same answer after the same second.

use crate::clock::millis;
use crate::plane::limits::SLOW_DOWN_ENTRIES;
use crate::plane::source::Source;
use keyward_mqtt::time::Millis;
use std::collections::HashMap;
use std::time::Duration;

/// Failures that cost nothing: people mistype.
const FREE_FAILURES: u32 = 3;
/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause: an operator who has found the mistake does not wait longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After this time without a failure all is forgotten.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Names per source that are counted apart; the others of that source are counted as one, so that trying many names
/// does not make us forget the first.
const NAMES_PER_SOURCE: usize = 64;
/// Bytes of a name that tell it from others: the longest valid name.
const NAME_BYTES: usize = keyward_ids::MAX_NAME_LEN;

/// Remembers failed logins.
#[derive(Debug, Default)]
pub(crate) struct SlowDown {
    failures: HashMap<Key, Failures>,
    names: HashMap<Source, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    source: Source,
    /// `None` stands for all further names.
    name: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Millis,
}

impl Failures {
    fn pause(self) -> Millis {
        match self.count.checked_sub(FREE_FAILURES) {
            None => Millis::ZERO,
            Some(doublings) => millis(FIRST_PAUSE.saturating_mul(1 << doublings.min(10)).min(LONGEST_PAUSE)),
        }
    }

    fn until(self) -> Millis {
        self.last.saturating_add(self.pause())
    }
}

impl SlowDown {
    /// Returns for how long attempts of `source` for `name` are refused unchecked; `None` if they are not.
    pub(crate) fn pause(&self, now: Millis, source: Source, name: &str) -> Option<Millis> {
        let failures = self.failures.get(&self.key(source, name))?;
        let left = failures.until().saturating_sub(now);
        (left > Millis::ZERO).then_some(left)
    }

    /// Counts a checked attempt that failed.
    pub(crate) fn failed(&mut self, now: Millis, source: Source, name: &str) {
        let key = self.key(source, name);
        if let Some(failures) = self.failures.get_mut(&key) {
            let fresh = now.saturating_sub(failures.last) < millis(MEMORY);
            *failures =
                Failures { count: if fresh { failures.count.saturating_add(1) } else { 1 }, last: now };
            return;
        }
        if self.failures.len() >= SLOW_DOWN_ENTRIES {
            self.forget_stalest();
        }
        if key.name.is_some() {
            *self.names.entry(source).or_default() += 1;
        }
        self.failures.insert(key, Failures { count: 1, last: now });
    }

    /// Forgets the failures of a name that has logged in now.
    pub(crate) fn succeeded(&mut self, source: Source, name: &str) {
        let key = self.key(source, name);
        if key.name.is_some() {
            self.forget(&key);
        }
    }

    fn key(&self, source: Source, name: &str) -> Key {
        let end = name.floor_char_boundary(NAME_BYTES);
        let own = Key { source, name: Some(name[..end].to_ascii_lowercase()) };
        let full = self.names.get(&source).is_some_and(|count| *count >= NAMES_PER_SOURCE);
        match full && !self.failures.contains_key(&own) {
            true => Key { source, name: None },
            false => own,
        }
    }

    fn forget_stalest(&mut self) {
        let stalest = self.failures.iter().min_by_key(|(_, failures)| failures.last);
        if let Some(key) = stalest.map(|(key, _)| key.clone()) {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &Key) {
        if self.failures.remove(key).is_none() || key.name.is_none() {
            return;
        }
        if let Some(count) = self.names.get_mut(&key.source) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(&key.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::from(std::net::IpAddr::from([192, 0, 2, last]))
    }

    fn at(secs: u64) -> Millis {
        Millis::from_secs(secs)
    }

    #[test]
    fn pauses_begin_after_a_few_failures_and_double_up_to_a_minute() {
        let mut slow = SlowDown::default();
        for _ in 0..2 {
            slow.failed(at(0), source(1), "anna");
        }
        assert_eq!(slow.pause(at(0), source(1), "anna"), None);
        slow.failed(at(0), source(1), "anna");
        assert_eq!(slow.pause(at(0), source(1), "anna"), Some(at(2)));
        assert_eq!(slow.pause(at(2), source(1), "anna"), None);
        slow.failed(at(2), source(1), "ANNA");
        assert_eq!(slow.pause(at(2), source(1), "anna"), Some(at(4)));
        for _ in 0..50 {
            slow.failed(at(2), source(1), "anna");
        }
        assert_eq!(slow.pause(at(2), source(1), "anna"), Some(at(60)));
    }

    #[test]
    fn a_name_is_slowed_down_only_where_it_failed() {
        let mut slow = SlowDown::default();
        for _ in 0..9 {
            slow.failed(at(0), source(1), "anna");
        }
        assert_eq!(slow.pause(at(0), source(2), "anna"), None);
        assert_eq!(slow.pause(at(0), source(1), "bert"), None);
    }

    #[test]
    fn trying_many_names_does_not_make_the_first_forgotten() {
        let mut slow = SlowDown::default();
        for _ in 0..5 {
            slow.failed(at(0), source(1), "anna");
        }
        for i in 0..10_000 {
            slow.failed(at(0), source(1), &format!("name-{i}"));
        }
        assert!(slow.pause(at(0), source(1), "anna").is_some());
        assert!(slow.pause(at(0), source(1), "never-tried").is_some(), "further names count as one");
        assert!(slow.failures.len() <= NAMES_PER_SOURCE + 1);
    }

    #[test]
    fn the_memory_is_bounded_over_all_sources() {
        let mut slow = SlowDown::default();
        for i in 0..SLOW_DOWN_ENTRIES + 100 {
            let address = std::net::Ipv4Addr::from_bits(u32::try_from(i).unwrap());
            slow.failed(at(i as u64), Source::V4(address), "anna");
        }
        assert_eq!(slow.failures.len(), SLOW_DOWN_ENTRIES);
        assert_eq!(slow.names.len(), SLOW_DOWN_ENTRIES);
    }

    #[test]
    fn success_and_time_forget() {
        let mut slow = SlowDown::default();
        for _ in 0..9 {
            slow.failed(at(0), source(1), "anna");
            slow.failed(at(0), source(1), "bert");
        }
        slow.succeeded(source(1), "anna");
        assert_eq!(slow.pause(at(0), source(1), "anna"), None);
        slow.failed(at(3600), source(1), "bert");
        assert_eq!(slow.pause(at(3600), source(1), "bert"), None);
    }
}
