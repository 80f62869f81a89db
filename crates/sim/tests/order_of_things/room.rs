//! Room in the store (rule 19).

use crate::cast::Cast;
use crate::stage::{Stage, qos0, qos1, qos2};
use keyward_broker::{Notice, Storage};
use keyward_mqtt::reason::ReasonCode;
use keyward_sim::event::What;
use keyward_sim::packet::Packet;
use keyward_sim::races::Race;

scenarios! {
    rule_19_a_message_that_is_to_be_stored_is_refused_where_there_is_no_room,
    rule_19_subscriptions_and_sessions_that_are_to_be_stored_are_refused_where_there_is_no_room,
    rule_19_what_was_taken_before_the_store_was_full_is_stored_still,
    rule_19_a_shard_takes_what_comes_until_it_hears_that_there_is_no_room,
    rule_19_a_broken_store_acknowledges_nothing_and_reading_goes_on,
}

/// Messages for a stored reader, of a stored session and for a slot; beside them what nobody stores.
fn rule_19_a_message_that_is_to_be_stored_is_refused_where_there_is_no_room(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, stored, passing) = (cast.add("sensor", 0), cast.add("stored", 1), cast.add("passing", 2));
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(stored);
    stage.subscribe(stored, "news");
    stage.enter_for_now(passing);
    stage.subscribe(passing, "#");
    stage.disk_is(Storage::Full);
    stage.scene();
    for note in [qos1("news"), qos2("news"), qos2("chat"), qos1("state").retained()] {
        stage.publish(sensor, note);
    }
    stage.go_on_with_disk();
    assert_eq!(stage.verdicts(sensor), [ReasonCode::QuotaExceeded; 4]);
    assert_eq!((stage.got(stored), stage.got(passing)), (vec![], vec![]), "it goes to nobody");
    assert_eq!(refusals(&stage), 4);
    stage.scene();
    let (live, chat) = (stage.publish(sensor, qos0("news")), stage.publish(sensor, qos1("chat")));
    stage.go_on();
    assert_eq!(stage.verdicts(sensor), [ReasonCode::Success], "nothing is to be stored");
    assert_eq!((stage.got(stored), stage.got(passing)), (vec![live], vec![live, chat]));
    stage.disk_is(Storage::Open);
    stage.scene();
    let sent = [stage.publish(sensor, qos1("news")), stage.publish(sensor, qos2("news"))];
    stage.go_on_with_disk();
    assert_eq!(stage.got(stored), sent);
    stage.expect_race(Race::NoRoom);
    stage.end();
}

/// How often something was refused in this scene for want of room.
fn refusals(stage: &Stage) -> usize {
    stage.seen().filter(|what| matches!(what, What::Notes { notice: Notice::NoRoom { .. }, .. })).count()
}

/// One has a stored session and asks for more, one comes back to its own, one wants a first one.
fn rule_19_subscriptions_and_sessions_that_are_to_be_stored_are_refused_where_there_is_no_room(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (reader, back, new) = (cast.add("reader", 0), cast.add("back", 1), cast.add("new", 2));
    let mut stage = cast.begin();
    stage.enter(reader);
    stage.subscribe(reader, "news");
    stage.enter(back);
    stage.break_link(back);
    stage.disk_is(Storage::Full);
    stage.scene();
    stage.ask_for_all(reader, &["more", "news"]);
    let hello = stage.hello(new);
    stage.connect(new, hello);
    stage.go_on_with_disk();
    assert_eq!(stage.grants(reader), [ReasonCode::QuotaExceeded; 2]);
    assert_eq!(stage.welcomes(new), [(false, ReasonCode::QuotaExceeded)]);
    assert_eq!(refusals(&stage), 3);
    stage.enter(back);
    stage.enter_for_now(new);
    // What the refused one would have replaced holds.
    let live = stage.publish(new, qos0("news"));
    stage.publish(new, qos0("more"));
    stage.go_on();
    assert_eq!(stage.got(reader), [live]);
    stage.disk_is(Storage::Open);
    stage.go_on();
    stage.subscribe(reader, "more");
    stage.enter(new);
    stage.expect_race(Race::NoRoom);
    stage.end();
}

/// A message waits for the disk when the store is full; which member of its group gets it is stored only then.
fn rule_19_what_was_taken_before_the_store_was_full_is_stored_still(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, reader, member) = (cast.add("sensor", 0), cast.add("reader", 1), cast.add("member", 2));
    let group = cast.group("jobs", 1);
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    stage.subscribe(reader, "news");
    stage.enter(member);
    stage.subscribe(member, &group);
    stage.scene();
    let (news, job) = (stage.publish(sensor, qos1("news")), stage.publish(sensor, qos2("jobs")));
    stage.ask(reader, "more");
    stage.go_on();
    stage.disk_is(Storage::Full);
    stage.go_on();
    assert_eq!((stage.verdicts(sensor), stage.grants(reader)), (vec![], vec![]), "the disk has not answered");
    stage.go_on_with_disk();
    assert_eq!(stage.verdicts(sensor), [ReasonCode::Success; 2]);
    assert_eq!(stage.grants(reader), [ReasonCode::GrantedQos2]);
    assert_eq!((stage.got(reader), stage.got(member)), (vec![news], vec![job]));
    let ends = |packet: &Packet| matches!(packet, Packet::PubComp(_));
    assert_eq!(stage.heard(sensor).filter(|packet| ends(packet)).count(), 1, "the exchange goes on");
    assert_eq!(refusals(&stage), 0);
    stage.expect_race(Race::AnsweredWhileFull);
    stage.end();
}

/// That the store is full lies in the inbox of one shard, behind what its client has sent; the other shards know of it.
fn rule_19_a_shard_takes_what_comes_until_it_hears_that_there_is_no_room(shards: u16) {
    let (mut stage, sensor, reader) = Cast::new(shards).with_slow_disk().sensor_and_reader();
    let home = stage.shard(0);
    stage.sleep(home);
    stage.disk_is(Storage::Full);
    let taken = stage.publish(sensor, qos1("news"));
    stage.deliver(sensor);
    stage.go_on();
    // It reads its links before it empties its inbox (rule 2).
    stage.wake(home);
    stage.go_on();
    stage.publish(sensor, qos1("news"));
    stage.go_on_with_disk();
    assert_eq!(stage.verdicts(sensor), [ReasonCode::Success, ReasonCode::QuotaExceeded]);
    assert_eq!(stage.got(reader), [taken]);
    if shards > 1 {
        stage.expect_race(Race::TakenBeforeHeard);
    }
    stage.end();
}

/// The store breaks with answers waiting; only another process can have another.
fn rule_19_a_broken_store_acknowledges_nothing_and_reading_goes_on(shards: u16) {
    let (mut stage, sensor, reader) = Cast::new(shards).with_slow_disk().sensor_and_reader();
    let waiting = stage.publish(sensor, qos1("news"));
    stage.go_on();
    stage.disk_is(Storage::Broken);
    stage.go_on_with_disk();
    let live = stage.publish(sensor, qos0("news"));
    stage.go_on_with_disk();
    stage.break_link(reader);
    stage.go_on();
    stage.enter(reader);
    let later = stage.publish(sensor, qos0("news"));
    stage.publish(sensor, qos1("news"));
    stage.go_on_with_disk();
    assert_eq!(stage.got(reader), [waiting, live, later], "QoS 1 went on before the disk was asked");
    assert_eq!(stage.verdicts(sensor), [], "what is refused waits behind what is never answered");
    assert_eq!(refusals(&stage), 1);
    stage.crash();
    stage.end();
}
