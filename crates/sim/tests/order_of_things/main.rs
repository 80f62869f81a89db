//! One scenario for each rule of "The order of things" that is built: it leads the broker step by step into the race
//! that the rule answers, and shows that the answer holds; with one shard and with three. `README.md` says which
//! deliberate bug each of them was seen to catch.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a scenario whose assumption fails has failed")]

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
mod hand_over;
mod queues;
mod rights;
mod routes;
mod sessions;

/// The rules that are built; those of the disk (13, 15, 17, 19, 20) and of signed messages (21) come with them.
const RULES: [u8; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18];

#[test]
fn every_rule_that_is_built_has_a_scenario() {
    let files = [
        include_str!("answers.rs"),
        include_str!("hand_over.rs"),
        include_str!("queues.rs"),
        include_str!("rights.rs"),
        include_str!("routes.rs"),
        include_str!("sessions.rs"),
    ];
    for rule in RULES {
        let name = format!("fn rule_{rule}_");
        assert!(files.iter().any(|file| file.contains(&name)), "rule {rule} has none");
    }
}
