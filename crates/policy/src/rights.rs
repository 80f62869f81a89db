//! What one subject may do: the deciding function.
//!
//! Entries stand in the order in which they decide: by tier, inside a tier deny before allow, then as written. So
//! *the first entry that matches decides*, and deciding is a walk along a list that holds nothing but what applies to
//! this subject.

use crate::{
    Action, Effect, RuleRef,
    client::Resolved,
    filter::{self, Filter},
    late::{Late, Lateness},
    rule::{Rule, Tier},
    signed::{Demand, Demands},
};
use keyward_mqtt::topic::{Level, TopicFilter, TopicName};
use std::{collections::BTreeSet, sync::Arc};

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
    /// It is granted now whatever the rules say, for it is decided later: a subscription message by message, a will
    /// when it is due.
    Late,
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
///
/// Where rules depend on the client id, these are the rights of a client of which no id is known: what is allowed to
/// certain client ids only is not allowed to it, what is denied to some is denied to it. [`Rights::of_client`] makes the
/// rights of one.
#[derive(Debug, Clone, Default)]
pub struct Rights {
    entries: Box<[Entry]>,
    /// The most levels of any entry's filter.
    longest: usize,
    late: Lateness,
    demands: Demands,
    /// Whether these are the rights of a device in quarantine.
    quarantined: bool,
    /// All that applies, if something of it depends on the client id.
    provisions: Option<Arc<[Provision]>>,
}

/// Is one filter of one rule, resolved for the subject but for the client id.
#[derive(Debug, Clone)]
pub(crate) struct Provision {
    pub(crate) rule: Arc<Rule>,
    pub(crate) topic: usize,
    pub(crate) filter: Resolved,
}

impl Provision {
    fn depends_on_client(&self) -> bool {
        self.rule.plain_client_id || self.filter.is_per_client()
    }

    fn entry(&self, filter: Filter) -> Entry {
        Entry { filter, rule: Arc::clone(&self.rule), topic: self.topic }
    }

    fn of_client(&self, client: &str) -> Option<Entry> {
        if self.rule.plain_client_id && client.contains(['/', '+', '#']) {
            return None;
        }
        self.filter.of_client(client).ok().map(|filter| self.entry(filter))
    }

    /// Returns what is true of it for every client id: less is allowed, and more denied, than for a certain one.
    fn of_any_client(&self) -> Option<Entry> {
        let applies = !self.depends_on_client() || self.rule.effect == Effect::Deny;
        applies.then(|| self.entry(self.filter.widest()))
    }
}

/// Is one filter of one rule, resolved for the subject.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) filter: Filter,
    rule: Arc<Rule>,
    topic: usize,
}

impl Entry {
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

    pub(crate) fn new(mut provisions: Vec<Provision>, late: Lateness, demands: Demands) -> Self {
        provisions.sort_by_key(|provision| (provision.rule.tier, provision.rule.effect));
        let rights = Self::of_entries(provisions.iter().filter_map(Provision::of_any_client), late, demands);
        let depends = provisions.iter().any(Provision::depends_on_client);
        Self { provisions: depends.then(|| provisions.into()), ..rights }
    }

    /// Makes the rights of a device in quarantine.
    pub(crate) fn of_quarantine(provisions: Vec<Provision>, demands: Demands) -> Self {
        Self { quarantined: true, ..Self::new(provisions, Lateness::default(), demands) }
    }

    /// Tells whether these are the rights of a device in quarantine.
    pub fn is_quarantined(&self) -> bool {
        self.quarantined
    }

    fn of_entries(entries: impl Iterator<Item = Entry>, late: Lateness, demands: Demands) -> Self {
        let entries: Box<[Entry]> = entries.collect();
        let longest = entries.iter().map(|entry| entry.filter.len()).max().unwrap_or(0);
        Self { entries, longest, late, demands, quarantined: false, provisions: None }
    }

    /// Returns what a client with this id may do; `None` if that does not depend on the client id.
    pub fn of_client(&self, client: &str) -> Option<Self> {
        let provisions = self.provisions.as_ref()?;
        let entries = provisions.iter().filter_map(|provision| provision.of_client(client));
        Some(Self::of_entries(entries, self.late.clone(), self.demands.clone()))
    }

