//! Groups: who gets which key, and that nobody who is out gets the next one.

use crate::support::*;
use keyward_identity::{
    AuditEntry, Command, Event, Group, GroupAges, GroupRefusal, KeyProtection, Kid, OpenOptions,
    QuarantinedBy, Refusal, Registrar, WallTime, limits,
};
use keyward_ids::{GroupId, Identity};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs, sync::Arc};

pub fn group(name: &str) -> GroupId {
    name.parse().unwrap()
}

pub fn create(name: &str) -> Command {
    Command::CreateGroup { group: group(name) }
}

pub fn add(name: &str, who: &[&str]) -> Command {
    let identities = who.iter().map(|identity| identity.parse().unwrap()).collect();
    Command::AddToGroup { group: group(name), identities }
}

pub fn take_out(name: &str, who: &[&str]) -> Command {
    let identities = who.iter().map(|identity| identity.parse().unwrap()).collect();
    Command::RemoveFromGroup { group: group(name), identities }
}

pub fn keep() -> Command {
    Command::KeepGroups(GroupAges { rotate_secs: 86_400, keep_secs: 7 * 86_400 })
}

pub fn found(house: &House, name: &str) -> Group {
    Group::clone(house.registrar().groups().get(&group(name)).unwrap())
}

pub fn epoch(house: &House, name: &str) -> u32 {
    found(house, name).current().number
}

fn members(house: &House, name: &str) -> Vec<String> {
    found(house, name).members.keys().map(ToString::to_string).collect()
}

/// A group `plant` with two devices and a user, each with a key to encrypt to.
pub fn plant() -> House {
    let mut house = House::new();
    house.add_device("pump-1");
    house.add_device("pump-2");
    house.run(user("app", generated_password()));
    for member in ["device:pump-1", "device:pump-2", "user:app"] {
        agree(&mut house, member);
    }
    house.run(create("plant"));
    house.run(add("plant", &["device:pump-1", "device:pump-2", "user:app"]));
    house
}

/// What the server says to a group has its number from the command key, and is encrypted in the epoch that members send in.
#[test]
fn a_message_to_a_group_has_a_number_that_comes_once_and_is_written_with_its_epoch() {
    let mut house = plant();
    let sign = |name: &str| Command::SignGroupMessage { group: group(name), topic: "plant/shut".into() };
    assert!(matches!(house.refused(sign("plant")), Refusal::NoCommandKey));
    house.run(Command::KeepServerKeys);
    let first = house.run(sign("plant")).number.unwrap();
    let signed = last_events(&house);
    let Event::GroupMessageSigned { epoch: 1, number, .. } = signed[0] else { panic!("{signed:?}") };
    house.run(Command::RotateGroup { group: group("plant") });
    house.open().unwrap();
    let second = house.run(sign("PLANT")).number.unwrap();
    let signed = last_events(&house);
    assert!(matches!(signed[0], Event::GroupMessageSigned { epoch: 2, .. }), "{signed:?}");
    assert!(number == first && second > first);
    assert!(matches!(house.refused(sign("mill")), Refusal::Group(GroupRefusal::Missing(_))));
    let long = Command::SignGroupMessage { group: group("plant"), topic: "x".repeat(1_025) };
    assert!(matches!(house.refused(long), Refusal::TooLong { .. }));
}

fn last_events(house: &House) -> Vec<Event> {
    let revision = house.registrar().registry().revision();
    let entries: Vec<AuditEntry> = house.registrar().audit(revision).unwrap().map(Result::unwrap).collect();
    entries[0].events.clone()
}

#[test]
fn a_group_has_members_and_a_key_and_survives_a_restart() {
    let mut house = plant();
    let (first, key) = (epoch(&house, "plant"), *house.registrar().group_keys().get(1).unwrap());
    assert_eq!(first, 1);
    assert_ne!(key, [0; 16]);
    house.open().unwrap();
    assert_eq!(members(&house, "plant"), ["device:pump-1", "device:pump-2", "user:app"]);
    assert_eq!((epoch(&house, "plant"), house.registrar().group_keys().get(1)), (1, Some(&key)));
    assert!(!house.run(add("plant", &["device:PUMP-1"])).changed, "it is a member however it is spelled");
    house.run(create("hall"));
    assert_eq!(epoch(&house, "hall"), 2, "epochs are numbered through the installation");
    assert!(matches!(house.refused(create("Plant")), Refusal::Group(GroupRefusal::Exists(_))));
    assert!(matches!(house.refused(add("x", &["user:app"])), Refusal::Group(GroupRefusal::Missing(_))));
    assert!(matches!(house.refused(add("plant", &["user:eve"])), Refusal::NoSuchIdentity(_)));
    assert!(matches!(house.refused(take_out("plant", &["user:eve"])), Refusal::NoSuchIdentity(_)));
    assert!(matches!(house.refused(add("plant", &[])), Refusal::Group(GroupRefusal::Nobody)));
}

