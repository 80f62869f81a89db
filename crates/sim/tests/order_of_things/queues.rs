//! Packet ids, full queues (rules 16 and 18).

use crate::cast::Cast;
use crate::stage::{Stage, qos1, qos2};
use keyward_broker::Notice;
use keyward_broker::limits::PLACE_WINDOW;
use keyward_mqtt::packet::Qos;
use keyward_sim::event::{ClientNo, MessageNo, What};
use keyward_sim::races::Race;

scenarios! {
    rule_16_what_was_sent_is_sent_again_under_its_packet_id,
    rule_16_the_newest_message_stays_less_than_all_packet_ids_ahead_of_the_oldest,
    rule_18_a_full_queue_makes_room_at_the_cost_of_who_fills_it,
    rule_18_a_queue_that_is_full_by_bytes_makes_room_at_the_cost_of_who_has_most_bytes,
}

/// Messages were sent and not acknowledged, the link is lost, the client comes back; one exchange had gone further.
fn rule_16_what_was_sent_is_sent_again_under_its_packet_id(shards: u16) {
    let (mut stage, sensor, reader) = Cast::new(shards).sensor_and_reader();
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

/// Few large messages of one publisher and more small ones of another: the queue is full by bytes, not by count.
fn rule_18_a_queue_that_is_full_by_bytes_makes_room_at_the_cost_of_who_has_most_bytes(shards: u16) {
    let mut cast = Cast::new(shards).with_limits(|limits| limits.queue_bytes = 6_000);
    let (large, small, reader) = (cast.add("large", 0), cast.add("small", 2), cast.add("reader", 1));
    let mut stage = cast.begin();
    stage.enter(large);
    stage.enter(small);
    stage.enter(reader);
    stage.subscribe(reader, "#");
    stage.break_link(reader);
    stage.scene();
    let words: Vec<MessageNo> = (0..3).map(|_| stage.publish(small, qos1("word"))).collect();
    stage.go_on();
    let pictures = [(); 2].map(|()| stage.publish(large, qos1("picture").large()));
    stage.go_on();
    assert_eq!(stage.stats().iter().map(|stats| stats.queued).sum::<u64>(), 5, "all have room so far");
    let last = stage.publish(small, qos1("word"));
    stage.go_on();
    stage.publish(large, qos1("picture").large());
    stage.go_on();
    stage.publish(large, qos1("picture").large());
    stage.go_on();
    stage.enter(reader);
    stage.go_on();
    let mut expected = words;
    expected.extend([pictures[1], last]);
    assert_eq!(stage.got(reader), expected);
    let losses: Vec<bool> = stage.seen().filter_map(|what| loss_of(what, &stage, large)).collect();
    assert_eq!(losses, [true; 3], "all losses are told of, as those of who has most bytes");
    stage.expect_race(Race::QueueFull);
    stage.end();
}

/// A client does not finish one message, and all others at once, until the next would have the packet id of that one.
fn rule_16_the_newest_message_stays_less_than_all_packet_ids_ahead_of_the_oldest(shards: u16) {
    let mut cast = Cast::new(shards);
    let sensors = [cast.add("one", 0), cast.add("two", 0), cast.add("three", 2)];
    let reader = cast.add("reader", 1);
    let mut stage = cast.begin();
    for client in [reader, sensors[0], sensors[1], sensors[2]] {
        stage.enter(client);
    }
    stage.subscribe(reader, "news");
    stage.scene();
    stage.mute(reader);
    stage.publish(sensors[0], qos2("news"));
    stage.go_on();
    let [(_, _, oldest)] = sendings(&stage, reader)[..] else { panic!("the oldest was not sent") };
    // It is the same news again and again: the model compares each message with each.
    let news = sensors.map(|sensor| stage.publish(sensor, qos1("news")));
    acknowledge_new(&mut stage, reader, news.len());
    let others = PLACE_WINDOW as usize - 1;
    let mut sent = news.len();
    while sent < others {
        stage.scene();
        let next: Vec<usize> = (sent..others).take(60).collect();
        for place in &next {
            let turn = place % sensors.len();
            stage.publish_again(sensors[turn], qos1("news"), news[turn]);
        }
        acknowledge_new(&mut stage, reader, next.len());
        let ids: Vec<_> = sendings(&stage, reader).into_iter().map(|(_, _, id)| id).collect();
        assert_eq!((ids.len(), ids.contains(&oldest)), (next.len(), false));
        sent += next.len();
    }
    stage.scene();
    let next = stage.publish(sensors[0], qos1("news"));
    stage.go_on();
    assert_eq!(stage.got(reader), [], "its packet id is in use");
    stage.unmute(reader);
    stage.go_on();
    assert_eq!(sendings(&stage, reader), [(Some(next), Qos::AtLeastOnce, oldest)]);
    stage.end();
}

/// Has a client acknowledge so many messages of QoS 1. PUBACK goes before PUBREC, which it never sends.
fn acknowledge_new(stage: &mut Stage, client: ClientNo, count: usize) {
    stage.go_on();
    (0..count).for_each(|_| stage.acknowledge_one(client));
    stage.go_on();
}
