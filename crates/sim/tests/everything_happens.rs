//! A fault that is never drawn finds nothing: every kind of event, every end of a link and every standing comes up.

#![allow(clippy::unwrap_used, reason = "a test that cannot read a name has to fail")]

use keyward_broker::{CloseCause, Notice, Standing};
use keyward_sim::event::{Change, What};
use keyward_sim::packet::Packet;
use keyward_sim::setup::Setup;
use keyward_sim::world::World;
use std::collections::BTreeSet;

const SEEDS: u64 = 150;

/// Says of which kind an event is; of some also in which way it came.
fn kind(what: &What) -> String {
    let name = format!("{what:?}");
    let name = name.split([' ', '(', '{']).next().unwrap().to_owned();
    match what {
        What::Closes { cause: CloseCause::Refused(_), .. } => "Closes Refused".to_owned(),
        What::Closes { cause: CloseCause::Violation(_), .. } => "Closes Violation".to_owned(),
        What::Closes { cause, .. } => format!("Closes {cause:?}"),
        What::Learns { storage, .. } => format!("Learns {storage:?}"),
        What::Judges { verdict, .. } => format!("Judges {}", if verdict.is_ok() { "well" } else { "badly" }),
        What::Orders(Change::Account { standing: Standing::Revoked { .. }, .. }) => {
            "Orders Revoked".to_owned()
        }
        What::Orders(Change::Account { standing, .. }) => format!("Orders {standing:?}"),
        What::Hears { packet: Packet::Publish(publish), .. } => format!("Hears {:?}", publish.qos),
        What::Notes { notice: Notice::QueueFull { .. }, .. } => "Notes QueueFull".to_owned(),
        What::Notes { notice: Notice::NoMemory { .. }, .. } => "Notes NoMemory".to_owned(),
        What::Notes { notice: Notice::NoRoom { .. }, .. } => "Notes NoRoom".to_owned(),
        What::Notes { notice: Notice::WillWithheld { .. }, .. } => "Notes WillWithheld".to_owned(),
        What::Notes { notice: Notice::PublisherGone { .. }, .. } => "Notes PublisherGone".to_owned(),
        What::Notes { notice: Notice::RetainedFull { .. }, .. } => "Notes RetainedFull".to_owned(),
        _ => name,
    }
}

#[test]
fn every_kind_of_event_is_drawn_and_nothing_is_left_when_all_have_gone() {
    let mut kinds = BTreeSet::new();
    for seed in 0..SEEDS {
        let mut world = World::new(Setup::draw(seed, 3, false));
        for _ in 0..200 {
            world.step();
        }
        world.settle();
        world.abandon();
        kinds.extend(world.take_events().iter().map(|event| kind(&event.what)));
        for stats in world.stats() {
            let left = [stats.sessions, stats.links, stats.subscriptions, stats.queued, stats.queued_bytes];
            assert_eq!((left, stats.outbox_bytes), ([0; 5], 0), "seed {seed}");
        }
    }
    let expected = [
        "Abandoned",
        "Answers",
        "Asks",
        "Attaches",
        "Breaks",
        "Closes Disconnected",
        "Closes NoRoom",
        "Closes NotAllowed",
        "Closes NotReading",
        "Closes Refused",
        "Closes ShuttingDown",
        "Closes TakenOver",
        "Closes Violation",
        "Connects",
        "Counts",
        "Crashes",
        "Denies",
        "Enacts",
        "Finds",
        "Forgets",
        "Hears",
        "Hears AtLeastOnce",
        "Hears AtMostOnce",
        "Hears ExactlyOnce",
        "Judges badly",
        "Judges well",
        "Learns Full",
        "Learns Open",
        "Loses",
        "Notes",
        "Notes NoMemory",
        "Notes NoRoom",
        "Notes PublisherGone",
        "Notes QueueFull",
        "Notes RetainedFull",
        "Notes WillWithheld",
        "Orders",
        "Orders Active",
        "Orders Disabled",
        "Orders Removed",
        "Orders Revoked",
        "Posts",
        "Reads",
        "Reports",
        "Returns",
        "Says",
        "Settled",
        "Starts",
        "Stops",
        "Takes",
        "Ticks",
        "Writes",
    ];
    let missing: Vec<_> = expected.iter().filter(|kind| !kinds.contains(**kind)).collect();
    assert!(missing.is_empty(), "never drawn: {missing:?}; drawn: {kinds:?}");
}
