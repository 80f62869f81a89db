//! Backups as an operator makes and restores them at a shell.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use story::{Story, mode, said};

/// Writes a passphrase into a file that is closed to others.
fn passphrase(story: &Story, name: &str, text: &str) -> String {
    let path = story.path(name);
    story.write(&path, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_string_lossy().into_owned()
}

fn text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn a_backup_goes_where_it_belongs_is_private_and_comes_back_on_another_host() {
    let story = Story::stopped();
    story.ok(&["device", "add", "dev01"]);
    let phrase = passphrase(&story, "phrase", "nobody guesses this\n");
    let told = story.ok(&["store", "backup", "--with-keys", "--backup-passphrase-file", &phrase]);
    let folder = story.dir().join("backups");
    let made: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &made[..] else { panic!("{made:?}") };
    assert!(told.contains(&text(file)) && told.contains("copy it to another one"), "{told}");
    assert!(told.contains("keep it in a safe"), "{told}");
    assert_eq!((mode(file), mode(&folder)), (0o600, 0o700));
    let bytes = fs::read(file).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n") && !bytes.windows(5).any(|w| w == b"dev01"));

    let listed = story.ok(&["store", "list", &text(file), "--backup-passphrase-file", &phrase]);
    assert!(listed.contains("private keys are in it") && listed.contains("keys/server.key"), "{listed}");

    let there = text(&story.path("there"));
    let restored = ["--dir", &there, "store", "restore", &text(file), "--backup-passphrase-file", &phrase];
    let told = story.ok(&restored);
    assert!(told.contains("keyward store confirm --all") && told.contains(" up\n"), "{told}");
    story.ok(&["--dir", &there, "store", "confirm", "--all"]);
    let devices = story.json(&["--dir", &there, "device", "list"]);
    assert_eq!(devices["devices"][0]["id"], "dev01", "{devices}");
    let report = story.json(&["--dir", &there, "store", "check"]);
    assert_eq!(report["check"]["is_sound"], true, "{report}");
}

#[test]
fn nobody_gets_an_open_backup_who_did_not_ask_for_one() {
    let story = Story::stopped();
    let output = story.run(&["store", "backup", "b"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--plain") && !story.path("b").exists(), "{}", said(&output));
    let output = story.run(&["store", "backup", "b", "--plain"]);
    assert!(output.status.success() && said(&output).contains("not encrypted"), "{}", said(&output));
    assert_eq!(mode(&story.path("b")), 0o600);
    let answer = story.json(&["store", "backup", "b", "--plain", "--force"]);
    assert_eq!(answer["backup"]["encrypted"], false, "{answer}");
    assert_eq!(answer["backup"]["manifest"]["private_keys"], false, "{answer}");
}

#[test]
fn misuse_and_files_that_others_read_are_refused() {
    let story = Story::stopped();
    for arguments in [
        &["store", "backup", "b", "--to", "age1nonsense"][..],
        &["store", "backup", "b", "--plain", "--to-file", "keys"],
        &["store", "restore"],
        &["store", "restore", "b", "--messages", "--revoked", "r"],
        &["store", "backup", "b", "--passphrase", "secret"],
    ] {
        let output = story.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
    }
    story.write(&story.path("phrase"), "others read this\n");
    let why =
        story.refused(&["store", "backup", "b", "--backup-passphrase-file", &text(&story.path("phrase"))]);
    assert!(why.contains("chmod 600") && !why.contains("others read this"), "{why}");
    story.ok(&["store", "backup", "b", "--plain"]);
    let why = story.refused(&["store", "backup", "b", "--plain"]);
    assert!(why.contains("--force"), "{why}");
    let why = story.refused(&["store", "restore", "no-such-file"]);
    assert!(why.contains("no-such-file"), "{why}");
}

#[test]
fn a_check_says_what_is_wrong_with_its_exit_code() {
    let story = Story::stopped();
    let told = story.ok(&["store", "check", "--device"]);
    assert!(told.contains("kept twice") && told.contains("a sync takes"), "{told}");
    fs::remove_file(story.dir().join("messages/SYNCED")).unwrap();
    let why = story.refused(&["store", "check"]);
    assert!(why.contains("1 problem was found"), "{why}");
    let output = story.run(&["--json", "store", "check"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["check"]["is_sound"], false, "{report}");
}
