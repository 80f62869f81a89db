//! A device is carried away and switched on elsewhere.

use super::super::act::Act;
use super::super::label::Kind;
use super::super::layout::{draw_network, position_of};
use super::super::stage::{Stage, Staged};
use super::super::{HOUR, MINUTE};
use super::{Pace, Scenario};
use keyward_watch::Class;
use keyward_watch::event::{Event, Position, Source};

const SECOND: u64 = 1_000;

const MOVE: Scenario = Scenario {
    name: "",
    rule: "relocation",
    kind: Kind::Harm,
    pace: Pace::Alone,
    right: &[Class::Moved],
    fitting: &[Class::PowerLoss, Class::Missing, Class::TheftSuspected],
    stage: |_, _| None,
};

pub(super) const ROWS: &[Scenario] = &[
    Scenario { name: "carried to another network", stage: network, ..MOVE },
    Scenario { name: "carried to another country", fitting: COUNTRY, stage: country, ..MOVE },
    Scenario { name: "carried far, same provider", fitting: COUNTRY, stage: town, ..MOVE },
    Scenario { name: "carried beyond its fence, link alive", fitting: &[], stage: fence, ..MOVE },
    Scenario { name: "grabbed and switched on elsewhere", fitting: GRABBED, stage: grabbed, ..MOVE },
    Scenario {
        name: "moved on purpose",
        kind: Kind::Harmless,
        right: &[],
        fitting: &[Class::PowerLoss, Class::Missing, Class::Moved],
        stage: on_purpose,
        ..MOVE
    },
];

const COUNTRY: &[Class] = &[Class::PowerLoss, Class::Missing, Class::TheftSuspected, Class::ImpossibleTravel];
const GRABBED: &[Class] = &[Class::PowerLoss, Class::Missing, Class::TheftSuspected, Class::Tampered];

/// Switches a device off, and on again where `elsewhere` says. It stays there.
fn carry(
    stage: &mut Stage<'_>,
    at: u64,
    whom: usize,
    elsewhere: impl FnOnce(&mut Stage<'_>, Source) -> Source,
) -> Staged {
    let until = stage.after(at, 20 * MINUTE, 60 * MINUTE);
    let source = stage.bodies[whom].source.clone();
    let source = elsewhere(stage, source);
    stage.cue(at, whom, Act::PowerCut { until, starts: 1 });
    let position = source.location.map(|location| beside(position_of(location), 20_000));
    stage.cue(at, whom, Act::Source(source));
    if let Some(position) = position {
        stage.cue(at, whom, Act::Position(position));
    }
    Staged::one(whom, until + 10 * SECOND, until + 30 * MINUTE)
}

/// So many millionths of a degree to the north-east: 20,000 are more than two kilometres.
fn beside(position: Position, by: i32) -> Position {
    Position { latitude: position.latitude + by, longitude: position.longitude + by }
}

/// Draws a device that stays awake and stands on the mains: who carries it away switches it off.
fn pick(stage: &mut Stage<'_>, at: u64) -> Option<usize> {
    stage.pick(at, |body| !body.make.sleeps && body.place.circuit.is_some())
}

fn another_network(stage: &mut Stage<'_>, source: Source) -> Source {
    let network = draw_network(&mut stage.dice);
    Source { network, system: Some(stage.dice.one_of([6_805, 6_830, 12_322])), ..source }
}

fn network(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = pick(stage, at)?;
    Some(carry(stage, at, whom, another_network))
}

fn country(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = pick(stage, at)?;
    Some(carry(stage, at, whom, |stage, source| {
        let (location, country) = stage.dice.one_of([((4_443, 2_610), *b"RO"), ((5_223, 2_101), *b"PL")]);
        Source { country: Some(country), location: Some(location), ..another_network(stage, source) }
    }))
}

/// Some hundred kilometres away, at the same provider in the same country.
fn town(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = pick(stage, at)?;
    Some(carry(stage, at, whom, |stage, source| {
        let location = source.location.map(|(latitude, longitude)| (latitude + 250, longitude + 300));
        Source { network: draw_network(&mut stage.dice), location, ..source }
    }))
}

/// A kilometre away, on the same network and without a pause: only what it says of itself tells.
fn fence(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| !body.make.sleeps && body.place.fence.is_some())?;
    let middle = stage.bodies[whom].position?;
    stage.cue(at, whom, Act::Position(beside(middle, 8_000)));
    let over = at + 3 * HOUR;
    stage.cue(over, whom, Act::Position(middle));
    let every = stage.bodies[whom].make.heartbeat_ms?;
    Some(Staged::one(whom, at + 2 * every, over))
}

fn grabbed(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| body.make.has_switch && !body.make.sleeps)?;
    stage.cue(at, whom, Act::Tamper("case"));
    let taken = stage.after(at, 30 * SECOND, 3 * MINUTE);
    Some(carry(stage, taken, whom, another_network))
}

fn on_purpose(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = pick(stage, at)?;
    let device = stage.bodies[whom].device.clone();
    stage.say(at, Event::MovedOnPurpose { device });
    Some(carry(stage, at + 5 * MINUTE, whom, another_network))
}
