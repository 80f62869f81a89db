//! Each preset is a well-formed rule file of its own, whatever is filled in, and takes nothing from anybody else.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod support;
use keyward_ids::{Identity, Kind};
use keyward_policy::{Action, Filled, Filling, PRESETS, Policy, Preset, PresetError, SourceFile, Subject};
use proptest::prelude::*;
use support::*;

const MAC: &str = "5c:cf:7f:12:ab:56";

fn who(preset: &Preset, name: &str) -> Identity {
    Identity::new(preset.kind(), name).unwrap()
}

fn filled(name: &str, who: &str, topic: Option<&str>, mac: Option<&str>) -> Result<Filled, PresetError> {
    Preset::named(name)?.fill(&Filling { who: &who.parse().unwrap(), topic, mac })
}

fn file(who: &str, filled: &Filled) -> SourceFile {
    SourceFile::new(format!("policy.d/{}.toml", who.replace(':', "-")), filled.text.clone())
}

/// A policy in which accounts have presets, written as `who preset [topic]`.
fn house(accounts: &[(&str, &str, Option<&str>)]) -> Policy {
    let files: Vec<SourceFile> = accounts
        .iter()
        .map(|(who, preset, topic)| file(who, &filled(preset, who, *topic, None).unwrap()))
        .collect();
    Policy::load(&files).unwrap()
}

fn may(policy: &Policy, who: &str, action: Action, topic: &str) -> bool {
    policy.explain(&Subject::new(who.parse().unwrap()), action, topic).unwrap().allowed
}

#[test]
fn every_preset_is_a_well_formed_file_that_says_which_it_is() {
    for preset in PRESETS {
        let who = who(preset, "mine");
        let mac = preset.text().contains("<mac>").then_some(MAC);
        let filled = preset.fill(&Filling { who: &who, topic: None, mac }).unwrap();
        assert!(!filled.text.contains(['<', '>']), "{}", filled.text);
        let policy = Policy::load(&[SourceFile::new("policy.d/x.toml", filled.text.clone())]).unwrap();
        let applied = policy.preset_of(&who).unwrap();
        assert_eq!((&*applied.name, applied.edited, &applied.topic), (preset.name(), false, &filled.topic));
        assert!(policy.check(&[Subject::new(who)]).is_empty(), "{}", preset.name());
        let other = Subject::new(Identity::new(preset.kind(), "other").unwrap());
        assert_eq!(
            policy.rights(&other).allows_nothing(),
            preset.kind() == Kind::User,
            "{} speaks of its own account alone",
            preset.name()
        );
    }
}

#[test]
fn a_file_that_was_changed_by_hand_is_told_from_the_preset() {
    let mut text = filled("viewer", "user:eye", None, None).unwrap().text;
    text.push_str("[[rule]]\nwho = \"user:eye\"\nallow = [\"publish\"]\ntopics = [\"eye/#\"]\n");
    let policy = Policy::load(&[SourceFile::new("policy.d/x.toml", text)]).unwrap();
    assert!(policy.presets()[0].edited);
}

