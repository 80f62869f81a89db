//! Who may still act: revocation, policy, the cost of asking, absent principals (rules 6 to 9).

use crate::cast::Cast;
use crate::stage::{qos0, qos1, qos2};
use keyward_broker::{CloseCause, Standing};
use keyward_mqtt::reason::ReasonCode;
use keyward_policy::Action;
use keyward_sim::event::What;
use keyward_sim::packet::Hello;
use keyward_sim::races::Race;

scenarios! {
    rule_6_a_link_that_the_door_checked_before_the_revocation_is_refused_by_its_shard,
    rule_6_a_link_that_lies_in_the_inbox_before_the_revocation_is_closed_by_it,
    rule_6_what_waits_for_a_revoked_link_is_never_sent,
    rule_6_what_a_revoked_publisher_has_under_way_arrives_nowhere,
    rule_7_what_was_queued_is_asked_about_again_when_it_is_sent,
    rule_7_a_message_that_was_held_for_the_disk_is_asked_about_again,
    rule_7_each_shard_decides_by_the_generation_that_it_has,
    rule_8_what_was_decided_before_does_not_outlive_the_rules,
    rule_8_an_alias_that_a_denied_publish_set_opens_nothing,
    rule_8_a_remembered_route_does_not_miss_a_new_subscription,
    rule_9_the_session_of_a_revoked_account_ends_without_a_link,
    rule_9_the_will_of_somebody_absent_follows_its_account,
}

/// How an account is revoked whose messages go with it.
const REVOKED: Standing = Standing::Revoked { keep_messages: false, publish_will: false };

/// Between the check at the door and the inbox the account is disabled; the event is in the inbox first.
fn rule_6_a_link_that_the_door_checked_before_the_revocation_is_refused_by_its_shard(shards: u16) {
    let mut cast = Cast::new(shards);
    let sensor = cast.add("sensor", 1);
    let mut stage = cast.begin();
    stage.scene();
    let hello = stage.hello(sensor);
    stage.connect(sensor, hello);
    stage.deliver(sensor);
    (0..2).for_each(|_| stage.tick_door());
    stage.set_standing(sensor, Standing::Disabled);
    stage.hand_to_all();
    stage.tick_door();
    assert!(
        stage.seen().any(|what| matches!(what, What::Judges { verdict: Ok(_), .. })),
        "the door let it in"
    );
    stage.go_on();
    assert_eq!(stage.welcomes(sensor), [(false, ReasonCode::NotAuthorized)]);
    stage.expect_race(Race::RevokedInHandOver);
    stage.end();
}

/// The link lies in the inbox, the event comes to lie behind it: the shard attaches and closes in one tick.
fn rule_6_a_link_that_lies_in_the_inbox_before_the_revocation_is_closed_by_it(shards: u16) {
    let mut cast = Cast::new(shards);
    let sensor = cast.add("sensor", 1);
    let home = cast.shard(1);
    let mut stage = cast.begin();
    stage.scene();
    stage.sleep(home);
    let hello = stage.hello(sensor);
    let link = stage.connect(sensor, hello);
    stage.go_on();
    stage.set_standing(sensor, Standing::Disabled);
    stage.hand_to_all();
    stage.tick(home);
    let ends: Vec<_> = stage.seen().filter(|what| is_expelled(what, link.0)).collect();
    assert_eq!(ends.len(), 1);
    stage.go_on();
    assert!(!stage.is_open(sensor));
    stage.wake(home);
    stage.go_on();
    let returned = |what: &What| matches!(what, What::Returns(_));
    assert!(stage.seen().any(returned), "the command returns when all shards have reported");
    stage.end();
}

fn is_expelled(what: &What, of: u64) -> bool {
    matches!(what, What::Closes { link, cause: CloseCause::NotAllowed, flushed: false, .. } if link.0 == of)
}

