//! What operators say of places reaches the detectors, which then judge by it. The watch is handed its time.

use super::*;
use crate::admin::fixture::{Fixture, fixture};
use crate::config::Config;
use crate::control::{
    Changed, DeviceAdd, DeviceDetail, Exposure, IncidentRow, NewCredential, NewPassword, Request, SaidBy,
};
use crate::watch::Rehearsal;
use keyward_watch::event::{Connection, End, Event, Heartbeat, Proof, Reset, Source, UnixMillis};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

struct Yard {
    site: Fixture,
    watch: Rehearsal,
    now: u64,
    links: u64,
}

fn ask(site: &mut Fixture, request: Request) -> Response {
    site.admin.execute(request).unwrap_or_else(|refusal| panic!("{}", refusal.what))
}

fn refused(site: &mut Fixture, request: Request) -> String {
    site.admin.execute(request).err().unwrap().what
}

fn changed(site: &mut Fixture, request: Request) -> Changed {
    let Response::Changed(changed) = ask(site, request) else { panic!("nothing changed") };
    changed
}

fn device(name: &str) -> keyward_ids::DeviceId {
    name.parse().unwrap()
}

fn place(id: &str, place: PlaceChange) -> Request {
    Request::DevicePlace { id: id.to_owned(), place }
}

fn at(site: &str, gateway: &str) -> PlaceChange {
    PlaceChange { site: Some(site.into()), gateway: Some(gateway.into()), ..PlaceChange::default() }
}

fn shown(site: &mut Fixture, id: &str) -> DeviceDetail {
    let Response::Device(detail) = ask(site, Request::DeviceShow { id: id.into() }) else {
        panic!("not shown")
    };
    *detail
}

fn add(site: &mut Fixture, id: &str, place: PlaceChange) {
    let new = DeviceAdd { place, ..DeviceAdd::new(id, NewCredential::Password(NewPassword::Generated)) };
    ask(site, Request::DeviceAdd(new));
}

fn work(scope: &str, seconds: u64) -> Request {
    Request::MaintenanceBegin { scope: scope.into(), seconds, because: "new cables".into() }
}

/// Six lamps behind an access point in the yard and six behind one of the same name at the mill, connected for two hours.
fn yard() -> Yard {
    let mut site = fixture();
    site.admin.tell_ground();
    for n in 0..6 {
        add(&mut site, &format!("lamp-{n}"), at("yard", "ap-2"));
        add(&mut site, &format!("far-{n}"), PlaceChange::default());
        changed(&mut site, place(&format!("far-{n}"), at("mill", "ap-2")));
    }
    let watch = Rehearsal::of(site.admin.watch.clone(), site.home.directory());
    site.admin.watch.put_registry(&site.admin.registrar.registry());
    let mut yard = Yard { site, watch, now: wall_time().0, links: 0 };
    yard.pass(MINUTE);
    for name in ["lamp", "far"] {
        (0..6).for_each(|n| yard.connect(&format!("{name}-{n}"), Source::default()));
    }
    yard.pass(2 * HOUR);
    assert_eq!(yard.told(), [], "all is well");
    yard
}

impl Yard {
    fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.now = (self.now + 10 * SECOND).min(end);
            self.site.admin.watch.put_registry(&self.site.admin.registrar.registry());
            self.watch.pass(UnixMillis(self.now));
        }
    }

    fn say(&mut self, event: &Event) {
        self.watch.hear(UnixMillis(self.now), event);
    }

    fn connect(&mut self, name: &str, source: Source) {
        self.links += 1;
        let connection = Connection { link: self.links, source, keep_alive_secs: 30 };
        self.say(&Event::Connected { device: device(name), connection });
    }

    /// The links of the lamps end, one after the other; links are numbered as the lamps are.
    fn cut_lamps(&mut self) {
        for n in 0..6 {
            let device = device(&format!("lamp-{n}"));
            self.say(&Event::Disconnected { device, link: n + 1, end: End::KeepAlive });
            self.now += SECOND;
        }
    }

    /// Returns what is open and no part of another incident.
    fn told(&mut self) -> Vec<(String, String)> {
        let Response::Incidents(rows) = ask(&mut self.site, Request::IncidentList { all: false }) else {
            panic!("no incidents")
        };
        let alone = |row: &IncidentRow| row.parent.is_none();
        rows.into_iter().filter(alone).map(|row| (row.incident, row.scope)).collect()
    }
}

