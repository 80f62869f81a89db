//! Stories of accounts with presets: account and rules come together, and go together.

use crate::site::{Ask, Keys, Site, device};
use keyward_identity::files;
use keyward_server::{
    admin::Admin,
    control::{
        ExplainAction, NewCredential, NewPassword, PolicyExplain, PresetChoice, PresetGive, RefusalCode,
        Request, Response, UserAdd, UserRow,
    },
};
use std::fs;

fn choice(name: &str, topic: Option<&str>) -> Option<PresetChoice> {
    Some(PresetChoice { name: name.to_owned(), topic: topic.map(str::to_owned), mac: None })
}

fn user(name: &str, preset: Option<PresetChoice>) -> Request {
    let generated = NewCredential::Password(NewPassword::Generated);
    Request::UserAdd(UserAdd { preset, ..UserAdd::new(name, generated) })
}

fn node(id: &str, preset: &str, topic: Option<&str>, allow_overlap: bool) -> Request {
    let preset = choice(preset, topic);
    Request::DeviceAdd(keyward_server::control::DeviceAdd {
        preset,
        allow_overlap,
        ..device(id, &Keys::new())
    })
}

fn users(store: &mut Admin) -> Vec<UserRow> {
    match store.ask(Request::UserList) {
        Ok(Response::Users(rows)) => rows,
        other => panic!("{:?}", other.err()),
    }
}

fn may(store: &mut Admin, who: &str, topic: &str) -> bool {
    let (identity, action, topic) = (who.to_owned(), ExplainAction::Publish, topic.to_owned());
    store.explain(PolicyExplain { identity, action, topic, client: None }).allowed
}