/// What ends a membership, or takes a key from a member.
fn losses(house: &House) -> Vec<(&'static str, Command)> {
    let identity: Identity = "device:pump-1".parse().unwrap();
    let kid = house.account("device:pump-1").agreement_keys[0].key.kid();
    vec![
        ("removed from the group", take_out("plant", &["device:pump-1"])),
        ("key withdrawn", Command::WithdrawMessageKey { identity, kid }),
        ("disabled", disable("device:pump-1")),
        ("put into quarantine", crate::quarantine::quarantine("device:pump-1", QuarantinedBy::Broker)),
        ("revoked", revoke("device:pump-1")),
        ("removed", remove("device:pump-1")),
    ]
}

#[test]
fn whoever_is_taken_out_withdrawn_disabled_revoked_or_removed_never_gets_the_next_key() {
    for n in 0..losses(&plant()).len() {
        let mut house = plant();
        let (what, command) = losses(&house).swap_remove(n);
        let outcome = house.run(command);
        assert_eq!(outcome.rotated_groups, [group("plant")], "{what}");
        assert_eq!(epoch(&house, "plant"), 2, "{what}");
        let rotated = Event::GroupRotated { group: group("plant"), epoch: 2 };
        assert!(last_events(&house).contains(&rotated), "{what}: one record holds both");
        let served = |house: &House| {
            let account = house.account("device:pump-1");
            found(house, "plant").serves(&account).is_some() && !account.agreement_keys.is_empty()
        };
        assert!(!served(&house), "{what}");
        house.open().unwrap();
        assert!(!served(&house) && house.registrar().group_keys().get(2).is_some(), "{what}");
    }
}

#[test]
fn who_was_no_member_or_has_no_key_loses_nothing() {
    let mut house = plant();
    house.add_device("other");
    house.add_device("keyless");
    agree(&mut house, "device:other");
    house.run(add("plant", &["device:keyless"]));
    for command in [revoke("device:other"), revoke("device:keyless")] {
        assert!(house.run(command).rotated_groups.is_empty());
    }
    house.add_device("third");
    house.run(add("plant", &["device:third"]));
    let first = agree(&mut house, "device:third");
    let identity = || "device:third".parse().unwrap();
    house.run(Command::RetireMessageKey { identity: identity(), kid: first.kid(), overlap_secs: 0 });
    agree(&mut house, "device:third");
    assert_eq!(epoch(&house, "plant"), 1, "a key that is replaced stays with its holder");
    house.run(Command::WithdrawMessageKey { identity: identity(), kid: first.kid() });
    assert_eq!(epoch(&house, "plant"), 2, "one that is withdrawn may be anybody's");
}

#[test]
fn another_life_of_a_name_is_no_member() {
    let mut house = plant();
    house.run(remove("device:pump-1"));
    house.add_device("pump-1");
    agree(&mut house, "device:pump-1");
    assert_eq!(members(&house, "plant"), ["device:pump-2", "user:app"]);
}

#[test]
fn several_leave_at_once_and_the_key_changes_once() {
    let mut house = plant();
    house.run(take_out("plant", &["device:pump-1", "device:pump-2", "device:PUMP-2"]));
    assert_eq!((members(&house, "plant"), epoch(&house, "plant")), (vec!["user:app".to_owned()], 2));
    assert!(!house.run(take_out("plant", &["device:pump-1"])).changed);
}

#[test]
fn a_key_changes_every_day_and_is_forgotten_a_week_after_its_successor() {
    let mut house = plant();
    assert!(!house.run(keep()).changed);
    for day in 1..=9 {
        house.now.0 += DAY;
        house.run(keep());
        assert_eq!(epoch(&house, "plant"), day + 1);
    }
    let numbers: Vec<u32> = found(&house, "plant").epochs.iter().map(|epoch| epoch.number).collect();
    assert_eq!(numbers, [3, 4, 5, 6, 7, 8, 9, 10], "those whose successor is younger than a week");
    let has = |house: &House, epoch| house.registrar().group_keys().get(epoch).is_some();
    assert!(!has(&house, 2) && numbers.iter().all(|epoch| has(&house, *epoch)));
    let kept = fs::metadata(house.path("keys/groups")).unwrap().len();
    house.open().unwrap();
    assert!(!has(&house, 2) && has(&house, 3));
    for _ in 0..2 * limits::GROUP_EPOCHS {
        house.run(Command::RotateGroup { group: group("plant") });
    }
    assert_eq!(found(&house, "plant").epochs.len(), limits::GROUP_EPOCHS);
    let full = fs::metadata(house.path("keys/groups")).unwrap().len();
    assert!(kept < full && full < 1_024, "{full}");
}

