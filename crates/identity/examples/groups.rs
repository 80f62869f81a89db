//! Measures what it costs that a member leaves large groups: `cargo run --release -p keyward-identity --example groups`.
//!
//! Putting a device into quarantine changes the key of each group that it is in, in one record. Printed are how long that takes until it is on
//! disk, and how much longer both copies of the ledger are then.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it measures, and ends when it cannot"
)]

use base64ct::{Base64, Encoding};
use keyward_identity::{
    AddDevice, AgreementKey, Command, Context, GroupAges, InitOptions, KeyProtection, Lifetimes,
    NewCredential, NewPassword, QuarantinedBy, Registrar, WallTime,
};
use keyward_ids::{GroupId, Identity};
use rcgen::PublicKeyData as _;
use std::{path::Path, time::Instant};

const NOW: WallTime = WallTime(1_793_577_600_000);

/// Members of a group, and of how many groups they are members at once.
const SIZES: [(usize, usize); 4] = [(10, 1), (100, 1), (1_000, 1), (1_000, 5)];

/// Devices that are put into quarantine, one after the other.
const ROUNDS: usize = 9;

fn main() {
    println!("| members | groups | quarantine, median | longest | bytes of the record |");
    println!("|---:|---:|---:|---:|---:|");
    for (members, groups) in SIZES {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        keyward_identity::files::ensure_private_dir(&home).unwrap();
        let mut house = house(&home, members + ROUNDS, groups);
        let before = ledger_bytes(&home);
        let mut times: Vec<_> = (0..ROUNDS)
            .map(|number| {
                let identity = device(number);
                let because = "measured".to_owned();
                let begin = Instant::now();
                let command = Command::Quarantine { identity, by: QuarantinedBy::Operator, because };
                let outcome = house.execute(command, context()).unwrap();
                assert_eq!(outcome.rotated_groups.len(), groups);
                begin.elapsed()
            })
            .collect();
        let bytes = (ledger_bytes(&home) - before) / ROUNDS as u64;
        times.sort_unstable();
        println!(
            "| {members} | {groups} | {:.1?} | {:.1?} | {bytes} |",
            times[ROUNDS / 2],
            times[ROUNDS - 1]
        );
    }
}

/// Makes so many groups of the same devices, each with a key to encrypt to.
fn house(home: &Path, members: usize, groups: usize) -> Registrar {
    let options = InitOptions {
        now: NOW,
        build_time: NOW,
        accept_clock: false,
        actor: "bench",
        found_names: vec!["localhost".parse().unwrap()],
        added_names: Vec::new(),
        protection: KeyProtection::FileMode,
        lifetimes: Lifetimes::default(),
    };
    let mut house = Registrar::create(home, options).unwrap();
    let mut run = |command| drop(house.execute(command, context()).unwrap());
    for number in 0..members {
        let credential = NewCredential::Password(NewPassword::Generate);
        run(Command::AddDevice(AddDevice::new(name(number).parse().unwrap(), credential)));
        let pair = rcgen::KeyPair::generate().unwrap();
        let spki = Base64::encode_string(&pair.subject_public_key_info());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
        let key = AgreementKey::read_file(pem.as_bytes()).unwrap();
        run(Command::RegisterAgreementKey { identity: device(number), key });
    }
    run(Command::KeepGroups(GroupAges { rotate_secs: 86_400, keep_secs: 7 * 86_400 }));
    for number in 0..groups {
        let group: GroupId = format!("group-{number}").parse().unwrap();
        run(Command::CreateGroup { group: group.clone() });
        run(Command::AddToGroup { group, identities: (0..members).map(device).collect() });
    }
    house
}

fn context() -> Context<'static> {
    Context { now: NOW, actor: "bench" }
}

fn name(number: usize) -> String {
    format!("pump-{number}")
}

fn device(number: usize) -> Identity {
    format!("device:{}", name(number)).parse().unwrap()
}

/// Returns the bytes that one copy of the ledger holds; room that is kept behind the last record does not count.
fn ledger_bytes(home: &Path) -> u64 {
    std::fs::metadata(home.join("ledger/a.log")).unwrap().len()
}
