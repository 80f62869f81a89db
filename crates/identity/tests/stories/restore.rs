//! What was taken away after a backup stays taken away when that backup is restored.

use crate::support::*;
use keyward_identity::{
    CertificateRefusal, Command, IssuedCertificate, LedgerError, NewPassword, OpenError, Refusal, Registrar,
    Standing, WallTime,
    files::{self, FileError},
    restore::{
        Applied, OldLedger, Report, Restoration, RestoreError, RestoreOptions, RevokedList, Secrecy,
        files as files_of, finish, missing_keys,
    },
};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

const HOUR: u64 = 3_600_000;

/// The ledger of a house as a backup holds it.
struct Backup {
    ledger: Vec<u8>,
    taken: WallTime,
}

fn back_up(house: &House) -> Backup {
    let mut copy = house.registrar().ledger_copy().unwrap();
    let mut ledger = Vec::new();
    copy.read_to_end(&mut ledger).unwrap();
    assert_eq!(ledger.len() as u64, copy.len);
    Backup { ledger, taken: house.now }
}

fn begin(house: &House, backup: &Backup, list: Option<&RevokedList>) -> Result<Restoration, RestoreError> {
    let options = RestoreOptions {
        now: house.now,
        actor: "anna",
        taken: backup.taken,
        old_ledger: None,
        revoked: list,
    };
    Restoration::begin(house.dir.path(), &mut backup.ledger.as_slice(), options)
}

/// Restores and opens again.
fn restore(house: &mut House, backup: &Backup, list: Option<&RevokedList>) -> Report {
    house.close();
    let restoration = begin(house, backup, list).unwrap();
    let report = restoration.report().clone();
    restoration.commit().unwrap();
    house.open().unwrap();
    assert!(house.registrar().status(house.now).mended.is_empty());
    report
}

fn refuses(house: &House, backup: &Backup, list: Option<&RevokedList>) -> RestoreError {
    let before = content(house.dir.path());
    let error = begin(house, backup, list).err().expect("it should not be restored");
    assert_eq!(content(house.dir.path()), before, "nothing is touched");
    error
}

