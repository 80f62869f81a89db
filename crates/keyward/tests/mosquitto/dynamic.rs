//! Dynamic security: what its clients may do means what it meant, and what would open something is refused.

use super::story::Story;
use super::{HASH, explain, put, refused_json, state};

/// The configuration with dynamic security and nothing else.
const DYNAMIC: &str = "listener 1883 127.0.0.1\nallow_anonymous true\nplugin /x/mosquitto_dynamic_security.so\n\
                       plugin_opt_config_file {}/d.json\n";

#[test]
fn who_has_no_login_has_the_rules_of_the_anonymous_group_and_no_other_user_has() {
    let story = Story::stopped();
    let security = r#"{"defaultACLAccess": {"publishClientSend": true, "publishClientReceive": true}, "anonymousGroup": "g",
        "clients": [{"username": "ann", "encoded_password": "HASH", "roles": [{"rolename": "r"}]}],
        "groups": [{"groupname": "g", "roles": [{"rolename": "r"}]}],
        "roles": [{"rolename": "r", "acls": [
            {"acltype": "subscribeLiteral", "topic": "b/+", "priority": 1, "allow": true},
            {"acltype": "publishClientReceive", "topic": "a/open", "priority": 9, "allow": true},
            {"acltype": "publishClientReceive", "topic": "a/#", "allow": false},
            {"acltype": "publishClientReceive", "topic": "c", "priority": -1, "allow": true}]}]}"#;
    put(&story, &[("m.conf", DYNAMIC), ("d.json", security)]);
    let report = story.json(&["import", "mosquitto", "m.conf"]);
    let lines = report["import"]["lines"].as_array().unwrap();
    let fate = |text| lines.iter().find(|line| line["text"] == text).map(|line| line["fate"].clone());
    for text in ["allow subscribe b/+", "allow receive a/open"] {
        assert_eq!(fate(text), Some("changed".into()), "{text}");
    }
    assert_eq!(fate("allow receive c"), None);
    for (action, topic) in [("publish", "x"), ("subscribe", "b/+")] {
        assert!(explain(&story, &["--as", "user:anonymous", action, topic]), "{action}");
    }
    // With a password file beside it nothing is written; what would be gives nobody else these rules.
    put(&story, &[("m.conf", &format!("password_file {{}}/passwd\n{DYNAMIC}")), ("passwd", "ben:HASH\n")]);
    let report = refused_json(&story, &[]);
    assert!(report["import"]["users"].to_string().contains("ben"), "{report}");
    assert!(!report["import"]["rules"].to_string().contains(r#"who = \\"user:ben"#), "{report}");
}

#[test]
fn what_dynamic_security_closes_and_cannot_be_written_here_is_refused() {
    let story = Story::stopped();
    let before = state(&story);
    for (role, hash, why) in [
        (r#""allowwildcardsubs": false"#, HASH, "allowwildcardsubs"),
        (r#""deniedTopics": []"#, HASH, "is not known to write"),
        (
            r##""acls": [{"acltype": "subscribeLiteral", "topic": "#", "allow": false}]"##,
            HASH,
            "subscribeLiteral denies the filter #",
        ),
        (r#""textname": "x""#, "$7$101$AAAA$AAAA", "client ann): its hash"),
    ] {
        let security = format!(
            r#"{{"defaultACLAccess": {{"publishClientReceive": true}},
                "clients": [{{"username": "ann", "encoded_password": "{hash}", "roles": [{{"rolename": "r"}}]}}],
                "roles": [{{"rolename": "r", {role}}}]}}"#
        );
        put(&story, &[("m.conf", DYNAMIC), ("d.json", &security)]);
        let refused = story.refused(&["import", "mosquitto", "m.conf"]);
        assert!(refused.contains(why), "{why}: {refused}");
        assert!(refused_json(&story, &["--dry-run"])["refused"]["what"].as_str().unwrap().contains(why));
    }
    assert_eq!(state(&story), before);
}

#[test]
fn dynamic_security_decides_in_the_order_of_its_priorities() {
    let story = Story::stopped();
    let security = r#"{"defaultACLAccess": {"publishClientSend": false, "publishClientReceive": true, "subscribe": false},
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
            {"acltype": "publishClientSend", "topic": "$SYS/x", "allow": true},
            {"acltype": "subscribePattern", "topic": "$share/g/x", "allow": true},
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
    for text in ["allow publish $SYS/x", "allow subscribe $share/g/x"] {
        let lines = report["import"]["lines"].as_array().unwrap();
        let line = lines.iter().find(|line| line["text"] == text);
        assert_eq!(line.unwrap()["fate"], "unsupported", "a rule is dropped without a word");
    }
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

/// Devices leave a will whether they may publish it or not: Mosquitto lets them in and drops it when it is due. The import
/// left that out, and each such device was refused.
#[test]
fn under_dynamic_security_a_will_that_may_not_be_published_keeps_nobody_out() {
    let story = Story::stopped();
    let security = r#"{"defaultACLAccess": {"publishClientReceive": true, "subscribe": true},
        "clients": [{"username": "ann", "encoded_password": "HASH"}], "roles": []}"#;
    put(&story, &[("m.conf", DYNAMIC), ("d.json", security)]);
    let report = story.json(&["import", "mosquitto", "m.conf"]);
    let rules: String = report["import"]["rules"].to_string();
    assert!(rules.contains(r#"what = [\"will\"]"#), "{rules}");
    assert!(rules.contains(r#"who = [\"role:mosquitto-1\", \"user:anonymous\"]"#), "{rules}");
    let lines = report["import"]["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["text"] == "allow subscribe by default #");
    assert_eq!(line.unwrap()["fate"], "changed");
    for (topic, may) in [("a/b", true), ("$SYS/broker/uptime", false)] {
        assert_eq!(explain(&story, &["--as", "user:ann", "receive", topic]), may, "{topic}");
    }
}

/// Mosquitto 2.0.11 delivers nothing under such a file without a rule that says so. Here it was read as allowing it.
#[test]
fn deliveries_that_are_not_allowed_by_default_are_refused() {
    let story = Story::stopped();
    for defaults in ["", r#""defaultACLAccess": {"subscribe": true},"#] {
        let security = format!(
            r#"{{{defaults} "clients": [{{"username": "ann", "encoded_password": "HASH", "roles": [{{"rolename": "r"}}]}}],
                "roles": [{{"rolename": "r", "acls": [{{"acltype": "subscribePattern", "topic": "a", "allow": true}}]}}]}}"#
        );
        put(&story, &[("m.conf", DYNAMIC), ("d.json", &security)]);
        let refused = story.refused(&["import", "mosquitto", "m.conf"]);
        assert!(refused.contains("defaultACLAccess denies publishClientReceive"), "{refused}");
    }
}

/// The comparison with Mosquitto 2.0.11 found that there `#` of a subscribePattern covers `$SYS` too. What it denied was
/// granted here by a rule behind it.
#[test]
fn wildcards_of_dynamic_security_deny_what_the_broker_says_of_itself_and_do_not_open_it() {
    let story = Story::stopped();
    let security = r##"{"defaultACLAccess": {"publishClientReceive": true}, "clients": [
          {"username": "ann", "encoded_password": "HASH", "roles": [{"rolename": "shut"}]},
          {"username": "ben", "encoded_password": "HASH", "roles": [{"rolename": "open"}]}],
        "roles": [
          {"rolename": "shut", "acls": [
            {"acltype": "subscribePattern", "topic": "+/broker/#", "priority": 2, "allow": false},
            {"acltype": "subscribePattern", "topic": "$SYS/broker/uptime", "priority": 1, "allow": true},
            {"acltype": "subscribePattern", "topic": "$SYS/x", "priority": 1, "allow": true},
            {"acltype": "subscribePattern", "topic": "#", "priority": 0, "allow": false},
            {"acltype": "subscribePattern", "topic": "$SYS/#", "priority": -1, "allow": true}]},
          {"rolename": "open", "acls": [{"acltype": "subscribePattern", "topic": "#", "allow": true}]}]}"##;
    put(&story, &[("m.conf", DYNAMIC), ("d.json", security)]);
    let report = story.json(&["import", "mosquitto", "m.conf"]);
    let lines = report["import"]["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["text"] == "allow subscribe #");
    assert_eq!(line.unwrap()["fate"], "changed");
    for (user, topic, may) in [
        ("ann", "$SYS/broker/uptime", false),
        ("ann", "$SYS/x", true),
        ("ann", "$SYS/y", false),
        ("ben", "$SYS/y", false),
        ("ben", "y", true),
    ] {
        assert_eq!(
            explain(&story, &["--as", &format!("user:{user}"), "receive", topic]),
            may,
            "{user} {topic}"
        );
    }
}
