//! Keys in files: private, whole after a power cut, and gone when they are destroyed.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]
#![allow(clippy::disallowed_methods, reason = "tests plant files as an attacker would")]

mod contract;

use keyward_device::{Counter, FileStore, Generation, KeyError, KeyStore, Protection, Role};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let keys = dir.path().join("keys");
    (dir, keys)
}

fn refusal(dir: &Path) -> String {
    FileStore::open(dir).unwrap_err().to_string()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const COMPLETE: [&str; 4] = ["agreement.pem", "message.pem", "tls.pem", "wrapping.key"];

#[test]
fn a_store_of_files_does_what_it_promises() {
    let (_dir, keys) = place();
    contract::a_store_does_what_it_promises(
        || Arc::new(FileStore::create(&keys).unwrap()),
        || Ok(Arc::new(FileStore::open(&keys)?)),
    );
    assert_eq!(names(&keys), ["destroyed"]);
    let again = FileStore::create(&keys).unwrap();
    assert_eq!((again.protection(), again.counter(Counter::Starts).unwrap()), (Protection::File, None));
    assert_eq!(names(&keys), COMPLETE);
}

#[test]
fn keys_are_private_and_every_tool_reads_them() {
    let (_dir, keys) = place();
    let store = FileStore::create(&keys).unwrap();
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
    for name in names(&keys) {
        assert_eq!(fs::metadata(keys.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let pem = fs::read_to_string(keys.join("tls.pem")).unwrap();
    let theirs = rcgen::KeyPair::from_pem(&pem).unwrap();
    assert_eq!(theirs.public_key_raw(), store.public(Role::Tls, Generation::Current).unwrap());
    assert!(pem.lines().all(|line| line.len() <= 64), "as RFC 7468 wants it");
    assert!(!format!("{store:?}").contains(pem.lines().nth(1).unwrap()));
}

#[test]
fn what_others_can_read_or_have_planted_is_refused() {
    let (dir, keys) = place();
    drop(FileStore::create(&keys).unwrap());
    let tls = keys.join("tls.pem");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();

    mode(&tls, 0o640);
    assert!(refusal(&keys).contains("chmod 600"), "{}", refusal(&keys));
    mode(&tls, 0o600);
    mode(&keys, 0o750);
    assert!(refusal(&keys).contains("chmod 700"));
    mode(&keys, 0o700);

    let copy = dir.path().join("copy.pem");
    fs::hard_link(&tls, &copy).unwrap();
    assert!(refusal(&keys).contains("second name"), "{}", refusal(&keys));
    fs::rename(&tls, dir.path().join("moved.pem")).unwrap();
    symlink(&copy, &tls).unwrap();
    assert!(refusal(&keys).contains("symbolic link"));
    fs::remove_file(&tls).unwrap();
    fs::remove_file(&copy).unwrap();
    fs::rename(dir.path().join("moved.pem"), &tls).unwrap();
    assert!(FileStore::open(&keys).is_ok());

    let link = dir.path().join("link");
    symlink(&keys, &link).unwrap();
    assert!(refusal(&link).contains("symbolic link"));
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&tls, Some(65_534), None).unwrap();
        assert!(refusal(&keys).contains("belongs to user 65534"));
    }
}

#[test]
fn one_process_holds_them_at_a_time() {
    let (_dir, keys) = place();
    let store = FileStore::create(&keys).unwrap();
    assert!(refusal(&keys).contains("another process"));
    assert!(FileStore::create(&keys).unwrap_err().to_string().contains("another process"));
    drop(store);
    assert!(FileStore::open(&keys).is_ok());
}

#[test]
fn what_is_missing_damaged_or_there_already_is_said() {
    let (_dir, keys) = place();
    assert!(refusal(&keys).contains("make them first"), "{}", refusal(&keys));
    drop(FileStore::create(&keys).unwrap());
    assert!(FileStore::create(&keys).unwrap_err().to_string().contains("holds keys already"));
    for damage in [&b""[..], b"-----BEGIN PRIVATE KEY-----\nMHc\n", &[0; 5_000]] {
        fs::write(keys.join("message.pem"), damage).unwrap();
        let error = refusal(&keys);
        assert!(error.contains("message.pem") && !error.contains("MHc"), "{error}");
        assert!(FileStore::create(&keys).is_err(), "a damaged key is never replaced by itself");
    }
}

#[test]
fn a_making_that_a_power_cut_ended_is_completed_and_keeps_what_is_there() {
    let (_dir, keys) = place();
    let store = FileStore::create(&keys).unwrap();
    let tls = store.public(Role::Tls, Generation::Current).unwrap();
    drop(store);
    for lost in ["wrapping.key", "agreement.pem", "message.pem"] {
        fs::remove_file(keys.join(lost)).unwrap();
        assert!(refusal(&keys).contains("create the keys again"), "{}", refusal(&keys));
    }
    // And one that was being written.
    fs::write(keys.join(".message.pem.0123456789abcdef"), b"half a key").unwrap();
    let store = FileStore::create(&keys).unwrap();
    assert_eq!(store.public(Role::Tls, Generation::Current).unwrap(), tls);
    assert_eq!(names(&keys), COMPLETE);
}

#[test]
fn a_destruction_that_a_power_cut_ended_is_finished_before_anything_else() {
    let (_dir, keys) = place();
    let store = FileStore::create(&keys).unwrap();
    let tls = store.public(Role::Tls, Generation::Current).unwrap();
    drop(store);
    fs::write(keys.join("destroyed"), b"").unwrap();
    fs::remove_file(keys.join("wrapping.key")).unwrap();
    let error = FileStore::open(&keys).unwrap_err();
    assert!(matches!(error, KeyError::Missing { .. }) && error.to_string().contains("on purpose"), "{error}");
    assert_eq!(names(&keys), ["destroyed"]);
    let store = FileStore::create(&keys).unwrap();
    assert_ne!(store.public(Role::Tls, Generation::Current).unwrap(), tls, "the device is another now");
}

#[test]
fn the_bytes_of_a_destroyed_key_are_overwritten_and_not_only_its_name_taken_away() {
    let (_dir, keys) = place();
    let store = FileStore::create(&keys).unwrap();
    store.prepare(Role::Message).unwrap();
    // Held open, the blocks can be looked at after they lost their names.
    let old = ["message.pem", "wrapping.key"].map(|name| fs::File::open(keys.join(name)).unwrap());
    store.promote(Role::Message).unwrap();
    store.destroy().unwrap();
    for mut file in old {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == 0), "{bytes:?}");
    }
}
