//! Interest, groups, retained messages (rules 10 to 12).

use crate::cast::Cast;
use crate::stage::{qos0, qos1, qos2};
use keyward_broker::limits::REPLAY_SEEN;
use keyward_mqtt::reason::ReasonCode;
use keyward_policy::Action;
use keyward_sim::event::MessageNo;
use keyward_sim::packet::{Hello, Packet};
use keyward_sim::races::Race;

scenarios! {
    rule_10_suback_waits_until_every_shard_knows,
    rule_10_interest_lasts_as_long_as_any_session_wants_it,
    rule_10_nothing_comes_after_unsuback,
    rule_11_a_member_that_may_not_read_a_message_is_passed_over,
    rule_11_what_a_lost_member_had_goes_to_another_but_at_qos_2,
    rule_11_a_member_is_handed_no_more_than_it_takes,
    rule_11_what_a_member_could_not_take_is_not_overtaken,
    rule_11_who_gets_a_message_of_qos_2_is_durable_before_it_is_sent,
    rule_12_an_older_retained_message_does_not_come_after_a_newer_live_one,
    rule_12_what_came_live_is_left_out_of_the_replay,
    rule_12_a_slot_whose_writer_lost_the_right_is_not_replayed,
    rule_12_what_came_live_beyond_what_a_replay_remembers_waits_for_its_end,
}

/// The publisher's shard has not read that somebody wants its messages: the subscriber waits for its answer.
fn rule_10_suback_waits_until_every_shard_knows(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let publishers = cast.shard(0);
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    stage.scene();
    let is_answered = |packet: &Packet| matches!(packet, Packet::SubAck { .. });
    if shards > 1 {
        stage.sleep(publishers);
        stage.ask(reader, "news");
        stage.go_on();
        assert!(!stage.heard(reader).any(is_answered));
        // What is published now may arrive or not.
        stage.publish(sensor, qos0("news"));
        stage.wake(publishers);
        stage.go_on();
        stage.expect_race(Race::InterestUnderWay);
    } else {
        stage.ask(reader, "news");
        stage.go_on();
    }
    assert!(stage.heard(reader).any(is_answered));
    stage.scene();
    let news = stage.publish(sensor, qos0("news"));
    stage.go_on();
    assert_eq!(stage.got(reader), [news]);
    stage.end();
}

/// A stored session and a passing one want the same; the stored one ends, and later the passing one.
fn rule_10_interest_lasts_as_long_as_any_session_wants_it(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, stored, passing) = (cast.add("sensor", 0), cast.add("stored", 1), cast.add("passing", 1));
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(stored);
    stage.enter_for_now(passing);
    stage.subscribe(stored, "news");
    stage.subscribe(passing, "news");
    stage.scene();
    stage.disconnect_for_good(stored);
    stage.go_on();
    let news = stage.publish(sensor, qos1("news"));
    stage.go_on();
    assert_eq!(stage.got(passing), [news]);
    stage.scene();
    stage.enter_for_now(stored);
    stage.subscribe(stored, "news");
    stage.break_link(passing);
    stage.go_on();
    let news = stage.publish(sensor, qos1("news"));
    stage.go_on();
    assert_eq!((stage.got(stored), stage.got(passing)), (vec![news], vec![]));
    stage.end();
}

/// A message lies in the inbox of the reader's shard when its UNSUBSCRIBE is read.
fn rule_10_nothing_comes_after_unsuback(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let readers = cast.shard(1);
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    stage.subscribe(reader, "news");
    stage.scene();
    if shards > 1 {
        stage.sleep(readers);
    }
    let news = stage.publish(sensor, qos1("news"));
    stage.go_on();
    stage.unsubscribe(reader, "news");
    stage.deliver(reader);
    stage.wake(readers);
    stage.go_on();
    stage.publish(sensor, qos1("news"));
    stage.go_on();
    let last = stage.heard(reader).last();
    assert!(matches!(last, Some(Packet::UnsubAck { .. })), "{last:?}");
    // With one shard it was there before.
    assert_eq!(stage.got(reader), if shards > 1 { vec![] } else { vec![news] });
    stage.end();
}

/// Both members have room; one of them may not read any more some of what the group is for.
fn rule_11_a_member_that_may_not_read_a_message_is_passed_over(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, denied, allowed) = (cast.add("sensor", 0), cast.add("denied", 0), cast.add("allowed", 1));
    let group = cast.group("jobs/#", 2);
    let mut stage = cast.begin();
    stage.enter(sensor);
    for member in [denied, allowed] {
        stage.enter(member);
        stage.subscribe(member, &group);
    }
    stage.forbid(&[(denied, Action::Receive, "jobs/secret")]);
    stage.scene();
    let secret: Vec<MessageNo> = (0..3).map(|_| stage.publish(sensor, qos1("jobs/secret"))).collect();
    stage.go_on();
    // What comes back from who may not read it has lost its place.
    let mut passed_on = stage.got(allowed);
    passed_on.sort_unstable();
    assert_eq!((stage.got(denied), passed_on), (vec![], secret));
    stage.expect_race(Race::GroupMemberDenied);
    stage.scene();
    let open: Vec<MessageNo> = (0..4).map(|_| stage.publish(sensor, qos1("jobs/open"))).collect();
    stage.go_on();
    let both = [stage.got(denied), stage.got(allowed)];
    assert!(both.iter().all(|got| got.len() == 2), "they take turns: {both:?}");
    let mut all = both.concat();
    all.sort_unstable();
    assert_eq!(all, open);
    stage.end();
}

