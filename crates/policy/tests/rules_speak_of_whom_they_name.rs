//! Each kind of `who`, each placeholder, and what the actions take with them.

mod support;
use keyward_policy::Reading;
use support::*;

#[test]
fn each_kind_of_who_speaks_of_its_own_and_of_nobody_else() {
    let all = [device("d"), device("e"), user("d"), user("u"), placed("t", "pump", "north"), found("m")];
    for (who, expected) in [
        ("device:d", vec!["device:d"]),
        ("device:D", vec!["device:d"]),
        ("user:d", vec!["user:d"]),
        ("type:pump", vec!["device:t"]),
        ("site:north", vec!["device:t"]),
        ("site:pump", vec![]),
        ("role:crew", vec!["device:d", "user:u", "device:t"]),
        ("role:north", vec!["device:t"]),
        ("devices", vec!["device:d", "device:e", "device:t", "device:m"]),
        ("named-devices", vec!["device:d", "device:e", "device:t"]),
        ("users", vec!["user:d", "user:u"]),
        ("all", vec!["device:d", "device:e", "user:d", "user:u", "device:t", "device:m"]),
    ] {
        let roles = "[roles.crew]\nmembers = [\"device:d\", \"user:u\", \"type:pump\"]\n\
                     [roles.north]\nmembers = [\"site:north\"]\n";
        let policy = policy(&format!("{}\n{roles}", rule(who, "allow", &["publish"], &["shared"])));
        let allowed: Vec<_> = all
            .iter()
            .filter(|subject| policy.rights(subject).may("publish", "shared"))
            .map(|subject| subject.identity.to_string())
            .collect();
        assert_eq!(allowed, expected, "{who}");
    }
}

#[test]
fn a_rule_may_name_several_and_a_role_may_stand_in_another_file() {
    let text = "[[rule]]\nwho = [\"role:crew\", \"device:d\"]\nallow = \"publish\"\ntopics = \"x\"\n";
    let policy = policy_of(&[text, "[roles.crew]\nmembers = [\"user:u\"]\n"]);
    assert!(policy.rights(&user("u")).may("publish", "x"));
    assert!(policy.rights(&device("d")).may("publish", "x"));
    assert!(!policy.rights(&user("d")).may("publish", "x"));
}

#[test]
fn placeholders_take_the_values_of_the_subject() {
    let text = rule("all", "allow", &["publish"], &["i/{id}", "u/{user}", "t/{type}/x", "s-{site}"]);
    let policy = policy(&text);
    let device = policy.rights(&placed("d1", "pump", "north"));
    assert!(
        device.may("publish", "i/d1")
            && device.may("publish", "t/pump/x")
            && device.may("publish", "s-north")
    );
    assert!(!device.may("publish", "u/d1"));
    let user = policy.rights(&user("ann"));
    assert!(user.may("publish", "u/ann"));
    assert!(!user.may("publish", "i/ann"));
}

#[test]
fn a_filter_that_does_not_apply_leaves_the_others_of_its_rule_in_force() {
    let policy = policy(&rule("all", "allow", &["publish"], &["{site}/x", "y"]));
    let rights = policy.rights(&device("d"));
    assert!(rights.may("publish", "y"));
    assert!(!rights.may("publish", "/x"));
    assert!(!rights.may("publish", "{site}/x"));
}

#[test]
fn a_name_is_written_into_topics_as_it_is_spelt() {
    let rights = keyward_policy::Policy::builtin().rights(&device("Pump-1"));
    assert!(rights.may("publish", "Pump-1/x"));
    assert!(!rights.may("publish", "pump-1/x"));
}

#[test]
fn subscribe_takes_receive_with_it_and_receive_does_not_take_subscribe() {
    let rights = policy(&rule("users", "allow", &["subscribe"], &["a"])).rights(&user("u"));
    assert!(rights.may("subscribe", "a") && rights.may("receive", "a"));
    assert!(!rights.may("publish", "a"));
    let rights = policy(&rule("users", "allow", &["receive"], &["a"])).rights(&user("u"));
    assert!(!rights.may("subscribe", "a"));
    assert!(rights.may("receive", "a"));
}

#[test]
fn what_one_may_not_subscribe_to_does_not_arrive_through_a_wider_filter() {
    let allow = rule("users", "allow", &["subscribe"], &["#"]);
    let deny = rule("users", "deny", &["subscribe"], &["secret/#"]);
    let rights = policy_of(&[&allow, &deny]).rights(&user("u"));
    assert!(rights.may("subscribe", "#"));
    assert!(!rights.may("receive", "secret/x"));
    assert!(!rights.may("subscribe", "secret/x"));
    assert_eq!(rights.class("#"), Reading::Mixed);
    assert_eq!(rights.class("secret/+"), Reading::Never);
    assert_eq!(rights.class("open/#"), Reading::Covered);
}

#[test]
fn a_denied_publish_leaves_reading_alone_and_the_other_way_round() {
    let allow = rule("users", "allow", &["publish", "subscribe"], &["a"]);
    let no_publish = policy_of(&[&allow, &rule("users", "deny", &["publish"], &["a"])]).rights(&user("u"));
    assert!(!no_publish.may("publish", "a") && no_publish.may("subscribe", "a"));
    let no_read = policy_of(&[&allow, &rule("users", "deny", &["receive"], &["a"])]).rights(&user("u"));
    assert!(no_read.may("publish", "a") && !no_read.may("subscribe", "a") && !no_read.may("receive", "a"));
}

#[test]
fn sharing_needs_the_right_to_subscribe_beside_it() {
    let only_share = policy(&rule("users", "allow", &["share"], &["#"])).rights(&user("u"));
    assert!(!only_share.may("share", "jobs/a"));
    let both = policy(&rule("users", "allow", &["subscribe", "share"], &["jobs/#"])).rights(&user("u"));
    assert!(both.may("share", "jobs/a") && both.may("share", "jobs/#"));
}

/// A member of a shared subscription takes messages that the other members then do not get, so what one may not
/// share must not hide behind something that one may.
#[test]
fn a_shared_filter_must_be_shareable_as_a_whole() {
    let read = rule("users", "allow", &["subscribe"], &["#"]);
    let share = rule("users", "allow", &["share"], &["jobs/#"]);
    let rights = policy_of(&[&read, &share]).rights(&user("u"));
    assert!(rights.may("share", "jobs/+"));
    assert!(!rights.may("share", "#"));
    assert!(!rights.may("share", "other"));
    let deny = rule("users", "deny", &["share"], &["jobs/mine"]);
    let rights = policy_of(&[&read, &share, &deny]).rights(&user("u"));
    assert!(!rights.may("share", "jobs/#"));
    assert_eq!(rights.rule_for("share", "jobs/#").as_deref(), Some("policy.d/2.toml:1"));
    assert!(rights.may("share", "jobs/a"));
}
