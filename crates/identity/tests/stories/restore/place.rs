//! How a restore comes into its place, and what a backup holds.

use super::*;

#[test]
fn a_restore_needs_the_folder_for_itself_and_one_that_is_given_up_leaves_no_trace() {
    let mut scene = Scene::new();
    let error = refuses(&scene.house, &scene.backup, None);
    assert!(matches!(error, RestoreError::Open(OpenError::Locked { .. })), "{error}");
    scene.house.close();
    let before = content(scene.house.dir.path());
    drop(begin(&scene.house, &scene.backup, None).unwrap());
    assert_eq!(content(scene.house.dir.path()), before);
    assert!(!scene.house.path("restoring.new").exists());
}

#[test]
fn what_was_replaced_is_kept_and_what_was_put_beside_the_ledger_is_in_place() {
    let mut scene = Scene::new();
    scene.house.close();
    scene.house.write("keyward.toml", "old");
    let old = fs::read(scene.log()).unwrap();
    let restoration = begin(&scene.house, &scene.backup, None).unwrap();
    files::write_new(&restoration.draft().join("keyward.toml"), b"new").unwrap();
    files::write_new(&restoration.draft().join("another"), b"file").unwrap();
    let replaced = restoration.commit().unwrap().unwrap();
    assert_eq!(replaced, scene.house.path("replaced-20261102T020000Z"));
    assert_eq!(fs::read(replaced.join("ledger/a.log")).unwrap(), old);
    assert_eq!(fs::read_to_string(replaced.join("keyward.toml")).unwrap(), "old");
    assert_eq!(fs::read_to_string(scene.house.path("keyward.toml")).unwrap(), "new");
    assert_eq!(fs::read_to_string(scene.house.path("another")).unwrap(), "file");
    // A second one in the same second has a name of its own.
    let again = begin(&scene.house, &scene.backup, None).unwrap().commit().unwrap().unwrap();
    assert_eq!(again, scene.house.path("replaced-20261102T020000Z-2"));
    scene.house.open().unwrap();
}

#[test]
fn the_lock_of_the_folder_is_no_part_of_a_restore() {
    let mut scene = Scene::new();
    scene.house.close();
    let restoration = begin(&scene.house, &scene.backup, None).unwrap();
    files::write_new(&restoration.draft().join("lock"), b"").unwrap();
    assert!(matches!(restoration.commit(), Err(RestoreError::File(FileError::Exists(_)))));
    scene.house.open().unwrap();
    assert!(!scene.house.path("restoring").exists());
}

/// Does by hand what `commit` does, up to a step, and leaves the folder as a crash there would.
fn crash_at(scene: &mut Scene, step: usize) {
    let restoration = begin(&scene.house, &scene.backup, None).unwrap();
    files::write_new(&restoration.draft().join("keyward.toml"), b"new").unwrap();
    let dir = scene.house.dir.path().to_owned();
    // A crash runs no destructor; the lock goes with the process, here with the copy of its file.
    let draft = private_dir();
    copy_all(&dir.join("restoring.new"), &draft.path().join("kept"));
    drop(restoration);
    fs::rename(draft.path().join("kept"), dir.join("restoring.new"))
        .unwrap_or_else(|_| copy_all(&draft.path().join("kept"), &dir.join("restoring.new")));
    let decided = dir.join("restoring");
    let aside = "replaced-20261102T020000Z";
    let moves: [(PathBuf, PathBuf); 6] = [
        (dir.join("restoring.new"), decided.clone()),
        (dir.join("keyward.toml"), decided.join(aside).join("keyward.toml")),
        (decided.join("new/keyward.toml"), dir.join("keyward.toml")),
        (dir.join("ledger"), decided.join(aside).join("ledger")),
        (decided.join("new/ledger"), dir.join("ledger")),
        (decided.join(aside), dir.join(aside)),
    ];
    for (from, to) in moves.iter().take(step) {
        fs::rename(from, to).unwrap();
    }
    if step == 7 {
        fs::remove_dir(decided.join("new")).unwrap();
    }
}

fn copy_all(from: &Path, to: &Path) {
    files::create_private_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_all(&path, &to),
            false => files::write_new(&to, &fs::read(&path).unwrap()).unwrap(),
        }
    }
}

