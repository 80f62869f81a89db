//! Imports that are killed in the middle, beside a running broker and on a stopped store.

use super::story::Story;
use super::{HASH, put, state};
use std::fmt::Write;
use std::fs;
use std::process::Stdio;

/// More users than an import adds before it is killed.
const USERS: usize = 600;

fn many(story: &Story) {
    let mut passwords = String::new();
    for number in 0..USERS {
        let _ = writeln!(passwords, "u{number}:{HASH}");
    }
    let conf = format!(
        "listener {} 127.0.0.1\npassword_file {{}}/passwd\nacl_file {{}}/acl\n",
        super::story::free_port()
    );
    put(story, &[("m.conf", &conf), ("passwd", &passwords), ("acl", "pattern readwrite u/%u/#\n")]);
}

/// Begins an import and kills it, as `kill -9` does, when the ledger has heard of some users.
fn kill_one(story: &Story) {
    let (note, ledger) = (story.dir().join("import.json"), story.dir().join("ledger/b.log"));
    let length = || fs::metadata(&ledger).unwrap().len();
    let before = length();
    let mut import = story.command(&["import", "mosquitto", "m.conf"]).stdout(Stdio::null()).spawn().unwrap();
    while length() < before + 4_096 {
        assert!(import.try_wait().unwrap().is_none(), "the import ended before it was killed");
        std::thread::yield_now();
    }
    import.kill().unwrap();
    import.wait().unwrap();
    assert!(note.exists(), "the import was done before it was killed");
    assert_eq!(super::story::mode(&note), 0o600);
}

fn users(story: &Story) -> usize {
    story.json(&["user", "list"])["users"].as_array().unwrap().len()
}

fn doctor(story: &Story) -> String {
    story.json(&["doctor"])["diagnosis"]["findings"].to_string()
}

#[test]
fn an_import_that_is_killed_beside_a_running_broker_is_finished_by_the_same_one() {
    let story = Story::begin();
    let broker = story.start();
    many(&story);
    kill_one(&story);
    assert!((1..USERS).contains(&users(&story)));

    let told = story.ok(&["status"]);
    assert!(told.contains("an import was begun here") && told.contains("keyward import undo"), "{told}");
    let dry = story.json(&["import", "mosquitto", "m.conf", "--dry-run"]);
    assert_eq!(dry["import"]["interrupted"]["source"], "m.conf", "{dry}");
    let told = story.ok(&["import", "mosquitto", "m.conf", "--dry-run"]);
    assert!(told.contains("was interrupted here") && told.contains("keyward import undo"), "{told}");
    let refused =
        story.refused(&["import", "mosquitto", "m.conf", "--version", "2.1", "--certificate-users", "eve"]);
    assert!(
        refused.contains("nothing was imported") && refused.contains("m.conf was interrupted here"),
        "{refused}"
    );

    let told = story.ok(&["import", "mosquitto", "m.conf"]);
    assert!(told.contains("is done that was interrupted"), "{told}");
    assert_eq!(users(&story), USERS);
    assert!(!story.ok(&["status"]).contains("an import was begun here"));
    assert!(super::explain(&story, &["--as", "user:u599", "--client", "c", "publish", "u/u599/x"]));
    let again = story.refused(&["import", "mosquitto", "m.conf"]);
    assert!(again.contains("u0, u1") && again.contains("here already"), "{again}");
    assert!(story.refused(&["import", "undo"]).contains("no import was interrupted"));
    broker.stop();
}

#[test]
fn an_import_that_is_killed_is_taken_back_by_one_command() {
    let story = Story::stopped();
    many(&story);
    let before = state(&story);
    kill_one(&story);
    assert!(doctor(&story).contains("import-interrupted"));
    // The log of a start says it too.
    story.start().stop();
    assert!(fs::read_to_string(story.path("log")).unwrap().contains("an import was begun here"));
    put(&story, &[("acl", "pattern read u/%u/#\n")]);
    let refused = story.refused(&["import", "mosquitto", "m.conf"]);
    assert!(
        refused.contains("m.conf was interrupted here") && refused.contains("keyward import undo"),
        "{refused}"
    );
    let undone = &story.json(&["import", "undo"])["import_undone"];
    assert!(undone["users"].as_u64().unwrap() > 0 && undone["left"] == serde_json::json!([]), "{undone}");
    assert_eq!(state(&story), before);
    assert!(!story.dir().join("import.json").exists());
    assert!(!doctor(&story).contains("import-interrupted"));
    story.ok(&["import", "mosquitto", "m.conf", "--dry-run"]);
    assert!(fs::read_dir(story.dir().join("policy.d")).unwrap().next().is_none());
}