/// A reader takes nothing; what it has not taken when it is revoked it never gets.
fn rule_6_what_waits_for_a_revoked_link_is_never_sent(shards: u16) {
    let (mut stage, sensor, reader) = Cast::new(shards).sensor_and_reader();
    let link = stage.link(reader);
    stage.block(reader);
    for _ in 0..5 {
        stage.publish(sensor, qos1("news"));
    }
    stage.go_on();
    stage.set_standing(reader, REVOKED);
    stage.go_on();
    assert!(stage.seen().any(|what| is_expelled(what, link.0)));
    stage.unblock(reader);
    stage.go_on();
    assert!(!stage.is_open(reader));
    assert_eq!(stage.got(reader), []);
    stage.expect_race(Race::RevokedWithQueue);
    stage.end();
}

/// A publisher is revoked: one of its messages waits in a queue, another overtakes the event on its own shard.
fn rule_6_what_a_revoked_publisher_has_under_way_arrives_nowhere(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, queue, prompt) = (cast.add("sensor", 0), cast.add("queue", 1), cast.add("prompt", 1));
    let (publishers, readers) = (cast.shard(0), cast.shard(1));
    let mut stage = cast.begin();
    stage.enter(sensor);
    let hello = Hello { receive_maximum: Some(1), ..stage.hello(queue) };
    stage.enter_with(queue, hello);
    stage.enter(prompt);
    stage.subscribe(queue, "news");
    stage.subscribe(prompt, "news");
    stage.scene();
    stage.mute(queue);
    let sent = [stage.publish(sensor, qos1("news")), stage.publish(sensor, qos1("news"))];
    stage.go_on();
    stage.set_standing(sensor, REVOKED);
    stage.hand_to_all();
    let late = stage.publish(sensor, qos1("news"));
    stage.deliver(sensor);
    // Reading comes first: the sensor's shard takes the message, and behind it the event.
    stage.tick(publishers);
    stage.tick(readers);
    stage.unmute(queue);
    stage.go_on();
    assert_eq!(stage.got(queue), sent[..1]);
    // With one shard the late one was with its reader before the event.
    let in_time = if shards == 1 { vec![sent[0], sent[1], late] } else { sent.to_vec() };
    assert_eq!(stage.got(prompt), in_time);
    stage.expect_race(Race::PublisherRevokedWithMailUnderWay);
    stage.end();
}

/// Messages wait because the client takes one at a time; it loses the right to one of them.
fn rule_7_what_was_queued_is_asked_about_again_when_it_is_sent(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let mut stage = cast.begin();
    stage.enter(sensor);
    let hello = Hello { receive_maximum: Some(1), ..stage.hello(reader) };
    stage.enter_with(reader, hello);
    stage.subscribe(reader, "#");
    stage.scene();
    stage.mute(reader);
    let first = stage.publish(sensor, qos1("news"));
    stage.publish(sensor, qos1("secret"));
    let last = stage.publish(sensor, qos1("news"));
    stage.go_on();
    assert_eq!(stage.got(reader), [first]);
    stage.forbid(&[(reader, Action::Receive, "secret")]);
    stage.go_on();
    stage.unmute(reader);
    stage.go_on();
    assert_eq!(stage.got(reader), [first, last]);
    stage.expect_race(Race::ReaderLostRightWithQueue);
    stage.end();
}

/// A QoS 2 message waits for the disk, its publisher loses the right, and then the disk answers.
fn rule_7_a_message_that_was_held_for_the_disk_is_asked_about_again(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let home = cast.shard(0);
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    stage.subscribe(reader, "orders");
    stage.scene();
    stage.publish(sensor, qos2("orders"));
    stage.go_on();
    stage.forbid(&[(sensor, Action::Publish, "orders")]);
    stage.go_on();
    stage.disk_answers(home);
    stage.go_on_with_disk();
    assert_eq!((stage.verdicts(sensor).len(), stage.got(reader)), (1, vec![]));
    stage.expect_race(Race::PublisherLostRightInCommit);
    stage.end();
}

