//! The folder: who may hold it, what lies in it, and what a stranger or a crash can do to it.

use crate::support::*;
use keyward_identity::{
    InitOptions, OpenError, OpenOptions, Registrar, VaultError,
    files::{self, FileError},
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

fn open_error(dir: &Path) -> OpenError {
    Registrar::open(dir, options()).err().expect("the store should not open")
}

fn create_error(dir: &Path) -> OpenError {
    Registrar::create(dir, init()).err().expect("no installation should be made")
}

fn all_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn an_installation_is_still_there_after_a_restart() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    let before =
        (house.registrar().registry(), house.registrar().server_identity(), house.registrar().ca_pem());
    house.open().unwrap();
    assert_eq!(*house.registrar().registry(), *before.0);
    assert_eq!(house.registrar().server_identity().chain, before.1.chain);
    assert_eq!(house.registrar().ca_pem(), before.2);
    assert!(house.admit(&issued).is_ok());
    assert!(Registrar::exists(house.dir.path()));
}

#[test]
fn every_file_is_closed_to_others() {
    let mut house = House::new();
    house.add_device("pump-1");
    for path in all_below(house.dir.path()) {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let fit = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o777, fit, "{}", path.display());
    }
    let drafts = all_below(house.dir.path()).into_iter().filter(|path| path.to_string_lossy().contains("/."));
    assert_eq!(drafts.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.')).count(), 0);
}

#[test]
fn a_second_process_is_told_who_holds_the_store() {
    let mut house = House::new();
    let error = open_error(house.dir.path()).to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    house.close();
    assert!(Registrar::open(house.dir.path(), options()).is_ok());
}

#[test]
fn the_store_opens_and_works_without_the_offline_folder() {
    let mut house = House::new();
    assert!(house.registrar().status(NOW).offline_keys_present);
    fs::remove_dir_all(house.path("offline")).unwrap();
    house.open().unwrap();
    assert!(!house.registrar().status(NOW).offline_keys_present);
    house.add_device("pump-1");
}

#[test]
fn root_keys_that_cannot_be_read_disturb_nobody() {
    let mut house = House::new();
    for key in ["server-root.key", "device-root.key"] {
        fs::write(house.path("offline").join(key), "not a key").unwrap();
    }
    house.open().unwrap();
    house.add_device("pump-1");
}

