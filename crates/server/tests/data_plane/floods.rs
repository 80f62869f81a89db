//! What floods cost those who do not take part.

use crate::peer::{Hello, Peer};
use crate::world::{PATIENCE, World};
use keyward_mqtt::reason::ReasonCode;
use keyward_server::plane::Limits;
use std::io::{self, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Opens connections that begin a TLS handshake and say no more.
fn half_open(world: &World, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|_| {
            let mut socket = TcpStream::connect(world.tls).unwrap();
            let _ = socket.write_all(&[0x16, 3, 1, 2, 0, 1]);
            socket
        })
        .collect()
}

#[test]
fn five_hundred_half_open_handshakes_of_the_same_house_do_not_shut_a_client_out() {
    let mut world = World::with(Limits { pending_per_address: 64, ..Limits::default() });
    let bundle = world.add_device("pump-1");
    let mut working = Peer::tls(&world, Some(&bundle)).log_in("working");
    let _flood = half_open(&world, 500);
    assert!(working.is_alive());
    let mut newcomer = Peer::tls(&world, Some(&bundle)).log_in("newcomer");
    assert!(newcomer.is_alive());
    let stats = world.plane.stats();
    assert!(stats.pending <= 64, "{stats:?}");
    assert!(stats.evicted >= 400, "{stats:?}");
    assert_eq!(world.told.offender("pending_per_address"), "127.0.0.1");
}

#[test]
fn half_open_handshakes_from_many_addresses_do_not_shut_a_client_out() {
    let mut world = World::with(Limits { pending: 32, ..Limits::default() });
    let bundle = world.add_device("pump-1");
    let mut working = Peer::tls(&world, Some(&bundle)).log_in("working");
    let _flood: Vec<TcpStream> = (0..300_u16).map(|index| half_open_from(&world, index)).collect();
    assert!(working.is_alive());
    assert!(Peer::tls(&world, Some(&bundle)).log_in("newcomer").is_alive());
    assert!(world.plane.stats().pending <= 32);
}

/// Begins a handshake from one of many addresses of this machine.
fn half_open_from(world: &World, index: u16) -> TcpStream {
    let [high, low] = index.to_be_bytes();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 9, high, low], 0)).into()).unwrap();
    socket.connect(&world.tls.into()).unwrap();
    let mut socket = TcpStream::from(socket);
    let _ = socket.write_all(&[0x16, 3, 1, 2, 0, 1]);
    socket
}

#[test]
fn only_so_many_failed_logins_wait_for_their_answer() {
    let world = World::with(Limits { refusals_waiting: 2, ..World::hasty() });
    let mut peers: Vec<Peer> = (0..6)
        .map(|_| {
            let mut peer = Peer::tls(&world, None);
            peer.send(&Hello::default().bytes());
            peer
        })
        .collect();
    let answered = peers.iter_mut().filter_map(|peer| peer.frame()).count();
    assert!((2..6).contains(&answered), "{answered}");
}

#[test]
fn what_unauthenticated_peers_hold_is_bounded_in_all() {
    let world = World::with(Limits { pending_bytes: 200_000, ..Limits::default() });
    // A record that never ends: each peer makes the broker hold what it has sent of it.
    let mut sockets = half_open(&world, 100);
    for socket in &mut sockets {
        let _ = socket.write_all(&[0; 16_000]);
    }
    let deadline = Instant::now() + PATIENCE;
    while world.plane.stats().accepted < 100 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert!(world.plane.stats().pending_bytes <= 200_000);
}

/// Waits until what unauthenticated peers hold is as `fits` wants it.
fn wait_for_pending_bytes(world: &World, fits: impl Fn(usize) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fits(world.plane.stats().pending_bytes) {
        assert!(Instant::now() < deadline, "{:?}", world.plane.stats());
        std::thread::yield_now();
    }
}

#[test]
fn connections_per_address_are_bounded() {
    let mut world = World::with(Limits { connections_per_address: 3, ..Limits::default() });
    let bundle = world.add_device("pump-1");
    let mut kept = ["a", "b", "c"].map(|id| Peer::tls(&world, Some(&bundle)).log_in(id));
    let mut more = Peer::plain(world.tls);
    let _ = more.try_send(&[0x16]);
    assert_eq!(more.frame(), None);
    assert!(kept.iter_mut().all(Peer::is_alive));
    assert_eq!(world.told.offender("connections_per_address"), "127.0.0.1");
}

#[test]
fn who_shakes_hands_too_often_is_turned_away_and_named_and_links_stay() {
    let mut world = World::with(Limits {
        handshake_rate_per_address: 1,
        handshake_burst_per_address: 2,
        ..Limits::default()
    });
    let bundle = world.add_device("pump-1");
    let mut kept = ["a", "b", "c"].map(|id| Peer::tls(&world, Some(&bundle)).log_in(id));
    let mut more = Peer::plain(world.tls);
    let _ = more.try_send(&[0x16]);
    assert_eq!(more.frame(), None);
    assert_eq!(world.told.offender("handshake_rate_per_address"), "127.0.0.1");
    assert!(kept.iter_mut().all(Peer::is_alive));
}

