//! Devices and users are added, listed, shut out and removed while no broker runs.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use story::{Story, mode, said};

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_device_gets_a_private_bundle_with_a_key_that_fits_its_certificate() {
    let story = Story::stopped();
    let told = story.ok(&["device", "add", "dev01", "--bundle", "mosquitto"]);
    let bundle = story.path("dev01");
    assert!(told.contains(&format!("pub --bundle-dir {}", bundle.display())), "{told}");
    assert!(told.contains("mosquitto_pub"), "{told}");
    assert_eq!(mode(&bundle), 0o700);
    for name in ["key.pem", "cert.pem", "ca.pem", "README.txt", "mosquitto_pub", "mosquitto_sub"] {
        assert_eq!(mode(&bundle.join(name)), 0o600, "{name}");
    }
    let file = |name: &str| bundle.join(name).to_string_lossy().into_owned();
    let of_certificate = openssl(&["x509", "-in", &file("cert.pem"), "-noout", "-pubkey"]);
    let of_key = openssl(&["pkey", "-in", &file("key.pem"), "-pubout"]);
    assert_eq!(of_certificate, of_key);
}

#[test]
fn the_certificate_chains_to_the_device_root_and_never_to_the_anchor_of_bundles() {
    let story = Story::stopped();
    story.ok(&["device", "add", "dev01"]);
    let cert = story.path("dev01/cert.pem").to_string_lossy().into_owned();
    let ca = story.path("dev01/ca.pem").to_string_lossy().into_owned();
    let text = openssl(&["x509", "-in", &cert, "-noout", "-text"]);
    assert!(text.contains("CN = dev01") || text.contains("CN=dev01"), "{text}");
    assert!(text.contains("TLS Web Client Authentication") && text.contains("URI:urn:keyward:"), "{text}");
    assert!(!text.contains("DNS:") && !text.contains("IP Address:"), "{text}");
    let issued = fs::read_to_string(&cert).unwrap();
    let issuer = issued.split_inclusive("-----END CERTIFICATE-----\n").nth(1).unwrap();
    let issuer_path = story.path("issuer.pem");
    story.write(&issuer_path, issuer);
    let issuer = issuer_path.to_string_lossy();
    openssl(&["verify", "-partial_chain", "-purpose", "sslclient", "-trusted", &issuer, &cert]);
    let against_ca = Command::new("openssl")
        .args(["verify", "-purpose", "sslclient", "-CAfile", &ca, "-untrusted", &issuer, &cert])
        .output()
        .unwrap();
    assert!(!against_ca.status.success(), "{}", said(&against_ca));
}

#[test]
fn an_id_is_taken_until_its_device_is_removed_and_then_starts_anew() {
    let story = Story::stopped();
    story.ok(&["device", "add", "dev01"]);
    let why = story.refused(&["device", "add", "DEV01", "--out", "again"]);
    assert!(why.contains("dev01"), "{why}");
    assert!(!story.path("again").exists(), "a refused device leaves no bundle");

    let list = story.json(&["device", "list"]);
    assert_eq!(list["schema"], 1);
    assert_eq!(list["devices"][0]["id"], "dev01");
    assert_eq!(list["devices"][0]["standing"], "active");

    story.ok(&["device", "revoke", "dev01"]);
    assert_eq!(story.json(&["device", "list"])["devices"][0]["standing"], "revoked");
    story.ok(&["device", "remove", "dev01"]);
    story.ok(&["device", "add", "dev01", "--out", "again"]);
    let shown = story.json(&["device", "show", "dev01"]);
    assert_eq!(shown["device"]["device"]["standing"], "active");
    let old = fs::read(story.path("dev01/cert.pem")).unwrap();
    assert_ne!(old, fs::read(story.path("again/cert.pem")).unwrap());
}

#[test]
fn a_bundle_never_goes_into_a_directory_that_exists() {
    let story = Story::stopped();
    fs::create_dir(story.path("dev01")).unwrap();
    let why = story.refused(&["device", "add", "dev01"]);
    assert!(why.contains("--out"), "{why}");
    assert_eq!(story.json(&["device", "list"])["devices"].as_array().unwrap().len(), 0);
}

/// Lets openssl make a key, `k.pem`, and a signing request for it, `r.csr`.
fn request_of_openssl(story: &Story) {
    openssl(&[
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=dev01",
        "-keyout",
        &story.path("k.pem").to_string_lossy(),
        "-out",
        &story.path("r.csr").to_string_lossy(),
    ]);
}

#[test]
fn a_signing_request_of_openssl_is_signed_and_its_key_stays_where_it_is() {
    let story = Story::stopped();
    request_of_openssl(&story);
    story.ok(&["device", "add", "dev01", "--csr", "r.csr"]);
    assert!(story.path("dev01/cert.pem").exists() && !story.path("dev01/key.pem").exists());
    let why = story.refused(&["device", "add", "dev02", "--csr", "r.csr"]);
    assert!(!why.is_empty());
    assert!(!story.path("dev02").exists());
}

