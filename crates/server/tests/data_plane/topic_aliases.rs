//! Topic aliases and permissions: what may be published is decided by the topic, never by its alias.

use crate::peer::{Hello, Peer, encode, subscribe};
use crate::world::{Bundle, World};
use keyward_mqtt::packet::{Delivery, Packet, PacketId, Publish, Version};
use keyward_mqtt::property::PublishProperties;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicName;
use keyward_policy::{Policy, SourceFile};
use std::num::NonZeroU16;
use std::sync::Arc;

fn by_alias(topic: &str, alias: u16, id: u16) -> Vec<u8> {
    let packet = Publish {
        dup: false,
        delivery: Delivery::AtLeastOnce(PacketId(NonZeroU16::new(id).unwrap())),
        retain: false,
        topic: TopicName::parse(topic).ok(),
        properties: PublishProperties { topic_alias: NonZeroU16::new(alias), ..PublishProperties::default() },
        payload: b"x",
    };
    encode(&Packet::Publish(packet), Version::V5)
}

/// Publishes at QoS 1 and returns the code of PUBACK.
fn publishes(peer: &mut Peer, topic: &str, alias: u16, id: u16) -> ReasonCode {
    peer.send(&by_alias(topic, alias, id));
    let frame = peer.frame().expect("PUBACK before the end");
    match peer.decode(&frame) {
        Packet::PubAck(ack) => ack.reason,
        other => panic!("not PUBACK: {other:?}"),
    }
}

fn is_let_through(reason: ReasonCode) -> bool {
    matches!(reason, ReasonCode::Success | ReasonCode::NoMatchingSubscribers)
}

fn pump(world: &mut World) -> Peer {
    let bundle = world.add_device("pump-1");
    Peer::tls(world, Some(&bundle)).log_in("c1")
}

/// Opens a link to one session, which stays; returns whether it was there already.
fn in_one_session(world: &World, bundle: &Bundle) -> (Peer, bool) {
    let mut peer = Peer::tls(world, Some(bundle));
    peer.send(&Hello { session_expiry: 60, ..Hello::default() }.bytes());
    let frame = peer.frame().unwrap();
    match peer.decode(&frame) {
        Packet::ConnAck(ack) => (peer, ack.session_present),
        other => panic!("not CONNACK: {other:?}"),
    }
}

#[test]
fn connack_says_how_many_aliases_there_are() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle));
    peer.send(&Hello::default().bytes());
    let frame = peer.frame().unwrap();
    let Packet::ConnAck(ack) = peer.decode(&frame) else { panic!("not CONNACK") };
    assert_eq!(ack.properties.topic_alias_maximum, Some(10));
    assert!(is_let_through(publishes(&mut peer, "pump-1/a", 10, 1)));
    peer.send(&by_alias("pump-1/a", 11, 2));
    let frame = peer.frame().unwrap();
    let Packet::Disconnect(disconnect) = peer.decode(&frame) else { panic!("not DISCONNECT") };
    assert_eq!(disconnect.reason, ReasonCode::TopicAliasInvalid);
}

#[test]
fn an_alias_that_a_denied_publish_set_stays_denied_until_it_stands_for_something_else() {
    let mut world = World::new();
    let mut peer = pump(&mut world);
    assert_eq!(publishes(&mut peer, "lamp-1/a", 1, 1), ReasonCode::NotAuthorized);
    assert_eq!(publishes(&mut peer, "", 1, 2), ReasonCode::NotAuthorized);
    assert!(is_let_through(publishes(&mut peer, "pump-1/a", 1, 3)));
    assert!(is_let_through(publishes(&mut peer, "", 1, 4)));
    assert_eq!(publishes(&mut peer, "lamp-1/a", 1, 5), ReasonCode::NotAuthorized);
    assert_eq!(publishes(&mut peer, "", 1, 6), ReasonCode::NotAuthorized);
}

#[test]
fn a_message_goes_where_its_alias_points_now_however_often_it_went_elsewhere() {
    let mut world = World::new();
    let mut peer = pump(&mut world);
    peer.send(&subscribe("pump-1/a", 60));
    peer.frame().expect("SUBACK");
    // Each of these comes before its PUBACK or after it.
    for id in 1..6 {
        peer.send(&by_alias(if id == 1 { "pump-1/a" } else { "" }, 1, id));
        let mut two = [peer.frame().unwrap(), peer.frame().unwrap()].map(|frame| frame[0] >> 4);
        two.sort_unstable();
        assert_eq!(two, [3, 4], "PUBLISH and PUBACK");
    }
    assert!(is_let_through(publishes(&mut peer, "pump-1/b", 1, 6)));
    assert!(is_let_through(publishes(&mut peer, "", 1, 7)));
    assert!(peer.is_alive(), "and nothing else came");
}

#[test]
fn a_change_of_the_rules_holds_for_aliases_that_were_set_before_it() {
    let mut world = World::new();
    let mut peer = pump(&mut world);
    assert_eq!(publishes(&mut peer, "plant/a", 1, 1), ReasonCode::NotAuthorized);
    assert!(is_let_through(publishes(&mut peer, "pump-1/a", 2, 2)));
    let text = "[[rule]]\nwho = \"device:pump-1\"\nallow = [\"publish\"]\ntopics = [\"plant/#\"]\n\n\
                [[rule]]\nwho = \"device:pump-1\"\ndeny = [\"publish\"]\ntopics = [\"pump-1/a\"]\n";
    let file = SourceFile { name: "rules.toml".into(), text: text.into() };
    world.plane.set_policy(2, Arc::new(Policy::load(&[file]).unwrap())).unwrap();
    assert!(is_let_through(publishes(&mut peer, "", 1, 3)));
    assert_eq!(publishes(&mut peer, "", 2, 4), ReasonCode::NotAuthorized);
}

#[test]
fn a_resumed_session_knows_no_alias() {
    // [MQTT-3.3.2-7]
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let (mut peer, _) = in_one_session(&world, &bundle);
    publishes(&mut peer, "pump-1/a", 1, 1);
    let (mut peer, session_present) = in_one_session(&world, &bundle);
    assert!(session_present);
    peer.send(&by_alias("", 1, 2));
    let frame = peer.frame().unwrap();
    let Packet::Disconnect(disconnect) = peer.decode(&frame) else { panic!("not DISCONNECT") };
    assert_eq!(disconnect.reason, ReasonCode::ProtocolError);
}

#[test]
fn an_alias_that_is_given_anew_after_resume_is_decided_by_what_it_stands_for_now() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let (mut peer, _) = in_one_session(&world, &bundle);
    (1..4).for_each(|id| assert!(is_let_through(publishes(&mut peer, "pump-1/a", 1, id))));
    let (mut peer, session_present) = in_one_session(&world, &bundle);
    assert!(session_present);
    assert_eq!(publishes(&mut peer, "lamp-1/a", 1, 4), ReasonCode::NotAuthorized);
    assert_eq!(publishes(&mut peer, "", 1, 5), ReasonCode::NotAuthorized);
    assert!(is_let_through(publishes(&mut peer, "pump-1/a", 1, 6)));
}
