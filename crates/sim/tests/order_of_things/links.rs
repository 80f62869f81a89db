//! Links: hand-over, ticks, inboxes, where a session lives, takeover (rules 1 to 5).

use crate::cast::Cast;
use crate::stage::{Stage, qos0, qos1, qos2};
use keyward_broker::CommitOutcome::Durable;
use keyward_broker::{CloseCause, LinkId};
use keyward_mqtt::reason::ReasonCode;
use keyward_sim::event::{ClientNo, MessageNo, ShardNo, What};
use keyward_sim::packet::{Hello, Packet};
use keyward_sim::races::Race;

scenarios! {
    rule_1_what_was_read_behind_connect_is_taken_after_the_hand_over,
    rule_1_a_link_that_is_lost_in_hand_over_ends_where_it_arrives,
    rule_1_a_link_for_which_the_inbox_has_no_room_is_refused,
    rule_2_what_a_slice_leaves_of_a_fan_out_goes_on_by_itself,
    rule_2_what_was_acknowledged_before_a_client_asks_is_known_to_its_shard,
    rule_3_what_one_says_in_one_breath_is_heard_in_its_order,
    rule_3_a_full_inbox_holds_up_its_sender_and_loses_nothing,
    rule_4_one_client_id_of_two_identities_names_two_sessions,
    rule_4_a_fan_out_under_way_misses_the_session_that_took_the_place_of_a_reader,
    rule_4_what_was_on_its_way_to_a_session_that_ended_misses_its_successor,
    rule_5_answers_that_the_older_link_was_owed_die_with_it,
    rule_5_an_exchange_of_qos_2_goes_on_over_the_newer_link,
    rule_5_of_two_connects_the_later_attach_wins_and_the_will_comes_first,
    rule_5_a_will_that_is_delayed_is_kept_back_when_its_client_returns,
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

/// Lists all filters that match a topic and have `+` in the place of some of its levels.
fn mixtures(topic: &str) -> Vec<String> {
    let levels: Vec<&str> = topic.split('/').collect();
    let mixture = |wild: u32| {
        let level =
            |(place, name): (usize, &&str)| if wild & (1 << place) != 0 { "+" } else { *name }.to_owned();
        levels.iter().enumerate().map(level).collect::<Vec<_>>().join("/")
    };
    (0..1 << levels.len()).map(mixture).collect()
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

/// Three people call their app "app"; two of them are on one shard.
fn rule_4_one_client_id_of_two_identities_names_two_sessions(shards: u16) {
    let mut cast = Cast::new(shards);
    let apps =
        [("anna", 0), ("bert", 0), ("carl", 1)].map(|(name, home)| cast.add_with_id(name, "app", home));
    let mut stage = cast.begin();
    stage.scene();
    for (app, topic) in apps.into_iter().zip(["to/anna", "to/bert", "to/carl"]) {
        stage.enter(app);
        stage.subscribe(app, topic);
    }
    assert_eq!(apps.map(|app| stage.welcomes(app)), [const { [(false, ReasonCode::Success)] }; 3]);
    let to_anna = stage.publish(apps[1], qos1("to/anna"));
    let to_bert = stage.publish(apps[2], qos1("to/bert"));
    let to_carl = stage.publish(apps[0], qos1("to/carl"));
    stage.go_on();
    assert_eq!(apps.map(|app| stage.got(app)), [[to_anna], [to_bert], [to_carl]]);
    stage.expect_race(Race::SameIdOfTwoAccounts);
    stage.end();
}

/// A slice ends before a message has reached all its readers; before the next slice one of them begins a new session,
/// in the place of the old one.
fn rule_4_a_fan_out_under_way_misses_the_session_that_took_the_place_of_a_reader(shards: u16) {
    let mut cast = Cast::new(shards);
    // All on one shard: a fan-out in slices is its own affair.
    let (heavy, sensor, reader) = (cast.add("heavy", 1), cast.add("sensor", 1), cast.add("reader", 1));
    let home = cast.shard(1);
    let mut stage = cast.begin();
    for client in [heavy, sensor, reader] {
        stage.enter(client);
    }
    // A session more, so that a number which counts sessions comes again.
    stage.disconnect_for_good(reader);
    stage.go_on();
    stage.enter(reader);
    let topic = "a/b/c/d/e/f/g/h";
    let filters = mixtures(topic);
    // So many that the slice ends behind one and before the other; that it does is asserted below.
    let filters: Vec<&str> = filters.iter().skip(3).map(String::as_str).collect();
    stage.ask_for_all(heavy, &filters);
    stage.subscribe(reader, topic);
    stage.scene();
    stage.sleep(home);
    let (heavy_link, reader_link) = (stage.link(heavy), stage.link(reader));
    let hello = Hello { clean_start: true, ..stage.hello(reader) };
    stage.connect(reader, hello);
    let sent: Vec<MessageNo> = (0..40).map(|_| stage.publish(sensor, qos0(topic))).collect();
    stage.go_on();
    // Reading comes first, so the slice ends in this tick, and then the link is taken from the inbox.
    stage.tick(home);
    let [to_heavy, to_reader] =
        [heavy_link, reader_link].map(|link| stage.seen().filter(|what| is_message_to(what, link)).count());
    assert_eq!(to_heavy, to_reader + 1, "the slice ended between the two");
    stage.wake(home);
    stage.go_on();
    assert_eq!((stage.got(heavy), stage.got(reader)), (sent, vec![]));
    stage.expect_race(Race::WorkLeftForLater);
    stage.end();
}

fn is_message_to(what: &What, of: LinkId) -> bool {
    matches!(what, What::Writes { link, packet: Packet::Publish(_), .. } if *link == of)
}

/// A group hands a message to a member; before its letter is read, the member has begun a new session in the place of
/// the old one.
fn rule_4_what_was_on_its_way_to_a_session_that_ended_misses_its_successor(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, first, second) = (cast.add("sensor", 2), cast.add("first", 0), cast.add("second", 1));
    let (home, group) = (cast.shard(1), cast.group("jobs", 2));
    let mut stage = cast.begin();
    stage.enter(sensor);
    for member in [first, second] {
        stage.enter(member);
        stage.subscribe(member, &group);
    }
    stage.scene();
    if shards > 1 {
        stage.sleep(home);
    }
    let hello = Hello { clean_start: true, ..stage.hello(second) };
    stage.connect(second, hello);
    if shards > 1 {
        // The link lies in the inbox of its shard; what the group hands out comes to lie behind it.
        stage.go_on();
    }
    let jobs = [stage.publish(sensor, qos1("jobs")), stage.publish(sensor, qos1("jobs"))];
    stage.go_on();
    stage.wake(home);
    stage.go_on();
    assert_eq!(stage.welcomes(second), [(false, ReasonCode::Success)]);
    let (mut done, handed) = (stage.got(first), stage.got(second));
    done.sort_unstable();
    assert_eq!((done, handed), (jobs.to_vec(), Vec::new()));
    stage.end();
}

/// A client comes back while its PUBACK waits for the disk: the new link knows nothing of it.
fn rule_5_answers_that_the_older_link_was_owed_die_with_it(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let home = cast.shard(0);
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    stage.subscribe(reader, "news");
    stage.scene();
    let older = stage.link(sensor);
    let news = stage.publish(sensor, qos1("news"));
    stage.go_on();
    let hello = stage.hello(sensor);
    let newer = stage.connect(sensor, hello);
    stage.deliver(sensor);
    (0..3).for_each(|_| stage.tick_door());
    stage.tick(home);
    stage.disk_answers(home, Durable);
    stage.tick(home);
    let order: Vec<_> = stage.seen().filter_map(|what| farewell_or_welcome(what, older, newer)).collect();
    assert_eq!(order, ["old link told", "old link closed", "new link welcomed"]);
    stage.go_on_with_disk();
    // The client has its answer when it has asked again.
    assert_eq!((stage.verdicts(sensor).len(), stage.got(reader)), (1, vec![news, news]));
    stage.expect_race(Race::TakeoverWithWaitingAnswers);
    stage.end();
}

fn farewell_or_welcome(what: &What, older: LinkId, newer: LinkId) -> Option<&'static str> {
    match what {
        What::Writes {
            link,
            packet: Packet::Disconnect { reason: ReasonCode::SessionTakenOver, .. },
            ..
        } => (*link == older).then_some("old link told"),
        What::Closes { link, cause: CloseCause::TakenOver, .. } => {
            (*link == older).then_some("old link closed")
        }
        What::Writes { link, packet: Packet::ConnAck { .. }, .. } => {
            (*link == newer).then_some("new link welcomed")
        }
        _ => None,
    }
}