/// A member is lost with a message of QoS 1 and one of QoS 2 that it has not acknowledged.
fn rule_11_what_a_lost_member_had_goes_to_another_but_at_qos_2(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, lost, other) = (cast.add("sensor", 2), cast.add("lost", 0), cast.add("other", 1));
    let group = cast.group("jobs", 2);
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(lost);
    stage.subscribe(lost, &group);
    stage.scene();
    stage.mute(lost);
    let (once, exactly) = (stage.publish(sensor, qos1("jobs")), stage.publish(sensor, qos2("jobs")));
    stage.go_on();
    assert_eq!(stage.got(lost), [once, exactly]);
    stage.enter(other);
    stage.subscribe(other, &group);
    stage.cut(lost);
    stage.go_on();
    assert_eq!(stage.got(other), [once]);
    stage.scene();
    stage.unmute(lost);
    stage.enter(lost);
    stage.go_on();
    assert_eq!((stage.got(lost), stage.got(other)), (vec![exactly], vec![]));
    stage.expect_race(Race::GroupMemberLost);
    stage.expect_race(Race::GroupMemberLostInExchange);
    stage.end();
}

/// One member takes one message at a time and acknowledges nothing; what it cannot take goes to the other.
fn rule_11_a_member_is_handed_no_more_than_it_takes(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, slow, quick) = (cast.add("sensor", 2), cast.add("slow", 0), cast.add("quick", 1));
    let group = cast.group("jobs", 2);
    let mut stage = cast.begin();
    stage.enter(sensor);
    let hello = Hello { receive_maximum: Some(1), ..stage.hello(slow) };
    stage.enter_with(slow, hello);
    stage.enter(quick);
    stage.subscribe(slow, &group);
    stage.subscribe(quick, &group);
    stage.scene();
    stage.mute(slow);
    let sent: Vec<MessageNo> = (0..6).map(|_| stage.publish(sensor, qos1("jobs"))).collect();
    stage.go_on();
    assert_eq!((stage.got(slow), stage.got(quick)), (vec![sent[0]], sent[1..].to_vec()));
    stage.end();
}

/// A member had no room for a message and has room again before its group hears of either; meanwhile the group hands
/// out the next message in the old turn, and one more in the new one.
fn rule_11_what_a_member_could_not_take_is_not_overtaken(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, neighbour, member) =
        (cast.add("sensor", 2), cast.add("neighbour", 0), cast.add("member", 0));
    let (group, home, of_member) = (cast.group("jobs", 2), cast.shard(2), cast.shard(0));
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(neighbour);
    let hello = Hello { receive_maximum: Some(2), ..stage.hello(member) };
    stage.enter_with(member, hello);
    stage.subscribe(member, &group);
    stage.subscribe(member, "news");
    stage.scene();
    stage.mute(member);
    let mut sent: Vec<MessageNo> = (0..2).map(|_| stage.publish(neighbour, qos1("news"))).collect();
    stage.go_on();
    if shards > 1 {
        stage.sleep(home);
        stage.sleep(of_member);
    }
    sent.push(stage.publish(sensor, qos1("jobs")));
    stage.deliver(sensor);
    stage.tick(home);
    stage.tick(of_member);
    stage.unmute(member);
    stage.go_on();
    stage.tick(of_member);
    for _ in 0..2 {
        sent.push(stage.publish(sensor, qos1("jobs")));
        stage.deliver(sensor);
        stage.tick(home);
    }
    stage.wake(home);
    stage.wake(of_member);
    stage.go_on();
    assert_eq!(stage.got(member), sent);
    stage.end();
}

/// A member was chosen, and the disk has not answered.
fn rule_11_who_gets_a_message_of_qos_2_is_durable_before_it_is_sent(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, chosen, other) = (cast.add("sensor", 2), cast.add("chosen", 0), cast.add("other", 1));
    let (group, publishers, home) = (cast.group("jobs", 2), cast.shard(2), cast.shard(0));
    let mut stage = cast.begin();
    stage.enter(sensor);
    for member in [chosen, other] {
        stage.enter(member);
        stage.subscribe(member, &group);
    }
    stage.scene();
    let job = stage.publish(sensor, qos2("jobs"));
    stage.go_on();
    stage.disk_answers(publishers);
    stage.go_on();
    assert_eq!((stage.got(chosen), stage.got(other)), (vec![], vec![]));
    stage.disk_answers(home);
    stage.go_on_with_disk();
    assert_eq!((stage.got(chosen), stage.got(other)), (vec![job], vec![]));
    stage.end();
}

