//! Bans: addresses whose clients are refused for a while, before anything is read, because logins from there failed
//! again and again.
//!
//! A ban names an address (IPv6: a /64), never an identity, or anybody could lock anybody out; and no address from
//! which a client is logged in, or the one bad client of a house would lock out the good ones behind the same router.
//! Guessing of passwords is slowed down before and beside that, by account ([`super::door`]); a ban spares work and
//! lines of the log.

use crate::clock::millis;
use crate::plane::limits::{BAN_LONGEST, BAN_WINDOW, BANS, Limits};
use crate::plane::source::{Host, Source};
use keyward_mqtt::time::Millis;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Is a ban that holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Of which address; that of an IPv6 network is its first.
    pub address: Host,
    /// How long it holds still.
    pub left: Duration,
    /// How many connections it refused.
    pub refused: u64,
}

/// Counts failed logins by source and bans sources.
#[derive(Debug)]
pub(crate) struct Bans {
    /// So many failures within [`BAN_WINDOW`]; 0 is never.
    after: u64,
    time: Millis,
    sources: Mutex<HashMap<Source, Record>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Record {
    failures: u64,
    /// When the first of these failures was.
    since: Millis,
    /// Until when the source is banned.
    until: Millis,
    /// How often it was banned.
    bans: u32,
    refused: u64,
}

impl Record {
    fn is_banned(&self, now: Millis) -> bool {
        now < self.until
    }
}

impl Bans {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { after: limits.ban_after, time: millis(limits.ban_time), sources: Mutex::default() }
    }

    /// Tells whether a connection of this source is refused, and counts it then.
    pub(crate) fn refuses(&self, now: Millis, source: Source) -> bool {
        if self.after == 0 {
            return false;
        }
        let mut sources = self.lock();
        let Some(record) = sources.get_mut(&source).filter(|record| record.is_banned(now)) else {
            return false;
        };
        record.refused += 1;
        true
    }

    /// Counts a failed login; true if the source is banned now because of it. `spared` says that somebody is logged in
    /// from there.
    pub(crate) fn failed(&self, now: Millis, source: Source, spared: bool) -> bool {
        if self.after == 0 || source.is_this_machine() {
            return false;
        }
        let mut sources = self.lock();
        if spared {
            // What was guessed meanwhile is not kept for the moment at which nobody is logged in.
            if let Some(record) = sources.get_mut(&source) {
                record.failures = 0;
            }
            return false;
        }
        if !sources.contains_key(&source) && sources.len() >= BANS {
            make_room(&mut sources, now);
        }
        let record = sources.entry(source).or_default();
        if record.is_banned(now) {
            return false; // A login that was under way.
        }
        if record.failures == 0 || now.saturating_sub(record.since) > millis(BAN_WINDOW) {
            (record.failures, record.since) = (0, now);
        }
        record.failures += 1;
        if record.failures < self.after {
            return false;
        }
        if now.saturating_sub(record.until) > millis(BAN_LONGEST) {
            record.bans = 0;
        }
        let time = Millis(self.time.0.saturating_mul(1 << record.bans.min(16))).min(millis(BAN_LONGEST));
        let bans = record.bans.saturating_add(1);
        *record = Record { until: now.saturating_add(time), bans, ..Record::default() };
        true
    }

    /// Forgets the failures of a source from which somebody has logged in, and ends its ban: the login was under way
    /// when that began.
    pub(crate) fn succeeded(&self, now: Millis, source: Source) {
        if let Some(record) = self.lock().get_mut(&source) {
            (record.failures, record.until) = (0, record.until.min(now));
        }
    }

    /// Ends the ban of an address; false if there is none.
    pub(crate) fn lift(&self, now: Millis, address: IpAddr) -> bool {
        // By what is shown of it: the same address of another link goes, too.
        let host = Source::from(address).host();
        let mut lifted = false;
        self.lock().retain(|source, record| {
            let is_it = source.host() == host;
            lifted |= is_it && record.is_banned(now);
            !is_it
        });
        lifted
    }

