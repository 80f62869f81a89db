//! What somebody has to know, and what only looks like it: one row each.

mod copies;
mod losses;
mod moves;
mod outages;
mod readings;

use super::label::Kind;
use super::stage::{Stage, Staged};
use super::{HOUR, MINUTE};
use keyward_watch::Class;

/// Is a row: a thing that can be the case.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// As in [`Label::rule`](super::Label::rule).
    pub(super) rule: &'static str,
    pub(super) kind: Kind,
    pace: Pace,
    pub(super) right: &'static [Class],
    pub(super) fitting: &'static [Class],
    /// Plans it at a time; `None` if the fleet has nobody whom it can hit.
    stage: fn(&mut Stage<'_>, u64) -> Option<Staged>,
}

/// Says when the next scenario may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// When this one is over.
    Alone,
    /// An hour later: this one lasts, and hits one device.
    Beside,
}

/// Lists all.
pub(super) fn all() -> impl Iterator<Item = &'static Scenario> {
    [losses::ROWS, outages::ROWS, copies::ROWS, moves::ROWS, readings::ROWS].into_iter().flatten()
}

/// Plans each scenario once, from a time on, in a drawn order: first those that need their time alone. Returns when all is over.
pub(super) fn play(stage: &mut Stage<'_>, begins: u64) -> u64 {
    let (mut alone, mut beside): (Vec<_>, Vec<_>) = all().partition(|scenario| scenario.pace == Pace::Alone);
    stage.dice.shuffle(&mut alone);
    stage.dice.shuffle(&mut beside);
    let (mut at, mut ends) = (begins + HOUR, begins);
    for scenario in alone.into_iter().chain(beside) {
        let Some(staged) = (scenario.stage)(stage, at) else { continue };
        ends = ends.max(staged.over + 2 * HOUR);
        let over = staged.over;
        stage.label(scenario, at, staged);
        let next = if scenario.pace == Pace::Alone { over } else { at };
        at = stage.after(next, 45 * MINUTE, 2 * HOUR);
    }
    ends
}
