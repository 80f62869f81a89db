//! Stories of backups, restores and checks, on stopped stores and on running brokers.

use crate::site::{Ask, Site, revoke};
use keyward_engine::{DiskEngine, Options};
use keyward_identity::files;
use keyward_server::admin::{self, OpenOptions};
use keyward_server::backup::seal::{Lock, Opener};
use keyward_server::backup::{
    BackupError, Made, MakeOptions, RestoreOptions, Restored, list, make, restore, restore_messages,
};
use keyward_server::check::{CheckReport, check_running, check_stopped};
use keyward_server::clock;
use keyward_server::control::{Client, Standing};
use keyward_server::home::Home;
use keyward_server::running::{RunOptions, Running, run};
use keyward_store::{Batch, Engine, Read, Scan, Table};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

const RULE: &str = "[[rule]]\nwho = \"user:app\"\nallow = [\"subscribe\"]\ntopics = [\"+/status\"]\n";
const SESSIONS: Table = Table::new(1);

fn start(home: &Home) -> Running {
    let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let options =
        RunOptions { port: Some(0), address, ignore_signals: true, dumpable: true, ..RunOptions::default() };
    run(home.clone(), &options).unwrap()
}

/// What is made unless a story says otherwise: open, so that a story need not wait for scrypt.
fn options(path: &Path) -> MakeOptions<'_> {
    MakeOptions { path, force: false, lock: &Lock::Open, with_keys: false, with_messages: true }
}

fn backup(home: &Home, options: &MakeOptions<'_>) -> Result<Made, BackupError> {
    make(home, &OpenOptions::default(), options, &mut |_| {})
}

fn put_back(home: &Home, path: &Path) -> Result<Restored, BackupError> {
    let opener = Opener::default();
    let options = RestoreOptions { path, opener: &opener, revoked: None, with_messages: true };
    restore(home, &options, &mut |_| {})
}

fn put_messages_back(home: &Home, path: &Path) -> Result<Option<PathBuf>, BackupError> {
    let restored = restore_messages(home, &OpenOptions::default(), path, &Opener::default(), &mut |_| {});
    restored.map(|(replaced, _)| replaced)
}

fn check(home: &Home) -> CheckReport {
    check_stopped(home, &OpenOptions::default(), &mut |_| {}).unwrap()
}

/// Writes rows into the message store of a stopped installation.
fn write_rows(home: &Home, table: Table, rows: &[(&[u8], &[u8])]) {
    let mut engine = DiskEngine::open(home.messages_dir(), &Options::default()).unwrap();
    let mut batch = Batch::new();
    rows.iter().for_each(|(key, value)| batch.put(table, key, value));
    engine.append(&batch).unwrap();
    engine.sync().unwrap();
}

fn rows(home: &Home, table: Table) -> usize {
    let engine = DiskEngine::open(home.messages_dir(), &Options::default()).unwrap();
    let (mut scan, mut rows) = (Scan::of(table, b""), 0);
    while engine.next_page(&mut scan).unwrap() {
        rows += scan.rows().count();
    }
    rows
}

fn names(made: &Made) -> Vec<&str> {
    made.contents.iter().map(|content| content.name.as_str()).collect()
}

/// An installation that has run, with a device, a rule, a line of configuration, and its folder for files.
fn lived_in() -> (Site, PathBuf) {
    let site = Site::new();
    site.rule_file("app.toml", RULE);
    site.config("[limits]\nqueue_messages = 17\n");
    site.stopped().add_device("dev01");
    drop(start(&site.home));
    let folder = site.home.directory().with_file_name("backups");
    fs::create_dir(&folder).unwrap();
    (site, folder)
}

