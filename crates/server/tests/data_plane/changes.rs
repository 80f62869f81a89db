//! What a change does while clients are connected.

use crate::peer::{Hello, Peer, tls_config};
use crate::world::World;
use keyward_identity::Command;
use keyward_mqtt::packet::Packet;
use keyward_mqtt::reason::ReasonCode;
use keyward_policy::Policy;
use keyward_server::plane::{ListenError, Listener};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn a_revoked_device_is_closed_within_a_second_and_the_command_counts_its_links() {
    let mut world = World::new();
    let (revoked, kept) = (world.add_device("pump-1"), world.add_device("pump-2"));
    let mut links = ["a", "b", "c"].map(|id| Peer::tls(&world, Some(&revoked)).log_in(id));
    let mut other = Peer::tls(&world, Some(&kept)).log_in("a");
    let begun = Instant::now();
    let applied = world.revoke("device:pump-1");
    assert_eq!(applied.closed, 3);
    for link in &mut links {
        assert_eq!(link.frame(), None, "nothing is flushed to a revoked link");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(other.is_alive());
}

#[test]
fn a_disabled_user_is_closed_and_gets_in_again_when_enabled() {
    let mut world = World::with(World::hasty());
    world.add_user("anna", "correct horse battery");
    let hello = Hello { username: Some("anna"), password: Some("correct horse battery"), ..Hello::default() };
    let mut peer = Peer::tls(&world, None);
    assert_eq!(peer.hello(&hello), ReasonCode::Success);
    let identity = || "user:anna".parse().unwrap();
    assert_eq!(world.command(Command::Disable { identity: identity() }).1.closed, 1);
    assert_eq!(peer.frame(), None);
    assert_eq!(Peer::tls(&world, None).hello(&hello), ReasonCode::BadUserNameOrPassword);
    world.command(Command::Enable { identity: identity() });
    assert_eq!(Peer::tls(&world, None).hello(&hello), ReasonCode::Success);
}

#[test]
fn a_change_that_concerns_nobody_closes_nobody() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
    world.add_device("pump-2");
    let applied = world.plane.set_policy(2, Arc::new(Policy::builtin())).unwrap();
    assert_eq!(applied.closed, 0);
    assert!(peer.is_alive());
}

#[test]
fn new_certificates_leave_links_alone() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
    world.command(Command::RenewServer);
    world.reload_tls();
    assert!(peer.is_alive());
    Peer::tls(&world, Some(&bundle)).log_in("c2");
}

#[test]
fn a_listener_comes_and_goes_without_a_restart_and_its_links_stay() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let listener = || Listener::tls("extra", vec!["127.0.0.1:0".parse().unwrap()]);
    let address = world.plane.add_listener(listener()).unwrap()[0];
    assert!(matches!(world.plane.add_listener(listener()), Err(ListenError::NameTaken { .. })));
    let config = tls_config(&world.ca_pem(), Some(&bundle));
    let mut peer = Peer::tls_to(address, "localhost", config).log_in("c1");
    assert!(world.plane.remove_listener("extra"));
    assert!(!world.plane.remove_listener("extra"));
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(peer.is_alive());
    world.plane.add_listener(Listener::tls("again", vec![address])).unwrap();
}

#[test]
fn clients_are_told_when_the_broker_stops() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
    let address = world.tls;
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| world.plane.shutdown());
        let frame = peer.frame().unwrap();
        let Packet::Disconnect(disconnect) = peer.decode(&frame) else { panic!("not DISCONNECT") };
        assert_eq!(disconnect.reason, ReasonCode::ServerShuttingDown);
        assert_eq!(peer.frame(), None);
        drop(peer);
        assert!(stopping.join().unwrap().took < Duration::from_secs(5));
    });
    assert!(std::net::TcpStream::connect(address).is_err());
}
