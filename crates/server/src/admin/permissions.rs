//! Rules: checking files, explaining decisions, showing what was refused.

use super::{Admin, devices::bad_name, needs_running};
use crate::{
    control::{ExplainAction, PolicyChecked, PolicyExplain, PolicyExplained, Refusal, Response},
    denials::Denied,
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
    fn subjects(&self) -> Vec<Subject> {
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
            .explain(&subject(&account), action, &question.topic)
            .map_err(|error| bad_name("topic", &question.topic, &error))?;
        let mut explained = explained(&explanation);
        if account.standing != Standing::Active {
            let standing = super::devices::standing(&account);
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
        let would_allow = |denied: &Denied| {
            let account = registry.find(&denied.who.parse().ok()?)?;
            would_allow(&running.policy, &subject(account), denied)
        };
        Ok(Response::Denials(running.live.denials(since, &would_allow)))
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

/// Returns the one line that would allow what was refused; the rules of this moment count.
fn would_allow(policy: &Policy, subject: &Subject, denied: &Denied) -> Option<String> {
    let action = match denied.action {
        "publish" | "will" => Action::Publish,
        "subscribe" => Action::Subscribe,
        _ => return None,
    };
    let explanation = policy.explain(subject, action, &denied.topic).ok()?;
    if explanation.allowed {
        return Some("allowed by the rules as they are now".to_owned());
    }
    match explanation.remedy? {
        Remedy::AddFile(text) => Some(one_line(&text)),
        other => Some(other.to_string()),
    }
}

/// Writes a rule file with one rule as one line, which is a rule file too.
fn one_line(text: &str) -> String {
    let Some((head, rule)) = text.split_once("[[rule]]\n") else { return text.trim().replace('\n', "; ") };
    let keys: Vec<&str> = rule.lines().filter(|line| !line.is_empty()).collect();
    let line = format!("rule = [{{ {} }}]", keys.join(", "));
    match head.trim() {
        "" => line,
        tier => format!("{line}   # in a file that begins with {tier}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_policy::SourceFile;

    #[test]
    fn the_line_that_would_allow_it_is_a_rule_file_that_does() {
        let subject = Subject::new("device:dev01".parse().unwrap());
        let topic = "dev02/\"quoted\"/{x}/status";
        let denied =
            Denied { who: "device:dev01".into(), action: "publish", topic: topic.into(), rule: None };
        let line = would_allow(&Policy::builtin(), &subject, &denied).unwrap();
        assert_eq!(line.lines().count(), 1);
        let policy = Policy::load(&[SourceFile { name: "policy.d/a.toml".into(), text: line }]).unwrap();
        assert!(policy.explain(&subject, Action::Publish, topic).unwrap().allowed);
    }

    #[test]
    fn what_no_rule_can_allow_is_said() {
        let subject = Subject::new("device:dev01".parse().unwrap());
        let denied =
            Denied { who: "device:dev01".into(), action: "publish", topic: "$SYS/x".into(), rule: None };
        assert_eq!(would_allow(&Policy::builtin(), &subject, &denied).unwrap(), "no rule can allow it");
    }
}
