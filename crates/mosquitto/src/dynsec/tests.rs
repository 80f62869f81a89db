//! What the file of dynamic security is read as.

use super::*;

const FILE: &str = r#"{
    "defaultACLAccess": {"publishClientSend": false, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
    "clients": [
        {"username": "ann", "password": "aGFzaA==", "salt": "c2FsdA==", "iterations": 101,
         "roles": [{"rolename": "low"}, {"rolename": "high", "priority": 9}], "groups": [{"groupname": "g"}]},
        {"username": "ben", "encoded_password": "$7$1000$a$b", "clientid": "only", "disabled": true}
    ],
    "groups": [{"groupname": "g", "roles": [{"rolename": "shared"}], "clients": [{"username": "ben"}, {"username": "ann"}]}],
    "roles": [
        {"rolename": "low", "acls": [{"acltype": "publishClientSend", "topic": "low", "allow": true}]},
        {"rolename": "high", "acls": [
            {"acltype": "publishClientSend", "topic": "later", "priority": -1, "allow": true},
            {"acltype": "publishClientSend", "topic": "first", "priority": 100000, "allow": false}]},
        {"rolename": "shared", "acls": [{"acltype": "subscribePattern", "topic": "shared/#", "allow": true}]}
    ],
    "anonymousGroup": "g", "changeIndex": 4
}"#;

#[test]
fn rules_stand_in_the_order_in_which_they_decide() {
    let security = parse("d.json", FILE.as_bytes()).unwrap();
    let topics = |rules: &[Rule]| rules.iter().map(|rule| rule.topic.clone()).collect::<Vec<_>>();
    assert_eq!(topics(&security.clients[0].rules), ["first", "later", "low", "shared/#"]);
    assert_eq!(topics(&security.clients[1].rules), ["shared/#"]);
    assert_eq!(topics(security.anonymous.as_ref().unwrap()), ["shared/#"]);
    assert_eq!(security.clients[0].hash.as_ref().unwrap().as_str(), "$7$101$c2FsdA==$aGFzaA==");
    assert_eq!(security.clients[1].hash.as_ref().unwrap().as_str(), "$7$1000$a$b");
    assert!(security.clients[1].disabled && security.clients[1].client_id.as_deref() == Some("only"));
}

#[test]
fn literal_filters_of_a_role_decide_before_its_patterns_and_words_for_people_decide_nothing() {
    let file = r#"{"clients": [{"username": "ann", "textname": "A", "textDescription": "b", "roles": [{"rolename": "r"}]}],
        "groups": [{"groupname": "g", "textname": "c", "textdescription": "d"}],
        "roles": [{"rolename": "r", "textname": "e", "textdescription": "f", "allowwildcardsubs": true, "acls": [
            {"acltype": "subscribePattern", "topic": "pattern/#", "priority": 9, "allow": false},
            {"acltype": "subscribeLiteral", "topic": "later", "priority": -9, "allow": true},
            {"acltype": "subscribeLiteral", "topic": "first", "priority": 1, "allow": true}]}]}"#;
    let security = parse("d.json", file.as_bytes()).unwrap();
    let topics: Vec<_> = security.clients[0].rules.iter().map(|rule| rule.topic.as_str()).collect();
    assert_eq!(topics, ["first", "later", "pattern/#"]);
}

