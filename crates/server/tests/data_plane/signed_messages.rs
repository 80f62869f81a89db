//! Signatures are verified beside the workers: what a link sends next waits in order, and nothing of it is lost.

use crate::peer::{Hello, Peer, publish, subscribe};
use crate::world::World;
use keyward_broker::DeniedAction;
use keyward_envelope::software::{Ed25519Key, P256Key};
use keyward_envelope::{
    Claims, Context, Direction, Message, PublicKey, Purpose, Sequence, Signer, limits::KEY_BYTES, sign,
};
use keyward_identity::{Command, MessageKey};
use keyward_mqtt::packet::Packet;
use keyward_mqtt::reason::ReasonCode;
use keyward_policy::{Policy, SourceFile};
use keyward_server::clock;
use std::sync::Arc;

const RULES: &str = "[[signed]]\nwho = \"devices\"\ntopics = [\"{id}/#\"]\ncheck = \"require\"\nlevel = 1\n";

fn demand_signatures(world: &World) {
    let policy = Policy::load(&[SourceFile::new("signed.toml", RULES)]).unwrap();
    world.plane.set_policy(2, Arc::new(policy)).unwrap();
}

fn register(world: &mut World, device: &str, public: PublicKey) {
    let mut cose = [0; KEY_BYTES];
    let len = public.to_cose(Purpose::Sign, &mut cose).unwrap();
    let key = MessageKey::read(&cose[..len], 1).unwrap();
    assert_eq!(key.kid().as_bytes(), public.kid().as_bytes(), "both crates name a key alike");
    world.command(Command::RegisterMessageKey { identity: format!("device:{device}").parse().unwrap(), key });
}

/// Returns what a device signs with: the first by Ed25519, others by ES256.
fn key_pair(device: &str) -> (Box<dyn Signer>, PublicKey) {
    if device == "pump-1" {
        let key = Ed25519Key::from_seed(&[1; 32]);
        let public = key.public();
        return (Box::new(key), public);
    }
    let key = P256Key::from_secret(&[2; 32]).unwrap();
    let public = key.public();
    (Box::new(key), public)
}

fn sealed(world: &World, device: &str, signer: &mut dyn Signer, number: u64) -> Vec<u8> {
    let topic = format!("{device}/x");
    let registry = world.registrar.registry();
    let context = Context {
        direction: Direction::Up { device },
        installation: registry.installation().as_str(),
        topic: &topic,
        correlation: None,
    };
    let claims = Claims::issued_at(Sequence(number), clock::now().wall.0 / 1_000);
    let mut out = [0; 512];
    let message = Message { claims, format: None, payload: &[7; 100] };
    let len = sign(&message, &context, signer, &mut out).unwrap();
    out[..len].to_vec()
}

/// Reads until so many messages were acknowledged; returns packet ids with reasons, in their order.
fn acks(peer: &mut Peer, count: usize) -> Vec<(u16, ReasonCode)> {
    let mut found = Vec::new();
    while found.len() < count {
        let frame = peer.frame().expect("every packet is answered");
        if let Packet::PubAck(ack) = peer.decode(&frame) {
            found.push((ack.id.0.get(), ack.reason));
        }
    }
    found
}

#[test]
fn signed_messages_of_both_algorithms_go_on_in_their_order_and_the_link_goes_on_after_them() {
    let mut world = World::new();
    demand_signatures(&world);
    for device in ["pump-1", "pump-2"] {
        let (mut signer, public) = key_pair(device);
        let bundle = world.add_device(device);
        register(&mut world, device, public);
        let topic = format!("{device}/x");
        let mut bytes = Hello { client_id: "c1", ..Hello::default() }.bytes();
        bytes.extend(subscribe(&topic, 1));
        let payloads: Vec<_> = (1..=50).map(|number| sealed(&world, device, &mut *signer, number)).collect();
        for (id, payload) in payloads.iter().enumerate() {
            bytes.extend(publish(&topic, payload, Some(id as u16 + 1)));
        }
        let mut peer = Peer::tls(&world, Some(&bundle));
        peer.send(&bytes);
        let (mut acked, mut received) = (Vec::new(), Vec::new());
        while acked.len() < 50 || received.len() < 50 {
            let frame = peer.frame().expect("every packet is answered");
            match peer.decode(&frame) {
                Packet::PubAck(ack) => acked.push((ack.id.0.get(), ack.reason)),
                Packet::Publish(message) => {
                    let by = message.properties.user.iter().find(|(name, _)| *name == "mqsec-verified");
                    assert_eq!(by.unwrap().1, format!("{},1", public.kid()));
                    received.push(message.payload.to_vec());
                }
                _ => {}
            }
        }
        assert_eq!(acked, (1..=50).map(|id| (id, ReasonCode::Success)).collect::<Vec<_>>());
        assert_eq!(received, payloads);
    }
}

#[test]
fn what_is_not_signed_or_signed_by_another_is_refused_between_good_ones() {
    let mut world = World::new();
    demand_signatures(&world);
    let bundle = world.add_device("pump-1");
    let mut own = Ed25519Key::from_seed(&[1; 32]);
    register(&mut world, "pump-1", own.public());
    let mut strange = P256Key::from_secret(&[2; 32]).unwrap();
    let mut forged = sealed(&world, "pump-1", &mut own, 3);
    *forged.last_mut().unwrap() ^= 1;
    let payloads = [
        (sealed(&world, "pump-1", &mut own, 1), ReasonCode::Success),
        (b"21.5".to_vec(), ReasonCode::PayloadFormatInvalid),
        (forged, ReasonCode::NotAuthorized),
        (sealed(&world, "pump-1", &mut strange, 4), ReasonCode::NotAuthorized),
        (sealed(&world, "pump-1", &mut own, 1), ReasonCode::Success),
        (sealed(&world, "pump-1", &mut own, 5), ReasonCode::Success),
    ];
    let mut peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
    let mut bytes = Vec::new();
    for (id, (payload, _)) in payloads.iter().enumerate() {
        bytes.extend(publish("pump-1/x", payload, Some(id as u16 + 1)));
    }
    peer.send(&bytes);
    let expected: Vec<_> =
        payloads.iter().enumerate().map(|(id, (_, reason))| (id as u16 + 1, *reason)).collect();
    assert_eq!(acks(&mut peer, payloads.len()), expected);
    let denial = |told: &crate::world::Told| {
        told.denials.iter().find(|it| matches!(it.action, DeniedAction::Signed(_))).cloned()
    };
    let denial = world.told.wait("a denial", denial);
    assert_eq!(denial.rule.unwrap().to_string(), "signed.toml:1");
}

#[test]
fn a_message_that_is_the_last_word_of_its_link_is_verified_and_goes_on() {
    let mut world = World::new();
    demand_signatures(&world);
    let bundle = world.add_device("pump-1");
    let mut own = Ed25519Key::from_seed(&[1; 32]);
    register(&mut world, "pump-1", own.public());
    let mut reader = Peer::tls(&world, Some(&bundle)).log_in("reader");
    reader.send(&subscribe("pump-1/x", 1));
    reader.frame().unwrap();
    for number in 1..=10 {
        let mut peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
        let mut bytes = publish("pump-1/x", &sealed(&world, "pump-1", &mut own, number), None);
        bytes.extend([0xe0, 0]);
        peer.send(&bytes);
        drop(peer);
        let frame = reader.frame().expect("it goes on");
        assert!(matches!(reader.decode(&frame), Packet::Publish(_)), "{number}");
    }
}