fn one(incident: &str, scope: &str) -> Vec<(String, String)> {
    vec![(incident.to_owned(), scope.to_owned())]
}

#[test]
fn devices_of_a_gateway_that_fall_silent_are_one_incident_of_the_gateway() {
    let mut yard = yard();
    // One lamp of the yard is on another gateway: the site is not lost.
    for n in 0..4 {
        add(&mut yard.site, &format!("pole-{n}"), at("yard", "ap-3"));
        yard.pass(SECOND);
        yard.connect(&format!("pole-{n}"), Source::default());
    }
    yard.pass(HOUR);
    yard.cut_lamps();
    yard.pass(10 * MINUTE);
    assert_eq!(yard.told(), one("gateway-loss", "gateway:yard/ap-2"));
}

#[test]
fn work_there_mutes_it_and_the_proof_of_a_copy_is_told_all_the_same() {
    let mut yard = yard();
    let begun = changed(&mut yard.site, work("gateway:yard/ap-2", 6 * 3_600));
    assert!(begun.what.contains("covers 6 devices"), "{begun:?}");
    yard.pass(MINUTE);
    yard.cut_lamps();
    yard.pass(HOUR);
    assert_eq!(yard.told(), [], "somebody works there");
    yard.say(&Event::Proof { device: device("lamp-3"), proof: Proof::Equivocation });
    yard.pass(MINUTE);
    assert_eq!(yard.told(), one("equivocation", "device:lamp-3"));
}

#[test]
fn who_is_not_back_when_the_work_is_called_off_is_missing() {
    let mut yard = yard();
    changed(&mut yard.site, work("site:yard", 6 * 3_600));
    yard.pass(MINUTE);
    yard.cut_lamps();
    yard.pass(10 * MINUTE);
    assert_eq!(yard.told(), []);
    changed(&mut yard.site, Request::MaintenanceEnd { scope: "site:yard".into() });
    yard.pass(HOUR);
    assert!(!yard.told().is_empty(), "nobody works there any more");
}

#[test]
fn what_was_moved_on_purpose_is_at_home_where_it_is() {
    let mut yard = yard();
    let away =
        Source { network: 0x0052_0001, country: Some(*b"PL"), system: Some(5_617), ..Source::default() };
    let (lamp, link) = (device("lamp-0"), 1);
    let carry = |yard: &mut Yard| {
        yard.say(&Event::Tamper { device: lamp.clone(), input: "tilt".into(), verified: true });
        yard.say(&Event::Disconnected { device: lamp.clone(), link, end: End::Closed });
        yard.pass(2 * HOUR);
        yard.connect("lamp-0", away.clone());
        yard.pass(30 * SECOND);
        let heartbeat =
            Heartbeat { boot_count: 6, uptime_secs: 40, reset: Reset::PowerOn, ..Heartbeat::default() };
        yard.say(&Event::Heartbeat { device: lamp.clone(), heartbeat, verified: true });
        yard.pass(MINUTE);
    };
    carry(&mut yard);
    let moved = |yard: &mut Yard| yard.told().iter().filter(|(what, _)| what == "moved").count();
    assert_eq!(moved(&mut yard), 1, "{:?}", yard.told());
    changed(&mut yard.site, Request::DeviceMoved { id: "lamp-0".into(), because: "to the roof".into() });
    yard.pass(20 * MINUTE);
    assert_eq!(moved(&mut yard), 0, "{:?}", yard.told());
    let detail = shown(&mut yard.site, "lamp-0");
    assert_eq!(detail.place.moved.unwrap().because, "to the roof");
    assert!(yard.site.audit().iter().any(|what| what == "device:lamp-0 moved on purpose: to the roof"));
}

