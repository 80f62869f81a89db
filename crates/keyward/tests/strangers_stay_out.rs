//! What keeps other users, debuggers and thieves of a disk from the keys.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};
use story::{Story, said};

/// The user `nobody`, whom root can play.
const NOBODY: u32 = 65_534;

/// Tells whether this test can play another user, and says so if it cannot.
#[expect(clippy::print_stderr, reason = "a story that was not told is said to be so")]
fn can_play_others() -> bool {
    let root = rustix::process::geteuid().is_root();
    let can = root && Command::new("setpriv").arg("--version").output().is_ok();
    if !can {
        eprintln!("skipped: only root, with setpriv, can play another user");
    }
    can
}

/// Runs the program as `nobody`, in a copy of which `nobody` is let near.
fn as_nobody(story: &Story, arguments: &[&str]) -> Command {
    let program = story.path("program");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_keyward"), &program).unwrap();
        fs::set_permissions(story.path("."), fs::Permissions::from_mode(0o711)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(program)
        .args(arguments)
        .env("HOME", story.path("."))
        .env("KEYWARD_DIR", story.dir())
        .current_dir(story.path("."));
    command
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    said(output)
}

#[test]
fn another_user_reaches_neither_the_directory_nor_the_broker() {
    if !can_play_others() {
        return;
    }
    let story = Story::begin();
    let broker = story.start();
    let why = refused(&as_nobody(&story, &["status"]).output().unwrap());
    assert!(why.contains(&story.dir().display().to_string()), "{why}");
    fs::set_permissions(story.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let why = refused(&as_nobody(&story, &["status"]).output().unwrap());
    assert!(why.contains("belongs to"), "{why}");
    broker.stop();
}

#[test]
fn a_directory_of_another_user_is_not_used() {
    if !can_play_others() {
        return;
    }
    let story = Story::stopped();
    chown(story.dir(), Some(NOBODY), None).unwrap();
    let why = story.refused(&["status"]);
    assert!(why.contains("belongs to"), "{why}");
}

/// Returns whom the kernel names as owner of a process' files: root, if it may not be dumped and traced by its user.
fn owner(pid: u32) -> u32 {
    fs::metadata(Path::new("/proc").join(pid.to_string()).join("environ")).unwrap().uid()
}

#[test]
fn the_broker_cannot_be_dumped_or_traced_by_its_user_unless_that_was_asked_for() {
    if !can_play_others() {
        return;
    }
    for (flags, expected) in [(&[][..], 0), (&["--dumpable"][..], NOBODY)] {
        let story = Story::begin();
        let place = story.path("place");
        fs::create_dir(&place).unwrap();
        chown(&place, Some(NOBODY), Some(NOBODY)).unwrap();
        let port = story::free_port().to_string();
        let mut command = as_nobody(&story, &["up", "--port", &port]);
        command.args(flags).env("KEYWARD_DIR", place.join("keyward"));
        let broker = story.start_from(command, port.parse().unwrap());
        assert_eq!(owner(broker.pid()), expected, "{flags:?}");
        broker.stop();
    }
}

#[test]
fn a_credential_of_systemd_seals_the_keys_and_opens_them() {
    let story = Story::begin();
    let credentials = story.path("credentials");
    fs::create_dir(&credentials).unwrap();
    story.write(&credentials.join("keyward-passphrase"), "correct horse battery\n");
    let with = |arguments: &[&str]| {
        let mut command = story.command(arguments);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        command
    };
    let port = story::free_port();
    let broker = story.start_from(with(&["up", "--port", &port.to_string()]), port);
    broker.stop();
    let opened = with(&["device", "list"]).output().unwrap();
    assert!(opened.status.success(), "{}", said(&opened));
    let why = story.refused(&["device", "list"]);
    assert!(why.contains("passphrase"), "{why}");
    story.write(&credentials.join("keyward-passphrase"), "another horse battery\n");
    assert!(!with(&["device", "list"]).output().unwrap().status.success());
}
