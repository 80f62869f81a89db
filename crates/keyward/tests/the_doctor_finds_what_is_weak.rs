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

/// Returns the steps that the doctor prints for a finding, as a person reads them.
fn mend(story: &Story, flags: &[&str], check: &str) -> Vec<String> {
    let mut arguments = vec!["doctor"];
    arguments.extend(flags);
    let told = story.ok(&arguments);
    let finding = told.split("\n\n").find(|part| part.lines().next() == Some(check));
    let finding = finding.unwrap_or_else(|| panic!("{check} is not in {told}"));
    let (_, steps) = finding.split_once("mend: ").unwrap();
    steps.lines().map(|step| step.trim().to_owned()).collect()
}

/// Pastes a printed command into a shell, in the story's own place.
fn paste(story: &Story, command: &str) {
    let output = std::process::Command::new("sh")
        .args(["-c", command])
        .env("KEYWARD_DIR", story.dir())
        .env("HOME", story.path(""))
        .current_dir(story.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {}", said(&output));
}

/// Does what a printed mend says in words, to a file, and pastes the reload that follows.
fn edit(story: &Story, steps: &[String], file: &str, before: &str, after: &str) {
    let [words, reload] = steps else { panic!("{steps:?}") };
    assert!(words.contains(file) && reload.ends_with("reload"), "{steps:?}");
    let path = story.dir().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(before), "{before} is not in {text}");
    story.write(&path, &text.replace(before, after));
    paste(story, reload);
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

/// Makes a certificate that signs itself and ends in ten days; returns it and its key.
fn self_signed(story: &Story, name: &str, extensions: &[&str]) -> (String, String) {
    let [certificate, key] =
        ["crt", "key"].map(|end| story.path(&format!("{name}.{end}")).display().to_string());
    let mut openssl = std::process::Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "10",
    ]);
    openssl.args(["-subj", &format!("/CN={name}"), "-keyout", &key, "-out", &certificate]).args(extensions);
    let made = openssl.output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    (certificate, key)
}

#[test]
fn what_a_running_broker_opens_and_whom_it_trusts_is_named() {
    let story = named();
    fs::rename(story.dir().join("offline"), story.path("usb-stick")).unwrap();
    let broker = story.start();
    let port = story::free_port().to_string();
    let lan = [
        "listener",
        "add",
        "lan",
        "--plain",
        "--from",
        "127.0.0.0/8",
        "--port",
        &port,
        "--anonymous-as",
        "guest",
    ];
    story.ok(&lan);
    story.ok(&["device", "add", "plug-1", "--plain"]);
    story.ok(&["user", "add", "guest", "--no-login", "--plain"]);
    story.ok(&["user", "add", "house", "--preset", "home"]);
    let (ca, _) = self_signed(&story, "old-ca", &[]);
    story.ok(&["authority", "trust", "add", "old", "--ca", &ca, "--identity", "common-name"]);
    let (ca, _) = self_signed(&story, "gate-ca", &[]);
    story.ok(&["authority", "trust", "add", "gate", "--ca", &ca, "--identity", "none"]);
    let (certificate, key) = self_signed(&story, "localhost", &["-addext", "subjectAltName=DNS:localhost"]);
    story.ok(&["server", "certificate", "import", "shown", "--cert", &certificate, "--key", &key]);
    let house = [
        "anonymous",
        "authority-ends",
        "authority-unbound",
        "imported-certificate-ends",
        "no-backup",
        "plain-listener",
        "publishes-everywhere",
        "reads-everything",
    ];
    assert_eq!(found(&story), house);
    let company = examine(&story, &["--profile", "commercial"]).0;
    for name in ["authority-proves-nothing", "authority-unrevocable", "plain-mark", "shared-login"] {
        assert!(company.iter().any(|found| found == name), "{name} is not among {company:?}");
    }
    for mend in [
        ["listener", "remove", "lan"].as_slice(),
        &["authority", "trust", "remove", "old"],
        &["authority", "trust", "remove", "gate"],
        &["server", "certificate", "remove", "shown"],
        &["user", "remove", "house"],
    ] {
        story.ok(mend);
    }
    assert_eq!(found(&story), ["no-backup"]);
    broker.stop();
    assert_eq!(found(&story), ["no-backup"]);
}

