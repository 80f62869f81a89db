//! Two hold what one should: copies of a device, numbers that go back, messages that are not its own.

use super::super::act::{Act, Manner};
use super::super::body::Body;
use super::super::label::Kind;
use super::super::layout::draw_network;
use super::super::stage::{Stage, Staged};
use super::super::{HOUR, MINUTE};
use super::{Pace, Scenario};
use keyward_watch::Class;
use keyward_watch::event::{Event, Proof, Source};

const SECOND: u64 = 1_000;

/// What two holders of one credential do beside that by which they are told here.
const TWO: &[Class] = &[
    Class::Equivocation,
    Class::EpochsInterleave,
    Class::NumbersBehind,
    Class::TakeoverPingPong,
    Class::StaleRatchet,
    Class::ImpossibleTravel,
    Class::Moved,
];

const COPY: Scenario = Scenario {
    name: "",
    rule: "",
    kind: Kind::Harm,
    pace: Pace::Alone,
    right: &[],
    fitting: TWO,
    stage: |_, _| None,
};

pub(super) const ROWS: &[Scenario] = &[
    Scenario {
        name: "one number, two messages",
        rule: "C1",
        right: &[Class::Equivocation],
        stage: equivocation,
        ..COPY
    },
    Scenario {
        name: "a copy signs beside it",
        rule: "C2",
        right: &[Class::EpochsInterleave],
        stage: epochs,
        ..COPY
    },
    Scenario {
        name: "numbers far behind",
        rule: "C3",
        right: &[Class::NumbersBehind],
        stage: behind,
        ..COPY
    },
    Scenario {
        name: "old messages again",
        rule: "C4",
        right: &[Class::Replay],
        fitting: &[],
        stage: replay,
        ..COPY
    },
    Scenario {
        name: "one old message again",
        rule: "C4",
        kind: Kind::Harmless,
        fitting: &[Class::Replay],
        stage: duplicate,
        ..COPY
    },
    Scenario {
        name: "a copy takes over and over",
        rule: "C5",
        right: &[Class::TakeoverPingPong],
        stage: ping_pong,
        ..COPY
    },
    Scenario {
        name: "its key in another program takes over and over",
        rule: "C5",
        right: &[Class::TakeoverPingPong],
        stage: ping_pong_of_programs,
        ..COPY
    },
    Scenario {
        name: "a copy without secure hardware",
        rule: "C6",
        right: &[Class::StaleRatchet],
        stage: ratchet,
        ..COPY
    },
    Scenario { name: "a copy far away", rule: "C7", right: &[Class::ImpossibleTravel], stage: far, ..COPY },
    Scenario {
        name: "a key less protected",
        rule: "C8",
        right: &[Class::KeyLevelFell],
        stage: level,
        ..COPY
    },
    Scenario {
        name: "messages not truly signed",
        rule: "R9",
        right: &[Class::BadSignatures],
        fitting: &[],
        stage: bad,
        ..COPY
    },
];

fn is_awake(body: &Body) -> bool {
    !body.make.sleeps
}

fn signs(body: &Body) -> bool {
    is_awake(body) && body.make.key_level.is_some()
}

fn prove(stage: &mut Stage<'_>, at: u64, whom: usize, proof: Proof) {
    let device = stage.bodies[whom].device.clone();
    stage.say(at, Event::Proof { device, proof });
}

fn equivocation(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, signs)?;
    prove(stage, at, whom, Proof::Equivocation);
    Some(Staged::one(whom, at, at + 10 * MINUTE))
}

fn behind(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, signs)?;
    let mut next = at;
    for _ in 0..3 {
        prove(stage, next, whom, Proof::NumberBehind);
        next = stage.after(next, 2 * MINUTE, 10 * MINUTE);
    }
    Some(Staged::one(whom, at, next))
}

