//! `explain` is the deciding function with tracing on, and what it proposes works.

mod support;
use keyward_mqtt::topic::{TopicFilter, TopicName};
use keyward_policy::{Action, Cause, Explanation, Policy, Remedy, SourceFile, Subject, Unresolved};
use proptest::prelude::*;
use support::*;

fn explain(policy: &Policy, subject: &Subject, action: Action, text: &str) -> Explanation {
    policy.explain(subject, action, text).unwrap_or_else(|error| panic!("{text} {error}"))
}

#[test]
fn an_allowed_publish_names_its_rule_with_file_line_text_and_note() {
    let explanation = explain(&Policy::builtin(), &device("d"), Action::Publish, "d/x");
    assert!(explanation.allowed);
    assert_eq!(explanation.remedy, None);
    let rule = explanation.rule.as_ref().unwrap();
    assert_eq!((rule.to_string().as_str(), rule.line), ("built-in:1", 1));
    assert_eq!(rule.text, "allow publish, subscribe, receive for named-devices on \"{id}/#\"");
    assert_eq!(
        explanation.to_string(),
        "allowed: device:d publish \"d/x\"\n  by built-in:1: allow publish, subscribe, receive for named-devices \
         on \"{id}/#\"\n  note: \"A device has the topics below its own name.\"\n"
    );
}

#[test]
fn a_denied_publish_shows_the_rule_that_would_allow_it() {
    let explanation = explain(&Policy::builtin(), &device("d"), Action::Publish, "e/x");
    assert_eq!((explanation.allowed, explanation.cause, &explanation.rule), (false, Cause::NoRule, &None));
    assert_eq!(
        explanation.to_string(),
        "denied: device:d publish \"e/x\"\n  no rule allows it\n  this in a new file of policy.d would allow it:\n\n\
         [[rule]]\nwho = \"device:d\"\nallow = [\"publish\"]\ntopics = [\"e/x\"]\n"
    );
}

#[test]
fn the_rules_that_were_looked_at_are_listed_in_their_order() {
    let text = rule("device:d", "deny", &["publish"], &["d/off", "d/secret"]);
    let explanation = explain(&policy(&text), &device("d"), Action::Publish, "d/x");
    let steps: Vec<_> = explanation
        .looked_at
        .iter()
        .map(|step| (step.rule.to_string(), step.filter.as_str(), step.decided))
        .collect();
    assert_eq!(
        steps,
        [
            ("policy.d/test.toml:1".into(), "d/off", false),
            ("policy.d/test.toml:1".into(), "d/secret", false),
            ("built-in:1".into(), "d/#", true),
        ]
    );
}

#[test]
fn for_a_wide_filter_it_says_what_would_arrive_and_what_not() {
    let text = format!(
        "{}{}{}",
        rule("users", "allow", &["subscribe"], &["+/status", "log/#"]),
        rule("users", "deny", &["receive"], &["log/secret/#"]),
        rule("users", "deny", &["receive"], &["nowhere"]),
    );
    let explanation = explain(&policy(&text), &user("u"), Action::Subscribe, "#");
    let arriving: Vec<_> = explanation
        .arriving
        .iter()
        .map(|arrival| {
            let except: Vec<_> = arrival.except.iter().map(|(filter, _)| filter.as_str()).collect();
            (arrival.filter.as_str(), except)
        })
        .collect();
    assert_eq!(arriving, [("+/status", vec![]), ("log/#", vec!["log/secret/#"])]);
    let line = "  would arrive: \"log/#\" by policy.d/test.toml:1, but not \"log/secret/#\" (policy.d/test.toml:5)\n";
    assert!(explanation.to_string().contains(line), "{explanation}");
    let narrow = explain(&policy(&text), &user("u"), Action::Subscribe, "log/+");
    let parts: Vec<_> = narrow.arriving.iter().map(|arrival| arrival.filter.as_str()).collect();
    assert_eq!(parts, ["log/status", "log/+"]);
}

