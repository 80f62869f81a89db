//! Stories on the store of a broker that does not run.

use crate::site::{Ask, Keys, Site, device, revoke};
use keyward_identity::files;
use keyward_server::{
    admin::{self, OpenOptions},
    control::{
        ExplainAction, ListenerAdd, NewCredential, NewPassword, PolicyExplain, RefusalCode, Request,
        Response, Standing,
    },
};
use std::{fs, os::unix::fs::PermissionsExt};

const APP_RULE: &str =
    "[[rule]]\nwho = \"user:app\"\nallow = [\"subscribe\"]\ntopics = [\"devices/+/status\"]\n";

fn question(identity: &str, action: ExplainAction, topic: &str) -> PolicyExplain {
    PolicyExplain { identity: identity.to_owned(), client: None, action, topic: topic.to_owned() }
}

fn listener(name: &str, address: &str, port: u16, plain: bool) -> Request {
    Request::ListenerAdd(ListenerAdd {
        name: name.to_owned(),
        address: Some(address.to_owned()),
        port: Some(port),
        plain,
        ..ListenerAdd::default()
    })
}

#[test]
fn an_added_device_has_a_certificate_an_anchor_and_its_own_topics() {
    let site = Site::new();
    let mut store = site.stopped();
    let added = store.add_device("dev01");
    assert_eq!(added.certificate_pem.unwrap().matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(added.ca_pem, fs::read_to_string(site.home.ca_pem()).unwrap());
    assert_eq!(added.topics, ["dev01/#", "devices/dev01/#"]);
    assert_eq!(added.reach.port, 8883);
    let rows = store.devices();
    assert_eq!((rows.len(), rows[0].standing, rows[0].credentials), (1, Standing::Active, 1));
    assert_eq!(rows[0].connected, None, "nobody knows on a stopped store");
}

#[test]
fn what_was_done_is_there_after_the_store_is_opened_again() {
    let site = Site::new();
    site.stopped().add_device("dev01");
    assert_eq!(site.stopped().devices()[0].id, "dev01");
}

#[test]
fn one_process_holds_the_store() {
    let site = Site::new();
    let held = site.stopped();
    let refusal = admin::open_stopped(&site.home, &OpenOptions::default()).err().unwrap();
    assert_eq!(refusal.code, RefusalCode::WrongMoment, "{refusal}");
    drop(held);
    site.stopped();
}

#[test]
fn a_store_that_others_can_enter_is_not_opened() {
    let site = Site::new();
    fs::set_permissions(site.home.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    let refusal = admin::open_stopped(&site.home, &OpenOptions::default()).err().unwrap();
    assert!(refusal.what.contains("chmod 700"), "{refusal}");
}

#[test]
fn without_an_installation_the_first_command_is_named() {
    let refusal = admin::open_stopped(&Site::empty().home, &OpenOptions::default()).err().unwrap();
    assert_eq!(refusal.code, RefusalCode::NotFound);
    assert!(refusal.what.contains("keyward up"), "{refusal}");
}

#[test]
fn a_removed_device_is_a_tombstone_and_its_key_stays_its_own() {
    let site = Site::new();
    let mut store = site.stopped();
    let keys = Keys::new();
    store.ask(Request::DeviceAdd(device("dev01", &keys))).unwrap();
    store.change(revoke("dev01"));
    store.change(Request::DeviceRemove { id: "dev01".into() });
    assert!(store.devices().is_empty());
    let refusal = store.refusal(Request::DeviceAdd(device("dev02", &keys)));
    assert_eq!(refusal.code, RefusalCode::Conflict, "{refusal}");
    store.change(Request::DeviceReleaseKey { id: "dev01".into(), key: None });
    store.ask(Request::DeviceAdd(device("dev02", &keys))).unwrap();
}

#[test]
fn a_revoked_device_is_not_enabled_again() {
    let site = Site::new();
    let mut store = site.stopped();
    store.add_device("dev01");
    let changed = store.change(revoke("DEV01"));
    assert_eq!(changed.what, "Device dev01 is revoked with all its credentials.");
    assert_eq!((changed.closed_links, changed.in_force_ms), (None, None));
    let refusal = store.refusal(Request::DeviceEnable { id: "dev01".into() });
    assert_eq!(refusal.code, RefusalCode::Forbidden, "{refusal}");
    assert_eq!(store.devices()[0].standing, Standing::Revoked);
}

#[test]
fn a_name_that_cannot_be_had_is_refused_before_its_topics_are_looked_at() {
    let site = Site::new();
    let mut store = site.stopped();
    store.add_device("dev01");
    for (id, why) in [("devices", "reserved"), ("dev01", "exists already")] {
        let refusal = store.refusal(Request::DeviceAdd(device(id, &Keys::new())));
        assert!(refusal.what.contains(why) && !refusal.what.contains("--allow-overlap"), "{refusal}");
    }
}

#[test]
fn a_name_that_is_no_name_reserved_or_taken_is_refused() {
    let site = Site::new();
    let mut store = site.stopped();
    store.add_device("dev01");
    for (id, code) in [
        ("a/b", RefusalCode::Invalid),
        ("homeassistant", RefusalCode::Invalid),
        ("localhost", RefusalCode::Invalid),
        ("10.0.0.1", RefusalCode::Invalid),
        ("DEV01", RefusalCode::Conflict),
    ] {
        let refusal = store.refusal(Request::DeviceAdd(device(id, &Keys::new())));
        assert_eq!(refusal.code, code, "{id}: {refusal}");
    }
    let refusal = store.refusal(Request::DeviceAdd(device("x\u{1b}[2J", &Keys::new())));
    assert!(!refusal.what.contains('\u{1b}'), "{refusal}");
    assert_eq!(store.refusal(Request::DeviceShow { id: "nobody".into() }).code, RefusalCode::NotFound);
}

#[test]
fn topics_that_a_rule_uses_are_not_given_to_a_new_device_unasked() {
    let site = Site::new();
    site.rule_file("app.toml", &APP_RULE.replace("devices/+/status", "greenhouse/#"));
    let mut store = site.stopped();
    store.add_user("app", "correct horse battery");
    let refusal = store.refusal(Request::DeviceAdd(device("greenhouse", &Keys::new())));
    assert_eq!(refusal.code, RefusalCode::Conflict);
    assert!(
        refusal.what.contains("policy.d/app.toml") && refusal.what.contains("--allow-overlap"),
        "{refusal}"
    );
    let mut add = device("greenhouse", &Keys::new());
    add.allow_overlap = true;
    store.ask(Request::DeviceAdd(add)).unwrap();
}

#[test]
fn a_lifetime_of_the_type_is_the_lifetime_of_the_certificate() {
    let site = Site::new();
    site.config("[types]\nmeter.device_lifetime = \"2 days\"\n");
    let mut store = site.stopped();
    let mut add = device("m1", &Keys::new());
    add.device_type = Some("meter".to_owned());
    store.ask(Request::DeviceAdd(add)).unwrap();
    store.add_device("d1");
    let days: Vec<u64> = store
        .devices()
        .iter()
        .map(|row| (row.expires_unix_ms.unwrap() - row.added_unix_ms).div_ceil(86_400_000))
        .collect();
    assert!(days[0] > 3_000 && days[1] <= 2, "{days:?}");
}

#[test]
fn a_generated_password_is_shown_once_and_a_chosen_one_never() {
    let site = Site::new();
    let mut store = site.stopped();
    let mut add = device("dev01", &Keys::new());
    add.credential = NewCredential::Password(NewPassword::Generated);
    let Ok(Response::DeviceAdded(added)) = store.ask(Request::DeviceAdd(add)) else { panic!("refused") };
    assert!(added.certificate_pem.is_none());
    let password = added.password.unwrap();
    assert_eq!(password.expose().len(), 26);
    let Ok(Response::Device(shown)) = store.ask(Request::DeviceShow { id: "dev01".into() }) else {
        panic!("refused")
    };
    assert_eq!(shown.credentials[0].kind, "password");
    assert!(!serde_json::to_string(&shown).unwrap().contains(password.expose()));
    assert!(store.add_user("ada", "correct horse battery").password.is_none());
}

#[test]
fn a_user_without_rules_is_told_that_it_can_do_nothing() {
    let site = Site::new();
    let mut store = site.stopped();
    let added = store.add_user("app", "correct horse battery");
    assert!(!added.user.has_rights);
    let note = added.notes.iter().find(|note| note.contains("no rule names it")).expect("a note");
    assert!(note.contains("user:app"), "{note}");
    site.rule_file("app.toml", APP_RULE);
    let Ok(Response::Users(users)) = store.ask(Request::UserList) else { panic!("refused") };
    assert!(users[0].has_rights);
}

#[test]
fn a_removed_user_is_gone_and_can_be_added_again() {
    let site = Site::new();
    let mut store = site.stopped();
    store.add_user("ada", "correct horse battery");
    store.change(Request::UserRemove { name: "ada".into() });
    let Ok(Response::Users(users)) = store.ask(Request::UserList) else { panic!("refused") };
    assert!(users.is_empty());
    store.add_user("ada", "another horse battery");
}

#[test]
fn a_password_that_is_too_short_is_refused() {
    let site = Site::new();
    let mut store = site.stopped();
    store.add_user("ada", "correct horse battery");
    let short = NewPassword::Chosen(keyward_server::control::Secret::new("short".into()));
    let refusal = store.refusal(Request::UserPasswd { name: "ada".into(), password: short });
    assert_eq!(refusal.code, RefusalCode::Invalid, "{refusal}");
    assert!(!refusal.what.contains("short'"), "{refusal}");
}

#[test]
fn explain_names_the_rule_that_decides_or_the_one_that_would_allow_it() {
    let site = Site::new();
    site.rule_file("app.toml", APP_RULE);
    let mut store = site.stopped();
    store.add_device("dev01");
    store.add_user("app", "correct horse battery");
    let allowed = store.explain(question("user:app", ExplainAction::Receive, "devices/dev01/status"));
    assert!(allowed.allowed && allowed.would_allow.is_none());
    assert!(allowed.rule.unwrap().starts_with("policy.d/app.toml:1"));
    let denied = store.explain(question("device:dev01", ExplainAction::Publish, "dev02/status"));
    assert!(!denied.allowed);
    site.rule_file("fix.toml", &denied.would_allow.unwrap());
    assert!(store.explain(question("device:dev01", ExplainAction::Publish, "dev02/status")).allowed);
    let everything = store.explain(question("user:app", ExplainAction::Subscribe, "#"));
    assert_eq!(everything.arrives, ["devices/+/status"]);
}

#[test]
fn a_bad_rule_file_is_named_and_does_not_hinder_a_revocation() {
    let site = Site::new();
    let mut store = site.stopped();
    store.add_device("dev01");
    site.rule_file("bad.toml", "[[rule]]\nwho = \"nobody\"\n");
    let refusal = store.refusal(Request::PolicyCheck);
    assert_eq!(refusal.code, RefusalCode::BadFile);
    assert!(refusal.what.contains("policy.d/bad.toml:"), "{refusal}");
    assert_eq!(store.refusal(Request::DeviceAdd(device("dev02", &Keys::new()))).code, RefusalCode::BadFile);
    store.change(revoke("dev01"));
}

#[test]
fn a_server_name_is_in_the_certificate_at_once() {
    let site = Site::new();
    let mut store = site.stopped();
    let Ok(Response::ServerNames(names)) = store.ask(Request::ServerNameAdd { name: "MQTT.home".into() })
    else {
        panic!("refused")
    };
    assert!(names.reissued && names.names.contains(&"mqtt.home".to_owned()), "{names:?}");
    assert_eq!(store.add_device("dev01").reach.host, "mqtt.home");
    let Ok(Response::ServerNames(names)) = store.ask(Request::ServerNameRemove { name: "mqtt.home".into() })
    else {
        panic!("refused")
    };
    assert!(!names.names.contains(&"mqtt.home".to_owned()), "{names:?}");
    assert_eq!(store.refusal(Request::ServerNameAdd { name: "a b".into() }).code, RefusalCode::Invalid);
}

#[test]
fn a_listener_is_written_into_the_file_and_the_ledger() {
    let site = Site::new();
    let mut store = site.stopped();
    let Ok(Response::Listeners(rows)) = store.ask(listener("local", "127.0.0.1", 1883, true)) else {
        panic!("refused")
    };
    let names: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.port, row.open)).collect();
    assert_eq!(names, [("mqtts", Some(8883), false), ("local", Some(1883), false)]);
    assert!(store.audit().iter().any(|what| what.contains("listener local added")));
    assert!(site.config_text().starts_with("# Keyward's configuration."));
    store.ask(Request::ListenerRemove { name: "local".into() }).unwrap();
    assert!(!site.config_text().contains("1883"));
}