/// The command that was printed refused to remove an authority that a listener names.
#[test]
fn an_authority_that_a_listener_names_is_removed_by_the_steps_that_are_printed() {
    let story = named();
    fs::rename(story.dir().join("offline"), story.path("usb-stick")).unwrap();
    let broker = story.start();
    for (name, identity) in [("old", "common-name"), ("gate", "none")] {
        let (ca, _) = self_signed(&story, name, &[]);
        story.ok(&["authority", "trust", "add", name, "--ca", &ca, "--identity", identity]);
    }
    let listener = format!("[[listener]]\nname = \"mqtts\"\nport = {}\n", broker.port);
    story.write(&story.dir().join("keyward.toml"), &format!("{listener}trusted = [\"old\", \"gate\"]\n"));
    story.ok(&["reload"]);
    let [bind, words, reload, remove] = mend(&story, &[], "authority-unbound").try_into().unwrap();
    assert!(bind.ends_with("or:") && words.contains("listener mqtts"), "{bind} {words}");
    edit(&story, &[words, reload], "keyward.toml", "\"old\", ", "");
    paste(&story, &remove);
    let commercial = ["--profile", "commercial"];
    let steps = mend(&story, &commercial, "authority-proves-nothing");
    let [words, reload, remove, again] = steps.try_into().unwrap();
    edit(&story, &[words, reload], "keyward.toml", "\"gate\"", "");
    paste(&story, &remove);
    assert!(again.contains("common-name") && again.contains("name it there again"), "{again}");
    assert_eq!(found(&story), ["no-backup"]);
    broker.stop();
}

#[test]
fn listeners_that_let_in_more_than_they_should_are_named_and_mended_while_the_broker_runs() {
    let story = named();
    fs::rename(story.dir().join("offline"), story.path("usb-stick")).unwrap();
    let socket = story.path("mqtt.sock");
    let port = story::free_port();
    let broker = story.start();
    let own = broker.port;
    story.write(
        &story.dir().join("keyward.toml"),
        &format!(
            "[[listener]]\nname = \"mqtts\"\nport = {own}\n\n\
             [[listener]]\nname = \"near\"\nsocket = \"{}\"\nsocket_mode = \"0666\"\n\n\
             [[listener]]\nname = \"wss\"\nprotocol = \"websocket\"\nport = {port}\norigins = [\"*\"]\n",
            socket.display()
        ),
    );
    story.ok(&["reload"]);
    assert_eq!(story::mode(&socket), 0o666);
    assert_eq!(found(&story), ["any-page", "no-backup", "open-socket"]);

    edit(&story, &mend(&story, &[], "open-socket"), "keyward.toml", "\"0666\"", "\"0660\"");
    assert_eq!(story::mode(&socket), 0o660);
    let all = mend(&story, &[], "any-page");
    edit(&story, &all, "keyward.toml", "[\"*\"]", "[\"http://panel.example\"]");
    assert_eq!(found(&story), ["no-backup", "page-without-tls"]);
    edit(&story, &mend(&story, &[], "page-without-tls"), "keyward.toml", "http://", "https://");
    assert_eq!(found(&story), ["no-backup"]);
    broker.stop();
}

#[test]
fn what_is_decided_late_and_guessed_for_ever_ends_with_a_line_taken_out() {
    let story = named();
    fs::rename(story.dir().join("offline"), story.path("usb-stick")).unwrap();
    story.ok(&["user", "add", "old"]);
    let late = "[[decide-late]]\nwho = [\"user:old\"]\nwhat = [\"subscribe\", \"will\"]\n";
    story.write(&story.dir().join("policy.d/old.toml"), &format!("# From Mosquitto.\n{late}"));
    story.write(&story.dir().join("keyward.toml"), "[limits]\nban_after = 0\n");
    let broker = story.start();
    assert_eq!(found(&story), ["decided-late", "no-backup", "no-bans"]);
    let steps = mend(&story, &[], "decided-late");
    assert!(steps[0].contains("policy.d/old.toml:2"), "{steps:?}");
    let may_ask = |story: &Story| {
        let answer = story.json(&["policy", "explain", "--as", "user:old", "subscribe", "any/#"]);
        answer["policy_explained"]["allowed"].as_bool().unwrap()
    };
    assert!(may_ask(&story));
    edit(&story, &steps, "policy.d/old.toml", late, "");
    assert!(!may_ask(&story));

    let [words] = mend(&story, &[], "no-bans").try_into().unwrap();
    assert!(words.contains("ban_after") && words.contains("restart"), "{words}");
    story.write(&story.dir().join("keyward.toml"), "[limits]\n");
    broker.stop();
    let broker = story.start();
    assert_eq!(found(&story), ["no-backup"]);
    broker.stop();
}

