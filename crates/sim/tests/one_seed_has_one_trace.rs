//! What the simulator finds it must find again: a run depends on its plan and on nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot run its plan has to fail")]

use keyward_sim::run::{Plan, Trace, retrace, run};

fn digest(seed: u64, shards: u16) -> u64 {
    run(Plan { seed, steps: 200, shards, disk: false }, Trace::Digest).unwrap().digest.unwrap()
}

#[test]
fn the_same_plan_makes_the_same_trace() {
    for shards in 1..=3 {
        for seed in 0..6 {
            assert_eq!(digest(seed, shards), digest(seed, shards), "seed {seed}, {shards} shards");
        }
    }
}

#[test]
fn the_model_leaves_no_mark_in_the_trace() {
    for seed in 0..6 {
        let plan = Plan { seed, steps: 200, shards: 3, disk: false };
        assert_eq!(retrace(plan), Some(digest(seed, 3)), "seed {seed}");
    }
}

#[test]
fn another_seed_or_another_number_of_shards_makes_another_trace() {
    assert_ne!(digest(1, 3), digest(2, 3));
    assert_ne!(digest(1, 3), digest(1, 2));
}
