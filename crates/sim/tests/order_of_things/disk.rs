//! What is on disk after a crash (rules 7, 11, 13, 15, 17 and 20).

use crate::cast::Cast;
use crate::stage::{Stage, qos1, qos2};
use keyward_broker::Notice;
use keyward_policy::Action;
use keyward_sim::event::{ClientNo, What};
use keyward_sim::packet::Hello;
use keyward_sim::races::Race;

scenarios! {
    rule_7_a_message_that_waits_on_disk_is_asked_about_again_at_a_start,
    rule_11_a_message_of_qos_2_is_over_in_its_group_before_a_passing_member_is_sent_it,
    rule_11_a_message_of_qos_2_is_over_in_its_group_before_a_stored_member_is_done_with_it,
    rule_13_what_was_answered_is_there_after_a_crash_and_what_was_not_comes_again,
    rule_15_a_message_that_was_taken_is_on_disk_until_all_its_places_are,
    rule_15_a_place_of_qos_2_is_not_on_disk_beside_the_message_that_is_still_to_go_there,
    rule_17_a_will_waits_for_its_client_after_a_crash,
    rule_17_a_will_that_is_due_at_a_start_reaches_who_asked_for_it_before_the_crash,
    rule_20_what_waited_on_disk_comes_after_a_crash_and_what_follows_it_too,
}

/// A message is on disk and on its way to nobody when its publisher loses the right, and then the broker dies.
fn rule_7_a_message_that_waits_on_disk_is_asked_about_again_at_a_start(shards: u16) {
    let (mut stage, sensor, reader) = sensor_and_absent_reader(shards);
    stage.publish(sensor, qos2("news"));
    stage.go_on();
    stage.disk_writes();
    stage.forbid(&[(sensor, Action::Publish, "news")]);
    stage.crash();
    let is_told = |what: &What| matches!(what, What::Notes { notice: Notice::PublishWithheld { .. }, .. });
    assert_eq!(stage.seen().filter(|what| is_told(what)).count(), 1);
    come_back(&mut stage, reader);
    assert_eq!(stage.got(reader), []);
    stage.expect_race(Race::AcceptedRoutedAtStart);
    stage.end();
}

/// One member passes, one is stored and away; the broker dies after so many answers of the disk.
fn rule_11_a_message_of_qos_2_is_over_in_its_group_before_a_passing_member_is_sent_it(shards: u16) {
    let counts = (0..6).map(|answers| {
        let mut cast = Cast::new(shards).with_slow_disk();
        let (sensor, passing, stored) =
            (cast.add("sensor", 0), cast.add("passing", 1), cast.add("stored", 2));
        let group = cast.group("jobs", 0);
        let mut stage = cast.begin();
        stage.enter(sensor);
        stage.enter(stored);
        stage.subscribe(stored, &group);
        stage.break_link(stored);
        stage.enter_for_now(passing);
        stage.subscribe(passing, &group);
        stage.disk_writes();
        stage.scene();
        let job = stage.publish(sensor, qos2("jobs"));
        stage.go_on();
        for _ in 0..answers {
            for shard in 0..3 {
                stage.disk_answers(stage.shard(shard));
            }
            stage.go_on();
        }
        stage.crash();
        come_back(&mut stage, stored);
        come_back(&mut stage, sensor);
        let count = |client| stage.got(client).iter().filter(|number| **number == job).count();
        let counts = (count(passing), count(stored));
        stage.end();
        counts
    });
    let counts: Vec<_> = counts.collect();
    assert_eq!((counts.first(), counts.last()), (Some(&(0, 1)), Some(&(1, 0))));
    assert!(counts.iter().all(|(passing, stored)| passing + stored < 2), "{counts:?}");
}

/// The shard of the group sleeps while a member takes what it was handed; the broker dies.
fn rule_11_a_message_of_qos_2_is_over_in_its_group_before_a_stored_member_is_done_with_it(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, member, other) = (cast.add("sensor", 0), cast.add("member", 1), cast.add("other", 2));
    let group = cast.group("jobs", 0);
    let (home, away) = (cast.shard(0), cast.shard(1));
    let mut stage = cast.begin();
    stage.enter(sensor);
    for client in [other, member] {
        stage.enter(client);
        stage.subscribe(client, &group);
    }
    stage.break_link(other);
    stage.scene();
    let job = stage.publish(sensor, qos2("jobs"));
    stage.go_on();
    for _ in 0..2 {
        stage.disk_answers(home);
        stage.go_on();
    }
    stage.sleep(home);
    for _ in 0..4 {
        stage.disk_answers(away);
        stage.go_on();
    }
    stage.disk_writes();
    stage.crash();
    stage.wake(home);
    come_back(&mut stage, other);
    come_back(&mut stage, member);
    assert_eq!([stage.got(member), stage.got(other)].concat(), [job]);
    stage.end();
}

/// One message is acknowledged; a second is written and not synced when the broker dies.
fn rule_13_what_was_answered_is_there_after_a_crash_and_what_was_not_comes_again(shards: u16) {
    let (mut stage, sensor, reader) = sensor_and_absent_reader(shards);
    let kept = stage.publish(sensor, qos1("news"));
    stage.go_on_with_disk();
    let lost = stage.publish(sensor, qos1("news"));
    stage.go_on();
    stage.crash();
    come_back(&mut stage, reader);
    assert_eq!(stage.got(reader), [kept]);
    come_back(&mut stage, sensor);
    assert_eq!(stage.got(reader), [kept, lost], "its publisher was told nothing and sends it again");
    stage.expect_race(Race::CrashWithUnsyncedBatch);
    stage.end();
}

