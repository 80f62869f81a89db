//! No number is given out twice, and no command is obeyed twice, whenever the power fails.

use super::*;
use crate::disk::power::Power;
use crate::state::StateError;
use crate::testing::Chip;
use keyward_envelope::{Kid, Sequence};

#[test]
fn no_number_is_given_out_twice_wherever_the_power_fails() {
    for chip in [Chip::named(1), Chip::counting()] {
        for at in 1..12 {
            let power = Power::default();
            Sequencer::create_in(&power, &chip).unwrap();
            let mut last = None;
            for start in 0..4 {
                power.fail_after(at + start);
                for _ in 0..3 {
                    let Ok(mut numbers) = Sequencer::start_in(Box::new(power.clone()), &chip) else { break };
                    for _ in 0..3 {
                        let number = numbers.take().unwrap();
                        assert!(Some(number) > last, "{number} after {last:?}");
                        last = Some(number);
                    }
                }
                power.restore(at * 10 + start);
            }
            assert!(last.is_some() || at < 4);
        }
    }
}

#[test]
fn with_a_chip_that_counts_an_old_copy_brings_no_number_back() {
    let chip = Chip::counting();
    let start = |copy: &[(String, Vec<u8>)]| {
        Sequencer::start_in(Box::new(Power::of(copy)), &chip).unwrap().take().unwrap()
    };
    let old = Power::default().copy();
    assert!(start(&old) < start(&old));
}

#[test]
fn a_count_that_was_lost_or_damaged_is_an_error_and_no_beginning() {
    let chip = Chip::named(1);
    let error = Sequencer::start_in(Box::new(Power::default()), &chip).unwrap_err();
    assert!(matches!(error, StateError::Missing { .. }), "{error}");
    let power = Power::default();
    Sequencer::create_in(&power, &chip).unwrap();
    assert_eq!(Sequencer::start_in(Box::new(power.clone()), &chip).unwrap().boot_count(), 1);
    Sequencer::create_in(&power, &chip).unwrap();
    assert_eq!(Sequencer::start_in(Box::new(power.clone()), &chip).unwrap().boot_count(), 2);
    let mut copy = power.copy();
    for place in 0..copy[0].1.len() {
        copy[0].1[place] ^= 4;
        let error = Sequencer::start_in(Box::new(Power::of(&copy)), &chip).unwrap_err();
        assert!(matches!(error, StateError::Damaged { .. }), "{error}");
        copy[0].1[place] ^= 4;
    }
}

#[test]
fn a_command_is_obeyed_once_wherever_the_power_fails() {
    let kid = Kid::new([3; 8]);
    for at in 1..16 {
        let power = Power::default();
        let mut obeyed = Vec::new();
        power.fail_after(at);
        for round in 0..3 {
            if let Ok(mut seen) = SeenCommands::open_in(Box::new(power.clone())) {
                for number in [5, 6, 6, 9, 5] {
                    if seen.take(kid, Sequence(number)).unwrap_or(false) {
                        assert!(!obeyed.contains(&number), "{number} twice, power cut at call {at}");
                        obeyed.push(number);
                    }
                }
            }
            power.restore(at + round);
        }
    }
}

#[test]
fn commands_of_keys_that_are_gone_are_forgotten_and_there_are_not_more_than_a_key_set_has() {
    let power = Power::default();
    let mut seen = SeenCommands::open_in(Box::new(power.clone())).unwrap();
    for key in 0..8 {
        assert!(seen.take(Kid::new([key; 8]), Sequence(1)).unwrap());
    }
    assert!(matches!(seen.take(Kid::new([9; 8]), Sequence(1)), Err(StateError::Full { .. })));
    seen.retain(&[Kid::new([1; 8])]).unwrap();
    let mut seen = SeenCommands::open_in(Box::new(power)).unwrap();
    assert!(!seen.take(Kid::new([1; 8]), Sequence(1)).unwrap());
    assert!(seen.take(Kid::new([9; 8]), Sequence(1)).unwrap());
}
