//! One device falls silent, or starts again and again.

use super::super::act::Act;
use super::super::body::Body;
use super::super::label::Kind;
use super::super::stage::{Stage, Staged};
use super::super::{HOUR, MINUTE};
use super::{Pace, Scenario};
use keyward_watch::Class;
use keyward_watch::event::{Power, Reset};

const SECOND: u64 = 1_000;
/// How long a destroyed device is looked at: twice the day after which it counts as destroyed.
const FOR_GOOD: u64 = 50 * HOUR;

const HARM: Scenario = Scenario {
    name: "",
    rule: "",
    kind: Kind::Harm,
    pace: Pace::Alone,
    right: &[],
    fitting: &[Class::Missing],
    stage: |_, _| None,
};

pub(super) const ROWS: &[Scenario] = &[
    Scenario {
        name: "power cut, told by a last gasp",
        rule: "L3",
        right: &[Class::PowerLoss],
        stage: cut_told,
        ..HARM
    },
    Scenario {
        name: "power cut, told on return",
        rule: "L7",
        right: &[Class::PowerLoss],
        stage: cut_untold,
        ..HARM
    },
    Scenario {
        name: "power cut of foreign firmware",
        rule: "L7",
        right: &[Class::Missing, Class::PowerLoss],
        stage: cut_foreign,
        ..HARM
    },
    Scenario {
        name: "power cuts in a row",
        rule: "L7",
        right: &[Class::PowerLoss],
        fitting: &[Class::Missing, Class::RebootLoop],
        stage: cuts,
        ..HARM
    },
    Scenario {
        name: "way cut, readings kept",
        rule: "L7",
        right: &[Class::NetworkLoss],
        stage: way_cut,
        ..HARM
    },
    Scenario { name: "hang", rule: "L7", right: &[Class::Stalled], stage: hang, ..HARM },
    Scenario {
        name: "jammed",
        rule: "L7",
        right: &[Class::Stalled],
        fitting: &[Class::Missing, Class::NetworkLoss],
        stage: jam,
        ..HARM
    },
    Scenario {
        name: "brown-outs",
        rule: "L6",
        right: &[Class::RebootLoop],
        fitting: &[Class::PowerLoss],
        stage: brown_outs,
        ..HARM
    },
    Scenario {
        name: "reset pin pulled",
        rule: "L6",
        right: &[Class::TamperReset],
        fitting: &[Class::RebootLoop],
        stage: resets,
        ..HARM
    },
    Scenario {
        name: "one sensor silent",
        rule: "partial silence",
        pace: Pace::Beside,
        right: &[Class::SensorSilent],
        stage: one_silent,
        ..HARM
    },
    Scenario {
        name: "all sensors silent, link alive",
        rule: "partial silence",
        pace: Pace::Beside,
        right: &[Class::SensorSilent],
        fitting: &[Class::Missing, Class::Stalled],
        stage: all_silent,
        ..HARM
    },
    Scenario {
        name: "destroyed",
        rule: "L8",
        pace: Pace::Beside,
        right: &[Class::DestroyedOrStolen],
        stage: destroyed,
        ..HARM
    },
    Scenario {
        name: "grabbed, the switch noticed",
        rule: "L5",
        pace: Pace::Beside,
        right: &[Class::TheftSuspected],
        fitting: &[Class::Tampered, Class::Missing, Class::DestroyedOrStolen, Class::PowerLoss],
        stage: grabbed,
        ..HARM
    },
    Scenario {
        name: "does not wake",
        rule: "L1",
        pace: Pace::Beside,
        right: &[Class::Missing, Class::DestroyedOrStolen],
        stage: does_not_wake,
        ..HARM
    },
    Scenario {
        name: "case opened",
        rule: "L5",
        right: &[Class::Tampered],
        fitting: &[],
        stage: opened,
        ..HARM
    },
    Scenario {
        name: "sleeps longer, as announced",
        rule: "L1",
        kind: Kind::Harmless,
        pace: Pace::Beside,
        fitting: &[],
        stage: sleeps,
        ..HARM
    },
];

fn is_awake_and_signs(body: &Body) -> bool {
    body.make.key_level.is_some() && !body.make.sleeps
}

fn is_mains(body: &Body) -> bool {
    body.place.power == Power::Mains
}

fn cut(stage: &mut Stage<'_>, at: u64, starts: u64, fits: impl Fn(&Body) -> bool) -> Option<(usize, u64)> {
    let whom = stage.pick(at, |body| is_mains(body) && fits(body))?;
    let until = stage.after(at, 20 * MINUTE, 90 * MINUTE);
    stage.cue(at, whom, Act::PowerCut { until, starts });
    Some((whom, until))
}

fn cut_told(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let (whom, until) = cut(stage, at, 1, |body| is_awake_and_signs(body) && body.make.gasps)?;
    Some(Staged::one(whom, at, until))
}

