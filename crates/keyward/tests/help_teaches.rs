//! The help teaches with examples, misuse is told apart from failure, and nothing secret is an argument.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use story::{Story, said};

#[test]
fn help_shows_examples_and_exit_codes() {
    let story = Story::begin();
    for arguments in [
        &["--help"][..],
        &["up", "--help"],
        &["demo", "--help"],
        &["device", "add", "--help"],
        &["device", "invite", "--help"],
        &["user", "add", "--help"],
        &["policy", "explain", "--help"],
        &["preset", "show", "--help"],
        &["pub", "--help"],
        &["sub", "--help"],
        &["seal", "--help"],
        &["open", "--help"],
        &["keys", "add", "--help"],
        &["group", "add", "--help"],
        &["agent", "enroll", "--help"],
        &["agent", "run", "--help"],
    ] {
        let text = story.ok(arguments);
        assert!(text.contains("Examples:\n  keyward "), "{arguments:?}: {text}");
    }
    assert!(story.ok(&["--help"]).contains("0 done, 1 refused or failed, 2 misuse"));
}

#[test]
fn misuse_ends_with_code_2_and_touches_nothing() {
    let story = Story::begin();
    for arguments in [
        &[][..],
        &["fly"],
        &["up", "--port", "0"],
        &["up", "--port", "70000"],
        &["up", "--address", "here"],
        &["device", "add"],
        &["device", "add", "a/b"],
        &["device", "add", "d", "--csr", "x", "--password"],
        &["device", "add", "d", "--topic", "t"],
        &["user", "add", "u", "--bundle", "node-red", "--ask-password"],
        &["user", "add", "u", "--no-login", "--password-hash-stdin"],
        &["user", "add", "u", "--no-login", "--bundle", "node-red"],
        &["device", "add", "d", "--bundle", "node-red", "--password"],
        &["denials", "--since", "yesterday"],
        &["device", "invite", "d", "--expires", "soon"],
        &["policy", "explain", "--as", "nobody", "publish", "a"],
        &["pub", "-t", "a", "-m", "b", "-q", "3"],
        &["pub", "-t", "a", "-m", "b", "--bundle-dir", "x", "--user", "app"],
        &["user", "passwd", "app"],
        &["completions", "tcsh"],
        &["seal", "-t", "a", "x"],
        &["seal", "--to-device", "d", "--to-group", "g", "-t", "a", "x"],
        &["seal", "--to-group", "g", "--nonce", "0123456789abcdef", "-t", "a", "x"],
        &["open", "-t", "a", "message.cose"],
        &["agent", "enroll", "--folder", "dev01", "keyward://mqtt.home/dev01?code=c0de"],
    ] {
        let output = story.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(!said(&output).contains("c0de"), "a claim is not repeated: {}", said(&output));
    }
    assert!(!story.dir().exists());
}

#[test]
fn misuse_is_json_for_a_script_and_help_stays_help() {
    let story = Story::begin();
    for arguments in [&["--json", "fly"][..], &["device", "add", "a/b", "--json"], &["--json"]] {
        let output = story.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&told["schema"], &told["refused"]["code"]), (&1.into(), &"misuse".into()), "{told}");
        assert!(!told["refused"]["what"].as_str().unwrap().is_empty() && output.stderr.is_empty());
    }
    assert!(story.ok(&["--json", "up", "--help"]).contains("Examples:"));
    assert_eq!(story.run(&["sub", "-t", "a", "--", "--json"]).stdout, b"", "behind -- it is no flag");
}

#[test]
fn a_name_with_control_characters_cannot_paint_the_terminal() {
    let story = Story::begin();
    let output = story.run(&["device", "show", "\u{1b}[2Jx\u{202e}"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("begins with '\\u{1b}'"), "{}", said(&output));
}

#[test]
fn completions_know_the_commands() {
    let story = Story::begin();
    for shell in ["bash", "zsh", "fish"] {
        let script = story.ok(&["completions", shell]);
        for word in ["release-key", "denials", "enroll", "to-group", "decrypt-key", "rotate-command"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn without_an_installation_the_way_to_make_one_is_named() {
    let story = Story::begin();
    let why = story.refused(&["status"]);
    assert!(why.contains("keyward up"), "{why}");
    let why = story.run(&["--json", "status"]);
    let answer: serde_json::Value = serde_json::from_slice(&why.stdout).unwrap();
    assert_eq!(answer["schema"], 1);
    assert!(answer["refused"]["what"].as_str().unwrap().contains("keyward up"), "{answer}");
}

#[test]
fn every_command_has_a_manual_page_with_its_examples() {
    let story = Story::begin();
    story.ok(&["man", "--out", "man"]);
    let page = |name: &str| std::fs::read_to_string(story.path("man").join(name)).unwrap();
    assert!(page("keyward.1").contains("keyward\\-device"));
    for name in
        ["device-add", "agent-enroll", "agent-run", "seal", "open", "keys-rotate-command", "group-key"]
    {
        assert!(page(&format!("keyward-{name}.1")).contains("Examples:"), "{name}");
    }
    let pages = std::fs::read_dir(story.path("man")).unwrap().count();
    assert!(pages >= 40, "{pages}");
}

#[test]
fn a_script_is_told_of_each_manual_page_that_was_written() {
    let story = Story::begin();
    let answer = story.json(&["man", "--out", "man"]);
    assert_eq!(answer["man"]["dir"], "man");
    let mut told: Vec<_> = answer["man"]["pages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|page| story.path(page.as_str().unwrap()))
        .collect();
    assert_eq!(told[0], story.path("man/keyward.1"));
    let mut written: Vec<_> =
        std::fs::read_dir(story.path("man")).unwrap().map(|entry| entry.unwrap().path()).collect();
    told.sort();
    written.sort();
    assert_eq!(told, written);
}

#[test]
fn a_preset_that_does_not_exist_is_not_found() {
    let story = Story::begin();
    let output = story.run(&["--json", "preset", "show", "tasmoto"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["refused"]["code"], "not_found");
}
