//! A connection is counted from its first byte to its last, wherever it ends: in the door, in an inbox, in a worker, or
//! while it is seen off.

use crate::peer::{Hello, Peer};
use crate::world::{Bundle, PATIENCE, World};
use keyward_mqtt::reason::ReasonCode;
use keyward_server::plane::Limits;
use std::time::Instant;

/// Is one way in which connections of one device end; they are closed when it returns.
type End = fn(&mut World, &Bundle);

#[test]
fn wherever_a_link_ends_its_counts_are_given_back() {
    let ends: [(&str, End); 8] = [
        ("within the handshake", |world, _| {
            let mut peer = Peer::plain(world.tls);
            peer.send(&[0x16, 3, 1]);
        }),
        ("within CONNECT", |world, bundle| {
            Peer::tls(world, Some(bundle)).send(&Hello::default().bytes()[..5]);
        }),
        ("refused by the door", |world, bundle| {
            assert_eq!(hello(world, bundle, &"x".repeat(300)), ReasonCode::ClientIdentifierNotValid);
        }),
        ("taken over", |world, bundle| {
            // None of them closes its end before all have come.
            let _links = [(); 4].map(|()| Peer::tls(world, Some(bundle)).log_in("kept"));
        }),
        ("refused by its shard", |world, bundle| {
            let _link = Peer::tls(world, Some(bundle)).log_in("kept");
            assert_eq!(hello(world, bundle, "other"), ReasonCode::QuotaExceeded);
        }),
        ("closed for what it said", |world, bundle| {
            let mut peer = Peer::tls(world, Some(bundle)).log_in("kept");
            peer.send(&Hello::default().bytes());
            while peer.frame().is_some() {}
        }),
        ("lost", |world, bundle| drop(Peer::tls(world, Some(bundle)).log_in("kept"))),
        ("revoked", |world, bundle| {
            let mut peer = Peer::tls(world, Some(bundle)).log_in("kept");
            assert_eq!(world.revoke("device:pump-1").closed, 1);
            assert_eq!(peer.frame(), None);
        }),
    ];
    let limits = Limits { connections_per_identity: 2, ..World::hasty() };
    let broker_limits = keyward_broker::Limits { sessions_per_identity: 1, ..Default::default() };
    let mut world = World::with_broker(limits, broker_limits);
    let bundle = world.add_device("pump-1");
    for (how, end) in ends {
        end(&mut world, &bundle);
        assert_nothing_is_counted(&world, how);
    }
}

#[test]
fn a_link_that_no_inbox_has_room_for_gives_its_counts_back() {
    let mut world = World::with(Limits { inbox_bytes: 100, ..World::hasty() });
    let bundle = world.add_device("pump-1");
    assert_eq!(hello(&world, &bundle, "c1"), ReasonCode::ServerBusy);
    assert_nothing_is_counted(&world, "refused by an inbox");
}

fn hello(world: &World, bundle: &Bundle, client_id: &str) -> ReasonCode {
    Peer::tls(world, Some(bundle)).hello(&Hello { client_id, ..Hello::default() })
}

fn assert_nothing_is_counted(world: &World, how: &str) {
    let identity = "device:pump-1".parse().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stats = world.plane.stats();
        let of_identity = world.plane.connections_of(&[&identity]);
        let counts = (stats.connections, stats.pending, stats.pending_bytes, of_identity[0]);
        if counts == (0, 0, 0, 0) {
            return;
        }
        assert!(Instant::now() < deadline, "{how}: {counts:?} are still counted");
        std::thread::yield_now();
    }
}