#[test]
fn whom_to_trust_and_which_key_to_use_is_asked_before_anything_is_sent() {
    let story = Story::stopped();
    request_of_openssl(&story);
    story.ok(&["device", "add", "dev01", "--csr", "r.csr"]);
    let keyless = story.run(&["pub", "--bundle-dir", "dev01", "-t", "a", "-m", "x"]);
    assert_eq!(keyless.status.code(), Some(2), "{}", said(&keyless));
    assert!(said(&keyless).contains("--key"), "{}", said(&keyless));

    let publish = ["pub", "-t", "a", "-m", "x"];
    let anchorless = story.command(&publish).env("KEYWARD_DIR", story.path("none")).output().unwrap();
    assert_eq!(anchorless.status.code(), Some(2), "{}", said(&anchorless));
    assert!(said(&anchorless).contains("--ca"), "{}", said(&anchorless));

    fs::set_permissions(story.path("k.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let why = story.refused(&["pub", "--bundle-dir", "dev01", "--key", "k.pem", "-t", "a", "-m", "x"]);
    assert!(why.contains("chmod 600"), "{why}");
}

#[test]
fn a_generated_password_is_shown_once_on_standard_output_only() {
    let story = Story::stopped();
    let output = story.run(&["--json", "user", "add", "app"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stderr.is_empty(), "{}", said(&output));
    let added: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let password = added["user_added"]["password"].as_str().unwrap().to_owned();
    assert!(password.len() >= 22, "128 bits take 22 characters of base64");
    for arguments in [&["user", "list"][..], &["audit"], &["status"], &["--json", "user", "list"]] {
        assert!(!story.ok(arguments).contains(&password), "{arguments:?}");
    }
}

#[test]
fn a_device_with_a_password_gets_a_bundle_without_it() {
    let story = Story::stopped();
    let told = story.ok(&["device", "add", "dev01", "--password"]);
    let password = told.lines().find_map(|line| line.strip_prefix("Password   ")).unwrap();
    let password = password.split_whitespace().next().unwrap();
    assert!(told.contains("pub --bundle-dir") && told.contains("--user dev01 --password-file -"), "{told}");
    for entry in fs::read_dir(story.path("dev01")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains(password), "{text}");
    }
    assert!(!story.path("dev01/key.pem").exists());
}

#[test]
fn a_new_user_is_told_that_it_can_do_nothing_and_what_changes_it() {
    let story = Story::stopped();
    let output = story.fed(&["user", "add", "app", "--password-stdin"], "correct horse battery\n");
    assert!(output.status.success(), "{}", said(&output));
    let told = said(&output);
    assert!(!told.contains("correct horse"), "{told}");
    for part in ["do nothing", "[[rule]]", "who = \"user:app\"", "policy.d/app.toml", " reload\n"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    let list = story.ok(&["user", "list"]);
    assert!(list.contains("app") && list.contains("can do nothing"), "{list}");
}

#[test]
fn an_application_can_have_a_certificate() {
    let story = Story::stopped();
    story.ok(&["user", "add", "app", "--certificate"]);
    let text = openssl(&["x509", "-in", &story.path("app/cert.pem").to_string_lossy(), "-noout", "-text"]);
    assert!(text.contains(":user:app"), "{text}");
}

#[test]
fn the_pasted_rule_is_well_formed_and_gives_the_right() {
    let story = Story::stopped();
    let told = said(&story.fed(&["user", "add", "app", "--password-stdin"], "correct horse battery\n"));
    let rule: String = told
        .lines()
        .skip_while(|line| *line != "[[rule]]")
        .take_while(|line| *line != "END")
        .map(|line| format!("{line}\n"))
        .collect();
    story.write(&story.dir().join("policy.d/app.toml"), &rule);
    story.ok(&["policy", "check"]);
    let allowed = story.json(&["policy", "explain", "--as", "user:app", "receive", "dev01/status"]);
    assert_eq!(allowed["policy_explained"]["allowed"], true, "{allowed}");
    let refused = story.json(&["policy", "explain", "--as", "user:app", "publish", "dev01/status"]);
    assert_eq!(refused["policy_explained"]["allowed"], false, "{refused}");
    assert!(refused["policy_explained"]["would_allow"].as_str().unwrap().contains("publish"), "{refused}");
}

#[test]
fn a_directory_that_others_can_enter_is_refused_with_the_command_that_mends_it() {
    let story = Story::stopped();
    fs::set_permissions(story.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let why = story.refused(&["device", "list"]);
    assert!(why.contains("chmod 700"), "{why}");
}

#[test]
fn the_directory_is_found_by_flag_and_by_environment() {
    let story = Story::stopped();
    story.ok(&["device", "add", "dev01"]);
    let dir = story.dir().to_string_lossy().into_owned();
    let by_flag =
        story.command(&["--dir", &dir, "device", "list"]).env_remove("KEYWARD_DIR").output().unwrap();
    assert!(said(&by_flag).contains("dev01"), "{}", said(&by_flag));
    let elsewhere =
        story.command(&["device", "list"]).env("KEYWARD_DIR", story.path("none")).output().unwrap();
    assert_eq!(elsewhere.status.code(), Some(1));
    let empty = story
        .command(&["--dir", &dir, "device", "list"])
        .env("KEYWARD_DIR", "")
        .env("KEYWARD_PASSPHRASE_FILE", "")
        .output()
        .unwrap();
    assert!(said(&empty).contains("dev01"), "{}", said(&empty));
}

#[test]
fn every_listing_is_json_with_a_schema_number() {
    let story = Story::stopped();
    for (arguments, key) in [
        (&["status"][..], "status"),
        (&["device", "list"], "devices"),
        (&["user", "list"], "users"),
        (&["server", "name", "list"], "server_names"),
        (&["listener", "list"], "listeners"),
        (&["policy", "check"], "policy_checked"),
        (&["audit"], "audit"),
    ] {
        let answer = story.json(arguments);
        assert_eq!(answer["schema"], 1, "{arguments:?}");
        assert!(answer.get(key).is_some(), "{arguments:?}: {answer}");
    }
}
