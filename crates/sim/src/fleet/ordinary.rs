//! The trouble that a fleet has on quiet days. Who is called for any of it is called in vain.

use super::act::Act;
use super::body::NEVER;
use super::layout::draw_network;
use super::real::{DAY, Series};
use super::stage::Stage;
use super::{HOUR, MINUTE};
use keyward_watch::Class;
use keyward_watch::event::{Event, Power, Reset, Scope, Source, UnixMillis};

const SECOND: u64 = 1_000;

/// Registers the devices: most at the beginning, a few later; a few are removed for good before the quiet days end.
pub(super) fn arrivals(stage: &mut Stage<'_>, begins: u64, quiet_until: u64) {
    let quiet = quiet_until - begins;
    for whom in 0..stage.bodies.len() {
        let is_late = stage.dice.chance(20);
        let at = if is_late {
            stage.after(begins, quiet / 4, quiet * 3 / 4)
        } else {
            stage.after(begins, 0, 60 * SECOND)
        };
        stage.cue(at, whom, Act::Begin);
        stage.engage(whom, begins, at);
        if stage.dice.chance(15) {
            let at = stage.after(at, quiet / 8, quiet / 4);
            stage.cue(at, whom, Act::Remove);
            stage.engage(whom, at, NEVER);
        }
    }
}

/// Plans what befalls sites and the whole fleet on quiet days: restarts of the broker, new addresses, updates, work, doors left open.
pub(super) fn of_all(stage: &mut Stage<'_>, begins: u64, until: u64) {
    for day in (begins..until).step_by(DAY as usize) {
        if stage.dice.chance(100) {
            broker_restarts(stage, day);
        }
        for site in 0..stage.sites.len() {
            if stage.dice.chance(140) {
                new_address(stage, day, site);
            }
            if stage.dice.chance(80) {
                update(stage, day, site);
            }
            if stage.dice.chance(70) {
                work(stage, day, site);
            }
            if stage.dice.chance(100) {
                door_left_open(stage, day, site);
            }
        }
        if stage.dice.chance(150) {
            new_interval(stage, day, until);
        }
    }
}

fn broker_restarts(stage: &mut Stage<'_>, day: u64) {
    let at = stage.after(day, HOUR, 23 * HOUR);
    let until = stage.after(at, 5 * SECOND, 60 * SECOND);
    let over = until + 2 * MINUTE;
    stage.say(at, Event::OwnTrouble { is_on: true });
    stage.cue(at, 0, Act::BrokerAway { until });
    stage.say(over, Event::OwnTrouble { is_on: false });
    let all: Vec<usize> = (0..stage.bodies.len()).collect();
    stage.label_ordinary(
        "the broker restarts",
        (at, over),
        &all,
        vec![Scope::Everything],
        &[Class::OwnTrouble],
    );
}

/// The provider gives a site another address: all connections break, and come from another network of the same system.
fn new_address(stage: &mut Stage<'_>, day: u64, site: usize) {
    let at = stage.after(day, 2 * HOUR, 5 * HOUR);
    let network = draw_network(&mut stage.dice);
    let whom: Vec<usize> = stage.at_site(site).map(|body| body.index).collect();
    for whom in &whom {
        let source = Source { network, ..stage.bodies[*whom].source.clone() };
        let back_at = stage.after(at, 2 * SECOND, 40 * SECOND);
        stage.cue(at, *whom, Act::Source(source));
        stage.cue(at, *whom, Act::Drop { back_at });
    }
    let scope = stage.site(site);
    stage.label_ordinary("another address of the provider", (at, at + MINUTE), &whom, vec![scope], &[]);
}

/// The devices that sign get a new program within two hours, one after the other, and start anew.
fn update(stage: &mut Stage<'_>, day: u64, site: usize) {
    let at = stage.after(day, 8 * HOUR, 16 * HOUR);
    let whom: Vec<usize> = stage
        .at_site(site)
        .filter(|body| body.make.key_level.is_some() && !body.make.sleeps)
        .map(|body| body.index)
        .collect();
    for whom in &whom {
        let at = stage.after(at, 0, 2 * HOUR);
        stage.cue(at, *whom, Act::Reboot { reset: Reset::Software, is_clean: true });
    }
    stage.label_ordinary("update", (at, at + 2 * HOUR), &whom, Vec::new(), &[]);
}