/// What is decided by default was taken for allowed where the file does not say it: to Mosquitto 2.0.11 it is denied.
#[test]
fn what_is_not_allowed_by_default_is_denied_by_default() {
    let defaults = |text: &str| parse("d.json", text.as_bytes()).unwrap().defaults;
    for text in
        ["{}", r#"{"defaultACLAccess": {}}"#, r#"{"defaultACLAccess": {"publishClientReceive": false}}"#]
    {
        assert_eq!(defaults(text), Defaults::default(), "{text}");
    }
    let Defaults { publish_client_send, publish_client_receive, subscribe, unsubscribe } =
        defaults(r#"{"defaultACLAccess": {"subscribe": true}}"#);
    assert!(subscribe && !publish_client_send && !publish_client_receive && !unsubscribe);
}

/// A role and a group without a priority were taken to have 0, as a rule has: Mosquitto 2.0.11 gives them -1.
#[test]
fn a_role_or_group_without_a_priority_comes_after_one_with_zero() {
    let file = r#"{
        "clients": [{"username": "ann", "roles": [{"rolename": "a"}, {"rolename": "b", "priority": 0}]}],
        "groups": [
            {"groupname": "c", "roles": [{"rolename": "c"}], "clients": [{"username": "ann"}]},
            {"groupname": "d", "roles": [{"rolename": "d"}], "clients": [{"username": "ann", "priority": 0}]}],
        "roles": [
            {"rolename": "a", "acls": [
                {"acltype": "publishClientSend", "topic": "a-1", "priority": -1},
                {"acltype": "publishClientSend", "topic": "a-0"}]},
            {"rolename": "b", "acls": [{"acltype": "publishClientSend", "topic": "b"}]},
            {"rolename": "c", "acls": [{"acltype": "publishClientSend", "topic": "c"}]},
            {"rolename": "d", "acls": [{"acltype": "publishClientSend", "topic": "d"}]}]}"#;
    let security = parse("d.json", file.as_bytes()).unwrap();
    let topics: Vec<_> = security.clients[0].rules.iter().map(|rule| rule.topic.as_str()).collect();
    assert_eq!(topics, ["b", "a-0", "a-1", "d", "c"]);
}

/// Of what stands there twice the last counted here, and a client was in each group that it named. Mosquitto 2.0.11 takes the
/// first, and asks the group alone.
#[test]
fn what_says_two_things_is_refused_by_name() {
    let file = |of_ann: &str, of_group: &str, acls: &str| {
        format!(
            r#"{{"clients": [{{"username": "ann", {of_ann}}}], "roles": [{{"rolename": "r", "acls": [{acls}]}}],
                "groups": [{{"groupname": "g", {of_group}}}]}}"#
        )
    };
    let member = r#""clients": [{"username": "ann", "priority": 4}]"#;
    let rule = r#"{"acltype": "publishClientSend", "topic": "t", "allow": true}"#;
    let agreed = r#""groups": [{"groupname": "g", "priority": 4}]"#;
    assert!(parse("d.json", file(agreed, member, rule).as_bytes()).is_ok());
    let twice = format!(r#"{rule}, {{"acltype": "publishClientSend", "topic": "t", "priority": 1}}"#);
    for (of_ann, of_group, acls, why) in [
        (agreed, r#""clients": []"#, "", "the client ann names the group g"),
        (r#""groups": [{"groupname": "g"}]"#, member, "", "with priority -1, and the group has it with 4"),
        (
            r#""roles": [{"rolename": "r"}, {"rolename": "r", "priority": 9}]"#,
            member,
            "",
            "the client ann has the role r twice",
        ),
        (
            agreed,
            r#""clients": [{"username": "ann", "priority": 4}], "roles": [{"rolename": "r"}, {"rolename": "r"}]"#,
            "",
            "the group g has the role r twice",
        ),
        (
            agreed,
            r#""clients": [{"username": "ann", "priority": 4}, {"username": "ann"}]"#,
            "",
            "has the client ann twice",
        ),
        (agreed, member, &twice, "the role r has two rules of one kind for t"),
    ] {
        let wrong = parse("d.json", file(of_ann, of_group, acls).as_bytes()).err().expect(why);
        assert!(wrong.what.contains(why), "{why}: {}", wrong.what);
    }
}

#[test]
fn what_is_cut_off_doubled_or_dangling_is_refused() {
    let cut = &FILE[..FILE.len() / 2];
    let doubled = FILE.replacen("\"username\": \"ann\"", "\"username\": \"x\", \"username\": \"ann\"", 1);
    let twice = FILE.replacen("\"username\": \"ben\", \"enc", "\"username\": \"ann\", \"enc", 1);
    let dangling = FILE.replacen("\"rolename\": \"low\"}", "\"rolename\": \"none\"}", 1);
    let unknown = FILE.replacen("\"changeIndex\"", "\"deniedTopics\"", 1);
    let narrowed = FILE.replacen(
        "\"rolename\": \"shared\", ",
        "\"rolename\": \"shared\", \"allowwildcardsubs\": false, ",
        1,
    );
    let beyond = FILE.replacen("\"priority\": 9}", "\"priority\": 100001}", 1);
    let mistyped = FILE.replacen("publishClientSend\", \"topic\"", "publish\", \"topic\"", 1);
    for text in
        [cut, &doubled, &twice, &dangling, &unknown, &narrowed, &beyond, &mistyped, "", "[]", "\u{feff}{}"]
    {
        assert!(parse("d.json", text.as_bytes()).is_err(), "{text}");
    }
}