fn cut_untold(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let (whom, until) = cut(stage, at, 1, |body| is_awake_and_signs(body) && !body.make.gasps)?;
    Some(Staged::one(whom, until + 10 * SECOND, until))
}

fn cut_foreign(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let (whom, until) = cut(stage, at, 1, |body| body.make.key_level.is_none() && !body.make.sleeps)?;
    Some(Staged::one(whom, given_up(stage, at, whom), until))
}

fn cuts(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let (whom, until) = cut(stage, at, 4, |body| is_awake_and_signs(body) && !body.make.gasps)?;
    Some(Staged::one(whom, until + 10 * SECOND, until))
}

/// When the broker gives a link up whose device fell silent.
fn given_up(stage: &Stage<'_>, at: u64, whom: usize) -> u64 {
    at + u64::from(stage.bodies[whom].make.keep_alive_secs) * 3 / 2 * SECOND
}

fn way_cut(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| is_awake_and_signs(body) && body.interval <= 300_000)?;
    let until = stage.after(at, 30 * MINUTE, 90 * MINUTE);
    stage.cue(at, whom, Act::WayCut { until });
    Some(Staged::one(whom, until + 30 * SECOND, until))
}

fn hang(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, is_awake_and_signs)?;
    let until = stage.after(at, 30 * MINUTE, 90 * MINUTE);
    stage.cue(at, whom, Act::Hang { until });
    Some(Staged::one(whom, until + 30 * SECOND, until))
}

/// Two devices of one site, which are not most of anything.
fn jam(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let first = stage.pick(at, is_awake_and_signs)?;
    let site = stage.bodies[first].site;
    let other =
        stage.pick(at, |body| is_awake_and_signs(body) && body.site == site && body.index != first)?;
    let until = stage.after(at, 30 * MINUTE, 60 * MINUTE);
    for whom in [first, other] {
        stage.cue(at, whom, Act::Hang { until });
    }
    Some(Staged { whom: vec![first, other], knowable: until + 30 * SECOND, over: until, ..Staged::default() })
}

fn starts(stage: &mut Stage<'_>, at: u64, reset: Reset, count: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| is_awake_and_signs(body) && is_mains(body))?;
    let (mut next, mut knowable) = (at, at);
    for number in 1..=count {
        stage.cue(next, whom, Act::Reboot { reset, is_clean: false });
        if number <= 3 {
            knowable = next + 20 * SECOND;
        }
        next = stage.after(next, 2 * MINUTE, 8 * MINUTE);
    }
    Some(Staged::one(whom, knowable, next))
}

fn brown_outs(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    starts(stage, at, Reset::Brownout, 6)
}

fn resets(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    starts(stage, at, Reset::External, 5)
}

fn silence(stage: &mut Stage<'_>, at: u64, sensors: usize) -> Option<Staged> {
    let fits =
        |body: &Body| is_awake_and_signs(body) && body.interval <= 300_000 && body.sensors.len() == sensors;
    let whom = stage.pick(at, fits)?;
    let until = at + 8 * HOUR;
    stage.cue(at, whom, Act::Mute { sensor: sensors - 1, until });
    Some(Staged::one(whom, at + 3 * stage.bodies[whom].interval, until))
}

fn one_silent(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    silence(stage, at, 2)
}

fn all_silent(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    silence(stage, at, 1)
}

fn destroyed(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| !body.make.sleeps)?;
    stage.cue(at, whom, Act::Gone);
    Some(Staged::one(whom, at + 24 * HOUR, at + FOR_GOOD))
}

fn grabbed(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| is_awake_and_signs(body) && body.make.has_switch)?;
    stage.cue(at, whom, Act::Tamper("case"));
    let gone = stage.after(at, MINUTE, 5 * MINUTE);
    stage.cue(gone, whom, Act::Gone);
    Some(Staged::one(whom, given_up(stage, gone, whom), at + FOR_GOOD))
}

fn does_not_wake(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| body.make.sleeps && body.make.key_level.is_some())?;
    stage.cue(at, whom, Act::Gone);
    Some(Staged::one(whom, at + stage.bodies[whom].interval, at + FOR_GOOD))
}

fn opened(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| is_awake_and_signs(body) && body.make.has_switch)?;
    let input = stage.dice.one_of(["case", "tilt"]);
    stage.cue(at, whom, Act::Tamper(input));
    Some(Staged::one(whom, at, at + 10 * MINUTE))
}

fn sleeps(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| body.make.sleeps && body.make.key_level.is_some())?;
    let until = stage.after(at, 5 * HOUR, 10 * HOUR);
    stage.cue(at, whom, Act::Sleep { until });
    Some(Staged::one(whom, at, until + HOUR))
}