/// A crew works at a site, says so, and switches a third of it off.
fn work(stage: &mut Stage<'_>, day: u64, site: usize) {
    let at = stage.after(day, 7 * HOUR, 15 * HOUR);
    let over = stage.after(at, HOUR, 3 * HOUR);
    let scope = stage.site(site);
    stage.say(at, Event::Maintenance { scope: scope.clone(), until: UnixMillis(over) });
    let whom: Vec<usize> =
        stage.at_site(site).filter(|body| body.place.power == Power::Mains).map(|body| body.index).collect();
    for whom in &whom {
        if stage.dice.chance(330) {
            let at = stage.after(at, 5 * MINUTE, 15 * MINUTE);
            let until = stage.after(at, 5 * MINUTE, over - at - 5 * MINUTE);
            stage.cue(at, *whom, Act::PowerCut { until, starts: 1 });
        }
    }
    stage.label_ordinary("announced work", (at, over), &whom, vec![scope], &[]);
}

fn door_left_open(stage: &mut Stage<'_>, day: u64, site: usize) {
    let at = stage.after(day, 6 * HOUR, 20 * HOUR);
    let over = stage.after(at, HOUR, 3 * HOUR);
    let swings = stage.dice.one_of([-3.0, -2.0, 2.0, 3.0]);
    stage.cue(at, 0, Act::Step { site, swings });
    stage.cue(over, 0, Act::Step { site, swings: 0.0 });
    let whom: Vec<usize> = stage.at_site(site).map(|body| body.index).collect();
    let scope = stage.site(site);
    stage.label_ordinary("a door left open", (at, over), &whom, vec![scope], &[Class::GroupStep]);
}

/// A new program of one device reports twice or half as often; who declared the interval declares the new one.
fn new_interval(stage: &mut Stage<'_>, day: u64, until: u64) {
    let at = stage.after(day, 8 * HOUR, 18 * HOUR);
    let Some(whom) = stage.pick(at, |body| !body.make.sleeps) else { return };
    let body = &stage.bodies[whom];
    let interval = if stage.dice.chance(500) { body.interval * 2 } else { body.interval / 2 };
    if body.place.interval_ms.is_some() {
        let place = keyward_watch::event::Place { interval_ms: Some(interval), ..body.place.clone() };
        stage.say(at, Event::Registered { device: body.device.clone(), place });
    }
    stage.cue(at, whom, Act::Interval(interval));
    stage.cue(at + SECOND, whom, Act::Reboot { reset: Reset::Software, is_clean: true });
    // Later scenarios speak of the interval that this body was drawn with: they leave it alone.
    stage.engage(whom, until, NEVER);
    stage.label_ordinary(
        "a program with another interval",
        (at, at + 6 * HOUR),
        &[whom],
        Vec::new(),
        &[Class::CadenceChanged],
    );
}

/// Plans what befalls each device, day after day. What somebody else has planned for a device then is left alone.
pub(super) fn of_each(stage: &mut Stage<'_>, begins: u64, until: u64) {
    for whom in 0..stage.bodies.len() {
        for day in (begins..until).step_by(DAY as usize) {
            of_one(stage, day, whom);
        }
    }
}

fn of_one(stage: &mut Stage<'_>, day: u64, whom: usize) {
    let at = stage.after(day, 0, DAY);
    if !stage.is_left_alone(at, whom) {
        return;
    }
    let over_in = |stage: &mut Stage<'_>, first, last| stage.after(at, first, last);
    match stage.dice.below(1_000) {
        0..300 => stage.cue(at, whom, Act::Lose(1)),
        300..500 => {
            // It goes to another access point.
            let back_at = over_in(stage, 2 * SECOND, 8 * SECOND);
            stage.cue(at, whom, Act::Drop { back_at });
        }
        500..550 => {
            let until = over_in(stage, 15 * SECOND, 4 * MINUTE);
            stage.cue(at, whom, Act::WayCut { until });
            stage.label_ordinary("a short cut", (at, until), &[whom], Vec::new(), &[]);
        }
        550..570 => {
            let until = over_in(stage, 2 * MINUTE, 5 * MINUTE);
            stage.cue(at, whom, Act::Hang { until });
            stage.label_ordinary("a short hang", (at, until), &[whom], Vec::new(), &[]);
        }
        570..580 => {
            let reset = stage.dice.one_of([Reset::Watchdog, Reset::PowerOn]);
            stage.cue(at, whom, Act::Reboot { reset, is_clean: false });
            stage.label_ordinary("one start", (at, at + MINUTE), &[whom], Vec::new(), &[]);
        }
        580..590 => stage.cue(at, whom, Act::NewKey),
        _ => {}
    }
    let hole = Series::Office.read().hole(&mut stage.dice);
    if hole > 0 {
        let interval = stage.bodies[whom].interval;
        let reports = u64::from(hole).min(HOUR / interval).max(1);
        stage.cue(at, whom, Act::Lose(reports as u32));
        let over = at + (reports + 1) * interval;
        stage.label_ordinary("a hole of a real series", (at, over), &[whom], Vec::new(), &[]);
    }
}
