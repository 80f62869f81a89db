//! Public keys by which messages of devices are verified are registered, replaced with an overlap and taken away.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use std::path::{Path, PathBuf};
use std::process::Command;
use story::{Story, said};

/// Makes a key pair with openssl; returns the files of the private and of the public key.
fn key_pair(story: &Story, name: &str, algorithm: &[&str]) -> (PathBuf, PathBuf) {
    let (private, public) = (story.path(&format!("{name}.key")), story.path(&format!("{name}.pub")));
    let openssl = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    };
    openssl(Command::new("openssl").arg("genpkey").args(algorithm).arg("-out").arg(&private));
    openssl(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public));
    (private, public)
}

fn ed25519(story: &Story, name: &str) -> (PathBuf, PathBuf) {
    key_pair(story, name, &["-algorithm", "ed25519"])
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_key_of_openssl_is_registered_listed_retired_and_withdrawn() {
    let story = Story::stopped();
    story.ok(&["device", "add", "dev01"]);
    let (_, first) = ed25519(&story, "first");
    let (_, second) =
        key_pair(&story, "second", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    assert!(story.ok(&["keys", "list"]).contains("keys add dev01 dev01.pub"));
    let told = story.ok(&["keys", "add", "dev01", path(&first)]);
    assert!(told.contains("whoever copies the file of the private key can sign as this device"), "{told}");
    let told = story.ok(&["keys", "add", "dev01", path(&second), "--level", "2"]);
    assert!(told.contains("(ES256)") && !told.contains("Level"), "{told}");

    let listed = story.json(&["keys", "list", "dev01", "--json"]);
    let rows = listed["message_keys"].as_array().unwrap();
    let kid = |n: usize| rows[n]["kid"].as_str().unwrap();
    assert_eq!((rows.len(), kid(0).len(), kid(1).len()), (2, 16, 16));
    assert_eq!((&rows[0]["algorithm"], &rows[0]["level"]), (&"EdDSA".into(), &0.into()));
    assert_eq!((&rows[1]["state"], &rows[1]["level"]), (&"active".into(), &2.into()));

    let told = story.ok(&["keys", "retire", "dev01", kid(0)]);
    assert!(
        told.contains(&format!("What device:dev01 signs by the key {} is accepted until", kid(0))),
        "{told}"
    );
    let table = story.ok(&["keys", "list"]);
    assert!(table.contains("overlapping") && table.contains("0: in a file, can be copied"), "{table}");
    let told = story.ok(&["keys", "retire", "dev01", kid(0), "--overlap", "0s"]);
    assert!(told.contains("is accepted no more"), "{told}");
    story.ok(&["keys", "withdraw", "dev01", kid(1)]);
    let listed = story.json(&["keys", "list", "--json"]);
    assert_eq!(listed["message_keys"].as_array().unwrap().len(), 1);
    let audit = story.ok(&["audit"]);
    for what in ["(EdDSA, level 0) registered for device:dev01", "taken from device:dev01", "until"] {
        assert!(audit.contains(what), "{what}: {audit}");
    }
    let refused = story.refused(&["keys", "add", "dev01", path(&second)]);
    assert!(refused.contains("does not come back"), "{refused}");
}

#[test]
fn what_is_no_key_for_messages_is_refused_with_what_to_do() {
    let story = Story::stopped();
    story.ok(&["device", "add", "dev01"]);
    let (private, public) = ed25519(&story, "own");
    let refused = story.refused(&["keys", "add", "dev01", path(&private)]);
    assert!(refused.contains("openssl pkey -pubout"), "{refused}");
    let (_, other) = key_pair(&story, "rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let refused = story.refused(&["keys", "add", "dev01", path(&other)]);
    assert!(refused.contains("P-256 or Ed25519") && refused.contains(path(&other)), "{refused}");
    let refused = story.refused(&["device", "rekey", "dev01", "--key", path(&other)]);
    assert!(refused.contains(path(&other)), "{refused}");
    let refused = said(&story.run(&["device", "rekey", "dev01", "--tpm", "cafe"]));
    assert!(refused.contains("device invite dev01 --replace --tpm"), "{refused}");
    let refused = story.refused(&["keys", "add", "dev02", path(&public)]);
    assert!(refused.contains("there is no device:dev02; keyward device list shows"), "{refused}");
    let certificate = story.path("dev01/cert.pem");
    story.refused(&["keys", "add", "dev01", path(&certificate)]);
    story.ok(&["keys", "add", "dev01", path(&public)]);
    let refused = story.refused(&["keys", "add", "dev01", path(&public)]);
    assert!(refused.contains("already"), "{refused}");
    let refused = story.refused(&["keys", "withdraw", "dev01", "0011223344556677"]);
    assert!(refused.contains("keyward keys list device:dev01"), "{refused}");
    let refused = story.refused(&["keys", "retire", "dev01", "0011223344556677", "--overlap", "93d"]);
    assert!(refused.contains("92 days"), "{refused}");
    let output = story.run(&["keys", "add", "dev01", path(&public), "--level", "4"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn devices_and_users_have_keys_to_encrypt_to() {
    let story = Story::stopped();
    story.ok(&["device", "add", "dev01"]);
    story.ok(&["user", "add", "app"]);
    let p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let [(_, of_device), (_, of_user)] = ["device", "user"].map(|name| key_pair(&story, name, &p256));
    for (id, holder, file) in [("dev01", "device:dev01", &of_device), ("user:app", "user:app", &of_user)] {
        let told = story.ok(&["keys", "add", id, path(file), "--purpose", "encrypt"]);
        assert!(told.contains(&format!("the key to which is encrypted for {holder}")), "{told}");
        assert!(!told.contains("Level"), "{told}");
    }
    let refused = story.refused(&["keys", "add", "user:app", path(&of_user)]);
    assert!(refused.contains("--purpose encrypt"), "{refused}");
    let (_, other) = ed25519(&story, "other");
    let refused = story.refused(&["keys", "add", "dev01", path(&other), "--purpose", "encrypt"]);
    assert!(refused.contains("P-256"), "{refused}");
    let listed = story.json(&["keys", "list", "user:app", "--json"]);
    let row = &listed["message_keys"][0];
    assert_eq!((&row["purpose"], &row["user"]), (&"encrypt".into(), &"app".into()));
    assert!(story.ok(&["keys", "list"]).contains("user:app"));
    let kid = row["kid"].as_str().unwrap();
    let told = story.ok(&["keys", "retire", "user:app", kid]);
    assert!(told.contains("is encrypted to the key"), "{told}");
    story.ok(&["keys", "withdraw", "user:app", kid]);
    assert!(story.ok(&["audit"]).contains("to which is encrypted for user:app"));
}