fn replay(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, signs)?;
    let (mut next, mut knowable) = (at, at);
    for number in 1..=6 {
        prove(stage, next, whom, Proof::Replay { message: number });
        if number == 3 {
            knowable = next;
        }
        next = stage.after(next, 5 * SECOND, 90 * SECOND);
    }
    Some(Staged::one(whom, knowable, next))
}

/// The same message twice, and no other: a network that repeats itself.
fn duplicate(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, signs)?;
    for at in [at, at + MINUTE] {
        prove(stage, at, whom, Proof::Replay { message: 1 });
    }
    Some(Staged::one(whom, at, at + 10 * MINUTE))
}

fn bad(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, signs)?;
    for number in 0..10 {
        prove(stage, at + number * 5 * SECOND, whom, Proof::BadSignature);
    }
    Some(Staged::one(whom, at + 10 * SECOND, at + 10 * MINUTE))
}

/// The same program in another network of the same country.
fn elsewhere(stage: &mut Stage<'_>, whom: usize) -> Source {
    let network = draw_network(&mut stage.dice);
    Source {
        network,
        system: Some(stage.dice.one_of([24_940, 16_276, 51_167])),
        ..stage.bodies[whom].source.clone()
    }
}

fn copied(stage: &mut Stage<'_>, at: u64, whom: usize, source: Source, manner: Manner) -> u64 {
    let over = stage.after(at, HOUR, 2 * HOUR);
    stage.cue(at, whom, Act::Copied { source, manner });
    stage.cue(over, whom, Act::CopyLeaves);
    over
}

fn visits(stage: &mut Stage<'_>) -> Manner {
    Manner::Visits(stage.after(0, 11 * MINUTE, 16 * MINUTE))
}

/// A copy of a device that does not answer for a rolling secret: it counts one start more than the device, and the device goes on.
fn epochs(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| signs(body) && !body.make.rolls)?;
    let (source, manner) = (elsewhere(stage, whom), visits(stage));
    let over = copied(stage, at, whom, source, manner);
    Some(Staged::one(whom, at + 40 * SECOND, over))
}

/// The whole flash was copied and runs on another chip: the same program, which says hello alike.
fn ping_pong(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| is_awake(body) && body.make.key_level.is_none())?;
    let source = elsewhere(stage, whom);
    let over = copied(stage, at, whom, source, Manner::Stays);
    Some(Staged::one(whom, at + MINUTE, over))
}

/// The thief took the key out of the flash and uses it with a program of his own, which says hello otherwise.
fn ping_pong_of_programs(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| is_awake(body) && body.make.key_level.is_none())?;
    let source = Source { fingerprint: 0xF1, ..elsewhere(stage, whom) };
    let over = copied(stage, at, whom, source, Manner::Stays);
    Some(Staged::one(whom, at + MINUTE, over))
}

fn ratchet(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| is_awake(body) && body.make.rolls)?;
    let (source, manner) = (elsewhere(stage, whom), visits(stage));
    let over = copied(stage, at, whom, source, manner);
    Some(Staged::one(whom, at + 40 * SECOND, over))
}

fn far(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| is_awake(body) && body.make.key_level.is_none())?;
    let (location, country) =
        stage.dice.one_of([((3_568, 13_969), *b"JP"), ((-2_355, -4_663), *b"BR"), ((4_071, -7_401), *b"US")]);
    let source = Source { country: Some(country), location: Some(location), ..elsewhere(stage, whom) };
    let manner = visits(stage);
    let over = copied(stage, at, whom, source, manner);
    Some(Staged::one(whom, at + 40 * SECOND, over))
}

fn level(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = stage.pick(at, |body| signs(body) && body.make.key_level >= Some(2))?;
    let before = stage.bodies[whom].make.key_level?;
    let over = at + 2 * HOUR;
    stage.cue(at, whom, Act::KeyLevel(0));
    stage.cue(over, whom, Act::KeyLevel(before));
    Some(Staged::one(whom, at + stage.bodies[whom].interval, over))
}
