use super::*;
use crate::admin::fixture::{Fixture, fixture};
use crate::control::Request;
use keyward_identity::{AddDevice, MessageKey, NewCredential, NewMessageKey, SecondHolderSign};
use serde_json::Value;

const TOPIC: &str = "$keyward/incidents/equivocation/pump-1";

pub(in crate::admin) fn key(n: u8) -> MessageKey {
    let cose = |kid: [u8; 8]| {
        let label = [&[0xa5, 1, 1, 2, 0x48][..], &kid, &[3, 0x27, 0x20, 6, 0x21, 0x58, 0x20], &[n; 32]];
        label.concat()
    };
    let required = [&[0xa3, 1, 1, 0x20, 6, 0x21, 0x58, 0x20][..], &[n; 32]].concat();
    let thumbprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &required);
    MessageKey::read(&cose(thumbprint.as_ref()[..8].try_into().unwrap()), 0).unwrap()
}

pub(in crate::admin) fn evidence(number: u64, sign: SecondHolderSign) -> SecondHolder {
    let (topic, hosts) = ("pump-1/t".to_owned(), vec!["192.0.2.7".to_owned()]);
    SecondHolder { sign, number, highest: 1 << 60, digest: [0xab; 32], topic, hosts }
}

/// An installation with a pump that has a message key, where proof is an incident and nothing else.
fn with_pump() -> Fixture {
    let mut site = fixture();
    site.admin.running.as_mut().unwrap().config.quarantine.two_holders = false;
    let add = AddDevice::new("pump-1".parse().unwrap(), NewCredential::None);
    run(&mut site, Command::AddDevice(add));
    run(&mut site, Command::RegisterMessageKey { identity: pump(), key: key(7) });
    site.told.take();
    site
}

fn run(site: &mut Fixture, command: Command) {
    Turn::begin(&mut site.admin, "test").command(command).unwrap_or_else(|error| panic!("{}", error.what));
}

fn pump() -> Identity {
    "device:pump-1".parse().unwrap()
}

fn prove(site: &mut Fixture, number: u64, sign: SecondHolderSign) {
    site.admin.two_holders(&pump(), key(7).kid(), evidence(number, sign), "broker");
}

fn told(site: &Fixture) -> Value {
    let told = site.told.take();
    assert_eq!(told.len(), 1, "{told:?}");
    let payload = told[0].strip_prefix(TOPIC).unwrap_or_else(|| panic!("{told:?}"));
    serde_json::from_str(payload).unwrap_or(Value::Null)
}

#[test]
fn the_first_proof_of_a_device_is_written_down_and_told_and_others_are_not() {
    let mut site = with_pump();
    prove(&mut site, u64::MAX, SecondHolderSign::Equivocation { tag: 1, earlier: 0xffff_ffff });
    let incident = told(&site);
    for (field, value) in [
        ("incident", "equivocation"),
        ("device", "pump-1"),
        ("proof", "two-messages"),
        ("number", "18446744073709551615"),
        ("digest", &"ab".repeat(32)),
        ("tag", "00000001"),
        ("earlier_tag", "ffffffff"),
        ("topic", "pump-1/t"),
    ] {
        assert_eq!(incident[field], value, "{field}");
    }
    assert_eq!(incident["hosts"][0], "192.0.2.7");
    let written = site.audit().len();
    for number in 0..100 {
        prove(&mut site, number, SecondHolderSign::Behind);
    }
    assert_eq!((site.audit().len(), site.told.take().len()), (written, 0));
    assert!(site.audit().concat().contains("equivocation: two hold the message key"));
    assert!(site.admin.status().warnings.concat().contains("incident equivocation"));
}

#[test]
fn it_ends_when_the_key_is_taken_away_or_retired_however_that_comes_about() {
    let kid = key(7).kid();
    type End = fn(&mut Fixture, Kid);
    let ends: [End; 5] = [
        |site, _| {
            let with = NewMessageKey::Key(key(8));
            run(site, Command::Rekey { id: "pump-1".parse().unwrap(), with })
        },
        |site, kid| run(site, Command::WithdrawMessageKey { identity: pump(), kid }),
        |site, kid| run(site, Command::RetireMessageKey { identity: pump(), kid, overlap_secs: 60 }),
        |site, _| drop(site.admin.execute(Request::DeviceRemove { id: "pump-1".to_owned() }).unwrap()),
        |site, _| run(site, Command::Revoke { identity: pump(), keep_messages: false, publish_will: false }),
    ];
    for end in ends {
        let mut site = with_pump();
        prove(&mut site, 7, SecondHolderSign::Behind);
        assert_eq!(told(&site)["proof"], "number-behind");
        end(&mut site, kid);
        assert_eq!(site.told.take(), [format!("{TOPIC} ")]);
        assert!(!site.admin.status().warnings.concat().contains("incident"));
    }
}

#[test]
fn it_survives_a_restart_and_is_told_again() {
    let mut site = with_pump();
    prove(&mut site, 7, SecondHolderSign::Behind);
    site.told.take();
    site.admin.tell_incidents();
    assert_eq!(told(&site)["number"], "7");
}

#[test]
fn a_proof_of_a_key_that_is_gone_changes_nothing() {
    let mut site = with_pump();
    run(&mut site, Command::WithdrawMessageKey { identity: pump(), kid: key(7).kid() });
    prove(&mut site, 7, SecondHolderSign::Behind);
    run(&mut site, Command::RegisterMessageKey { identity: pump(), key: key(8) });
    run(&mut site, Command::RetireMessageKey { identity: pump(), kid: key(8).kid(), overlap_secs: 0 });
    site.admin.two_holders(&pump(), key(8).kid(), evidence(7, SecondHolderSign::Behind), "broker");
    assert!(site.told.take().is_empty());
}
