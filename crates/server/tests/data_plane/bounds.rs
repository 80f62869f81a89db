//! What a client that has logged in can make the broker hold, and how fast it may speak.

use crate::peer::{Hello, Peer, encode, publish};
use crate::world::{PATIENCE, World};
use keyward_mqtt::packet::{Packet, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_server::plane::Limits;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

#[test]
fn who_publishes_faster_than_it_may_is_read_more_slowly_and_loses_nothing() {
    let mut world = World::with(Limits { publish_rate: 1_000, ..Limits::default() });
    let bundle = world.add_device("pump-1");
    let mut fast = Peer::tls(&world, Some(&bundle)).log_in("fast");
    let mut other = Peer::tls(&world, Some(&bundle)).log_in("other");
    let begun = Instant::now();
    let burst: Vec<u8> = (0..1_500_u16).flat_map(|_| publish("pump-1/x", b"x", Some(1))).collect();
    fast.send(&burst);
    assert!(other.is_alive(), "nobody else waits");
    for _ in 0..1_500 {
        let frame = fast.frame().unwrap();
        assert!(matches!(fast.decode(&frame), Packet::PubAck(ack) if !ack.reason.is_failure()));
    }
    assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
    assert_eq!(world.told.offender("publish_rate"), "device:pump-1");
}

#[test]
fn bytes_a_second_are_bounded_in_the_same_way() {
    let mut world = World::with(Limits { publish_bytes_rate: 200_000, ..Limits::default() });
    let bundle = world.add_device("pump-1");
    let mut fast = Peer::tls(&world, Some(&bundle)).log_in("fast");
    let begun = Instant::now();
    for id in 1..=3 {
        fast.send(&publish("pump-1/x", &[7; 100_000], Some(id)));
    }
    for _ in 0..3 {
        assert!(fast.frame().is_some());
    }
    assert!(fast.is_alive());
    assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
    assert_eq!(world.told.offender("publish_bytes_rate"), "device:pump-1");
}

#[test]
fn who_sends_byte_by_byte_on_many_links_is_named_and_loses_nothing() {
    let mut world = World::with(Limits { busy_rate: 40, ..Limits::default() });
    let bundle = world.add_device("pump-1");
    let mut links: Vec<Peer> =
        (0..4).map(|n| Peer::tls(&world, Some(&bundle)).log_in(&format!("c{n}"))).collect();
    let packet = publish("pump-1/x", b"drip", Some(1));
    for byte in packet.chunks(1).cycle().take(20 * packet.len()) {
        links.iter_mut().for_each(|link| link.send(byte));
    }
    assert_eq!(world.told.offender("busy_rate"), "device:pump-1");
    for link in &mut links {
        let frame = link.frame().unwrap();
        assert!(matches!(link.decode(&frame), Packet::PubAck(ack) if !ack.reason.is_failure()));
    }
}

/// Logs in with a password, without TLS.
fn plain(world: &World, password: &str, client_id: &str) -> Peer {
    let mut peer = Peer::plain(world.plain);
    let hello = Hello { username: Some("pump-1"), password: Some(password), client_id, ..Default::default() };
    assert_eq!(peer.hello(&hello), ReasonCode::Success);
    peer
}

/// Sends packets until the broker takes no more, and returns how many bytes that were.
pub(crate) fn send_until_nothing_is_taken(peer: &mut Peer, packet: &[u8]) -> usize {
    peer.socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let many = packet.repeat(10_000 / packet.len());
    let mut sent = 0;
    loop {
        match peer.try_send_some(&many[sent % packet.len()..]) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return sent;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 100_000_000, "there is no end");
    }
}

#[test]
fn who_does_not_read_is_not_read_and_goes_on_when_it_reads_again() {
    let mut world = World::new();
    let password = world.add_device_with_password("pump-1");
    let mut peer = plain(&world, &password, "c1");
    let ping = encode(&Packet::PingReq, Version::V5);
    let sent = send_until_nothing_is_taken(&mut peer, &ping);
    let waiting: u64 = world.plane.stats().shards.iter().flatten().map(|shard| shard.outbox_bytes).sum();
    assert!(waiting <= 1_000_000, "{waiting}");
    for _ in 0..sent / ping.len() {
        let frame = peer.frame().expect("every one is answered");
        assert!(matches!(peer.decode(&frame), Packet::PingResp));
    }
    if !sent.is_multiple_of(ping.len()) {
        peer.send(&ping[1..]);
        assert!(peer.frame().is_some());
    }
    assert!(peer.is_alive());
}

#[test]
fn packets_that_are_not_whole_alone_fill_the_memory_and_give_it_back() {
    let limits =
        Limits { unfinished_bytes: 1 << 30, unfinished_bytes_per_identity: 1 << 30, ..Limits::default() };
    // Each of two shards has half.
    let broker = keyward_broker::Limits { memory_total: 20_000_000, ..Default::default() };
    let mut world = World::with_broker(limits, broker);
    let bundle = world.add_device("pump-1");
    let mut witness = Peer::tls(&world, Some(&bundle)).log_in("witness");
    let mut id = 0;
    let mut asks = |peer: &mut Peer| {
        id += 1;
        peer.send(&publish("pump-1/x", b"x", Some(id)));
        let frame = peer.frame().unwrap();
        match peer.decode(&frame) {
            Packet::PubAck(ack) => ack.reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(asks(&mut witness), ReasonCode::Success);
    let whole = publish("pump-1/x", &[7; 1_900_000], None);
    let mut peers: Vec<Peer> =
        (0..6).map(|index| Peer::tls(&world, Some(&bundle)).log_in(&format!("c{index}"))).collect();
    peers.iter_mut().for_each(|peer| peer.send(&whole[..1_800_000]));
    let deadline = Instant::now() + PATIENCE;
    while asks(&mut witness) == ReasonCode::Success {
        assert!(Instant::now() < deadline, "{:?}", world.plane.stats());
    }
    assert_eq!(asks(&mut witness), ReasonCode::QuotaExceeded);
    drop(peers);
    while asks(&mut witness) != ReasonCode::Success {
        assert!(Instant::now() < deadline, "{:?}", world.plane.stats());
    }
    drop(witness);
    while world.plane.stats().shards.iter().flatten().any(|shard| shard.memory > 0) {
        assert!(Instant::now() < deadline, "not given back: {:?}", world.plane.stats());
    }
}