#[test]
fn against_a_denial_it_proposes_an_earlier_tier_or_names_the_rule_to_change() {
    let deny = rule("users", "deny", &["publish"], &["a"]);
    let explanation = explain(&policy(&deny), &user("u"), Action::Publish, "a");
    assert_eq!(explanation.rule.as_ref().unwrap().to_string(), "policy.d/test.toml:1");
    let Some(Remedy::AddFile(text)) = explanation.remedy else { panic!("{explanation}") };
    assert!(text.starts_with("tier = 9\n\n[[rule]]\n"), "{text}");

    let first = policy(&format!("tier = 1\n{deny}"));
    let explanation = explain(&first, &user("u"), Action::Publish, "a");
    assert!(matches!(&explanation.remedy, Some(Remedy::ChangeRule(rule)) if rule.line == 2), "{explanation}");

    let unrelated = format!("tier = 2\n{}", rule("users", "deny", &["publish"], &["b"]));
    let explanation = explain(&policy_of(&[&unrelated, &deny]), &user("u"), Action::Publish, "a");
    let text = explanation.remedy.as_ref().and_then(Remedy::file).unwrap_or_default();
    assert!(text.starts_with("tier = 9\n"), "{explanation}");
}

#[test]
fn what_no_rule_can_allow_gets_no_proposal() {
    let explanation = explain(&Policy::builtin(), &device("d"), Action::Publish, "$SYS/x");
    assert_eq!((explanation.cause, explanation.remedy), (Cause::Reserved, Some(Remedy::Never)));
    let deep = vec!["a"; 100].join("/");
    let explanation = explain(&Policy::builtin(), &device("d"), Action::Publish, &deep);
    assert_eq!(explanation.remedy, Some(Remedy::WiderFilter));
}

#[test]
fn a_rule_that_does_not_apply_is_shown_with_its_reason() {
    let policy = policy(&rule("devices", "allow", &["publish"], &["{site}/x"]));
    let explanation = explain(&policy, &device("d"), Action::Publish, "north/x");
    let [(rule, why)] = &explanation.not_applying[..] else { panic!("{explanation}") };
    assert_eq!(rule.to_string(), "policy.d/test.toml:1");
    assert_eq!(*why, Unresolved::Lacks(keyward_policy::Placeholder::Site));
    assert!(
        explanation.to_string().contains("does not apply to device:d: it has no {site}"),
        "{explanation}"
    );
}

#[test]
fn a_shared_subscription_is_explained_as_one() {
    let policy = policy(&rule("users", "allow", &["subscribe"], &["jobs/#"]));
    for (action, text) in [(Action::Share, "jobs/a"), (Action::Subscribe, "$share/g/jobs/a")] {
        let explanation = explain(&policy, &user("u"), action, text);
        assert_eq!((explanation.allowed, explanation.cause), (false, Cause::NotShareable));
        let Some(Remedy::AddFile(text)) = explanation.remedy else { panic!("{action}") };
        assert!(text.contains("allow = [\"subscribe\", \"share\"]\ntopics = [\"jobs/a\"]"), "{text}");
    }
}

#[test]
fn what_is_no_topic_is_an_error() {
    let policy = Policy::builtin();
    for (action, text) in [
        (Action::Publish, "a/+"),
        (Action::Receive, "#"),
        (Action::Subscribe, "a#"),
        (Action::Subscribe, "$share/g"),
        (Action::Publish, ""),
    ] {
        assert!(policy.explain(&device("d"), action, text).is_err(), "{action} {text}");
    }
}

