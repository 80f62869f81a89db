//! Rules: checking files, explaining decisions, showing what was refused.

use super::{Admin, accounts::bad_name, needs_running};
use crate::{
    control::{ExplainAction, PolicyChecked, PolicyExplain, PolicyExplained, Refusal, Response},
    denials::{Denied, limits::DENIAL_TEXT},
    rules::Rules,
    wiring::subject,
};
use keyward_identity::Standing;
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use keyward_policy::{Action, Explanation, Policy, Remedy, Subject};

impl Admin {
    /// Checks the files as they lie there, in force or not.
    pub(super) fn check_policy(&self) -> Result<Response, Refusal> {
        let rules = Rules::load(&self.home)?;
        let subjects = self.subjects();
        Ok(Response::PolicyChecked(PolicyChecked {
            files: rules.files.iter().map(|file| file.name.clone()).collect(),
            rules: rules.policy.written_rules(),
            findings: rules.policy.check(&subjects).iter().map(ToString::to_string).collect(),
        }))
    }

    /// Returns everybody whom rules can speak of.
    pub(super) fn subjects(&self) -> Vec<Subject> {
        let registry = self.registrar.registry();
        let mut subjects: Vec<Subject> = registry
            .accounts()
            .filter(|account| account.standing != Standing::Removed)
            .map(|account| subject(account))
            .collect();
        subjects.sort_by(|a, b| a.identity.cmp(&b.identity));
        subjects
    }

    pub(super) fn explain_policy(&self, question: &PolicyExplain) -> Result<Response, Refusal> {
        let identity: Identity =
            question.identity.parse().map_err(|error| bad_name("identity", &question.identity, &error))?;
        let account = self.account(&identity)?;
        let action = match question.action {
            ExplainAction::Publish => Action::Publish,
            ExplainAction::Subscribe => Action::Subscribe,
            ExplainAction::Receive => Action::Receive,
        };
        let explanation = self
            .policy()?
            .explain_client(&subject(&account), question.client.as_deref(), action, &question.topic)
            .map_err(|error| bad_name("topic", &question.topic, &error))?;
        let mut explained = explained(&explanation);
        if account.standing != Standing::Active {
            let standing = super::accounts::standing(&account);
            explained
                .text
                .push_str(&format!("\nBut {identity} is {standing:?} and may not connect.").to_lowercase());
        }
        Ok(Response::PolicyExplained(explained))
    }

    pub(super) fn denials(&self, since_secs: Option<u64>) -> Result<Response, Refusal> {
        let Some(running) = &self.running else {
            return Err(needs_running("what was refused is kept in the memory of a running broker"));
        };
        let since = since_secs.map(|secs| Millis(secs.saturating_mul(1_000)));
        let registry = self.registrar.registry();
        let advice = |who: &str, action: &str, topic: &str| {
            let account = registry.find(&who.parse().ok()?)?;
            advice(&running.policy, &subject(account), action, topic)
        };
        let would_allow = |denied: &Denied| match advice(&denied.who, denied.action, &denied.topic)? {
            Advice::AddRules(text) => Some(text),
            Advice::Say(_) => None,
        };
        let mut report = running.live.denials(since, &would_allow);
        for row in report.denials.iter_mut().filter(|row| row.would_allow.is_none()) {
            if let Some(Advice::Say(remedy)) = advice(&row.who, &row.action, &row.topic) {
                row.remedy = Some(remedy);
            }
        }
        Ok(Response::Denials(report))
    }
}

fn explained(explanation: &Explanation) -> PolicyExplained {
    PolicyExplained {
        allowed: explanation.allowed,
        rule: explanation.rule.as_ref().map(ToString::to_string),
        arrives: explanation.arriving.iter().map(|part| part.filter.clone()).collect(),
        would_allow: match &explanation.remedy {
            Some(Remedy::AddFile(text)) => Some(text.clone()),
            _ => None,
        },
        text: explanation.to_string(),
    }
}

/// Is what helps against a refusal.
enum Advice {
    /// These rules, appended to a rule file.
    AddRules(String),
    /// A sentence, where no further rule helps.
    Say(String),
}

/// Says what would allow what was refused; the rules of this moment count.
fn advice(policy: &Policy, subject: &Subject, action: &str, topic: &str) -> Option<Advice> {
    let action = match action {
        "publish" | "will" => Action::Publish,
        "subscribe" => Action::Subscribe,
        signed if signed.starts_with("publish ") => {
            let what =
                "its messages there have to be signed: see docs/signed-messages.md, and keyward keys list";
            return Some(Advice::Say(what.to_owned()));
        }
        _ => return None,
    };
    if topic.chars().count() > DENIAL_TEXT {
        let cut = "only the beginning of its topic is known: allow a filter that ends with '#'";
        return Some(Advice::Say(cut.to_owned()));
    }
    let explanation = policy.explain(subject, action, topic).ok()?;
    if explanation.allowed {
        return Some(Advice::Say("allowed by the rules as they are now".to_owned()));
    }
    Some(match explanation.remedy? {
        Remedy::AddFile(text) => Advice::AddRules(text),
        other => Advice::Say(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_policy::SourceFile;

    fn advised(topic: &str) -> Advice {
        let subject = Subject::new("device:dev01".parse().unwrap());
        advice(&Policy::builtin(), &subject, "publish", topic).unwrap()
    }

    #[test]
    fn the_rules_that_would_allow_it_do_also_behind_others() {
        let topics = ["dev02/\"quoted\"/{x}/status", "back\\slash/\u{202e}\n"];
        let text: String = topics
            .into_iter()
            .map(|topic| match advised(topic) {
                Advice::AddRules(text) => text,
                Advice::Say(what) => panic!("{what}"),
            })
            .collect();
        let policy = Policy::load(&[SourceFile { name: "policy.d/a.toml".into(), text }]).unwrap();
        let subject = Subject::new("device:dev01".parse().unwrap());
        for topic in topics {
            assert!(policy.explain(&subject, Action::Publish, topic).unwrap().allowed, "{topic:?}");
        }
    }

    #[test]
    fn what_no_rule_can_allow_is_said() {
        assert!(matches!(advised("$SYS/x"), Advice::Say(what) if what == "no rule can allow it"));
    }

    #[test]
    fn a_topic_of_which_the_end_was_forgotten_gets_no_rule() {
        let long = format!("{}…", "x".repeat(DENIAL_TEXT));
        assert!(matches!(advised(&long), Advice::Say(what) if what.contains("'#'")));
    }
}