#[test]
fn a_backup_of_a_running_broker_holds_what_one_of_the_stopped_store_holds() {
    let (site, folder) = lived_in();
    let running = start(&site.home);
    let of_running = backup(&site.home, &options(&folder.join("running"))).unwrap();
    drop(running);
    let of_stopped = backup(&site.home, &options(&folder.join("stopped"))).unwrap();
    assert_eq!(names(&of_running), names(&of_stopped));
    let differ = of_running.contents.iter().zip(&of_stopped.contents).filter(|(one, other)| one != other);
    let differ: Vec<_> = differ.map(|(one, _)| one.name.as_str()).collect();
    assert_eq!(differ, ["manifest.json"], "but for the moment they are the same");
    for name in ["ledger.log", "keyward.toml", "policy.d/app.toml", "ca.pem", "messages/00000000.rows"] {
        assert!(names(&of_stopped).contains(&name), "{name}: {:?}", names(&of_stopped));
    }
}

#[test]
fn no_private_key_is_in_a_backup_unless_it_is_asked_for() {
    let (site, folder) = lived_in();
    let without = backup(&site.home, &options(&folder.join("without"))).unwrap();
    assert!(!names(&without).iter().any(|name| name.ends_with(".key")), "{:?}", names(&without));
    let bytes = fs::read(folder.join("without")).unwrap();
    assert!(!bytes.windows(11).any(|window| window == b"PRIVATE KEY"));
    let path = folder.join("with");
    let with = backup(&site.home, &MakeOptions { with_keys: true, ..options(&path) }).unwrap();
    assert!(with.manifest.private_keys && !without.manifest.private_keys);
    for name in ["keys/server.key", "keys/device-issuing.key", "offline/device-root.key"] {
        assert!(names(&with).contains(&name), "{name}: {:?}", names(&with));
    }
}

