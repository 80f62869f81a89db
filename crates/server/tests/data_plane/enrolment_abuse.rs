//! Whoever holds a code, or a copy of a certificate, keeps nobody out by it, and costs the door little.

use crate::enrolment::{
    HOUR, aged, answer, codes, decide, decide_this, end, invite, link, listening, renewal, request,
};
use crate::peer::{Hello, Peer, encode, publish, subscribe, tls_config};
use crate::trusted_authorities::{OldAuthority, bind, trust};
use crate::world::{Bundle, PATIENCE, World, bundle, device, now};
use keyward_identity::{Claim, Command, NewCredential, NewPassword, ProvenBy, Renewal, Secret, WallTime};
use keyward_ids::{CertSerial, Identity};
use keyward_mqtt::packet::{
    Connect, Packet, PacketId, Subscribe, SubscribeFilters, SubscribeOptions, Unsubscribe,
    UnsubscribeFilters, Version,
};
use keyward_mqtt::property::{
    ConnectProperties, PublishProperties, SubscribeProperties, UnsubscribeProperties,
};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicName;
use keyward_server::login::LoginRule;
use keyward_server::plane::{ANSWER_TOPIC, Entrance, Limits, Listener, REQUEST_TOPIC, Wish, limits};
use std::time::Duration;

fn claim_hello<'a>(name: &'a str, code: &'a str) -> Hello<'a> {
    Hello { username: Some(name), password: Some(code), ..Hello::default() }
}

fn is_next(peer: &mut Peer, is_it: impl Fn(&Packet<'_>) -> bool) -> bool {
    let frame = peer.frame().expect("a packet before the end");
    is_it(&peer.decode(&frame))
}

/// Forty links that sent pings in bulk kept everybody out for whom the door had no time.
#[test]
fn an_enrolment_link_has_a_handful_of_packets_for_its_whole_life() {
    let mut world = World::new();
    let code = invite(&mut world, "pump-1");
    let mut peer = link(&world, "pump-1", &code);
    peer.send(&encode(&Packet::PingReq, Version::V5).repeat(5_000));
    let rest = peer.rest();
    let pongs = rest.iter().filter(|frame| matches!(peer.decode(frame), Packet::PingResp)).count();
    assert_eq!(pongs, limits::ENROLMENT_PACKETS as usize);
    match peer.decode(rest.last().unwrap()) {
        Packet::Disconnect(disconnect) => assert_eq!(disconnect.reason, ReasonCode::QuotaExceeded),
        other => panic!("{other:?}"),
    }
    world.told.login_cause("too many packets");
}

#[test]
fn packets_that_came_together_are_answered_in_their_order_and_what_is_behind_an_application_after_it() {
    let mut world = World::new();
    let code = invite(&mut world, "pump-1");
    let mut peer = link(&world, "pump-1", &code);
    let ping = encode(&Packet::PingReq, Version::V5);
    let csr = request().1;
    let all =
        [&ping[..], &subscribe(ANSWER_TOPIC, 1), &publish(REQUEST_TOPIC, &csr, Some(3)), &ping].concat();
    peer.send(&all);
    assert!(is_next(&mut peer, |packet| matches!(packet, Packet::PingResp)));
    assert_eq!(codes(&mut peer), [ReasonCode::Success]);
    decide(&mut world);
    assert!(answer(&mut peer, Some(3)).starts_with("-----BEGIN"));
    assert!(is_next(&mut peer, |packet| matches!(packet, Packet::PingResp)));
}

/// SUBACK of MQTT 3.1 cannot refuse: the door died of it.
#[test]
fn every_version_of_mqtt_is_refused_another_topic_as_well_as_it_can_be_told() {
    let mut world = World::new();
    let code = invite(&mut world, "pump-1");
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut peer = Peer::tls(&world, None);
        let hello = Hello { version, ..claim_hello("claim:pump-1", &code) };
        assert_eq!(peer.hello(&hello), ReasonCode::Success);
        let (id, properties) = (PacketId(7.try_into().unwrap()), UnsubscribeProperties::default());
        let filters = UnsubscribeFilters::List(&["#"]);
        peer.send(&encode(&Packet::Unsubscribe(Unsubscribe { id, properties, filters }), version));
        assert!(is_next(&mut peer, |packet| matches!(packet, Packet::UnsubAck(_))), "{version:?}");
        let filters = [("#", SubscribeOptions::default())];
        let (properties, filters) = (SubscribeProperties::default(), SubscribeFilters::List(&filters));
        peer.send(&encode(&Packet::Subscribe(Subscribe { id, properties, filters }), version));
        match version {
            Version::V31 => assert!(peer.rest().is_empty()),
            Version::V311 => assert_ne!(codes(&mut peer), [ReasonCode::Success]),
            Version::V5 => assert_eq!(codes(&mut peer), [ReasonCode::NotAuthorized]),
        }
    }
    world.told.login_cause("in a version of MQTT that cannot be told so");
}

