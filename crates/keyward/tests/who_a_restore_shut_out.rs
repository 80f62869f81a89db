//! After a restore nobody gets in of whom it is not known whether something was taken away, until an operator says so.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use keyward_identity::{
    WallTime,
    restore::{Restoration, RestoreOptions},
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::UNIX_EPOCH;
use story::{Story, said};

/// An installation with two devices and a user.
fn installation() -> Story {
    let story = Story::stopped();
    story.ok(&["device", "add", "dev01"]);
    story.ok(&["device", "add", "dev02"]);
    let password = story.json(&["user", "add", "app"])["user_added"]["password"].as_str().unwrap().to_owned();
    story.write(&story.path("app.password"), &password);
    story
}

/// Restores the ledger from a backup of this moment, as if the old one were lost.
fn lose_and_restore(story: &Story) {
    let ledger = story.dir().join("ledger");
    let log = ledger.join("a.log");
    let written = fs::metadata(&log).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
    let taken = WallTime(u64::try_from(written.as_millis()).unwrap());
    let backup = fs::read(&log).unwrap();
    fs::remove_dir_all(&ledger).unwrap();
    let now = WallTime(taken.0 + 1_000);
    let options = RestoreOptions { now, actor: "a story", taken, old_ledger: None, revoked: None };
    let restoration = Restoration::begin(&story.dir(), &mut backup.as_slice(), options).unwrap();
    restoration.commit().unwrap();
}

fn publish(story: &Story, port: &str) -> std::process::Output {
    let wanted = ["pub", "--bundle-dir", "dev01", "--host", "localhost", "--port", port];
    story.run(&[&wanted[..], &["-t", "dev01/status", "-m", "1", "-q", "1"]].concat())
}

#[test]
fn who_was_not_confirmed_is_refused_with_a_reason_that_says_what_to_do() {
    let story = installation();
    lose_and_restore(&story);
    let shown = "disabled: not confirmed since the restore of";
    assert_eq!(story.ok(&["device", "list"]).matches(shown).count(), 2);
    assert_eq!(story.ok(&["user", "list"]).matches(shown).count(), 1);
    assert!(story.ok(&["device", "show", "dev01"]).contains(shown));
    let row = &story.json(&["device", "list"])["devices"][0];
    assert_eq!(row["standing"], "disabled");
    assert!(row["unconfirmed_since_unix_ms"].is_u64(), "{row}");
    let broker = story.start();
    let status = story.ok(&["status"]);
    assert!(status.contains("3 devices and users are disabled"), "{status}");
    assert!(status.contains("keyward store confirm --all"), "{status}");

    let port = broker.port.to_string();
    let output = publish(&story, &port);
    assert!(!output.status.success(), "{}", said(&output));
    let login = ["--user", "app", "--password-file", "app.password", "--host", "localhost", "--port", &port];
    let subscribe = [&["sub"][..], &login, &["-t", "#", "-C", "1", "-W", "1"]].concat();
    assert!(!story.run(&subscribe).status.success());
    let log = fs::read_to_string(story.path("log")).unwrap();
    for name in ["device:dev01", "user:app"] {
        let line =
            log.lines().find(|line| line.contains(name) && line.contains("not confirmed since the restore"));
        assert!(line.is_some_and(|line| line.contains(&format!("keyward store confirm {name}"))), "{log}");
    }

    let told = story.ok(&["store", "confirm", "device:dev01"]);
    assert!(told.contains("Confirmed: device:dev01."), "{told}");
    let output = publish(&story, &port);
    assert!(output.status.success(), "{}", said(&output));
    assert!(story.ok(&["status"]).contains("2 devices and users are disabled"));
    story.ok(&["device", "disable", "dev02"]);
    let told = story.ok(&["store", "confirm", "--all"]);
    assert!(told.contains("Confirmed all 1"), "{told}");
    assert!(!story.ok(&["status"]).contains("store confirm"));
    let list = story.ok(&["device", "list"]);
    assert!(list.contains("disabled") && !list.contains("confirmed"), "{list}");
    let refused = story.refused(&["store", "confirm", "device:dev02"]);
    assert!(refused.contains("was disabled by an operator"), "{refused}");
    let audit = story.ok(&["audit"]);
    for part in ["ledger restored from a backup of", "device:dev01 confirmed", "all confirmed that were not"]
    {
        assert!(audit.contains(part), "{part}: {audit}");
    }
    broker.stop();
}