/// The question for the retained message lies in the inbox of its shard, the message that replaces it behind it; to
/// the reader's shard the new one came already.
fn rule_12_an_older_retained_message_does_not_come_after_a_newer_live_one(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let (topic, keeper) = (cast.topic("state", 2), cast.shard(2));
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    let old = stage.publish(sensor, qos1(&topic).retained());
    stage.scene();
    if shards == 1 {
        // One shard asks itself: there is no time between question and answer.
        stage.subscribe(reader, &topic);
        let new = stage.publish(sensor, qos1(&topic).retained());
        stage.go_on();
        assert_eq!(stage.got(reader), [old, new]);
        return stage.end();
    }
    stage.ask(reader, &topic);
    // Round by round, until its SUBACK is there: then the keeper is asked.
    while !stage.heard(reader).any(|packet| matches!(packet, Packet::SubAck { .. })) {
        stage.round();
    }
    stage.sleep(keeper);
    let new = stage.publish(sensor, qos1(&topic).retained());
    stage.go_on();
    assert_eq!(stage.got(reader), [new]);
    stage.wake(keeper);
    stage.go_on();
    assert_eq!(stage.got(reader), [new]);
    stage.expect_race(Race::LiveAgainstReplay);
    stage.end();
}

/// The client takes one message at a time, so the replay is under way when a topic of it changes.
fn rule_12_what_came_live_is_left_out_of_the_replay(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    // One shard keeps all three, so that they come in the order of their names.
    let [a, b, c] = ["state/a", "state/b", "state/c"].map(|begin| cast.topic(begin, 2));
    let mut stage = cast.begin();
    stage.enter(sensor);
    let hello = Hello { receive_maximum: Some(1), ..stage.hello(reader) };
    stage.enter_with(reader, hello);
    let [old_a, _, old_c] = [&a, &b, &c].map(|topic| stage.publish(sensor, qos1(topic).retained()));
    stage.scene();
    stage.mute(reader);
    stage.subscribe(reader, "state/#");
    assert_eq!(stage.got(reader), [old_a]);
    let new_b = stage.publish(sensor, qos1(&b).retained());
    stage.go_on();
    stage.unmute(reader);
    stage.go_on();
    assert_eq!(stage.got(reader), [old_a, new_b, old_c]);
    stage.expect_race(Race::LiveAgainstReplay);
    stage.end();
}

/// The writer of a retained message loses the right to its topic, and gets it back.
fn rule_12_a_slot_whose_writer_lost_the_right_is_not_replayed(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, first, second) = (cast.add("sensor", 0), cast.add("first", 1), cast.add("second", 2));
    let topic = cast.topic("state", 2);
    let mut stage = cast.begin();
    for client in [sensor, first, second] {
        stage.enter(client);
    }
    let state = stage.publish(sensor, qos1(&topic).retained());
    stage.scene();
    stage.forbid(&[(sensor, Action::Publish, &topic)]);
    stage.go_on();
    stage.subscribe(first, &topic);
    assert_eq!(stage.got(first), []);
    stage.publish(sensor, qos1(&topic).retained());
    stage.go_on();
    assert_eq!(stage.verdicts(sensor), [ReasonCode::NotAuthorized]);
    stage.forbid(&[]);
    stage.go_on();
    stage.subscribe(second, &topic);
    assert_eq!((stage.got(first), stage.got(second)), (vec![], vec![state]));
    stage.end();
}

/// A replay remembers no more topics; then one changes whose older message is on its way to the reader.
fn rule_12_what_came_live_beyond_what_a_replay_remembers_waits_for_its_end(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    // As many as may be under way: the reader acknowledges nothing, so the replay goes no further.
    let first: Vec<String> = (10..74).map(|number| cast.topic(&format!("state/a{number}."), 0)).collect();
    let (next, keeper) = (cast.topic("state/b", 2), cast.shard(2));
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    for topic in &first {
        stage.publish(sensor, qos1(topic).retained());
        stage.go_on();
    }
    let old = stage.publish(sensor, qos1(&next).retained());
    stage.scene();
    stage.mute(reader);
    stage.subscribe(reader, "state/#");
    assert_eq!(stage.got(reader).len(), first.len(), "the replay is under way");
    for number in 0..REPLAY_SEEN {
        stage.publish(sensor, qos0(&format!("state/m{number}")).retained());
    }
    stage.go_on();
    assert_eq!(stage.got(reader).len(), first.len() + REPLAY_SEEN, "what it can remember comes at once");
    stage.scene();
    if shards > 1 {
        // The next question comes to lie in the inbox of its shard, and the new message behind it.
        stage.sleep(keeper);
        stage.unmute(reader);
        stage.go_on();
    }
    let new = stage.publish(sensor, qos0(&next).retained());
    stage.go_on();
    assert_eq!(stage.got(reader), [], "it waits for the end of the replay");
    stage.wake(keeper);
    stage.unmute(reader);
    stage.go_on();
    let came: Vec<_> =
        stage.messages(reader).map(|publish| (publish.number.unwrap(), publish.retain)).collect();
    let replayed = if shards > 1 { old } else { new };
    assert_eq!(came, [(replayed, true), (new, false)]);
    stage.expect_race(Race::LiveAgainstReplay);
    stage.end();
}
