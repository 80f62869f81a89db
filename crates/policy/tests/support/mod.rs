//! The vocabulary of the stories: policies from texts, subjects from names, questions in words.
#![allow(dead_code, reason = "each story uses a part of the vocabulary")]
#![allow(clippy::unwrap_used, reason = "a story that asks for what is no topic has failed")]

use keyward_ids::{Identity, Kind};
use keyward_mqtt::topic::{TopicFilter, TopicName};
use keyward_policy::{Action, Decision, Policy, PolicyErrors, Reading, Rights, SourceFile, Subject};

/// The workshop example: one device, one application.
pub(crate) const WORKSHOP: &str = include_str!("../fixtures/workshop.toml");

/// Loads a policy with one file, `policy.d/test.toml`.
pub(crate) fn policy(text: &str) -> Policy {
    try_policy(text).unwrap_or_else(|errors| panic!("{errors}"))
}

pub(crate) fn try_policy(text: &str) -> Result<Policy, PolicyErrors> {
    Policy::load(&[SourceFile::new("policy.d/test.toml", text)])
}

/// Loads a policy with several files, `policy.d/0.toml` and on.
pub(crate) fn policy_of(texts: &[&str]) -> Policy {
    let files: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| SourceFile::new(format!("policy.d/{n}.toml"), *text))
        .collect();
    Policy::load(&files).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Writes one rule.
pub(crate) fn rule(who: &str, effect: &str, actions: &[&str], topics: &[&str]) -> String {
    format!("[[rule]]\nwho = \"{who}\"\n{effect} = {actions:?}\ntopics = {topics:?}\n")
}

pub(crate) fn device(id: &str) -> Subject {
    Subject::new(Identity::new(Kind::Device, id).unwrap())
}

pub(crate) fn user(name: &str) -> Subject {
    Subject::new(Identity::new(Kind::User, name).unwrap())
}

/// Makes a device with a type and a site.
pub(crate) fn placed(id: &str, device_type: &str, site: &str) -> Subject {
    Subject {
        device_type: Some(device_type.parse().unwrap()),
        site: Some(site.parse().unwrap()),
        ..device(id)
    }
}

/// Makes a device whose id a machine chose.
pub(crate) fn found(id: &str) -> Subject {
    Subject { machine_chosen: true, ..device(id) }
}

/// Makes a device that is in quarantine.
#[allow(dead_code, reason = "not every test has one")]
pub(crate) fn quarantined(id: &str) -> Subject {
    Subject { quarantined: true, ..device(id) }
}

/// Asks questions in words.
pub(crate) trait Ask {
    fn may(&self, action: &str, text: &str) -> bool;
    fn rule_for(&self, action: &str, text: &str) -> Option<String>;
    fn class(&self, filter: &str) -> Reading;
}

impl Ask for Rights {
    fn may(&self, action: &str, text: &str) -> bool {
        ask(self, action, text).allowed
    }

    fn rule_for(&self, action: &str, text: &str) -> Option<String> {
        ask(self, action, text).rule.map(|rule| rule.to_string())
    }

    fn class(&self, filter: &str) -> Reading {
        self.reading(TopicFilter::parse(filter).unwrap())
    }
}

fn ask<'r>(rights: &'r Rights, action: &str, text: &str) -> Decision<'r> {
    match Action::from_word(action).unwrap() {
        action @ (Action::Publish | Action::Receive) => {
            rights.decide(action, TopicName::parse(text).unwrap())
        }
        Action::Subscribe => rights.decide_subscribe(TopicFilter::parse(text).unwrap(), false),
        Action::Share => rights.decide_subscribe(TopicFilter::parse(text).unwrap(), true),
    }
}
