//! What a person meets who starts the broker: the first screen, the first message, and the first refusals.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use story::{Story, said};

#[test]
fn the_first_screen_can_be_pasted_from() {
    let story = Story::begin();
    let broker = story.start();
    let screen = &broker.screen;
    let dir = story.dir().display().to_string();
    for part in [
        "Ctrl-C stops it",
        "nothing else is open",
        "0 devices, 0 users: nobody can log in yet",
        &format!("--dir {dir} device add dev01"),
        &format!("--dir {dir} denials"),
        &format!("{dir}/ca.pem"),
        &broker.port.to_string(),
    ] {
        assert!(screen.contains(part), "{part} is missing in:\n{screen}");
    }
    let paste = screen.lines().find(|line| line.contains("device add dev01")).unwrap();
    let pasted = Command::new("sh")
        .args(["-c", paste])
        .current_dir(story.path("."))
        .env("HOME", story.path("."))
        .output()
        .unwrap();
    assert!(pasted.status.success(), "{}", said(&pasted));
    broker.stop();
}

#[test]
fn a_first_message_arrives_with_our_own_client_in_both_versions() {
    let story = Story::begin();
    let broker = story.start();
    story.ok(&["device", "add", "dev01"]);
    for version in ["3.1.1", "5"] {
        for qos in ["0", "1", "2"] {
            let topic = format!("dev01/{version}-{qos}");
            let told = story.ok(&[
                "pub",
                "--bundle-dir",
                "dev01",
                "-V",
                version,
                "-q",
                qos,
                "-t",
                &topic,
                "-m",
                "21.5",
                "--retain",
            ]);
            assert!(told.contains(&topic), "{told}");
            let heard = story.ok(&[
                "sub",
                "--bundle-dir",
                "dev01",
                "-V",
                version,
                "-q",
                qos,
                "-t",
                &topic,
                "-C",
                "1",
                "-W",
                "10",
            ]);
            assert_eq!(heard, format!("{topic} 21.5\n"));
        }
    }
    broker.stop();
}

#[test]
fn what_was_received_is_escaped_unless_raw_or_json() {
    let story = Story::begin();
    let broker = story.start();
    story.ok(&["device", "add", "dev01"]);
    let hostile = "\u{1b}[2J\n\u{202e}x";
    let published = story.fed(&["pub", "--bundle-dir", "dev01", "-t", "dev01/x", "--retain"], hostile);
    assert!(published.status.success(), "{}", said(&published));
    let hear = ["sub", "--bundle-dir", "dev01", "-t", "dev01/x", "-C", "1", "-W", "10"];
    assert_eq!(story.ok(&hear), "dev01/x \\u{1b}[2J\\n\\u{202e}x\n");
    assert_eq!(story.json(&hear)["message"]["payload"], hostile);
    let mut raw = hear.to_vec();
    raw.push("--raw");
    assert_eq!(story.ok(&raw), hostile);
    broker.stop();
}

#[test]
fn a_refused_message_is_named_with_its_code_and_found_under_denials() {
    let story = Story::begin();
    let broker = story.start();
    story.ok(&["device", "add", "dev01"]);
    let why = story.refused(&["pub", "--bundle-dir", "dev01", "-t", "dev02/status", "-m", "x"]);
    assert!(why.contains("0x87") && why.contains("denials"), "{why}");
    let report = story.json(&["denials", "--since", "10m"]);
    assert_eq!(report["denials"]["denials"][0]["who"], "device:dev01", "{report}");
    assert_eq!(report["denials"]["denials"][0]["topic"], "dev02/status", "{report}");
    assert!(story.ok(&["denials"]).contains("dev02/status"));
    broker.stop();
}

#[test]
fn the_lines_of_denials_can_be_pasted_one_after_the_other() {
    let story = Story::begin();
    let broker = story.start();
    story.ok(&["device", "add", "dev01"]);
    let here_already = "[[rule]]\nwho = \"users\"\nallow = [\"publish\"]\ntopics = [\"x\"]";
    story.write(&story.dir().join("policy.d/allowed.toml"), here_already);
    let denying = "[[rule]]\nwho = \"devices\"\ndeny = [\"publish\"]\ntopics = [\"shut/#\"]\n";
    story.write(&story.dir().join("policy.d/deny.toml"), denying);
    story.ok(&["reload"]);
    let topics = ["shared/x", "shut/x", "shut/y", "it's/\"a\"\\U0000002F\n$(id)/\u{202e}{id}"];
    let publish = |topic| story.run(&["pub", "--bundle-dir", "dev01", "-t", topic, "-m", "x"]);
    for topic in topics {
        assert_eq!(publish(topic).status.code(), Some(1));
    }
    let told = story.ok(&["denials"]);
    assert!(!told.contains('\u{202e}'), "{told}");
    let lines: Vec<_> = told.lines().map(str::trim).filter(|line| line.contains("printf ")).collect();
    assert_eq!(lines.len(), topics.len(), "{told}");
    for line in lines {
        let pasted = Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(pasted.status.success(), "{line}: {}", said(&pasted));
    }
    story.ok(&["reload"]);
    for topic in topics {
        let published = publish(topic);
        assert!(published.status.success(), "{topic}: {}", said(&published));
    }
    for other in ["it's/other", "shut/z"] {
        assert_eq!(publish(other).status.code(), Some(1), "nothing else is allowed");
    }
    broker.stop();
}

