//! A sound installation, and each weakness that is put into it: the doctor finds it, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use super::*;
use crate::config::{Config, Durability};
use crate::login::LoginRule;
use crate::status::{CertificateRow, ClockState, RunningStatus, Status, StorageState};
use keyward_identity::{
    Account, CertificateRecord, Chip, Exposure, HeldMessageKey, MessageKey, Quarantine, QuarantinedBy,
    Standing, WallTime,
};
use keyward_ids::Identity;
use keyward_policy::{Filling, Policy, Preset, SourceFile, Subject};
use std::sync::Arc;
use std::time::Duration;

const NOW: WallTime = WallTime(1_800_000_000_000);

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

fn account(identity: &str) -> Account {
    Account {
        identity: identity.parse().unwrap(),
        device_type: None,
        site: None,
        chip: None,
        exposure: Some(Exposure::Locked),
        place: Default::default(),
        moved: None,
        standing: Standing::Active,
        life: 1,
        epoch: 1,
        plain: false,
        machine_chosen: false,
        certificates: Vec::new(),
        password: None,
        password_exposed: false,
        bound_names: Default::default(),
        message_keys: Vec::new(),
        agreement_keys: Vec::new(),
        created: NOW,
        note: String::new(),
        invitation: None,
        quarantine: None,
    }
}

fn certificate(not_after: WallTime) -> CertificateRecord {
    let (serial, key) =
        ("0102030405060708090a0b0c0d0e0f10".parse().unwrap(), "ab".repeat(32).parse().unwrap());
    CertificateRecord { serial, key, not_before: NOW, not_after, renews: None }
}

fn authority() -> Authority {
    Authority {
        name: "old".to_owned(),
        is_confirmed: true,
        proves_nothing: false,
        not_after: NOW.after(days(100)),
        has_list: true,
        next_list: Some(NOW.after(days(1))),
        bound: 1,
    }
}

fn status() -> Status {
    Status {
        home: "/srv/kw".to_owned(),
        version: "0.1.0".to_owned(),
        installation: "abcdefghijkmnpqr".to_owned(),
        listeners: Vec::new(),
        names: vec!["mqtt.home".to_owned()],
        ca_pem: "/srv/kw/ca.pem".to_owned(),
        ca_fingerprint: "AB:CD".to_owned(),
        devices: 1,
        devices_shut_out: 0,
        devices_quarantined: 0,
        marked_plain: 0,
        users: 1,
        certificates: vec![CertificateRow {
            what: "server".to_owned(),
            expires_unix_ms: NOW.after(days(100)).0,
        }],
        device_certificates_ending: 0,
        clock: ClockState::Trusted,
        offline_folder: None,
        warnings: Vec::new(),
        running: None,
    }
}

fn rules(text: &str) -> Result<Arc<Policy>, String> {
    let files = [SourceFile::new("policy.d/a.toml", text)];
    Ok(Arc::new(Policy::load(&files).unwrap()))
}

fn config(text: &str) -> Result<Config, String> {
    Ok(Config::parse("keyward.toml", text).unwrap())
}

/// Only certificates open the door, all is sealed, named and backed up.
fn sound() -> Facts {
    let accounts = ["device:pump-1", "user:app"].map(account);
    Facts {
        now: NOW,
        config: config("[[listener]]\nname = \"mqtts\"\nport = 8883\nlogin = \"certificate\"\n"),
        refused_config: None,
        policy: rules("[[rule]]\nwho = \"user:app\"\nallow = [\"subscribe\"]\ntopics = [\"pump-1/#\"]\n"),
        refused_rules: None,
        authorities: vec![authority()],
        client_ids: vec![("user:app".parse().unwrap(), 1)],
        subjects: accounts.iter().map(crate::wiring::subject).collect(),
        accounts: accounts.into_iter().map(Arc::new).collect(),
        status: status(),
        is_named: true,
        started_by: StartedBy::Person,
        are_keys_sealed: true,
        is_imported_in_part: false,
        backup: Some(Backup {
            path: "/srv/kw/backups/keyward-1.age".into(),
            written: NOW.before(days(1)),
            is_plain: false,
        }),
        notify_files: Vec::new(),
        open_files: Vec::new(),
    }
}