/// New rules lie in the inbox of a shard that reads a message first, and have reached all others: there the old rules
/// decide, here the new ones.
fn rule_7_each_shard_decides_by_the_generation_that_it_has(shards: u16) {
    let mut cast = Cast::new(shards);
    let (ahead, behind) = (cast.add("ahead", 0), cast.add("behind", 2));
    let (new, old) = (cast.add("new", 1), cast.add("old", 2));
    let late = cast.shard(2);
    let mut stage = cast.begin();
    for client in [ahead, behind, new, old] {
        stage.enter(client);
    }
    stage.subscribe(new, "news");
    stage.subscribe(old, "news");
    stage.scene();
    let publish = |client| (client, Action::Publish, "news");
    let receive = |client| (client, Action::Receive, "news");
    stage.forbid(&[publish(ahead), publish(behind), receive(new), receive(old)]);
    stage.hand_to_all();
    stage.sleep(late);
    stage.go_on();
    stage.publish(ahead, qos1("news"));
    let news = stage.publish(behind, qos1("news"));
    stage.deliver(behind);
    stage.deliver(ahead);
    stage.tick(late);
    stage.go_on();
    stage.wake(late);
    stage.go_on();
    let (no, yes) = (vec![ReasonCode::NotAuthorized], vec![ReasonCode::Success]);
    // With one shard all four are on the one that reads first.
    let all_are_late = shards == 1;
    assert_eq!(stage.verdicts(behind), yes);
    assert_eq!(stage.verdicts(ahead), if all_are_late { yes } else { no });
    assert!(stage.got(old).contains(&news));
    assert_eq!(stage.got(new).is_empty(), !all_are_late);
    stage.end();
}

/// What may be published and read was decided before, and remembered; then the rules change, and change back.
fn rule_8_what_was_decided_before_does_not_outlive_the_rules(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader, denied) = (cast.add("sensor", 0), cast.add("reader", 1), cast.add("denied", 1));
    let mut stage = cast.begin();
    for client in [sensor, reader, denied] {
        stage.enter(client);
    }
    // Something of "#" is forbidden to both: their messages are asked about one by one.
    let always = [(reader, Action::Receive, "other"), (denied, Action::Receive, "other")];
    stage.forbid(&always);
    stage.go_on();
    stage.subscribe(reader, "#");
    stage.subscribe(denied, "#");
    stage.scene();
    let before = [stage.publish(sensor, qos1("news")), stage.publish(sensor, qos1("news"))];
    stage.go_on();
    assert_eq!((stage.got(reader), stage.got(denied)), (before.to_vec(), before.to_vec()));
    stage.scene();
    stage.forbid(&[always[0], always[1], (denied, Action::Receive, "news")]);
    stage.go_on();
    let second = stage.publish(sensor, qos1("news"));
    stage.go_on();
    assert_eq!((stage.got(reader), stage.got(denied)), (vec![second], vec![]));
    stage.scene();
    stage.forbid(&[always[0], always[1], (sensor, Action::Publish, "news")]);
    stage.go_on();
    stage.publish(sensor, qos1("news"));
    stage.go_on();
    assert_eq!(stage.verdicts(sensor), [ReasonCode::NotAuthorized]);
    assert_eq!((stage.got(reader), stage.got(denied)), (vec![], vec![]));
    stage.scene();
    stage.forbid(&always);
    stage.go_on();
    let last = stage.publish(sensor, qos1("news"));
    stage.go_on();
    assert_eq!((stage.got(reader), stage.got(denied)), (vec![last], vec![last]));
    stage.expect_race(Race::DecisionChanged);
    stage.end();
}

