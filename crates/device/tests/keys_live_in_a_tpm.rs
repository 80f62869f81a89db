//! Keys in a TPM 2.0, played by swtpm. Without swtpm these tests say so and pass.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]
#![allow(clippy::disallowed_methods, reason = "tests plant files as an attacker would")]
#![allow(clippy::print_stderr, reason = "a test that was left out has to say so")]

mod contract;

use keyward_device::{
    Counter, Endorsement, Generation, KeyError, KeyStore, Protection, Role, TpmPlace, TpmStore,
};
use keyward_tpm::{Doubt, Evidence};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Is a running simulator.
struct Simulator {
    child: Child,
    dir: TempDir,
}

impl Simulator {
    fn start() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let child = run(dir.path())?;
        Some(Self { child, dir })
    }

    fn place(&self) -> TpmPlace {
        TpmPlace::Socket(self.dir.path().join("socket"))
    }

    /// Takes its power away, and gives it back.
    fn restart(&mut self) {
        self.stop();
        self.child = run(self.dir.path()).unwrap();
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _ = std::fs::remove_file(self.dir.path().join("socket"));
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(dir: &Path) -> Option<Child> {
    let socket = dir.join("socket");
    let child = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
        .arg("--tpmstate")
        .arg(format!("dir={}", dir.display()))
        .arg("--server")
        .arg(format!("type=unixio,path={}", socket.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        eprintln!("left out: swtpm is not installed");
        return None;
    };
    let end = Instant::now() + Duration::from_secs(10);
    // The socket is there a moment before the simulator listens.
    while UnixStream::connect(&socket).is_err() && Instant::now() < end {
        std::thread::yield_now();
    }
    Some(child)
}

fn copied(from: &Path) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let to = dir.path().join("keys");
    assert!(Command::new("cp").arg("-a").arg(from).arg(&to).status().unwrap().success());
    (dir, to)
}

#[test]
fn a_store_in_a_tpm_does_what_it_promises() {
    let Some(tpm) = Simulator::start() else { return };
    let keys = tpm.dir.path().join("keys");
    contract::a_store_does_what_it_promises(
        || Arc::new(TpmStore::create(&keys, &tpm.place()).unwrap()),
        || Ok(Arc::new(TpmStore::open(&keys, &tpm.place())?)),
    );
    let again = TpmStore::create(&keys, &tpm.place()).unwrap();
    assert_eq!(again.protection(), Protection::Hardware);
}

#[test]
fn a_copied_folder_opens_nothing_in_another_tpm() {
    let (Some(own), Some(other)) = (Simulator::start(), Simulator::start()) else { return };
    let keys = own.dir.path().join("keys");
    let store = TpmStore::create(&keys, &own.place()).unwrap();
    let wrapped = store.wrap(&[7; 32]).unwrap();
    let (_dir, copy) = copied(&keys);
    let refused = TpmStore::open(&copy, &other.place()).unwrap_err().to_string();
    assert!(refused.contains("belong to another TPM"), "{refused}");
    let theirs = TpmStore::create(other.dir.path().join("keys"), &other.place()).unwrap();
    assert!(matches!(theirs.unwrap(&wrapped), Err(KeyError::Foreign)));
    drop(theirs);
    // Whoever renames the chip in the folder gets no further.
    std::fs::copy(other.dir.path().join("keys/storage.name"), copy.join("storage.name")).unwrap();
    assert!(TpmStore::open(&copy, &other.place()).is_err());
    assert_eq!(*store.unwrap(&wrapped).unwrap(), [7; 32]);
}

#[test]
fn counters_never_go_back_and_do_not_touch_each_other() {
    let Some(mut tpm) = Simulator::start() else { return };
    let keys = tpm.dir.path().join("keys");
    let store = TpmStore::create(&keys, &tpm.place()).unwrap();
    let count = |store: &TpmStore, counter| store.counter(counter).unwrap().unwrap();
    let (starts, states) = (count(&store, Counter::Starts), count(&store, Counter::Store));
    assert_eq!(store.raise_counter(Counter::Starts).unwrap(), Some(starts + 1));
    assert_eq!((count(&store, Counter::Starts), count(&store, Counter::Store)), (starts + 1, states));
    drop(store);
    tpm.restart();
    let store = TpmStore::open(&keys, &tpm.place()).unwrap();
    assert_eq!(count(&store, Counter::Starts), starts + 1, "it survives a power cut");
    store.destroy().unwrap();
    drop(store);
    let again = TpmStore::create(&keys, &tpm.place()).unwrap();
    assert!(count(&again, Counter::Starts) > starts, "a new one begins above all that were");
}

#[test]
fn a_reset_of_the_tpm_meanwhile_goes_unnoticed() {
    let Some(mut tpm) = Simulator::start() else { return };
    let keys = tpm.dir.path().join("keys");
    let store = TpmStore::create(&keys, &tpm.place()).unwrap();
    let before = store.public(Role::Message, Generation::Current).unwrap();
    tpm.restart();
    store.sign(Role::Message, Generation::Current, &[3; 32]).unwrap();
    assert_eq!(store.public(Role::Message, Generation::Current).unwrap(), before);
    tpm.stop();
    let gone = store.sign(Role::Message, Generation::Current, &[3; 32]).unwrap_err().to_string();
    assert!(gone.contains("start swtpm"), "{gone}");
    tpm.child = run(tpm.dir.path()).unwrap();
    store.sign(Role::Message, Generation::Current, &[3; 32]).unwrap();
}

fn fingerprint(store: &TpmStore) -> [u8; 32] {
    store.endorsement().unwrap().unwrap().fingerprint
}

#[test]
fn a_tpm_vouches_for_its_keys_and_answers_a_challenge_that_no_other_answers() {
    let (Some(own), Some(other)) = (Simulator::start(), Simulator::start()) else { return };
    let store = TpmStore::create(own.dir.path().join("keys"), &own.place()).unwrap();
    let theirs = TpmStore::create(other.dir.path().join("keys"), &other.place()).unwrap();
    let about = Evidence::about("pump-7", &[7; 32]);
    let evidence = store.vouch(&about).unwrap().unwrap();
    let vouched = evidence.judge(&about).unwrap();
    assert_eq!(vouched.tls, store.public(Role::Tls, Generation::Current).unwrap());
    assert_eq!(vouched.message, store.public(Role::Message, Generation::Current).unwrap());
    assert_eq!(vouched.fingerprint(), fingerprint(&store));
    let (challenge, expected) = vouched.challenge().unwrap();
    let answer = store.activate(&challenge).unwrap();
    assert!(expected.is_met(&vouched, &answer) && !expected.is_met(&vouched, &answer[1..]));
    assert!(matches!(theirs.activate(&challenge), Err(KeyError::Foreign)), "it is for one chip");
    assert_eq!(about, Evidence::about("Pump-7", &[7; 32]), "however an id is spelled");
    for other in [Evidence::about("pump-8", &[7; 32]), Evidence::about("pump-7", &[8; 32])] {
        assert_eq!(evidence.judge(&other), Err(Doubt::OtherUse), "it is about one device at one server");
    }
    drop(store);
    assert_eq!(Endorsement::ask(&own.place()).unwrap().fingerprint, vouched.fingerprint());
    assert_ne!(fingerprint(&theirs), vouched.fingerprint());
}

#[test]
fn where_there_is_no_tpm_the_error_says_what_to_do() {
    let dir = TempDir::new().unwrap();
    let place = TpmPlace::Device(dir.path().join("tpmrm0"));
    let refused = TpmStore::create(dir.path().join("keys"), &place).unwrap_err().to_string();
    assert!(refused.contains("this machine has no TPM 2.0"), "{refused}");
}