    /// Returns about how many bytes these rights hold for themselves.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.entries)
    }

    /// Tells that no rule allows the subject anything, with whatever client id, but to hear what the broker has for it below
    /// `$keyward/`.
    pub fn allows_nothing(&self) -> bool {
        let denies = |rule: &Rule| rule.effect == Effect::Deny || rule.is_of_the_broker();
        match &self.provisions {
            Some(provisions) => provisions.iter().all(|provision| denies(&provision.rule)),
            None => self.entries.iter().all(|entry| denies(&entry.rule)),
        }
    }

    /// Tells whether the subject may do this with *some* client id: the question about a message of which nobody knows
    /// any more with which id its publisher was connected. Client ids are chosen by the principal, so that no more is
    /// allowed by it than the principal could do.
    ///
    /// Exact: only the ids that a filter makes of the topic, and one that no filter knows, can make a difference.
    pub fn some_client_may(&self, action: Action, topic: TopicName<'_>) -> bool {
        let Some(provisions) = &self.provisions else { return self.decide(action, topic).allowed };
        let mut clients: BTreeSet<&str> = BTreeSet::new();
        clients.extend(provisions.iter().filter_map(|provision| match &provision.filter {
            Resolved::PerClient(filter) => filter.client_in(topic),
            Resolved::Filter(_) => None,
        }));
        // Longer than any text within the topic.
        let strange = "x".repeat(topic.as_str().len() + 1);
        clients.insert(&strange);
        let may = |client| self.of_client(client).is_some_and(|rights| rights.decide(action, topic).allowed);
        clients.into_iter().any(may)
    }

    /// Decides whether a CONNECT with a will of this topic is accepted. What may be published is decided when the will
    /// is due, as ever. A device in quarantine may have any: it would have to connect without, else, and cannot know.
    pub fn decide_will(&self, topic: TopicName<'_>) -> Decision<'_> {
        let decision = self.decide(Action::Publish, topic);
        if decision.allowed {
            return decision;
        }
        match self.quarantined && decision.cause != Cause::Reserved {
            true => Decision { allowed: true, cause: Cause::Late, ..decision },
            false => late_or(self.late.will.as_ref(), decision),
        }
    }

    /// Returns what is demanded of the signature of a message that the subject publishes on a topic; `None` where nothing is. Does not
    /// allocate.
    pub fn demand(&self, topic: TopicName<'_>) -> Option<Demand<'_>> {
        self.demands.on(topic)
    }

    /// Returns the least level of a key that is asked for on some topic where messages without a signature are refused; `None` if there
    /// is no such topic.
    pub fn required_level(&self) -> Option<u8> {
        self.demands.required_level()
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
    /// The answer is exact: it is granted if and only if there is such a topic. But whose subscriptions are decided
    /// late gets each that is not shared: what [`reading`](Self::reading) says of it may be that nothing will arrive.
    pub fn decide_subscribe(&self, filter: TopicFilter<'_>, shared: bool) -> Decision<'_> {
        let decision = self.decide_by_rules(filter, shared);
        if decision.allowed || shared { decision } else { late_or(self.late.subscribe.as_ref(), decision) }
    }

    fn decide_by_rules(&self, filter: TopicFilter<'_>, shared: bool) -> Decision<'_> {
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
        let parts = self.parts(Action::Receive, filter);
        parts.filter(|(_, part)| self.allows_some(Action::Receive, part))
    }

    /// Lists all that may be done, each part with the entry that allows it and does not come to nothing by another.
    pub(crate) fn reach(&self, action: Action) -> impl Iterator<Item = (&Entry, Vec<Level<'_>>)> {
        let allowing = self.entries.iter().filter(move |entry| {
            let is_heard = action != Action::Publish || !is_reserved(&entry.filter);
            entry.rule.effect == Effect::Allow && entry.speaks_of(action) && is_heard
        });
        let parts = allowing.map(|entry| (entry, entry.filter.levels().collect::<Vec<_>>()));
        parts.filter(move |(_, part)| self.allows_some(action, part))
    }

    /// Returns what somebody may do who chooses the client id as it suits; `None` if nothing depends on it.
    pub(crate) fn of_any_choice(&self) -> Option<Self> {
        let holds =
            |provision: &&Provision| provision.rule.effect == Effect::Allow || !provision.depends_on_client();
        let provisions = self.provisions.as_ref()?.iter().filter(holds);
        let entries = provisions.map(|provision| provision.entry(provision.filter.widest()));
        Some(Self::of_entries(entries, self.late.clone(), self.demands.clone()))
    }

    fn allows_some(&self, action: Action, part: &[Level<'_>]) -> bool {
        self.shapes(part).any(|shape| self.allows_shape(action, &shape))
    }

    /// Lists the denying entries that take something out of a part on which `allowing` allows the action.
    pub(crate) fn exceptions<'a>(
        &'a self,
        action: Action,
        allowing: &'a Entry,
        part: &[Level<'a>],
    ) -> impl Iterator<Item = (&'a Entry, Vec<Level<'a>>)> {
        self.met(Effect::Deny, action, part).take_while(|(deny, _)| deny.tier() <= allowing.tier())
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

/// Tells whether all topics of a filter begin with `$`.
fn is_reserved(filter: &Filter) -> bool {
    matches!(filter.levels().next(), Some(Level::Literal(first)) if first.starts_with('$'))
}

/// Grants what is refused if it is decided late.
fn late_or<'a>(late: Option<&'a Arc<Late>>, refused: Decision<'a>) -> Decision<'a> {
    match late {
        Some(late) => Decision { allowed: true, cause: Cause::Late, rule: Some(RuleRef::of_late(late)) },
        None => refused,
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