/// The shard of a reader sleeps while a message waits for the place that is to be reserved there; the broker dies.
fn rule_15_a_message_that_was_taken_is_on_disk_until_all_its_places_are(shards: u16) {
    let (mut stage, sensor, reader) = sensor_and_absent_reader(shards);
    let (home, other) = (stage.shard(0), stage.shard(1));
    let taken = stage.publish(sensor, qos2("news"));
    stage.go_on();
    if shards > 1 {
        stage.sleep(other);
    }
    stage.disk_answers(home);
    stage.go_on();
    stage.disk_writes();
    stage.crash();
    stage.wake(other);
    come_back(&mut stage, reader);
    assert_eq!(stage.got(reader), [taken]);
    if shards > 1 {
        stage.expect_race(Race::AcceptedRoutedAtStart);
    }
    stage.end();
}

/// A message goes to the shard of a reader whose subscription the publisher's shard has not heard of; the shard of
/// another reader sleeps, so that not all places are known when the broker dies.
fn rule_15_a_place_of_qos_2_is_not_on_disk_beside_the_message_that_is_still_to_go_there(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, passing) = (cast.add("sensor", 0), cast.add("passing", 1));
    let (reader, asleep) = (cast.add("reader", 1), cast.add("asleep", 2));
    let (home, other) = (cast.shard(0), cast.shard(2));
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter_for_now(passing);
    stage.subscribe(passing, "news");
    stage.enter(asleep);
    stage.subscribe(asleep, "news");
    stage.enter(reader);
    stage.scene();
    let taken = stage.publish(sensor, qos2("news"));
    stage.go_on();
    if shards > 1 {
        stage.sleep(home);
        stage.sleep(other);
    }
    // It is routed before its shard learns that somebody asks.
    stage.disk_answers(home);
    stage.ask(reader, "news");
    stage.go_on();
    stage.wake(home);
    stage.go_on();
    stage.disk_writes();
    stage.crash();
    stage.wake(other);
    come_back(&mut stage, reader);
    stage.go_on_with_disk();
    assert_eq!(stage.got(reader).iter().filter(|number| **number == taken).count(), 1);
    stage.end();
}

/// Two clients have a will when the broker dies; one of them comes back.
fn rule_17_a_will_waits_for_its_client_after_a_crash(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (gone, back, reader) = (cast.add("gone", 0), cast.add("back", 1), cast.add("reader", 2));
    let mut stage = cast.begin();
    let mut wills = Vec::new();
    for client in [gone, back] {
        let (number, will) = stage.will("state", 0);
        let hello = stage.hello(client);
        stage.enter_with(client, Hello { will: Some(will), ..hello });
        wills.push(number);
    }
    stage.enter(reader);
    stage.subscribe(reader, "state");
    stage.scene();
    stage.disk_writes();
    stage.crash();
    come_back(&mut stage, back);
    come_back(&mut stage, reader);
    stage.pass(50);
    stage.go_on_with_disk();
    assert_eq!(stage.got(reader), [], "whoever was connected has time to come back");
    stage.pass(11);
    stage.go_on_with_disk();
    assert_eq!(stage.got(reader), wills[..1]);
    stage.expect_race(Race::WillKeptOverCrash);
    stage.end();
}

/// The time of a session runs out with that of its will, in the night in which the broker dies.
fn rule_17_a_will_that_is_due_at_a_start_reaches_who_asked_for_it_before_the_crash(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (gone, reader) = (cast.add("gone", 0), cast.add("reader", 1));
    let home = cast.shard(0);
    let mut stage = cast.begin();
    let (number, will) = stage.will("state", 5);
    let hello = stage.hello(gone);
    stage.enter_with(gone, Hello { will: Some(will), session_expiry: Some(10), ..hello });
    stage.enter(reader);
    stage.subscribe(reader, "state");
    stage.scene();
    stage.break_link(gone);
    stage.go_on_with_disk();
    stage.disk_writes();
    stage.sleep(home);
    stage.pass(20);
    stage.crash();
    stage.wake(home);
    come_back(&mut stage, reader);
    assert_eq!(stage.got(reader), [number]);
    stage.end();
}

/// Messages wait for somebody who is away; after the crash another one follows.
fn rule_20_what_waited_on_disk_comes_after_a_crash_and_what_follows_it_too(shards: u16) {
    let (mut stage, sensor, reader) = sensor_and_absent_reader(shards);
    let mut sent: Vec<_> = (0..5).map(|_| stage.publish(sensor, qos1("news"))).collect();
    stage.go_on_with_disk();
    stage.crash();
    come_back(&mut stage, sensor);
    sent.push(stage.publish(sensor, qos1("news")));
    stage.go_on_with_disk();
    come_back(&mut stage, reader);
    assert_eq!(stage.got(reader), sent);
    stage.expect_race(Race::RestoredWithMessages);
    stage.end();
}

/// Opens a scenario in which the reader of `news` is away.
fn sensor_and_absent_reader(shards: u16) -> (Stage, ClientNo, ClientNo) {
    let (mut stage, sensor, reader) = Cast::new(shards).with_slow_disk().sensor_and_reader();
    stage.break_link(reader);
    stage.scene();
    (stage, sensor, reader)
}

fn come_back(stage: &mut Stage, client: ClientNo) {
    stage.enter(client);
    stage.go_on_with_disk();
}