#[test]
fn a_deleted_group_leaves_no_key_and_its_numbers_never_come_back() {
    let mut house = plant();
    house.run(Command::DeleteGroup { group: group("plant") });
    assert!(house.registrar().groups().is_empty() && house.registrar().group_keys().get(1).is_none());
    house.run(create("plant"));
    assert_eq!((epoch(&house, "plant"), members(&house, "plant").len()), (2, 0));
}

#[test]
fn a_user_is_called_as_no_device_is() {
    let mut house = plant();
    let called = house.refused(device("User.App", generated()));
    assert!(called.to_string().contains("user:app would be called as device:User.App"), "{called}");
    house.add_device("user.eve");
    house.run(user("eve", generated_password()));
    assert!(matches!(
        house.refused(add("plant", &["user:eve"])),
        Refusal::Group(GroupRefusal::Called { .. })
    ));
    house.run(remove("device:user.eve"));
    house.run(add("plant", &["user:eve"]));
    house.refused(device("user.eve", generated()));
    let long = "x".repeat(60);
    house.run(user(&long, generated_password()));
    let refusal = house.refused(add("plant", &[&format!("user:{long}")]));
    assert!(matches!(refusal, Refusal::Group(GroupRefusal::TooLong(_))), "{refusal}");
}

#[test]
fn the_key_stands_in_no_record_and_is_sealed_if_there_is_a_passphrase() {
    let mut house = plant();
    house.run(Command::ShowGroupKey { group: group("plant"), epoch: None });
    assert_eq!(last_events(&house), [Event::GroupKeyShown { group: group("plant"), epoch: 1 }]);
    let unknown = house.refused(Command::ShowGroupKey { group: group("plant"), epoch: Some(9) });
    assert!(matches!(unknown, Refusal::Group(GroupRefusal::NoKey { epoch: 9, .. })), "{unknown}");
    let key = *house.registrar().group_keys().get(1).unwrap();
    house.close();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        let bytes = fs::read(house.path(copy)).unwrap();
        assert!(
            !bytes.windows(16).any(|window| window == key) && !String::from_utf8_lossy(&bytes).contains(&hex)
        );
    }
    let sealed = OpenOptions { protection: passphrase("p"), ..options() };
    drop(Registrar::open(house.dir.path(), sealed.clone()).unwrap());
    assert!(fs::read_to_string(house.path("keys/groups")).unwrap().contains("SEALED"));
    let opened = Registrar::open(house.dir.path(), sealed).unwrap();
    assert_eq!(opened.group_keys().get(1), Some(&key));
    drop(opened);
    let without = OpenOptions { protection: KeyProtection::FileMode, ..options() };
    assert!(Registrar::open(house.dir.path(), without).is_err());
}

/// A disk that takes no file must not hold up a revocation; the group gets a key as soon as one can be kept.
#[test]
fn without_a_place_for_the_key_the_revocation_holds_and_the_group_waits_for_a_key() {
    let mut house = plant();
    house.run(Command::KeepServerKeys);
    fs::remove_file(house.path("keys/groups")).unwrap();
    fs::create_dir(house.path("keys/groups")).unwrap();
    house.write("keys/groups/in-the-way", "");
    assert_eq!(house.run(revoke("device:pump-1")).rotated_groups, [group("plant")]);
    assert_eq!((epoch(&house, "plant"), house.registrar().group_keys().get(2)), (2, None));
    let sign = Command::SignGroupMessage { group: group("plant"), topic: "plant/shut".into() };
    let refused = house.refused(sign);
    assert!(matches!(refused, Refusal::Group(GroupRefusal::Keyless(_))), "not under the old key: {refused}");
    fs::remove_dir_all(house.path("keys/groups")).unwrap();
    house.run(keep());
    assert_eq!(epoch(&house, "plant"), 3);
    assert!(house.registrar().group_keys().get(3).is_some());
}