#[test]
fn a_listener_that_would_be_bad_changes_nothing() {
    let site = Site::new();
    let mut store = site.stopped();
    let before = site.config_text();
    assert_eq!(store.refusal(listener("open", "0.0.0.0", 1883, true)).code, RefusalCode::BadFile);
    assert_eq!(store.refusal(listener("twice", "::", 8883, false)).code, RefusalCode::BadFile);
    assert_eq!(store.refusal(Request::ListenerRemove { name: "mqtts".into() }).code, RefusalCode::Forbidden);
    assert_eq!(site.config_text(), before);
}

#[test]
fn the_ledger_says_who_did_what() {
    let site = Site::new();
    let mut store = site.stopped();
    store.execute_for(Request::DeviceAdd(device("dev01", &Keys::new())), "uid 7").unwrap();
    let Ok(Response::Audit(rows)) = store.ask(Request::Audit { last: Some(1) }) else { panic!("refused") };
    assert_eq!((rows.len(), rows[0].actor.as_str()), (1, "uid 7"));
    assert!(rows[0].what.contains("device:dev01 added"), "{rows:?}");
}

#[test]
fn status_of_a_stopped_store_says_what_is_known_without_a_broker() {
    let site = Site::new();
    let mut store = site.stopped();
    store.add_device("dev01");
    store.add_device("dev02");
    store.change(revoke("dev02"));
    let Ok(Response::Status(status)) = store.ask(Request::Status) else { panic!("refused") };
    assert_eq!((status.devices, status.devices_shut_out, status.users), (2, 1, 0));
    assert_eq!(status.ca_fingerprint.len(), 95);
    assert!(status.offline_folder.is_some() && status.running.is_none());
    assert!(status.certificates.iter().any(|row| row.what == "server"));
    fs::remove_dir_all(site.home.offline_dir()).unwrap();
    let Ok(Response::Status(status)) = store.ask(Request::Status) else { panic!("refused") };
    assert_eq!(status.offline_folder, None);
}

