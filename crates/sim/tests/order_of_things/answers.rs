//! Acknowledgements and queues: what waits for the disk, packet ids, full queues (rules 14, 16, 18).

use crate::cast::Cast;
use crate::stage::{Stage, qos1, qos2};
use keyward_broker::CommitOutcome::{Durable, NoRoom};
use keyward_broker::Notice;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::reason::ReasonCode;
use keyward_sim::event::{ClientNo, MessageNo, What};
use keyward_sim::packet::{Ack, Packet};
use keyward_sim::races::Race;

scenarios! {
    rule_14_answers_wait_for_the_disk_and_leave_in_the_order_of_what_they_answer,
    rule_14_a_qos_2_message_does_not_overtake_one_that_waits_for_the_disk,
    rule_14_what_finds_no_room_is_not_acknowledged,
    rule_14_pubrel_and_pubcomp_wait_for_the_disk,
    rule_14_pubrel_and_pubcomp_wait_for_the_disk_on_a_new_link_too,
    rule_16_what_was_sent_is_sent_again_under_its_packet_id,
    rule_18_a_full_queue_makes_room_at_the_cost_of_who_fills_it,
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
    stage.disk_answers(home, Durable);
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
    stage.disk_answers(home, Durable);
    stage.go_on_with_disk();
    assert_eq!((stage.got(stored), stage.got(passing)), (vec![sent[0]], sent.to_vec()));
    stage.end();
}

/// The disk is full: QoS 1 and 2 are told so, and the QoS 2 message goes to nobody.
fn rule_14_what_finds_no_room_is_not_acknowledged(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let home = cast.shard(0);
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    stage.subscribe(reader, "news");
    stage.scene();
    let once = stage.publish(sensor, qos1("news"));
    stage.publish(sensor, qos2("news"));
    stage.go_on();
    stage.disk_answers(home, NoRoom);
    stage.go_on_with_disk();
    assert_eq!(stage.verdicts(sensor), [ReasonCode::QuotaExceeded; 2]);
    // QoS 1 went on before the disk was asked, and nobody has promised that it comes once.
    assert_eq!(stage.got(reader), [once]);
    stage.expect_race(Race::NoRoom);
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
    stage.disk_answers(home, Durable);
    stage.go_on();
    stage
}

/// Messages were sent and not acknowledged, the link is lost, the client comes back; one exchange had gone further.
fn rule_16_what_was_sent_is_sent_again_under_its_packet_id(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    stage.subscribe(reader, "news");
    stage.scene();
    stage.mute(reader);
    for note in [qos1("news"), qos2("news"), qos1("news"), qos2("news")] {
        stage.publish(sensor, note);
        stage.go_on();
    }
    let first = sendings(&stage, reader);
    // One PUBACK arrives: the oldest is finished.
    stage.acknowledge_one(reader);
    stage.go_on();
    stage.cut(reader);
    stage.go_on();
    let late = stage.publish(sensor, qos1("news"));
    stage.scene();
    stage.enter(reader);
    stage.go_on();
    let again = sendings(&stage, reader);
    assert_eq!(again[..3], first[1..], "in their order, under their ids");
    let dups: Vec<bool> = stage.messages(reader).map(|publish| publish.dup).collect();
    assert_eq!(dups, [true, true, true, false]);
    let (number, _, id) = again[3];
    assert_eq!(number, Some(late));
    assert!(!first.iter().any(|(_, _, known)| *known == id), "a new message has an id of its own");
    stage.unmute(reader);
    stage.go_on();
    stage.expect_race(Race::SentAgainOnResume);
    stage.end();
}

fn sendings(stage: &Stage, reader: ClientNo) -> Vec<(Option<MessageNo>, Qos, Option<u16>)> {
    stage.messages(reader).map(|publish| (publish.number, publish.qos, publish.id)).collect()
}

/// A reader is away; one publisher fills its queue, another has one message for it, and then the first has more.
fn rule_18_a_full_queue_makes_room_at_the_cost_of_who_fills_it(shards: u16) {
    let mut cast = Cast::new(shards).with_limits(|limits| limits.queue_messages = 4);
    let (noisy, quiet, reader) = (cast.add("noisy", 0), cast.add("quiet", 2), cast.add("reader", 1));
    let mut stage = cast.begin();
    stage.enter(noisy);
    stage.enter(quiet);
    stage.enter(reader);
    stage.subscribe(reader, "#");
    stage.break_link(reader);
    stage.scene();
    let many: Vec<MessageNo> = (0..4).map(|_| stage.publish(noisy, qos1("noise"))).collect();
    stage.go_on();
    let one = stage.publish(quiet, qos1("word"));
    stage.go_on();
    stage.publish(noisy, qos1("noise"));
    stage.go_on();
    stage.enter(reader);
    stage.go_on();
    assert_eq!(stage.got(reader), [many[1], many[2], many[3], one]);
    let losses: Vec<bool> = stage.seen().filter_map(|what| loss_of(what, &stage, noisy)).collect();
    assert_eq!(losses, [true, true], "both losses are told of, as the noisy one's");
    stage.expect_race(Race::QueueFull);
    stage.end();
}

/// Tells of a loss in a full queue whether it is counted as that of a publisher.
fn loss_of(what: &What, stage: &Stage, client: ClientNo) -> Option<bool> {
    match what {
        What::Notes { notice: Notice::QueueFull { publisher, .. }, .. } => {
            Some(publisher == stage.identity(client))
        }
        _ => None,
    }
}
