use crate::admin::fixture::{Fixture, fixture};
use crate::admin::quarantine::Quarantining;
use crate::admin::{Turn, limits};
use crate::control::Request;
use crate::watch::Cause;
use keyward_identity::{AddDevice, Command, NewCredential, Standing, WallTime};
use keyward_ids::{GroupId, Identity};
use keyward_watch::Finding;
use keyward_watch::event::{Scope, UnixMillis};
use keyward_watch::finding::{Class, Confidence, Severity, Turn as Change};
use keyward_watch::incidents::{Number, Verdict};

/// An installation with so many devices and these words in its configuration.
fn site(devices: u8, config: &str) -> Fixture {
    let mut site = fixture();
    for n in 0..devices {
        let add = AddDevice {
            device_type: (n == 0).then(|| "gateway".parse().unwrap()),
            ..AddDevice::new(format!("p{n}").parse().unwrap(), NewCredential::None)
        };
        Turn::begin(&mut site.admin, "test")
            .command(Command::AddDevice(add))
            .unwrap_or_else(|error| panic!("{}", error.what));
    }
    site.config(config);
    site.reload().unwrap_or_else(|error| panic!("{}", error.what));
    site.told.take();
    site
}

fn identity(n: u8) -> Identity {
    format!("device:p{n}").parse().unwrap()
}

/// The watch finds something of a device, and what follows is done.
fn found(site: &mut Fixture, n: u8, class: Class, confidence: Confidence) {
    found_by(site, n, (class, confidence), "it was seen");
}

fn found_by(site: &mut Fixture, n: u8, (class, confidence): (Class, Confidence), what: &str) {
    let finding = Finding {
        at: UnixMillis(1_000),
        scope: Scope::Device(format!("p{n}").parse().unwrap()),
        class,
        turn: Change::Set,
        confidence,
        severity: Severity::Critical,
        evidence: vec![keyward_watch::finding::Evidence { at: UnixMillis(1_000), what: what.into() }],
        instead_of: None,
        part_of: None,
    };
    let cause = Cause::of(&finding);
    site.admin.watch.with(|book| drop(book.handle(UnixMillis(1_000), vec![finding])));
    cause.into_iter().for_each(|cause| site.admin.watch.put_cause(cause));
    site.admin.act_on_causes("broker");
}

fn is_in_quarantine(site: &Fixture, n: u8) -> bool {
    site.admin.registrar.registry().find(&identity(n)).unwrap().quarantine.is_some()
}

fn standing(site: &Fixture, n: u8) -> Standing {
    site.admin.registrar.registry().find(&identity(n)).unwrap().standing
}

fn history(site: &Fixture, number: u64) -> String {
    site.admin.watch.with(|book| format!("{:?}", book.incidents().get(Number(number)).unwrap().history))
}

fn release(site: &mut Fixture, n: u8) {
    let released = site.admin.execute(Request::DeviceRelease { id: format!("p{n}") });
    released.unwrap_or_else(|refusal| panic!("{}", refusal.what));
}

#[test]
fn what_is_proven_and_named_puts_its_device_into_quarantine_and_its_incident_says_so() {
    let mut site = site(2, "[watch.actions]\nkey-level-fell = \"quarantine\"");
    found(&mut site, 0, Class::EpochsInterleave, Confidence::Proven);
    found(&mut site, 1, Class::KeyLevelFell, Confidence::Proven);
    assert!(is_in_quarantine(&site, 0) && is_in_quarantine(&site, 1));
    assert!(history(&site, 1).contains("put the device into quarantine"), "{}", history(&site, 1));
    assert!(site.told.take().iter().any(|told| told.starts_with("$keyward/incidents/quarantine/p1 ")));
    assert!(
        site.audit().concat().contains("by the broker: key-level-fell: it was seen"),
        "{:?}",
        site.audit()
    );
}

#[test]
fn no_name_of_a_switch_keeps_its_device_out_of_quarantine() {
    let mut site = site(2, "[watch.actions]\ntampered = \"quarantine\"");
    for (n, what) in [(0, "its switch li\nd was triggered".to_owned()), (1, "\u{1b}".repeat(200))] {
        found_by(&mut site, n, (Class::Tampered, Confidence::Proven), &what);
        assert!(is_in_quarantine(&site, n), "{what:?}");
    }
    assert!(site.audit().concat().contains("its switch li\\\\nd was"), "{:?}", site.audit());
}

/// Who can make the broker end must not have it shut out three more each time.
#[test]
fn the_bound_of_an_hour_holds_over_a_restart() {
    let mut site = site(8, "[watch.actions]\ntampered = \"revoke\"");
    found(&mut site, 0, Class::EpochsInterleave, Confidence::Proven);
    (1..=2).for_each(|n| found(&mut site, n, Class::Tampered, Confidence::Proven));
    release(&mut site, 0);
    site.admin.quarantining = Quarantining::of(&site.admin.registrar);
    found(&mut site, 4, Class::Tampered, Confidence::Proven);
    assert_eq!(standing(&site, 4), Standing::Active);
    assert!(site.admin.status().warnings.join("\n").contains("QUARANTINE HAS STOPPED"));
}

