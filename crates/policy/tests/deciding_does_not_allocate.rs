//! Deciding is done for every message, so it must not ask for memory.

mod support;
use keyward_mqtt::topic::TopicName;
use keyward_policy::Action;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};
use support::*;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one counts and passes on")]
// SAFETY: every call is handed to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    run();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn a_decision_asks_for_no_memory_whatever_it_is() {
    let rights = policy(WORKSHOP).rights(&user("dev02"));
    for text in ["dev01/status", "dev01/display", "other/deep/topic/with/levels", "$SYS/x"] {
        let topic = TopicName::parse(text).unwrap();
        for action in Action::ALL {
            let count = allocations(|| {
                let decision = std::hint::black_box(rights.decide(action, topic));
                std::hint::black_box(decision.rule.map(|rule| rule.line()));
            });
            assert_eq!(count, 0, "{action} {text}");
        }
    }
    assert_ne!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 0, "the counter counts");
}