#[test]
fn status_comes_with_a_bad_configuration_and_names_it() {
    let site = Site::new();
    site.config("[server]\nshards = \"many\"\n");
    site.rule_file("bad.toml", "nonsense");
    let Ok(Response::Status(status)) = site.stopped().ask(Request::Status) else { panic!("refused") };
    assert!(status.warnings.iter().any(|line| line.contains("keyward.toml:2:10")), "{:?}", status.warnings);
    assert!(status.warnings.iter().any(|line| line.contains("policy.d/bad.toml")), "{:?}", status.warnings);
}

#[test]
fn what_only_a_running_broker_knows_is_said_to_be_so() {
    let refusal = Site::new().stopped().refusal(Request::Denials { since_secs: None });
    assert_eq!(refusal.code, RefusalCode::WrongMoment);
    assert!(refusal.what.contains("keyward up"), "{refusal}");
}

#[test]
fn keys_are_sealed_by_a_passphrase_and_stay_closed_without_it() {
    let site = Site::new();
    let file = site.home.directory().join("passphrase");
    files::write_new(&file, b"correct horse battery\n").unwrap();
    let sealed = OpenOptions { passphrase_file: Some(file.clone()) };
    admin::open_stopped(&site.home, &sealed).unwrap().add_device("dev01");
    assert!(admin::open_stopped(&site.home, &OpenOptions::default()).is_err());
    assert_eq!(admin::open_stopped(&site.home, &sealed).unwrap().devices().len(), 1);
    files::replace(&file, b"\n").unwrap();
    let refusal = admin::open_stopped(&site.home, &sealed).err().unwrap();
    assert!(refusal.what.contains("holds no passphrase"), "{refusal}");
}
