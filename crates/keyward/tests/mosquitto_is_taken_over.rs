//! `keyward import mosquitto`: what is carried over means what it meant, every line is reported, and what would open
//! something is refused with nothing written.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use serde_json::Value;
use std::fs;
use story::Story;

/// A hash as `mosquitto_passwd` of 2.0 writes it.
const HASH: &str = "$7$101$BwcHBwcHBwcHBwcH$CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQ==";

const CONF: &str = "listener 1883 127.0.0.1\npassword_file {}/passwd\nacl_file {}/acl\npersistence true\n";

const ACL: &str = "# own\ntopic read news/#\nuser ann\ntopic read sensors/#\ntopic deny sensors/secret\ntopic readwrite $SYS/#\n\
                   user ben\ntopic write sensors/+\npattern readwrite u/%u/#\npattern write dev-%c/{x}\npattern deny u/ben/off\n";

/// Writes files in which `{}` is their folder.
fn put(story: &Story, files: &[(&str, &str)]) {
    let place = story.path("").to_string_lossy().trim_end_matches('/').to_owned();
    for (name, text) in files {
        let path = story.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        story.write(&path, &text.replace("{}", &place).replace("HASH", HASH));
    }
}

fn usual(story: &Story) {
    put(story, &[("m.conf", CONF), ("passwd", "ann:HASH\nben:HASH\n"), ("acl", ACL)]);
}

fn explain(story: &Story, words: &[&str]) -> bool {
    let mut all = vec!["policy", "explain"];
    all.extend(words);
    story.json(&all)["policy_explained"]["allowed"].as_bool().unwrap()
}

fn fate_of<'v>(report: &'v Value, file: &str, line: u64) -> &'v str {
    let lines = report["import"]["lines"].as_array().unwrap();
    let found = lines.iter().find(|it| it["file"].as_str().unwrap().ends_with(file) && it["line"] == line);
    found.unwrap()["fate"].as_str().unwrap()
}

/// What an import could change.
fn state(story: &Story) -> (String, usize, usize) {
    let config = fs::read_to_string(story.dir().join("keyward.toml")).unwrap();
    let rules = fs::read_dir(story.dir().join("policy.d")).unwrap().count();
    (config, rules, story.json(&["user", "list"])["users"].as_array().unwrap().len())
}

#[test]
fn an_import_means_what_the_files_meant_and_reports_every_line() {
    let story = Story::stopped();
    usual(&story);
    let before = state(&story);
    let dry = story.json(&["import", "mosquitto", "m.conf", "--dry-run"]);
    assert_eq!((state(&story), &dry["import"]["written"]), (before, &Value::Bool(false)));

    let report = story.json(&["import", "mosquitto", "m.conf"]);
    assert_eq!(
        report["import"]["lines"].as_array().unwrap().len(),
        CONF.lines().count() + 2 + ACL.lines().count()
    );
    assert!(!report.to_string().contains("CQkJ"), "a hash is shown");
    for (file, line, fate) in [
        ("m.conf", 1, "carried"),
        ("m.conf", 4, "changed"),
        ("passwd", 1, "weak"),
        ("acl", 1, "comment"),
        ("acl", 6, "changed"),
        ("acl", 10, "weak"),
    ] {
        assert_eq!(fate_of(&report, file, line), fate, "{file}:{line}");
    }
    for (who, action, topic, may) in [
        ("user:ann", "receive", "sensors/a", true),
        ("user:ann", "receive", "sensors/secret", false),
        ("user:ann", "publish", "sensors/a", false),
        ("user:ann", "receive", "$SYS/broker/uptime", true),
        ("user:ann", "receive", "news/today", false),
        ("user:ann", "subscribe", "whatever/#", true),
        ("user:ben", "publish", "sensors/a", true),
        ("user:ben", "publish", "u/ben/on", true),
        ("user:ben", "publish", "u/ben/off", false),
        ("user:ben", "publish", "u/ann/on", false),
    ] {
        assert_eq!(
            explain(&story, &["--as", who, "--client", "c1", action, topic]),
            may,
            "{who} {action} {topic}"
        );
    }
    assert!(explain(&story, &["--as", "user:ben", "--client", "c1", "publish", "dev-c1/{x}"]));
    assert!(!explain(&story, &["--as", "user:ben", "--client", "c2", "publish", "dev-c1/{x}"]));
    let config = fs::read_to_string(story.dir().join("keyward.toml")).unwrap();
    assert!(config.contains("port = 8883") && config.contains("port = 1883\ntls = false"), "{config}");

    let again = story.refused(&["import", "mosquitto", "m.conf"]);
    assert!(again.contains("ann, ben") && again.contains("here already"), "{again}");
}

#[test]
fn the_versions_read_patterns_and_password_files_as_they_do() {
    let story = Story::stopped();
    usual(&story);
    put(
        &story,
        &[("passwd", "ann:HASH\nben:HASH\n"), ("acl", "pattern write dev-%c/x\npattern write %u/%c/y\n")],
    );
    story.ok(&["import", "mosquitto", "m.conf", "--version", "2.1"]);
    let may = |topic| explain(&story, &["--as", "user:ann", "--client", "c1", "publish", topic]);
    assert!(!may("dev-c1/x") && may("dev-%c/x") && may("ann/c1/y"));

    put(&story, &[("passwd", "cat:HASH\nbroken:$7$0$x$y\ndan:HASH\n")]);
    fs::remove_dir_all(story.dir().join("policy.d")).unwrap();
    fs::create_dir(story.dir().join("policy.d")).unwrap();
    let refused = story.refused(&["import", "mosquitto", "m.conf", "--version", "2.1", "--dry-run"]);
    assert!(refused.contains("passwd:2"), "{refused}");
    put(&story, &[("m.conf", &CONF.replace("1883", "1884"))]);
    let report = story.json(&["import", "mosquitto", "m.conf", "--version", "2.0", "--dry-run"]);
    assert_eq!(report["import"]["users"], serde_json::json!(["cat", "dan"]));
    assert_eq!(fate_of(&report, "passwd", 2), "unsupported");
}

