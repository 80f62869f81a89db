//! Sealed key files: a copy of the disk opens nothing, and nobody is told that it would not when it would.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]
#![allow(clippy::disallowed_methods, reason = "tests plant files as an attacker would")]

mod contract;

use keyward_device::{FileStore, Generation, KeySpec, KeyStore, Protection, Role, SealingSecret};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use zeroize::Zeroizing;

fn place() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let keys = dir.path().join("keys");
    (dir, keys)
}

fn secret(byte: u8) -> SealingSecret {
    SealingSecret::new(Zeroizing::new(vec![byte; 32])).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_sealed_store_does_what_it_promises() {
    let (_dir, keys) = place();
    contract::a_store_does_what_it_promises(
        || Arc::new(FileStore::create_sealed(&keys, secret(1)).unwrap()),
        || Ok(Arc::new(FileStore::open_sealed(&keys, secret(1))?)),
    );
    let again = FileStore::create_sealed(&keys, secret(1)).unwrap();
    assert_eq!(again.protection(), Protection::Sealed);
}

#[test]
fn a_copied_folder_opens_nothing_without_the_secret() {
    let (dir, keys) = place();
    let store = FileStore::create_sealed(&keys, secret(1)).unwrap();
    store.prepare(Role::Message).unwrap();
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).unwrap();
    for file in files(&keys) {
        let bytes = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("PRIVATE") && rcgen::KeyPair::from_pem(&text).is_err());
        fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
    }
    let error = FileStore::open_sealed(&copy, secret(2)).unwrap_err().to_string();
    assert!(error.contains("another secret"), "{error}");
    assert!(FileStore::open(&copy).unwrap_err().to_string().contains("holds sealed keys"));
    let opened = FileStore::open_sealed(&copy, secret(1)).unwrap();
    let public = |store: &FileStore| store.public(Role::Tls, Generation::Current).unwrap();
    assert_eq!(public(&opened), public(&store), "the secret is what was missing");
}

#[test]
fn sealed_keys_and_open_ones_are_never_mixed() {
    let (_dir, keys) = place();
    drop(FileStore::create(&keys).unwrap());
    for error in [FileStore::create_sealed(&keys, secret(1)), FileStore::open_sealed(&keys, secret(1))] {
        assert!(error.unwrap_err().to_string().contains("not sealed"));
    }
    let (_dir, keys) = place();
    drop(FileStore::create_sealed(&keys, secret(1)).unwrap());
    assert!(FileStore::create(&keys).unwrap_err().to_string().contains("sealed keys"));
}

#[test]
fn one_sealed_file_does_not_open_in_the_place_of_another() {
    let (_dir, keys) = place();
    drop(FileStore::create_sealed(&keys, secret(1)).unwrap());
    fs::copy(keys.join("tls.sealed"), keys.join("message.sealed")).unwrap();
    let error = FileStore::open_sealed(&keys, secret(1)).unwrap_err().to_string();
    assert!(error.contains("message.sealed") && error.contains("damaged"), "{error}");
}

/// A folder on another file system than the ordinary temporary one; `None` where the machine has only one.
fn elsewhere(keys: &Path) -> Option<TempDir> {
    let dir = TempDir::new_in("/dev/shm").ok()?;
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    (device(dir.path()) != device(keys.parent().unwrap())).then_some(dir)
}

fn write_secret(path: &Path, mode: u32) {
    fs::write(path, [7; 32]).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_secret_beside_the_keys_is_refused_because_it_would_be_level_0() {
    let (dir, keys) = place();
    let beside = dir.path().join("secret");
    write_secret(&beside, 0o600);
    let spec: KeySpec = format!("sealed:{}?secret={}", keys.display(), beside.display()).parse().unwrap();
    for error in [spec.create(), spec.open()] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("same file system") && error.contains("level 0"), "{error}");
    }
    assert!(!keys.exists());
}

#[test]
fn a_secret_on_another_medium_opens_the_keys() {
    let (_dir, keys) = place();
    let Some(other) = elsewhere(&keys) else { return };
    let secret = other.path().join("secret");
    let spec: KeySpec = format!("sealed:{}?secret={}", keys.display(), secret.display()).parse().unwrap();
    assert!(spec.create().unwrap_err().to_string().contains("secret"), "it is not there");
    write_secret(&secret, 0o644);
    assert!(spec.create().unwrap_err().to_string().contains("chmod 600"));
    fs::write(&secret, "password").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(spec.create().unwrap_err().to_string().contains("/dev/urandom"));
    write_secret(&secret, 0o600);
    let public = spec.create().unwrap().public(Role::Tls, Generation::Current).unwrap();
    assert_eq!(spec.open().unwrap().public(Role::Tls, Generation::Current).unwrap(), public);
}

#[test]
fn a_credential_that_nobody_gave_is_asked_for_in_the_words_of_a_unit() {
    let (_dir, keys) = place();
    let spec: KeySpec = format!("sealed:{}?credential=keyward-keys", keys.display()).parse().unwrap();
    let error = spec.create().unwrap_err().to_string();
    assert!(error.contains("LoadCredentialEncrypted=keyward-keys"), "{error}");
}

/// What systemd sets is set for a whole process, so that the story has one of its own.
#[test]
fn a_credential_of_systemd_opens_the_keys() {
    let (_dir, keys) = place();
    if std::env::var_os("KEYWARD_TEST_CREDENTIAL").is_some() {
        let spec: KeySpec = format!("sealed:{}?credential=keyward-keys", keys.display()).parse().unwrap();
        let public = spec.create().unwrap().public(Role::Tls, Generation::Current).unwrap();
        assert_eq!(spec.open().unwrap().public(Role::Tls, Generation::Current).unwrap(), public);
        let credential =
            PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY").unwrap()).join("keyward-keys");
        write_secret(&credential, 0o444);
        assert!(spec.open().unwrap_err().to_string().contains("open to others"));
        return;
    }
    let Some(credentials) = elsewhere(&keys) else { return };
    // An access list of systemd shows as the bits of the group.
    write_secret(&credentials.path().join("keyward-keys"), 0o440);
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_credential_of_systemd_opens_the_keys", "--nocapture"])
        .env("CREDENTIALS_DIRECTORY", credentials.path())
        .env("KEYWARD_TEST_CREDENTIAL", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
