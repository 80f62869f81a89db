//! Runs every fuzz target over its seeds and five seconds of mutation, and compares the places where a target is named.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_fuzz::mutation::{Dice, mutate};
use keyward_fuzz::{TARGETS, Target};
use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long each target is fed with mutations.
const TIME: Duration = Duration::from_secs(5);
/// Targets at a time.
const THREADS: usize = 2;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(folder("seeds").join(target.name)).unwrap().collect();
    files.sort_by_key(|file| file.as_ref().unwrap().path());
    files.into_iter().map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

#[expect(clippy::disallowed_methods, reason = "how long to go on is a matter of real time, nothing else is")]
fn now() -> Instant {
    Instant::now()
}

/// Feeds one target; returns how many inputs it took, or the input that broke it.
fn feed(target: &Target) -> Result<usize, Vec<u8>> {
    let seeds = seeds(target);
    let run = |input: &[u8]| catch_unwind(|| (target.run)(input)).map_err(|_| input.to_vec());
    seeds.iter().try_for_each(|seed| run(seed))?;
    let (end, mut dice, mut count) = (now() + TIME, Dice::new(1), seeds.len());
    let mut input = Vec::new();
    while count % 64 != 0 || now() < end {
        // Now and then a fresh seed; else a change upon changes.
        if count % 32 == 0 || input.is_empty() {
            input.clone_from(&seeds[dice.below(seeds.len())]);
        }
        let other = seeds[dice.below(seeds.len())].as_slice();
        mutate(&mut dice, &mut input, other);
        run(&input)?;
        count += 1;
    }
    Ok(count)
}

#[test]
fn no_decoder_breaks_on_its_seeds_or_on_five_seconds_of_mutation() {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut broken = Vec::new();
        while let Some(target) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
            match feed(target) {
                Ok(count) => println!("{:>20}: {count} inputs", target.name),
                Err(input) => broken.push(format!("{}: {}", target.name, input.escape_ascii())),
            }
        }
        broken
    };
    let broken: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(broken.is_empty(), "broken by these inputs:\n{}", broken.join("\n"));
}

#[test]
fn every_target_has_seeds_and_a_program_for_libfuzzer() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(targets, names_in(&folder("seeds")));
    assert_eq!(targets, names_in(&folder("libfuzzer/fuzz_targets")));
    let manifest = fs::read_to_string(folder("libfuzzer/Cargo.toml")).unwrap();
    for target in TARGETS {
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{} is not built", target.name);
        let program = folder("libfuzzer/fuzz_targets").join(target.name).with_extension("rs");
        assert!(fs::read_to_string(program).unwrap().contains(&format!("::{}(data)", target.name)));
        assert!(!seeds(target).is_empty());
    }
}