#[test]
fn the_keys_of_an_installation_that_is_there_are_sealed() {
    let story = named();
    let port = story::free_port();
    let up = ["up", "--port", &port.to_string()].map(str::to_owned);
    let commercial = ["--profile", "commercial"];
    let steps = mend(&story, &commercial, "keys-unsealed");
    let file = story.path("passphrase");
    story.write(&file, "correct horse battery staple\n");
    let sealed = if let Some(command) = steps.iter().find(|step| step.ends_with("--passphrase-file FILE up"))
    {
        let chmod = steps.iter().find(|step| step.starts_with("chmod")).unwrap();
        paste(&story, &chmod.replace("FILE", &file.display().to_string()));
        let command = command.replace("FILE", &file.display().to_string());
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("exec {command} --port {port}")]).env("KEYWARD_DIR", story.dir());
        shell
    } else {
        // In a container, where a start cannot be typed.
        assert!(steps.iter().any(|step| step.contains("KEYWARD_PASSPHRASE_FILE")), "{steps:?}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = story.command(&up.each_ref().map(String::as_str));
        command.env("KEYWARD_PASSPHRASE_FILE", &file);
        command
    };
    let key = |name: &str| fs::read_to_string(story.dir().join("keys").join(name)).unwrap();
    let names: Vec<String> = fs::read_dir(story.dir().join("keys"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.len() >= 4 && !names.iter().any(|name| key(name).contains("SEALED")));
    let broker = story.start_from(sealed, port);
    for name in &names {
        assert!(key(name).contains("KEYWARD SEALED KEY"), "{name} lies open");
    }
    assert!(!examine(&story, &commercial).0.contains(&"keys-unsealed".to_owned()));
    broker.stop();
    assert!(story.refused(&["device", "list"]).contains("passphrase"));
    let file = file.display().to_string();
    story.ok(&["--passphrase-file", &file, "device", "list"]);
}

#[test]
fn a_device_with_a_password_gets_a_certificate_by_the_commands_that_are_printed() {
    let story = named();
    let about = ["--type", "plug", "--site", "kitchen", "--chip", "esp8266"];
    let preset = ["--preset", "tasmota", "--topic", "lamp", "--mac", "5C:CF:7F:12:34:56"];
    story.ok(&[&["device", "add", "lamp-1", "--password"][..], &about, &preset].concat());
    let rules = || {
        let files = fs::read_dir(story.dir().join("policy.d")).unwrap();
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect::<Vec<_>>()
    };
    let rules_before = rules();
    let before = story.json(&["device", "show", "lamp-1"]);
    let steps = mend(&story, &["--profile", "commercial"], "device-password");
    for command in steps.iter().filter(|step| step.contains(" device ")) {
        paste(&story, command);
    }
    assert!(!examine(&story, &["--profile", "commercial"]).0.contains(&"device-password".to_owned()));
    assert!(story.path("lamp-1-new").is_dir());
    assert_eq!(rules(), rules_before);
    let after = story.json(&["device", "show", "lamp-1"]);
    for what in ["device_type", "site", "exposure", "chip", "preset"] {
        let [before, after] = [&before, &after].map(|answer| &answer["device"]["device"][what]);
        assert!(before.is_string() && after == before, "{what}: {before} became {after}");
    }
    assert_eq!(after["device"]["credentials"][0]["kind"], "certificate");
}

#[test]
fn an_authority_that_counts_at_every_listener_is_named_and_kept_to_one() {
    let story = named();
    let broker = story.start();
    let (ca, _) = self_signed(&story, "old-ca", &[]);
    story.ok(&["authority", "trust", "add", "old", "--ca", &ca, "--identity", "common-name"]);
    let commercial = ["--profile", "commercial"];
    let is_found = || examine(&story, &commercial).0.contains(&"authority-everywhere".to_owned());
    assert!(!is_found(), "there is one listener only");
    let (own, fleet) = (broker.port, story::free_port());
    let own = format!("[[listener]]\nname = \"mqtts\"\nport = {own}\n");
    let fleet = format!("\n[[listener]]\nname = \"fleet\"\nport = {fleet}\ntrusted = [\"old\"]\n");
    story.write(&story.dir().join("keyward.toml"), &(own.clone() + &fleet));
    story.ok(&["reload"]);
    let steps = mend(&story, &commercial, "authority-everywhere");
    assert!(steps[0].contains("trusted = []"), "{steps:?}");
    edit(&story, &steps, "keyward.toml", &own, &(own.clone() + "trusted = []\n"));
    assert!(!is_found());
    broker.stop();
}