/// Is a key of which the device says that it keeps it so well.
fn signing_key(level: u8) -> HeldMessageKey {
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEABwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n-----END PUBLIC KEY-----\n";
    HeldMessageKey {
        key: MessageKey::read_file(pem.as_bytes(), level).unwrap(),
        registered: NOW,
        until: None,
        awaits: None,
        endorsement: None,
        second_holder: None,
    }
}

#[test]
fn a_public_device_whose_key_stays_in_it_is_not_told_to_keep_it_better() {
    for (level, told) in [(1, "low-key-level"), (2, "exposed-device")] {
        let mut facts = sound();
        facts.policy = rules("[[signed]]\nwho = \"devices\"\ntopics = [\"#\"]\ncheck = \"require\"\n");
        let pump = first(&mut facts);
        (pump.exposure, pump.message_keys) = (Some(Exposure::Public), vec![signing_key(level)]);
        let found = found(&facts, Profile::Commercial);
        assert_eq!(found.iter().map(|finding| finding.check.as_str()).collect::<Vec<_>>(), [told]);
    }
}

fn first(facts: &mut Facts) -> &mut Account {
    Arc::make_mut(&mut facts.accounts[0])
}

fn pages(facts: &mut Facts, origin: &str) {
    facts.config.as_mut().unwrap().listeners[0].origins = Some(vec![origin.to_owned()]);
}

type Weaken = fn(&mut Facts);

