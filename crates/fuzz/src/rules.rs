//! Rule files: everything that is refused says where, and everything that is accepted can decide.

use keyward_ids::Identity;
use keyward_mqtt::topic::TopicName;
use keyward_policy::{Action, Policy, SourceFile, Subject};

/// Loads one rule file and asks it; also about the topic behind a zero byte, if there is one.
pub fn rules(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let (text, topic) = text.split_once('\0').unwrap_or((text, "a/b"));
    match Policy::load(&[SourceFile::new("policy.d/fuzz.toml", text)]) {
        Err(errors) => {
            assert!(!errors.errors().is_empty(), "refused without a reason");
            assert!(
                errors.to_string().contains("policy.d/fuzz.toml"),
                "an error without its place: {errors}"
            );
        }
        Ok(policy) => ask(&policy, topic),
    }
}

fn ask(policy: &Policy, other: &str) {
    for name in ["device:pump", "user:app"] {
        let Ok(identity) = name.parse::<Identity>() else { panic!("{name} is a name") };
        let subject = Subject::new(identity);
        let rights = policy.rights(&subject);
        let of_client = rights.of_client("c1");
        for topic in ["devices/pump/status", "a/b", "$SYS/broker/uptime", "/"] {
            let Ok(topic) = TopicName::parse(topic) else { panic!("{topic} is a topic") };
            for action in [Action::Publish, Action::Receive] {
                let decision = rights.decide(action, topic);
                let Ok(explained) = policy.explain(&subject, action, topic.as_str()) else {
                    panic!("{} cannot be explained", topic.as_str())
                };
                assert_eq!(decision.allowed, explained.allowed, "{name} {} {explained}", topic.as_str());
                let of_client = of_client.as_ref().unwrap_or(&rights).decide(action, topic).allowed;
                assert!(
                    of_client || !decision.allowed,
                    "{name} has less with a client id: {}",
                    topic.as_str()
                );
                let some = rights.some_client_may(action, topic);
                assert!(some || !of_client, "{name} has less with some client id: {}", topic.as_str());
            }
        }
    }
    let _ = policy.check(&[]);
    let Ok(stranger) = "device:stranger".parse() else { panic!("a name") };
    for action in [Action::Publish, Action::Subscribe, Action::Receive] {
        let explained = policy.explain(&Subject::new(Identity::clone(&stranger)), action, other);
        assert!(explained.is_ok() || TopicName::parse(other).is_err(), "{other:?} cannot be explained");
    }
}