#[test]
fn what_would_open_something_is_refused_and_nothing_is_written() {
    let story = Story::stopped();
    let before = state(&story);
    let huge = "#".repeat(5 * 1024 * 1024);
    for (name, text, why) in [
        ("m.conf", "listener 1883\npassword_file {}/passwd\nacl_file {}/acl\n", "--plain-from"),
        ("m.conf", "listener 1883 example.com\n", "names a host"),
        ("m.conf", "listener 1883 127.0.0.1\nmount_point x/\n", "mount_point"),
        ("m.conf", "listener 1883 127.0.0.1\nplugin /x/go-auth.so\n", "go-auth.so"),
        (
            "m.conf",
            "per_listener_settings true\nlistener 1 127.0.0.1\nacl_file {}/acl\nlistener 2 127.0.0.1\n",
            "per_listener",
        ),
        ("m.conf", "listener 1883 127.0.0.1\npassword_file {}/none\n", "none"),
        ("m.conf", "listener 1883 127.0.0.1\nrequire_certificate true\n", "demands certificates"),
        ("m.conf", "include_dir {}/d\n", "cannot include others"),
        ("m.conf", "lisener 1883\n", "m.conf:1"),
        ("m.conf", "allow_anonymous true\nallow_anonymous true\n", "m.conf:2"),
        ("m.conf", "listener 8883 127.0.0.1\nlistener 8883 127.0.0.1\n", "keyward.toml"),
        ("passwd", "ann:HASH\nAnn:HASH\n", "differ by case"),
        ("passwd", "ann lee:HASH\n", "ann lee"),
        ("acl", "user Ann\ntopic a\n", "differ by case"),
        ("acl", "user ann\ntopic deny $share/x\n", "acl:2"),
        ("acl", "topics a\n", "acl:1"),
        ("acl", "topic read a b#\n", "acl:1"),
        ("acl", &huge, "more than"),
        ("passwd", "ann:HASH\n\u{0}", "passwd:2"),
    ] {
        usual(&story);
        put(&story, &[("d/a.conf", "include_dir {}/d\n"), (name, text)]);
        let refused = story.refused(&["import", "mosquitto", "m.conf"]);
        assert!(refused.contains(why), "{why}: {refused}");
        let report = story.run(&["--json", "import", "mosquitto", "m.conf"]);
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        assert!(!report["import"]["refusals"].as_array().unwrap().is_empty());
    }
    usual(&story);
    story.spoil(&story.path("acl"), b"user ann\ntopic \xff\n");
    assert!(story.refused(&["import", "mosquitto", "m.conf"]).contains("acl:2"));
    assert_eq!(state(&story), before);
}

#[test]
fn an_installation_without_an_acl_file_becomes_an_explicit_rule() {
    let story = Story::stopped();
    usual(&story);
    put(&story, &[("m.conf", "listener 1883 127.0.0.1\npassword_file {}/passwd\n")]);
    let report = story.json(&["import", "mosquitto", "m.conf"]);
    assert!(report["import"]["next"].to_string().contains("mosquitto-everything.toml"), "{report}");
    let may = |action, topic| explain(&story, &["--as", "user:ann", action, topic]);
    assert!(
        may("publish", "any/thing") && may("receive", "any/thing") && !may("receive", "$SYS/broker/uptime")
    );
}

#[test]
fn dynamic_security_decides_in_the_order_of_its_priorities() {
    let story = Story::stopped();
    let security = r#"{"defaultACLAccess": {"publishClientSend": false, "subscribe": false},
        "clients": [
          {"username": "ann", "encoded_password": "HASH", "roles": [{"rolename": "low"}, {"rolename": "high", "priority": 5}]},
          {"username": "off", "encoded_password": "HASH", "disabled": true},
          {"username": "bound", "encoded_password": "HASH", "clientid": "only"}],
        "roles": [
          {"rolename": "high", "acls": [
            {"acltype": "publishClientSend", "topic": "a/open", "priority": 9, "allow": true},
            {"acltype": "publishClientSend", "topic": "a/#", "priority": 1, "allow": false}]},
          {"rolename": "low", "acls": [
            {"acltype": "publishClientSend", "topic": "+/+", "allow": true},
            {"acltype": "subscribePattern", "topic": "s/#", "allow": true},
            {"acltype": "publishClientReceive", "topic": "s/secret", "priority": -9, "allow": false}]}]}"#;
    put(
        &story,
        &[
            (
                "m.conf",
                "listener 1883 127.0.0.1\nplugin /x/mosquitto_dynamic_security.so\nplugin_opt_config_file {}/d.json\n",
            ),
            ("d.json", security),
        ],
    );
    let report = story.json(&["import", "mosquitto", "m.conf", "--version", "2.1"]);
    assert_eq!(report["import"]["users"], serde_json::json!(["ann"]));
    for (action, topic, may) in [
        ("publish", "a/open", true),
        ("publish", "a/shut", false),
        ("publish", "b/c", true),
        ("publish", "b/c/d", false),
        ("receive", "s/open", true),
        ("receive", "s/secret", false),
        ("subscribe", "s/#", true),
        ("subscribe", "t/#", false),
    ] {
        assert_eq!(explain(&story, &["--as", "user:ann", action, topic]), may, "{action} {topic}");
    }
}
