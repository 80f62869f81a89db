//! How many connections there may be, and how often they may come: in all, per source, per identity. What those may cost
//! that are not authenticated yet: [`super::pending`].
//!
//! What was counted is given back when the guard is dropped, wherever that happens: in the door, in an inbox, in a
//! worker.

use crate::plane::limits::{
    ENROLMENT_BURST_PER_IDENTITY, ENROLMENT_LINKS, ENROLMENT_LINKS_PER_IDENTITY, Limits, PACED_SOURCES,
};
use crate::plane::pace::{Rate, Spent};
use crate::plane::source::Source;
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Says which bound a connection would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Crowded {
    /// There are as many connections as there may be.
    Connections,
    /// Its source has as many connections as it may have.
    Source,
    /// Its identity has as many connections as it may have.
    Identity,
    /// There are as many unauthenticated connections as there may be.
    Pending,
    /// Unauthenticated connections hold as many bytes as they may.
    PendingBytes,
    /// Its source connects more often than it may.
    Rate,
    /// Its identity logs in more often than it may.
    LoginRate,
    /// There are as many enrolment links as there may be, and each waits for an answer.
    Enrolments,
    /// Its identity has as many enrolment links as it may have.
    Applicant,
    /// Its identity opens enrolment links more often than it may.
    ApplicantRate,
}

impl Crowded {
    /// Returns the name of the bound: the key in `keyward.toml`, or of a constant.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Source => "connections_per_address",
            Self::Identity => "connections_per_identity",
            Self::Pending => "pending",
            Self::PendingBytes => "pending_bytes",
            Self::Rate => "handshake_rate_per_address",
            Self::LoginRate => "login_rate_per_identity",
            Self::Enrolments => "ENROLMENT_LINKS",
            Self::Applicant => "ENROLMENT_LINKS_PER_IDENTITY",
            Self::ApplicantRate => "ENROLMENT_BURST_PER_IDENTITY",
        }
    }

    /// Returns the value of the bound.
    pub fn value(self, limits: &Limits) -> u64 {
        match self {
            Self::Connections => limits.connections as u64,
            Self::Source => limits.connections_per_address as u64,
            Self::Identity => limits.connections_per_identity as u64,
            Self::Pending => limits.pending as u64,
            Self::PendingBytes => limits.pending_bytes as u64,
            Self::Rate => limits.handshake_rate_per_address,
            Self::LoginRate => limits.login_rate_per_identity,
            Self::Enrolments => ENROLMENT_LINKS as u64,
            Self::Applicant => ENROLMENT_LINKS_PER_IDENTITY as u64,
            Self::ApplicantRate => ENROLMENT_BURST_PER_IDENTITY,
        }
    }
}

impl std::fmt::Display for Crowded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connections => "too many connections",
            Self::Source => "too many connections from this address",
            Self::Identity => "too many connections of this identity",
            Self::Pending => "too many connections that have not logged in",
            Self::PendingBytes => "connections that have not logged in hold too much memory",
            Self::Rate => "too many handshakes from this address",
            Self::LoginRate => "too many logins of this identity",
            Self::Enrolments => "too many devices enrol at once",
            Self::Applicant => "too many enrolment links of this identity",
            Self::ApplicantRate => "this identity opens enrolment links too often",
        })
    }
}

/// Counts the connections of one data plane.
#[derive(Debug)]
pub(crate) struct Admission {
    counts: Mutex<Counts>,
    connections: usize,
    per_source: usize,
    per_identity: usize,
    source_rate: Rate,
    identity_rate: Rate,
    /// Of enrolment links of one identity.
    applicant_rate: Rate,
    /// Of handshakes in all.
    rate: Rate,
}