#[test]
fn a_topic_that_could_fool_a_reader_is_escaped() {
    let explanation =
        explain(&Policy::builtin(), &device("d"), Action::Publish, "a\u{202e}\u{1b}[2J\nallowed");
    let shown = explanation.to_string();
    assert!(!shown.contains(['\u{202e}', '\u{1b}']) && !shown.contains("\nallowed"), "{shown}");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[ab+#/]{1,6}", "[{}id\"\\\\/$]{1,8}", any::<String>(),]
}

fn any_rules() -> impl Strategy<Value = Vec<String>> {
    let one = (1..13u8, any::<bool>(), "(([ab]|\\+)/){0,2}([ab]|\\+|#)").prop_map(|(tier, allow, filter)| {
        let effect = if allow { "allow" } else { "deny" };
        format!("tier = {tier}\n{}", rule("all", effect, &["publish", "subscribe", "share"], &[&filter]))
    });
    proptest::collection::vec(one, 0..5)
}

proptest! {
    /// What is proposed, pasted as it is, allows what was denied; and explain never says other than decide.
    #[test]
    fn the_proposed_file_allows_what_was_denied(rules in any_rules(), text in any_text(), n in 0..4usize) {
        let action = Action::ALL[n];
        let rules: Vec<_> = rules.iter().map(String::as_str).collect();
        let policy = policy_of(&rules);
        let Ok(explanation) = policy.explain(&user("u"), action, &text) else { return Ok(()) };
        let rights = policy.rights(&user("u"));
        let decided = match action {
            Action::Publish | Action::Receive => rights.decide(action, TopicName::parse(&text).unwrap()),
            Action::Subscribe | Action::Share if text.starts_with("$share") => return Ok(()),
            Action::Subscribe | Action::Share => {
                rights.decide_subscribe(TopicFilter::parse(&text).unwrap(), action == Action::Share)
            }
        };
        prop_assert_eq!(explanation.allowed, decided.allowed);
        prop_assert_eq!(explanation.rule.map(|rule| rule.to_string()), decided.rule.map(|rule| rule.to_string()));
        match explanation.remedy {
            None => prop_assert!(explanation.allowed),
            Some(Remedy::AddFile(added)) => {
                let mut files: Vec<_> = rules.iter().map(|text| SourceFile::new("x.toml", *text)).collect();
                files.push(SourceFile::new("added.toml", added));
                let policy = Policy::load(&files).unwrap();
                prop_assert!(policy.explain(&user("u"), action, &text).unwrap().allowed);
            }
            Some(Remedy::Release(_)) => prop_assert!(false, "nobody is in quarantine"),
            Some(Remedy::Never) => prop_assert!(action == Action::Publish && text.starts_with('$')),
            Some(Remedy::WiderFilter) => prop_assert!(text.len() > 500 || text.split('/').count() > 32),
            // Beyond help is only what the very first tier denies.
            Some(Remedy::ChangeRule(rule)) => {
                let n: usize = rule.file.strip_prefix("policy.d/").unwrap()[..1].parse().unwrap();
                prop_assert!(rules[n].starts_with("tier = 1\n") && rules[n].contains("deny"), "{}", rule);
            }
        }
    }
}

/// The blast radius of a device: also what `#` does not lead to, and whatever client id a thief takes.
#[test]
fn all_that_somebody_may_do_is_listed_with_what_is_taken_out_again() {
    let text = [
        rule("device:d", "allow", &["publish"], &["shared/#"]),
        rule("device:d", "deny", &["publish"], &["shared/secret", "gone/#"]),
        rule("device:d", "allow", &["publish"], &["gone/a", "c/{client}/x"]),
        rule("device:d", "deny", &["publish"], &["c/{client}/x"]),
        rule("device:d", "allow", &["subscribe"], &["$keyward/incidents/#"]),
    ]
    .concat();
    let policy = policy(&text);
    let reach = |action| -> Vec<String> {
        policy.reach(&device("d"), action).iter().map(ToString::to_string).collect()
    };
    let writes = reach(Action::Publish);
    let has = |list: &[String], part: &str| list.iter().any(|line| line.contains(part));
    assert!(has(&writes, "shared/#") && has(&writes, "shared/secret"), "{writes:?}");
    assert!(has(&writes, "d/#") && has(&writes, "c/+/x"), "{writes:?}");
    assert!(!has(&writes, "gone"), "{writes:?}");
    let reads = reach(Action::Receive);
    assert!(has(&reads, "$keyward/incidents/#") && !has(&reads, "shared"), "{reads:?}");
    assert!(policy.reach(&device("e"), Action::Publish).iter().all(|part| part.filter.contains('e')));
}
