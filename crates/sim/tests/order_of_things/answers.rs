//! What waits for the disk (rule 14).

use crate::cast::Cast;
use crate::stage::{Stage, qos1, qos2};
use keyward_mqtt::reason::ReasonCode;
use keyward_sim::event::ClientNo;
use keyward_sim::packet::{Ack, Hello, Packet};
use keyward_sim::races::Race;

scenarios! {
    rule_14_answers_wait_for_the_disk_and_leave_in_the_order_of_what_they_answer,
    rule_14_a_qos_2_message_does_not_overtake_one_that_waits_for_the_disk,
    rule_14_pubrel_and_pubcomp_wait_for_the_disk,
    rule_14_pubrel_and_pubcomp_wait_for_the_disk_on_a_new_link_too,
    rule_14_suback_waits_for_the_disk,
    rule_14_connack_waits_for_the_disk,
}

/// The first message is to be stored, the second is not: the second's answer waits behind the first's.
fn rule_14_answers_wait_for_the_disk_and_leave_in_the_order_of_what_they_answer(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let home = cast.shard(0);
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    stage.subscribe(reader, "news");
    stage.scene();
    let news = stage.publish(sensor, qos1("news"));
    stage.publish(sensor, qos1("nobody/asks"));
    stage.go_on();
    assert_eq!(stage.verdicts(sensor), [], "the disk has not answered");
    // QoS 1 goes on at once.
    assert_eq!(stage.got(reader), [news]);
    stage.disk_answers(home);
    stage.go_on();
    let ids: Vec<u16> = stage.heard(sensor).filter_map(acknowledged).collect();
    assert_eq!((ids.len(), ids.is_sorted()), (2, true), "{ids:?}");
    stage.go_on_with_disk();
    stage.end();
}

fn acknowledged(packet: &Packet) -> Option<u16> {
    match packet {
        Packet::PubAck(Ack { id, .. }) => Some(*id),
        _ => None,
    }
}

/// The first message has a stored reader and waits, the second has none.
fn rule_14_a_qos_2_message_does_not_overtake_one_that_waits_for_the_disk(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, stored, passing) = (cast.add("sensor", 0), cast.add("stored", 1), cast.add("passing", 1));
    let home = cast.shard(0);
    let mut stage = cast.begin();
    stage.enter_for_now(sensor);
    stage.enter_for_now(passing);
    stage.subscribe(passing, "#");
    stage.enter(stored);
    stage.subscribe(stored, "first");
    stage.scene();
    let sent = [stage.publish(sensor, qos2("first")), stage.publish(sensor, qos2("second"))];
    stage.go_on();
    assert_eq!((stage.got(passing), stage.verdicts(sensor)), (vec![], vec![]));
    stage.disk_answers(home);
    stage.go_on_with_disk();
    assert_eq!((stage.got(stored), stage.got(passing)), (vec![sent[0]], sent.to_vec()));
    stage.end();
}

/// Both ends of a QoS 2 message are stored sessions: that its PUBREC and its PUBREL came is to be stored first.
fn rule_14_pubrel_and_pubcomp_wait_for_the_disk(shards: u16) {
    let mut stage = begin_exchange(shards);
    assert_eq!(stage.heard(SENSOR).filter(|packet| ends(packet)).count(), 0);
    assert_eq!(stage.heard(READER).filter(|packet| ends(packet)).count(), 0);
    stage.go_on_with_disk();
    assert_eq!(stage.heard(SENSOR).filter(|packet| ends(packet)).count(), 1);
    assert_eq!(stage.heard(READER).filter(|packet| ends(packet)).count(), 1);
    stage.end();
}

/// The disk has not answered when both links are lost, and not when both clients are back and ask again.
fn rule_14_pubrel_and_pubcomp_wait_for_the_disk_on_a_new_link_too(shards: u16) {
    let mut stage = begin_exchange(shards);
    for client in [SENSOR, READER] {
        stage.cut(client);
        stage.go_on();
        let hello = stage.hello(client);
        stage.connect(client, hello);
        stage.go_on();
        let early: Vec<&Packet> = stage.heard(client).filter(|packet| ends(packet)).collect();
        assert!(early.is_empty(), "{client} heard {early:?} before the disk answered");
    }
    stage.go_on_with_disk();
    assert_eq!(stage.heard(SENSOR).filter(|packet| ends(packet)).count(), 1);
    assert_eq!(stage.heard(READER).filter(|packet| ends(packet)).count(), 1);
    stage.expect_race(Race::AnswerWaitsForDisk);
    stage.end();
}

const SENSOR: ClientNo = ClientNo(0);
const READER: ClientNo = ClientNo(1);

/// Tells whether a packet ends an exchange of QoS 2, at the receiver's end or at the sender's.
fn ends(packet: &Packet) -> bool {
    matches!(packet, Packet::PubRel(_) | Packet::PubComp(_))
}

/// Brings a QoS 2 message between two stored sessions so far that PUBREC and PUBREL came and the disk was asked.
fn begin_exchange(shards: u16) -> Stage {
    let mut cast = Cast::new(shards).with_slow_disk();
    assert_eq!([cast.add("sensor", 0), cast.add("reader", 1)], [SENSOR, READER]);
    let home = cast.shard(0);
    let mut stage = cast.begin();
    stage.enter(SENSOR);
    stage.enter(READER);
    stage.subscribe(READER, "news");
    stage.scene();
    stage.publish(SENSOR, qos2("news"));
    stage.go_on();
    stage.disk_answers(home);
    stage.go_on();
    stage
}

/// A stored session asks for something, and the disk has not answered.
fn rule_14_suback_waits_for_the_disk(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let home = cast.shard(1);
    let mut stage = cast.begin();
    stage.enter_for_now(sensor);
    stage.enter(reader);
    stage.scene();
    stage.ask(reader, "news");
    stage.go_on();
    assert_eq!(stage.heard(reader).count(), 0, "the disk has not answered");
    stage.disk_answers(home);
    stage.go_on();
    assert_eq!(stage.grants(reader), [ReasonCode::GrantedQos2]);
    let news = stage.publish(sensor, qos1("news"));
    stage.go_on_with_disk();
    assert_eq!(stage.got(reader), [news]);
    stage.end();
}

/// A client wants a new session in the place of one that is stored, or leaves a will with that one: what becomes of the
/// stored session is stored first.
fn rule_14_connack_waits_for_the_disk(shards: u16) {
    for clean_start in [true, false] {
        let mut cast = Cast::new(shards).with_slow_disk();
        let reader = cast.add("reader", 1);
        let home = cast.shard(1);
        let mut stage = cast.begin();
        stage.enter(reader);
        stage.subscribe(reader, "news");
        stage.scene();
        let (_, will) = stage.will("gone", 30);
        let hello = Hello { clean_start, will: (!clean_start).then_some(will), ..stage.hello(reader) };
        stage.connect(reader, hello);
        stage.go_on();
        assert_eq!(stage.welcomes(reader), [], "the disk has not answered");
        stage.disk_answers(home);
        stage.go_on();
        assert_eq!(stage.welcomes(reader), [(!clean_start, ReasonCode::Success)]);
        stage.end();
    }
}
