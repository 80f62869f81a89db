//! What was taken away after a backup stays taken away when that backup is restored.

mod authorities;
mod codes;
mod doubt;
mod groups;
mod ledger;
mod list;
mod message_keys;
mod place;
mod places;
mod quarantine;
mod server_keys;

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
