//! What an operator should know about a policy that loads but may not mean what was meant.

use crate::{
    CitedRule, Policy, RuleRef, Subject, Unresolved,
    rule::{Rule, Tier},
    signed::Signed,
};
use core::fmt;
use keyward_ids::Identity;
use std::collections::BTreeMap;

/// How many identities a finding names in its text before it only counts them.
const NAMED_IN_TEXT: usize = 5;

/// Is something about a policy that is no error but perhaps not what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A filter of a rule means nothing for principals that the rule speaks of.
    DoesNotApply {
        /// The rule, with the filter.
        rule: CitedRule,
        /// Why the filter cannot be resolved.
        why: Unresolved,
        /// For whom.
        subjects: Vec<Identity>,
    },
    /// A rule speaks of nobody who exists: perhaps a name is misspelt, or was removed.
    SpeaksOfNobody {
        /// The rule, with its first filter.
        rule: CitedRule,
    },
    /// A principal may do nothing at all.
    MayDoNothing {
        /// Who.
        subject: Identity,
    },
}

impl Policy {
    /// Looks for rules without effect and principals without rights, given everyone who exists.
    pub fn check(&self, subjects: &[Subject]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for late in self.late().filter(|late| !subjects.iter().any(|subject| late.includes(subject))) {
            findings.push(Finding::SpeaksOfNobody { rule: RuleRef::of_late(late).cite() });
        }
        for signed in self.signed() {
            if !subjects.iter().any(|subject| signed.includes(subject)) {
                let rule = RuleRef::of_signed(signed, 0).map(RuleRef::cite);
                findings.extend(rule.map(|rule| Finding::SpeaksOfNobody { rule }));
            }
            findings.extend(undemanded(signed, subjects));
        }
        for rule in self.rules() {
            if rule.tier != Tier::BUILT_IN && !subjects.iter().any(|subject| rule.includes(subject)) {
                let rule = RuleRef::new(rule, 0).map(RuleRef::cite);
                findings.extend(rule.map(|rule| Finding::SpeaksOfNobody { rule }));
            }
            findings.extend(not_applying(rule, subjects));
        }
        let idle = subjects.iter().filter(|subject| self.rights(subject).allows_nothing());
        findings.extend(idle.map(|subject| Finding::MayDoNothing { subject: subject.identity.clone() }));
        findings
    }
}

/// Gathers the filters of a `[[signed]]` that demand nothing of whom it speaks of.
fn undemanded(signed: &Signed, subjects: &[Subject]) -> Vec<Finding> {
    let mut found: BTreeMap<(usize, Unresolved), Vec<Identity>> = BTreeMap::new();
    for subject in subjects.iter().filter(|subject| signed.includes(subject)) {
        for (topic, template) in signed.topics.iter().enumerate() {
            if let Err(why) = template.resolve(|what| subject.value(what)) {
                found.entry((topic, why)).or_default().push(subject.identity.clone());
            }
        }
    }
    let finding = |((topic, why), subjects)| {
        let rule = RuleRef::of_signed(signed, topic)?.cite();
        Some(Finding::DoesNotApply { rule, why, subjects })
    };
    found.into_iter().filter_map(finding).collect()
}

/// Gathers the filters of a rule that do not apply, one finding for each filter and reason.
fn not_applying(rule: &Rule, subjects: &[Subject]) -> Vec<Finding> {
    let mut found: BTreeMap<(usize, Unresolved), Vec<Identity>> = BTreeMap::new();
    for subject in subjects {
        for (topic, filter) in crate::policy::resolved(rule, subject) {
            if let Err(why) = filter {
                found.entry((topic, why)).or_default().push(subject.identity.clone());
            }
        }
    }
    let finding = |((topic, why), subjects)| {
        let rule = RuleRef::new(rule, topic)?.cite();
        Some(Finding::DoesNotApply { rule, why, subjects })
    };
    found.into_iter().filter_map(finding).collect()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoesNotApply { rule, why, subjects } => {
                write!(f, "{rule} does not apply to ")?;
                let names: Vec<_> = subjects.iter().take(NAMED_IN_TEXT).map(Identity::to_string).collect();
                f.write_str(&names.join(", "))?;
                if subjects.len() > NAMED_IN_TEXT {
                    write!(f, " and {} more", subjects.len() - NAMED_IN_TEXT)?;
                }
                write!(f, ": {why} ({})", rule.text)
            }
            Self::SpeaksOfNobody { rule } => write!(f, "{rule} speaks of nobody who exists ({})", rule.text),
            Self::MayDoNothing { subject } => {
                write!(f, "{subject} may do nothing: no rule allows it anything")
            }
        }
    }
}
