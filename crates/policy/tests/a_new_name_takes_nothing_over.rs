//! Which uses of a topic are in the way of a new name.

mod support;
use keyward_policy::{Policy, Subject};
use support::*;

/// Lists the overlaps as `own < other by rule (identity)`.
fn overlaps(policy: &Policy, new: &Subject, existing: &[Subject]) -> Vec<String> {
    policy
        .overlaps(new, existing)
        .iter()
        .map(|found| {
            let identity = found.identity.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
            format!("{} < {} by {}{identity}", found.own, found.other, found.rule)
        })
        .collect()
}

#[test]
fn a_name_owns_what_follows_from_it() {
    assert_eq!(Policy::builtin().own_filters(&device("pump1")), ["pump1/#", "devices/pump1/#"]);
    assert_eq!(Policy::builtin().own_filters(&found("x1")), ["devices/x1/#"]);
    assert!(Policy::builtin().own_filters(&user("ann")).is_empty());
    let text = rule("all", "allow", &["publish"], &["z/{id}/x", "{user}/y", "{type}/z", "+/{id}"]);
    let policy = policy(&text);
    assert_eq!(policy.own_filters(&placed("d", "t", "s")), ["z/d/x", "d/#", "devices/d/#"]);
    assert_eq!(policy.own_filters(&user("ann")), ["ann/y"]);
}

#[test]
fn devices_do_not_overlap_each_other() {
    let existing = [device("pump2"), device("pump"), found("pump11"), user("pump1")];
    assert!(overlaps(&Policy::builtin(), &device("pump1"), &existing).is_empty());
}

#[test]
fn a_rule_that_spells_the_name_out_is_in_the_way_with_file_and_line() {
    let policy =
        policy(&format!("\n{}", rule("user:app", "allow", &["subscribe"], &["x/y", "pump1/status"])));
    let found = policy.overlaps(&device("pump1"), &[]);
    assert_eq!(overlaps(&policy, &device("pump1"), &[]), ["pump1/# < pump1/status by policy.d/test.toml:2"]);
    assert_eq!(
        found[0].to_string(),
        "its topics \"pump1/#\" overlap \"pump1/status\" of policy.d/test.toml:2 (allow subscribe, receive for \
         user:app on \"pump1/status\")"
    );
    assert!(overlaps(&policy, &device("pump2"), &[]).is_empty());
    assert!(overlaps(&policy, &support::found("pump1"), &[]).is_empty(), "it has devices/pump1/ only");
}

#[test]
fn the_bare_name_and_a_filter_with_wildcards_behind_it_are_in_the_way_too() {
    for topic in ["pump1", "pump1/#", "pump1/+/x", "devices/pump1/x"] {
        let policy = policy(&rule("user:app", "allow", &["publish"], &[topic]));
        assert_eq!(policy.overlaps(&device("pump1"), &[]).len(), 1, "{topic}");
    }
}

#[test]
fn what_lies_beside_the_own_topics_is_not_in_the_way() {
    let own = rule("users", "allow", &["publish"], &["{user}/inbox"]);
    let beside = rule("users", "allow", &["publish"], &["ann/outbox"]);
    assert!(overlaps(&policy_of(&[&own, &beside]), &user("ann"), &[]).is_empty());
}

#[test]
fn a_name_is_not_in_its_own_way() {
    let existing = [device("pump1"), user("app")];
    assert!(overlaps(&Policy::builtin(), &device("pump1"), &existing).is_empty());
}

#[test]
fn a_denial_that_spells_the_name_out_is_in_the_way() {
    let policy = policy(&rule("devices", "deny", &["publish"], &["plant/#"]));
    assert_eq!(policy.overlaps(&device("plant"), &[]).len(), 1);
}

#[test]
fn rules_that_are_meant_for_every_device_are_not_in_the_way() {
    let topics = ["+/status", "#", "+/#", "devices/+/status", "devices/#", "+/pump1"];
    let policy = policy(&rule("user:app", "allow", &["subscribe"], &topics));
    assert!(overlaps(&policy, &device("pump1"), &[user("app"), device("pump2")]).is_empty());
}

#[test]
fn rules_that_were_written_for_the_new_name_are_not_in_its_way() {
    let own = rule("device:pump1", "deny", &["publish"], &["pump1/setpoint"]);
    assert!(overlaps(&policy(&own), &device("pump1"), &[]).is_empty());
    assert_eq!(policy(&own).overlaps(&device("pump1"), &[]), []);
    let shared =
        "[[rule]]\nwho = [\"device:pump1\", \"user:app\"]\nallow = \"publish\"\ntopics = \"pump1/x\"\n";
    assert_eq!(policy(shared).overlaps(&device("pump1"), &[]).len(), 1);
    assert!(overlaps(&policy(WORKSHOP), &device("dev01"), &[user("dev02")]).is_empty());
}

#[test]
fn what_follows_from_anothers_name_is_in_the_way_and_names_them() {
    let policy = policy(&rule("users", "allow", &["publish"], &["{user}/inbox"]));
    assert_eq!(
        overlaps(&policy, &device("ann"), &[user("bob"), user("ann")]),
        ["ann/# < ann/inbox by policy.d/test.toml:1 (user:ann)"]
    );
    assert_eq!(
        overlaps(&policy, &user("pump1"), &[device("pump1"), device("pump2")]),
        ["pump1/inbox < pump1/# by built-in:1 (device:pump1)"]
    );
    let shown = policy.overlaps(&device("ann"), &[user("ann")])[0].to_string();
    assert!(shown.contains("overlap \"ann/inbox\" of user:ann, by policy.d/test.toml:1 ("), "{shown}");
}

#[test]
fn a_type_or_site_of_that_name_is_named_once_however_many_stand_there() {
    let policy = policy(&rule("devices", "allow", &["publish"], &["{site}/log"]));
    let existing = [placed("a", "t", "north"), placed("b", "t", "north"), placed("c", "t", "south")];
    assert_eq!(
        overlaps(&policy, &device("north"), &existing),
        ["north/# < north/log by policy.d/test.toml:1 (device:a)"]
    );
}