#[test]
fn what_is_not_proven_or_not_named_shuts_nobody_out() {
    let mut site = site(3, "[watch.actions]\nkey-level-fell = \"quarantine\"");
    found(&mut site, 0, Class::KeyLevelFell, Confidence::High);
    found(&mut site, 1, Class::NumbersBehind, Confidence::Proven);
    assert!(!is_in_quarantine(&site, 0) && !is_in_quarantine(&site, 1));
    let mut site = self::site(1, "[quarantine]\ntwo_holders = false");
    found(&mut site, 0, Class::EpochsInterleave, Confidence::Proven);
    assert!(!is_in_quarantine(&site, 0), "a person is to look at two holders");
}

/// It goes on as before otherwise: silence and a new place can be brought about by anybody.
#[test]
fn who_is_likely_in_other_hands_is_taken_out_of_its_groups_where_the_configuration_says_so() {
    let mut site = site(6, "[watch.actions]\ndestroyed-or-stolen = \"withhold\"");
    let group: GroupId = "street".parse().unwrap();
    let add = Command::AddToGroup { group: group.clone(), identities: (0..5).map(identity).collect() };
    for command in [Command::CreateGroup { group: group.clone() }, add] {
        let done = Turn::begin(&mut site.admin, "test").command(command);
        done.unwrap_or_else(|error| panic!("{}", error.what));
    }
    let members = |site: &Fixture| -> Vec<u8> {
        let group = site.admin.registrar.groups().get(&group).unwrap().clone();
        (0..5).filter(|n| group.members.contains_key(&identity(*n))).collect()
    };
    found(&mut site, 0, Class::DestroyedOrStolen, Confidence::High);
    found(&mut site, 1, Class::Moved, Confidence::High);
    found(&mut site, 5, Class::DestroyedOrStolen, Confidence::High);
    assert_eq!(members(&site), [1, 2, 3, 4]);
    assert!(!is_in_quarantine(&site, 0) && standing(&site, 0) == Standing::Active);
    assert!(history(&site, 1).contains("took the device out of its groups"), "{}", history(&site, 1));
    // The bound of an hour holds for this too, and over a restart.
    found(&mut site, 2, Class::DestroyedOrStolen, Confidence::High);
    site.admin.quarantining = Quarantining::of(&site.admin.registrar);
    (3..5).for_each(|n| found(&mut site, n, Class::DestroyedOrStolen, Confidence::High));
    assert_eq!(members(&site), [1, 4]);
    assert!(history(&site, 6).contains("too many"), "{}", history(&site, 6));
    // What anybody can bring about has used up its own room, and none of that of what is proven.
    found(&mut site, 4, Class::EpochsInterleave, Confidence::Proven);
    assert!(is_in_quarantine(&site, 4));
}

#[test]
fn an_incident_is_answered_once_for_whoever_takes_it_back_knew_why() {
    let mut site = site(1, "");
    found(&mut site, 0, Class::EpochsInterleave, Confidence::Proven);
    release(&mut site, 0);
    found(&mut site, 0, Class::EpochsInterleave, Confidence::Proven);
    assert!(!is_in_quarantine(&site, 0));
    let resolved = |book: &mut crate::watch::Book| {
        book.resolve(WallTime(2_000), Number(1), Verdict::True, "anna", "").map(drop)
    };
    site.admin.watch.with(resolved).unwrap();
    found(&mut site, 0, Class::EpochsInterleave, Confidence::Proven);
    assert!(is_in_quarantine(&site, 0), "this is another one");
}

#[test]
fn a_kind_that_is_mostly_wrong_shuts_nobody_out() {
    let mut site = site(30, "");
    for n in 1..=20 {
        found(&mut site, n, Class::EpochsInterleave, Confidence::High);
        let resolved = |book: &mut crate::watch::Book| {
            book.resolve(WallTime(2_000), Number(n.into()), Verdict::False, "anna", "").map(drop)
        };
        site.admin.watch.with(resolved).unwrap();
    }
    found(&mut site, 0, Class::EpochsInterleave, Confidence::Proven);
    assert!(!is_in_quarantine(&site, 0));
}

#[test]
fn an_exception_is_left_to_a_person() {
    let mut site = site(2, "[quarantine]\nnever = [\"type:gateway\"]");
    found(&mut site, 0, Class::EpochsInterleave, Confidence::Proven);
    found(&mut site, 1, Class::EpochsInterleave, Confidence::Proven);
    assert!(!is_in_quarantine(&site, 0) && is_in_quarantine(&site, 1));
    assert!(history(&site, 1).contains("quarantine.never names it"));
}

#[test]
fn the_bound_of_an_hour_holds_for_all_that_is_done_by_itself_and_the_stop_is_loud() {
    let mut site = site(6, "[watch.actions]\ntampered = \"revoke\"");
    for n in 1..=limits::QUARANTINES as u8 {
        found(&mut site, n, Class::Tampered, Confidence::Proven);
        assert!(matches!(standing(&site, n), Standing::Revoked { .. }), "{n}");
    }
    found(&mut site, 5, Class::EpochsInterleave, Confidence::Proven);
    assert!(!is_in_quarantine(&site, 5));
    let warnings = site.admin.status().warnings.join("\n");
    assert!(warnings.contains("QUARANTINE HAS STOPPED") && warnings.contains("p5"), "{warnings}");
    assert!(history(&site, 4).contains("too many were shut out"));
    let by_hand = Request::DeviceQuarantine { id: "p5".into(), because: "seen twice".into() };
    site.admin.execute(by_hand).unwrap_or_else(|refusal| panic!("{}", refusal.what));
    assert!(!site.admin.status().warnings.join("\n").contains("HAS STOPPED"), "a person has seen to it");
}
