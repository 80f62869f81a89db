//! The default, the built-in rules, and the two things that no rule changes: tiers and `$` topics.

mod support;
use keyward_policy::{Cause, Policy, Reading, Rights};
use support::*;

const ACTIONS: [&str; 4] = ["publish", "subscribe", "receive", "share"];

#[test]
fn nobody_may_do_anything_without_rights() {
    for action in ACTIONS {
        assert!(!Rights::none().may(action, "a"), "{action}");
    }
    assert!(Rights::none().allows_nothing());
    assert_eq!(Rights::none().class("#"), Reading::Never);
}

#[test]
fn a_device_has_the_topics_below_its_name_and_no_others() {
    let rights = Policy::builtin().rights(&device("pump1"));
    for own in ["pump1", "pump1/status", "pump1/a/b", "devices/pump1/x", "devices/pump1"] {
        for action in ["publish", "receive", "subscribe"] {
            assert!(rights.may(action, own), "{action} {own}");
        }
    }
    for strange in
        ["pump2/status", "pump10", "pump", "devices/pump2/x", "devices", "Pump1/a", "/pump1/a", "a/pump1"]
    {
        for action in ACTIONS {
            assert!(!rights.may(action, strange), "{action} {strange}");
        }
    }
}

#[test]
fn joining_a_shared_subscription_is_a_right_that_devices_do_not_have_by_themselves() {
    let rights = Policy::builtin().rights(&device("pump1"));
    assert!(rights.may("subscribe", "pump1/jobs"));
    assert!(!rights.may("share", "pump1/jobs"));
}

#[test]
fn an_id_that_a_machine_chose_gets_no_first_level_of_its_own() {
    let rights = Policy::builtin().rights(&found("a1b2c3"));
    assert!(rights.may("publish", "devices/a1b2c3/status"));
    assert!(rights.may("subscribe", "devices/a1b2c3/#"));
    assert!(!rights.may("publish", "a1b2c3/status"));
    assert!(!rights.may("subscribe", "a1b2c3/#"));
}

#[test]
fn a_user_gets_nothing_even_if_a_device_has_the_same_name() {
    let rights = Policy::builtin().rights(&user("pump1"));
    assert!(rights.allows_nothing());
    for action in ACTIONS {
        assert!(!rights.may(action, "pump1/status"), "{action}");
        assert!(!rights.may(action, "devices/pump1/status"), "{action}");
    }
    assert!(!Policy::builtin().rights(&device("pump1")).allows_nothing());
}

#[test]
fn built_in_rules_are_cited_like_rules_of_a_file() {
    let rights = Policy::builtin().rights(&device("pump1"));
    assert_eq!(rights.rule_for("publish", "pump1/x").as_deref(), Some("built-in:1"));
    assert_eq!(rights.rule_for("publish", "devices/pump1/x").as_deref(), Some("built-in:7"));
    assert_eq!(rights.rule_for("publish", "other/x"), None);
}

#[test]
fn the_built_in_text_could_have_been_written_by_hand() {
    assert!(try_policy(Policy::built_in_text()).is_ok());
}

#[test]
fn a_rule_by_hand_decides_before_the_built_in_ones() {
    let text = rule("device:pump1", "deny", &["publish"], &["pump1/setpoint"]);
    let rights = policy(&text).rights(&device("pump1"));
    assert!(!rights.may("publish", "pump1/setpoint"));
    assert!(rights.may("publish", "pump1/status"));
    assert!(rights.may("receive", "pump1/setpoint"));
}

#[test]
fn inside_a_tier_deny_wins_wherever_it_stands() {
    let allow = rule("users", "allow", &["publish"], &["a/b"]);
    let deny = rule("users", "deny", &["publish"], &["a/#"]);
    for texts in [[&*allow, &*deny], [&*deny, &*allow]] {
        assert!(!policy_of(&texts).rights(&user("x")).may("publish", "a/b"));
    }
}

#[test]
fn an_earlier_tier_decides_before_a_later_one() {
    let allow = format!("tier = 1\n{}", rule("users", "allow", &["publish"], &["a/b"]));
    let deny = format!("tier = 2\n{}", rule("users", "deny", &["publish"], &["a/#"]));
    for texts in [[&*allow, &*deny], [&*deny, &*allow]] {
        let rights = policy_of(&texts).rights(&user("x"));
        assert!(rights.may("publish", "a/b"));
        assert!(!rights.may("publish", "a/c"));
    }
}

#[test]
fn a_tier_that_says_nothing_about_the_topic_or_action_leaves_it_to_the_next() {
    let first = format!("tier = 1\n{}", rule("users", "deny", &["receive"], &["a/#"]));
    let second = rule("users", "allow", &["publish"], &["a/#"]);
    let rights = policy_of(&[&first, &second]).rights(&user("x"));
    assert!(rights.may("publish", "a/b"));
}

#[test]
fn files_without_a_tier_stand_in_the_tenth() {
    let early = format!("tier = 9\n{}", rule("users", "allow", &["publish"], &["a"]));
    let late = format!("tier = 11\n{}", rule("users", "allow", &["publish"], &["b"]));
    let deny = rule("users", "deny", &["publish"], &["a", "b"]);
    let rights = policy_of(&[&early, &late, &deny]).rights(&user("x"));
    assert!(rights.may("publish", "a"));
    assert!(!rights.may("publish", "b"));
}

#[test]
fn even_the_last_tier_of_a_file_decides_before_the_built_in_rules() {
    let deny = format!("tier = 99\n{}", rule("all", "deny", &["publish"], &["#"]));
    assert!(!policy(&deny).rights(&device("pump1")).may("publish", "pump1/x"));
}

#[test]
fn clients_publish_to_no_dollar_topic_whatever_rules_say() {
    let rights = policy(&rule("all", "allow", &["publish"], &["#", "+/x", "{id}/#"])).rights(&device("d"));
    let topic = keyward_mqtt::topic::TopicName::parse("$SYS/x").unwrap();
    let decision = rights.decide(keyward_policy::Action::Publish, topic);
    assert_eq!((decision.allowed, decision.cause), (false, Cause::Reserved));
    assert!(rights.may("publish", "SYS/x"));
}

#[test]
fn dollar_topics_are_read_only_where_a_filter_literally_begins_with_that_word() {
    let wild = policy(&rule("all", "allow", &["subscribe"], &["#", "+/x"])).rights(&user("u"));
    assert!(!wild.may("receive", "$SYS/x"));
    assert!(!wild.may("subscribe", "$SYS/#"));
    assert_eq!(wild.class("$SYS/#"), Reading::Never);
    assert_eq!(wild.class("#"), Reading::Covered);

    let literal = policy(&rule("all", "allow", &["subscribe"], &["$SYS/#"])).rights(&user("u"));
    assert!(literal.may("receive", "$SYS/x"));
    assert!(literal.may("subscribe", "$SYS/+"));
    assert!(!literal.may("receive", "$OTHER/x"));
    assert!(!literal.may("subscribe", "#"));
    assert_eq!(literal.class("$SYS/a"), Reading::Covered);
}

#[test]
fn a_subscription_to_the_share_prefix_itself_reads_nothing() {
    let rights = policy(&rule("all", "allow", &["subscribe"], &["#"])).rights(&user("u"));
    assert!(!rights.may("subscribe", "$share/g/a"));
}