/// Says that there are more handshakes than there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowd {
    /// When there may be another.
    pub(crate) until: Millis,
    /// Whose share of them is largest.
    pub(crate) busiest: Option<Source>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_source: HashMap<Source, usize>,
    by_identity: HashMap<Identity, usize>,
    /// Connections whose identity was proven, by source.
    in_use: HashMap<Source, usize>,
    /// Connections with an identity, now and at most so far.
    identified: usize,
    most_identified: usize,
    /// What sources have used up of their rate of handshakes.
    spent: HashMap<Source, Spent>,
    /// What identities have used up of their rate of logins.
    logins: HashMap<Identity, Spent>,
    /// What identities have used up of their rate of enrolment links. Apart from their logins: whoever holds a code that was used
    /// keeps nobody out by it.
    applied: HashMap<Identity, Spent>,
    /// What all have used up of the rate of handshakes.
    handshakes: Spent,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::default(),
            connections: limits.connections,
            per_source: limits.connections_per_address,
            per_identity: limits.connections_per_identity,
            source_rate: Rate {
                per_second: limits.handshake_rate_per_address,
                burst: limits.handshake_burst_per_address,
            },
            identity_rate: Rate {
                per_second: limits.login_rate_per_identity,
                burst: limits.login_burst_per_identity,
            },
            applicant_rate: Rate { per_second: 1, burst: ENROLMENT_BURST_PER_IDENTITY },
            rate: Rate { per_second: limits.handshake_rate, burst: limits.handshake_burst },
        })
    }

    /// Counts a connection from `source`.
    pub(crate) fn enter(self: &Arc<Self>, source: Source) -> Result<ConnectionGuard, Crowded> {
        let mut counts = self.counts();
        if counts.all >= self.connections {
            return Err(Crowded::Connections);
        }
        if !add(&mut counts.by_source, &source, self.per_source) {
            return Err(Crowded::Source);
        }
        counts.all += 1;
        drop(counts);
        Ok(ConnectionGuard { admission: self.clone(), source, identity: None, spares_source: false })
    }

    /// Tells whether another handshake of `source` may begin.
    pub(crate) fn may_begin(&self, now: Millis, source: Source) -> Result<(), Crowded> {
        let spent = self.counts().spent.get(&source).copied().unwrap_or_default();
        self.source_rate.wait(spent, now).map_or(Ok(()), |_| Err(Crowded::Rate))
    }

    /// Tells whether connections may be accepted, as far as the rate of all handshakes says.
    pub(crate) fn may_accept(&self, now: Millis) -> Result<(), Crowd> {
        let counts = self.counts();
        match self.rate.wait(counts.handshakes, now) {
            None => Ok(()),
            Some(until) => {
                let busiest = counts.spent.iter().max_by_key(|(_, spent)| **spent).map(|(source, _)| *source);
                Err(Crowd { until, busiest })
            }
        }
    }

    /// Counts a handshake of `source` that cost us its work.
    pub(crate) fn shook_hands(&self, now: Millis, source: Source) {
        let mut counts = self.counts();
        self.rate.spend(&mut counts.handshakes, now, 1);
        spend(self.source_rate, &mut counts.spent, now, &source);
    }

    /// Counts an enrolment link of `identity`, which is none of the links that it is connected by.
    pub(crate) fn apply(&self, now: Millis, identity: &Identity) -> Result<(), Crowded> {
        let mut counts = self.counts();
        let spent = counts.applied.get(identity).copied().unwrap_or_default();
        if self.applicant_rate.wait(spent, now).is_some() {
            return Err(Crowded::ApplicantRate);
        }
        spend(self.applicant_rate, &mut counts.applied, now, identity);
        Ok(())
    }

    /// Returns how many connections had an identity at the same time, at most so far.
    pub(crate) fn most_identified(&self) -> usize {
        self.counts().most_identified
    }

    /// Returns how many connections each of these identities has.
    pub(crate) fn connections_of(&self, identities: &[&Identity]) -> Vec<usize> {
        let counts = self.counts();
        identities.iter().map(|identity| counts.by_identity.get(identity).copied().unwrap_or(0)).collect()
    }

    /// Tells whether anybody is logged in from this source who has proven who it is.
    pub(crate) fn is_in_use(&self, source: Source) -> bool {
        self.counts().in_use.contains_key(&source)
    }

    /// Returns how many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.counts().all
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Uses up one of a rate. If there is no room to remember another one, those are forgotten who have used up nothing any
/// more, or else the one that has used up least.
fn spend<K: Hash + Eq + Clone>(rate: Rate, spent: &mut HashMap<K, Spent>, now: Millis, key: &K) {
    if !rate.is_on() {
        return;
    }
    if !spent.contains_key(key) && spent.len() >= PACED_SOURCES {
        spent.retain(|_, spent| !spent.is_over(now));
        if spent.len() >= PACED_SOURCES
            && let Some(least) = spent.iter().min_by_key(|(_, spent)| **spent).map(|(key, _)| key.clone())
        {
            spent.remove(&least);
        }
    }
    rate.spend(spent.entry(key.clone()).or_default(), now, 1);
}

