//! A new installation and what its owner does to it: the doctor names each weakness, and what it prints mends it.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};
use story::{Story, said};

/// Returns the names of what is found and the exit code.
fn examine(story: &Story, flags: &[&str]) -> (Vec<String>, i32) {
    let mut arguments = vec!["--json", "doctor"];
    arguments.extend(flags);
    let output = story.run(&arguments);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = answer["diagnosis"]["findings"].as_array().unwrap_or_else(|| panic!("{}", said(&output)));
    let mut names: Vec<String> =
        findings.iter().map(|finding| finding["check"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names.dedup();
    (names, output.status.code().unwrap())
}

fn found(story: &Story) -> Vec<String> {
    examine(story, &[]).0
}

/// Makes an installation that has a name, so that it does not matter whether the test runs in a container.
fn named() -> Story {
    let story = Story::begin();
    story.start_with(&["--name", "broker.test"]).stop();
    story
}

#[test]
fn a_new_installation_is_weak_in_two_places_and_the_printed_commands_mend_them() {
    let story = named();
    assert_eq!(examine(&story, &[]), (vec!["no-backup".to_owned(), "root-keys".to_owned()], 0));
    assert_eq!(examine(&story, &["--strict"]).1, 1);
    let told = story.ok(&["doctor"]);
    assert!(told.contains("why:  when the disk is lost"), "{told}");
    let mend = told
        .lines()
        .find_map(|line| line.trim().strip_prefix("mend: ").filter(|mend| mend.ends_with("store backup")))
        .unwrap();
    story.write(&story.path("passphrase"), "correct horse battery staple\n");
    fs::set_permissions(story.path("passphrase"), fs::Permissions::from_mode(0o600)).unwrap();
    // As a person would, who is asked for a passphrase at a terminal.
    let pasted = format!("{mend} --backup-passphrase-file {}", story.path("passphrase").display());
    let backup = std::process::Command::new("sh").args(["-c", &pasted]).output().unwrap();
    assert!(backup.status.success(), "{}", said(&backup));
    fs::rename(story.dir().join("offline"), story.path("usb-stick")).unwrap();
    assert_eq!(examine(&story, &["--strict"]), (Vec::new(), 0));
    assert!(story.ok(&["doctor"]).contains("nothing weak was found"));

    let backups = fs::read_dir(story.dir().join("backups")).unwrap();
    let backup = backups.map(|entry| entry.unwrap().path()).next().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a file of long ago is dated by hand")]
    let long_ago = SystemTime::now() - Duration::from_secs(40 * 86_400);
    fs::File::options().write(true).open(&backup).unwrap().set_modified(long_ago).unwrap();
    fs::set_permissions(&backup, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(found(&story), ["old-backup", "open-files"]);
    let told = story.ok(&["doctor"]);
    let mend = told.lines().find_map(|line| line.trim().strip_prefix("mend: chmod")).unwrap();
    assert!(
        std::process::Command::new("sh").args(["-c", &format!("chmod{mend}")]).status().unwrap().success()
    );
    assert_eq!(found(&story), ["old-backup"]);
}

#[test]
fn rules_and_configuration_are_looked_at_whether_the_broker_runs_or_not() {
    let story = named();
    fs::rename(story.dir().join("offline"), story.path("usb-stick")).unwrap();
    story.ok(&["user", "add", "app"]);
    let rules = story.dir().join("policy.d/app.toml");
    story.write(
        &rules,
        "[[rule]]\nwho = \"user:app\"\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"#\"]\n",
    );
    let wide = ["no-backup", "publishes-everywhere", "reads-everything"];
    assert_eq!(found(&story), wide);
    let broker = story.start();
    assert_eq!(found(&story), wide);
    story.write(&rules, "[[rule]]\nwho = \"user:app\"\nallow = \"publish\"\n");
    story.write(&story.dir().join("keyward.toml"), "[store]\ndurability = \"os\"\nreserve = 1.5\n");
    let worse =
        ["configuration-valid", "no-backup", "publishes-everywhere", "reads-everything", "rules-valid"];
    let (names, code) = examine(&story, &[]);
    assert_eq!((names.iter().map(String::as_str).collect::<Vec<_>>(), code), (worse.to_vec(), 1));
    broker.stop();
    assert_eq!(examine(&story, &[]).1, 1);
    fs::remove_file(&rules).unwrap();
    story.write(&story.dir().join("keyward.toml"), "[store]\ndurability = \"os\"\n");
    assert_eq!(found(&story), ["durability", "no-backup"]);
    fs::remove_file(story.dir().join("keyward.toml")).unwrap();
}

#[test]
fn a_company_is_told_of_passwords_and_of_devices_that_anybody_can_open() {
    let story = named();
    fs::rename(story.dir().join("offline"), story.path("usb-stick")).unwrap();
    story.ok(&["device", "add", "lamp-1", "--password", "--exposure", "public"]);
    assert_eq!(found(&story), ["no-backup"]);
    let (names, code) = examine(&story, &["--profile", "commercial"]);
    assert_eq!(names, ["device-password", "exposed-device", "keys-unsealed", "no-backup", "password-login"]);
    assert_eq!(code, 0);
}
