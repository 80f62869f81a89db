//! What was stored is there whenever the power fails; an older copy, another device and an erased key open nothing.

use super::*;
use crate::disk::power::Power;
use crate::testing::{Chip, Dice};

type Model = BTreeMap<String, Vec<u8>>;

fn open(power: &Power, keys: &Arc<Chip>) -> Result<SealedStore, StateError> {
    SealedStore::open_in(Box::new(power.clone()), Arc::clone(keys) as Arc<dyn KeyStore>)
}

fn content(store: &SealedStore) -> Model {
    store.names().map(|name| (name.to_owned(), store.get(name).unwrap().unwrap().to_vec())).collect()
}

/// Makes a random change, to the store and in `tried`.
fn step(store: &mut SealedStore, tried: &mut Model, dice: &mut Dice) -> Result<(), StateError> {
    let name = |dice: &mut Dice| format!("name-{}", dice.below(6));
    let value = |dice: &mut Dice| vec![dice.below(256) as u8; [9, 300, 40_000][dice.below(3) as usize]];
    if dice.below(4) == 0 {
        let name = name(dice);
        tried.remove(&name);
        return store.delete(&name).map(drop);
    }
    let new: Model = (0..1 + dice.below(2)).map(|_| (name(dice), value(dice))).collect();
    tried.extend(new.clone());
    let new: Vec<_> = new.iter().map(|(name, value)| (&**name, &**value)).collect();
    store.put_many(&new)
}

#[test]
fn what_was_stored_is_there_wherever_the_power_fails() {
    for (seed, counts) in (0..8).zip([false, true].into_iter().cycle()) {
        let (mut at, mut ended) = (1, false);
        while !ended {
            let keys = Arc::new(if counts { Chip::counting() } else { Chip::named(1) });
            let (power, mut dice) = (Power::default(), Dice::new(seed));
            let (mut done, mut tried, mut generation) = (Model::new(), Model::new(), 0);
            power.fail_after(at);
            if let Ok(mut store) = open(&power, &keys) {
                for _ in 0..24 {
                    if step(&mut store, &mut tried, &mut dice).is_err() {
                        break;
                    }
                    done.clone_from(&tried);
                    generation = store.generation();
                }
            }
            ended = !power.is_off();
            power.restore(at + seed * 1_000);
            power.fail_after(1 + at % 4);
            drop(open(&power, &keys));
            power.restore(at);
            let mut store =
                open(&power, &keys).unwrap_or_else(|error| panic!("seed {seed}, call {at}: {error}"));
            let there = content(&store);
            assert!(there == done || there == tried, "seed {seed}, call {at}");
            assert!(store.generation() >= generation, "seed {seed}, call {at}");
            tried = there;
            step(&mut store, &mut tried, &mut dice).unwrap();
            power.restore(at + 1);
            assert_eq!(content(&open(&power, &keys).unwrap()), tried, "seed {seed}, call {at}, later");
            at += 1;
        }
        assert!(at > 30, "the script is too short: {at}");
    }
}

#[test]
fn a_disk_that_refuses_one_write_changes_nothing() {
    for at in 1..60 {
        let (power, keys, mut dice) = (Power::default(), Arc::new(Chip::counting()), Dice::new(at));
        let mut store = open(&power, &keys).unwrap();
        let mut done = Model::new();
        power.refuse_after(at);
        for _ in 0..30 {
            let mut tried = done.clone();
            if step(&mut store, &mut tried, &mut dice).is_ok() {
                done = tried;
            }
            assert_eq!(content(&store), done, "call {at}");
        }
        power.restore(at);
        assert_eq!(content(&open(&power, &keys).unwrap()), done, "call {at}, later");
    }
}

#[test]
fn with_a_chip_that_counts_an_older_copy_is_recognised_and_says_what_to_do() {
    let (power, keys) = (Power::default(), Arc::new(Chip::counting()));
    let mut store = open(&power, &keys).unwrap();
    store.put("credit", b"100").unwrap();
    drop(store);
    let old = power.copy();
    let mut store = open(&power, &keys).unwrap();
    store.put("credit", b"7").unwrap();
    drop(store);
    let error = open(&Power::of(&old), &keys).unwrap_err();
    assert!(
        matches!(error, StateError::Rollback { .. }) && error.to_string().contains("erase it"),
        "{error}"
    );
    assert_eq!(&**open(&power, &keys).unwrap().get("credit").unwrap().unwrap(), b"7");
}

#[test]
fn a_copy_of_this_run_is_recognised_after_a_mark() {
    let (power, keys) = (Power::default(), Arc::new(Chip::counting()));
    let mut store = open(&power, &keys).unwrap();
    store.put("credit", b"100").unwrap();
    let old = power.copy();
    store.put("credit", b"7").unwrap();
    assert!(open(&Power::of(&old), &keys).is_ok(), "not before the mark: the documented gap");
    store.mark().unwrap();
    assert!(matches!(open(&Power::of(&old), &keys), Err(StateError::Rollback { .. })));
}