/// A hundred links with a code that was used counted as the device's own.
#[test]
fn enrolment_links_are_no_links_of_the_device_and_do_not_keep_it_out() {
    let limits = Limits { connections_per_identity: 1, login_burst_per_identity: 1, ..World::hasty() };
    let mut world = World::with(limits);
    let code = invite(&mut world, "pump-1");
    let mut peer = listening(&world, "pump-1", &code);
    let (key, csr) = request();
    peer.send(&publish(REQUEST_TOPIC, &csr, None));
    decide(&mut world);
    let own = bundle(&answer(&mut peer, None), &key);
    let _held = link(&world, "pump-1", &code);
    assert_eq!(world.plane.connections_of(&[&"device:pump-1".parse().unwrap()]), [0]);
    let mut device = Peer::tls(&world, Some(&own)).log_in("pump");
    let mut held = Vec::new();
    let mut open = || {
        let mut peer = Peer::tls(&world, None);
        let hello = claim_hello("claim:pump-1", &code);
        let code = peer.hello(&hello);
        held.push(peer);
        code
    };
    let opened =
        (0..limits::ENROLMENT_BURST_PER_IDENTITY + 5).filter(|_| open() == ReasonCode::Success).count();
    assert!(opened as u64 <= limits::ENROLMENT_BURST_PER_IDENTITY, "{opened}");
    assert_eq!(world.told.offender("ENROLMENT_BURST_PER_IDENTITY"), "device:pump-1");
    let living = held.iter_mut().map(Peer::try_alive).filter(|alive| *alive).count();
    assert!(living <= 2 * limits::ENROLMENT_LINKS_PER_IDENTITY, "of two doors: {living}");
    assert!(device.is_alive());
}

/// Links that wait for nothing kept newcomers out for a minute.
#[test]
fn idle_enrolment_links_make_room_and_those_that_wait_for_an_answer_do_not() {
    let mut world = World::with(Limits { pending: 8, ..World::hasty() });
    let codes_of: Vec<String> = (0..12).map(|n| invite(&mut world, &format!("pump-{n}"))).collect();
    let mut waiting = listening(&world, "pump-0", &codes_of[0]);
    waiting.send(&publish(REQUEST_TOPIC, &request().1, None));
    let application = world.applications.recv_timeout(PATIENCE).expect("pump-0 should apply");
    let held: Vec<Peer> = (1..12).map(|n| link(&world, &format!("pump-{n}"), &codes_of[n])).collect();
    let device = world.add_device("watch-1");
    Peer::tls(&world, Some(&device)).log_in("w");
    decide_this(&mut world, application);
    assert!(answer(&mut waiting, None).starts_with("-----BEGIN"));
    drop(held);
}

/// Whoever only connected threw a device out that was making its key.
#[test]
fn strangers_make_room_before_a_device_that_was_let_in() {
    let mut world = World::with(Limits { pending: 8, ..World::hasty() });
    let code = invite(&mut world, "pump-1");
    let mut device = link(&world, "pump-1", &code);
    let watch = world.add_device("watch-1");
    let strangers: Vec<_> = (0..40).map(|_| std::net::TcpStream::connect(world.tls).unwrap()).collect();
    // Whoever comes behind them finds that they made room.
    for _ in 0..4 {
        Peer::tls(&world, Some(&watch)).log_in("w");
    }
    assert!(device.is_alive());
    drop(strangers);
}

