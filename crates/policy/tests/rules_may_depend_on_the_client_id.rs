//! `{client}` and `plain_client_id`: what a principal may do with one client id and not with another.

mod support;
use keyward_mqtt::topic::TopicName;
use keyward_policy::{Action, Finding, Policy, Reading, Rights, Unresolved};
use proptest::prelude::*;
use support::*;

fn with_client(policy: &Policy, client: &str) -> Rights {
    let rights = policy.rights(&user("ann"));
    rights.of_client(client).unwrap_or(rights)
}

fn some_client_may(policy: &Policy, topic: &str) -> bool {
    let topic = TopicName::parse(topic);
    topic.is_ok_and(|topic| policy.rights(&user("ann")).some_client_may(Action::Publish, topic))
}

#[test]
fn a_client_has_what_follows_from_its_own_id() {
    let policy = policy(&rule("users", "allow", &["publish", "subscribe"], &["{user}/dev-{client}/#"]));
    let c1 = with_client(&policy, "c1");
    assert!(c1.may("publish", "ann/dev-c1/x") && c1.may("subscribe", "ann/#"));
    assert!(!c1.may("publish", "ann/dev-c2/x") && !c1.may("publish", "ann/dev-/x"));
    assert_eq!((c1.class("ann/dev-c1/#"), c1.class("ann/+/#")), (Reading::Covered, Reading::Mixed));
}

#[test]
fn a_client_id_that_is_no_text_of_one_level_gets_nothing() {
    let policy = policy(&rule("users", "allow", &["publish", "subscribe"], &["x/{client}/#", "{client}/y"]));
    for client in ["+", "#", "a/b", "a+", "", "\0"] {
        assert!(!with_client(&policy, client).may("subscribe", "#"), "{client:?}");
    }
    let reserved = with_client(&policy, "$SYS");
    assert!(!reserved.may("receive", "$SYS/y") && reserved.may("receive", "x/$SYS/y"));
}

#[test]
fn without_a_client_id_less_is_allowed_and_more_denied() {
    let policy = policy(&format!(
        "{}{}",
        rule("users", "allow", &["publish"], &["{client}/#", "all/#"]),
        rule("users", "deny", &["publish"], &["all/{client}"]),
    ));
    let rights = policy.rights(&user("ann"));
    assert!(!rights.may("publish", "c1/x") && !rights.may("publish", "all/c2"));
    assert!(rights.may("publish", "all/c1/x"));
    let c1 = with_client(&policy, "c1");
    assert!(c1.may("publish", "c1/x") && c1.may("publish", "all/c2") && !c1.may("publish", "all/c1"));
}

#[test]
fn a_rule_for_plain_client_ids_leaves_out_those_that_are_no_text_of_one_level() {
    let policy = policy(&format!(
        "{}plain_client_id = true\n{}",
        rule("users", "allow", &["publish"], &["{user}/#"]),
        rule("users", "allow", &["publish"], &["own"]),
    ));
    for (client, may) in [("c1", true), ("a/b", false), ("c+", false), ("#", false)] {
        let rights = with_client(&policy, client);
        assert_eq!(rights.may("publish", "ann/x"), may, "{client}");
        assert!(rights.may("publish", "own"));
    }
    let explained = policy.explain_client(&user("ann"), Some("c+"), Action::Publish, "ann/x").unwrap();
    assert!(explained.to_string().contains("the client id holds '+'"), "{explained}");
}

#[test]
fn rights_are_shared_where_no_client_id_matters() {
    assert!(policy(WORKSHOP).rights(&user("dev02")).of_client("c1").is_none());
}

#[test]
fn what_some_client_may_is_what_one_of_all_client_ids_may() {
    let text = |tier: u8, rule: &str| format!("tier = {tier}\n{rule}");
    let early = text(1, &rule("users", "deny", &["publish"], &["{client}/x"]));
    let late = text(2, &rule("users", "allow", &["publish"], &["{client}/#", "dev-{client}/y"]));
    let policy = policy_of(&[&early, &late]);
    for (topic, may) in [("a/y", true), ("a/x", false), ("dev-a/y", true), ("a", true), ("$SYS/y", false)] {
        assert_eq!(some_client_may(&policy, topic), may, "{topic}");
    }
    let open = text(3, &rule("users", "allow", &["publish"], &["a/x"]));
    assert!(some_client_may(&policy_of(&[&early, &late, &open]), "a/x"), "all ids but one may");
}

#[test]
fn an_explanation_names_the_client_id_or_asks_for_it() {
    let policy = policy(&rule("users", "allow", &["publish"], &["{client}/#"]));
    let without = policy.explain(&user("ann"), Action::Publish, "c1/x").unwrap();
    assert!(!without.allowed);
    assert!(without.not_applying.iter().any(|(_, why)| matches!(why, Unresolved::Lacks(_))));
    assert!(without.to_string().contains("it depends on the client id"), "{without}");
    let with = policy.explain_client(&user("ann"), Some("c1"), Action::Publish, "c1/x").unwrap();
    assert!(with.allowed && with.to_string().contains("with client id \"c1\""), "{with}");
}

#[test]
fn a_rule_that_depends_on_the_client_id_has_an_effect() {
    let policy = policy(&rule("user:ann", "allow", &["publish"], &["{client}/#"]));
    let findings = policy.check(&[user("ann")]);
    assert!(findings.iter().all(|finding| !matches!(finding, Finding::MayDoNothing { .. })), "{findings:?}");
    assert!(findings.iter().all(|finding| !matches!(finding, Finding::DoesNotApply { .. })), "{findings:?}");
}

#[test]
fn topics_of_ones_own_below_which_client_ids_stand_are_in_the_way_of_a_new_name() {
    let policy = policy(&rule("users", "allow", &["publish"], &["{user}/{client}/#"]));
    assert_eq!(policy.own_filters(&user("ann")), ["ann/+/#"]);
}

proptest! {
    /// What a client may equals what the literal filter would allow it.
    #[test]
    fn a_client_id_allows_what_its_literal_level_allows(
        client in "[a-c+/#$]{0,3}",
        topic in "[a-c$]{0,3}/[a-c$x-]{0,4}",
    ) {
        let Ok(name) = TopicName::parse(&topic) else { return Ok(()) };
        let policy = policy(&rule("users", "allow", &["receive"], &["{client}/x-{client}"]));
        let fits = !client.is_empty() && !client.contains(['+', '/', '#']) && !client.starts_with('$');
        let expected = fits && topic == format!("{client}/x-{client}");
        let rights = with_client(&policy, &client);
        prop_assert_eq!(rights.decide(Action::Receive, name).allowed, expected);
    }
}
