//! `[[decide-late]]`: every subscription or will is accepted, and what it comes to is decided when a message is there.

mod support;
use keyward_mqtt::topic::TopicName;
use keyward_policy::{Action, Cause, Finding, Reading, Rights};
use support::*;

const LATE: &str =
    "[[decide-late]]\nwho = \"user:old\"\nwhat = [\"subscribe\", \"will\"]\nnote = \"As before.\"\n";

fn old() -> Rights {
    policy(&(rule("users", "allow", &["subscribe"], &["a/#"]) + LATE)).rights(&user("old"))
}

#[test]
fn every_subscription_is_granted_and_reads_only_what_rules_allow() {
    for filter in ["#", "a/b", "b", "$SYS/#", "$anything/+"] {
        assert!(old().may("subscribe", filter), "{filter}");
    }
    assert_eq!(
        (old().class("b/#"), old().class("a/b"), old().class("#")),
        (Reading::Never, Reading::Covered, Reading::Mixed)
    );
    assert!(!old().may("receive", "b") && old().may("receive", "a/b"));
}

#[test]
fn a_shared_subscription_is_never_decided_late() {
    assert!(!old().may("share", "b/#") && !old().may("share", "a/#"));
}

#[test]
fn a_will_is_accepted_and_gives_no_right_to_publish() {
    let topic = TopicName::parse("b").unwrap();
    assert!(old().decide_will(topic).allowed && !old().may("publish", "b"));
    let strict = policy(LATE).rights(&user("other"));
    assert!(!strict.decide_will(topic).allowed && !strict.may("subscribe", "b"));
}

#[test]
fn it_says_for_whom_and_for_what() {
    let only_wills = policy("[[decide-late]]\nwho = \"users\"\nwhat = \"will\"\n").rights(&user("old"));
    assert!(!only_wills.may("subscribe", "b"));
    let devices = policy("[[decide-late]]\nwho = \"devices\"\nwhat = \"subscribe\"\n");
    assert!(
        devices.rights(&device("d")).may("subscribe", "b")
            && !devices.rights(&user("u")).may("subscribe", "b")
    );
}

#[test]
fn an_explanation_says_so_and_that_nothing_would_arrive() {
    let policy = policy(LATE);
    let explained = policy.explain(&user("old"), Action::Subscribe, "b/#").unwrap();
    assert_eq!((explained.allowed, explained.cause), (true, Cause::Late));
    let text = explained.to_string();
    for part in ["nothing of this one would arrive", "policy.d/test.toml:1", "As before."] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn one_that_speaks_of_nobody_is_found() {
    let findings = policy(LATE).check(&[user("new")]);
    assert!(matches!(&findings[0], Finding::SpeaksOfNobody { rule } if rule.line == 1), "{findings:?}");
}

#[test]
fn what_is_no_word_of_it_is_an_error_with_its_place() {
    for (text, part) in [
        ("[[decide-late]]\nwho = \"users\"\nwhat = [\"publish\"]\n", "3:9: what"),
        ("[[decide-late]]\nwho = \"users\"\n", "1:1: what"),
        ("[[decide-late]]\nwhat = \"will\"\n", "1:1: who"),
        ("[[decide-late]]\nwho = \"role:none\"\nwhat = \"will\"\n", "a role that is defined"),
    ] {
        let errors = try_policy(text).unwrap_err().to_string();
        assert!(errors.contains(part), "{errors}");
    }
}