#[test]
fn a_stopped_store_confirms_too_and_misuse_confirms_nobody() {
    let story = installation();
    lose_and_restore(&story);
    for arguments in [
        &["store", "confirm"][..],
        &["store", "confirm", "--all", "device:dev01"],
        &["store", "confirm", "dev01"],
    ] {
        let output = story.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
    }
    let refused = story.refused(&["store", "confirm", "device:dev01", "device:dev09"]);
    assert!(refused.contains("there is no device:dev09"), "{refused}");
    assert_eq!(story.ok(&["device", "list"]).matches("not confirmed").count(), 2);
    story.ok(&["store", "confirm", "device:dev01", "user:app"]);
    assert_eq!(story.ok(&["device", "list"]).matches("not confirmed").count(), 1);
    let told = story.ok(&["store", "confirm", "device:dev01"]);
    assert!(told.contains("device:dev01 needs no confirming"), "{told}");
    story.ok(&["device", "enable", "dev02"]);
    assert!(story.ok(&["store", "confirm", "--all"]).contains("Nobody waits"));
}

#[test]
fn the_list_of_what_was_taken_away_is_the_same_from_a_running_broker_and_a_stopped_store() {
    let story = installation();
    story.ok(&["device", "revoke", "dev01"]);
    story.ok(&["device", "remove", "dev02"]);
    let lines = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("complete-until: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let stopped = story.ok(&["store", "revoked"]);
    assert!(stopped.contains("\ncomplete-until: 20"), "{stopped}");
    for line in ["keyward-revoked: 1", "device:dev01 revoked record=", "device:dev02 removed record="] {
        assert!(stopped.contains(&format!("\n{line}")), "{stopped}");
    }
    let broker = story.start();
    assert_eq!(lines(&story.ok(&["store", "revoked"])), lines(&stopped));
    assert!(story.json(&["store", "revoked"])["store_revoked"]["list"].as_str().unwrap().contains("dev01"));
    let password = fs::read_to_string(story.path("app.password")).unwrap();
    assert!(!stopped.contains(password.trim()));
    broker.stop();
}

#[test]
fn a_damaged_ledger_names_the_command_and_the_newest_backup() {
    let story = installation();
    story.write(&story.path("pass"), "a passphrase of several words\n");
    fs::set_permissions(story.path("pass"), fs::Permissions::from_mode(0o600)).unwrap();
    story.ok(&["store", "backup", "--backup-passphrase-file", "pass"]);
    let backup = fs::read_dir(story.dir().join("backups")).unwrap().next().unwrap().unwrap().path();
    story.ok(&["device", "revoke", "dev01"]);
    for copy in ["a.log", "b.log"] {
        let path = story.dir().join("ledger").join(copy);
        let mut bytes = fs::read(&path).unwrap();
        bytes[200] ^= 1;
        story.spoil(&path, &bytes);
    }
    let refused = story.refused(&["status"]);
    assert!(refused.contains("keyward store restore FILE"), "{refused}");
    assert!(refused.contains(&backup.display().to_string()), "{refused}");
    let file = backup.to_str().unwrap();
    story.ok(&["store", "restore", file, "--backup-passphrase-file", "pass"]);
    assert!(!story.ok(&["status"]).contains("store confirm"), "all of the old ledger could be read");
    assert!(story.ok(&["device", "list"]).contains("revoked"));
}

#[test]
fn a_device_that_was_revoked_after_the_backup_is_refused_after_its_restore() {
    let story = installation();
    // Without encryption: stretching a passphrase takes long in a debug build.
    story.ok(&["store", "backup", "kept.tar", "--plain"]);
    story.ok(&["device", "revoke", "dev01"]);
    story.write(&story.path("revoked.txt"), &story.ok(&["store", "revoked"]));
    let why = story.refused(&["store", "restore", "kept.tar"]);
    assert!(why.contains("--plain"), "{why}");
    let restore = ["store", "restore", "kept.tar", "--plain"];
    let is_let_in = || {
        let broker = story.start();
        let output = publish(&story, &broker.port.to_string());
        broker.stop();
        output.status.success()
    };
    story.ok(&restore);
    assert!(!is_let_in(), "the old ledger tells");

    fs::remove_dir_all(story.dir().join("ledger")).unwrap();
    let told = story.ok(&[&restore[..], &["--revoked", "revoked.txt"]].concat());
    assert!(told.contains("Not known") && told.contains("store confirm --all"), "{told}");
    story.ok(&["store", "confirm", "--all"]);
    assert!(!is_let_in(), "the list tells");
    assert!(!story.ok(&["device", "list"]).contains("confirmed"), "the others are back");

    fs::remove_dir_all(story.dir().join("ledger")).unwrap();
    story.ok(&restore);
    assert!(!is_let_in(), "nobody tells");
    story.ok(&["store", "confirm", "--all"]);
    assert!(is_let_in(), "an operator said so");
}
