//! What the rules allow too widely, or mean for nobody.

use super::{Check, Facts, Profile, Step, Weakness};
use keyward_mqtt::topic::TopicName;
use keyward_policy::{Action, Policy, RuleRef, Subject};

/// A topic that no rule names: who may read or publish there may do so everywhere.
const ANYWHERE: &str = "keyward-doctor/0f6a1c/anywhere";

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "rules-valid",
        from: Profile::Home,
        why: "with a rule that is not valid the broker does not start, and a reload changes nothing",
        look: valid,
    },
    Check {
        name: "reads-everything",
        from: Profile::Home,
        why: "whoever steals this login hears the whole installation: who is at home, and every command",
        look: readers,
    },
    Check {
        name: "publishes-everywhere",
        from: Profile::Home,
        why: "whoever steals this login can speak as every device and command every one",
        look: writers,
    },
    Check {
        name: "rules-for-nobody",
        from: Profile::Home,
        why: "a misspelt name allows too little, or denies nobody; a new account of that name would inherit the rule",
        look: for_nobody,
    },
    Check {
        name: "decided-late",
        from: Profile::Home,
        why: "whoever may not read or leave a will is told that they may: a mistake shows as silence, and a last word is lost",
        look: decided_late,
    },
];

fn valid(facts: &Facts) -> Vec<Weakness> {
    let refused = facts.policy.as_ref().err().or(facts.refused_rules.as_ref());
    let weakness = |what: &String| Weakness::new(what.clone(), Step::keyward("policy check")).unusable();
    refused.map(weakness).into_iter().collect()
}

fn active(facts: &Facts) -> impl Iterator<Item = (&Policy, &Subject)> {
    let is_active = |subject: &&Subject| {
        facts.accounts.iter().any(|account| account.identity == subject.identity && account.is_active())
    };
    let policy = facts.policy.as_ref().ok();
    policy.into_iter().flat_map(move |policy| {
        facts.subjects.iter().filter(is_active).map(move |subject| (&**policy, subject))
    })
}

fn readers(facts: &Facts) -> Vec<Weakness> {
    let Ok(anywhere) = TopicName::parse(ANYWHERE) else { return Vec::new() };
    let weakness = |(policy, subject): (&Policy, &Subject)| {
        let rights = policy.rights(subject);
        let decision = rights.decide(Action::Receive, anywhere);
        let rule = decision.rule.filter(|_| decision.allowed)?;
        let what = format!("{} may read everything ({})", subject.identity, rule.cite());
        Some(Weakness::new(what, narrower(subject)))
    };
    active(facts).filter_map(weakness).collect()
}

fn writers(facts: &Facts) -> Vec<Weakness> {
    let Ok(anywhere) = TopicName::parse(ANYWHERE) else { return Vec::new() };
    let weakness = |(policy, subject): (&Policy, &Subject)| {
        let rights = policy.rights(subject);
        let decision = rights.decide(Action::Publish, anywhere);
        let rule = decision.rule.filter(|_| decision.allowed)?;
        let what = format!("{} may publish everywhere ({})", subject.identity, rule.cite());
        Some(Weakness::new(what, narrower(subject)))
    };
    active(facts).filter_map(weakness).collect()
}

fn narrower(subject: &Subject) -> [Step; 2] {
    edit(format!("name the topics that {} needs in that rule", subject.identity))
}

/// Says what to change in a file, and brings it into force.
fn edit(what: impl Into<String>) -> [Step; 2] {
    [Step::by(what), Step::keyward("reload")]
}

fn for_nobody(facts: &Facts) -> Vec<Weakness> {
    let Ok(policy) = &facts.policy else { return Vec::new() };
    let findings = policy.check(&facts.subjects).into_iter();
    let of_nobody =
        findings.filter(|finding| matches!(finding, keyward_policy::Finding::SpeaksOfNobody { .. }));
    let mend = || edit("correct the name or delete the rule");
    of_nobody.map(|finding| Weakness::new(finding.to_string(), mend())).collect()
}

fn decided_late(facts: &Facts) -> Vec<Weakness> {
    let policy = facts.policy.as_ref().ok();
    let weakness = |late: RuleRef<'_>| {
        let mend = edit(format!("delete [[decide-late]] at {late}, once these clients bear a refusal"));
        Weakness::new(late.cite().to_string(), mend)
    };
    policy.into_iter().flat_map(|policy| policy.decided_late()).map(weakness).collect()
}