#[test]
fn a_backup_that_cannot_be_made_leaves_nothing_and_replaces_nothing() {
    let (site, folder) = lived_in();
    let path = folder.join("b");
    backup(&site.home, &options(&path)).unwrap();
    let first = fs::read(&path).unwrap();
    assert!(matches!(backup(&site.home, &options(&path)), Err(BackupError::Exists(_))));
    fs::remove_file(site.home.directory().join("ledger/a.log")).unwrap();
    fs::remove_file(site.home.directory().join("ledger/b.log")).unwrap();
    assert!(backup(&site.home, &MakeOptions { force: true, ..options(&path) }).is_err());
    assert!(fs::read(&path).unwrap() == first, "the good one is there");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn an_installation_moves_to_an_empty_directory_with_all_that_it_had() {
    let (site, folder) = lived_in();
    let path = folder.join("b");
    write_rows(&site.home, SESSIONS, &[(&7_u64.to_be_bytes(), b"of a session")]);
    backup(&site.home, &MakeOptions { with_keys: true, ..options(&path) }).unwrap();
    assert_eq!(list(&path, &Opener::default(), &mut |_| {}).unwrap().manifest.format, 1);
    let there = Home::at(folder.join("there"));
    let restored = put_back(&there, &path).unwrap();
    assert_eq!((restored.replaced, restored.missing_keys), (None, Vec::new()));
    assert_eq!(restored.report.unconfirmed, 1, "nobody knows what was revoked since");
    assert_eq!(rows(&there, SESSIONS), 1);
    for name in ["keyward.toml", "policy.d/app.toml", "keys/server.key", "offline/server-root.key"] {
        let read = |home: &Home| fs::read(home.directory().join(name)).unwrap();
        assert_eq!(read(&there), read(&site.home), "{name}");
    }
    let running = start(&there);
    assert_eq!(running.status().installation, restored.manifest.installation);
    assert_eq!(fs::read(there.ca_pem()).unwrap(), fs::read(site.home.ca_pem()).unwrap(), "written anew");
}

#[test]
fn what_was_revoked_after_a_backup_stays_revoked_and_what_was_there_is_kept() {
    let (site, folder) = lived_in();
    backup(&site.home, &options(&folder.join("b"))).unwrap();
    site.stopped().change(revoke("dev01"));
    site.config("# changed since\n");
    let restored = put_back(&site.home, &folder.join("b")).unwrap();
    assert_eq!(site.stopped().devices()[0].standing, Standing::Revoked);
    // A permission or listener that was taken away since is not given back.
    assert_eq!(restored.stays, ["keyward.toml", "policy.d"]);
    assert_eq!(site.config_text(), "# changed since\n");
    let replaced = restored.replaced.unwrap();
    assert!(replaced.join("ledger/a.log").exists() && replaced.join("messages").exists());
    assert!(!replaced.join("keys").exists(), "keys that are not in the backup stay where they are");
    drop(start(&site.home));
}

#[test]
fn missing_keys_are_named_and_the_pepper_is_in_every_backup() {
    let (site, folder) = lived_in();
    backup(&site.home, &options(&folder.join("b"))).unwrap();
    let there = Home::at(folder.join("there"));
    let restored = put_back(&there, &folder.join("b")).unwrap();
    let mut missing = restored.missing_keys;
    missing.sort();
    let keys = there.directory().join("keys");
    assert_eq!(
        missing,
        ["device-issuing.key", "server-issuing.key", "server.key"].map(|name| keys.join(name))
    );
    assert!(keys.join("pepper").exists());
    assert_eq!(check(&there).missing_keys.len(), 3);
    for name in ["device-issuing.key", "server-issuing.key", "server.key"] {
        fs::copy(site.home.directory().join("keys").join(name), keys.join(name)).unwrap();
    }
    drop(start(&there));
}

#[test]
fn a_running_broker_is_not_restored() {
    let (site, folder) = lived_in();
    backup(&site.home, &options(&folder.join("b"))).unwrap();
    let _running = start(&site.home);
    assert!(matches!(put_back(&site.home, &folder.join("b")), Err(BackupError::Running(_))));
    assert!(matches!(put_messages_back(&site.home, &folder.join("b")), Err(BackupError::Running(_))));
}

#[test]
fn a_backup_of_another_installation_is_refused_even_where_the_old_ledger_is_gone() {
    let (site, folder) = lived_in();
    let (other, elsewhere) = lived_in();
    let path = elsewhere.join("b");
    backup(&other.home, &options(&path)).unwrap();
    let before = fs::read(site.home.directory().join("ledger/a.log")).unwrap();
    for refused in [put_back(&site.home, &path).map(drop), put_messages_back(&site.home, &path).map(drop)] {
        assert!(refused.unwrap_err().to_string().contains("installation"));
    }
    assert!(fs::read(site.home.directory().join("ledger/a.log")).unwrap() == before);
    fs::rename(site.home.directory().join("ledger"), folder.join("ledger")).unwrap();
    let error = put_back(&site.home, &path).unwrap_err().to_string();
    assert!(error.contains("ca.pem"), "{error}");
    assert!(!site.home.directory().join("ledger").exists() && site.home.messages_dir().exists());
}

#[test]
fn messages_alone_are_put_back_and_the_others_kept() {
    let (site, folder) = lived_in();
    write_rows(&site.home, SESSIONS, &[(&7_u64.to_be_bytes(), b"old")]);
    backup(&site.home, &options(&folder.join("b"))).unwrap();
    write_rows(&site.home, SESSIONS, &[(&8_u64.to_be_bytes(), b"new"), (&9_u64.to_be_bytes(), b"new")]);
    site.stopped().add_device("dev02");
    // What an attempt left that was cut off.
    fs::create_dir(site.home.directory().join("messages.restoring")).unwrap();
    let replaced = put_messages_back(&site.home, &folder.join("b")).unwrap().unwrap();
    assert_eq!(rows(&site.home, SESSIONS), 1);
    assert!(replaced.join("FORMAT").exists());
    assert_eq!(site.stopped().devices().len(), 2, "everything else stays");
    let path = folder.join("without");
    let without = MakeOptions { with_messages: false, ..options(&path) };
    backup(&site.home, &without).unwrap();
    assert!(matches!(
        put_messages_back(&site.home, &folder.join("without")),
        Err(BackupError::NoMessages(_))
    ));
}

#[test]
fn messages_that_were_restored_when_the_power_went_are_put_in_place_by_the_next_start() {
    let (site, _) = lived_in();
    write_rows(&site.home, SESSIONS, &[(&7_u64.to_be_bytes(), b"restored")]);
    let at = |name: &str| site.home.directory().join(name);
    fs::rename(at("messages"), at("messages.restored")).unwrap();
    drop(start(&site.home));
    assert!(!at("messages.restored").exists());
    assert_eq!(rows(&site.home, SESSIONS), 1, "not begun anew");
}

#[test]
fn a_sound_installation_is_found_sound_running_and_stopped() {
    let (site, _) = lived_in();
    let stopped = check(&site.home);
    let running = start(&site.home);
    let mut told = 0;
    let live = check_running(Client::connect(&site.home).unwrap(), &mut |rows| told = rows).unwrap();
    drop(running);
    for report in [&stopped, &live] {
        assert!(report.is_sound(), "{report:?}");
        assert!(report.ledger.records >= 2 && report.ledger.bytes > 1_000);
        assert_eq!(report.messages.as_ref().unwrap().tables.len(), 11);
    }
    assert_eq!(told, 4, "the rows of a store that is new");
}

#[test]
fn a_record_that_does_not_read_is_found_running_and_stopped() {
    let (site, _) = lived_in();
    write_rows(&site.home, SESSIONS, &[(&7_u64.to_be_bytes(), b"nonsense")]);
    let found = check(&site.home).problems().collect::<Vec<_>>();
    assert_eq!(found, ["a stored record does not read: table 1 key 0000000000000007"]);
    let _running = start(&site.home);
    let live = check_running(Client::connect(&site.home).unwrap(), &mut |_| {}).unwrap();
    assert_eq!(live.problems().collect::<Vec<_>>(), found);
}

#[test]
fn a_copy_of_the_ledger_that_differs_is_found_before_it_is_mended() {
    let (site, _) = lived_in();
    let path = site.home.directory().join("ledger/b.log");
    let bytes = fs::read(&path).unwrap();
    files::replace(&path, &bytes[..bytes.len() - 10]).unwrap();
    let problems: Vec<_> = check(&site.home).problems().collect();
    let place = format!("from byte {} on", bytes.len() - 10);
    assert!(problems[0].contains("b.log") && problems[0].contains(&place), "{problems:?}");
    assert!(check(&site.home).is_sound(), "it was mended by looking");
}

#[test]
fn damage_that_the_engine_finds_is_told_and_nothing_is_moved() {
    let (site, _) = lived_in();
    files::replace(&site.home.messages_dir().join("SYNCED"), &[7; 5_000]).unwrap();
    let report = check(&site.home);
    assert!(report.problems().next().unwrap().contains("SYNCED"), "{report:?}");
    assert!(site.home.messages_dir().exists());
    let error = backup(&site.home, &options(&site.home.directory().with_file_name("x"))).unwrap_err();
    assert!(error.to_string().contains("--without-messages"), "{error}");
}

const RETAINED: Table = Table::new(7);

/// Fills a table of a new store until fjall has written table files, and damages the first block of each of them.
fn damaged_table(home: &Home, table: Table, key: impl Fn(u64) -> Vec<u8>) {
    fs::remove_dir_all(home.messages_dir()).unwrap();
    let small = Options { memtable: 64 << 10, ..Options::default() };
    let mut engine = DiskEngine::open(home.messages_dir(), &small).unwrap();
    let mut batch = Batch::new();
    batch.put(Table::new(0), b"format", &1_u32.to_be_bytes());
    batch.put(Table::new(0), b"hash-key", &[7; 16]);
    for number in 0..ROWS {
        batch.put(table, &key(number), &number.to_be_bytes().repeat(100));
        engine.append(&batch).unwrap();
        batch.clear();
    }
    engine.sync().unwrap();
    let is_large = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() > 20_000);
    // fjall flushes on threads of its own, when they get to it.
    let deadline = clock::now().mono.0 + 60_000;
    while !tables(&home.messages_dir()).iter().any(is_large) {
        assert!(clock::now().mono.0 < deadline, "nothing was flushed into a table file");
        std::thread::yield_now();
    }
    drop(engine);
    let mut damaged = 0;
    for path in tables(&home.messages_dir()) {
        let mut bytes = fs::read(&path).unwrap();
        if bytes.len() > 20_000 {
            bytes[1_000] ^= 0x55;
            files::replace(&path, &bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0, "nothing was flushed into a table file");
}

const ROWS: u64 = 3_000;

/// A damaged table file used to stop the start: it is seen when it is read, not when it is opened.
#[test]
fn damage_that_is_seen_only_when_it_is_read_does_not_stop_the_start() {
    let (site, _) = lived_in();
    damaged_table(&site.home, SESSIONS, |number| number.to_be_bytes().to_vec());
    let running = start(&site.home);
    let warnings = running.status().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("messages.damaged-")), "{warnings:?}");
    drop(running);
    assert_eq!(rows(&site.home, SESSIONS), 0, "no session with a hole comes back");
}

