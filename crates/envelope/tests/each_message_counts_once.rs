//! The windows against naive models that forget nothing, over restarts and failed writes.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_envelope::limits::{RECENT, WINDOW};
use keyward_envelope::{Decision, Digest, Recent, Record, Sequence, Tag, Window};
use std::collections::{BTreeMap, BTreeSet};

const SECRET: [u8; 16] = [3; 16];

fn tag(content: u8) -> Tag {
    Digest([content; 32]).tag(&SECRET)
}

/// Dice with a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Everything that was ever taken, and what a store keeps of it: one record for each slot.
#[derive(Default)]
struct Model {
    taken: BTreeMap<u64, u8>,
    highest: u64,
    stored: BTreeMap<u16, [u8; Record::LEN]>,
}

impl Model {
    fn expects(&self, number: u64, content: u8) -> &'static str {
        if self.highest - self.highest.min(number) >= WINDOW as u64 {
            return "too old";
        }
        match self.taken.get(&number) {
            None => "new",
            Some(known) if *known == content => "repeat",
            Some(_) => "equivocation",
        }
    }
}

fn name(decision: Decision) -> &'static str {
    match decision {
        Decision::New(_) => "new",
        Decision::Repeat => "repeat",
        Decision::Equivocation => "equivocation",
        Decision::TooOld => "too old",
    }
}

fn restarted(model: &Model, dice: &mut Dice) -> Window {
    let mut records: Vec<_> = model.stored.values().map(Record::from_bytes).collect();
    let mut window = Window::default();
    while !records.is_empty() {
        window.restore(records.swap_remove(dice.below(records.len() as u64) as usize));
    }
    window
}

#[test]
fn the_window_decides_as_one_that_forgets_nothing() {
    let mut counts = BTreeMap::<&str, usize>::new();
    for seed in 1..=40 {
        let (mut dice, mut model, mut window) =
            (Dice(seed * 0x9e37_79b9), Model::default(), Window::default());
        for _ in 0..4_000 {
            let step = dice.below(100);
            let number = match step {
                // Mostly near the highest; now and then far above it, as after a start, or far below.
                0 => model.highest + dice.below(3_000),
                1 => model.highest.saturating_sub(dice.below(3_000)),
                2..=50 => model.highest + dice.below(4),
                _ => model.highest.saturating_sub(dice.below(1_100)),
            };
            let content = dice.below(2) as u8;
            let expected = model.expects(number, content);
            let judged = window.judge(Sequence(number), tag(content));
            let decision = window.take(Sequence(number), tag(content));
            assert_eq!(judged, decision);
            assert_eq!(name(decision), expected, "seed {seed}, number {number}, highest {}", model.highest);
            *counts.entry(expected).or_default() += 1;
            if let Decision::New(record) = decision {
                assert_eq!(u64::from(record.slot()), number % WINDOW as u64);
                model.taken.insert(number, content);
                model.highest = model.highest.max(number);
                model.stored.insert(record.slot(), record.to_bytes());
            }
            assert_eq!(window.highest().map(|highest| highest.0), model.taken.keys().max().copied());
            if dice.below(500) == 0 {
                window = restarted(&model, &mut dice);
            }
        }
    }
    assert!(counts.len() == 4 && counts.values().all(|count| *count > 500), "{counts:?}");
}

#[test]
fn what_is_only_judged_stays_new() {
    let mut window = Window::default();
    assert!(matches!(window.judge(Sequence(5_000), tag(1)), Decision::New(_)));
    assert!(matches!(window.judge(Sequence(5_000), tag(1)), Decision::New(_)));
    assert_eq!(window.highest(), None);
    assert!(matches!(window.take(Sequence(1), tag(1)), Decision::New(_)), "nothing was made too old");
}

#[test]
fn a_number_whose_message_was_not_stored_is_new_again() {
    let mut window = Window::default();
    assert!(matches!(window.take(Sequence(5), tag(1)), Decision::New(_)));
    let Decision::New(record) = window.take(Sequence(6), tag(1)) else { panic!("6 was never seen") };
    assert_eq!(window.take(Sequence(6), tag(1)), Decision::Repeat, "while it is being stored");
    window.give_back(record);
    assert!(matches!(window.take(Sequence(6), tag(2)), Decision::New(_)), "even with another content");
    window.give_back(record);
    assert_eq!(window.take(Sequence(6), tag(2)), Decision::Repeat, "given back twice");
    assert_eq!(window.take(Sequence(5), tag(1)), Decision::Repeat, "the others stay");
}

#[test]
fn giving_back_late_takes_nothing_from_another_number_of_the_slot() {
    let mut window = Window::default();
    let Decision::New(old) = window.take(Sequence(6), tag(1)) else { panic!("6 was never seen") };
    assert!(matches!(window.take(Sequence(6 + WINDOW as u64), tag(1)), Decision::New(_)));
    window.give_back(old);
    assert_eq!(window.take(Sequence(6 + WINDOW as u64), tag(1)), Decision::Repeat);
}

#[test]
fn the_first_and_the_last_number_are_numbers() {
    let mut window = Window::default();
    assert_eq!(window.highest(), None);
    assert!(matches!(window.take(Sequence(0), tag(1)), Decision::New(_)));
    assert_eq!(window.highest(), Some(Sequence(0)));
    assert_eq!(window.take(Sequence(0), tag(1)), Decision::Repeat);
    assert!(matches!(window.take(Sequence(u64::MAX), tag(1)), Decision::New(_)));
    assert_eq!(window.take(Sequence(u64::MAX), tag(2)), Decision::Equivocation);
    assert_eq!(window.take(Sequence(0), tag(1)), Decision::TooOld);
    assert!(matches!(window.take(Sequence(u64::MAX - 1023), tag(1)), Decision::New(_)));
    assert_eq!(window.take(Sequence(u64::MAX - 1024), tag(1)), Decision::TooOld);
    assert_eq!(Sequence(u64::MAX).next(), None);
}

#[test]
fn a_tag_depends_on_the_secret() {
    let digest = Digest([1; 32]);
    assert_ne!(digest.tag(&[1; 16]), digest.tag(&[2; 16]));
    assert_ne!(digest.tag(&SECRET), Digest([2; 32]).tag(&SECRET));
}

#[test]
fn a_device_obeys_each_command_once_over_restarts() {
    for seed in 1..=40 {
        let (mut dice, mut recent) = (Dice(seed * 0x9e37_79b9), Recent::default());
        let (mut taken, mut highest) = (BTreeSet::new(), 0_u64);
        for _ in 0..2_000 {
            let number = match dice.below(20) {
                0 => highest + dice.below(200),
                1..=9 => highest + dice.below(3),
                _ => highest.saturating_sub(dice.below(80)),
            };
            let expected = highest.saturating_sub(number) < RECENT as u64 && !taken.contains(&number);
            assert_eq!(recent.take(Sequence(number)), expected, "seed {seed}, {number} after {highest}");
            if expected {
                taken.insert(number);
                highest = highest.max(number);
            }
            recent = Recent::from_bytes(&recent.to_bytes());
        }
    }
}
