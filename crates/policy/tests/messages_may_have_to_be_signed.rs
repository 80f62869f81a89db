//! `[[signed]]`: the first tier that speaks of a topic decides, in it the strictest of each.
#![allow(clippy::unwrap_used, reason = "a story that cannot be told has failed")]

mod support;
use keyward_mqtt::topic::TopicName;
use keyward_policy::{Check, Policy, SourceFile, limits};
use std::time::Duration;
use support::*;

const DAY: Duration = Duration::from_secs(86_400);

fn demand(policy: &Policy, subject: &str, topic: &str) -> Option<(Check, u8, Duration, String)> {
    let rights = policy.rights(&keyward_policy::Subject::new(subject.parse().unwrap()));
    let demand = rights.demand(TopicName::parse(topic).unwrap())?;
    Some((demand.check, demand.level, demand.max_offline, demand.rule.to_string()))
}

fn signed(who: &str, topics: &str, rest: &str) -> String {
    format!("[[signed]]\nwho = \"{who}\"\ntopics = [\"{topics}\"]\n{rest}\n")
}

fn policy(files: &[(&str, String)]) -> Policy {
    let files: Vec<_> = files.iter().map(|(name, text)| SourceFile::new(*name, text.clone())).collect();
    Policy::load(&files).unwrap()
}

#[test]
fn nothing_is_demanded_unless_a_file_says_so() {
    assert!(demand(&Policy::builtin(), "device:pump", "pump/a").is_none());
    let policy = policy(&[("a", signed("devices", "{id}/alarm", "check = \"require\""))]);
    let (check, level, max_offline, rule) = demand(&policy, "device:pump", "pump/alarm").unwrap();
    assert_eq!((check, level, max_offline, rule.as_str()), (Check::Require, 0, 7 * DAY, "a:1"));
    assert!(demand(&policy, "device:pump", "pump/a").is_none());
    assert!(demand(&policy, "device:pump", "lamp/alarm").is_none(), "the placeholder is its own id");
    assert!(demand(&policy, "user:pump", "pump/alarm").is_none(), "it speaks of devices");
}

#[test]
fn the_first_tier_that_speaks_of_a_topic_decides_and_in_it_the_strictest() {
    let strict = "check = \"require\"\nmax_offline = \"1d\"";
    let policy = policy(&[
        ("early", format!("tier = 3\n{}", signed("device:lamp", "#", "check = \"off\""))),
        (
            "one",
            signed("devices", "#", "check = \"observe\"\nlevel = 2") + &signed("devices", "+/alarm", strict),
        ),
        ("late", format!("tier = 50\n{}", signed("all", "#", "check = \"require\"\nlevel = 3"))),
    ]);
    assert_eq!(
        demand(&policy, "device:pump", "pump/a").unwrap(),
        (Check::Observe, 2, 7 * DAY, "one:1".into())
    );
    let alarm = demand(&policy, "device:pump", "pump/alarm").unwrap();
    assert_eq!(alarm, (Check::Require, 2, DAY, "one:6".into()), "the strictest of each");
    assert!(demand(&policy, "device:lamp", "lamp/alarm").is_none(), "an earlier tier lets it off");
    assert_eq!(demand(&policy, "user:app", "x").unwrap().3, "late:2");
}

/// Whoever chooses the client id must not choose whether to sign.
#[test]
fn a_filter_with_the_client_id_demands_it_of_every_client() {
    let policy = policy(&[("a", signed("all", "c/{client}/x", "check = \"require\""))]);
    let rights = policy.rights(&keyward_policy::Subject::new("user:app".parse().unwrap()));
    let topic = TopicName::parse("c/other/x").unwrap();
    assert!(rights.demand(topic).is_some());
    assert!(rights.of_client("mine").is_none_or(|rights| rights.demand(topic).is_some()));
}

#[test]
fn each_wrong_word_is_named_with_what_to_write() {
    for (rest, key, help) in [
        ("", "check", "off, observe or require"),
        ("check = \"demand\"", "check", "off, observe or require"),
        ("check = \"require\"\nlevel = 4", "level", "0 to 3"),
        ("check = \"require\"\nlevel = -1", "level", "0 to 3"),
        ("check = \"require\"\nmax_offline = \"7\"", "max_offline", "7d"),
        ("check = \"require\"\nmax_offline = \"0s\"", "max_offline", "1s to 92d"),
        ("check = \"require\"\nmax_offline = \"93d\"", "max_offline", "1s to 92d"),
        ("check = \"require\"\nmax_offline = \"\u{fc}\"", "max_offline", "1s to 92d"),
        ("check = \"require\"\nmust = 1", "must", "unknown field"),
    ] {
        let Err(errors) = try_policy(&signed("devices", "a/#", rest)) else { panic!("{rest}") };
        let error = &errors.errors()[0];
        assert!(error.key == key && error.to_string().contains(help), "{rest}: {error}");
    }
    assert_eq!(limits::MAX_OFFLINE_SECONDS, 92 * 86_400);
}

#[test]
fn explain_says_what_is_demanded_and_check_what_demands_nothing_of_whom_it_speaks_of() {
    let text = signed("devices", "{id}/alarm", "check = \"require\"\nlevel = 2\nmax_offline = \"2h\"")
        + &signed("devices", "{site}/x", "check = \"require\"")
        + &signed("device:gone", "#", "check = \"observe\"");
    let policy = policy(&[("a", text)]);
    let pump = device("pump");
    let explained = policy.explain(&pump, keyward_policy::Action::Publish, "pump/alarm").unwrap();
    assert!(explained.allowed);
    let reasons = explained.reasons().join("\n");
    assert!(
        reasons.contains("it must be signed by a key of level 2 or more, at most 2 hours ago, by a:1"),
        "{reasons}"
    );
    let found: Vec<_> = policy.check(&[pump]).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("a:7 does not apply to device:pump") && found[1].contains("a:11 speaks of nobody"),
        "{found:?}"
    );
}

#[test]
fn whose_messages_must_be_signed_is_known_without_a_topic() {
    let strict = "check = \"require\"\nlevel = 2";
    let policy = policy(&[(
        "one",
        signed("device:pump", "+/alarm", strict)
            + &signed("device:pump", "#", "check = \"require\"\nlevel = 1")
            + &signed("device:lamp", "#", "check = \"observe\"\nlevel = 3"),
    )]);
    let level =
        |who: &str| policy.rights(&keyward_policy::Subject::new(who.parse().unwrap())).required_level();
    assert_eq!((level("device:pump"), level("device:lamp"), level("user:app")), (Some(1), None, None));
}