/// The thief was first; when the device came its code was just "used", and nobody was told.
#[test]
fn the_right_code_after_its_hour_is_told_once_whoever_comes() {
    let born = WallTime(now().0 - 3 * HOUR);
    let mut world = World::founded(born, World::hasty(), keyward_broker::Limits::default());
    let then = WallTime(now().0 - 2 * HOUR);
    let credential = NewCredential::ClaimCode { seconds: 86_400, endorsement: None };
    let (outcome, _) = world.command_at(then, device("pump-1", credential)).unwrap();
    let code = outcome.claim_code.unwrap().code.expose_text().to_owned();
    let thief = Command::Claim(Claim {
        id: "pump-1".parse().unwrap(),
        code: Secret::new(code.clone().into_bytes()),
        csr: request().1,
        message_key: None,
        proof: None,
        agreement_key: None,
        lifetime_days: None,
    });
    world.command_at(then, thief).unwrap();
    let knock = |code: &str| {
        let hello = claim_hello("claim:pump-1", code);
        assert_eq!(Peer::tls(&world, None).hello(&hello), ReasonCode::BadUserNameOrPassword);
    };
    knock("wrong");
    knock(&code);
    let application = world.applications.recv_timeout(PATIENCE).expect("it should be told");
    assert_eq!(application.identity, "device:pump-1".parse().unwrap());
    let (wish, _) = application.open();
    let Wish::Late { code: late } = wish else { panic!("another wish") };
    assert_eq!(late.expose(), code.as_bytes());
    let note = Command::Claim(Claim {
        id: "pump-1".parse().unwrap(),
        code: late,
        csr: Vec::new(),
        message_key: None,
        proof: None,
        agreement_key: None,
        lifetime_days: None,
    });
    world.command_at(now(), note).err().expect("it is refused, and written down");
    world.refresh();
    let hello = claim_hello("claim:pump-1", &code);
    assert_eq!(Peer::tls(&world, None).hello(&hello), ReasonCode::BadUserNameOrPassword);
    assert!(world.applications.recv_timeout(Duration::ZERO).is_err(), "it is known");
}

#[test]
fn a_certificate_opens_no_link_for_its_renewal_before_its_last_third() {
    let mut world = World::with(World::hasty());
    let young = world.add_device("pump-2");
    let hello = Hello { username: Some("renew:pump-2"), ..Hello::default() };
    assert_eq!(Peer::tls(&world, Some(&young)).hello(&hello), ReasonCode::NotAuthorized);
    world.told.login_cause("not to be renewed yet");
}

#[test]
fn links_end_when_their_right_is_taken_away() {
    let (mut world, old) = aged();
    let code = invite(&mut world, "pump-2");
    let mut by_code = listening(&world, "pump-2", &code);
    let mut by_certificate = renewal(&world, &old, "pump-1");
    world.command(Command::Uninvite { id: "pump-2".parse().unwrap() });
    assert_eq!(end(&mut by_code), None);
    assert!(by_certificate.is_alive());
    let applied = world.revoke("device:pump-1");
    assert!(applied.closed > 0);
    assert_eq!(end(&mut by_certificate), None);
}

#[test]
fn a_client_that_has_no_room_for_the_answer_is_refused_before_its_code_is_used() {
    let mut world = World::with(World::hasty());
    let code = invite(&mut world, "pump-1");
    let hello = |size: u32| {
        let connect = Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive: 60,
            client_id: "c1",
            will: None,
            username: Some("claim:pump-1"),
            password: Some(code.as_bytes()),
            properties: ConnectProperties {
                maximum_packet_size: size.try_into().ok(),
                ..ConnectProperties::default()
            },
        };
        let mut peer = Peer::tls(&world, None);
        peer.send(&encode(&Packet::Connect(connect), Version::V5));
        (peer.connack(), peer)
    };
    assert_eq!(hello(limits::ENROLMENT_ANSWER - 1).0, ReasonCode::NotAuthorized);
    let (code, mut peer) = hello(limits::ENROLMENT_ANSWER);
    assert_eq!(code, ReasonCode::Success);
    world.told.login_cause("no room for the answer");
    peer.send(&subscribe(ANSWER_TOPIC, 1));
    codes(&mut peer);
    let correlation = [b'c'; limits::ENROLMENT_CORRELATION + 1];
    let publish = keyward_mqtt::packet::Publish {
        dup: false,
        delivery: keyward_mqtt::packet::Delivery::AtMostOnce,
        retain: false,
        topic: TopicName::parse(REQUEST_TOPIC).ok(),
        properties: PublishProperties {
            correlation_data: Some(&correlation),
            ..PublishProperties::default()
        },
        payload: b"x",
    };
    peer.send(&encode(&Packet::Publish(publish), Version::V5));
    assert_eq!(end(&mut peer), Some(ReasonCode::PacketTooLarge));
}

