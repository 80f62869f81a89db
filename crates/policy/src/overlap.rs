//! Whether a new name would take over topics that someone uses already.
//!
//! A principal *owns* the filters that follow from its own name (`pump1/#` from `{id}/#`). Someone else's filter
//! overlaps if it meets such a filter **and** spells out the name's place: `pump1/status` does, `+/status` and
//! `devices/+/status` do not, for those are meant for every device, this one included.

use crate::{
    CitedRule, Filled, Policy, RuleRef, Subject, filter::Filter, policy::resolved, preset, quote::Quoted,
    rule::Rule,
};
use core::fmt;
use keyward_ids::Identity;
use keyward_mqtt::topic::Level;
use std::collections::BTreeSet;

/// Names one use of topics that a new principal would own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overlap {
    /// The filter that the new principal would own.
    pub own: String,
    /// The filter that is in use.
    pub other: String,
    /// The rule from which it comes.
    pub rule: CitedRule,
    /// Whose name the rule's filter took in; `None` if the filter stands literally in the rule.
    pub identity: Option<Identity>,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its topics {} overlap {} of ", Quoted(&self.own), Quoted(&self.other))?;
        match &self.identity {
            Some(identity) => write!(f, "{identity}, by {} ({})", self.rule, self.rule.text),
            None => write!(f, "{} ({})", self.rule, self.rule.text),
        }
    }
}

/// Is a filter that follows from a name, with the number of its levels up to and with the name.
struct Own {
    filter: Filter,
    prefix: usize,
}

impl Policy {
    /// Returns the filters that follow from the subject's own name, for instance `pump1/#` and `devices/pump1/#`.
    pub fn own_filters(&self, subject: &Subject) -> Vec<String> {
        self.own(subject).iter().map(|own| own.filter.to_string()).collect()
    }

    /// Lists who and what uses topics that `new` would own: filters that follow from the names of `existing`
    /// principals, and filters that stand literally in rules. Rules that speak of `new` alone do not count, for they
    /// were written for it. Each rule and filter is named once, sorted.
    pub fn overlaps(&self, new: &Subject, existing: &[Subject]) -> Vec<Overlap> {
        let own = self.own(new);
        let mut found = BTreeSet::new();
        for rule in self.rules() {
            if rule.who.iter().all(|who| who.is_only(&new.identity)) {
                continue;
            }
            found.extend(literal_overlaps(rule, &own));
            for other in existing.iter().filter(|other| other.identity != new.identity) {
                found.extend(resolved_overlaps(rule, &own, other));
            }
        }
        let mut named = BTreeSet::new();
        found.retain(|overlap| {
            let Overlap { own, other, rule, identity: _ } = overlap;
            named.insert((own.clone(), other.clone(), rule.clone()))
        });
        found.into_iter().collect()
    }

    /// Lists who and what uses topics that follow from the topic of a preset that was filled in for `new`: the filters of
    /// `existing` principals, and filters that stand in rules. Rules that speak of `new` alone do not count, nor those of
    /// another preset that spell out what belongs to many (Home Assistant's commands to `zigbee2mqtt/+/set`).
    pub fn preset_overlaps(&self, preset: &Filled, new: &Subject, existing: &[Subject]) -> Vec<Overlap> {
        let mut found = BTreeSet::new();
        for rule in self.rules().filter(|rule| !rule.who.iter().all(|who| who.is_only(&new.identity))) {
            let source = self.presets().iter().find(|applied| *applied.file == *rule.file);
            let counts = |level: &str| source.is_none_or(|applied| applied.owns_level(level));
            for (topic, template) in rule.topics.iter().enumerate() {
                if let Some(filter) = template.literal() {
                    found.extend(preset_overlap(rule, topic, &filter, preset, &counts, None));
                }
            }
            for other in existing.iter().filter(|other| other.identity != new.identity) {
                for (topic, filter) in resolved(rule, other) {
                    if let Ok(filter) = filter
                        && rule.topics[topic].placeholders().next().is_some()
                    {
                        let (filter, who) = (filter.widest(), Some(&other.identity));
                        found.extend(preset_overlap(rule, topic, &filter, preset, &counts, who));
                    }
                }
            }
        }
        found.into_iter().collect()
    }

    fn own(&self, subject: &Subject) -> Vec<Own> {
        let mut own = Vec::new();
        for rule in self.rules() {
            for (topic, filter) in resolved(rule, subject) {
                if let (Some(prefix), Ok(filter)) = (rule.topics[topic].own_prefix(), filter) {
                    own.push(Own { filter: filter.widest(), prefix });
                }
            }
        }
        own
    }
}

/// Compares the filters that stand literally in a rule, whomever it speaks of.
fn literal_overlaps(rule: &Rule, own: &[Own]) -> Vec<Overlap> {
    let mut found = Vec::new();
    for (topic, template) in rule.topics.iter().enumerate() {
        if let Some(filter) = template.literal() {
            found.extend(overlaps_of(rule, topic, &filter, own, None));
        }
    }
    found
}

/// Compares the filters that a rule's placeholders make for an existing principal.
fn resolved_overlaps(rule: &Rule, own: &[Own], other: &Subject) -> Vec<Overlap> {
    let mut found = Vec::new();
    for (topic, filter) in resolved(rule, other) {
        if let Ok(filter) = filter
            && rule.topics[topic].placeholders().next().is_some()
        {
            let filter = filter.widest();
            found.extend(overlaps_of(rule, topic, &filter, own, Some(&other.identity)));
        }
    }
    found
}

/// Compares a filter with those of a preset: it is in the way if it meets one and spells out the level that is filled in.
fn preset_overlap(
    rule: &Rule,
    topic: usize,
    filter: &Filter,
    preset: &Filled,
    counts: &impl Fn(&str) -> bool,
    identity: Option<&Identity>,
) -> Option<Overlap> {
    let in_the_way = |own: &&preset::Own| {
        let spelt_out = match (own.filter.levels().nth(own.level), filter.levels().nth(own.level)) {
            (Some(Level::Literal(mine)), Some(Level::Literal(theirs))) => mine == theirs && counts(theirs),
            _ => false,
        };
        spelt_out && own.filter.overlaps(filter.levels())
    };
    let own = preset.own.iter().find(in_the_way)?;
    Some(Overlap {
        own: own.filter.to_string(),
        other: filter.to_string(),
        rule: RuleRef::new(rule, topic)?.cite(),
        identity: identity.cloned(),
    })
}

fn overlaps_of(
    rule: &Rule,
    topic: usize,
    filter: &Filter,
    own: &[Own],
    identity: Option<&Identity>,
) -> Vec<Overlap> {
    let spells_out = |own: &Own| {
        let mut pairs = own
            .filter
            .levels()
            .take(own.prefix)
            .zip(filter.levels().map(Some).chain(core::iter::repeat(None)));
        pairs.all(|(mine, theirs)| theirs == Some(mine))
    };
    let meets = |own: &&Own| spells_out(own) && own.filter.overlaps(filter.levels());
    own.iter()
        .filter(meets)
        .filter_map(|own| {
            Some(Overlap {
                own: own.filter.to_string(),
                other: filter.to_string(),
                rule: RuleRef::new(rule, topic)?.cite(),
                identity: identity.cloned(),
            })
        })
        .collect()
}
