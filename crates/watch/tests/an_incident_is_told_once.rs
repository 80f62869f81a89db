//! An incident is told once, stands long enough to be found, comes back as the same, and calls nobody in vain.

#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

use keyward_watch::event::{Scope, UnixMillis};
use keyward_watch::finding::{Class, Confidence, Evidence, Finding, Severity, Turn};
use keyward_watch::incidents::{Change, Incident, Incidents, Number, Settings, State, Verdict, What};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// A book of incidents, and the time.
struct Book {
    incidents: Incidents,
    now: UnixMillis,
}

fn book() -> Book {
    Book { incidents: Incidents::new(Settings::default()), now: UnixMillis(1_000_000) }
}

fn pump(number: u64) -> Scope {
    Scope::Device(format!("pump-{number}").parse().unwrap())
}

fn hall() -> Scope {
    Scope::Site("hall".parse().unwrap())
}

impl Book {
    fn finding(&self, scope: Scope, class: Class) -> Finding {
        let evidence = vec![Evidence { at: self.now, what: format!("seen at {}", self.now.0).into() }];
        Finding {
            at: self.now,
            scope,
            class,
            turn: Turn::Set,
            confidence: Confidence::High,
            severity: Severity::High,
            evidence,
            instead_of: None,
            part_of: None,
        }
    }

    fn set(&mut self, scope: Scope, class: Class) -> Vec<Change> {
        self.handle(self.finding(scope, class))
    }

    fn clear(&mut self, scope: Scope, class: Class) -> Vec<Change> {
        self.handle(Finding { turn: Turn::Clear, ..self.finding(scope, class) })
    }

    fn handle(&mut self, finding: Finding) -> Vec<Change> {
        self.incidents.handle(finding);
        self.told()
    }

    fn pass(&mut self, millis: u64) -> Vec<Change> {
        self.now = self.now.plus(millis);
        self.incidents.handle_timeout(self.now);
        self.told()
    }

    fn told(&mut self) -> Vec<Change> {
        core::iter::from_fn(|| self.incidents.poll_change()).collect()
    }

    fn only(&self) -> &Incident {
        let all: Vec<_> = self.incidents.all().collect();
        assert_eq!(all.len(), 1);
        all[0]
    }

    fn resolve(&mut self, number: u64, verdict: Verdict) -> Vec<Change> {
        self.incidents.resolve(self.now, Number(number), verdict, "anna", "").unwrap();
        self.told()
    }
}

fn told(number: u64, calls: bool) -> Change {
    Change::Told { number: Number(number), calls }
}

fn ended(number: u64) -> Change {
    Change::Ended { number: Number(number) }
}

#[test]
fn what_is_found_again_is_counted_and_told_once() {
    let mut book = book();
    assert_eq!(book.set(pump(1), Class::Missing), [told(1, true)]);
    for _ in 0..5 {
        book.pass(MINUTE);
        assert_eq!(book.set(pump(1), Class::Missing), []);
    }
    let incident = book.only();
    assert_eq!((incident.seen, incident.evidence.len()), (6, 6));
    assert_eq!(incident.last_seen.since(incident.first_seen), 5 * MINUTE);
}

#[test]
fn it_stands_for_ten_minutes_though_it_is_over_sooner() {
    let mut book = book();
    book.set(pump(1), Class::Missing);
    book.pass(MINUTE);
    assert_eq!(book.clear(pump(1), Class::Missing), []);
    assert_eq!(book.incidents.poll_timeout(), Some(book.now.plus(9 * MINUTE)));
    assert_eq!(book.pass(9 * MINUTE - 1), []);
    assert_eq!(book.pass(1), [ended(1)]);
    assert!(matches!(book.only().state, State::Ended { .. }));
}

#[test]
fn what_is_over_late_ends_at_once_and_what_comes_back_meanwhile_does_not_end() {
    let mut book = book();
    book.set(pump(1), Class::Missing);
    book.pass(MINUTE);
    book.clear(pump(1), Class::Missing);
    assert_eq!(book.set(pump(1), Class::Missing), []);
    assert_eq!(book.pass(HOUR), []);
    assert_eq!(book.clear(pump(1), Class::Missing), [ended(1)]);
}

