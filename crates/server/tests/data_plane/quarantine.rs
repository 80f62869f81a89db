//! A device in quarantine keeps its link, and has its recovery topics alone from the moment at which the command returns.

use crate::peer::{Peer, publish, subscribe};
use crate::world::World;
use keyward_identity::{Command, QuarantinedBy};
use keyward_mqtt::packet::Packet;
use keyward_mqtt::reason::ReasonCode;
use keyward_server::plane::Applied;
use std::time::{Duration, Instant};

const RECOVERY: &str = "devices/pump-1/recovery/state";

fn quarantine(world: &mut World) -> Applied {
    let (identity, because) = ("device:pump-1".parse().unwrap(), "two hold its key".to_owned());
    world.command(Command::Quarantine { identity, by: QuarantinedBy::Operator, because }).1
}

fn release(world: &mut World) -> Applied {
    world.command(Command::Release { identity: "device:pump-1".parse().unwrap() }).1
}

/// Publishes, and returns what that is answered: the reason, and what is said of it.
fn answer(peer: &mut Peer, topic: &str) -> (ReasonCode, Option<String>) {
    peer.send(&publish(topic, b"x", Some(1)));
    loop {
        let frame = peer.frame().expect("the link stays open");
        if let Packet::PubAck(ack) = peer.decode(&frame) {
            return (ack.reason, ack.properties.reason_string.map(str::to_owned));
        }
    }
}

#[test]
fn its_links_stay_and_are_held_to_recovery_within_a_second_and_a_release_closes_them() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut links = ["a", "b", "c"].map(|id| Peer::tls(&world, Some(&bundle)).log_in(id));
    for link in &mut links {
        assert_eq!(answer(link, "pump-1/a").0, ReasonCode::Success);
    }
    let begun = Instant::now();
    assert_eq!(quarantine(&mut world).closed, 0);
    for link in &mut links {
        let told = (ReasonCode::NotAuthorized, Some("quarantined".to_owned()));
        assert_eq!(answer(link, "pump-1/a"), told);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    for link in &mut links {
        assert_eq!(answer(link, RECOVERY).0, ReasonCode::Success);
        assert!(link.is_alive());
    }
    let mut late = Peer::tls(&world, Some(&bundle)).log_in("d");
    assert_eq!(answer(&mut late, "pump-1/a").0, ReasonCode::NotAuthorized);
    assert_eq!(release(&mut world).closed, 4);
    for link in links.iter_mut().chain([&mut late]) {
        assert_eq!(link.frame(), None);
    }
    let mut again = Peer::tls(&world, Some(&bundle)).log_in("a");
    assert_eq!(answer(&mut again, "pump-1/a").0, ReasonCode::Success);
}

#[test]
fn it_is_sent_nothing_of_other_topics_and_what_concerns_its_recovery() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut sender = Peer::tls(&world, Some(&bundle)).log_in("sender");
    let mut reader = Peer::tls(&world, Some(&bundle)).log_in("reader");
    reader.send(&subscribe("#", 1));
    let frame = reader.frame().unwrap();
    assert!(matches!(reader.decode(&frame), Packet::SubAck(_)));
    quarantine(&mut world);
    assert_eq!(answer(&mut sender, "pump-1/a").0, ReasonCode::NotAuthorized);
    assert_eq!(answer(&mut sender, RECOVERY).0, ReasonCode::Success);
    let frame = reader.frame().unwrap();
    let Packet::Publish(message) = reader.decode(&frame) else { panic!("{frame:?}") };
    assert_eq!(message.topic.unwrap().as_str(), RECOVERY, "it came first, and alone");
}