/// Renews the certificate of pump-1 in the registry, and returns the new one and its serial number.
fn renewed(world: &mut World) -> (Bundle, CertSerial) {
    let identity: Identity = "device:pump-1".parse().unwrap();
    let serial = world.registrar.registry().find(&identity).unwrap().certificates[0].serial.clone();
    let (key, csr) = request();
    let renewal = Renewal::new(identity, serial, csr);
    let issued = world.command_at(now(), Command::Renew(renewal)).unwrap().0.certificate.unwrap();
    (bundle(&issued.chain_pem, &key), issued.serial)
}

/// A foreign certificate with the serial number of ours was exchanged for one of ours, and ended ours by its login.
#[test]
fn a_certificate_of_another_authority_renews_nothing_and_succeeds_nothing() {
    let (mut world, old) = aged();
    let authority = OldAuthority::new("Old CA");
    trust(&mut world, &authority, ProvenBy::CommonName);
    bind(&mut world, "device:pump-1", "pump-1", None);
    let identity: Identity = "device:pump-1".parse().unwrap();
    let serial = world.registrar.registry().find(&identity).unwrap().certificates[0].serial.clone();
    let twin = authority.client_until("pump-1", serial.as_bytes(), 20);
    Peer::tls(&world, Some(&twin)).log_in("twin");
    let hello = Hello { username: Some("renew:pump-1"), ..Hello::default() };
    assert_eq!(Peer::tls(&world, Some(&twin)).hello(&hello), ReasonCode::NotAuthorized);
    world.told.login_cause("only certificates that were issued here");

    let (new, serial) = renewed(&mut world);
    let twin = authority.client_until("pump-1", serial.as_bytes(), 20);
    Peer::tls(&world, Some(&twin)).log_in("twin");
    assert!(world.applications.recv_timeout(Duration::ZERO).is_err(), "ours was not used yet");
    Peer::tls(&world, Some(&old)).log_in("pump");
    let mut successor = Peer::tls(&world, Some(&new));
    successor.send(&Hello { client_id: "pump-new", ..Hello::default() }.bytes());
    decide(&mut world);
    assert_eq!(successor.connack(), ReasonCode::Success);
}

#[test]
fn a_password_that_is_replaced_while_the_old_certificate_is_taken_away_does_not_count() {
    let (mut world, _) = aged();
    let entrance = Entrance { login: LoginRule::CertificateAndPassword, ..Entrance::default() };
    let listener = Listener { entrance, ..Listener::tls("both", vec!["127.0.0.1:0".parse().unwrap()]) };
    let at = world.plane.add_listener(listener).unwrap()[0];
    let set_password = |world: &mut World| {
        let identity = "device:pump-1".parse().unwrap();
        let (outcome, _) = world.command(Command::SetPassword { identity, password: NewPassword::Generate });
        outcome.password.unwrap().expose_text().to_owned()
    };
    let password = set_password(&mut world);
    let (new, _) = renewed(&mut world);
    let knock = |world: &World| {
        let mut peer = Peer::tls_to(at, "localhost", tls_config(&world.ca_pem(), Some(&new)));
        let hello = Hello { username: Some("pump-1"), password: Some(&password), ..Hello::default() };
        peer.send(&hello.bytes());
        let application = world.applications.recv_timeout(PATIENCE).expect("the old one is to end");
        (peer, application)
    };
    let (mut peer, application) = knock(&world);
    drop(application); // The disk hangs, say: it goes on as it was.
    assert_eq!(peer.connack(), ReasonCode::Success);
    let (mut peer, application) = knock(&world);
    set_password(&mut world);
    decide_this(&mut world, application);
    assert_eq!(peer.connack(), ReasonCode::BadUserNameOrPassword);
}
