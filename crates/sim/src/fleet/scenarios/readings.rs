//! A sensor says what is not so, or a site changes and all its sensors say so.

use super::super::HOUR;
use super::super::act::Act;
use super::super::body::Body;
use super::super::label::Kind;
use super::super::sensor::{Bend, Quantity};
use super::super::stage::{Stage, Staged};
use super::{Pace, Scenario};
use keyward_watch::Class;

const LIE: Scenario = Scenario {
    name: "",
    rule: "",
    kind: Kind::Harm,
    pace: Pace::Beside,
    right: &[],
    fitting: &[Class::Unusual, Class::Disagrees, Class::NoiseChanged, Class::RelationBroken],
    stage: |_, _| None,
};

pub(super) const ROWS: &[Scenario] = &[
    Scenario {
        name: "torn off",
        rule: "R1",
        right: &[Class::OutOfRange],
        fitting: ABSURD,
        stage: absurd,
        ..LIE
    },
    Scenario { name: "jumps", rule: "R2", right: &[Class::TooFast], fitting: ABSURD, stage: jumps, ..LIE },
    Scenario { name: "stuck", rule: "R3", right: &[Class::Stuck], stage: stuck, ..LIE },
    Scenario { name: "far off", rule: "R4", right: HISTORY, fitting: ABSURD, stage: far_off, ..LIE },
    Scenario { name: "somewhat off", rule: "R5", right: HISTORY, stage: off, ..LIE },
    Scenario { name: "drifts", rule: "R5", right: HISTORY, stage: drifts, ..LIE },
    Scenario {
        name: "emulated",
        rule: "R6",
        right: &[Class::NoiseChanged],
        fitting: ABSURD,
        stage: emulated,
        ..LIE
    },
    Scenario {
        name: "recorded and played again",
        rule: "R7",
        right: &[Class::ValueReplay],
        stage: replayed,
        ..LIE
    },
    Scenario {
        name: "dew point above temperature",
        rule: "R8",
        right: &[Class::RelationBroken],
        stage: above,
        ..LIE
    },
    Scenario {
        name: "four times as often",
        rule: "R10",
        right: &[Class::CadenceChanged],
        fitting: &[Class::NoiseChanged],
        stage: more_often,
        ..LIE
    },
    Scenario {
        name: "four times as seldom",
        rule: "R10",
        right: &[Class::CadenceChanged],
        fitting: &[Class::Missing, Class::SensorSilent],
        stage: more_seldom,
        ..LIE
    },
    Scenario {
        name: "a site cools down",
        rule: "R11",
        kind: Kind::Harmless,
        pace: Pace::Alone,
        right: &[Class::GroupStep],
        fitting: &[Class::Unusual],
        stage: cools,
    },
];

const HISTORY: &[Class] = &[Class::Unusual, Class::Disagrees];
const ABSURD: &[Class] = &[
    Class::Unusual,
    Class::Disagrees,
    Class::NoiseChanged,
    Class::RelationBroken,
    Class::TooFast,
    Class::OutOfRange,
    Class::Stuck,
];
const LASTS: u64 = 12 * HOUR;

fn reports(body: &Body) -> bool {
    !body.make.sleeps && body.interval <= 300_000
}

fn bend(
    stage: &mut Stage<'_>,
    at: u64,
    lasts: u64,
    lie: Bend,
    fits: impl Fn(&Body) -> bool,
) -> Option<Staged> {
    let whom = stage.pick(at, |body| reports(body) && fits(body))?;
    // Of a room with a dew point the dew point is bent: the room would take its dew point along.
    let sensor = stage.bodies[whom].sensors.len() - 1;
    stage.cue(at, whom, Act::Bend { sensor, bend: Some(lie) });
    stage.cue(at + lasts, whom, Act::Bend { sensor, bend: None });
    Some(Staged::one(whom, at + stage.bodies[whom].interval, at + lasts))
}

fn is_warm(body: &Body) -> bool {
    body.sensors.iter().all(|sensor| matches!(sensor.quantity, Quantity::Room | Quantity::Machine))
}

fn absurd(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    bend(stage, at, LASTS, Bend::Absurd, |_| true)
}

fn jumps(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    bend(stage, at, LASTS, Bend::Jumps(12.0), is_warm)
}

fn stuck(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    bend(stage, at, LASTS, Bend::Stuck, |_| true)
}

fn far_off(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    bend(stage, at, LASTS, Bend::Offset(12.0), is_warm)
}

fn off(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    bend(stage, at, LASTS, Bend::Offset(3.0), is_warm)
}

fn drifts(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    bend(stage, at, 36 * HOUR, Bend::Drift(4.0, at), is_warm)
}

fn emulated(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    bend(stage, at, LASTS, Bend::Emulated, is_warm)
}

fn replayed(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    bend(stage, at, LASTS, Bend::Replay, |body| body.interval <= 60_000)
}

fn above(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    bend(stage, at, LASTS, Bend::Above, |body| body.sensors.len() == 2)
}

fn paced(stage: &mut Stage<'_>, at: u64, interval: fn(u64) -> u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| reports(body) && body.interval >= 30_000)?;
    let usual = stage.bodies[whom].interval;
    stage.cue(at, whom, Act::Interval(interval(usual)));
    stage.cue(at + LASTS, whom, Act::Interval(usual));
    Some(Staged::one(whom, at + 10 * usual, at + LASTS))
}

fn more_often(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    paced(stage, at, |interval| interval / 4)
}

fn more_seldom(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    paced(stage, at, |interval| interval * 4)
}

fn cools(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let site = stage.pick_site(at)?;
    let whom: Vec<usize> = stage.at_site(site).map(|body| body.index).collect();
    let over = at + 3 * HOUR;
    stage.cue(at, 0, Act::Step { site, swings: -6.0 });
    stage.cue(over, 0, Act::Step { site, swings: 0.0 });
    Some(Staged { whom, scopes: vec![stage.site(site)], knowable: at + 300_000, over })
}