    /// Lists the bans that hold, by address.
    pub(crate) fn list(&self, now: Millis) -> Vec<Ban> {
        let sources = self.lock();
        let banned = sources.iter().filter(|(_, record)| record.is_banned(now));
        let ban = |(source, record): (&Source, &Record)| Ban {
            address: source.host(),
            left: Duration::from_millis(record.until.saturating_sub(now).0),
            refused: record.refused,
        };
        let mut bans: Vec<Ban> = banned.map(ban).collect();
        bans.sort_by_key(|ban| ban.address);
        bans
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, Record>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets sources whose failures are over, or else the one whose ban ends first.
fn make_room(sources: &mut HashMap<Source, Record>, now: Millis) {
    let is_over = |record: &Record| {
        !record.is_banned(now) && now.saturating_sub(record.since.max(record.until)) > millis(BAN_WINDOW)
    };
    sources.retain(|_, record| !is_over(record));
    if sources.len() >= BANS {
        let least = sources.iter().min_by_key(|(_, record)| (record.until, record.since));
        if let Some(source) = least.map(|(source, _)| *source) {
            sources.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::from(IpAddr::from([192, 0, 2, last]))
    }

    fn bans() -> Bans {
        let limits = Limits { ban_after: 3, ban_time: Duration::from_secs(60), ..Limits::default() };
        Bans::new(&limits)
    }

    fn fail(bans: &Bans, secs: u64, source: Source) -> bool {
        bans.failed(Millis::from_secs(secs), source, false)
    }

    #[test]
    fn an_address_is_banned_after_failures_and_longer_each_time() {
        let bans = bans();
        assert_eq!([0, 0, 0].map(|secs| fail(&bans, secs, source(1))), [false, false, true]);
        assert!(bans.refuses(Millis::from_secs(59), source(1)) && !bans.refuses(Millis::ZERO, source(2)));
        assert_eq!(bans.list(Millis::from_secs(10))[0].left, Duration::from_secs(50));
        assert!(!bans.refuses(Millis::from_secs(60), source(1)));
        assert_eq!([60, 60, 60].map(|secs| fail(&bans, secs, source(1))), [false, false, true]);
        assert!(bans.refuses(Millis::from_secs(179), source(1)), "twice as long");
        assert!(!bans.refuses(Millis::from_secs(180), source(1)));
    }

    #[test]
    fn one_bad_client_does_not_ban_the_good_ones_behind_its_router() {
        let bans = bans();
        for _ in 0..100 {
            assert!(!bans.failed(Millis::ZERO, source(1), true), "somebody is logged in from there");
        }
        assert_eq!(
            [0, 0].map(|secs| fail(&bans, secs, source(1))),
            [false; 2],
            "counted from the last link on"
        );
        assert!(!bans.failed(Millis::ZERO, source(1), true), "who comes back is not late");
        assert_eq!([0, 0].map(|secs| fail(&bans, secs, source(1))), [false; 2]);
        bans.succeeded(Millis::ZERO, source(1));
        assert!(!fail(&bans, 0, source(1)), "a login from there begins the count anew");
    }

    #[test]
    fn a_login_that_was_under_way_when_its_address_was_banned_ends_the_ban() {
        let bans = bans();
        assert_eq!([0, 0, 0].map(|secs| fail(&bans, secs, source(1))), [false, false, true]);
        bans.succeeded(Millis::from_secs(1), source(1));
        assert!(!bans.refuses(Millis::from_secs(1), source(1)) && bans.list(Millis::from_secs(1)).is_empty());
        assert_eq!([2, 2, 2].map(|secs| fail(&bans, secs, source(1))), [false, false, true]);
        assert!(bans.refuses(Millis::from_secs(121), source(1)), "the next one is longer all the same");
    }

    #[test]
    fn failures_that_are_long_ago_do_not_count_and_loopback_is_never_banned() {
        let bans = bans();
        for n in 0..50 {
            assert!(!fail(&bans, n * 301, source(1)));
        }
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let loopback = Source::from(address.parse::<IpAddr>().unwrap());
            assert!((0..50).all(|_| !fail(&bans, 0, loopback)), "{address}");
        }
    }

    #[test]
    fn a_ban_can_be_lifted_and_zero_bans_nobody() {
        let bans = bans();
        let _ = [0, 0, 0].map(|secs| fail(&bans, secs, source(1)));
        let address = IpAddr::from([192, 0, 2, 1]);
        assert!(bans.lift(Millis::ZERO, address) && !bans.refuses(Millis::ZERO, source(1)));
        assert!(!bans.lift(Millis::ZERO, address));
        let on_link = Source::OnLink("fe80::1".parse().unwrap(), 3);
        let _ = [0, 0, 0].map(|secs| fail(&bans, secs, on_link));
        assert_eq!(bans.list(Millis::ZERO)[0].address.to_string(), "fe80::1");
        assert!(bans.lift(Millis::ZERO, "fe80::1".parse().unwrap()), "by what is listed");
        assert!(!bans.refuses(Millis::ZERO, on_link));
        let never = Bans::new(&Limits { ban_after: 0, ..Limits::default() });
        assert!((0..5_000).all(|_| !fail(&never, 0, source(1))));
    }

    #[test]
    fn the_addresses_that_are_counted_are_bounded_and_bans_stay_longest() {
        let bans = bans();
        let _ = [0, 0, 0].map(|secs| fail(&bans, secs, source(1)));
        for number in 0..2 * BANS {
            let address = std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap());
            fail(&bans, 1, Source::V4(address));
        }
        assert!(bans.lock().len() <= BANS);
        assert!(bans.refuses(Millis::from_secs(2), source(1)));
    }
}
