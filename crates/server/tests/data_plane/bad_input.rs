//! What a bad peer gets: the specified code, and closed.

use crate::peer::{Hello, Peer, publish};
use crate::world::World;
use keyward_mqtt::packet::{Packet, Version};
use keyward_mqtt::reason::ReasonCode;
use std::time::{Duration, Instant};

#[test]
fn a_half_open_handshake_runs_out_of_time_and_is_told() {
    let world = World::with(World::hasty());
    let mut peer = Peer::plain(world.tls);
    peer.send(&[0x16, 3, 1, 2, 0, 1]);
    let begun = Instant::now();
    assert_eq!(peer.frame(), None);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    world.told.handshake_line("did not finish handshake and login in time");
    assert_eq!(world.told.offender("handshake_time"), "127.0.0.1");
}

#[test]
fn a_finished_handshake_without_connect_runs_out_of_time() {
    let world = World::with(World::hasty());
    let mut peer = Peer::tls(&world, None);
    peer.send(&[0x10]);
    assert_eq!(peer.frame(), None);
    assert_eq!(world.plane.stats().handshakes, 1);
}

#[test]
fn a_silent_connection_is_closed_without_a_line() {
    let world = World::with(World::hasty());
    let mut peer = Peer::plain(world.tls);
    assert_eq!(peer.frame(), None);
    world.told.wait("nothing", |told| told.handshakes.is_empty().then_some(()));
}

#[test]
fn a_first_packet_that_announces_256_megabytes_is_refused_at_its_header() {
    let world = World::new();
    for first in [0x10, 0x30, 0x82] {
        let mut peer = Peer::plain(world.plain);
        peer.send(&[first, 0xff, 0xff, 0xff, 0x7f]);
        assert_eq!(peer.frame(), None, "{first:#x}");
    }
    assert!(world.plane.stats().pending_bytes < 1_000_000);
}

#[test]
fn garbage_is_closed_and_nobody_else_notices() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut honest = Peer::tls(&world, Some(&bundle)).log_in("c1");
    for seed in 0..64_u8 {
        let garbage: Vec<u8> = (0..200_u32).map(|i| (i * 31 + u32::from(seed) * 7) as u8 ^ seed).collect();
        for address in [world.plain, world.tls] {
            let mut peer = Peer::plain(address);
            let _ = peer.try_send(&garbage);
            peer.socket.shutdown(std::net::Shutdown::Write).unwrap();
            while peer.raw() {}
        }
    }
    assert!(honest.is_alive());
}

#[test]
fn a_wrong_protocol_level_gets_the_code_of_its_version() {
    let world = World::new();
    let mut connect = Hello { version: Version::V311, ..Hello::default() }.bytes();
    connect[8] = 3;
    let mut peer = Peer::plain(world.plain);
    peer.send(&connect);
    let answer = peer.frame().unwrap();
    assert_eq!(answer, [0x20, 2, 0, 1], "unacceptable protocol version [MQTT-3.1.2-2]");
    assert_eq!(peer.frame(), None);
}

#[test]
fn a_second_connect_is_a_protocol_error() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
    peer.send(&Hello::default().bytes());
    let frame = peer.frame().unwrap();
    let Packet::Disconnect(disconnect) = peer.decode(&frame) else { panic!("not DISCONNECT") };
    assert_eq!(disconnect.reason, ReasonCode::ProtocolError);
    assert_eq!(peer.frame(), None);
}

#[test]
fn a_packet_beyond_the_limit_is_refused_before_it_comes() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
    peer.send(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
    let frame = peer.frame().unwrap();
    let Packet::Disconnect(disconnect) = peer.decode(&frame) else { panic!("not DISCONNECT") };
    assert_eq!(disconnect.reason, ReasonCode::PacketTooLarge);
    assert_eq!(peer.frame(), None);
}

#[test]
fn what_came_before_a_bad_packet_is_still_answered() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
    peer.send(&[publish("pump-1/x", b"1", Some(7)), vec![0xf1, 0xff]].concat());
    let frames = peer.rest();
    assert!(matches!(peer.decode(&frames[0]), Packet::PubAck(ack) if ack.id.0.get() == 7));
    assert!(matches!(peer.decode(&frames[1]), Packet::Disconnect(_)));
}

#[test]
fn a_client_that_is_silent_for_too_long_is_told_and_closed() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle));
    let begun = Instant::now();
    assert_eq!(peer.hello(&Hello { keep_alive: 1, ..Hello::default() }), ReasonCode::Success);
    let frame = peer.frame().unwrap();
    let Packet::Disconnect(disconnect) = peer.decode(&frame) else { panic!("not DISCONNECT") };
    assert_eq!(disconnect.reason, ReasonCode::KeepAliveTimeout);
    assert!(begun.elapsed() >= Duration::from_millis(1_500), "[MQTT-3.1.2-22]");
}
