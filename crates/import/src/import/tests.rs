//! Imports that end in the middle: finished by the same one, or taken back; what is open meanwhile is open at the end.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use super::steps::Step;
use super::*;
use crate::{Version, Wishes};
use keyward_identity::{KeyProtection, files};
use keyward_server::admin;
use keyward_server::control::{
    AuthorityTrust, Der, ExplainAction, NewCredential, NewPassword, PolicyExplain, Proves, Secret,
    ServerCertificateImport, UserAdd,
};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const HASH: &str = "$7$101$BwcHBwcHBwcHBwcH$CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQ==";

/// On 8883 certificates name the clients and passwords count for nothing, where Keyward's own listener was.
const CONF: &str = "listener 8883 127.0.0.1\ncertfile {}/server.crt\nkeyfile {}/server.key\ncafile {}/ca.crt\n\
                    require_certificate true\nuse_identity_as_username true\n\
                    listener 8885 127.0.0.1\ncertfile {}/server.crt\nkeyfile {}/server.key\n\
                    password_file {}/passwd\nacl_file {}/acl\n";

/// What a user's own lines deny, a pattern would allow.
const ACL: &str = "user ann\ntopic read sensors/#\ntopic deny sensors/secret\ntopic deny u/ann/off\nuser ben\ntopic write sensors/+\n\
                   pattern readwrite u/%u/#\npattern deny u/ben/off\n";