#[test]
fn the_head_of_a_preset_file_is_checked_like_the_rest() {
    let load = |text: &str| Policy::load(&[SourceFile::new("policy.d/x.toml", text)]);
    for (text, said) in [
        ("[preset]\nname = \"viewer\"\nwho = \"eye\"\n", "policy.d/x.toml:3:7: who"),
        ("[preset]\nname = \"viewer\"\n", "policy.d/x.toml:1"),
        ("[preset]\nname = \"viewer\"\nwho = \"user:eye\"\ncolour = 1\n", "policy.d/x.toml:4"),
    ] {
        let error = load(text).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let later = load("[preset]\nname = \"of-a-later-version\"\nwho = \"user:eye\"\n").unwrap();
    assert!(later.presets()[0].edited, "what this version does not know is not taken for its own");
}

#[test]
fn nobody_reads_or_writes_what_begins_with_a_dollar() {
    let policy = house(&[
        ("user:all", "home", None),
        ("user:ha", "home-assistant", None),
        ("user:eye", "viewer", None),
    ]);
    for who in ["user:all", "user:ha", "user:eye"] {
        for action in [Action::Publish, Action::Receive] {
            assert!(!may(&policy, who, action, "$SYS/broker/uptime"), "{who}");
        }
        assert!(may(&policy, who, Action::Receive, "any/topic/at/all"), "{who}");
    }
    assert!(may(&policy, "user:all", Action::Publish, "any/topic/at/all"));
    assert!(!may(&policy, "user:ha", Action::Publish, "any/topic/at/all"));
    assert!(!may(&policy, "user:eye", Action::Publish, "eye/x"));
}

#[test]
fn discovery_is_kept_to_the_node_that_writes_it() {
    let mac = filled("tasmota", "device:plug", Some("plug"), Some(MAC)).unwrap();
    let node = filled("esphome", "device:porch", None, None).unwrap();
    let policy = Policy::load(&[file("device:plug", &mac), file("device:porch", &node)]).unwrap();
    for (who, topic, allowed) in [
        ("device:porch", "homeassistant/light/porch/lamp/config", true),
        ("device:porch", "homeassistant/light/other/lamp/config", false),
        ("device:porch", "homeassistant/light/porch/config", false),
        ("device:plug", "tasmota/discovery/5CCF7F12AB56/config", true),
        ("device:plug", "tasmota/discovery/5CCF7F12AB57/config", false),
        ("device:plug", "homeassistant/switch/plug/relay/config", false),
    ] {
        assert_eq!(may(&policy, who, Action::Publish, topic), allowed, "{who} {topic}");
    }
    assert!(may(&policy, "device:plug", Action::Receive, "cmnd/DVES_12AB56_fb/POWER"));
    assert!(!may(&policy, "device:plug", Action::Receive, "cmnd/DVES_12AB57_fb/POWER"));
}

#[test]
fn without_a_mac_address_discovery_is_left_out_and_that_is_said() {
    let filled = filled("tasmota", "device:plug", None, None).unwrap();
    assert!(!filled.text.contains("discovery/") && !filled.text.contains("DVES"), "{}", filled.text);
    assert!(filled.left_out.unwrap().contains("--mac"));
}

#[test]
fn a_shelly_commands_no_other() {
    let policy = house(&[("device:relay-1", "shelly", None)]);
    assert!(may(&policy, "device:relay-1", Action::Publish, "relay-1/events/rpc"));
    assert!(may(&policy, "device:relay-1", Action::Publish, "relay-1/answers/rpc"));
    assert!(!may(&policy, "device:relay-1", Action::Publish, "relay-2/rpc"));
    assert!(!may(&policy, "device:relay-1", Action::Publish, "shellies/relay-2/relay/0/command"));
    assert!(!may(&policy, "device:relay-1", Action::Publish, "shellies/command"));
}

#[test]
fn a_topic_is_one_level_of_plain_text() {
    for topic in
        ["", "a/b", "+", "#", "a#", "$SYS", "a\"b", "a b", "a{id}", "a\n", "ä", ".", "-a", &"x".repeat(65)]
    {
        let refused = filled("plain", "device:d", Some(topic), None).unwrap_err();
        assert!(matches!(refused, PresetError::Topic(_)), "{topic:?}");
        assert!(!refused.to_string().contains('\n'), "{refused}");
    }
    for topic in ["cmnd", "homeassistant", "tasmotas", "shellies"] {
        assert!(
            matches!(filled("esphome", "device:d", Some(topic), None), Err(PresetError::Shared(_))),
            "{topic}"
        );
    }
    assert!(filled("plain", "device:d", Some("_Kitchen.2"), None).is_ok());
}

#[test]
fn what_does_not_fit_is_said_with_what_to_do() {
    let error = |preset, who, topic, mac| filled(preset, who, topic, mac).unwrap_err().to_string();
    assert!(error("zigbee", "user:u", None, None).contains("keyward preset list"));
    assert!(error("home", "device:d", None, None).contains("keyward user add"));
    assert!(error("shelly", "user:u", None, None).contains("keyward device add"));
    assert!(error("viewer", "user:u", Some("x"), None).contains("leave --topic away"));
    assert!(error("shelly", "device:d", None, Some(MAC)).contains("leave --mac away"));
    for mac in ["", "5c:cf:7f:12:ab", "5c:cf:7f:12:ab:5g", "5ccf7f12ab5678"] {
        assert!(error("tasmota", "device:d", None, Some(mac)).contains("twelve hexadecimal digits"), "{mac}");
    }
}

/// Lists what is in the way of a preset, as `own < other`.
fn in_the_way(
    policy: &Policy,
    preset: &str,
    who: &str,
    topic: Option<&str>,
    existing: &[Subject],
) -> Vec<String> {
    let filled = filled(preset, who, topic, Some(MAC).filter(|_| preset == "tasmota")).unwrap();
    let new = Subject::new(who.parse().unwrap());
    let found = policy.preset_overlaps(&filled, &new, existing);
    found.iter().map(|found| format!("{} < {}", found.own, found.other)).collect()
}

#[test]
fn a_topic_that_somebody_else_has_is_in_the_way() {
    let policy = house(&[("device:plug-1", "tasmota", Some("plug")), ("user:z2m", "zigbee2mqtt", None)]);
    let existing = [device("plug-1"), device("kitchen"), user("z2m")];
    assert_eq!(
        in_the_way(&policy, "tasmota", "device:plug-2", Some("plug"), &existing),
        [
            "cmnd/plug/# < cmnd/plug/#",
            "cmnd/plug/# < cmnd/plug/POWER",
            "stat/plug/# < stat/plug/#",
            "tele/plug/# < tele/plug/#"
        ]
    );
    assert_eq!(
        in_the_way(&policy, "esphome", "device:node", Some("kitchen"), &existing),
        ["kitchen/# < kitchen/#"]
    );
    assert_eq!(
        in_the_way(&policy, "zigbee2mqtt", "user:second", None, &existing),
        ["zigbee2mqtt/# < zigbee2mqtt/#"]
    );
    assert!(in_the_way(&policy, "zigbee2mqtt", "user:second", Some("zigbee2mqtt-2"), &existing).is_empty());
    assert!(in_the_way(&policy, "esphome", "device:kitchen", None, &existing).is_empty(), "its own name");
    assert!(
        in_the_way(&policy, "esphome", "device:plug-3", Some("plug"), &existing).is_empty(),
        "another root"
    );
}

#[test]
fn a_mac_address_that_somebody_else_has_is_in_the_way() {
    let policy =
        Policy::load(&[file("device:a", &filled("tasmota", "device:a", None, Some(MAC)).unwrap())]).unwrap();
    let found = in_the_way(&policy, "tasmota", "device:b", None, &[device("a")]);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn what_reads_everything_and_commands_everybody_is_not_in_the_way() {
    let policy = house(&[
        ("user:all", "home", None),
        ("user:ha", "home-assistant", None),
        ("user:flows", "node-red", None),
    ]);
    let existing = [user("all"), user("ha"), user("flows")];
    for (preset, who) in [
        ("zigbee2mqtt", "user:z2m"),
        ("frigate", "user:nvr"),
        ("tasmota", "device:t"),
        ("shelly", "device:s"),
    ] {
        assert_eq!(in_the_way(&policy, preset, who, None, &existing), [""; 0], "{preset}");
    }
}

#[test]
fn a_rule_of_yours_that_spells_the_topic_out_is_in_the_way() {
    let policy = policy(&rule("user:app", "allow", &["subscribe"], &["tele/plug/STATE", "tele/+/LWT"]));
    let found = in_the_way(&policy, "tasmota", "device:p", Some("plug"), &[user("app")]);
    assert_eq!(found, ["tele/plug/# < tele/plug/STATE"]);
}

#[test]
fn a_file_comes_into_a_policy_and_goes_out_of_it_alone() {
    let before = policy(&rule("user:app", "allow", &["subscribe"], &["a/#"]));
    let added = file("user:eye", &filled("viewer", "user:eye", None, None).unwrap());
    let with = before.with_file(&added).unwrap();
    assert!(may(&with, "user:eye", Action::Receive, "x") && may(&with, "user:app", Action::Receive, "a/x"));
    let without = with.without_file(&added.name);
    assert!(
        !may(&without, "user:eye", Action::Receive, "x") && may(&without, "user:app", Action::Receive, "a/x")
    );
    assert_eq!((without.written_rules(), without.presets().len()), (1, 0));
}

proptest! {
    /// Whatever is typed as a topic is refused, or stands as one literal level and nowhere else.
    #[test]
    fn what_is_filled_in_never_changes_the_shape(topic in "\\PC{0,8}|[a-z/+#$\"{}\\\\<>]{0,6}") {
        let Ok(mine) = filled("esphome", "device:d", Some(&topic), None) else { return Ok(()) };
        let plain = filled("esphome", "device:d", Some("x"), None).unwrap();
        prop_assert_eq!(mine.text.lines().count(), plain.text.lines().count());
        prop_assert_eq!(mine.text.matches(['+', '#', '/', '"']).count(), plain.text.matches(['+', '#', '/', '"']).count());
        prop_assert!(Policy::load(&[SourceFile::new("policy.d/x.toml", mine.text)]).is_ok());
    }
}
