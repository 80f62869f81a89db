//! Every kind of actor × action × class of topic, as one committed table: a change of permissions is a diff of it.
//!
//! To accept a change: `KEYWARD_GOLDEN=write cargo test -p keyward-policy --test permissions_are_reviewed_as_a_table`.

mod support;
use keyward_policy::{Policy, Rights, Subject};
use std::fmt::Write as _;
use support::*;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/permissions.txt");

/// Rules that give each kind of `who` something of its own.
const HOUSE: &str = r#"
[roles.operators]
members = ["user:olga", "site:north"]

[[rule]]
who = "role:operators"
allow = ["subscribe"]
topics = ["+/status", "$SYS/broker/#"]

[[rule]]
who = "role:operators"
allow = ["subscribe", "share"]
topics = ["jobs/#"]

[[rule]]
who = "type:pump"
allow = ["publish"]
topics = ["types/{type}/{id}"]

[[rule]]
who = "users"
allow = ["publish", "subscribe"]
topics = ["users/{user}/#"]

[[rule]]
who = "all"
deny = ["subscribe"]
topics = ["+/secret"]
"#;

fn actors() -> Vec<(&'static str, Rights)> {
    let rights = |texts: &[&str], subject: Subject| policy_of(texts).rights(&subject);
    vec![
        ("nobody", Rights::none()),
        ("device", Policy::builtin().rights(&device("dev01"))),
        ("device, machine-chosen id", Policy::builtin().rights(&found("dev01"))),
        ("device, house rules", rights(&[HOUSE], device("dev01"))),
        ("device of type pump at north", rights(&[HOUSE], placed("dev01", "pump", "north"))),
        ("user", Policy::builtin().rights(&user("dev01"))),
        ("user, house rules", rights(&[HOUSE], user("ann"))),
        ("user in role operators", rights(&[HOUSE], user("olga"))),
        ("workshop device:dev01", rights(&[WORKSHOP], device("dev01"))),
        ("workshop device:dev02", rights(&[WORKSHOP], device("dev02"))),
        ("workshop user:dev02", rights(&[WORKSHOP], user("dev02"))),
    ]
}

const TOPICS: [(&str, &str); 22] = [
    ("own", "dev01/status"),
    ("own display", "dev01/display"),
    ("own secret", "dev01/secret"),
    ("own root", "dev01"),
    ("own, below devices", "devices/dev01/status"),
    ("own, all", "dev01/#"),
    ("another's", "dev03/status"),
    ("another's display", "dev03/display"),
    ("another's, below devices", "devices/dev03/status"),
    ("another's, all", "dev03/#"),
    ("longer name", "dev010/status"),
    ("other case", "Dev01/status"),
    ("nobody's", "jobs/1"),
    ("type's", "types/pump/dev01"),
    ("user's", "users/ann/inbox"),
    ("all devices", "devices/#"),
    ("each status", "+/status"),
    ("everything", "#"),
    ("everything two deep", "+/+"),
    ("broker's", "$SYS/broker/uptime"),
    ("broker's, all", "$SYS/#"),
    ("reserved", "$keyward/audit/x"),
];

fn table() -> String {
    let rows = actors().into_iter().flat_map(|(actor, rights)| {
        let rows = TOPICS.map(|(class, topic)| row(&rights, class, topic));
        std::iter::once(actor.to_owned()).chain(rows)
    });
    rows.map(|row| format!("{}\n", row.trim_end())).collect()
}

fn row(rights: &Rights, class: &str, topic: &str) -> String {
    let [publish, subscribe, receive, share] =
        ["publish", "subscribe", "receive", "share"].map(|action| cell(rights, action, topic));
    format!(
        "  {class:<25} {topic:<21} publish {publish:<16} subscribe {subscribe:<16} receive {receive:<16} share {share}"
    )
}

/// Writes `yes` or `-` and the rule that decided.
fn cell(rights: &Rights, action: &str, topic: &str) -> String {
    if matches!(action, "publish" | "receive") && topic.contains(['+', '#']) {
        return "n/a".to_owned();
    }
    let verdict = if rights.may(action, topic) { "yes" } else { "-" };
    let rule = rights.rule_for(action, topic).unwrap_or_default();
    format!("{verdict} {}", rule.trim_start_matches("policy.d/")).trim_end().to_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file of this repository, written because a person asked for it"
)]
fn regenerate(table: &str) {
    if let Err(error) = std::fs::write(PATH, table) {
        panic!("{PATH}: {error}");
    }
}

#[test]
fn the_table_of_permissions_is_the_committed_one() {
    let table = table();
    if std::env::var_os("KEYWARD_GOLDEN").is_some_and(|value| value == "write") {
        regenerate(&table);
    }
    let golden = std::fs::read_to_string(PATH).unwrap_or_default();
    let (old, new): (Vec<_>, Vec<_>) = (golden.lines().collect(), table.lines().collect());
    let mut diff = String::new();
    for n in 0..old.len().max(new.len()) {
        let (old, new) = (old.get(n), new.get(n));
        if old != new {
            old.iter().for_each(|line| writeln!(diff, "{:>4} - {line}", n + 1).unwrap());
            new.iter().for_each(|line| writeln!(diff, "{:>4} + {line}", n + 1).unwrap());
        }
    }
    assert!(
        diff.is_empty(),
        "permissions changed:\n{diff}\nif that is meant: KEYWARD_GOLDEN=write cargo test -p keyward-policy --test \
         permissions_are_reviewed_as_a_table"
    );
}