/// Names the rule files, sorted.
fn rule_files(site: &Site) -> Vec<String> {
    let entries = fs::read_dir(site.home.policy_dir()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_user_and_its_rules_come_together_and_are_audited() {
    let site = Site::new();
    let mut store = site.stopped();
    store.ask(Request::Reload).map(|_| ()).unwrap();
    let Ok(Response::UserAdded(added)) = store.ask(user("Z2M", choice("zigbee2mqtt", None))) else {
        panic!()
    };
    assert!(
        added.notes[0].contains("preset zigbee2mqtt, topic zigbee2mqtt: its rules are in policy.d/"),
        "{:?}",
        added.notes
    );
    assert!(added.user.has_rights);
    assert_eq!(added.user.preset.as_deref(), Some("zigbee2mqtt"));
    assert!(may(&mut store, "user:z2m", "zigbee2mqtt/bridge/state"));
    assert!(!may(&mut store, "user:z2m", "frigate/available"));
    assert_eq!(rule_files(&site), ["preset-user-z2m.toml"]);
    let audit = store.audit();
    assert!(
        audit.iter().any(|line| line.contains("policy.d/preset-user-z2m.toml added, sha256:")),
        "{audit:?}"
    );
    let lines = audit.len();
    store.ask(Request::Reload).map(|_| ()).unwrap();
    assert_eq!(store.audit().len(), lines, "our own file is no hand edit");
}

#[test]
fn rules_go_with_the_account_so_that_nobody_inherits_them() {
    let site = Site::new();
    let mut store = site.stopped();
    store.ask(user("cams", choice("frigate", None))).map(|_| ()).unwrap();
    let changed = store.change(Request::UserRemove { name: "CAMS".to_owned() });
    assert!(
        changed.notes[0].contains("policy.d/preset-user-cams.toml") && changed.notes[0].contains("removed")
    );
    assert_eq!(rule_files(&site), [""; 0]);
    assert!(store.audit().iter().any(|line| line.contains("preset-user-cams.toml removed")));
    store.ask(user("cams", None)).map(|_| ()).unwrap();
    assert!(!may(&mut store, "user:cams", "frigate/available"));
}

#[test]
fn rules_that_were_edited_by_hand_are_shown_so_and_kept_out_of_force_when_their_account_goes() {
    let site = Site::new();
    let mut store = site.stopped();
    store.ask(node("relay-1", "shelly", None, false)).map(|_| ()).unwrap();
    let path = site.home.policy_dir().join("preset-device-relay-1.toml");
    let text = fs::read_to_string(&path).unwrap() + "\n# mine\n";
    files::replace(&path, text.as_bytes()).unwrap();
    assert_eq!(store.devices()[0].preset.as_deref(), Some("shelly, edited"));
    let changed = store.change(Request::DeviceRemove { id: "relay-1".to_owned() });
    assert!(changed.notes[0].contains("preset-device-relay-1.toml.removed"), "{:?}", changed.notes);
    assert_eq!(rule_files(&site), ["preset-device-relay-1.toml.removed"]);
    assert_eq!(fs::read_to_string(path.with_extension("toml.removed")).unwrap(), text);
}

#[test]
fn an_account_that_is_refused_leaves_no_rules() {
    let site = Site::new();
    let mut store = site.stopped();
    let mut add = node("plug-1", "tasmota", None, false);
    if let Request::DeviceAdd(add) = &mut add {
        add.credential = NewCredential::Csr(keyward_server::control::Der(b"no request".to_vec()));
    }
    store.refusal(add);
    assert_eq!(rule_files(&site), [""; 0]);
    assert!(store.devices().is_empty());
    store.ask(node("plug-1", "tasmota", None, false)).map(|_| ()).unwrap();
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let site = Site::new();
    let mut store = site.stopped();
    for (request, said) in [
        (user("a", choice("nonsense", None)), "keyward preset list"),
        (user("a", choice("tasmota", None)), "keyward device add"),
        (user("a", choice("viewer", Some("x"))), "leave --topic away"),
        (node("a", "shelly", Some("a/+"), false), "is not one level"),
        (node("a", "esphome", Some("homeassistant"), false), "is shared by many devices"),
    ] {
        let refusal = store.refusal(request);
        assert_eq!(refusal.code, RefusalCode::Invalid);
        assert!(refusal.what.contains(said), "{refusal}");
    }
    assert_eq!(rule_files(&site), [""; 0]);
}

#[test]
fn a_topic_of_somebody_else_is_refused_with_his_name_and_can_be_accepted() {
    let site = Site::new();
    let mut store = site.stopped();
    store.ask(node("plug-1", "tasmota", Some("kitchen"), false)).map(|_| ()).unwrap();
    let refusal = store.refusal(node("plug-2", "tasmota", Some("kitchen"), false));
    assert_eq!(refusal.code, RefusalCode::Conflict);
    assert!(
        refusal.what.contains("preset-device-plug-1.toml") && refusal.what.contains("--allow-overlap"),
        "{refusal}"
    );
    store.add_device("porch");
    let refusal = store.refusal(node("lamp", "esphome", Some("porch"), false));
    assert!(refusal.what.contains("device:porch"), "{refusal}");
    store.ask(node("lamp", "esphome", Some("porch"), true)).map(|_| ()).unwrap();
}

#[test]
fn a_file_that_was_left_is_nobodys_inheritance() {
    let site = Site::new();
    let mut store = site.stopped();
    site.rule_file(
        "preset-user-eve.toml",
        "[[rule]]\nwho = \"user:eve\"\nallow = [\"publish\"]\ntopics = [\"#\"]\n",
    );
    for preset in [None, choice("viewer", None)] {
        let refusal = store.refusal(user("Eve", preset));
        assert_eq!(refusal.code, RefusalCode::Conflict);
        assert!(refusal.what.contains("policy.d/preset-user-eve.toml is there already"), "{refusal}");
    }
}

#[test]
fn what_a_crash_left_halfway_is_done_by_the_same_command_again() {
    let site = Site::new();
    let mut store = site.stopped();
    store.ask(node("relay-1", "shelly", None, false)).map(|_| ()).unwrap();
    let name = "preset-device-relay-1.toml";
    let text = fs::read_to_string(site.home.policy_dir().join(name)).unwrap();
    store.change(Request::DeviceRemove { id: "relay-1".to_owned() });
    site.rule_file(name, &text);
    store.refusal(node("relay-1", "shelly", Some("other"), false));
    store.ask(node("relay-1", "shelly", None, false)).map(|_| ()).unwrap();
    assert_eq!(fs::read_to_string(site.home.policy_dir().join(name)).unwrap(), text);
    assert!(may(&mut store, "device:relay-1", "shellies/relay-1/online"));
}

#[test]
fn rules_that_cannot_be_read_keep_a_preset_out_and_are_named() {
    let site = Site::new();
    let mut store = site.stopped();
    site.rule_file("mine.toml", "[[rule]]\nwho = 7\n");
    let refusal = store.refusal(user("eye", choice("viewer", None)));
    assert_eq!(refusal.code, RefusalCode::BadFile);
    assert!(refusal.what.contains("policy.d/mine.toml:2"), "{refusal}");
    assert_eq!(rule_files(&site), ["mine.toml"]);
    assert!(users(&mut store).is_empty());
}

#[test]
fn a_shared_login_is_called_so() {
    let site = Site::new();
    let mut store = site.stopped();
    let Ok(Response::UserAdded(added)) = store.ask(user("house", choice("home", None))) else { panic!() };
    assert!(added.notes.iter().any(|note| note.contains("reads and writes everything")), "{:?}", added.notes);
    assert_eq!(users(&mut store)[0].preset.as_deref(), Some("home"));
}

fn give(identity: &str, preset: &str, topic: Option<&str>, allow_overlap: bool) -> Request {
    let preset = choice(preset, topic).unwrap();
    Request::PresetGive(PresetGive { identity: identity.to_owned(), preset, allow_overlap })
}

fn take(identity: &str) -> Request {
    Request::PresetTake { identity: identity.to_owned() }
}

#[test]
fn somebody_who_is_there_gets_a_preset_and_loses_it_again() {
    let site = Site::new();
    let mut store = site.stopped();
    store.add_device("plug-1");
    let changed = store.change(give("device:PLUG-1", "tasmota", Some("kitchen"), false));
    assert!(changed.notes[0].contains("policy.d/preset-device-plug-1.toml"), "{:?}", changed.notes);
    assert!(may(&mut store, "device:plug-1", "stat/kitchen/POWER"));
    assert_eq!(store.devices()[0].preset.as_deref(), Some("tasmota"));
    let again = store.refusal(give("device:plug-1", "tasmota", Some("bath"), false));
    assert_eq!(again.code, RefusalCode::Conflict);
    assert!(again.what.contains("has the preset tasmota already"), "{again}");
    store.add_device("plug-2");
    let taken = store.refusal(give("device:plug-2", "tasmota", Some("kitchen"), false));
    assert!(taken.what.contains("--allow-overlap"), "{taken}");
    store.change(take("device:plug-1"));
    assert!(!may(&mut store, "device:plug-1", "stat/kitchen/POWER"));
    assert_eq!(rule_files(&site), [""; 0]);
    assert!(store.audit().iter().any(|line| line.contains("preset-device-plug-1.toml removed")));
    assert_eq!(store.refusal(take("device:plug-1")).code, RefusalCode::NotFound);
}

#[test]
fn nobody_who_is_gone_or_of_another_kind_gets_a_preset() {
    let site = Site::new();
    let mut store = site.stopped();
    store.ask(user("anna", None)).map(|_| ()).unwrap();
    assert_eq!(store.refusal(give("user:anna", "tasmota", None, false)).code, RefusalCode::Invalid);
    assert_eq!(store.refusal(give("user:ben", "viewer", None, false)).code, RefusalCode::NotFound);
    store.change(Request::UserRemove { name: "anna".to_owned() });
    assert_eq!(store.refusal(give("user:anna", "viewer", None, false)).code, RefusalCode::NotFound);
    assert_eq!(rule_files(&site), [""; 0]);
}