/// Is a stopped installation, and files of Mosquitto beside it.
struct Fixture {
    folder: TempDir,
    home: Home,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("keyward"));
        home.create().unwrap();
        installation::create(&home, Vec::new(), KeyProtection::FileMode).unwrap();
        let fixture = Self { folder, home };
        fixture.certificates();
        fixture.put("m.conf", CONF);
        fixture.put("passwd", &format!("ann:{HASH}\nben:{HASH}\n"));
        fixture.put("acl", ACL);
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let place = self.folder.path().to_str().unwrap();
        files::replace(&self.path(name), text.replace("{}", place).as_bytes()).unwrap();
    }

    fn configure(&self, text: &str) {
        files::replace(&self.home.config_file(), text.as_bytes()).unwrap();
    }

    fn listeners(&self) -> Vec<String> {
        let (config, _) = installation::settings(&self.home).unwrap();
        config.listeners.into_iter().map(|listener| listener.name).collect()
    }

    fn authority() -> String {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn certificates(&self) {
        self.put("ca.crt", &Self::authority());
        let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        self.put("server.crt", &server.self_signed(&key).unwrap().pem());
        self.put("server.key", &key.serialize_pem());
    }

    fn operator(&self) -> Operator {
        admin::open(&self.home, &admin::OpenOptions::default()).unwrap()
    }

    fn open(&self) -> Import {
        Import::open(&self.home, self.operator()).unwrap()
    }

    /// Reads the files and looks whether the plan fits.
    fn checked(&self, import: &mut Import) -> Plan {
        let wishes = Wishes {
            version: Version::V2_0,
            root: None,
            plain_from: Vec::new(),
            anonymous_as: "anonymous".parse().unwrap(),
            certificate_users: Vec::new(),
        };
        let mut plan = Plan::of(&self.path("m.conf"), &wishes);
        import.check(&mut plan).unwrap();
        plan
    }

    /// Returns why the import would be refused now.
    fn refusals(&self) -> String {
        self.checked(&mut self.open()).refusals.join("\n")
    }

    /// Imports, but is killed when so many steps are done. Returns how many there are.
    fn killed_after(&self, steps: usize) -> usize {
        let mut import = self.open();
        let plan = self.checked(&mut import);
        assert_eq!(plan.refusals, [""; 0]);
        import.begin(&plan, "m.conf").unwrap();
        let all = steps::of(&plan);
        all.iter().take(steps).for_each(|step| import.take(step).unwrap());
        all.len()
    }

    fn import(&self) {
        let mut import = self.open();
        let plan = self.checked(&mut import);
        assert_eq!(plan.refusals, [""; 0]);
        import.carry_out(&plan, "m.conf").unwrap();
    }

    fn undo(&self) -> TakenBack {
        self.open().undo().unwrap()
    }

    fn ask(&self, request: Request) -> Response {
        self.operator().call(request).unwrap()
    }

    fn add_by_hand(&self, name: &str) {
        self.ask(Request::UserAdd(UserAdd::new(name, NewCredential::None)));
    }

    /// Adds the certificates that lie here to another installation, under the names that an import would give them.
    fn import_by_hand(&self, to: &Self) {
        let read = |name| fs::read(self.path(name)).unwrap();
        to.ask(Request::AuthorityTrustAdd(AuthorityTrust {
            name: "mosquitto-1".to_owned(),
            certificates: Der(read("ca.crt")),
            proves: Proves::CommonName,
            revocations: None,
        }));
        to.ask(Request::ServerCertificateImport(ServerCertificateImport {
            name: "mosquitto-1".to_owned(),
            chain: Der(read("server.crt")),
            key: Secret::new(fs::read_to_string(self.path("server.key")).unwrap()),
        }));
    }

    fn certificates_held(&self) -> Vec<Certificates> {
        let mut operator = self.operator();
        [authorities(&mut operator).unwrap(), servers(&mut operator).unwrap()].concat()
    }

    fn users(&self) -> Vec<String> {
        users(&mut self.operator()).unwrap().into_iter().map(|row| row.name).collect()
    }

    /// Everything that an import could change, as one text.
    fn state(&self) -> String {
        let held = self.certificates_held();
        let mut operator = self.operator();
        let mut text = String::new();
        for row in users(&mut operator).unwrap() {
            let _ =
                writeln!(text, "{} {:?} {} {:?}", row.name, row.standing, row.has_rights, row.password_note);
        }
        for request in [Request::AuthorityTrustList, Request::ServerCertificateList] {
            let _ = writeln!(text, "{}", serde_json::to_string(&operator.call(request).unwrap()).unwrap());
        }
        for folder in ["", "policy.d", "keys"] {
            let entries = fs::read_dir(self.home.directory().join(folder)).unwrap();
            let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            // What the ledger was told of files is noted only once it was told something.
            paths.retain(|path| !path.ends_with("audited") && !path.ends_with("keys"));
            paths.sort();
            for path in paths {
                // Keys are named by themselves.
                let shown =
                    if folder == "keys" { folder.into() } else { path.to_string_lossy().into_owned() };
                let _ = writeln!(text, "{shown}");
                if path.extension().is_some_and(|end| end == "toml") {
                    text.push_str(&fs::read_to_string(&path).unwrap());
                }
            }
        }
        // Each installation of these tests has files of its own.
        for fingerprint in held.iter().flat_map(|it| &it.fingerprints) {
            text = text.replace(fingerprint, "");
        }
        text.replace(self.folder.path().to_str().unwrap(), "")
    }

    /// Who may do what on which listener, if the broker starts now.
    fn opens(&self) -> BTreeSet<String> {
        let (config, _) = installation::settings(&self.home).unwrap();
        Rules::load(&self.home).unwrap();
        let mut operator = self.operator();
        let mut opens = BTreeSet::new();
        for (user, action, topic) in [
            ("ann", ExplainAction::Receive, "sensors/a"),
            ("ann", ExplainAction::Receive, "sensors/secret"),
            ("ann", ExplainAction::Publish, "u/ann/on"),
            ("ann", ExplainAction::Publish, "u/ann/off"),
            ("ben", ExplainAction::Publish, "sensors/a"),
            ("ben", ExplainAction::Publish, "u/ben/on"),
            ("ben", ExplainAction::Publish, "u/ben/off"),
        ] {
            let question = PolicyExplain {
                identity: format!("user:{user}"),
                client: Some("c".to_owned()),
                action,
                topic: topic.to_owned(),
            };
            match operator.call(Request::PolicyExplain(question)) {
                Ok(Response::PolicyExplained(answer)) if answer.allowed => opens.extend(
                    config.listeners.iter().map(|listener| format!("{user} {topic} on {listener:?}")),
                ),
                // Denied, or not here yet.
                _ => {}
            }
        }
        opens
    }
}