#[test]
fn what_can_be_read_of_a_damaged_table_file_comes_back() {
    let (site, _) = lived_in();
    damaged_table(&site.home, RETAINED, |number| format!("house/{number:06}").into_bytes());
    drop(start(&site.home));
    let left = rows(&site.home, RETAINED) as u64;
    assert!((ROWS / 4..ROWS).contains(&left), "{left} of {ROWS}");
}

#[test]
fn a_salvage_that_was_cut_off_is_done_again() {
    let (site, _) = lived_in();
    write_rows(&site.home, SESSIONS, &[(&7_u64.to_be_bytes(), b"kept")]);
    let at = |name: &str| site.home.directory().join(name);
    // As the power found it: the damaged store has left its place, the new one is half made.
    fs::rename(at("messages"), at("messages.damaged-1")).unwrap();
    fs::create_dir(at("messages.restoring")).unwrap();
    drop(start(&site.home));
    assert_eq!(rows(&site.home, SESSIONS), 1, "not begun anew");
    assert!(!at("messages.damaged-1").exists());
}

#[test]
fn what_is_before_the_damage_of_a_journal_comes_back() {
    let (site, _) = lived_in();
    write_rows(&site.home, SESSIONS, &[(&7_u64.to_be_bytes(), b"before the damage")]);
    write_rows(&site.home, SESSIONS, &[(&8_u64.to_be_bytes(), b"in the damage")]);
    write_rows(&site.home, SESSIONS, &[(&9_u64.to_be_bytes(), b"behind the damage")]);
    let journal = site.home.messages_dir().join("data/0.jnl");
    let mut bytes = fs::read(&journal).unwrap();
    let at = bytes.windows(13).position(|window| window == b"in the damage").unwrap();
    bytes[at] ^= 1;
    files::replace(&journal, &bytes).unwrap();
    drop(start(&site.home));
    assert_eq!(rows(&site.home, SESSIONS), 1);
    let aside = fs::read_dir(site.home.directory()).unwrap().flatten();
    let aside = aside.filter(|entry| entry.file_name().to_string_lossy().starts_with("messages.damaged-"));
    let kept: Vec<_> = aside.map(|entry| entry.path().join("data/0.jnl.damaged")).collect();
    assert!(kept.len() == 1 && fs::read(&kept[0]).unwrap() == bytes, "{kept:?}");
}

fn tables(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tables(&path));
        } else if path.parent().unwrap().ends_with("tables") {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_command_that_asks_a_stream_in_one_line_is_refused() {
    let (site, _) = lived_in();
    let mut stopped = admin::open_stopped(&site.home, &OpenOptions::default()).unwrap();
    assert!(stopped.execute(keyward_server::control::Request::StoreCheck).is_err());
}