#[test]
fn a_password_logs_in_and_a_wrong_one_does_not() {
    let story = Story::begin();
    let broker = story.start();
    let rule = "[[rule]]\nwho = \"user:app\"\nallow = [\"publish\"]\ntopics = [\"lamp/#\"]\n";
    let added = story.fed(&["user", "add", "app", "--password-stdin"], "correct horse battery\n");
    assert!(added.status.success(), "{}", said(&added));
    story.write(&story.dir().join("policy.d/app.toml"), rule);
    story.ok(&["reload"]);
    let port = broker.port.to_string();
    let publish =
        ["pub", "--port", &port, "--user", "app", "--password-file", "-", "-t", "lamp/on", "-m", "1"];
    let right = story.fed(&publish, "correct horse battery\n");
    assert!(right.status.success(), "{}", said(&right));
    let wrong = story.fed(&publish, "wrong horse battery\n");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said(&wrong).contains("0x86"), "{}", said(&wrong));
    broker.stop();
}

#[test]
fn a_revoked_device_is_out_before_the_command_returns() {
    let story = Story::begin();
    let broker = story.start();
    story.ok(&["device", "add", "dev01"]);
    let told = story.ok(&["device", "revoke", "dev01"]);
    assert!(told.contains("in force everywhere after"), "{told}");
    story.refused(&["pub", "--bundle-dir", "dev01", "-t", "dev01/status", "-m", "x"]);
    broker.stop();
}

#[test]
fn a_broker_on_one_address_is_not_reached_on_another() {
    let story = Story::begin();
    let broker = story.start_with(&["--address", "127.0.0.2"]);
    assert!(broker.screen.contains("127.0.0.2"), "{}", broker.screen);
    assert!(TcpStream::connect(("127.0.0.2", broker.port)).is_ok());
    assert!(TcpStream::connect(("127.0.0.1", broker.port)).is_err());
    broker.stop();
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_avoids_it() {
    let story = Story::begin();
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let why = story.refused(&["up", "--port", &port]);
    assert!(why.contains(&port) && why.contains("--port"), "{why}");
}

#[test]
fn one_process_holds_the_store() {
    let story = Story::begin();
    let broker = story.start();
    let why = story.refused(&["up", "--port", &story::free_port().to_string()]);
    assert!(why.contains("in use by process"), "{why}");
    broker.stop();
}

#[test]
fn a_start_waits_for_a_command_that_holds_the_store_for_a_moment() {
    let story = Story::stopped();
    let home = keyward_server::home::Home::at(story.dir());
    let held = keyward_server::admin::open_stopped(&home, &Default::default()).ok().unwrap();
    let release = std::thread::spawn(move || {
        std::thread::park_timeout(std::time::Duration::from_millis(500));
        drop(held);
    });
    story.start().stop();
    release.join().unwrap();
}

#[test]
fn a_preset_holds_at_once_for_a_device_that_was_there_before_and_is_gone_at_once() {
    let story = Story::begin();
    let broker = story.start();
    story.ok(&["device", "add", "plug-1"]);
    let publish = ["pub", "--bundle-dir", "plug-1", "-t", "stat/kitchen/POWER", "-m", "ON"];
    story.refused(&publish);
    let told = story.ok(&["device", "preset", "plug-1", "--preset", "tasmota", "--topic", "kitchen"]);
    assert!(told.contains("policy.d/preset-device-plug-1.toml"), "{told}");
    story.ok(&publish);
    story.ok(&["reload"]);
    story.ok(&publish);
    story.ok(&["device", "preset", "plug-1", "--clear"]);
    story.refused(&publish);
    let viewer = ["user", "preset", "anna", "--preset", "viewer"];
    assert!(story.refused(&viewer).contains("there is no user:anna"));
    story.ok(&["user", "add", "anna"]);
    story.ok(&viewer);
    broker.stop();
}

/// A second container with the same volume had its connections closed without a word: in the broker's namespace such a peer has no
/// process id, and the library that was asked took the 0 for an error.
#[test]
fn a_process_of_another_namespace_is_told_what_it_asks() {
    let story = Story::stopped();
    // Where a machine gives nobody a namespace, the test of the container shows the same.
    let apart = ["--user", "--map-current-user", "--pid", "--mount-proc", "--fork", "--kill-child"];
    if !Command::new("unshare").args(apart).arg("true").status().unwrap().success() {
        return;
    }
    let port = story::free_port();
    let ours = story.command(&["up", "--port", &port.to_string()]);
    let mut theirs = Command::new("unshare");
    theirs.args(apart).arg(ours.get_program()).args(ours.get_args()).env("KEYWARD_DIR", story.dir());
    let _broker = story.start_from(theirs, port);
    story.ok(&["user", "list"]);
}
