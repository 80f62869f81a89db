//! Whose messages have to be signed: on which topics, how well the key must be kept, and how old they may be.

use crate::{
    Subject,
    filter::Filter,
    rule::{RuleRef, Tier, Who},
    template::Template,
};
use core::{fmt, time::Duration};
use keyward_mqtt::topic::TopicName;
use std::sync::Arc;

/// Is one `[[signed]]` of a file.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) tier: Tier,
    pub(crate) who: Box<[Who]>,
    pub(crate) topics: Box<[Template]>,
    pub(crate) check: Check,
    pub(crate) level: u8,
    pub(crate) max_offline: Duration,
    pub(crate) note: Option<Box<str>>,
}

/// Says what becomes of a message that is not signed, or not well enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// It is not looked at.
    Off,
    /// It goes on like any other; one that is signed well is marked.
    Observe,
    /// It is refused.
    Require,
}

impl Check {
    /// The words that stand in files.
    pub(crate) const ALL: [Self; 3] = [Self::Off, Self::Observe, Self::Require];

    /// Returns the word that stands in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Require => "require",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Is what is demanded of the messages of one subject on one topic.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// What becomes of those that do not meet it; never [`Check::Off`].
    pub check: Check,
    /// The least level of the key.
    pub level: u8,
    /// How old a message may be.
    pub max_offline: Duration,
    /// The place that demands it; of several the strictest, then the first.
    pub rule: RuleRef<'a>,
}

impl Signed {
    pub(crate) fn includes(&self, subject: &Subject) -> bool {
        self.who.iter().any(|who| who.includes(subject))
    }
}

/// Holds what is demanded of one subject, in the order of tiers. Nothing, for most.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demands(Option<Arc<[Clause]>>);

/// Is one filter of one `[[signed]]`, resolved for the subject.
#[derive(Debug)]
struct Clause {
    filter: Filter,
    signed: Arc<Signed>,
    topic: usize,
}

impl Demands {
    /// Gathers what is demanded of a subject. A filter with the client id in it demands it of every client: whoever chooses the
    /// id must not choose whether to sign.
    pub(crate) fn of(all: &[Arc<Signed>], subject: &Subject) -> Self {
        let mut clauses = Vec::new();
        for signed in all.iter().filter(|signed| signed.includes(subject)) {
            for (topic, template) in signed.topics.iter().enumerate() {
                if let Ok(resolved) = template.resolve(|what| subject.value(what)) {
                    let (filter, signed) = (resolved.widest(), Arc::clone(signed));
                    clauses.push(Clause { filter, signed, topic });
                }
            }
        }
        clauses.sort_by_key(|clause| clause.signed.tier);
        Self((!clauses.is_empty()).then(|| clauses.into()))
    }

    /// Returns the least level of a key that a demand asks for which refuses messages; `None` if none does on any topic.
    pub(crate) fn required_level(&self) -> Option<u8> {
        let required = self.0.as_deref()?.iter().filter(|clause| clause.signed.check == Check::Require);
        required.map(|clause| clause.signed.level).min()
    }

    /// Returns what is demanded of a message: by the first tier with a place that speaks of its topic, and there by the strictest of
    /// each. `None` where nothing is.
    pub(crate) fn on(&self, topic: TopicName<'_>) -> Option<Demand<'_>> {
        let mut matching = self.0.as_deref()?.iter().filter(|clause| clause.filter.matches(topic));
        let first = matching.next()?;
        let (mut strictest, mut level, mut max_offline) =
            (first, first.signed.level, first.signed.max_offline);
        for clause in matching.take_while(|clause| clause.signed.tier == first.signed.tier) {
            if clause.signed.check > strictest.signed.check {
                strictest = clause;
            }
            level = level.max(clause.signed.level);
            max_offline = max_offline.min(clause.signed.max_offline);
        }
        let rule = RuleRef::of_signed(&strictest.signed, strictest.topic)?;
        let demand = Demand { check: strictest.signed.check, level, max_offline, rule };
        (demand.check != Check::Off).then_some(demand)
    }
}
