//! One run: a seed, its steps, and what became of them.

use crate::event::Event;
use crate::model::{Breach, Model};
use crate::races::Races;
use crate::setup::Setup;
use crate::world::World;
use crate::{quarantined, signed};
use core::fmt::{self, Write as _};
use core::hash::Hasher as _;
use siphasher::sip::SipHasher13;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe, catch_unwind};

/// Events that a failure shows.
const SHOWN: usize = 40;

/// Names a run: the same plan makes the same trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// From which all is drawn.
    pub seed: u64,
    /// How many steps, before the world is brought to rest.
    pub steps: u32,
    /// How many shards, 1 to 8.
    pub shards: u16,
    /// Whether what is on disk is there after a crash.
    pub disk: bool,
}

/// Says what became of a run that broke no promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How much happened.
    pub events: u64,
    /// The digest of the trace, if it was asked for.
    pub digest: Option<u64>,
    /// How often each race occurred.
    pub races: Races,
}

/// Is a promise that was broken, with what is needed to see it again.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which run.
    pub plan: Plan,
    /// In which step; [`Plan::steps`] and beyond are the end, when the world comes to rest.
    pub step: u32,
    /// What is wrong.
    pub what: String,
    /// The last events, oldest first.
    pub recent: Vec<String>,
}

/// Says what a run writes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// A digest of all lines.
    Digest,
    /// Every line, on standard output.
    Print,
}

/// Runs a plan.
///
/// # Errors
/// A promise was broken, or something panicked.
pub fn run(plan: Plan, trace: Trace) -> Result<Outcome, Failure> {
    let setup = Setup::draw(plan.seed, plan.shards, plan.disk);
    let model = Model::new(&setup);
    let mut run = Run::new(plan, trace, World::new(setup), model);
    for step in 0..plan.steps {
        run.act(step, World::step)?;
    }
    run.act(plan.steps, World::settle)?;
    run.act(plan.steps + 1, World::abandon)?;
    let mut outcome = run.end();
    for world in [signed::run, quarantined::run] {
        let more = world(plan, trace)?;
        outcome.events += more.events;
        outcome.races.add(&more.races);
    }
    Ok(outcome)
}

/// Runs a plan again, without the model, and returns the digest of its trace; `None` if something panicked.
pub fn retrace(plan: Plan) -> Option<u64> {
    let again = || {
        let mut world = World::new(Setup::draw(plan.seed, plan.shards, plan.disk));
        let mut digest = Digest(SipHasher13::new());
        for _ in 0..plan.steps {
            world.step();
            digest.take(&world.take_events());
        }
        world.settle();
        world.abandon();
        digest.take(&world.take_events());
        digest.0.finish()
    };
    catch_unwind(again).ok()
}

/// Knows what must be true of a run.
pub(crate) trait Promises {
    /// Takes the next event; fails if it breaks a promise.
    fn observe(&mut self, event: &Event) -> Result<(), Breach>;

    /// Returns how often each race occurred.
    fn races(&self) -> &Races;
}

impl Promises for Model {
    fn observe(&mut self, event: &Event) -> Result<(), Breach> {
        self.observe(event)
    }

    fn races(&self) -> &Races {
        self.races()
    }
}

/// Is a run under way.
pub(crate) struct Run<M> {
    plan: Plan,
    world: World,
    model: M,
    recent: VecDeque<Event>,
    events: u64,
    digest: Option<Digest>,
    prints: bool,
}

/// Feeds text to a hasher.
struct Digest(SipHasher13);

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Digest {
    fn take(&mut self, events: &[Event]) {
        for event in events {
            // A hasher takes everything.
            let _: fmt::Result = writeln!(self, "{event}");
        }
    }
}

impl<M: Promises> Run<M> {
    pub(crate) fn new(plan: Plan, trace: Trace, world: World, model: M) -> Self {
        Self {
            plan,
            model,
            world,
            recent: VecDeque::new(),
            events: 0,
            digest: (trace == Trace::Digest).then(|| Digest(SipHasher13::new())),
            prints: trace == Trace::Print,
        }
    }

    /// Lets something happen and looks at what did.
    pub(crate) fn act(&mut self, step: u32, act: impl FnOnce(&mut World)) -> Result<(), Failure> {
        let acted = catch_unwind(AssertUnwindSafe(|| act(&mut self.world)));
        let seen = self.look();
        match (acted, seen) {
            (Ok(()), Ok(())) => Ok(()),
            (Err(_), _) => Err(self.failure(step, last_panic())),
            (Ok(()), Err(breach)) => Err(self.failure(step, breach)),
        }
    }

    /// Says what became of it.
    pub(crate) fn end(self) -> Outcome {
        let digest = self.digest.map(|digest| digest.0.finish());
        Outcome { events: self.events, digest, races: self.model.races().clone() }
    }

    fn look(&mut self) -> Result<(), String> {
        for event in self.world.take_events() {
            self.events += 1;
            if let Some(digest) = &mut self.digest {
                digest.take(core::slice::from_ref(&event));
            }
            if self.prints {
                print(&event);
            }
            if self.recent.len() == SHOWN {
                self.recent.pop_front();
            }
            let seen = self.model.observe(&event);
            self.recent.push_back(event);
            seen.map_err(|breach| breach.to_string())?;
        }
        Ok(())
    }

    fn failure(&self, step: u32, what: String) -> Failure {
        let recent = self.recent.iter().map(Event::to_string).collect();
        Failure { plan: self.plan, step, what, recent }
    }
}

#[expect(clippy::print_stdout, reason = "the trace is what was asked for")]
fn print(event: &Event) {
    println!("{event}");
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Has panics remembered in place of printed: a run that panics has failed, and says so itself.
pub fn keep_panics() {
    panic::set_hook(Box::new(|panic| LAST_PANIC.with(|last| *last.borrow_mut() = panic.to_string())));
}

fn last_panic() -> String {
    LAST_PANIC.with(RefCell::take)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, steps, shards, disk } = self;
        write!(f, "--seed {seed} --steps {steps} --shards {shards}{}", if *disk { " --disk" } else { "" })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, step, what, recent } = self;
        for line in recent {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "seed {}, step {step} of {}: {what}", plan.seed, plan.steps)?;
        write!(f, "again: cargo run --release -p keyward-sim -- {plan} --trace")
    }
}