/// The client has one alias: a denied publish sets it, another topic takes it, and the first comes back under it.
fn rule_8_an_alias_that_a_denied_publish_set_opens_nothing(shards: u16) {
    let mut cast = Cast::new(shards).with_limits(|limits| limits.topic_alias_max = 1);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let mut stage = cast.begin();
    stage.enter(reader);
    stage.subscribe(reader, "#");
    stage.enter(sensor);
    stage.forbid(&[(sensor, Action::Publish, "secret")]);
    stage.scene();
    // The second of each says the alias alone.
    let topics = ["secret", "secret", "news", "news", "secret", "secret"];
    let sent = topics.map(|topic| stage.publish(sensor, qos1(topic)));
    stage.go_on();
    let (no, yes) = (ReasonCode::NotAuthorized, ReasonCode::Success);
    assert_eq!(stage.verdicts(sensor), [no, no, yes, yes, no, no]);
    assert_eq!(stage.got(reader), sent[2..4]);
    stage.expect_race(Race::AliasOfDeniedPublish);
    stage.expect_race(Race::AliasRepointed);
    stage.end();
}

/// Where a topic goes is remembered, and then others want it: by its name, by wildcards, here and on another shard.
fn rule_8_a_remembered_route_does_not_miss_a_new_subscription(shards: u16) {
    let mut cast = Cast::new(shards);
    let sensor = cast.add("sensor", 0);
    let readers = [
        (cast.add("first", 0), "site/pump"),
        (cast.add("near", 0), "+/pump"),
        (cast.add("far", 1), "+/+"),
        (cast.add("all", 2), "#"),
        (cast.add("exact", 1), "site/pump"),
        (cast.add("below", 2), "site/#"),
    ];
    let mut stage = cast.begin();
    stage.enter(sensor);
    for (reader, _) in readers {
        stage.enter(reader);
    }
    for count in 1..=readers.len() {
        let (reader, filter) = readers[count - 1];
        stage.subscribe(reader, filter);
        stage.scene();
        let sent: Vec<_> = (0..3).map(|_| stage.publish(sensor, qos0("site/pump"))).collect();
        stage.go_on();
        for (reader, filter) in &readers[..count] {
            assert_eq!(stage.got(*reader), sent, "{reader} wants {filter}");
        }
    }
    stage.end();
}

/// A reader is away, messages wait for it, and its account is revoked and then given a new life.
fn rule_9_the_session_of_a_revoked_account_ends_without_a_link(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    stage.subscribe(reader, "news");
    stage.break_link(reader);
    stage.scene();
    stage.publish(sensor, qos1("news"));
    stage.go_on();
    stage.set_standing(reader, REVOKED);
    stage.go_on();
    let sessions: u64 = stage.stats().iter().map(|stats| stats.sessions + stats.queued).sum();
    assert_eq!(sessions, 1, "the sensor's session is left, and nothing waits");
    stage.publish(sensor, qos1("news"));
    stage.restore(reader);
    stage.go_on();
    stage.enter(reader);
    stage.go_on();
    assert_eq!((stage.welcomes(reader), stage.got(reader)), (vec![(false, ReasonCode::Success)], vec![]));
    stage.expect_race(Race::AbsentPrincipalChanged);
    stage.expect_race(Race::RevokedWithQueue);
    stage.end();
}

/// A client is away and its will is not due; its account is revoked, with the will or without it, or disabled.
fn rule_9_the_will_of_somebody_absent_follows_its_account(shards: u16) {
    let with_will = Standing::Revoked { keep_messages: false, publish_will: true };
    for (standing, comes) in [(REVOKED, false), (with_will, true), (Standing::Disabled, false)] {
        let mut cast = Cast::new(shards);
        let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
        let mut stage = cast.begin();
        stage.enter(reader);
        stage.subscribe(reader, "gone");
        let (last_words, will) = stage.will("gone", 30);
        let hello = Hello { will: Some(will), ..stage.hello(sensor) };
        stage.enter_with(sensor, hello);
        stage.cut(sensor);
        stage.scene();
        stage.set_standing(sensor, standing);
        stage.go_on();
        // With its session it is due at once.
        let expected = if comes { vec![last_words] } else { Vec::new() };
        assert_eq!(stage.got(reader), expected, "{standing:?}");
        stage.pass(60);
        stage.go_on();
        assert_eq!(stage.got(reader), expected, "{standing:?}");
        stage.end();
    }
}
