//! Enhanced authentication from one end to the other (MQTT 5.0, chapter 4.12), with a method that only tests have.

use crate::peer::{Peer, encode};
use crate::world::World;
use keyward_identity::Command;
use keyward_ids::Identity;
use keyward_mqtt::packet::{Auth, Connect, Packet, Version};
use keyward_mqtt::property::{AuthProperties, ConnectProperties};
use keyward_mqtt::reason::ReasonCode;
use keyward_server::plane::{Evidence, LoginCause};
use std::time::{Duration, Instant};

const V5: Version = Version::V5;

fn connect(method: &str, data: &[u8]) -> Vec<u8> {
    let properties = ConnectProperties {
        authentication_method: Some(method),
        authentication_data: Some(data),
        ..ConnectProperties::default()
    };
    let packet = Connect {
        version: V5,
        clean_start: true,
        keep_alive: 60,
        client_id: "c1",
        will: None,
        username: None,
        password: None,
        properties,
    };
    encode(&Packet::Connect(packet), V5)
}

fn auth(reason: ReasonCode, method: &str, data: &[u8]) -> Vec<u8> {
    let properties = AuthProperties {
        authentication_method: Some(method),
        authentication_data: Some(data),
        ..AuthProperties::default()
    };
    encode(&Packet::Auth(Auth { reason, properties }), V5)
}

fn answer(data: &[u8]) -> Vec<u8> {
    auth(ReasonCode::ContinueAuthentication, "riddle", data)
}

fn again(number: u8) -> Vec<u8> {
    auth(ReasonCode::ReAuthenticate, "riddle", &[number])
}

/// Takes an AUTH and returns what it says.
fn told(peer: &mut Peer) -> (ReasonCode, Vec<u8>) {
    let frame = peer.frame().expect("AUTH before the end");
    let Packet::Auth(auth) = peer.decode(&frame) else { panic!("not AUTH: {frame:?}") };
    assert_eq!(auth.properties.authentication_method, Some("riddle"), "[MQTT-4.12.0-5]");
    (auth.reason, auth.properties.authentication_data.unwrap_or_default().to_vec())
}

fn assert_disconnected(peer: &mut Peer, reason: ReasonCode) {
    let frame = peer.frame().expect("DISCONNECT before the end");
    let Packet::Disconnect(disconnect) = peer.decode(&frame) else { panic!("not DISCONNECT: {frame:?}") };
    assert_eq!(disconnect.reason, reason);
    assert_eq!(peer.frame(), None);
}

/// Logs in as pump-1, which shows nothing but the answer to a riddle.
fn logged_in(world: &mut World) -> Peer {
    world.add_device("pump-1");
    world.add_device("pump-2");
    let peer = Peer::tls(world, None);
    logged_in_over(peer)
}

fn logged_in_over(mut peer: Peer) -> Peer {
    peer.send(&connect("riddle", &[41]));
    assert_eq!(told(&mut peer), (ReasonCode::ContinueAuthentication, vec![41]));
    peer.send(&answer(b"\x2Adevice:pump-1"));
    let frame = peer.frame().unwrap();
    let Packet::ConnAck(ack) = peer.decode(&frame) else { panic!("not CONNACK: {frame:?}") };
    assert_eq!(ack.reason, ReasonCode::Success);
    assert_eq!(ack.properties.authentication_method, Some("riddle"), "[MQTT-4.12.0-5]");
    assert_eq!(ack.properties.authentication_data, Some(&b"well done"[..]));
    peer
}

#[test]
fn a_right_answer_opens_the_door() {
    // [MQTT-4.12.0-2], [MQTT-4.12.0-3]
    let mut world = World::new();
    assert!(logged_in(&mut world).is_alive());
}

#[test]
fn a_wrong_answer_is_refused_and_told_to_the_operator() {
    // [MQTT-4.12.0-4]
    let mut world = World::with(World::hasty());
    world.add_device("pump-1");
    let mut peer = Peer::tls(&world, None);
    peer.send(&connect("riddle", &[41]));
    told(&mut peer);
    peer.send(&answer(b"\x2Bdevice:pump-1"));
    assert_eq!(peer.connack(), ReasonCode::NotAuthorized);
    assert_eq!(peer.frame(), None);
    world.told.wait("a wrong answer", |told| {
        told.logins.iter().find(|each| each.cause == LoginCause::NotProven).map(drop)
    });
}

#[test]
fn a_method_that_nobody_offers_is_refused() {
    // [MQTT-4.12.0-1]
    let world = World::with(World::hasty());
    let mut peer = Peer::tls(&world, None);
    peer.send(&connect("SCRAM-SHA-1", b"x"));
    assert_eq!(peer.connack(), ReasonCode::BadAuthenticationMethod);
}

#[test]
fn the_method_cannot_change_in_the_middle() {
    // [MQTT-4.12.0-5]
    let world = World::with(World::hasty());
    let mut peer = Peer::tls(&world, None);
    peer.send(&connect("riddle", &[41]));
    told(&mut peer);
    peer.send(&auth(ReasonCode::ContinueAuthentication, "other", &[42]));
    assert_eq!(peer.connack(), ReasonCode::ProtocolError);
}

