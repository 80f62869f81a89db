//! Hand-over, ticks, inboxes (rules 1 to 3).

use crate::cast::{Cast, mixtures};
use crate::stage::{qos0, qos1};
use keyward_mqtt::reason::ReasonCode;
use keyward_sim::event::{MessageNo, What};
use keyward_sim::packet::Hello;
use keyward_sim::races::Race;
use std::collections::BTreeSet;

scenarios! {
    rule_1_what_was_read_behind_connect_is_taken_after_the_hand_over,
    rule_1_a_link_that_is_lost_in_hand_over_ends_where_it_arrives,
    rule_1_a_link_for_which_the_inbox_has_no_room_is_refused,
    rule_1_clients_without_a_client_id_get_one_each_and_are_told,
    rule_2_what_a_slice_leaves_of_a_fan_out_goes_on_by_itself,
    rule_2_what_was_acknowledged_before_a_client_asks_is_known_to_its_shard,
    rule_3_what_one_says_in_one_breath_is_heard_in_its_order,
    rule_3_a_full_inbox_holds_up_its_sender_and_loses_nothing,
}

/// CONNECT and PUBLISH come in one piece: the door has read what belongs to the shard.
fn rule_1_what_was_read_behind_connect_is_taken_after_the_hand_over(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let mut stage = cast.begin();
    stage.enter(reader);
    stage.subscribe(reader, "news");
    stage.scene();
    let hello = stage.hello(sensor);
    stage.connect(sensor, hello);
    let sent = [stage.publish_unasked(sensor, "news"), stage.publish_unasked(sensor, "news")];
    stage.go_on();
    assert_eq!(stage.got(reader), sent);
    stage.expect_race(Race::PacketBeforeConnAck);
    stage.end();
}

/// The door has handed a link over, its client gives up, and only then the shard looks into its inbox.
fn rule_1_a_link_that_is_lost_in_hand_over_ends_where_it_arrives(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let home = cast.shard(0);
    let mut stage = cast.begin();
    stage.enter(reader);
    stage.subscribe(reader, "gone");
    stage.scene();
    stage.sleep(home);
    let (last_words, will) = stage.will("gone", 0);
    let hello = Hello { will: Some(will), ..stage.hello(sensor) };
    stage.connect(sensor, hello);
    stage.go_on();
    stage.break_link(sensor);
    stage.wake(home);
    stage.go_on();
    assert_eq!(stage.got(reader), [last_words]);
    stage.expect_race(Race::LinkLostInHandOver);
    stage.end();
}

/// More links come than the inbox of a busy shard has room for.
fn rule_1_a_link_for_which_the_inbox_has_no_room_is_refused(shards: u16) {
    let mut cast = Cast::new(shards).with_inbox_bytes(1_300);
    let crowd = [cast.add("one", 1), cast.add("two", 1), cast.add("three", 1)];
    let home = cast.shard(1);
    let mut stage = cast.begin();
    stage.scene();
    stage.sleep(home);
    for client in crowd {
        let hello = stage.hello(client);
        stage.connect(client, hello);
    }
    stage.go_on();
    assert_eq!(stage.welcomes(crowd[2]), [(false, ReasonCode::ServerBusy)]);
    stage.wake(home);
    stage.go_on();
    assert_eq!(crowd.map(|client| stage.is_open(client)), [true, true, false]);
    stage.expect_race(Race::InboxFull);
    stage.end();
}

