//! Numbers over losses of power at every step, with a flash that remembers what was written before.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_envelope::{Numbers, Sequence};
use std::collections::BTreeSet;

/// Uses numbers until the power goes, before or after the write of step `cut`; counts the writes to flash.
fn live(flash: &mut Sequence, used: &mut Vec<u64>, cut: usize, written: bool) -> usize {
    let (mut numbers, mut writes) = (Numbers::after(*flash), 0);
    for step in 0.. {
        let Some(number) = numbers.take() else {
            let run = numbers.reserve(100).unwrap();
            if step >= cut && !written {
                return writes;
            }
            *flash = run.end();
            writes += 1;
            if step >= cut {
                return writes;
            }
            numbers.stored(run);
            continue;
        };
        used.push(number.0);
        if step >= cut {
            return writes;
        }
    }
    writes
}

#[test]
fn a_loss_of_power_at_any_step_repeats_no_number() {
    for cut in 0..250 {
        for written in [false, true] {
            let (mut flash, mut used) = (Sequence(0), Vec::new());
            for _ in 0..4 {
                live(&mut flash, &mut used, cut, written);
            }
            let different: BTreeSet<_> = used.iter().collect();
            assert_eq!(different.len(), used.len(), "cut after step {cut}, written {written}");
            assert!(used.is_sorted());
        }
    }
}

#[test]
fn flash_is_written_once_in_a_run() {
    let (mut flash, mut used) = (Sequence(0), Vec::new());
    let writes = live(&mut flash, &mut used, 1_000, true);
    assert!(used.len() > 980 && writes <= 11, "{} numbers, {writes} writes", used.len());
}

#[test]
fn a_counter_of_starts_needs_no_run_below_it() {
    let mut numbers = Numbers::after(Sequence::after_boot(3));
    assert_eq!(numbers.take(), None);
    let run = numbers.reserve(u32::MAX).unwrap();
    assert_eq!(run.end(), Sequence((4 << 32) - 1), "never into the numbers of the next start");
    numbers.stored(run);
    assert_eq!(numbers.take(), Some(Sequence(3 << 32)));
    assert_eq!(numbers.take(), Some(Sequence((3 << 32) + 1)));
}

#[test]
fn after_the_last_number_there_is_none() {
    let mut numbers = Numbers::after(Sequence(u64::MAX - 2));
    assert_eq!(numbers.reserve(3), None);
    let run = numbers.reserve(2).unwrap();
    numbers.stored(run);
    assert!(numbers.take().is_some() && numbers.take().is_some());
    assert_eq!(numbers.take(), None);
}
