//! What was taken away from authorities of others: their trust, and certificates by a newer list of revoked ones.

use super::{
    report::Applied,
    takings::{Reach, Record},
};
use crate::{
    events::Event,
    state::State,
    trusted::{Der, LocalName, TrustedAuthority},
};
use std::collections::BTreeMap;

/// Says what was taken away from an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TakenOfAuthority {
    /// It is trusted no more.
    Trust,
    /// Certificates, by other lists of revoked ones; `None` where nobody wrote down which.
    List(Option<Vec<Der>>),
}

/// Holds what was taken away from each authority, in the order of its records; of several lists the newest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Withdrawals(pub(super) BTreeMap<LocalName, Vec<(TakenOfAuthority, Option<Record>)>>);

impl Withdrawals {
    /// Adds one thing; what it includes is forgotten.
    pub(super) fn take(&mut self, name: &LocalName, taken: TakenOfAuthority, record: Option<Record>) {
        let held = self.0.entry(name.clone()).or_default();
        match &taken {
            TakenOfAuthority::Trust => held.clear(),
            TakenOfAuthority::List(_) => held.retain(|(of, _)| *of == TakenOfAuthority::Trust),
        }
        held.push((taken, record));
    }

    /// Returns the events that take away from a state, which reaches so far, what it does not know of yet; counts them,
    /// and names the authorities whose newest list is not at hand.
    pub(super) fn events(&self, state: &State, reach: &Reach) -> (Vec<Event>, Applied, Vec<LocalName>) {
        let (mut events, mut applied, mut outdated) = (Vec::new(), Applied::default(), Vec::new());
        for (name, held) in &self.0 {
            let Some(authority) = state.registry.trusted().get(name) else { continue };
            let is_news = |record: &Option<Record>| !record.is_some_and(|record| reach.holds(record));
            let news = || held.iter().filter(|(_, record)| is_news(record)).map(|(taken, _)| taken);
            if news().any(|taken| *taken == TakenOfAuthority::Trust) {
                events.push(Event::AuthorityDistrusted { name: name.clone() });
            } else if let Some(TakenOfAuthority::List(lists)) = news().next_back() {
                match lists.as_ref().filter(|lists| are_of(lists, authority)) {
                    Some(lists) if *lists == authority.revocations => {}
                    Some(lists) => events.push(Event::AuthorityRevocationsSet {
                        name: name.clone(),
                        revocations: lists.clone(),
                    }),
                    None => outdated.push(name.clone()),
                }
            }
        }
        events.iter().for_each(|event| applied.count(event));
        (events, applied, outdated)
    }
}

/// Tells whether all lists are signed by an authority: it may be another one of the same name.
fn are_of(lists: &[Der], authority: &TrustedAuthority) -> bool {
    lists.iter().all(|Der(list)| authority.with_revocations(list).is_ok())
}