/// A client comes back while its QoS 2 message waits for the disk, and again when it was told PUBREC and said nothing.
fn rule_5_an_exchange_of_qos_2_goes_on_over_the_newer_link(shards: u16) {
    let mut cast = Cast::new(shards).with_slow_disk();
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let mut stage = cast.begin();
    stage.enter(sensor);
    stage.enter(reader);
    stage.subscribe(reader, "news");
    stage.scene();
    stage.mute(sensor);
    let news = stage.publish(sensor, qos2("news"));
    stage.go_on();
    stage.enter(sensor);
    assert_eq!((stage.verdicts(sensor).len(), stage.got(reader)), (1, vec![news]));
    stage.enter(sensor);
    stage.unmute(sensor);
    stage.go_on_with_disk();
    let is_end = |packet: &&Packet| matches!(packet, Packet::PubComp(_));
    assert_eq!((stage.heard(sensor).filter(is_end).count(), stage.got(reader)), (1, vec![news]));
    stage.expect_race(Race::TakeoverInExchange);
    stage.end();
}

/// A client gives a CONNECT up for lost and sends another, which overtakes the first.
fn rule_5_of_two_connects_the_later_attach_wins_and_the_will_comes_first(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let mut stage = cast.begin();
    stage.enter(reader);
    stage.subscribe(reader, "gone");
    stage.scene();
    let hello = stage.hello(sensor);
    let slow = stage.connect(sensor, hello);
    let (last_words, will) = stage.will("gone", 0);
    let hello = Hello { will: Some(will), ..stage.hello(sensor) };
    let fast = stage.connect(sensor, hello);
    let home = walk_in(&mut stage, sensor, fast);
    assert!(!stage.is_open(sensor));
    stage.tick(home);
    walk_in(&mut stage, sensor, slow);
    stage.tick(home);
    let order: Vec<_> = stage.seen().filter_map(|what| farewell_or_welcome(what, fast, slow)).collect();
    assert_eq!(order, ["old link told", "old link closed", "new link welcomed"]);
    stage.go_on();
    assert_eq!(stage.got(reader), [last_words]);
    stage.expect_race(Race::WillAgainstTakeover);
    stage.end();
}

