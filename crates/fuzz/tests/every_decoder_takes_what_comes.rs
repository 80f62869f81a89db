//! Runs every fuzz target over its seeds and five seconds of mutation; each input has a bound in memory and time.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]
#![expect(unsafe_code, reason = "a global allocator that counts cannot be written without it")]

use keyward_fuzz::mutation::{Dice, mutate};
use keyward_fuzz::{TARGETS, Target};
use rustix::time::{ClockId, clock_gettime};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::env;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many seconds each target is fed with mutations, unless `FUZZ_SECONDS` says another number.
const SECONDS: u64 = 5;
/// Targets at a time, at least; more where there are more cores.
const THREADS: usize = 2;
/// The most time of a processor that one input may take; the slowest takes a fiftieth of it in a debug build.
const INPUT_TIME: Duration = Duration::from_secs(2);

struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let held = HELD.get().wrapping_add(change);
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

// SAFETY: every call goes to the system's allocator unchanged; the counters are plain cells of this thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: `pointer` came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Is what inputs cost at most.
#[derive(Debug, Default)]
struct Cost {
    kib: usize,
    time: Duration,
}

fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap())
}

fn panics(target: &Target, input: &[u8]) -> Result<(), String> {
    catch_unwind(|| (target.run)(input)).map_err(|_| "it panicked".to_owned())
}

/// Runs a target once and adds what that cost; the text says what it broke.
fn run(target: &Target, input: &[u8], most: &mut Cost) -> Result<(), String> {
    let (begin, held) = (processor_time(), HELD.get());
    PEAK.set(held);
    panics(target, input)?;
    let (kib, time) = (usize::try_from(PEAK.get() - held).unwrap_or(0) / 1024, processor_time() - begin);
    most.kib = most.kib.max(kib);
    most.time = most.time.max(time);
    if kib > target.memory {
        return Err(format!("it held {kib} KiB, of {} that are allowed", target.memory));
    }
    if time > INPUT_TIME {
        return Err(format!("it took {time:?}, of {INPUT_TIME:?} that are allowed"));
    }
    Ok(())
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target.name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

#[expect(clippy::disallowed_methods, reason = "how long to go on is a matter of real time, nothing else is")]
fn now() -> Instant {
    Instant::now()
}

/// Feeds one target; returns how many inputs it took and what they cost, or the input that broke it and how.
fn feed(target: &Target) -> Result<(usize, Cost), String> {
    let (seeds, mut most) = (seeds(target), Cost::default());
    let mut run = |input: &[u8]| {
        run(target, input, &mut most)
            .map_err(|how| format!("{}: {how} by {}", target.name, input.escape_ascii()))
    };
    // What a target makes once is not charged to an input.
    panics(target, &seeds[0]).map_err(|how| format!("{}: {how} by its first seed", target.name))?;
    seeds.iter().try_for_each(|seed| run(seed))?;
    let seconds = env::var("FUZZ_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let (end, mut dice, mut count) = (now() + Duration::from_secs(seconds), Dice::new(1), seeds.len());
    let mut input = Vec::new();
    while count % 16 != 0 || now() < end {
        // Now and then a fresh seed; else a change upon changes.
        if count % 32 == 0 || input.is_empty() {
            input.clone_from(&seeds[dice.below(seeds.len())]);
        }
        let other = seeds[dice.below(seeds.len())].as_slice();
        mutate(&mut dice, &mut input, other);
        run(&input)?;
        count += 1;
    }
    Ok((count, most))
}

#[test]
fn no_decoder_breaks_on_its_seeds_or_on_five_seconds_of_mutation() {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut broken = Vec::new();
        while let Some(target) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
            match feed(target) {
                Ok((count, Cost { kib, time })) => {
                    println!(
                        "{:>20}: {count:>7} inputs, each at most {kib:>4} KiB and {time:?}",
                        target.name
                    );
                }
                Err(how) => broken.push(how),
            }
        }
        broken
    };
    let threads = thread::available_parallelism().map_or(THREADS, |cores| cores.get().max(THREADS));
    let broken: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(broken.is_empty(), "broken:\n{}", broken.join("\n"));
}