#[test]
fn the_counter_of_the_chip_is_raised_rarely() {
    let (power, keys) = (Power::default(), Arc::new(Chip::counting()));
    let before = keys.counter(Counter::Store).unwrap().unwrap();
    let mut store = open(&power, &keys).unwrap();
    (0..600).for_each(|number: u32| store.put("n", &number.to_be_bytes()).unwrap());
    let raised = keys.counter(Counter::Store).unwrap().unwrap() - before;
    assert_eq!(raised, 3, "600 changes");
}

#[test]
fn without_a_chip_that_counts_an_older_copy_shows_by_its_generation() {
    let (power, keys) = (Power::default(), Arc::new(Chip::named(1)));
    let mut store = open(&power, &keys).unwrap();
    store.put("a", b"1").unwrap();
    let (old, generation) = (power.copy(), store.generation());
    store.put("a", b"2").unwrap();
    assert_eq!(store.generation(), generation + 1);
    assert_eq!(open(&Power::of(&old), &keys).unwrap().generation(), generation);
}

#[test]
fn a_copied_disk_opens_nothing_and_shows_no_name() {
    let (power, keys) = (Power::default(), Arc::new(Chip::named(1)));
    let mut store = open(&power, &keys).unwrap();
    store.put("wireless-password", b"correct horse").unwrap();
    drop(store);
    let copy = power.copy();
    for word in [&b"wireless"[..], b"correct"] {
        assert!(!copy.iter().any(|(_, bytes)| bytes.windows(word.len()).any(|part| part == word)));
    }
    let other = open(&Power::of(&copy), &Arc::new(Chip::named(2)));
    assert!(matches!(other, Err(StateError::OtherKeys { .. })));
}

#[test]
fn what_is_erased_stays_erased_wherever_the_power_fails() {
    for at in 1..10 {
        let (power, keys) = (Power::default(), Arc::new(Chip::named(1)));
        let mut store = open(&power, &keys).unwrap();
        store.put("a", b"secret").unwrap();
        let old = power.copy();
        power.fail_after(at);
        let erased = store.erase();
        power.restore(at);
        match open(&power, &keys) {
            Ok(store) if erased.is_ok() => assert_eq!(store.names().count(), 0),
            Ok(_) => {}
            Err(error) => {
                assert!(
                    matches!(error, StateError::Missing { .. } | StateError::OtherKeys { .. }),
                    "{error}"
                );
                erase(&power).unwrap();
                assert_eq!(open(&power, &keys).unwrap().names().count(), 0);
            }
        }
        if erased.is_ok() {
            // The files of an earlier copy under the key that is there now.
            let key = power.copy().into_iter().filter(|(name, _)| name == "key");
            let mixed: Vec<_> = old.iter().filter(|(name, _)| name != "key").cloned().chain(key).collect();
            assert!(open(&Power::of(&mixed), &keys).is_err());
        }
    }
}

#[test]
fn files_that_are_missing_or_damaged_are_an_error_and_no_empty_store() {
    let (power, keys) = (Power::default(), Arc::new(Chip::named(1)));
    let mut store = open(&power, &keys).unwrap();
    ["a", "b", "c"].iter().for_each(|name| store.put(name, &[1; 200]).unwrap());
    drop(store);
    let copy = power.copy();
    let without =
        |gone: &str| copy.iter().filter(|(name, _)| !name.ends_with(gone)).cloned().collect::<Vec<_>>();
    assert!(matches!(open(&Power::of(&without(".log")), &keys), Err(StateError::Damaged { .. })));
    assert!(matches!(open(&Power::of(&without("key")), &keys), Err(StateError::Missing { .. })));
    let mut changed = copy.clone();
    let (_, log) = changed.iter_mut().find(|(name, _)| name.ends_with(".log")).unwrap();
    let place = log.len() - 300;
    log[place] ^= 1;
    assert!(matches!(open(&Power::of(&changed), &keys), Err(StateError::Damaged { .. })));
}

#[test]
fn what_is_too_large_is_refused_and_room_is_used_again() {
    let (power, keys) = (Power::default(), Arc::new(Chip::named(1)));
    let mut store = open(&power, &keys).unwrap();
    for (name, len) in [("", 1), (&*"n".repeat(256), 1), ("a", 65_537)] {
        assert!(matches!(store.put(name, &vec![0; len]), Err(StateError::TooLarge { .. })), "{len}");
    }
    let long = vec![5; 65_536];
    let three = [("a", &*long), ("b", &*long), ("c", &*long)];
    assert!(matches!(store.put_many(&three), Err(StateError::TooLarge { .. })));
    let refused = (0..20).find(|number| store.put(&format!("n{number}"), &long).is_err());
    assert_eq!(refused, Some(15), "a mebibyte");
    for _ in 0..40 {
        store.put("n3", &long).unwrap();
        let disk: usize = power.copy().iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(disk as u64 <= 2 * SEALED_BYTES as u64 + SEALED_SLACK_BYTES + RECORD_BYTES as u64, "{disk}");
    }
    assert!(store.delete("n3").unwrap() && !store.delete("n3").unwrap());
    assert_eq!(store.get("n3").unwrap(), None);
    store.put("last", &long).unwrap();
}
