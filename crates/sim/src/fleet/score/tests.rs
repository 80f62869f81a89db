//! That the score tells right from wrong: of detectors that are too simple to be good.

use super::*;
use keyward_watch::event::Proof;
use keyward_watch::finding::{Confidence, Severity};
use std::collections::VecDeque;

/// Finds what one rule of it says, event by event.
struct Simple<R> {
    rule: R,
    findings: VecDeque<Finding>,
}

impl<R: Fn(&Event) -> Option<(DeviceId, Class)>> Detector for Simple<R> {
    fn handle(&mut self, now: UnixMillis, event: &Event) {
        if let Some((device, class)) = (self.rule)(event) {
            self.findings.push_back(grave(now, Scope::Device(device), class));
        }
    }

    fn handle_timeout(&mut self, _: UnixMillis) {}

    fn poll_timeout(&self) -> Option<UnixMillis> {
        // Always due: a detector that is wrong about its time does not stop the world.
        Some(UnixMillis(0))
    }

    fn poll_finding(&mut self) -> Option<Finding> {
        self.findings.pop_front()
    }
}

fn grave(at: UnixMillis, scope: Scope, class: Class) -> Finding {
    Finding {
        at,
        scope,
        class,
        turn: Turn::Set,
        confidence: Confidence::Low,
        severity: Severity::High,
        evidence: Vec::new(),
        instead_of: None,
        part_of: None,
    }
}

const PLAN: Plan = Plan { seed: 1, days: 1, devices: 40 };

fn scored(rule: impl Fn(&Event) -> Option<(DeviceId, Class)>) -> Score {
    score(PLAN, &mut Simple { rule, findings: VecDeque::new() }, |_, _| {}).unwrap()
}

fn pages(score: &Score) -> (u64, u64) {
    score.unexplained.values().fold((0, 0), |sum, more| (sum.0 + more.quiet_pages, sum.1 + more.later_pages))
}

#[test]
fn who_finds_nothing_has_named_nothing_and_called_nobody() {
    let score = scored(|_| None);
    assert!(score.rows.len() > 40 && score.events > 100_000);
    assert!(score.rows.values().all(|row| row.nothing == row.labels && row.named + row.noticed == 0));
    assert_eq!((pages(&score), score.quiet_pages_per_100_devices_and_week()), ((0, 0), 0.0));
}

#[test]
fn who_repeats_what_is_proven_names_it_at_once_and_calls_nobody_in_vain() {
    let score = scored(|event| match event {
        Event::Proof { device, proof: Proof::Equivocation } => Some((device.clone(), Class::Equivocation)),
        Event::LastGasp { device, .. } => Some((device.clone(), Class::PowerLoss)),
        _ => None,
    });
    let row = |name| &score.rows[&(Kind::Harm, name)];
    assert_eq!(row("one number, two messages").delays, [0]);
    assert_eq!(row("power cut, told by a last gasp").named, 1);
    assert_eq!(row("power cut, told on return").nothing, 1);
    assert_eq!(score.times[&Class::Equivocation], [0]);
    // A crew that had said so switched something off: a last gasp there is true, and nobody is to be called for it.
    assert!(score.unexplained.keys().eq([&Class::PowerLoss]) || score.unexplained.is_empty());
}

#[test]
fn who_always_cries_names_one_thing_and_calls_in_vain() {
    let score = scored(|event| match event {
        Event::Connected { device, .. } => Some((device.clone(), Class::Equivocation)),
        _ => None,
    });
    let (quiet, _) = pages(&score);
    assert!(quiet >= 36, "{quiet}");
    assert!(score.quiet_pages_per_100_devices_and_week() > 100.0);
    let wrong = &score.rows[&(Kind::Harm, "power cut, told on return")];
    assert_eq!((wrong.named, wrong.noticed, wrong.answers[&Class::Equivocation]), (0, 0, 1));
}

/// A label of one device that is missing for a day, from the second day on.
fn judge(kind: Kind) -> Judge {
    let label = Label {
        name: "cut",
        rule: "L7",
        kind,
        begins: UnixMillis(1_000),
        knowable: UnixMillis(1_500),
        ends: UnixMillis(2_000),
        devices: vec!["d".parse().unwrap()],
        scopes: Vec::new(),
        right: &[Class::PowerLoss],
        fitting: &[Class::Missing],
    };
    Judge::new(vec![label], UnixMillis(900))
}

fn found(at: u64, class: Class) -> Finding {
    grave(UnixMillis(at), Scope::Device("d".parse().unwrap()), class)
}

fn calls(judge: &mut Judge, finding: &Finding) -> u64 {
    let sum = |judge: &Judge| {
        judge.unexplained.values().map(|more| more.quiet_pages + more.later_pages).sum::<u64>()
    };
    let before = sum(judge);
    judge.judge(finding);
    sum(judge) - before
}

#[test]
fn harm_explains_what_fits_it_in_its_time_and_nothing_else() {
    let mut judge = judge(Kind::Harm);
    assert_eq!(calls(&mut judge, &found(1_200, Class::Missing)), 0);
    assert_eq!(calls(&mut judge, &found(1_700, Class::PowerLoss)), 0);
    assert_eq!(calls(&mut judge, &found(1_700, Class::Stuck)), 1);
    assert_eq!(calls(&mut judge, &found(2_001, Class::PowerLoss)), 0, "it is still the same");
    let elsewhere = grave(UnixMillis(1_700), Scope::Device("e".parse().unwrap()), Class::PowerLoss);
    assert_eq!(calls(&mut judge, &elsewhere), 1);
    let score = judge.done();
    let row = &score.rows[&(Kind::Harm, "cut")];
    assert_eq!((row.named, row.noticed, &*row.delays), (1, 0, &[200][..]));
    assert_eq!(score.times[&Class::PowerLoss], [700]);
}

#[test]
fn what_is_harmless_explains_no_call_but_its_right_one() {
    let mut judge = judge(Kind::Harmless);
    assert_eq!(calls(&mut judge, &found(1_200, Class::Missing)), 1);
    assert_eq!(calls(&mut judge, &found(1_200, Class::PowerLoss)), 0);
}

#[test]
fn one_thing_calls_once_until_it_is_over_and_a_part_never() {
    let mut judge = judge(Kind::Harm);
    let stuck = found(10, Class::Stuck);
    assert_eq!([calls(&mut judge, &stuck), calls(&mut judge, &stuck)], [1, 0]);
    judge.judge(&Finding { turn: Turn::Clear, ..stuck.clone() });
    assert_eq!(calls(&mut judge, &stuck), 1);
    let named = Finding { instead_of: Some(Class::Stuck), ..found(20, Class::Unusual) };
    assert_eq!(calls(&mut judge, &named), 0);
    let part = Finding { part_of: Some((Scope::Everything, Class::OwnTrouble)), ..found(30, Class::Stalled) };
    assert_eq!(calls(&mut judge, &part), 0);
    assert_eq!(calls(&mut judge, &Finding { severity: Severity::Medium, ..found(40, Class::TooFast) }), 0);
}
