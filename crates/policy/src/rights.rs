//! What one subject may do: the deciding function.
//!
//! Entries stand in the order in which they decide: by tier, inside a tier deny before allow, then as written. So
//! *the first entry that matches decides*, and deciding is a walk along a list that holds nothing but what applies to
//! this subject.

use crate::{
    Action, Effect, RuleRef,
    filter::{self, Filter},
    rule::{Rule, Tier},
};
use keyward_mqtt::topic::{Level, TopicFilter, TopicName};
use std::sync::Arc;

/// Is the answer to one question, with its reason.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// Tells whether it is allowed.
    pub allowed: bool,
    /// Says what decided.
    pub cause: Cause,
    /// The rule that decided, if one did.
    pub rule: Option<RuleRef<'a>>,
}

/// Says what decided a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A rule allows or denies it.
    Rule,
    /// No rule speaks of it; what is not allowed is denied.
    NoRule,
    /// It is a publish to a topic that begins with `$`, which no rule can allow.
    Reserved,
    /// The filter could be subscribed to, but not shared with others in all its topics.
    NotShareable,
}

/// Classes a subscription by how much of what it matches may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Every topic that it can match is readable: nothing need be asked per message.
    Covered,
    /// No topic that it can match is readable: nothing will ever be delivered.
    Never,
    /// Some are and some are not: each message is decided.
    Mixed,
}

/// Holds what applies to one subject, compiled. Cost of a decision: a look at each entry until one matches; the
/// number of entries is bounded by [`MAX_FILTERS`](crate::limits::MAX_FILTERS) and a handful in practice.
#[derive(Debug, Clone, Default)]
pub struct Rights {
    entries: Box<[Entry]>,
    /// The most levels of any entry's filter.
    longest: usize,
}

/// Is one filter of one rule, resolved for the subject.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) filter: Filter,
    rule: Arc<Rule>,
    topic: usize,
}

impl Entry {
    pub(crate) fn new(rule: Arc<Rule>, topic: usize, filter: Filter) -> Self {
        Self { filter, rule, topic }
    }

    pub(crate) fn rule(&self) -> Option<RuleRef<'_>> {
        RuleRef::new(&self.rule, self.topic)
    }

    pub(crate) fn tier(&self) -> Tier {
        self.rule.tier
    }

    fn speaks_of(&self, action: Action) -> bool {
        self.rule.actions.contains(action)
    }
}

/// Hears what the deciding function looks at; `()` hears nothing and costs nothing.
pub(crate) trait Trace {
    /// Is told that `entry` was looked at and whether it decided.
    fn looked_at(&mut self, entry: &Entry, decided: bool);
}

impl Trace for () {
    fn looked_at(&mut self, _: &Entry, _: bool) {}
}

impl Rights {
    /// Returns the rights of someone who may do nothing.
    pub fn none() -> Self {
        Self::default()
    }