#[test]
fn a_folder_that_others_may_enter_is_refused_with_the_remedy() {
    let mut house = House::new();
    house.close();
    fs::set_permissions(house.dir.path(), fs::Permissions::from_mode(0o750)).unwrap();
    let error = open_error(house.dir.path()).to_string();
    assert!(error.contains("chmod 700"), "{error}");
    fs::set_permissions(house.dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(house.path("keys/server.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let error = open_error(house.dir.path()).to_string();
    assert!(error.contains("chmod 600") && error.contains("server.key"), "{error}");
}

#[test]
fn a_link_planted_in_the_way_is_refused() {
    let victim = private_dir();
    fs::write(victim.path().join("precious"), "precious").unwrap();
    let precious = victim.path().join("precious");

    let house = private_dir();
    symlink(&precious, house.path().join("lock")).unwrap();
    assert!(matches!(create_error(house.path()), OpenError::File(FileError::Link(_))));

    let house = private_dir();
    symlink(&precious, house.path().join("ca.pem")).unwrap();
    assert!(matches!(create_error(house.path()), OpenError::Leftover(_)));

    let house = private_dir();
    let through = house.path().join("through");
    symlink(victim.path(), &through).unwrap();
    assert!(matches!(create_error(&through), OpenError::File(FileError::Link(_))));

    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 1);
}

#[test]
fn a_link_in_place_of_a_ledger_or_key_is_refused() {
    for name in ["ledger/a.log", "keys/server.key"] {
        let mut house = House::new();
        house.close();
        let aside = house.path("aside");
        fs::rename(house.path(name), &aside).unwrap();
        symlink(&aside, house.path(name)).unwrap();
        let error = open_error(house.dir.path()).to_string();
        assert!(error.contains("symbolic link"), "{name}: {error}");
    }
}

#[test]
fn an_installation_is_not_made_over_another_or_over_its_remains() {
    let mut house = House::new();
    house.close();
    assert!(matches!(create_error(house.dir.path()), OpenError::Leftover(_)));
    fs::remove_dir_all(house.path("ledger")).unwrap();
    assert!(matches!(open_error(house.dir.path()), OpenError::Missing(_)));
    let error = create_error(house.dir.path()).to_string();
    assert!(error.contains("restore the ledger"), "{error}");
}

#[test]
fn a_creation_that_was_cut_off_early_is_begun_again() {
    let dir = private_dir();
    fs::create_dir(dir.path().join("creating")).unwrap();
    fs::set_permissions(dir.path().join("creating"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(dir.path().join("creating/ca.pem"), "half").unwrap();
    assert!(!Registrar::exists(dir.path()));
    let registrar = Registrar::create(dir.path(), init()).unwrap();
    assert!(registrar.ca_pem().contains("BEGIN CERTIFICATE"));
    assert!(!dir.path().join("creating").exists());
}

#[test]
fn a_creation_that_was_cut_off_late_is_finished() {
    // Everything is made; some of it, never the ledger, is in its place when the power goes.
    for moved in [&[][..], &["offline"], &["offline", "keys"], &["offline", "keys", "authority"]] {
        let mut house = House::new();
        let ca = house.registrar().ca_pem();
        house.close();
        let creating = house.path("creating");
        files::create_private_dir(&creating).unwrap();
        for name in ["offline", "keys", "authority", "ledger"] {
            if !moved.contains(&name) {
                fs::rename(house.path(name), creating.join(name)).unwrap();
            }
        }
        assert!(Registrar::exists(house.dir.path()));
        house.open().unwrap();
        assert_eq!(house.registrar().ca_pem(), ca);
        assert!(!creating.exists());
        house.add_device("pump-1");
    }
}

#[test]
fn copies_of_certificates_are_restored_when_they_are_lost() {
    let mut house = House::new();
    let ca = fs::read(house.path("ca.pem")).unwrap();
    fs::remove_file(house.path("ca.pem")).unwrap();
    fs::write(house.path("authority/device-root.pem"), "altered").unwrap();
    house.open().unwrap();
    assert_eq!(fs::read(house.path("ca.pem")).unwrap(), ca);
    let restored = fs::read_to_string(house.path("authority/device-root.pem")).unwrap();
    assert!(restored.contains("BEGIN CERTIFICATE"));
}

#[test]
fn a_passphrase_seals_the_keys_and_a_wrong_one_is_told_apart_from_none() {
    let dir = private_dir();
    let sealed = |text: &str| OpenOptions { protection: passphrase(text), ..options() };
    let with_passphrase = InitOptions { protection: passphrase("right"), ..init() };
    assert!(Registrar::create(dir.path(), with_passphrase).unwrap().status(NOW).keys_sealed);
    for entry in fs::read_dir(dir.path().join("keys")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(text.contains("SEALED") && !text.contains("PRIVATE KEY"), "{text}");
    }
    assert!(matches!(open_error(dir.path()), OpenError::Vault(VaultError::PassphraseNeeded(_))));
    let wrong = Registrar::open(dir.path(), sealed("wrong")).err().unwrap();
    assert!(matches!(wrong, OpenError::Vault(VaultError::WrongPassphrase(_))), "{wrong}");
    assert!(Registrar::open(dir.path(), sealed("right")).is_ok());
}

#[test]
fn a_key_of_another_installation_is_refused() {
    let (mut house, other) = (House::new(), House::new());
    house.close();
    for key in ["server.key", "device-issuing.key"] {
        let own = fs::read(house.path("keys").join(key)).unwrap();
        fs::copy(other.path("keys").join(key), house.path("keys").join(key)).unwrap();
        let error = open_error(house.dir.path()).to_string();
        assert!(error.contains("one backup") && error.contains(key), "{error}");
        fs::write(house.path("keys").join(key), own).unwrap();
    }
    house.open().unwrap();
}

#[test]
fn an_installation_needs_a_name() {
    let nameless = InitOptions { found_names: Vec::new(), ..init() };
    let error = Registrar::create(private_dir().path(), nameless).err().unwrap();
    assert!(matches!(error, OpenError::NoNames));
}

#[test]
fn a_careful_file_never_replaces_and_never_follows() {
    let dir = private_dir();
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    files::write_new(&file, b"one").unwrap();
    assert!(matches!(files::write_new(&file, b"two"), Err(FileError::Exists(_))));
    symlink(dir.path().join("nowhere"), &link).unwrap();
    assert!(matches!(files::write_new(&link, b"x"), Err(FileError::Exists(_))));
    assert!(matches!(files::replace(&link, b"x"), Err(FileError::Link(_))));
    assert!(matches!(files::read_regular(&link, 10), Err(FileError::Link(_))));
    files::replace(&file, b"three").unwrap();
    assert_eq!(files::read_regular(&file, 5).unwrap(), b"three");
    assert!(matches!(files::read_regular(&file, 4), Err(FileError::TooLarge { max: 4, .. })));
    assert!(matches!(files::read_regular(dir.path(), 4), Err(FileError::NotRegular(_))));
    assert!(files::read_regular(&dir.path().join("none"), 4).unwrap_err().is_not_found());
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no draft is left behind: {names:?}");
}

#[test]
fn a_pipe_in_place_of_a_file_does_not_hang_the_reader() {
    let dir = private_dir();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    assert!(matches!(files::read_regular(&pipe, 4), Err(FileError::NotRegular(_))));
}

#[test]
fn a_private_directory_is_made_with_its_parents_and_kept_if_it_is_private() {
    let dir = private_dir();
    let deep = dir.path().join("a/b/c");
    files::ensure_private_dir(&deep).unwrap();
    files::ensure_private_dir(&deep).unwrap();
    for path in ["a", "a/b", "a/b/c"] {
        let mode = fs::metadata(dir.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{path}");
    }
    let file = dir.path().join("file");
    files::write_new(&file, b"").unwrap();
    assert!(matches!(files::ensure_private_dir(&file), Err(FileError::NotDirectory(_))));
}