/// Three programs of one account come at once, none with a client id.
fn rule_1_clients_without_a_client_id_get_one_each_and_are_told(shards: u16) {
    let mut cast = Cast::new(shards);
    let sensor = cast.add("sensor", 0);
    let nameless = [(); 3].map(|()| cast.add_nameless(sensor));
    let mut stage = cast.begin();
    stage.scene();
    stage.enter(sensor);
    for client in nameless {
        let hello = Hello { session_expiry: None, ..stage.hello(client) };
        stage.connect(client, hello);
    }
    stage.go_on();
    let names: BTreeSet<String> =
        nameless.iter().filter_map(|client| stage.assigned_client_id(*client)).collect();
    assert_eq!(names.len(), nameless.len(), "{names:?}");
    for client in nameless {
        stage.subscribe(client, "news");
    }
    let news = stage.publish(sensor, qos1("news"));
    stage.go_on();
    assert_eq!(nameless.map(|client| stage.got(client)), [[news], [news], [news]]);
    assert_eq!(stage.assigned_client_id(sensor), None, "who has a client id is told of no other");
    stage.end();
}

/// Overlapping subscriptions make of few messages more work than a slice has; no packet, letter or timer comes after.
fn rule_2_what_a_slice_leaves_of_a_fan_out_goes_on_by_itself(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    let topic = "a/b/c/d/e/f/g/h";
    let filters = mixtures(topic);
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    stage.ask_for_all(reader, &filters);
    stage.scene();
    let sent: Vec<MessageNo> = (0..40).map(|_| stage.publish(sensor, qos0(topic))).collect();
    stage.go_on();
    assert_eq!(stage.got(reader), sent);
    stage.expect_race(Race::WorkLeftForLater);
    stage.end();
}

/// A publisher was told that its retained message is there, tells a reader, and the reader asks: the reader's packet is
/// read before the inbox in which the message lies.
fn rule_2_what_was_acknowledged_before_a_client_asks_is_known_to_its_shard(shards: u16) {
    for somebody_asked_before in [false, true] {
        let mut cast = Cast::new(shards);
        let (sensor, reader) = (cast.add("sensor", 1), cast.add("reader", 0));
        let neighbour = cast.add("neighbour", 0);
        let (home, topic) = (cast.shard(0), cast.topic("state", 0));
        let mut stage = cast.begin();
        for client in [sensor, reader, neighbour] {
            stage.enter(client);
        }
        if somebody_asked_before {
            stage.subscribe(neighbour, &topic);
        }
        stage.scene();
        if shards > 1 {
            stage.sleep(home);
        }
        let state = stage.publish(sensor, qos1(&topic).retained());
        stage.go_on();
        assert_eq!(stage.verdicts(sensor).len(), 1, "the publisher has its answer");
        stage.ask(reader, &topic);
        stage.deliver(reader);
        stage.wake(home);
        stage.go_on();
        assert_eq!(stage.got(reader), [state], "asked before: {somebody_asked_before}");
        stage.end();
    }
}

/// A member changes its terms and leaves, all with one DISCONNECT: two letters to its group.
fn rule_3_what_one_says_in_one_breath_is_heard_in_its_order(shards: u16) {
    let mut cast = Cast::new(shards);
    let member = cast.add("member", 0);
    // Its own shard has its group: what it says goes through no other's inbox.
    let group = cast.group("jobs", 0);
    let mut stage = cast.begin();
    stage.enter(member);
    stage.subscribe(member, &group);
    stage.scene();
    stage.disconnect_for_good(member);
    stage.go_on();
    stage.end();
}

/// The reader's shard is behind: what lies in its inbox has used up the budget of the publisher's.
fn rule_3_a_full_inbox_holds_up_its_sender_and_loses_nothing(shards: u16) {
    let mut cast = Cast::new(shards).with_inbox_bytes(1_300);
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
    let sent: Vec<MessageNo> = (0..40).map(|_| stage.publish(sensor, qos0("news"))).collect();
    stage.go_on();
    if shards > 1 {
        let taken = stage.seen().filter(|what| matches!(what, What::Takes { .. })).count();
        assert!(taken > 0 && taken < sent.len(), "{taken} were taken though nobody read the inbox");
    }
    stage.wake(readers);
    stage.go_on();
    assert_eq!(stage.got(reader), sent);
    stage.end();
}