#[test]
fn who_begins_handshakes_and_ends_none_is_turned_away_too() {
    let world = World::with(Limits {
        handshake_rate_per_address: 1,
        handshake_burst_per_address: 2,
        handshake_time: Duration::from_millis(100),
        ..Limits::default()
    });
    for count in 1..=60 {
        let mut socket = half_open(&world, 1).remove(0);
        if count % 2 == 0 {
            let _: io::Result<u64> = io::copy(&mut socket, &mut io::sink()); // Its time runs out.
        }
        if world.plane.stats().turned_away > 0 {
            return;
        }
    }
    panic!("nobody was turned away");
}

#[test]
fn an_identity_that_logs_in_too_often_is_refused_and_named_and_others_are_not() {
    let mut world =
        World::with(Limits { login_rate_per_identity: 1, login_burst_per_identity: 2, ..Limits::default() });
    let [bundle, other] = ["pump-1", "pump-2"].map(|id| world.add_device(id));
    let mut kept = ["a", "b", "c"].map(|id| Peer::tls(&world, Some(&bundle)).log_in(id));
    let code = Peer::tls(&world, Some(&bundle)).hello(&Hello { client_id: "d", ..Hello::default() });
    assert_eq!(code, ReasonCode::ServerBusy);
    assert_eq!(world.told.offender("login_rate_per_identity"), "device:pump-1");
    Peer::tls(&world, Some(&other)).log_in("e");
    assert!(kept.iter_mut().all(Peer::is_alive));
}

#[test]
fn beyond_the_rate_of_all_handshakes_new_clients_wait_and_nobody_is_refused() {
    let mut world = World::with(Limits { handshake_rate: 5, handshake_burst: 2, ..Limits::default() });
    let bundle = world.add_device("pump-1");
    let begun = Instant::now();
    let mut links: Vec<Peer> =
        (0..5).map(|n| Peer::tls(&world, Some(&bundle)).log_in(&format!("c{n}"))).collect();
    assert!(begun.elapsed().as_millis() >= 380, "{:?}", begun.elapsed());
    assert!(links.iter_mut().all(Peer::is_alive));
    assert_eq!(world.told.offender("handshake_rate"), "127.0.0.1");
}

#[test]
fn a_handshake_in_very_many_pieces_is_cut_off_and_named() {
    let world = World::with(Limits { pending_reads: 3, ..Limits::default() });
    let mut socket = TcpStream::connect(world.tls).unwrap();
    socket.set_nodelay(true).unwrap();
    wait_for_pending_bytes(&world, |held| held > 0);
    let empty = world.plane.stats().pending_bytes;
    let pieces: [&[u8]; 4] = [&[0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb], &[3], &[3], &[3]];
    let mut sent = 0;
    for piece in &pieces[..3] {
        socket.write_all(piece).unwrap();
        sent += piece.len();
        // What was read is held: each piece is a read of its own, however busy the machine is.
        wait_for_pending_bytes(&world, |held| held == empty + sent);
    }
    socket.write_all(pieces[3]).unwrap();
    assert_eq!(world.told.offender("pending_reads"), "127.0.0.1");
}

#[test]
fn connections_per_identity_are_bounded() {
    let mut world = World::with(Limits { connections_per_identity: 2, ..Limits::default() });
    let bundle = world.add_device("pump-1");
    let mut kept = ["a", "b"].map(|id| Peer::tls(&world, Some(&bundle)).log_in(id));
    let code = Peer::tls(&world, Some(&bundle)).hello(&Hello { client_id: "c", ..Hello::default() });
    assert_eq!(code, ReasonCode::ServerBusy);
    assert!(kept.iter_mut().all(Peer::is_alive));
    assert_eq!(world.told.offender("connections_per_identity"), "device:pump-1");
}

#[test]
fn a_client_that_takes_over_its_session_again_and_again_does_not_shut_itself_out() {
    let mut world = World::with(Limits { connections_per_identity: 2, ..Limits::default() });
    let bundle = world.add_device("pump-1");
    // None of them closes its end.
    let mut links: Vec<Peer> = (0..8).map(|_| Peer::tls(&world, Some(&bundle)).log_in("same")).collect();
    assert!(links.pop().is_some_and(|mut last| last.is_alive()));
}

#[test]
fn a_flood_of_guesses_leaves_certificates_and_generated_passwords_alone() {
    let mut world = World::with(World::hasty());
    world.add_user("anna", "correct horse battery");
    let generated = world.add_device_with_password("pump-1");
    let bundle = world.add_device("pump-2");
    let mut guessers: Vec<Peer> = (0..60)
        .map(|_| {
            let mut peer = Peer::tls(&world, None);
            let hello = Hello { username: Some("anna"), password: Some("wrong"), ..Hello::default() };
            peer.send(&hello.bytes());
            peer
        })
        .collect();
    let begun = Instant::now();
    Peer::tls(&world, Some(&bundle)).log_in("c1");
    let hello = Hello { username: Some("pump-1"), password: Some(&generated), ..Hello::default() };
    assert_eq!(Peer::tls(&world, None).hello(&hello), ReasonCode::Success);
    assert!(begun.elapsed() < PATIENCE / 4);
    for guesser in &mut guessers {
        let code = guesser.connack();
        assert!(matches!(code, ReasonCode::BadUserNameOrPassword | ReasonCode::ServerBusy), "{code:?}");
    }
}
