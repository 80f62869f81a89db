//! `keyward demo` shows every step of the story, and says of each that it was right.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use serde_json::Value;
use std::process::Command;
use story::{Story, said};

#[test]
fn the_demo_shows_each_step_and_leaves_nothing_behind() {
    let story = Story::begin();
    let temporary = story.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let output = story.command(&["demo"]).env("TMPDIR", &temporary).output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for step in [
        "app received dev01/status 21.5",
        "neither certificate nor password",
        "another authority",
        "plays the broker",
        "as if it were dev01",
        "which no rule lets it read",
        "dev02 connects as dev01-main",
        "to resume its session, and again to wipe it",
        "its connection lived on for",
        "dev02 tries to come back",
        "power-loss: device lamp-2",
        "site-power: site mill",
        "out-of-range: device lamp-1",
        "epochs-interleave: device lamp-4",
        "theft-suspected: device lamp-3",
        "The same for real:",
    ] {
        assert!(text.contains(step), "{step} is missing in:\n{text}");
    }
    assert!(!text.contains("WRONG"), "{text}");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "the demo leaves nothing behind");
    assert!(!story.dir().exists());
}

#[test]
fn the_demo_is_exact_for_scripts() {
    let story = Story::begin();
    let text = story.ok(&["--json", "demo"]);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["schema"] == 1));
    let steps: Vec<&Value> = lines.iter().filter_map(|line| line.get("step")).collect();
    assert!(steps.len() >= 10, "{text}");
    assert!(steps.iter().all(|step| step["right"] == true), "{text}");
    assert_eq!(lines.last().unwrap()["demo"]["wrong"], 0);
}

#[test]
fn the_demo_needs_no_network() {
    let story = Story::begin();
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--net", "sh", "-c"])
        .arg(format!("ip link set lo up 2>/dev/null; exec {} demo", env!("CARGO_BIN_EXE_keyward")));
    let output = command.env("HOME", story.path("home")).output();
    // A machine that forbids user namespaces cannot ask the question.
    let Ok(output) = output else { return };
    if said(&output).contains("unshare:") {
        return;
    }
    assert!(output.status.success(), "{}", said(&output));
}
