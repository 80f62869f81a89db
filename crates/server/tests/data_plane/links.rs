//! What happens to bytes between a client and its shard: nothing is lost, nothing is repeated, nobody waits for a
//! slow one.

use crate::peer::{Hello, Peer, publish, subscribe};
use crate::world::{PATIENCE, World};
use keyward_mqtt::packet::Packet;
use keyward_mqtt::reason::ReasonCode;
use keyward_policy::{Policy, SourceFile};
use keyward_server::plane::{Limits, Listener};
use std::sync::Arc;
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
    let mut world = World::with(Limits { stall_time: Duration::from_millis(500), ..Limits::default() });
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
    assert_eq!(world.told.offender("stall_time"), "device:pump-1");
}

/// Lets the user `app` do everything.
fn let_app_do_everything(world: &World) {
    let text = "[[rule]]\nwho = \"user:app\"\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"#\"]\n";
    let policy = Policy::load(&[SourceFile { name: "app.toml".into(), text: text.into() }]).unwrap();
    world.plane.set_policy(2, Arc::new(policy)).unwrap();
}

#[test]
fn messages_cross_from_shard_to_shard_in_their_order_even_when_inboxes_are_small() {
    let mut world = World::with(Limits { inbox_bytes: 16 * 1024, ..Limits::default() });
    let bundle = world.add_device("pump-1");
    world.add_user("app", "correct horse battery");
    let_app_do_everything(&world);
    // The sessions of a user are spread over the shards; of eight, some are not where the device is.
    let mut readers: Vec<Peer> = (0..8)
        .map(|index| {
            let mut reader = Peer::tls(&world, None);
            let client_id = format!("reader-{index}");
            let hello = Hello {
                client_id: &client_id,
                username: Some("app"),
                password: Some("correct horse battery"),
                ..Hello::default()
            };
            assert_eq!(reader.hello(&hello), ReasonCode::Success);
            reader.send(&subscribe("pump-1/#", 1));
            reader.frame().unwrap();
            reader
        })
        .collect();
    let mut writer = Peer::tls(&world, Some(&bundle)).log_in("writer");
    let mut burst = Vec::new();
    for number in 0..150_u8 {
        burst.extend(publish("pump-1/x", &[number; 1_000], None));
    }
    writer.send(&burst);
    for reader in &mut readers {
        for number in 0..150_u8 {
            let frame = reader.frame().unwrap();
            let Packet::Publish(message) = reader.decode(&frame) else { panic!("not PUBLISH") };
            assert_eq!(message.payload[0], number);
        }
    }
}

#[test]
fn a_link_is_refused_when_the_inbox_of_its_worker_has_no_room() {
    let mut world = World::with(Limits { inbox_bytes: 100, ..Limits::default() });
    let bundle = world.add_device("pump-1");
    let code = Peer::tls(&world, Some(&bundle)).hello(&Hello::default());
    assert_eq!(code, ReasonCode::ServerBusy);
}

#[test]
fn ipv6_is_served_beside_ipv4() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let both = vec!["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
    for address in world.plane.add_listener(Listener::tls("both", both)).unwrap() {
        let config = crate::peer::tls_config(&world.ca_pem(), Some(&bundle));
        let name = address.ip().to_string();
        assert!(Peer::tls_to(address, &name, config).log_in("c1").is_alive());
    }
}

/// A broker whose packets are small, so that few bytes fill its bounds.
fn small(limits: Limits) -> World {
    World::with_broker(limits, keyward_broker::Limits { packet_bytes: 250_000, ..Default::default() })
}

