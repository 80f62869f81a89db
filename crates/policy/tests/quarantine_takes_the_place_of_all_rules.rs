//! A device in quarantine has its recovery topics, whatever the rules say.
#![allow(clippy::unwrap_used, reason = "a story that cannot be told has failed")]

mod support;
use keyward_mqtt::topic::TopicName;
use keyward_policy::{Action, Cause, Policy, Reading, Remedy, Rights, SourceFile};
use support::*;

/// Rules that allow everything, and everything late, in the first tier; and some that want signatures.
fn generous() -> Policy {
    let text = format!(
        "tier = 1\n{}{}[[decide-late]]\nwho = \"all\"\nwhat = [\"subscribe\", \"will\"]\n[[signed]]\nwho = \"devices\"\n\
         topics = [\"devices/{{id}}/#\"]\ncheck = \"require\"\n{}",
        rule("all", "allow", &["publish", "subscribe", "share"], &["#"]),
        rule("all", "allow", &["subscribe"], &["$SYS/#"]),
        rule("all", "deny", &["publish"], &["devices/{id}/recovery/#"]),
    );
    Policy::load(&[SourceFile::new("policy.d/all.toml", text)]).unwrap()
}

fn rights() -> Rights {
    generous().rights(&quarantined("pump"))
}

#[test]
fn it_publishes_and_reads_below_its_recovery_topics_and_nowhere_else() {
    let rights = rights();
    assert!(rights.is_quarantined() && !generous().rights(&device("pump")).is_quarantined());
    for topic in ["devices/pump/recovery", "devices/pump/recovery/last-gasp"] {
        assert!(rights.may("publish", topic) && rights.may("receive", topic), "{topic}");
    }
    for topic in ["pump/a", "devices/pump/a", "devices/pump", "devices/lamp/recovery/a", "$SYS/uptime"] {
        assert!(!rights.may("publish", topic) && !rights.may("receive", topic), "{topic}");
    }
    for topic in ["$keyward/keys/server", "$keyward/nonce"] {
        assert!(rights.may("subscribe", topic) && !rights.may("publish", topic), "{topic}");
    }
    assert!(!rights.may("subscribe", "$keyward/keys/plant/7/pump"), "keys of groups are withheld");
    assert_eq!(rights.class("devices/pump/recovery/#"), Reading::Covered);
    assert_eq!(rights.class("#"), Reading::Mixed);
    assert_eq!(rights.class("pump/#"), Reading::Never);
}

#[test]
fn subscriptions_elsewhere_and_shared_ones_are_refused_even_where_they_would_be_decided_late() {
    let rights = rights();
    assert!(rights.may("subscribe", "devices/pump/recovery/#"));
    for filter in ["pump/#", "devices/pump/set", "devices/lamp/#", "$SYS/#"] {
        assert!(!rights.may("subscribe", filter), "{filter}");
    }
    assert!(!rights.may("share", "devices/pump/recovery/#"));
}

#[test]
fn any_will_is_taken_because_a_device_cannot_know_and_decided_when_it_is_due() {
    let rights = rights();
    let will = |topic| {
        let decision = rights.decide_will(TopicName::parse(topic).unwrap());
        (decision.allowed, decision.cause)
    };
    assert_eq!(will("pump/gone"), (true, Cause::Late));
    assert_eq!(will("devices/pump/recovery/gone"), (true, Cause::Rule));
    assert_eq!(will("$SYS/gone"), (false, Cause::Reserved));
}

#[test]
fn what_has_to_be_signed_has_to_be_signed_there_too() {
    assert!(rights().demand(TopicName::parse("devices/pump/recovery/a").unwrap()).is_some());
}

#[test]
fn the_reason_names_quarantine_and_the_remedy_is_a_release_not_a_rule() {
    let policy = generous();
    let explanation = policy.explain(&quarantined("pump"), Action::Publish, "pump/a").unwrap();
    assert_eq!(explanation.remedy, Some(Remedy::Release("device:pump".parse().unwrap())));
    let text = explanation.to_string();
    for part in ["by quarantine:", "The device is in quarantine", "keyward device release pump"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(rights().rule_for("publish", "pump/a").unwrap().starts_with("quarantine:"));
    assert!(rights().rule_for("subscribe", "pump/a").unwrap().starts_with("quarantine:"));
}

#[test]
fn policies_made_of_others_keep_it_and_one_without_files_has_it() {
    let added = SourceFile::new("more", rule("all", "allow", &["publish"], &["#"]));
    for policy in [
        Policy::builtin(),
        generous().with_file(&added).unwrap(),
        generous().without_file("policy.d/all.toml"),
    ] {
        let rights = policy.rights(&quarantined("pump"));
        assert!(rights.may("publish", "devices/pump/recovery/a") && !rights.may("publish", "pump/a"));
    }
    assert!(Policy::default().rights(&quarantined("pump")).allows_nothing());
}

#[test]
fn a_device_whose_id_a_machine_chose_has_them_and_a_user_would_have_nothing() {
    let found = keyward_policy::Subject { machine_chosen: true, ..quarantined("pump") };
    assert!(Policy::builtin().rights(&found).may("publish", "devices/pump/recovery/a"));
    let user = keyward_policy::Subject { quarantined: true, ..user("pump") };
    assert!(generous().rights(&user).allows_nothing());
}