#[test]
fn an_import_that_ends_at_any_step_is_finished_by_the_same_one_and_opens_nothing_meanwhile() {
    let whole = Fixture::new();
    whole.import();
    let (state, opens) = (whole.state(), whole.opens());
    assert_eq!(opens.len(), 4 * 2, "{opens:#?}");
    let steps = Fixture::new().killed_after(0);
    assert!(steps > 8, "{steps}");
    for cut in 0..=steps {
        let fixture = Fixture::new();
        fixture.killed_after(cut);
        let opened: Vec<_> = fixture.opens().difference(&opens).cloned().collect();
        assert_eq!(opened, [""; 0], "after {cut} steps");
        assert_eq!(fixture.open().interrupted().map(|journal| journal.source.as_str()), Some("m.conf"));
        fixture.import();
        assert_eq!(fixture.state(), state, "after {cut} steps");
        assert!(fixture.open().interrupted().is_none());
    }
    let again = whole.refusals();
    for why in ["ann, ben", "mosquitto-1 is here already", "are there already"] {
        assert!(again.contains(why), "{again}");
    }
}

/// Where an authority counts, the listeners say; whoever came in elsewhere before they were in force would stay, and have the
/// rights as soon as the rules are there.
#[test]
fn no_name_in_certificates_is_bound_before_a_running_broker_goes_by_the_listeners_and_the_rules() {
    let fixture = Fixture::new();
    let plan = fixture.checked(&mut fixture.open());
    let steps = steps::of(&plan);
    let last = |is_it: fn(&Step<'_>) -> bool| steps.iter().rposition(is_it).unwrap();
    let reload = last(|step| matches!(step, Step::Reload));
    let bound = steps.iter().position(|step| matches!(step, Step::Bind { .. })).unwrap();
    assert!(reload < bound, "told at {reload}, bound at {bound}");
    for written in [last(|step| matches!(step, Step::Listeners)), last(|step| matches!(step, Step::Rules(_)))]
    {
        assert!(written < reload);
    }
}

#[test]
fn an_import_that_ends_at_any_step_is_taken_back_and_leaves_nothing() {
    let steps = Fixture::new().killed_after(0);
    for cut in 0..=steps {
        let fixture = Fixture::new();
        let before = fixture.state();
        fixture.killed_after(cut);
        let taken_back = fixture.undo();
        assert_eq!((taken_back.users, &taken_back.left), (cut.min(2), &Vec::new()));
        assert_eq!(fixture.state(), before, "after {cut} steps");
        assert!(matches!(fixture.open().undo(), Err(ImportError::NotInterrupted)));
        fixture.import();
    }
}

/// The way back can be killed too, and then both ways are still open.
#[test]
fn an_import_that_was_being_taken_back_is_taken_back_or_finished_and_opens_nothing_meanwhile() {
    let whole = Fixture::new();
    whole.import();
    let opens = whole.opens();
    for removed in 0..=4 {
        for is_finished in [false, true] {
            let fixture = Fixture::new();
            let before = fixture.state();
            fixture.killed_after(usize::MAX);
            let import = fixture.open();
            let journal = import.interrupted().unwrap().clone();
            assert_eq!(undo::written(&journal).count(), 4);
            let files: usize =
                undo::written(&journal).take(removed).map(|written| import.take_out(&written).unwrap()).sum();
            assert_eq!(files, removed.min(3));
            drop(import);
            let opened: Vec<_> = fixture.opens().difference(&opens).cloned().collect();
            assert_eq!(opened, [""; 0], "{removed} removed");
            if is_finished {
                fixture.import();
                assert_eq!(fixture.state(), whole.state(), "{removed} removed");
            } else {
                assert_eq!(fixture.undo().left, [""; 0]);
                assert_eq!(fixture.state(), before, "{removed} removed");
            }
        }
    }
}

#[test]
fn other_files_are_refused_until_the_interrupted_import_is_finished_or_taken_back() {
    let fixture = Fixture::new();
    fixture.killed_after(4);
    fixture.put("acl", "user ann\ntopic a\n");
    let refused = fixture.refusals();
    assert!(
        refused.contains("m.conf was interrupted") && refused.contains("keyward import undo"),
        "{refused}"
    );
    fixture.undo();
    assert_eq!(fixture.refusals(), "");
}

/// Between a kill and the second run somebody can log in, which replaces the hash, or get another password.
#[test]
fn a_user_is_known_again_by_where_it_comes_from_and_not_by_its_password() {
    let fixture = Fixture::new();
    fixture.killed_after(1);
    fixture.ask(Request::UserPasswd { name: "ann".to_owned(), password: NewPassword::Generated });
    fixture.add_by_hand("ben");
    let refused = fixture.refusals();
    assert!(
        refused.contains("here already") && refused.contains(": ben") && !refused.contains("ann"),
        "{refused}"
    );
    assert_eq!(fixture.undo().users, 1);
    assert_eq!(fixture.users(), ["ben"]);
}

/// What somebody adds under a name that the interrupted import would have given was taken for its own: the import replaced the
/// server certificate, and the way back removed both.
#[test]
fn certificates_that_were_added_by_hand_meanwhile_are_not_the_imports() {
    let fixture = Fixture::new();
    fixture.killed_after(2);
    let other = Fixture::new();
    other.import_by_hand(&fixture);
    let held = fixture.certificates_held();
    let refused = fixture.refusals();
    for what in ["a trusted authority mosquitto-1 is here", "a server certificate mosquitto-1 is here"] {
        assert!(refused.contains(what), "{refused}");
    }
    assert_eq!(fixture.undo(), TakenBack { users: 2, ..TakenBack::default() });
    assert_eq!(fixture.certificates_held(), held);
}

#[test]
fn what_was_changed_by_hand_is_left_and_named_until_it_is_taken_away() {
    let fixture = Fixture::new();
    let before = fixture.state();
    fixture.killed_after(usize::MAX);
    let rules = fixture.home.policy_dir().join("mosquitto-own.toml");
    let conf = fixture.home.config_file();
    for path in [&rules, &conf] {
        let text = fs::read_to_string(path).unwrap();
        files::replace(path, format!("{text}# mine\n").as_bytes()).unwrap();
    }
    assert!(fixture.refusals().contains("mosquitto-own.toml"));
    let left = fixture.undo().left.join("\n");
    for why in ["mosquitto-own.toml", "named mosquitto-8883, mosquitto-8885", "shows the server certificate"]
    {
        assert!(left.contains(why), "{left}");
    }
    assert!(fixture.open().interrupted().is_some());
    fs::remove_file(&rules).unwrap();
    files::replace(&conf, keyward_server::config::DEFAULT_TEXT.as_bytes()).unwrap();
    assert_eq!(fixture.undo().left, [""; 0]);
    assert_eq!(fixture.state(), before);
}

/// A listener that somebody adds between a kill and the second run stays.
#[test]
fn a_configuration_that_was_changed_meanwhile_is_the_one_that_is_continued() {
    let fixture = Fixture::new();
    fixture.killed_after(3);
    let text = fs::read_to_string(fixture.home.config_file()).unwrap();
    fixture.configure(&format!("{text}\n[[listener]]\nname = \"mine\"\nport = 9999\n"));
    fixture.import();
    assert_eq!(fixture.listeners(), ["mine", "mosquitto-8883", "mosquitto-8885"]);
}

/// Listeners that were there were looked for by one spelling of their heading: with another an import opened 8883 to everybody
/// beside them, and did not say where the old authorities count.
#[test]
fn listeners_that_are_there_are_seen_however_they_are_written() {
    for head in ["[[listener]]", "[[ listener ]]", "[[\"listener\"]]"] {
        let fixture = Fixture::new();
        fixture.put("m.conf", &CONF.replace("8883", "8884"));
        fixture.configure(&format!("{head}\nname = \"mine\"\nport = 9999\n"));
        let mut import = fixture.open();
        let plan = fixture.checked(&mut import);
        assert_eq!(plan.refusals, [""; 0], "{head}");
        assert!(plan.next.join("\n").contains("the old authorities do not count at mine"), "{head}");
        drop(import);
        fixture.import();
        assert_eq!(fixture.listeners(), ["mine", "mosquitto-8884", "mosquitto-8885"], "{head}");
    }
}

/// The old authorities get in where they got in; those that were trusted here before, where they did.
#[test]
fn authorities_count_where_they_counted() {
    for own in ["", "[[listener]]\nname = \"mqtts\"\nport = 8883\n"] {
        let fixture = Fixture::new();
        fixture.put("m.conf", &CONF.replace("8883", "8884"));
        fixture.configure(own);
        fixture.ask(Request::AuthorityTrustAdd(AuthorityTrust {
            name: "kept".to_owned(),
            certificates: Der(Fixture::authority().into_bytes()),
            proves: Proves::CommonName,
            revocations: None,
        }));
        fixture.import();
        let (config, _) = installation::settings(&fixture.home).unwrap();
        let at = |name: &str| {
            config.listeners.iter().find(|each| each.name == name).unwrap().trusted.clone().unwrap()
        };
        assert_eq!(at("mqtts"), ["kept".parse().unwrap()], "{own}");
        assert_eq!(at("mosquitto-8884"), ["mosquitto-1".parse().unwrap()], "{own}");
    }
}

/// An import that is finished says what it would have said, wherever it was killed.
#[test]
fn what_the_old_authorities_open_is_said_by_the_import_that_finishes_too() {
    let mine = "[[listener]]\nname = \"mine\"\nport = 9999\n";
    let steps = Fixture::new().killed_after(0);
    for cut in 0..=steps {
        let fixture = Fixture::new();
        fixture.configure(mine);
        fixture.killed_after(cut);
        let next = fixture.checked(&mut fixture.open()).next.join("\n");
        assert!(next.contains("the old authorities do not count at mine"), "after {cut} steps: {next}");
    }
}

#[test]
fn one_import_is_at_work_at_a_time_and_a_damaged_note_stops_both_ways() {
    let fixture = Fixture::new();
    let lock = lock(&fixture.home).unwrap();
    assert!(matches!(super::lock(&fixture.home), Err(ImportError::Busy(_))));
    drop(lock);
    fixture.killed_after(1);
    for damage in [b"{".as_slice(), br#"{"format":2}"#] {
        files::replace(&fixture.home.directory().join("import.json"), damage).unwrap();
        let error = Import::open(&fixture.home, fixture.operator()).err().unwrap().to_string();
        assert!(error.contains("import.json") && error.contains("by hand"), "{error}");
    }
}

/// Taking an import back removes files: only those that an import writes, whatever the note says.
#[test]
fn a_note_that_names_other_files_than_rules_of_an_import_is_refused() {
    let fixture = Fixture::new();
    fixture.killed_after(1);
    let note = fixture.home.directory().join("import.json");
    let text = fs::read_to_string(&note).unwrap();
    assert!(text.contains("policy.d/mosquitto-own.toml"), "{text}");
    for other in ["/etc/passwd", "policy.d/mosquitto-/../../a.toml", "policy.d/mine.toml", "keyward.toml"] {
        let planted = text.replace("policy.d/mosquitto-own.toml", other);
        files::replace(&note, planted.as_bytes()).unwrap();
        let error = Import::open(&fixture.home, fixture.operator()).err().unwrap().to_string();
        assert!(error.contains(other) && error.contains("by hand"), "{error}");
    }
}
