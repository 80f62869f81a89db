//! One scenario for each rule of "The order of things" that is built: it leads the broker step by step into the race
//! that the rule answers, and shows that the answer holds; with one shard and with three. `README.md` says which
//! deliberate bug each of them was seen to catch.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a scenario whose assumption fails has failed")]

use std::collections::BTreeSet;

/// Makes tests of scenarios, each of which takes the number of shards.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        mod with_one_shard {
            $(#[test] fn $name() { super::$name(1) })*
        }
        mod with_three_shards {
            $(#[test] fn $name() { super::$name(3) })*
        }
    };
}

mod cast;
mod stage;

mod answers;
mod disk;
mod hand_over;
mod queues;
mod rights;
mod room;
mod routes;
mod sessions;

/// The rules that are built; that of signed messages (21) comes with them.
const RULES: core::ops::RangeInclusive<u8> = 1..=20;

/// The scenarios as they are written.
const FILES: [&str; 8] = [
    include_str!("answers.rs"),
    include_str!("disk.rs"),
    include_str!("hand_over.rs"),
    include_str!("queues.rs"),
    include_str!("rights.rs"),
    include_str!("room.rs"),
    include_str!("routes.rs"),
    include_str!("sessions.rs"),
];

#[test]
fn every_rule_that_is_built_has_a_scenario() {
    for rule in RULES {
        let name = format!("fn rule_{rule}_");
        assert!(FILES.iter().any(|file| file.contains(&name)), "rule {rule} has none");
    }
}

#[test]
fn the_table_says_of_every_scenario_with_what_it_fails() {
    let rows = include_str!("README.md").lines().filter(|line| line.starts_with("| "));
    let listed: BTreeSet<String> = rows.filter_map(scenario_of).collect();
    let lines = FILES.iter().flat_map(|file| file.lines());
    let names = lines.filter_map(|line| line.strip_prefix("fn rule_")?.split_once('('));
    let written: BTreeSet<String> = names.map(|(name, _)| format!("rule_{name}")).collect();
    assert_eq!(listed, written);
}

/// Returns the scenario that a row of the table is about, if the row says with what it fails.
fn scenario_of(row: &str) -> Option<String> {
    let mut cells = row.split('|').map(str::trim).skip(1);
    let (rule, name, breaks) = (cells.next()?.parse::<u8>().ok()?, cells.next()?, cells.next()?);
    (!breaks.is_empty()).then(|| format!("rule_{rule}_{}", name.trim_matches('`')))
}
