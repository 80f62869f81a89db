//! Quarantine in a world of its own: a pump that goes on speaking, a reader that stays, an operator who puts the pump into quarantine and
//! releases it, and a broker that dies now and then with a disk that survives it.

mod model;

use crate::dice::Dice;
use crate::event::{AccountNo, ClientNo};
use crate::pump_and_reader::{PUMP, READER, connect, join, setup};
use crate::run::{Failure, Outcome, Plan, Run, Trace};
use crate::world::{Draft, World};
use keyward_mqtt::packet::Qos;
use keyward_mqtt::time::Millis;
use model::Model;

const PUMP_ACCOUNT: AccountNo = AccountNo(0);

/// What the pump is left with in quarantine begins so.
const RECOVERY: &str = "devices/pump/recovery/";

/// What the pump says, and what is said to it.
const SAID: [&str; 3] = ["pump/a", "site/a", "devices/pump/recovery/state"];
const TOLD: [&str; 3] = ["pump/set", "site/b", "devices/pump/recovery/do"];

/// Of the steps of a plan one in so many is spent here.
const SHARE: u32 = 8;

/// Is something that may happen.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Say,
    Tell,
    Quarantine,
    LosePump,
    LoseReader,
    Crash,
}

const DEEDS: [(u64, Deed); 6] = [
    (300, Deed::Say),
    (300, Deed::Tell),
    (60, Deed::Quarantine),
    (30, Deed::LosePump),
    (15, Deed::LoseReader),
    (6, Deed::Crash),
];

/// Runs this world by a plan.
///
/// # Errors
/// A promise was broken, or something panicked.
pub(crate) fn run(plan: Plan, trace: Trace) -> Result<Outcome, Failure> {
    let mut run =
        Run::new(plan, trace, World::new(setup(plan, 0x00_9A_2A_17_00, false)), Model::new(plan.shards));
    let mut house = House { dice: Dice::new(plan.seed ^ 0x9A_2A_17), is_quarantined: false };
    run.act(0, |world| house.begin(world))?;
    for step in 0..plan.steps / SHARE {
        run.act(step, |world| house.step(world))?;
    }
    run.act(plan.steps, World::settle)?;
    Ok(run.end())
}

/// Says what happens next.
struct House {
    dice: Dice,
    is_quarantined: bool,
}

impl House {
    /// Has both subscribe, while both may.
    fn begin(&mut self, world: &mut World) {
        for client in [PUMP, READER] {
            join(world, client, true);
        }
    }

    fn step(&mut self, world: &mut World) {
        world.pass(Millis(self.dice.below(20) as u64));
        for _ in 0..self.dice.between(1, 4) {
            if let Some(deed) = self.dice.weighted(&DEEDS) {
                self.act(world, deed);
            }
        }
        for client in [PUMP, READER] {
            if world.link_of(client).is_none() && self.dice.chance(300) {
                connect(world, client, false);
            }
        }
        world.take_turns();
    }

    fn act(&mut self, world: &mut World, deed: Deed) {
        match deed {
            Deed::Say => self.publish(world, PUMP, SAID),
            Deed::Tell => self.publish(world, READER, TOLD),
            Deed::Quarantine => {
                self.is_quarantined = !self.is_quarantined;
                world.set_quarantine(PUMP_ACCOUNT, self.is_quarantined);
            }
            Deed::LosePump => world.break_link(PUMP),
            Deed::LoseReader => world.break_link(READER),
            Deed::Crash => world.crash(),
        }
    }

    fn publish(&mut self, world: &mut World, client: ClientNo, topics: [&str; 3]) {
        let draft = Draft {
            number: Some(world.new_message()),
            topic: self.dice.one_of(topics).to_owned(),
            qos: self.dice.one_of([Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]),
            retain: false,
            expiry: None,
            large: false,
        };
        world.publish(client, draft);
    }
}