#[test]
fn a_crash_at_any_step_leaves_all_of_the_old_or_all_of_the_new() {
    for step in 0..=7 {
        for by_finish in [true, false] {
            let mut scene = Scene::new();
            scene.house.close();
            scene.house.write("keyward.toml", "old");
            let old = fs::read(scene.log()).unwrap();
            crash_at(&mut scene, step);
            assert!(Registrar::exists(scene.house.dir.path()), "step {step}");
            if by_finish {
                finish(scene.house.dir.path()).unwrap();
            }
            scene.house.open().unwrap();
            scene.assert_all_taken();
            let is_new = step > 0;
            let config = fs::read_to_string(scene.house.path("keyward.toml")).unwrap();
            assert_eq!(config, if is_new { "new" } else { "old" }, "step {step}");
            assert_eq!(fs::read(scene.log()).unwrap() != old, is_new, "step {step}");
            assert!(!scene.house.path("restoring").exists(), "step {step}");
            if is_new {
                let kept = scene.house.path("replaced-20261102T020000Z/ledger/a.log");
                assert_eq!(fs::read(kept).unwrap(), old, "step {step}");
            }
            // What was never decided does not stand in the way.
            restore(&mut scene.house, &scene.backup, None);
            assert!(!scene.house.path("restoring.new").exists());
        }
    }
}

#[test]
fn a_backup_without_keys_holds_no_private_key_and_says_which_are_missing() {
    let mut house = House::new();
    let files = files_of(house.dir.path()).unwrap();
    let of = |secrecy: Secrecy| {
        let paths = files.iter().filter(|file| file.secrecy == secrecy);
        paths.map(|file| file.path.to_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(of(Secrecy::Public).len(), 5);
    assert_eq!(of(Secrecy::Secret), ["keys/pepper"]);
    assert_eq!(
        of(Secrecy::PrivateKey),
        [
            "keys/device-issuing.key",
            "keys/server-issuing.key",
            "keys/server.key",
            "offline/device-root.key",
            "offline/server-root.key"
        ]
    );
    house.close();
    let listed: Vec<PathBuf> = files.iter().map(|file| house.path(file.path.to_str().unwrap())).collect();
    let unlisted = content(house.dir.path()).into_iter().map(|(path, _)| path);
    let unlisted: Vec<_> = unlisted.filter(|path| !listed.contains(path)).collect();
    assert!(unlisted.iter().all(|path| path.starts_with(house.path("ledger"))), "{unlisted:?}");

    assert!(missing_keys(house.dir.path()).is_empty());
    fs::remove_file(house.path("keys/server.key")).unwrap();
    fs::remove_dir_all(house.path("offline")).unwrap();
    assert_eq!(missing_keys(house.dir.path()), [PathBuf::from("keys/server.key")]);
    assert_eq!(files_of(house.dir.path()).unwrap().len(), files.len() - 3);
}

#[test]
fn an_installation_is_restored_into_an_empty_folder_with_its_keys() {
    let scene = Scene::new();
    let mut host = House::new();
    host.close();
    let new = private_dir();
    let options = RestoreOptions {
        now: scene.house.now,
        actor: "anna",
        taken: scene.backup.taken,
        old_ledger: None,
        revoked: None,
    };
    let restoration = Restoration::begin(new.path(), &mut scene.backup.ledger.as_slice(), options).unwrap();
    copy_all(&scene.house.path("keys"), &restoration.draft().join("keys"));
    assert_eq!(restoration.commit().unwrap(), None, "nothing was there to be kept");
    assert!(missing_keys(new.path()).is_empty());
    let registrar = Registrar::open(new.path(), crate::support::options()).unwrap();
    assert_eq!(registrar.ca_pem(), scene.house.registrar().ca_pem(), "devices know it again");
    assert_eq!(registrar.status(scene.house.now).devices.unconfirmed, 5);
}

#[test]
fn a_backup_of_a_running_store_ends_where_it_was_asked_for() {
    let mut house = House::new();
    house.add_device("a");
    let mut copy = house.registrar().ledger_copy().unwrap();
    let records = copy.records;
    house.add_device("b");
    let mut ledger = Vec::new();
    copy.read_to_end(&mut ledger).unwrap();
    let backup = Backup { ledger, taken: house.now };
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    let report = restore(&mut house, &backup, None);
    assert_eq!(report.backup_records, records);
    assert!(house.registrar().registry().find(&"device:b".parse().unwrap()).is_none());
}