#[test]
fn what_is_said_of_a_device_comes_before_its_site_and_that_before_its_type() {
    let mut site = fixture();
    add(&mut site, "pump-1", PlaceChange::default());
    let mut typed = DeviceAdd::new("meter-1", NewCredential::Password(NewPassword::Generated));
    (typed.device_type, typed.site) = (Some("meter".into()), Some("yard".into()));
    ask(&mut site, Request::DeviceAdd(typed));
    let said = |site: &mut Fixture, id: &str| {
        let detail = shown(site, id);
        assert_eq!(detail.device.exposure, detail.place.exposure.value, "the list says the same");
        (detail.place.exposure.value, detail.place.exposure.by)
    };
    assert_eq!(said(&mut site, "meter-1"), (Exposure::Workplace, SaidBy::Nobody));
    site.config("[types.meter]\ninterval = \"90 s\"\npower = \"battery\"\nexposure = \"locked\"\n");
    site.reload().unwrap();
    let place_of_meter = shown(&mut site, "meter-1").place;
    assert_eq!((place_of_meter.power.value, place_of_meter.power.by), (Power::Battery, SaidBy::Type));
    assert_eq!(place_of_meter.interval_secs.map(|said| said.value), Some(90));
    assert_eq!(said(&mut site, "meter-1"), (Exposure::Locked, SaidBy::Type));
    site.config("[types.meter]\nexposure = \"locked\"\n[sites.yard]\nexposure = \"public\"\n");
    site.reload().unwrap();
    assert_eq!(said(&mut site, "meter-1"), (Exposure::Public, SaidBy::Site));
    let own = PlaceChange { exposure: Some(Exposure::Workplace), ..PlaceChange::default() };
    changed(&mut site, place("meter-1", own));
    assert_eq!(said(&mut site, "meter-1"), (Exposure::Workplace, SaidBy::Device));
    let unset = PlaceChange { unset: vec![PlaceField::Exposure, PlaceField::Site], ..PlaceChange::default() };
    let done = changed(&mut site, place("meter-1", unset));
    assert!(done.notes.iter().any(|note| note.contains("rules can speak of sites")), "{done:?}");
    assert_eq!(said(&mut site, "meter-1"), (Exposure::Locked, SaidBy::Type));
    assert_eq!(said(&mut site, "pump-1"), (Exposure::Workplace, SaidBy::Nobody));
}

#[test]
fn what_is_not_named_stays_and_what_is_bad_changes_nothing() {
    let mut site = fixture();
    add(&mut site, "pump-1", at("yard", "ap-2"));
    let more = PlaceChange {
        circuit: Some("F3".into()),
        fence: Some("52.5162,13.3777,200".into()),
        interval_secs: Some(60),
        ..PlaceChange::default()
    };
    changed(&mut site, place("pump-1", more.clone()));
    assert!(changed(&mut site, place("pump-1", more)).what.contains("already"));
    let known = shown(&mut site, "pump-1");
    assert_eq!(known.device.site.as_deref(), Some("yard"));
    assert_eq!((known.place.gateway.as_deref(), known.place.circuit.as_deref()), (Some("ap-2"), Some("F3")));
    assert_eq!(known.place.fence.as_deref(), Some("52.5162,13.3777,200"));
    for (bad, said) in [
        (PlaceChange { fence: Some("here".into()), ..PlaceChange::default() }, "LAT,LON,RADIUS"),
        (PlaceChange { gateway: Some("a/b".into()), ..PlaceChange::default() }, "the name of a gateway"),
        (PlaceChange { interval_secs: Some(0), ..PlaceChange::default() }, "an interval is 1 s"),
        (PlaceChange { site: Some("a b".into()), ..PlaceChange::default() }, "site"),
    ] {
        let what = refused(&mut site, place("pump-1", bad));
        assert!(what.contains(said), "{what}");
    }
    assert_eq!(shown(&mut site, "pump-1").place, known.place);
    assert!(site.audit().iter().any(|what| what
        == "place of device:pump-1, site yard, gateway ap-2, circuit F3, interval 60 s, fence 52.5162,13.3777,200"));
}