/// Each check, and what makes it speak.
const WEAKNESSES: &[(&str, Weaken)] = &[
    ("configuration-valid", |facts| facts.config = Err("keyward.toml:1: bad".to_owned())),
    ("configuration-valid", |facts| facts.refused_config = Some("keyward.toml:1: bad".to_owned())),
    ("durability", |facts| facts.config.as_mut().unwrap().store.durability = Durability::Os),
    ("password-login", |facts| facts.config = Ok(Config::default())),
    ("rules-valid", |facts| facts.policy = Err("policy.d/a.toml:1: bad".to_owned())),
    ("rules-valid", |facts| facts.refused_rules = Some("policy.d/a.toml:1: bad".to_owned())),
    ("reads-everything", |facts| {
        facts.policy = rules("[[rule]]\nwho = \"user:app\"\nallow = [\"subscribe\"]\ntopics = [\"#\"]\n");
    }),
    ("publishes-everywhere", |facts| {
        facts.policy = rules("[[rule]]\nwho = \"user:app\"\nallow = [\"publish\"]\ntopics = [\"#\"]\n");
    }),
    ("rules-for-nobody", |facts| {
        facts.policy = rules("[[rule]]\nwho = \"user:ghost\"\nallow = [\"publish\"]\ntopics = [\"a\"]\n");
    }),
    ("quarantine", |facts| {
        let because = "two hold its key".to_owned();
        first(facts).quarantine = Some(Quarantine { since: NOW, by: QuarantinedBy::Broker, because });
    }),
    ("unconfirmed", |facts| first(facts).standing = Standing::Unconfirmed { restored: NOW }),
    ("plain-listener", |facts| facts.config.as_mut().unwrap().listeners[0].tls = false),
    ("anonymous", |facts| {
        facts.config.as_mut().unwrap().listeners[0].anonymous_as = Some("guest".parse().unwrap());
    }),
    ("no-bans", |facts| {
        let config = facts.config.as_mut().unwrap();
        config.limits.plane.ban_after = 0;
        config.listeners[0].login = LoginRule::CertificateAndPassword;
    }),
    ("open-socket", |facts| {
        let file = "[[listener]]\nname = \"near\"\nsocket = \"/run/kw/mqtt\"\nsocket_mode = \"0666\"\n";
        facts.config = config(file);
    }),
    ("any-page", |facts| pages(facts, "*")),
    ("page-without-tls", |facts| pages(facts, "http://panel.example:1880")),
    ("page-without-tls", |facts| {
        facts.config =
            config("[[listener]]\nname = \"near\"\naddress = \"127.0.0.1\"\nport = 9001\ntls = false\n");
        pages(facts, "http://panel.example");
    }),
    ("decided-late", |facts| {
        facts.policy = rules("[[decide-late]]\nwho = \"user:app\"\nwhat = \"will\"\n");
    }),
    ("weak-password", |facts| {
        Arc::make_mut(&mut facts.accounts[1]).password =
            Some(serde_json::from_str(r#"{"weak":"$argon2id$"}"#).unwrap());
    }),
    ("exposed-password", |facts| {
        let app = Arc::make_mut(&mut facts.accounts[1]);
        app.password = Some(serde_json::from_str(r#"{"chosen":"$argon2id$"}"#).unwrap());
        app.password_exposed = true;
    }),
    ("device-password", |facts| {
        first(facts).password = Some(serde_json::from_str(r#"{"chosen":"$argon2id$"}"#).unwrap());
    }),
    ("exposed-device", |facts| first(facts).exposure = Some(Exposure::Public)),
    ("exposed-device", |facts| {
        facts.config.as_mut().unwrap().sites = config("[sites.yard]\nexposure = \"public\"\n").unwrap().sites;
        let pump = first(facts);
        (pump.exposure, pump.site) = (None, Some("yard".parse().unwrap()));
    }),
    ("low-key-level", |facts| {
        facts.policy = rules("[[signed]]\nwho = \"devices\"\ntopics = [\"#\"]\ncheck = \"require\"\n");
        let pump = first(facts);
        pump.exposure = Some(Exposure::Public);
        pump.message_keys = vec![signing_key(1)];
    }),
    ("shared-login", |facts| facts.client_ids[0].1 = 2),
    ("shared-login", |facts| {
        let preset = Preset::named("home").unwrap();
        let filling = Filling { who: &facts.accounts[1].identity, topic: None, mac: None };
        let text = preset.fill(&filling).unwrap().text;
        // Its name alone: what it allows is found by other checks.
        let header = text.lines().take_while(|line| !line.starts_with("[[")).collect::<Vec<_>>().join("\n");
        facts.policy = rules(&header);
    }),
    ("plain-mark", |facts| first(facts).plain = true),
    ("authority-unconfirmed", |facts| facts.authorities[0].is_confirmed = false),
    ("authority-ends", |facts| facts.authorities[0].not_after = NOW.after(days(3))),
    ("authority-list-overdue", |facts| facts.authorities[0].next_list = Some(NOW.before(days(1)))),
    ("authority-unbound", |facts| facts.authorities[0].bound = 0),
    ("authority-everywhere", |facts| {
        let other =
            "[[listener]]\nname = \"fleet\"\nport = 8884\nlogin = \"certificate\"\ntrusted = [\"old\"]\n";
        let other = config(other).unwrap().listeners.remove(0);
        facts.config.as_mut().unwrap().listeners.push(other);
    }),
    ("authority-unrevocable", |facts| facts.authorities[0].has_list = false),
    ("authority-proves-nothing", |facts| facts.authorities[0].proves_nothing = true),
    ("imported-certificate-ends", |facts| {
        facts.status.certificates.push(CertificateRow {
            what: format!("{}old", keyward_identity::IMPORTED_ROLE),
            expires_unix_ms: NOW.after(days(3)).0,
        });
    }),
    ("unprotected-chip", |facts| first(facts).chip = Some(Chip::Esp8266)),
    ("certificate-ends", |facts| facts.status.certificates[0].expires_unix_ms = NOW.after(days(3)).0),
    ("device-certificate-ends", |facts| first(facts).certificates = vec![certificate(NOW.after(days(3)))]),
    ("clock", |facts| facts.status.clock = ClockState::Doubted { why: "it is 1970".to_owned() }),
    ("unnamed", |facts| facts.is_named = false),
    ("unnamed-container", |facts| (facts.is_named, facts.started_by) = (false, StartedBy::Container)),
    ("root-keys", |facts| facts.status.offline_folder = Some("/srv/kw/offline".to_owned())),
    ("open-files", |facts| {
        facts.open_files = vec![OpenFile { path: "/srv/kw/keys/it's".into(), mode: 0o644, fit: 0o600 }];
    }),
    ("notify-files", |facts| facts.notify_files = vec!["webhook pager: /s is missing".to_owned()]),
    ("import-interrupted", |facts| facts.is_imported_in_part = true),
    ("keys-unsealed", |facts| facts.are_keys_sealed = false),
    ("message-store", |facts| {
        facts.status.running =
            Some(RunningStatus { storage: StorageState::Full, ..RunningStatus::default() });
    }),
    ("no-backup", |facts| facts.backup = None),
    ("old-backup", |facts| facts.backup.as_mut().unwrap().written = NOW.before(days(40))),
    ("old-backup-commercial", |facts| facts.backup.as_mut().unwrap().written = NOW.before(days(8))),
    ("plain-backup", |facts| facts.backup.as_mut().unwrap().is_plain = true),
];

fn found(facts: &Facts, profile: Profile) -> Vec<Finding> {
    examine(facts, profile).findings
}

#[test]
fn a_sound_installation_has_nothing_to_mend() {
    assert_eq!(found(&sound(), Profile::Commercial), []);
}

#[test]
fn each_weakness_is_found_alone_and_says_what_mends_it() {
    for (name, weaken) in WEAKNESSES {
        let mut facts = sound();
        weaken(&mut facts);
        let found = found(&facts, Profile::Commercial);
        let names: Vec<&str> = found.iter().map(|finding| finding.check.as_str()).collect();
        assert_eq!(names, [*name]);
        assert!(!found[0].mend.is_empty(), "{found:?}");
        for Step::Keyward(text) | Step::Shell(text) | Step::Sentence(text) in &found[0].mend {
            assert!(!text.is_empty() && !found[0].why.is_empty() && !found[0].what.is_empty(), "{found:?}");
        }
    }
}

#[test]
fn every_check_is_shown_to_find_something() {
    let checked = examine(&sound(), Profile::Commercial).checked;
    let shown = |name: &str| WEAKNESSES.iter().any(|(shown, _)| *shown == name);
    let blind: Vec<_> = checked.iter().filter(|name| !shown(name)).collect();
    assert!(blind.is_empty(), "no weakness shows {blind:?}");
}

#[test]
fn a_house_is_not_held_to_what_a_company_is() {
    let commercial = |name: &str| !examine(&sound(), Profile::Home).checked.contains(&name.to_owned());
    for name in [
        "password-login",
        "device-password",
        "exposed-device",
        "unprotected-chip",
        "shared-login",
        "plain-mark",
        "authority-everywhere",
        "authority-unrevocable",
        "authority-proves-nothing",
        "keys-unsealed",
        "old-backup-commercial",
        "unnamed",
    ] {
        assert!(commercial(name), "{name}");
    }
}

#[test]
fn what_keeps_the_broker_from_its_work_comes_first_and_weighs_more() {
    let mut facts = sound();
    facts.backup = None;
    facts.refused_rules = Some("policy.d/a.toml:1: bad".to_owned());
    let weights: Vec<Weight> = found(&facts, Profile::Home).iter().map(|finding| finding.weight).collect();
    assert_eq!(weights, [Weight::Unusable, Weight::Weak]);
}

#[test]
fn a_place_that_requires_signatures_is_named_where_a_crash_forgets_numbers() {
    let required = "[[signed]]\nwho = \"devices\"\ntopics = [\"a\"]\ncheck = \"require\"\n";
    for (durability, check, told) in [
        (Durability::Synced, "require", None),
        (Durability::Os, "observe", None),
        (Durability::Os, "require", Some("counts once more")),
        (Durability::Memory, "require", Some("refused then")),
    ] {
        let mut facts = sound();
        facts.policy = rules(&required.replace("require", check));
        facts.config.as_mut().unwrap().store.durability = durability;
        let found = found(&facts, Profile::Home);
        let signed = found.iter().find(|finding| finding.what.contains("requires signed messages"));
        assert_eq!(signed.is_some(), told.is_some(), "{durability:?} {check}");
        let (Some(signed), Some(told)) = (signed, told) else { continue };
        assert!(
            signed.what.starts_with("policy.d/a.toml:1 ") && signed.what.contains(told),
            "{}",
            signed.what
        );
        assert_eq!(signed.check, "durability");
    }
}

#[test]
fn a_path_is_quoted_for_the_shell_that_mends_it() {
    let mut facts = sound();
    facts.open_files = vec![OpenFile { path: "/srv/kw/keys/it's".into(), mode: 0o644, fit: 0o600 }];
    let mend = Step::Shell(r"chmod 600 '/srv/kw/keys/it'\''s'".to_owned());
    assert_eq!(found(&facts, Profile::Home)[0].mend, [mend]);
}

#[test]
fn who_is_shut_out_is_no_weakness() {
    let mut facts = sound();
    facts.policy =
        rules("[[rule]]\nwho = \"users\"\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"#\"]\n");
    let app: Identity = "user:app".parse().unwrap();
    assert_eq!(found(&facts, Profile::Home).len(), 2);
    let account = facts.accounts.iter_mut().find(|account| account.identity == app).unwrap();
    Arc::make_mut(account).standing = Standing::Disabled;
    let _: Vec<Subject> = facts.subjects.clone();
    assert_eq!(found(&facts, Profile::Home), []);
}

#[test]
fn what_lets_in_only_whom_it_should_is_no_weakness() {
    let mut facts = sound();
    facts.config.as_mut().unwrap().limits.plane.ban_after = 0;
    assert_eq!(found(&facts, Profile::Home), [], "nobody can guess where there are no passwords");
    pages(&mut facts, "http://localhost:1880");
    assert_eq!(found(&facts, Profile::Home), []);
    facts.config =
        config("[[listener]]\nname = \"near\"\nsocket = \"/run/kw/mqtt\"\nsocket_mode = \"0660\"\n");
    assert_eq!(found(&facts, Profile::Home), []);
}

#[test]
fn a_device_is_added_again_as_what_it_was() {
    let mut facts = sound();
    let plug = first(&mut facts);
    plug.password = Some(serde_json::from_str(r#"{"chosen":"$argon2id$"}"#).unwrap());
    (plug.device_type, plug.site) = (Some("plug".parse().unwrap()), Some("roof".parse().unwrap()));
    plug.chip = Some(Chip::Esp32);
    let preset = Preset::named("tasmota").unwrap();
    let who = facts.accounts[0].identity.clone();
    let filling = Filling { who: &who, topic: Some("kitchen"), mac: Some("5C:CF:7F:12:34:56") };
    let text = preset.fill(&filling).unwrap().text;
    facts.policy = rules(&text);
    let found = found(&facts, Profile::Commercial);
    let finding = found.iter().find(|finding| finding.check == "device-password").unwrap();
    let add = "device add pump-1 --out pump-1-new --type plug --site roof --exposure locked --chip esp32 --preset tasmota \
               --topic kitchen --mac 5CCF7F123456";
    assert_eq!(finding.mend[1..3], [Step::keyward("device remove pump-1"), Step::keyward(add)]);
    assert_eq!(finding.mend.len(), 4);
    facts.policy =
        rules(&format!("{text}\n[[rule]]\nwho = \"{who}\"\nallow = \"publish\"\ntopics = \"more\"\n"));
    let found = examine(&facts, Profile::Commercial).findings;
    let finding = found.iter().find(|finding| finding.check == "device-password").unwrap();
    let Some(Step::Sentence(last)) = finding.mend.last() else { panic!("{finding:?}") };
    assert!(last.contains("policy.d/a.toml.removed"), "{last}");
}

#[test]
fn how_keys_are_sealed_depends_on_who_starts_the_broker() {
    let mut facts = sound();
    facts.are_keys_sealed = false;
    for (started_by, telling) in [
        (StartedBy::Person, "--passphrase-file FILE up"),
        (StartedBy::Systemd, "systemctl restart keyward"),
        (StartedBy::Container, "KEYWARD_PASSPHRASE_FILE"),
    ] {
        facts.started_by = started_by;
        let mend = format!("{:?}", found(&facts, Profile::Commercial)[0].mend);
        assert!(mend.contains(telling), "{mend}");
    }
}

#[test]
fn the_unit_is_told_of_the_passphrase_by_the_commands_that_are_printed() {
    let place = tempfile::tempdir().unwrap();
    let etc = place.path().join("etc").display().to_string();
    let mut facts = sound();
    (facts.are_keys_sealed, facts.started_by) = (false, StartedBy::Systemd);
    // Without systemd, which encrypts the passphrase and starts the broker.
    let is_file_work = |text: &&String| !text.contains("systemd-creds") && !text.contains("systemctl");
    let findings = found(&facts, Profile::Commercial);
    let shell = findings[0].mend.iter().filter_map(|step| match step {
        Step::Shell(text) => Some(text),
        _ => None,
    });
    for text in shell.filter(is_file_work) {
        let text = text.replace(" /etc/", &format!(" {etc}/"));
        assert!(std::process::Command::new("sh").args(["-c", &text]).status().unwrap().success(), "{text}");
    }
    let unit = std::fs::read_to_string(format!("{etc}/systemd/system/keyward.service.d/passphrase.conf"));
    let expected =
        "[Service]\nLoadCredentialEncrypted=keyward-passphrase:/etc/credstore.encrypted/keyward-passphrase\n";
    assert_eq!(unit.unwrap(), expected);
}