#[test]
fn what_comes_back_within_an_hour_is_the_same_and_calls_nobody_again_and_later_it_is_another() {
    let mut book = book();
    book.set(pump(1), Class::Missing);
    book.pass(HOUR);
    book.clear(pump(1), Class::Missing);
    book.pass(HOUR - 1);
    assert_eq!(book.set(pump(1), Class::Missing), [told(1, false)]);
    assert!(book.only().history.iter().any(|entry| entry.what == What::CameBack));
    book.pass(HOUR);
    book.clear(pump(1), Class::Missing);
    book.pass(HOUR);
    assert_eq!(book.set(pump(1), Class::Missing), [told(2, true)]);
}

#[test]
fn a_loss_that_turns_out_to_be_something_else_is_the_same_incident_under_another_name() {
    let mut book = book();
    book.set(pump(1), Class::Missing);
    book.pass(MINUTE);
    let finding = book.finding(pump(1), Class::PowerLoss);
    let finding = Finding { instead_of: Some(Class::Missing), severity: Severity::Medium, ..finding };
    assert_eq!(book.handle(finding), [told(1, false)]);
    let incident = book.only();
    assert_eq!((incident.class, incident.severity), (Class::PowerLoss, Severity::Medium));
    assert!(incident.history.iter().any(|entry| entry.what == What::Became(Class::PowerLoss)));
    assert_eq!(book.clear(pump(1), Class::Missing), [], "that name is gone");
    assert_eq!(book.pass(HOUR), []);
    assert_eq!(book.clear(pump(1), Class::PowerLoss), [ended(1)]);
}

#[test]
fn what_is_part_of_something_larger_is_folded_in_and_calls_nobody() {
    let mut book = book();
    book.set(pump(1), Class::Missing);
    book.set(hall(), Class::SiteOutage);
    let part = |book: &Book, number| {
        let finding = book.finding(pump(number), Class::Missing);
        Finding { part_of: Some((hall(), Class::SiteOutage)), ..finding }
    };
    let (known, new) = (part(&book, 1), part(&book, 2));
    assert_eq!(book.handle(known), [told(1, false)]);
    assert_eq!(book.handle(new.clone()), [told(3, false)]);
    assert_eq!(book.handle(new), [], "it is no news");
    for number in [1, 3] {
        assert_eq!(book.incidents.get(Number(number)).unwrap().parent, Some(Number(2)));
    }
}

/// A thief comes in the night in which the whole street has no power. Who was folded into the outage called nobody, also when the
/// outage was over and only that device stayed away.
#[test]
fn who_is_still_away_when_the_larger_thing_is_over_stands_alone_and_calls() {
    let mut book = book();
    book.set(hall(), Class::SiteOutage);
    let finding = book.finding(pump(1), Class::Missing);
    book.handle(Finding { part_of: Some((hall(), Class::SiteOutage)), ..finding });
    book.pass(HOUR);
    book.clear(hall(), Class::SiteOutage);
    assert_eq!(book.set(pump(1), Class::Missing), [told(2, true)]);
    assert_eq!(book.incidents.get(Number(2)).unwrap().parent, None);
}

#[test]
fn what_becomes_worse_calls_once() {
    let mut book = book();
    let mild = Finding { severity: Severity::Medium, ..book.finding(pump(1), Class::Moved) };
    assert_eq!(book.handle(mild.clone()), [told(1, false)]);
    let grave = Finding { severity: Severity::Critical, ..mild.clone() };
    assert_eq!(book.handle(grave.clone()), [told(1, true)]);
    assert_eq!(book.handle(grave), []);
    assert_eq!(book.handle(mild), []);
    assert_eq!(book.only().severity, Severity::Critical, "the worst that was found stands");
}

#[test]
fn nobody_is_called_for_what_somebody_looks_after() {
    let mut book = book();
    let mild = Finding { severity: Severity::Medium, ..book.finding(pump(1), Class::Moved) };
    book.handle(mild.clone());
    book.incidents.acknowledge(book.now, Number(1), "anna", "on my way").unwrap();
    assert_eq!(book.told(), [told(1, false)]);
    assert_eq!(book.handle(Finding { severity: Severity::Critical, ..mild }), [told(1, false)]);
}