/// Begins a packet on each of eight links of one device, finishes them, and counts the links that are closed.
fn closed_of_eight(limits: Limits) -> usize {
    let mut world = small(limits);
    let bundle = world.add_device("pump-1");
    let whole = publish("pump-1/x", &[7; 200_000], None);
    let mut peers: Vec<Peer> =
        (0..8).map(|index| Peer::tls(&world, Some(&bundle)).log_in(&format!("c{index}"))).collect();
    for peer in &mut peers {
        let _ = peer.try_send(&whole[..190_000]);
    }
    for peer in &mut peers {
        let _ = peer.try_send(&whole[190_000..]);
    }
    let closed = peers.iter_mut().filter_map(|peer| (!peer.is_alive()).then_some(())).count();
    let mut newcomer = Peer::tls(&world, Some(&bundle)).log_in("newcomer");
    newcomer.send(&whole);
    assert!(newcomer.is_alive(), "what closed links held is free again");
    closed
}

#[test]
fn packets_that_are_never_finished_are_bounded_over_all_links() {
    // All eight are with one worker, which has half of the bytes: two fit.
    assert!(closed_of_eight(Limits { unfinished_bytes: 1_000_000, ..Limits::default() }) > 0);
}

#[test]
fn packets_that_are_never_finished_are_bounded_per_identity() {
    assert!(closed_of_eight(Limits { unfinished_bytes_per_identity: 500_000, ..Limits::default() }) > 0);
}

#[test]
fn who_holds_most_gives_way_and_not_who_is_read() {
    let mut world = small(Limits { unfinished_bytes: 1_000_000, ..Limits::default() });
    let thief = world.add_device("thief");
    let mut holders = ["a", "b"].map(|id| Peer::tls(&world, Some(&thief)).log_in(id));
    for (holder, length) in holders.iter_mut().zip([245_000, 235_000]) {
        let message = publish("thief/x", &vec![7; length], None);
        holder.send(&message[..length]);
    }
    let mut others: Vec<(Peer, Vec<u8>)> = (0..16)
        .map(|index| {
            let id = format!("pump-{index}");
            let bundle = world.add_device(&id);
            let message = publish(&format!("{id}/x"), &[7; 31_000], None);
            (Peer::tls(&world, Some(&bundle)).log_in("c"), message)
        })
        .collect();
    // One after the other they begin a packet; sooner or later one is with the worker of the thief.
    for (other, message) in &mut others {
        other.send(&message[..30_000]);
    }
    let last = holders[0].frame().expect("a farewell");
    let Packet::Disconnect(end) = holders[0].decode(&last) else { panic!("not DISCONNECT") };
    assert_eq!(end.reason, ReasonCode::QuotaExceeded);
    for (other, message) in &mut others {
        other.send(&message[30_000..]);
        assert!(other.is_alive());
    }
}

#[test]
fn a_packet_that_was_begun_must_come_in_time() {
    let mut world = World::with(Limits { packet_time: Duration::from_millis(300), ..Limits::default() });
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
    peer.send(&publish("pump-1/x", &[7; 100], None)[..50]);
    let last = peer.frame().expect("a farewell");
    let Packet::Disconnect(end) = peer.decode(&last) else { panic!("not DISCONNECT") };
    assert_eq!(end.reason, ReasonCode::KeepAliveTimeout);
}

#[test]
fn a_change_of_rights_is_in_force_within_a_second_while_a_link_floods() {
    let mut world = World::new();
    let (flooder, other) = (world.add_device("flooder"), world.add_device("pump-1"));
    let mut flood = Peer::tls(&world, Some(&flooder)).log_in("flood");
    for level in 1..=40_u16 {
        flood.send(&subscribe(&format!("flooder/x/{level}/#"), level));
        flood.frame().unwrap();
    }
    let mut victims: Vec<Peer> =
        (0..4).map(|index| Peer::tls(&world, Some(&other)).log_in(&format!("c{index}"))).collect();
    let burst = publish("flooder/x/1/y", b"x", None).repeat(2_000);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let flooding = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) && flood.try_send(&burst).is_ok() {}
    });
    assert!(victims.iter_mut().all(Peer::is_alive));
    let applied = world.revoke("device:pump-1");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(applied.took < Duration::from_secs(1), "{applied:?}");
    assert_eq!(applied.closed, 4);
    drop(world);
    flooding.join().unwrap();
}