/// Brings one link through the door. Returns its shard.
fn walk_in(stage: &mut Stage, client: ClientNo, link: LinkId) -> ShardNo {
    stage.deliver_over(link);
    (0..3).for_each(|_| stage.tick_door());
    let judged = stage.seen().find_map(|what| match what {
        What::Judges { link: of, verdict } if *of == link => verdict.ok(),
        _ => None,
    });
    judged.unwrap_or_else(|| panic!("link {} of {client} was not let in", link.0))
}

/// The link is lost, the client is back in time, and then the hour of its will comes.
fn rule_5_a_will_that_is_delayed_is_kept_back_when_its_client_returns(shards: u16) {
    let mut cast = Cast::new(shards);
    let (sensor, reader) = (cast.add("sensor", 0), cast.add("reader", 1));
    let mut stage = cast.begin();
    stage.enter(reader);
    stage.subscribe(reader, "gone");
    let (_, will) = stage.will("gone", 30);
    let hello = Hello { will: Some(will), ..stage.hello(sensor) };
    stage.enter_with(sensor, hello);
    stage.scene();
    stage.cut(sensor);
    stage.go_on();
    stage.pass(29);
    stage.enter(sensor);
    stage.pass(60);
    stage.go_on();
    assert_eq!((stage.welcomes(sensor), stage.got(reader)), (vec![(true, ReasonCode::Success)], Vec::new()));
    stage.expect_race(Race::WillDelayCancelled);
    stage.end();
}