#[test]
fn what_is_done_by_itself_is_done_once_and_stands_in_the_history() {
    let mut book = book();
    book.incidents.answer(book.now, &pump(1), Class::EpochsInterleave, "nothing is there");
    book.set(pump(1), Class::EpochsInterleave);
    assert!(!book.only().is_answered());
    book.incidents.answer(book.now, &pump(1), Class::EpochsInterleave, "it was shut out");
    assert_eq!(book.told(), [told(1, false)]);
    book.incidents.answer(book.now, &pump(1), Class::EpochsInterleave, "it was shut out again");
    assert_eq!(book.told(), []);
    let answers = |book: &Book| {
        book.only().history.iter().filter(|entry| matches!(entry.what, What::Answered { .. })).count()
    };
    assert!(book.only().is_answered() && answers(&book) == 1);
    let text = serde_json::to_string(&book.incidents.saved()).unwrap();
    book.incidents = Incidents::restored(Settings::default(), serde_json::from_str(&text).unwrap());
    assert!(book.only().is_answered(), "a restart does it no second time");
}

#[test]
fn what_a_person_resolved_is_done_with_and_the_same_again_is_another() {
    let mut book = book();
    book.set(pump(1), Class::Moved);
    assert_eq!(book.resolve(1, Verdict::Benign), [ended(1)]);
    let again = book.incidents.resolve(book.now, Number(1), Verdict::True, "anna", "");
    assert!(again.unwrap_err().to_string().contains("incident 1 is resolved"));
    let none = book.incidents.acknowledge(book.now, Number(7), "anna", "");
    assert!(none.unwrap_err().to_string().contains("incident list"));
    assert_eq!(book.set(pump(1), Class::Moved), [told(2, true)]);
}

#[test]
fn a_class_that_people_mostly_call_false_calls_nobody_until_it_improves_and_says_so() {
    let mut book = book();
    let down = |is_down| Change::SteppedDown { class: Class::Unusual, is_down };
    let mut changes = Vec::new();
    for number in 1..=20 {
        book.pass(2 * HOUR);
        book.set(pump(number), Class::Unusual);
        changes.extend(book.resolve(number, if number <= 9 { Verdict::True } else { Verdict::False }));
    }
    assert!(changes.contains(&down(true)) && book.incidents.has_stepped_down(Class::Unusual));
    assert_eq!(book.set(pump(21), Class::Unusual), [told(21, false)]);
    assert_eq!(book.set(pump(22), Class::Moved), [told(22, true)], "other classes go on");
    // The nine that were right are forgotten first: it takes more than one to be believed again.
    let mut improved = book.resolve(21, Verdict::True);
    for number in 23..=31 {
        assert!(!improved.contains(&down(false)));
        book.set(pump(number), Class::Unusual);
        improved.extend(book.resolve(number, Verdict::True));
    }
    assert!(improved.contains(&down(false)), "{improved:?}");
}

#[test]
fn more_calls_than_somebody_can_answer_become_one_and_the_worst_still_comes_through() {
    let mut book = book();
    let most = u64::from(Settings::default().calls_per_hour);
    for number in 1..=most {
        assert_eq!(book.set(pump(number), Class::Missing), [told(number, true)]);
    }
    assert_eq!(book.set(pump(50), Class::Missing), [Change::TooManyCalls, told(most + 1, false)]);
    assert_eq!(book.set(pump(51), Class::Missing), [told(most + 2, false)]);
    let grave = Finding { severity: Severity::Critical, ..book.finding(pump(52), Class::Equivocation) };
    assert_eq!(book.handle(grave), [told(most + 3, true)]);
    assert_eq!(book.pass(HOUR), [Change::HeldBack { calls: 2 }]);
    assert_eq!(book.set(pump(53), Class::Missing), [told(most + 4, true)]);
}

