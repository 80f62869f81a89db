//! What happens to bytes between a client and its shard: nothing is lost, nothing is repeated, nobody waits for a
//! slow one.

use crate::peer::{Hello, Peer, publish, subscribe};
use crate::world::{PATIENCE, World};
use keyward_mqtt::packet::Packet;
use std::time::{Duration, Instant};

/// Counts the acknowledgements of everything that [`pipeline`] sends.
fn assert_all_answered(peer: &mut Peer, publishes: u16) {
    let frame = peer.frame().unwrap();
    assert!(matches!(peer.decode(&frame), Packet::ConnAck(ack) if !ack.reason.is_failure()));
    let (mut acknowledged, mut subscribed, mut received) = (Vec::new(), false, 0);
    while acknowledged.len() < usize::from(publishes) || !subscribed || received < publishes {
        let frame = peer.frame().expect("every packet is answered");
        match peer.decode(&frame) {
            Packet::SubAck(_) => subscribed = true,
            Packet::PubAck(ack) => acknowledged.push(ack.id.0.get()),
            Packet::Publish(_) => received += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(acknowledged, (1..=publishes).collect::<Vec<_>>());
}

/// CONNECT, SUBSCRIBE and messages in one piece, as impatient clients send them.
fn pipeline(client_id: &str, publishes: u16) -> Vec<u8> {
    let mut bytes = Hello { client_id, ..Hello::default() }.bytes();
    bytes.extend(subscribe("pump-1/x", 1));
    for id in 1..=publishes {
        bytes.extend(publish("pump-1/x", &[7; 100], Some(id)));
    }
    bytes
}

#[test]
fn packets_sent_behind_connect_in_one_write_are_not_lost() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    for round in 0..20 {
        let mut peer = Peer::tls(&world, Some(&bundle));
        peer.send(&pipeline(&format!("c{round}"), 20));
        assert_all_answered(&mut peer, 20);
    }
}

#[test]
fn packets_sent_behind_connect_in_three_pieces_are_not_lost() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let bytes = pipeline("c1", 20);
    for (first, second) in [(1, 2), (5, 40), (30, 31), (60, 300), (bytes.len() - 2, bytes.len() - 1)] {
        let mut peer = Peer::tls(&world, Some(&bundle));
        peer.send(&bytes[..first]);
        peer.send(&bytes[first..second]);
        peer.send(&bytes[second..]);
        assert_all_answered(&mut peer, 20);
    }
}

#[test]
fn a_message_of_many_records_arrives_whole() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
    peer.send(&subscribe("pump-1/x", 1));
    peer.frame().unwrap();
    let payload: Vec<u8> = (0..1_900_000_u32).map(|i| (i % 251) as u8).collect();
    peer.send(&publish("pump-1/x", &payload, Some(1)));
    let mut arrived = false;
    for _ in 0..2 {
        let frame = peer.frame().unwrap();
        if let Packet::Publish(message) = peer.decode(&frame) {
            assert!(message.payload == payload);
            arrived = true;
        }
    }
    assert!(arrived);
}

#[test]
fn a_reader_that_stops_reading_delays_nobody_and_is_closed() {
    let mut world = World::with(keyward_server::plane::Limits {
        stall_time: Duration::from_millis(500),
        ..keyward_server::plane::Limits::default()
    });
    let bundle = world.add_device("pump-1");
    let mut slow = Peer::tls(&world, Some(&bundle)).log_in("slow");
    slow.send(&subscribe("pump-1/x", 1));
    slow.frame().unwrap();
    let mut fast = Peer::tls(&world, Some(&bundle)).log_in("fast");
    let deadline = Instant::now() + PATIENCE;
    let mut id = 0;
    // Everything goes to `slow`, which takes nothing; `fast` gets its acknowledgements all the same.
    while world.plane.stats().connections > 1 {
        assert!(Instant::now() < deadline, "the slow reader was not closed");
        id = id % 60_000 + 1;
        fast.send(&publish("pump-1/x", &[7; 60_000], Some(id)));
        let frame = fast.frame().unwrap();
        assert!(matches!(fast.decode(&frame), Packet::PubAck(_)));
    }
}

#[test]
fn a_closed_link_gives_its_counts_back() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
    assert_eq!(world.plane.stats().connections, 1);
    drop(peer);
    let deadline = Instant::now() + PATIENCE;
    while world.plane.stats().connections > 0 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let stats = world.plane.stats();
    assert_eq!((stats.pending, stats.pending_bytes), (0, 0));
}