/// Is a counted connection; dropping it gives the count back.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    admission: Arc<Admission>,
    source: Source,
    identity: Option<Identity>,
    spares_source: bool,
}

impl ConnectionGuard {
    /// Counts the connection for its identity too, once that is known.
    pub(crate) fn identify(&mut self, now: Millis, identity: &Identity) -> Result<(), Crowded> {
        let (limit, rate) = (self.admission.per_identity, self.admission.identity_rate);
        let mut counts = self.admission.counts();
        let spent = counts.logins.get(identity).copied().unwrap_or_default();
        if rate.wait(spent, now).is_some() {
            return Err(Crowded::LoginRate);
        }
        spend(rate, &mut counts.logins, now, identity);
        if !add(&mut counts.by_identity, identity, limit) {
            return Err(Crowded::Identity);
        }
        counts.identified += 1;
        counts.most_identified = counts.most_identified.max(counts.identified);
        drop(counts);
        self.identity = Some(identity.clone());
        Ok(())
    }

    /// Counts its source as in use as long as it has its identity: it has proven that.
    pub(crate) fn spare_source(&mut self) {
        if self.identity.is_some() && !std::mem::replace(&mut self.spares_source, true) {
            add(&mut self.admission.counts().in_use, &self.source, usize::MAX);
        }
    }