/// Returns all files below a folder with their content.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(content(&path)),
            false if path.ends_with("lock") => {}
            false => found.push((path.clone(), fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

fn list(house: &House, lines: &str) -> RevokedList {
    let id = house.registrar().registry().installation().clone();
    let text = format!("keyward-revoked: 1\ninstallation: {id}\n{lines}");
    RevokedList::parse(Path::new("list"), text.as_bytes()).unwrap()
}

fn printed(house: &House) -> RevokedList {
    let text = house.registrar().revoked(house.now).unwrap().to_string();
    RevokedList::parse(Path::new("list"), text.as_bytes()).unwrap()
}

fn standing(house: &House, identity: &str) -> Standing {
    house.account(identity).standing
}

fn is_unconfirmed(house: &House, identity: &str) -> bool {
    matches!(standing(house, identity), Standing::Unconfirmed { .. })
}

/// Tells whether a generated password opens the door.
fn opens(house: &House, login: &str, password: &str) -> bool {
    let (registry, pepper) = (house.registrar().registry(), house.registrar().pepper());
    let account = registry.find_login(login).filter(|account| account.is_active());
    let record = account.and_then(|account| account.password.clone());
    record.is_some_and(|record| record.verify_generated(&pepper, password.as_bytes()))
}

fn new_password(house: &mut House, identity: &str) -> String {
    let identity = identity.parse().unwrap();
    let command = Command::SetPassword { identity, password: NewPassword::Generate };
    house.run(command).password.unwrap().expose_text().to_owned()
}

fn renew(house: &mut House, identity: &str) -> IssuedCertificate {
    let command = Command::AddCertificate {
        identity: identity.parse().unwrap(),
        key: keyward_identity::KeySource::Generate,
        lifetime_days: None,
        replace: true,
    };
    house.run(command).certificate.unwrap()
}

/// A house, a backup of it, and what was taken away an hour later.
struct Scene {
    house: House,
    backup: Backup,
    kept: IssuedCertificate,
    revoked: IssuedCertificate,
    removed: IssuedCertificate,
    disabled: IssuedCertificate,
    replaced: IssuedCertificate,
    old_password: String,
    new_password: String,
}

impl Scene {
    fn new() -> Self {
        let mut house = House::new();
        let [kept, revoked, removed, disabled, replaced] =
            ["kept", "revoked", "removed", "disabled", "replaced"].map(|id| house.add_device(id));
        let old_password = house.run(user("app", generated_password())).password.unwrap();
        let old_password = old_password.expose_text().to_owned();
        let backup = back_up(&house);
        house.now.0 += HOUR;
        house.run(revoke("device:revoked"));
        house.run(remove("device:removed"));
        house.run(disable("device:disabled"));
        renew(&mut house, "device:replaced");
        let new_password = new_password(&mut house, "user:app");
        house.now.0 += HOUR;
        Self { house, backup, kept, revoked, removed, disabled, replaced, old_password, new_password }
    }

    fn log(&self) -> PathBuf {
        self.house.path("ledger/a.log")
    }

    /// Damages a place of both copies of the old ledger.
    fn damage(&mut self, at: usize) {
        self.house.close();
        for copy in ["ledger/a.log", "ledger/b.log"] {
            let mut bytes = fs::read(self.house.path(copy)).unwrap();
            bytes[at] ^= 0x55;
            self.house.write(copy, bytes);
        }
        assert!(matches!(self.house.open(), Err(OpenError::Ledger(LedgerError::Damaged { .. }))));
    }

    fn lose_ledger(&mut self) {
        self.house.close();
        fs::remove_dir_all(self.house.path("ledger")).unwrap();
    }

    /// Checks that nobody gets in by what was taken away.
    fn assert_all_taken(&self) {
        for certificate in [&self.revoked, &self.removed, &self.disabled, &self.replaced] {
            assert!(self.house.admit(certificate).is_err(), "{}", certificate.identity);
        }
        assert!(!opens(&self.house, "app", &self.old_password), "the old password opens");
    }
}

#[test]
fn over_a_whole_old_ledger_the_state_is_exactly_the_old_one() {
    let mut scene = Scene::new();
    let before = scene.house.registrar().registry();
    let report = restore(&mut scene.house, &scene.backup, None);
    assert_eq!(report.old_ledger, OldLedger::Whole { records: before.revision() });
    assert_eq!((report.unknown, report.unconfirmed, report.applied), (None, 0, Applied::default()));
    let after = scene.house.registrar().registry();
    assert!(before.accounts().all(|account| after.find(&account.identity) == Some(account)));
    assert_eq!(after.len(), before.len());
    scene.assert_all_taken();
    assert!(scene.house.admit(&scene.kept).is_ok());
    assert!(opens(&scene.house, "app", &scene.new_password));
    let last = scene.house.registrar().audit(after.revision()).unwrap().next().unwrap().unwrap();
    assert!(format!("{:?}", last.events).contains("Restored"), "{last:?}");
}

#[test]
fn an_old_ledger_damaged_before_the_end_of_the_backup_is_read_on_behind_it() {
    let mut scene = Scene::new();
    let before = scene.house.registrar().registry();
    scene.damage(400);
    let report = restore(&mut scene.house, &scene.backup, None);
    assert_eq!(report.old_ledger, OldLedger::Whole { records: before.revision() });
    assert_eq!(report.unknown, None);
    scene.assert_all_taken();
    assert!(opens(&scene.house, "app", &scene.new_password));
}

#[test]
fn what_stands_behind_a_damage_stays_taken_and_the_rest_is_unconfirmed() {
    let mut scene = Scene::new();
    // The first record behind the backup: the one that revokes.
    scene.damage(scene.backup.ledger.len() + 30);
    let report = restore(&mut scene.house, &scene.backup, None);
    let records = scene.house.registrar().audit(1).unwrap().count() as u64;
    let OldLedger::Damaged { records: read, salvaged } = report.old_ledger else { panic!("{report:?}") };
    assert!(read < records && salvaged == 4, "{report:?}");
    let applied = Applied { revoked: 0, removed: 1, disabled: 1, passwords: 1, certificates: 1 };
    assert_eq!(report.applied, applied);
    assert_eq!(report.unknown, Some((scene.backup.taken, scene.house.now)));
    scene.assert_all_taken();
    assert!(is_unconfirmed(&scene.house, "device:revoked") && is_unconfirmed(&scene.house, "device:kept"));
    assert_eq!(standing(&scene.house, "device:removed"), Standing::Removed);

    scene.house.run(revoke("device:revoked"));
    scene.house.run(Command::ConfirmAll);
    assert!(scene.house.admit(&scene.kept).is_ok());
    scene.assert_all_taken();
    assert!(!opens(&scene.house, "app", &scene.new_password), "who set it last is not known: neither opens");
}

#[test]
fn wherever_the_old_ledger_is_damaged_nothing_taken_comes_back_before_it_is_confirmed() {
    let mut scene = Scene::new();
    scene.house.close();
    let old = fs::read(scene.log()).unwrap();
    // A record begins with its length, which a damage can make longer than what is left: it looks torn then.
    let (mut begins, mut at) = (Vec::new(), 16);
    while let Some(length) = old.get(at..at + 4) {
        begins.push(at + 2);
        at += 4 + u32::from_le_bytes(length.try_into().unwrap()) as usize + 40;
    }
    assert!(begins.len() > 10, "{begins:?}");
    for at in (1..old.len()).step_by(149).chain(begins) {
        let mut damaged = old.clone();
        damaged[at] ^= 0x01;
        scene.house.close();
        for copy in ["ledger/a.log", "ledger/b.log"] {
            scene.house.write(copy, &damaged);
        }
        let report = restore(&mut scene.house, &scene.backup, None);
        scene.assert_all_taken();
        assert!(report.unknown.is_some() || at < scene.backup.ledger.len(), "at {at}: {report}");
    }
}

#[test]
fn with_the_list_of_the_old_ledger_nothing_taken_comes_back_and_the_rest_needs_a_word() {
    let mut scene = Scene::new();
    let list = printed(&scene.house);
    assert!(!list.to_string().contains(&scene.new_password));
    scene.lose_ledger();
    scene.house.now.0 += HOUR;
    let report = restore(&mut scene.house, &scene.backup, Some(&list));
    assert_eq!(report.old_ledger, OldLedger::Absent);
    let applied = Applied { revoked: 1, removed: 1, disabled: 1, passwords: 1, certificates: 1 };
    assert_eq!(report.applied, applied);
    let until = list.complete_until.unwrap();
    assert_eq!(report.unknown, Some((until, scene.house.now)), "it says what stays unknown behind the list");
    assert!(is_unconfirmed(&scene.house, "device:kept"));
    scene.house.run(Command::ConfirmAll);
    scene.assert_all_taken();
    assert!(scene.house.admit(&scene.kept).is_ok());
    assert_eq!(standing(&scene.house, "device:disabled"), Standing::Disabled);
}

#[test]
fn a_list_by_hand_is_taken_at_its_word() {
    let mut scene = Scene::new();
    let list =
        list(&scene.house, "device:revoked revoked\nuser:app password-replaced\ndevice:typo revoked\n");
    scene.lose_ledger();
    let report = restore(&mut scene.house, &scene.backup, Some(&list));
    assert_eq!((report.unknown, report.unconfirmed), (None, 0));
    assert_eq!(report.strangers, ["device:typo".parse().unwrap()]);
    assert!(report.to_string().contains("device:typo"), "{report}");
    assert!(scene.house.admit(&scene.revoked).is_err() && scene.house.admit(&scene.kept).is_ok());
    assert!(!opens(&scene.house, "app", &scene.old_password));
    assert!(scene.house.admit(&scene.removed).is_ok(), "the list did not name it");
}

#[test]
fn without_ledger_and_list_everybody_is_shut_out_until_confirmed() {
    let mut scene = Scene::new();
    scene.lose_ledger();
    let report = restore(&mut scene.house, &scene.backup, None);
    assert_eq!(report.unknown, Some((scene.backup.taken, scene.house.now)));
    assert_eq!(report.unconfirmed, 6);
    let text = report.to_string();
    assert!(text.contains(&scene.backup.taken.to_string()) && text.contains("store confirm --all"), "{text}");
    scene.assert_all_taken();
    let refused = scene.house.admit(&scene.kept).unwrap_err();
    assert!(matches!(refused, CertificateRefusal::Unconfirmed { .. }), "{refused}");
    assert!(refused.to_string().contains("not confirmed since the restore of"), "{refused}");

    let confirm = |identity: &str| Command::Confirm { identity: identity.parse().unwrap() };
    scene.house.run(confirm("device:kept"));
    assert!(scene.house.admit(&scene.kept).is_ok());
    scene.house.open().unwrap();
    assert!(scene.house.admit(&scene.kept).is_ok() && scene.house.admit(&scene.revoked).is_err());
    assert_eq!(scene.house.registrar().status(scene.house.now).devices.unconfirmed, 4);

    // What is disabled or revoked meanwhile is not let in by `--all`.
    scene.house.run(disable("device:disabled"));
    scene.house.run(revoke("device:revoked"));
    assert!(matches!(scene.house.refused(confirm("device:disabled")), Refusal::IsDisabled(_)));
    assert!(matches!(scene.house.refused(confirm("device:revoked")), Refusal::IsRevoked(_)));
    assert!(scene.house.run(Command::ConfirmAll).changed);
    assert!(!scene.house.run(Command::ConfirmAll).changed);
    assert_eq!(standing(&scene.house, "device:disabled"), Standing::Disabled);
    assert!(scene.house.admit(&scene.revoked).is_err());
    assert!(opens(&scene.house, "app", &scene.old_password), "nobody said that it was replaced");
}

#[test]
fn who_was_disabled_before_the_backup_stays_so_through_confirming() {
    let mut house = House::new();
    house.add_device("a");
    house.run(disable("device:a"));
    let backup = back_up(&house);
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    restore(&mut house, &backup, None);
    house.run(Command::ConfirmAll);
    assert_eq!(standing(&house, "device:a"), Standing::Disabled);
}

#[test]
fn a_list_does_not_undo_what_the_backup_knows_better() {
    let mut house = House::new();
    house.add_device("a");
    house.run(disable("device:a"));
    house.run(remove("device:a"));
    let again = house.add_device("a");
    house.run(disable("device:a"));
    let early = printed(&house);
    house.run(enable("device:a"));
    let backup = back_up(&house);
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    let report = restore(&mut house, &backup, Some(&early));
    assert_eq!(report.applied, Applied::default(), "the backup holds these records");
    house.run(Command::ConfirmAll);
    assert!(house.admit(&again).is_ok());
}

#[test]
fn a_list_is_good_for_a_backup_of_any_age_also_behind_restores() {
    let mut house = House::new();
    let first = house.add_device("a");
    let oldest = back_up(&house);
    house.run(remove("device:a"));
    let second = house.add_device("a");
    let middle = back_up(&house);
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    restore(&mut house, &middle, None);
    house.run(Command::ConfirmAll);
    house.run(revoke("device:a"));
    house.add_device("b");
    house.run(disable("device:b"));
    let list = printed(&house);
    for backup in [&oldest, &middle] {
        house.close();
        fs::remove_dir_all(house.path("ledger")).unwrap();
        restore(&mut house, backup, Some(&list));
        house.run(Command::ConfirmAll);
        assert!(house.admit(&first).is_err() && house.admit(&second).is_err(), "\n{list}");
    }
}

#[test]
fn what_is_unconfirmed_stays_so_through_another_restore() {
    let mut scene = Scene::new();
    scene.lose_ledger();
    restore(&mut scene.house, &scene.backup, None);
    let list = printed(&scene.house);
    assert!(list.to_string().contains("device:kept unconfirmed"), "{list}");
    // The list is complete by its own word, yet what it calls unconfirmed is not let in.
    let text = list.to_string();
    let by_hand: String =
        text.lines().filter(|line| !line.starts_with("complete")).map(|l| format!("{l}\n")).collect();
    let list = RevokedList::parse(Path::new("list"), by_hand.as_bytes()).unwrap();
    scene.lose_ledger();
    let report = restore(&mut scene.house, &scene.backup, Some(&list));
    assert_eq!((report.unknown, report.unconfirmed), (None, 6));
    assert!(is_unconfirmed(&scene.house, "device:kept"));
}

#[test]
fn a_life_is_not_given_again_after_records_were_lost() {
    let mut house = House::new();
    let backup = back_up(&house);
    house.add_device("a");
    let lost = house.account("device:a").life;
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    restore(&mut house, &backup, None);
    let mut lives = vec![lost];
    for _ in 0..3 {
        house.add_device("a");
        lives.push(house.account("device:a").life);
        house.run(remove("device:a"));
        house.open().unwrap();
    }
    restore(&mut house, &backup, None);
    house.add_device("a");
    lives.push(house.account("device:a").life);
    lives.sort_unstable();
    lives.dedup();
    assert_eq!(lives.len(), 5, "{lives:?}");
    assert!(lives.iter().all(|life| *life < 1 << 53));
}

#[test]
fn a_life_from_before_the_backup_goes_on() {
    let mut house = House::new();
    house.add_device("a");
    let (life, backup) = (house.account("device:a").life, back_up(&house));
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    restore(&mut house, &backup, None);
    assert_eq!(house.account("device:a").life, life);
}

#[test]
fn what_was_issued_after_the_backup_is_refused_and_taken_for_nobody_else() {
    let mut scene = Scene::new();
    let lost = scene.house.add_device("lost");
    let renewed = renew(&mut scene.house, "device:kept");
    scene.lose_ledger();
    restore(&mut scene.house, &scene.backup, None);
    scene.house.run(Command::ConfirmAll);
    for certificate in [&lost, &renewed] {
        let refused = scene.house.admit(certificate).unwrap_err();
        assert!(matches!(refused, CertificateRefusal::UnknownSerial { .. }), "{refused}");
    }
    // The name is free, and its new bearer is not let in by what the lost one had.
    let again = scene.house.add_device("lost");
    assert!(again.serial != lost.serial && again.key != lost.key);
    assert!(scene.house.admit(&lost).is_err() && scene.house.admit(&again).is_ok());
}

#[test]
fn the_clock_and_certificates_work_with_a_restored_ledger() {
    let mut scene = Scene::new();
    scene.lose_ledger();
    scene.house.now.0 += 300 * DAY;
    restore(&mut scene.house, &scene.backup, None);
    let now = scene.house.now;
    assert!(scene.house.registrar().server_renewal_due(now), "its certificate is 300 days old");
    assert!(scene.house.run(Command::RenewServer).server_certificate_changed);
    assert!(!scene.house.registrar().server_renewal_due(now));
    scene.house.add_device("new");
    scene.house.now.0 += 2 * HOUR;
    scene.house.run(Command::NoteConfigChange { summary: "later".into() });
    scene.house.now.0 -= 30 * DAY;
    let refused = scene.house.refused(device("late", generated()));
    assert!(matches!(refused, Refusal::Clock { .. }), "the guard knows the time again: {refused}");
}

#[test]
fn a_clock_before_the_backup_is_refused() {
    let mut scene = Scene::new();
    scene.house.close();
    scene.house.now = WallTime(scene.backup.taken.0 - HOUR);
    let error = refuses(&scene.house, &scene.backup, None);
    assert!(
        matches!(error, RestoreError::Clock { .. }) && error.to_string().contains("set the clock"),
        "{error}"
    );
}

#[test]
fn another_installations_ledger_and_list_are_refused() {
    let (mut scene, mut other) = (Scene::new(), House::new());
    let foreign = printed(&other);
    scene.house.close();
    let error = refuses(&scene.house, &scene.backup, Some(&foreign));
    assert!(matches!(error, RestoreError::OtherList { .. }), "{error}");
    other.close();
    let error = refuses(&other, &scene.backup, None);
    assert!(
        matches!(error, RestoreError::OtherLedger { .. }) && error.to_string().contains("--dir"),
        "{error}"
    );
}

#[test]
fn a_ledger_that_went_another_way_is_refused_and_says_what_to_do() {
    let mut scene = Scene::new();
    let late = back_up(&scene.house);
    scene.lose_ledger();
    restore(&mut scene.house, &scene.backup, None);
    scene.house.close();
    let error = refuses(&scene.house, &late, None);
    assert!(matches!(error, RestoreError::Apart { .. }), "{error}");
    assert!(error.to_string().contains("keyward store revoked"), "{error}");
}

#[test]
fn an_old_ledger_that_is_older_than_the_backup_tells_nothing() {
    let mut scene = Scene::new();
    let late = back_up(&scene.house);
    scene.house.close();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        scene.house.write(copy, &scene.backup.ledger);
    }
    let report = restore(&mut scene.house, &late, None);
    assert_eq!(report.old_ledger, OldLedger::Older);
    assert_eq!(report.unknown, None, "the backup was taken now");
    scene.assert_all_taken();
    scene.house.now.0 += HOUR;
    scene.house.close();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        scene.house.write(copy, &scene.backup.ledger);
    }
    let report = restore(&mut scene.house, &late, None);
    assert_eq!(report.unknown, Some((late.taken, scene.house.now)));
}

#[test]
fn a_backup_whose_ledger_is_not_whole_is_refused() {
    let mut scene = Scene::new();
    scene.house.close();
    let whole = scene.backup.ledger.clone();
    for (ledger, why) in [
        (whole[..whole.len() - 9].to_vec(), "its end is missing"),
        (whole[..10].to_vec(), "no header"),
        (Vec::new(), "no header"),
        (whole[..16].to_vec(), "empty"),
        (whole.iter().enumerate().map(|(n, byte)| byte ^ u8::from(n == 500)).collect(), "checksum"),
    ] {
        let backup = Backup { ledger, taken: scene.backup.taken };
        let error = refuses(&scene.house, &backup, None);
        assert!(matches!(error, RestoreError::Backup(_)) && error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_list_that_speaks_of_the_future_is_refused() {
    let mut scene = Scene::new();
    let list = list(&scene.house, "complete-until: 2036-01-01T00:00:00Z\n");
    scene.house.close();
    assert!(matches!(
        refuses(&scene.house, &scene.backup, Some(&list)),
        RestoreError::ListOfTheFuture { .. }
    ));
}

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
