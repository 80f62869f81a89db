//! Slows down guessing of chosen passwords, by (source, account): never by the account alone, or anybody could lock
//! anybody out, and never by the source alone, or one client could lock out its whole house.
//!
//! After a few failures each further attempt is refused unchecked until a pause has passed; the pause doubles. The
//! peer sees no difference: it gets the same answer after the same second. Generated passwords are not slowed down:
//! 128 random bits are not guessed, and to check one costs microseconds.

use crate::clock::millis;
use crate::plane::limits::SLOW_DOWN_ENTRIES;
use crate::plane::source::Source;
use keyward_identity::Account;
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
/// Bytes of a name that tell it from others: the longest valid name.
const NAME_BYTES: usize = keyward_ids::MAX_NAME_LEN;

/// Remembers failed logins: those of accounts apart from those of names that nobody has, so that trying many names
/// does not make us forget a failure that counts. Both are kept alike, and neither shows in an answer.
#[derive(Debug, Default)]
pub(crate) struct SlowDown {
    accounts: Table,
    nobodies: Table,
}

/// Says whose password was guessed, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Guess {
    source: Source,
    name: String,
    is_account: bool,
}

impl Guess {
    /// Makes the guess of `source` for `name`, which is `account` in whatever spelling.
    pub(crate) fn new(source: Source, name: &str, account: Option<&Account>) -> Self {
        let spelled = account.map(|account| account.identity.to_string());
        let end = name.floor_char_boundary(NAME_BYTES);
        let name = spelled.unwrap_or_else(|| name[..end].to_ascii_lowercase());
        Self { source, name, is_account: account.is_some() }
    }

    /// Tells whether somebody has the name.
    pub(crate) fn is_account(&self) -> bool {
        self.is_account
    }
}

#[derive(Debug, Default)]
struct Table {
    failures: HashMap<Guess, Failures>,
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
    /// Returns for how long such guesses are refused unchecked; `None` if they are not.
    pub(crate) fn pause(&self, now: Millis, guess: &Guess) -> Option<Millis> {
        let table = if guess.is_account { &self.accounts } else { &self.nobodies };
        let left = table.failures.get(guess)?.until().saturating_sub(now);
        (left > Millis::ZERO).then_some(left)
    }

    /// Counts a checked attempt that failed.
    pub(crate) fn failed(&mut self, now: Millis, guess: Guess) {
        self.table(&guess).failed(now, guess);
    }

    /// Forgets the failures of who has logged in now.
    pub(crate) fn succeeded(&mut self, guess: &Guess) {
        self.table(guess).failures.remove(guess);
    }

    fn table(&mut self, guess: &Guess) -> &mut Table {
        if guess.is_account { &mut self.accounts } else { &mut self.nobodies }
    }
}

impl Table {
    fn failed(&mut self, now: Millis, guess: Guess) {
        if let Some(failures) = self.failures.get_mut(&guess) {
            let fresh = now.saturating_sub(failures.last) < millis(MEMORY);
            *failures =
                Failures { count: if fresh { failures.count.saturating_add(1) } else { 1 }, last: now };
            return;
        }
        if self.failures.len() >= SLOW_DOWN_ENTRIES {
            self.forget_stalest();
        }
        self.failures.insert(guess, Failures { count: 1, last: now });
    }

    fn forget_stalest(&mut self) {
        let stalest = self.failures.iter().min_by_key(|(_, failures)| failures.last);
        if let Some(guess) = stalest.map(|(guess, _)| guess.clone()) {
            self.failures.remove(&guess);
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

    /// A guess for a name that somebody has.
    fn account(last: u8, name: &str) -> Guess {
        Guess { source: source(last), name: name.to_owned(), is_account: true }
    }

    /// A guess for a name that nobody has.
    fn nobody(last: u8, name: &str) -> Guess {
        Guess::new(source(last), name, None)
    }

    #[test]
    fn pauses_begin_after_a_few_failures_and_double_up_to_a_minute() {
        let mut slow = SlowDown::default();
        for _ in 0..2 {
            slow.failed(at(0), nobody(1, "anna"));
        }
        assert_eq!(slow.pause(at(0), &nobody(1, "anna")), None);
        slow.failed(at(0), nobody(1, "anna"));
        assert_eq!(slow.pause(at(0), &nobody(1, "anna")), Some(at(2)));
        assert_eq!(slow.pause(at(2), &nobody(1, "anna")), None);
        slow.failed(at(2), nobody(1, "ANNA"));
        assert_eq!(slow.pause(at(2), &nobody(1, "anna")), Some(at(4)));
        for _ in 0..50 {
            slow.failed(at(2), nobody(1, "anna"));
        }
        assert_eq!(slow.pause(at(2), &nobody(1, "anna")), Some(at(60)));
    }

    #[test]
    fn a_name_is_slowed_down_only_where_it_failed() {
        let mut slow = SlowDown::default();
        for _ in 0..9 {
            slow.failed(at(0), account(1, "anna"));
        }
        assert_eq!(slow.pause(at(0), &account(2, "anna")), None);
        assert_eq!(slow.pause(at(0), &account(1, "bert")), None);
    }

    #[test]
    fn trying_many_names_neither_forgets_an_account_nor_slows_down_another() {
        let mut slow = SlowDown::default();
        for _ in 0..5 {
            slow.failed(at(0), account(1, "anna"));
        }
        for i in 0..10_000 {
            slow.failed(at(0), nobody(1, &format!("name-{i}")));
        }
        assert!(slow.pause(at(0), &account(1, "anna")).is_some());
        assert_eq!(slow.pause(at(0), &account(1, "bert")), None);
        assert_eq!(slow.nobodies.failures.len(), SLOW_DOWN_ENTRIES);
    }

    #[test]
    fn the_memory_is_bounded_over_all_sources() {
        let mut slow = SlowDown::default();
        for i in 0..SLOW_DOWN_ENTRIES + 100 {
            let address = std::net::Ipv4Addr::from_bits(u32::try_from(i).unwrap());
            slow.failed(at(i as u64), Guess { source: Source::V4(address), ..account(1, "anna") });
        }
        assert_eq!(slow.accounts.failures.len(), SLOW_DOWN_ENTRIES);
    }

    #[test]
    fn success_and_time_forget() {
        let mut slow = SlowDown::default();
        for _ in 0..9 {
            slow.failed(at(0), account(1, "anna"));
            slow.failed(at(0), account(1, "bert"));
        }
        slow.succeeded(&account(1, "anna"));
        assert_eq!(slow.pause(at(0), &account(1, "anna")), None);
        slow.failed(at(3600), account(1, "bert"));
        assert_eq!(slow.pause(at(3600), &account(1, "bert")), None);
    }
}