    /// Gives back the count of its identity alone.
    pub(crate) fn forget_identity(&mut self) {
        if let Some(identity) = self.identity.take() {
            let mut counts = self.admission.counts();
            subtract(&mut counts.by_identity, &identity);
            if std::mem::take(&mut self.spares_source) {
                subtract(&mut counts.in_use, &self.source);
            }
            counts.identified -= 1;
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.forget_identity();
        let mut counts = self.admission.counts();
        counts.all -= 1;
        subtract(&mut counts.by_source, &self.source);
    }
}

fn add<K: Hash + Eq + Clone>(counts: &mut HashMap<K, usize>, key: &K, limit: usize) -> bool {
    let count = counts.get(key).copied().unwrap_or(0);
    if count >= limit {
        return false;
    }
    counts.insert(key.clone(), count + 1);
    true
}

fn subtract<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::from(std::net::IpAddr::from([192, 0, 2, last]))
    }

    fn limits() -> Limits {
        Limits {
            connections: 3,
            connections_per_address: 2,
            connections_per_identity: 1,
            ..Limits::default()
        }
    }

    #[test]
    fn a_connection_is_counted_by_source_by_identity_and_in_all() {
        let admission = Admission::new(&limits());
        let mut first = admission.enter(source(1)).unwrap();
        let mut second = admission.enter(source(1)).unwrap();
        assert_eq!(admission.enter(source(1)).unwrap_err(), Crowded::Source);
        let _third = admission.enter(source(2)).unwrap();
        assert_eq!(admission.enter(source(3)).unwrap_err(), Crowded::Connections);
        let identity: Identity = "device:a".parse().unwrap();
        first.identify(Millis(0), &identity).unwrap();
        assert_eq!(second.identify(Millis(0), &identity).unwrap_err(), Crowded::Identity);
    }

    #[test]
    fn a_house_comes_back_at_once_and_who_goes_on_is_slowed_down_alone() {
        let admission = Admission::new(&Limits::default());
        for _ in 0..1_000 {
            assert_eq!(admission.may_begin(Millis(0), source(1)), Ok(()));
            admission.shook_hands(Millis(0), source(1));
        }
        assert_eq!(admission.may_begin(Millis(0), source(1)), Err(Crowded::Rate));
        assert_eq!(admission.may_begin(Millis(0), source(2)), Ok(()), "another house is not");
        assert_eq!(admission.may_begin(Millis(60), source(1)), Ok(()));
    }

    #[test]
    fn the_sources_whose_handshakes_are_counted_are_bounded_and_the_busiest_stay() {
        let admission = Admission::new(&Limits::default());
        let source = |number| Source::V4(std::net::Ipv4Addr::from_bits(number));
        for _ in 0..1_000 {
            admission.shook_hands(Millis(0), source(0));
        }
        for number in 1..10_000 {
            admission.shook_hands(Millis(0), source(number));
        }
        assert_eq!(admission.counts().spent.len(), PACED_SOURCES);
        assert_eq!(admission.may_begin(Millis(0), source(0)), Err(Crowded::Rate));
    }

    #[test]
    fn an_identity_that_logs_in_again_and_again_is_slowed_down_alone() {
        let admission = Admission::new(&Limits::default());
        let [busy, other]: [Identity; 2] = ["device:a", "device:b"].map(|name| name.parse().unwrap());
        let log_in =
            |now, identity: &Identity| admission.enter(source(1)).unwrap().identify(Millis(now), identity);
        for _ in 0..400 {
            log_in(0, &busy).unwrap();
        }
        assert_eq!(log_in(0, &busy), Err(Crowded::LoginRate));
        log_in(0, &other).unwrap();
        log_in(60, &busy).unwrap();
        assert_eq!(log_in(60, &busy), Err(Crowded::LoginRate), "ten a second");
        for number in 0..2 * PACED_SOURCES {
            let newcomer = format!("device:d{number}").parse().unwrap();
            log_in(60, &newcomer).unwrap();
        }
        assert_eq!(admission.counts().logins.len(), PACED_SOURCES);
        assert_eq!(log_in(60, &busy), Err(Crowded::LoginRate), "the busiest is remembered");
    }

    /// Whoever holds a code that was used must not keep its device out.
    #[test]
    fn an_identity_that_enrols_again_and_again_is_slowed_down_and_logs_in_as_ever() {
        let admission = Admission::new(&Limits { login_burst_per_identity: 1, ..Limits::default() });
        let [busy, other]: [Identity; 2] = ["device:a", "device:b"].map(|name| name.parse().unwrap());
        assert!((0..ENROLMENT_BURST_PER_IDENTITY).all(|_| admission.apply(Millis(0), &busy).is_ok()));
        assert_eq!(admission.apply(Millis(0), &busy), Err(Crowded::ApplicantRate));
        assert_eq!(admission.apply(Millis(0), &other), Ok(()));
        assert_eq!(admission.connections_of(&[&busy]), [0]);
        admission.enter(source(1)).unwrap().identify(Millis(0), &busy).unwrap();
        assert_eq!(admission.apply(Millis(1_001), &busy), Ok(()), "one a second");
    }

    #[test]
    fn handshakes_of_all_sources_together_wait_and_the_busiest_source_is_known() {
        let limits = Limits { handshake_rate: 100, handshake_burst: 50, ..Limits::default() };
        let admission = Admission::new(&limits);
        for number in 0..50 {
            assert_eq!(admission.may_accept(Millis(0)), Ok(()));
            admission.shook_hands(Millis(0), source(number));
        }
        admission.shook_hands(Millis(0), source(7));
        let crowd = admission.may_accept(Millis(0)).unwrap_err();
        assert_eq!(crowd.busiest, Some(source(7)));
        assert!(crowd.until > Millis(0) && crowd.until <= Millis(30), "{crowd:?}");
        assert_eq!(admission.may_accept(crowd.until), Ok(()));
    }

    #[test]
    fn a_client_that_has_proven_nothing_spares_its_address_no_ban() {
        let admission = Admission::new(&limits());
        let identity: Identity = "user:guest".parse().unwrap();
        let mut guard = admission.enter(source(1)).unwrap();
        guard.spare_source();
        assert!(!admission.is_in_use(source(1)), "nobody yet");
        guard.identify(Millis(0), &identity).unwrap();
        assert!(!admission.is_in_use(source(1)));
        guard.spare_source();
        assert!(admission.is_in_use(source(1)));
        guard.forget_identity();
        assert!(!admission.is_in_use(source(1)));
    }

    #[test]
    fn a_dropped_guard_gives_everything_back() {
        let admission = Admission::new(&limits());
        let identity: Identity = "device:a".parse().unwrap();
        for _ in 0..10 {
            let mut guard = admission.enter(source(1)).unwrap();
            guard.identify(Millis(0), &identity).unwrap();
            guard.spare_source();
            assert!(admission.is_in_use(source(1)));
        }
        let counts = admission.counts();
        assert!(
            counts.all == 0
                && counts.by_source.is_empty()
                && counts.by_identity.is_empty()
                && counts.in_use.is_empty()
        );
    }
}