#[test]
fn who_is_proven_and_not_in_the_registry_is_refused() {
    let mut world = World::with(World::hasty());
    world.add_device("pump-1");
    world.revoke("device:pump-1");
    for name in ["device:pump-1", "device:nobody"] {
        let mut peer = Peer::tls(&world, None);
        peer.send(&connect("riddle", &[1]));
        told(&mut peer);
        peer.send(&answer(&[b"\x02", name.as_bytes()].concat()));
        assert_eq!(peer.connack(), ReasonCode::BadUserNameOrPassword, "{name}");
    }
}

#[test]
fn a_certificate_of_somebody_else_is_not_healed_by_a_proof() {
    let mut world = World::with(World::hasty());
    let bundle = world.add_device("pump-2");
    world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle));
    peer.send(&connect("riddle", &[1]));
    told(&mut peer);
    peer.send(&answer(b"\x02device:pump-1"));
    assert_eq!(peer.connack(), ReasonCode::NotAuthorized);
}

#[test]
fn an_exchange_without_an_end_is_cut_off() {
    let world = World::with(World::hasty());
    let mut peer = Peer::tls(&world, None);
    peer.send(&connect("riddle", &[41]));
    for _ in 1..keyward_server::plane::limits::AUTHENTICATION_STEPS {
        told(&mut peer);
        peer.send(&answer(&[0]));
    }
    told(&mut peer);
    peer.send(&answer(&[0]));
    assert_eq!(peer.connack(), ReasonCode::NotAuthorized);
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for() {
    let world = World::with(World::hasty());
    let mut peer = Peer::tls(&world, None);
    let begun = Instant::now();
    peer.send(&connect("riddle", &[41]));
    told(&mut peer);
    assert_eq!(peer.frame(), None);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_link_is_authenticated_again_and_lives_on() {
    // [MQTT-4.12.1-1]
    let mut world = World::new();
    let mut peer = logged_in(&mut world);
    for number in [7, 8] {
        peer.send(&again(number));
        assert_eq!(told(&mut peer), (ReasonCode::ContinueAuthentication, vec![number]));
        assert!(peer.is_alive(), "packets go on meanwhile");
        peer.send(&answer(&[&[number + 1], &b"device:pump-1"[..]].concat()));
        assert_eq!(told(&mut peer), (ReasonCode::Success, b"well done".to_vec()));
        assert!(peer.is_alive());
    }
}

#[test]
fn who_authenticates_again_and_again_and_reads_no_answer_is_not_read() {
    let mut world = World::new();
    world.add_device("pump-1");
    let mut peer = logged_in_over(Peer::plain(world.plain));
    let round = [again(7), answer(b"\x08device:pump-1")].concat();
    let sent = crate::bounds::send_until_nothing_is_taken(&mut peer, &round);
    let held = || world.plane.stats().shards.iter().flatten().map(|shard| shard.memory).sum::<u64>();
    assert!(held() < 2_000_000, "{} bytes for {sent} that were sent", held());
    assert_eq!(told(&mut peer), (ReasonCode::ContinueAuthentication, vec![7]), "it goes on when it reads");
}

#[test]
fn a_link_that_fails_to_prove_it_again_is_closed() {
    // [MQTT-4.12.1-2]
    let mut world = World::new();
    let mut peer = logged_in(&mut world);
    peer.send(&again(7));
    told(&mut peer);
    peer.send(&answer(b"\x09device:pump-1"));
    assert_disconnected(&mut peer, ReasonCode::NotAuthorized);
}

#[test]
fn nobody_becomes_somebody_else_by_authenticating_again() {
    let mut world = World::new();
    let mut peer = logged_in(&mut world);
    peer.send(&again(7));
    told(&mut peer);
    peer.send(&answer(b"\x08device:pump-2"));
    assert_disconnected(&mut peer, ReasonCode::NotAuthorized);
}

#[test]
fn auth_out_of_turn_closes_the_link() {
    let mut world = World::new();
    let mut peer = logged_in(&mut world);
    peer.send(&answer(b"\x08device:pump-1"));
    assert_disconnected(&mut peer, ReasonCode::ProtocolError);
}

#[test]
fn what_is_proven_opens_no_other_door_than_a_password_and_is_told_with_the_certificate_beside_it() {
    let mut world = World::with(World::hasty());
    let bundle = world.add_device("pump-1");
    logged_in_over(Peer::tls(&world, Some(&bundle)));
    let identity: Identity = "device:pump-1".parse().unwrap();
    world.told.wait("a login", |told| told.logged_in.first().map(drop));
    assert_eq!(world.plane.last_login(&identity).unwrap().shown, Evidence::CertificateAndPassword);
    world.command(Command::MarkPlain { identity, plain: true });
    let mut peer = Peer::tls(&world, None);
    peer.send(&connect("riddle", &[41]));
    assert_eq!(told(&mut peer), (ReasonCode::ContinueAuthentication, vec![41]));
    peer.send(&answer(b"\x2Adevice:pump-1"));
    assert_eq!(peer.connack(), ReasonCode::BadUserNameOrPassword);
    world.told.login_cause("marked plain");
}