    pub(crate) fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| (entry.rule.tier, entry.rule.effect));
        let longest = entries.iter().map(|entry| entry.filter.len()).max().unwrap_or(0);
        Self { entries: entries.into(), longest }
    }

    /// Tells that no rule allows the subject anything.
    pub fn allows_nothing(&self) -> bool {
        self.entries.iter().all(|entry| entry.rule.effect == Effect::Deny)
    }

    /// Decides one action on one topic. Does not allocate.
    ///
    /// `Publish` and `Receive` are the questions of routing. `Subscribe` and `Share` answer for this topic alone; a
    /// subscription is decided by [`decide_subscribe`](Self::decide_subscribe).
    pub fn decide(&self, action: Action, topic: TopicName<'_>) -> Decision<'_> {
        self.decide_traced(action, topic, &mut ())
    }

    pub(crate) fn decide_traced(
        &self,
        action: Action,
        topic: TopicName<'_>,
        trace: &mut impl Trace,
    ) -> Decision<'_> {
        if action == Action::Publish && topic.is_reserved() {
            return Decision { allowed: false, cause: Cause::Reserved, rule: None };
        }
        decision(self.first_match(action, |filter| filter.matches(topic), trace))
    }

    /// Decides a SUBSCRIBE: granted if something that the filter can match may be subscribed to and read; a
    /// `shared` one (`$share/GROUP/…`) only if all of it may be shared besides, because what a member of a group
    /// takes is withheld from the others.
    ///
    /// The answer is exact: it is granted if and only if there is such a topic.
    pub fn decide_subscribe(&self, filter: TopicFilter<'_>, shared: bool) -> Decision<'_> {
        let levels: Vec<_> = filter.levels().collect();
        let Some(entry) = self.subscribable(&levels) else { return self.refuse_subscribe(&levels) };
        if shared && let Some(refused) = self.not_all(Action::Share, &levels) {
            return Decision { allowed: false, cause: Cause::NotShareable, rule: refused.rule };
        }
        decision(Some(entry))
    }

    /// Classes a subscription to `filter` by what of it may be read. Exact in both directions.
    pub fn reading(&self, filter: TopicFilter<'_>) -> Reading {
        let levels: Vec<_> = filter.levels().collect();
        if self.readable_parts(&levels).next().is_none() {
            Reading::Never
        } else if self.not_all(Action::Receive, &levels).is_none() {
            Reading::Covered
        } else {
            Reading::Mixed
        }
    }

    /// Returns the entry that lets something of `filter` be subscribed to and read.
    fn subscribable(&self, filter: &[Level<'_>]) -> Option<&Entry> {
        let both = |shape: &[Level<'_>]| {
            self.allows_shape(Action::Subscribe, shape) && self.allows_shape(Action::Receive, shape)
        };
        self.parts(Action::Subscribe, filter).find_map(|(entry, part)| {
            let some_shape = |part: &[Level<'_>]| self.shapes(part).any(|shape| both(&shape));
            // An allowed `subscribe` allows `receive` as well, so only an earlier tier can make a narrower part of
            // it readable that is not readable as a whole.
            let narrower = || {
                self.parts(Action::Receive, &part)
                    .take_while(|(earlier, _)| earlier.tier() < entry.tier())
                    .any(|(_, part)| some_shape(&part))
            };
            (some_shape(&part) || narrower()).then_some(entry)
        })
    }

    /// Lists the parts of `filter` that may be read, each with the entry that allows it and does not come to
    /// nothing by another.
    pub(crate) fn readable_parts<'a>(
        &'a self,
        filter: &[Level<'a>],
    ) -> impl Iterator<Item = (&'a Entry, Vec<Level<'a>>)> {
        self.parts(Action::Receive, filter)
            .filter(|(_, part)| self.shapes(part).any(|shape| self.allows_shape(Action::Receive, &shape)))
    }

    /// Lists the denying entries that take something out of a part which `allowing` allows to read.
    pub(crate) fn exceptions<'a>(
        &'a self,
        allowing: &'a Entry,
        part: &[Level<'a>],
    ) -> impl Iterator<Item = (&'a Entry, Vec<Level<'a>>)> {
        self.met(Effect::Deny, Action::Receive, part).take_while(|(deny, _)| deny.tier() <= allowing.tier())
    }

    /// Says why a refused subscription is refused: by the rule that decides its most ordinary topic.
    fn refuse_subscribe(&self, filter: &[Level<'_>]) -> Decision<'_> {
        let refused = |action| {
            self.shapes(filter)
                .map(|shape| decision(self.first_for_shape(action, &shape)))
                .find(|decision| !decision.allowed && decision.rule.is_some())
        };
        let denied = refused(Action::Subscribe).or_else(|| refused(Action::Receive));
        denied.unwrap_or(Decision { allowed: false, cause: Cause::NoRule, rule: None })
    }

    /// Finds a topic of `filter` for which `action` is refused, if there is one.
    ///
    /// A refused topic is refused because nothing matches it (then nothing matches the shape of its length either)
    /// or by a denying entry (then that entry decides the shape of what both match).
    fn not_all(&self, action: Action, filter: &[Level<'_>]) -> Option<Decision<'_>> {
        let refused = |part: &[Level<'_>]| {
            self.shapes(part)
                .map(|shape| decision(self.first_for_shape(action, &shape)))
                .find(|decision| !decision.allowed)
        };
        refused(filter)
            .or_else(|| self.met(Effect::Deny, action, filter).find_map(|(_, part)| refused(&part)))
    }

    /// Lists what allowing entries and `filter` both match.
    fn parts<'x, 'a: 'x>(
        &'a self,
        action: Action,
        filter: &[Level<'x>],
    ) -> impl Iterator<Item = (&'a Entry, Vec<Level<'x>>)> {
        self.met(Effect::Allow, action, filter)
    }

    fn met<'x, 'a: 'x>(
        &'a self,
        effect: Effect,
        action: Action,
        filter: &[Level<'x>],
    ) -> impl Iterator<Item = (&'a Entry, Vec<Level<'x>>)> {
        self.entries
            .iter()
            .filter(move |entry| entry.rule.effect == effect && entry.speaks_of(action))
            .filter_map(|entry| {
                filter::intersect(entry.filter.levels(), filter.iter().copied()).map(|part| (entry, part))
            })
    }

    fn shapes<'x>(&self, filter: &[Level<'x>]) -> impl Iterator<Item = Vec<Level<'x>>> + use<'x> {
        filter::shapes(filter, self.longest)
    }

    fn allows_shape(&self, action: Action, shape: &[Level<'_>]) -> bool {
        decision(self.first_for_shape(action, shape)).allowed
    }

    fn first_for_shape(&self, action: Action, shape: &[Level<'_>]) -> Option<&Entry> {
        self.first_match(action, |filter| filter.covers(shape), &mut ())
    }

    /// Finds the entry that decides. Every answer of this crate comes from here.
    fn first_match(
        &self,
        action: Action,
        matches: impl Fn(&Filter) -> bool,
        trace: &mut impl Trace,
    ) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            let decides = entry.speaks_of(action) && matches(&entry.filter);
            trace.looked_at(entry, decides);
            decides
        })
    }
}

fn decision(first: Option<&Entry>) -> Decision<'_> {
    match first {
        Some(entry) => {
            Decision { allowed: entry.rule.effect == Effect::Allow, cause: Cause::Rule, rule: entry.rule() }
        }
        None => Decision { allowed: false, cause: Cause::NoRule, rule: None },
    }
}