#[test]
fn windows_are_listed_with_who_opened_them_and_a_scope_that_is_none_is_named() {
    let mut site = fixture();
    add(&mut site, "pump-1", at("yard", "ap-2"));
    changed(&mut site, work("gateway:yard/ap-2", 3_600));
    let nobody = changed(&mut site, work("site:mill", 3_600));
    assert!(nobody.notes.iter().any(|note| note.contains("no device is part of site:mill")), "{nobody:?}");
    let Response::Maintenance(rows) = ask(&mut site, Request::MaintenanceList) else { panic!("no list") };
    let listed: Vec<_> = rows.iter().map(|row| (row.scope.as_str(), row.devices)).collect();
    assert_eq!(listed, [("gateway:yard/ap-2", 1), ("site:mill", 0)]);
    assert!(rows[0].by.starts_with("uid ") && rows[0].because == "new cables", "{rows:?}");
    let what = refused(&mut site, work("yard", 3_600));
    assert!(what.contains("write device:ID, site:NAME"), "{what}");
    let what = refused(&mut site, Request::MaintenanceEnd { scope: "site:yard".into() });
    assert!(what.contains("keyward maintenance list"), "{what}");
    let what = refused(&mut site, work("site:yard", 8 * 86_400));
    assert!(what.contains("7 days"), "{what}");
}

#[test]
fn nobody_is_told_of_a_move_while_no_broker_runs() {
    let mut site = fixture();
    add(&mut site, "pump-1", PlaceChange::default());
    site.admin.running = None;
    let what = refused(&mut site, Request::DeviceMoved { id: "pump-1".into(), because: String::new() });
    assert!(what.contains("keyward up"), "{what}");
}

#[test]
fn a_device_that_must_sign_in_a_public_place_is_warned_of_its_key() {
    let mut site = fixture();
    add(&mut site, "pump-1", PlaceChange { exposure: Some(Exposure::Public), ..PlaceChange::default() });
    let register = Command::RegisterMessageKey {
        identity: "device:pump-1".parse().unwrap(),
        key: crate::admin::incidents::tests::key(7),
    };
    Turn::begin(&mut site.admin, "test").command(register).unwrap_or_else(|error| panic!("{}", error.what));
    assert_eq!(shown(&mut site, "pump-1").place.warnings, [""; 0], "nothing has to be signed");
    site.rules("[[signed]]\nwho = \"devices\"\ntopics = [\"{id}/#\"]\ncheck = \"require\"\n");
    site.reload().unwrap();
    let place_of_pump = shown(&mut site, "pump-1").place;
    assert_eq!(place_of_pump.asked_level, 2);
    assert!(place_of_pump.warnings[0].contains("level 0") && place_of_pump.warnings[0].contains("level 2"));
    let locked = PlaceChange { exposure: Some(Exposure::Locked), ..PlaceChange::default() };
    changed(&mut site, place("pump-1", locked));
    assert_eq!(shown(&mut site, "pump-1").place.warnings, [""; 0]);
}

#[test]
fn a_configuration_that_says_nonsense_of_places_is_refused_with_the_line() {
    for (text, said) in [
        (
            "[types.meter]\ninterval = \"0 s\"\n",
            "keyward.toml:2:12: types.meter.interval: expected a time from 1 s to 30 days",
        ),
        ("[types.meter]\npower = \"coal\"\n", "keyward.toml:2"),
        ("[sites.\"a b\"]\nexposure = \"public\"\n", "the name of a site"),
        ("[sites.yard]\nexposure = \"street\"\n", "keyward.toml:2"),
    ] {
        let what = Config::parse("keyward.toml", text).unwrap_err().to_string();
        assert!(what.contains(said), "{what}");
    }
}
