//! Once it is warm, a shard that takes publishes, routes and delivers them asks the allocator for nothing.

#![expect(unsafe_code, reason = "a global allocator that counts cannot be written without it")]
#![allow(clippy::unwrap_used, reason = "a test whose assumption fails has failed")]

mod house;

use house::House;
use keyward_mqtt::packet::{Qos, Version};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain cell of this thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `realloc`, which is the same here.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Rounds after which everything that is kept for the next message is there: two slices of fan-outs and more.
const WARM_UP: usize = 3_000;
/// The same for messages that fill slices faster.
const WARM_UP_WIDE: usize = 300;
const ROUNDS: usize = 1_000;
const ALL: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

/// Runs `round` until it is warm, then counts what it asks the allocator for.
fn allocations(house: &mut House, warm_up: usize, mut round: impl FnMut(&mut House, usize)) -> usize {
    (0..warm_up).for_each(|number| round(house, number));
    let before = ALLOCATIONS.get();
    (0..ROUNDS.min(warm_up)).for_each(|number| round(house, number));
    ALLOCATIONS.get() - before
}

/// Publishes to the topics `t/0` to `t/N` in turn.
fn publish_in_turn(house: &mut House, writer: usize, qos: Qos, topics: usize, warm_up: usize) -> usize {
    let names: Vec<_> = (0..topics).map(|number| format!("t/{number}/value")).collect();
    let payload = [b'x'; 100];
    let count = allocations(house, warm_up, |house, number| {
        house.publish(writer, &names[number % topics], qos, &payload[..number % 50]);
    });
    let all = (warm_up + ROUNDS.min(warm_up)) as u64;
    assert!(house.arrived >= all, "{} of {all} arrived", house.arrived);
    assert!(qos == Qos::AtMostOnce || house.finished == all, "{} of {all} acknowledged", house.finished);
    count
}

#[test]
fn from_one_client_to_another() {
    for version in [Version::V311, Version::V5] {
        for qos in ALL {
            let mut house = House::new(1);
            let (writer, reader) = (house.connect(version, false), house.connect(version, false));
            house.subscribe(reader, "t/#", qos, None);
            assert_eq!(publish_in_turn(&mut house, writer, qos, 1, WARM_UP), 0, "{version:?} {qos:?}");
        }
    }
}

#[test]
fn on_many_topics() {
    for qos in ALL {
        let mut house = House::new(1);
        let (writer, reader) = (house.connect(Version::V5, false), house.connect(Version::V5, false));
        house.subscribe(reader, "t/#", qos, None);
        assert_eq!(publish_in_turn(&mut house, writer, qos, 200, WARM_UP), 0, "{qos:?}");
    }
}

#[test]
fn on_topics_that_never_come_again() {
    let mut house = House::new(1);
    let (writer, reader) = (house.connect(Version::V5, false), house.connect(Version::V5, false));
    house.subscribe(reader, "t/#", Qos::AtLeastOnce, None);
    let names: Vec<_> = (0..WARM_UP + ROUNDS).map(|number| format!("t/{number:05}/value")).collect();
    let mut next = names.iter();
    let count = allocations(&mut house, WARM_UP, |house, _| {
        house.publish(writer, next.next().unwrap(), Qos::AtLeastOnce, b"x");
    });
    assert_eq!(count, 0);
}

#[test]
fn to_a_hundred_clients() {
    for qos in ALL {
        let mut house = House::new(1);
        let writer = house.connect(Version::V5, false);
        for number in 0..100 {
            let version = if number % 2 == 0 { Version::V5 } else { Version::V311 };
            let reader = house.connect(version, false);
            house.subscribe(reader, "t/#", qos, None);
        }
        assert_eq!(publish_in_turn(&mut house, writer, qos, 3, WARM_UP_WIDE), 0, "{qos:?}");
    }
}

#[test]
fn to_a_session_that_is_stored() {
    for qos in ALL {
        let mut house = House::new(1);
        let (writer, reader) = (house.connect(Version::V5, true), house.connect(Version::V5, true));
        house.subscribe(reader, "t/#", qos, None);
        assert_eq!(publish_in_turn(&mut house, writer, qos, 3, WARM_UP), 0, "{qos:?}");
    }
}

#[test]
fn to_subscriptions_that_overlap_and_have_identifiers() {
    let mut house = House::new(1);
    let (writer, reader) = (house.connect(Version::V5, false), house.connect(Version::V5, false));
    for (number, filter) in (1..).zip(["t/#", "t/+/value", "t/0/value", "#"]) {
        house.subscribe(reader, filter, Qos::AtLeastOnce, Some(number));
    }
    assert_eq!(publish_in_turn(&mut house, writer, Qos::AtLeastOnce, 3, WARM_UP), 0);
}

#[test]
fn when_many_messages_are_under_way_at_once() {
    for qos in ALL {
        let mut house = House::new(1);
        let writers: Vec<_> = (0..20).map(|_| house.connect(Version::V5, false)).collect();
        let reader = house.connect(Version::V5, true);
        house.subscribe(reader, "t/#", qos, None);
        let count = allocations(&mut house, WARM_UP_WIDE, |house, _| {
            for writer in &writers {
                (0..5).for_each(|_| house.publish_only(*writer, "t/a", qos, b"x"));
            }
            house.settle();
        });
        assert_eq!(count, 0, "{qos:?}");
    }
}

#[test]
fn of_payloads_that_are_shared_instead_of_copied() {
    let mut house = House::new(1);
    let writer = house.connect(Version::V5, false);
    for _ in 0..10 {
        let reader = house.connect(Version::V5, false);
        house.subscribe(reader, "t/#", Qos::AtLeastOnce, None);
    }
    let payload = [b'x'; 4_000];
    let count = allocations(&mut house, WARM_UP, |house, number| {
        house.publish(writer, "t/a", Qos::AtLeastOnce, &payload[..2_000 + number % 2_000]);
    });
    assert_eq!(count, 0);
}

#[test]
fn from_one_shard_to_another() {
    for qos in ALL {
        let mut house = House::new(2);
        let (writer, reader) =
            (house.connect_on(0, Version::V5, false), house.connect_on(1, Version::V5, false));
        house.subscribe(reader, "t/#", qos, None);
        assert_eq!(publish_in_turn(&mut house, writer, qos, 3, WARM_UP), 0, "{qos:?}");
    }
}