/// The broker was killed between key and record: the key of an epoch that never began is nobody's.
#[test]
fn a_key_that_was_kept_and_not_written_down_is_replaced() {
    let mut house = plant();
    let before = fs::read(house.path("ledger/a.log")).unwrap();
    house.run(Command::RotateGroup { group: group("plant") });
    let drawn = *house.registrar().group_keys().get(2).unwrap();
    house.close();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        house.write(copy, &before);
    }
    house.open().unwrap();
    assert_eq!((epoch(&house, "plant"), house.registrar().group_keys().get(2)), (1, None));
    house.run(revoke("device:pump-1"));
    assert_ne!(house.registrar().group_keys().get(2), Some(&drawn));
}

#[test]
fn bounds_are_told_and_hold() {
    let mut house = plant();
    for n in 1..limits::GROUPS {
        house.run(create(&format!("g{n}")));
    }
    assert!(matches!(house.refused(create("more")), Refusal::Full { what: "groups", .. }));
    let many = vec!["user:app".parse().unwrap(); limits::GROUP_MEMBERS + 1];
    let refusal = house.refused(Command::AddToGroup { group: group("plant"), identities: many });
    assert!(matches!(refusal, Refusal::Full { .. }), "{refusal}");
}

/// What may happen to one of three devices and a user, and to two groups.
fn happening(kind: u8, who: usize, which: usize) -> Command {
    let who = ["device:a", "device:b", "device:c", "user:u"][who];
    let name = ["one", "two"][which];
    let identity: Identity = who.parse().unwrap();
    match kind {
        0..=3 => add(name, &[who]),
        4 => take_out(name, &[who]),
        5 => disable(who),
        6 => enable(who),
        7 => revoke(who),
        8 => remove(who),
        9 => match identity {
            Identity::Device(id) => device(id.as_str(), generated()),
            Identity::User(id) => user(id.as_str(), generated_password()),
        },
        10 | 11 => Command::RegisterAgreementKey { identity, key: agreement_key() },
        12 => Command::RotateGroup { group: group(name) },
        13 => create(name),
        14 => Command::DeleteGroup { group: group(name) },
        _ => keep(),
    }
}

/// Returns to whom the keys of the current epochs may be encrypted now.
fn served(house: &House) -> BTreeMap<u32, Vec<Kid>> {
    let registry = house.registrar().registry();
    let of = |group: &Arc<Group>| {
        let accounts = group.members.keys().filter_map(|identity| registry.find(identity));
        let keys =
            accounts.filter(|account| account.is_trusted()).flat_map(|account| &account.agreement_keys);
        (group.current().number, keys.map(|held| held.key.kid()).collect())
    };
    house.registrar().groups().iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whoever had the key of an epoch at any moment is served as long as that is the current one.
    #[test]
    fn nobody_has_a_current_key_who_is_not_served_any_more(
        steps in proptest::collection::vec((0u8..17, 0usize..4, 0usize..2, any::<bool>()), 1..60),
    ) {
        let mut house = House::new();
        house.run(create("one"));
        let (mut had, mut newest) = (BTreeMap::<u32, Vec<Kid>>::new(), 1);
        for (kind, who, which, withdraw) in steps {
            house.now = WallTime(house.now.0 + 3_600_000);
            let first = |house: &House| {
                let identity: Identity = ["device:a", "device:b", "device:c", "user:u"][who].parse().unwrap();
                let registry = house.registrar().registry();
                let held = registry.find(&identity)?.agreement_keys.first().map(|held| held.key.kid());
                Some(Command::WithdrawMessageKey { identity, kid: held? })
            };
            let command = first(&house).filter(|_| withdraw && kind == 10);
            let _ = house.execute(command.unwrap_or_else(|| happening(kind, who, which)));
            let now = served(&house);
            for (epoch, kids) in &now {
                let known = had.entry(*epoch).or_default();
                prop_assert!(known.iter().all(|kid| kids.contains(kid)), "epoch {epoch}: {known:?}, now {kids:?}");
                known.extend(kids);
                prop_assert!(house.registrar().group_keys().get(*epoch).is_some());
            }
            let highest = house.registrar().groups().iter().map(|group| group.current().number).max();
            newest = highest.unwrap_or(newest).max(newest);
        }
        let before = house.registrar().groups();
        house.open().unwrap();
        prop_assert_eq!(before, house.registrar().groups());
        house.run(create("three"));
        prop_assert!(epoch(&house, "three") > newest, "no number comes back");
    }
}
