//! Rule 21 in a world of its own: a device that signs everything, somebody who plays back what it said, a reader that stays, and a broker
//! that dies now and then with a disk that survives it.
//!
//! Messages are numbered so that the model can tell what is what: contents of one number of the key differ in the last digits alone.

mod model;

use crate::dice::Dice;
use crate::event::MessageNo;
use crate::pump_and_reader::{PUMP, READER, connect, join, setup};
use crate::run::{Failure, Outcome, Plan, Run, Trace};
use crate::signing;
use crate::world::{Cut, Draft, World};
use keyward_mqtt::packet::Qos;
use keyward_mqtt::time::Millis;
use model::Model;

const TOPIC: &str = "pump/a";

/// Contents that one number of the key may have; the last is a forgery.
const CONTENTS: u64 = 10;
const FORGED: u64 = CONTENTS - 1;

/// Of the steps of a plan one in so many is spent here.
const SHARE: u32 = 4;

/// Is something that may happen.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Publish,
    PlayBack,
    Contradict,
    Forge,
    LosePump,
    CutPump,
    LoseReader,
    Crash,
}

const DEEDS: [(u64, Deed); 8] = [
    (400, Deed::Publish),
    (140, Deed::PlayBack),
    (50, Deed::Contradict),
    (10, Deed::Forge),
    (30, Deed::LosePump),
    (30, Deed::CutPump),
    (20, Deed::LoseReader),
    (14, Deed::Crash),
];

/// Runs this world by a plan.
///
/// # Errors
/// A promise was broken, or something panicked.
pub(crate) fn run(plan: Plan, trace: Trace) -> Result<Outcome, Failure> {
    let mut run = Run::new(plan, trace, World::new(setup(plan, 0x0005_1911_ED00, true)), Model::default());
    let mut house = House::new(plan.seed);
    run.act(0, |world| house.begin(world))?;
    for step in 0..plan.steps / SHARE {
        run.act(step, |world| house.step(world))?;
    }
    run.act(plan.steps, World::settle)?;
    Ok(run.end())
}

/// Is a message that was published, byte for byte.
struct Said {
    number: MessageNo,
    bytes: Vec<u8>,
}

/// Says what happens next.
struct House {
    dice: Dice,
    /// The last number of the key that was used.
    sequence: u64,
    said: Vec<Said>,
}

impl House {
    fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed ^ 0x51_6E_ED), sequence: 0, said: Vec::new() }
    }

    /// Has the reader subscribe, before anything is published.
    fn begin(&mut self, world: &mut World) {
        join(world, READER, false);
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
                let forgets = client == PUMP && self.dice.chance(300);
                connect(world, client, forgets);
            }
        }
        world.take_turns();
    }

    fn act(&mut self, world: &mut World, deed: Deed) {
        match deed {
            Deed::Publish => {
                self.sequence += self.dice.one_of([1, 1, 1, 3]);
                self.say(world, self.sequence, 0);
            }
            Deed::PlayBack => {
                let chosen = self.dice.below(self.said.len());
                let Some(said) = self.said.get(chosen) else { return };
                let (number, bytes) = (said.number, said.bytes.clone());
                self.publish(world, number, bytes);
            }
            Deed::Contradict if self.sequence > 0 => {
                let recent = self.dice.below(6) as u64;
                let content = self.dice.between(0, FORGED as usize - 1) as u64;
                self.say(world, self.sequence.saturating_sub(recent).max(1), content);
            }
            Deed::Forge => self.say(world, self.sequence + 1, FORGED),
            Deed::LosePump => world.break_link(PUMP),
            Deed::LoseReader => world.break_link(READER),
            Deed::CutPump => {
                if let Some(link) = world.link_of(PUMP) {
                    let (bytes, from_client) = (self.dice.between(0, 300), self.dice.chance(500));
                    world.cut_after(link, bytes, from_client, Cut::Known);
                }
            }
            Deed::Crash => world.crash(),
            Deed::Contradict => {}
        }
    }

    /// Signs a message and publishes it.
    fn say(&mut self, world: &mut World, sequence: u64, content: u64) {
        let number = MessageNo(sequence * CONTENTS + content);
        let sealed = || {
            signing::seal(("pump", TOPIC), (1 << 32) + sequence, number, world.now().wall, content != FORGED)
        };
        // A message is signed once: its date is part of it.
        let known = self.said.iter().find(|said| said.number == number);
        let bytes = known.map_or_else(sealed, |said| said.bytes.clone());
        if known.is_none() {
            self.said.push(Said { number, bytes: bytes.clone() });
        }
        self.publish(world, number, bytes);
    }

    fn publish(&mut self, world: &mut World, number: MessageNo, bytes: Vec<u8>) {
        let draft = Draft {
            number: Some(number),
            topic: TOPIC.to_owned(),
            qos: self.dice.one_of([Qos::AtMostOnce, Qos::AtLeastOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]),
            retain: false,
            expiry: None,
            large: false,
        };
        world.publish_sealed(PUMP, draft, bytes);
    }
}