#[test]
fn what_is_remembered_is_bounded_and_the_beginning_of_it_is_kept() {
    use keyward_watch::limits::{HISTORY, INCIDENT_EVIDENCE, INCIDENTS, PAST_INCIDENTS};
    let mut book = book();
    for _ in 0..100 {
        book.set(pump(1), Class::Missing);
        book.pass(HOUR);
        book.clear(pump(1), Class::Missing);
        book.pass(MINUTE);
    }
    let incident = book.only();
    assert_eq!((incident.evidence.len(), incident.history.len()), (INCIDENT_EVIDENCE, HISTORY));
    assert_eq!(incident.evidence[0].at, incident.first_seen);
    assert_eq!(incident.history[0].what, What::Opened(Class::Missing));

    for number in 0..2 * INCIDENTS as u64 {
        book.set(pump(number), Class::Moved);
    }
    assert_eq!(book.incidents.all().filter(|incident| incident.is_open()).count(), INCIDENTS);
    book.pass(HOUR);
    for number in 0..2 * INCIDENTS as u64 {
        book.clear(pump(number), Class::Moved);
    }
    assert_eq!(book.incidents.all().count(), PAST_INCIDENTS);
    assert!(book.incidents.all().all(|incident| incident.number > Number(1)), "the oldest goes first");
}

#[test]
fn incidents_survive_a_restart_with_all_that_people_said_of_them() {
    let mut book = book();
    for number in 1..=20 {
        book.set(pump(number), Class::Unusual);
        book.resolve(number, Verdict::False);
    }
    book.set(pump(50), Class::Missing);
    book.incidents.acknowledge(book.now, Number(21), "anna", "on my way").unwrap();
    book.set(hall(), Class::SiteOutage);
    book.pass(MINUTE);
    book.clear(hall(), Class::SiteOutage);

    let text = serde_json::to_string(&book.incidents.saved()).unwrap();
    let restored = Incidents::restored(Settings::default(), serde_json::from_str(&text).unwrap());
    assert!(book.incidents.all().eq(restored.all()));
    let mut book = Book { incidents: restored, ..book };
    assert!(book.incidents.has_stepped_down(Class::Unusual));
    assert_eq!(book.set(pump(50), Class::Missing), [], "it is the same incident");
    assert_eq!(book.pass(9 * MINUTE), [ended(22)], "its end was due");
    assert_eq!(book.set(pump(60), Class::Missing), [told(23, true)], "no number is used again");
}

/// Its file was damaged in places that are JSON all the same.
#[test]
fn a_book_that_contradicts_itself_goes_on_with_what_is_whole() {
    let mut book = book();
    book.set(pump(1), Class::Missing);
    book.resolve(1, Verdict::True);
    let mut saved = serde_json::to_value(book.incidents.saved()).unwrap();
    let incidents = saved["incidents"].as_array_mut().unwrap();
    let mut last = incidents[0].clone();
    (last["number"], last["seen"]) = (u64::MAX.into(), u64::MAX.into());
    let twice = incidents[0].clone();
    incidents.extend([twice, last]);
    saved["last"] = u64::MAX.into();
    let restored = Incidents::restored(Settings::default(), serde_json::from_value(saved).unwrap());
    assert_eq!(restored.all().count(), 1);
    let mut book = Book { incidents: restored, ..book };
    let changes = book.set(pump(2), Class::Missing);
    assert!(matches!(changes[..], [Change::Told { calls: true, .. }]), "{changes:?}");
    book.set(pump(3), Class::Missing);
    assert_eq!(book.incidents.all().count(), 3);
}

#[test]
fn what_a_device_calls_its_sensors_stands_in_one_line_of_bounded_length() {
    let mut book = book();
    let mut finding = book.finding(pump(1), Class::Disagrees);
    finding.evidence[0].what = format!("\"t \u{1b}]0;x\u{7}\n  more\u{85}{}", "ü".repeat(200)).into();
    book.handle(finding);
    let [fact] = &book.only().evidence[..] else { panic!() };
    assert!(fact.what.starts_with("\"t ?]0;x??  more?ü") && fact.what.len() <= 200, "{fact:?}");
}
