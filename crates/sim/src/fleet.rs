//! A labelled simulator of fleets: what a watch hears of many devices for weeks, and what was really the case.
//!
//! One seed has one world. It begins with quiet days, in which there is ordinary trouble and nothing that somebody has to know; then each scenario
//! comes once, if the fleet has a device for it. How to use it: make a [`Fleet`] of a [`Plan`], hand its events to a watch in their order,
//! and compare the findings with [`Fleet::labels`].
//!
//! | what | where from |
//! |---|---|
//! | the rhythm of a day, and how each day strays from it | whole days of three real series, drawn by day of the week (`fleet/real.rs`): office and dew point, machine, taxi |
//! | fine noise of each reading | each row's distance from the middle of its neighbours, in their real order |
//! | how late a report is | the same of the machine, as thousandths of the interval |
//! | holes in reporting | the holes of the office series, one real day for each day of a device, counted in its own intervals |
//! | how far a device finds itself from where it is | fine noise of the office, in millionths of a degree |
//! | how often a link breaks, how long a cut lasts, when a crew comes | **drawn evenly between bounds that are invented**: no real fleet is behind them |
//!
//! Of what a detector may assume nothing is known here, and no threshold stands here. Seeds 0 to 49 are for choosing thresholds, 1000 to 1049 for
//! reporting what they do.
//!
//! What is not here: wills (they are messages of the broker, not of the device), groups and quarantine.

mod act;
mod body;
mod label;
mod layout;
mod ordinary;
mod real;
pub mod report;
mod scenarios;
pub mod score;
mod sensor;
mod stage;
mod world;

pub use label::{Kind, Label};

use crate::dice::Dice;
use keyward_ids::NameError;
use keyward_watch::event::{Event, UnixMillis};
use layout::Layout;
use real::DAY;
use stage::Stage;
use world::World;

/// The Monday on which each world begins: 2 March 2026.
const BEGINS: u64 = 20_514 * DAY;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// Says which world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What everything is drawn from.
    pub seed: u64,
    /// Quiet days before the first scenario.
    pub days: u64,
    /// Devices; each twenty are a site.
    pub devices: usize,
}

/// Is a fleet and what happens to it: an iterator of events in the order of time.
#[derive(Debug)]
pub struct Fleet {
    world: World,
    labels: Vec<Label>,
    quiet_until: UnixMillis,
}

impl Fleet {
    /// Draws the world of a plan.
    ///
    /// # Errors
    /// A drawn name is no name: a mistake here.
    pub fn new(plan: Plan) -> Result<Self, NameError> {
        let mut dice = Dice::new(plan.seed);
        let Layout { sites, bodies } = Layout::draw(plan, &mut dice.fork())?;
        let quiet_until = BEGINS + plan.days * DAY;
        let mut stage = Stage::new(&sites, &bodies, dice.fork());
        ordinary::arrivals(&mut stage, BEGINS, quiet_until);
        ordinary::of_all(&mut stage, BEGINS, quiet_until);
        let ends = scenarios::play(&mut stage, quiet_until);
        ordinary::of_each(&mut stage, BEGINS, ends);
        let (cues, mut labels) = stage.done();
        labels.sort_by_key(|label| label.begins);
        let count = sites.len();
        let world = World::new(bodies, count, cues, ends);
        Ok(Self { world, labels, quiet_until: UnixMillis(quiet_until) })
    }

    /// Returns what was really the case, by its beginning.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Returns when the quiet days are over.
    pub fn quiet_until(&self) -> UnixMillis {
        self.quiet_until
    }

    /// Returns when the world begins.
    pub fn begins(&self) -> UnixMillis {
        UnixMillis(BEGINS)
    }
}

impl Iterator for Fleet {
    type Item = (UnixMillis, Event);

    fn next(&mut self) -> Option<Self::Item> {
        self.world.next()
    }
}

#[cfg(test)]
mod tests;
