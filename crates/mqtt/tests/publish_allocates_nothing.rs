//! Decoding a PUBLISH, and writing one into a buffer that is large enough, asks the allocator for nothing.

#![expect(unsafe_code, reason = "a global allocator that counts cannot be written without it")]

use keyward_mqtt::codec::{PublishHead, Sender, decode, encode, encode_publish_head};
use keyward_mqtt::connection::{ConnectionLimits, ServerConnection, Step};
use keyward_mqtt::packet::{Packet, Version};
use keyward_mqtt::time::Millis;
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

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// QoS 1, topic `a/b`, a user property, payload `hi`.
const FRAME: &[u8] = b"\x32\x11\0\x03a/b\0\x01\x07\x26\0\x01k\0\x01vhi";

#[test]
fn a_publish_is_decoded_without_an_allocation() {
    let mut server = ServerConnection::new(ConnectionLimits::default());
    server.decode(Millis(0), b"\x10\x0E\0\x04MQTT\x05\x02\0\0\0\0\x01d").unwrap();
    server.established(Millis(0), 60);
    let count = allocations(|| {
        let Ok(Step::Packet { packet: Packet::Publish(publish), .. }) = server.decode(Millis(1), FRAME)
        else {
            panic!("no publish");
        };
        assert_eq!(publish.properties.user.iter().count(), 1);
    });
    assert_eq!(count, 0);
}

#[test]
fn a_publish_by_alias_is_resolved_without_an_allocation() {
    let mut server = ServerConnection::new(ConnectionLimits::default());
    server.decode(Millis(0), b"\x10\x0E\0\x04MQTT\x05\x02\0\0\0\0\x01d").unwrap();
    server.established(Millis(0), 60);
    let (set, used) = (b"\x30\x0B\0\x03a/b\x03\x23\0\x01hi", b"\x30\x08\0\0\x03\x23\0\x01hi");
    server.decode(Millis(1), set).unwrap();
    let count = allocations(|| {
        for frame in [&set[..], &used[..]] {
            let Ok(Step::Packet { packet: Packet::Publish(publish), .. }) = server.decode(Millis(1), frame)
            else {
                panic!("no publish");
            };
            assert_eq!(publish.topic.unwrap().as_str(), "a/b");
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn a_publish_is_written_without_an_allocation() {
    let packet = decode(Version::V5, Sender::Client, FRAME).unwrap();
    let Packet::Publish(publish) = &packet else { panic!("no publish") };
    let (mut out, mut forwarded) = (Vec::with_capacity(256), Vec::with_capacity(256));
    let count = allocations(|| {
        encode(&packet, Version::V5, &mut out).unwrap();
        publish.properties.encode_forwarded(|_| true, &mut forwarded).unwrap();
        let head = PublishHead {
            version: Version::V5,
            dup: false,
            delivery: publish.delivery,
            retain: false,
            topic: "a/b",
            topic_alias: None,
            forwarded: &forwarded,
            message_expiry: None,
            subscription_ids: &[],
            payload_len: 2,
        };
        encode_publish_head(&mut out, &head).unwrap();
    });
    assert_eq!(count, 0);
    assert_eq!(out, [FRAME, &FRAME[..FRAME.len() - 2]].concat());
}
