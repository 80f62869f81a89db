//! Where a session lives, and takeover (rules 4 and 5).

use crate::cast::{Cast, mixtures};
use crate::stage::{Stage, qos0, qos1, qos2};
use keyward_broker::{CloseCause, LinkId};
use keyward_mqtt::reason::ReasonCode;
use keyward_sim::event::{ClientNo, MessageNo, ShardNo, What};
use keyward_sim::packet::{Hello, Packet};
use keyward_sim::races::Race;

scenarios! {
    rule_4_one_client_id_of_two_identities_names_two_sessions,
    rule_4_a_fan_out_under_way_misses_the_session_that_took_the_place_of_a_reader,
    rule_4_what_was_on_its_way_to_a_session_that_ended_misses_its_successor,
    rule_4_what_an_identity_may_have_is_leased_to_the_shards_in_equal_portions,
    rule_5_answers_that_the_older_link_was_owed_die_with_it,
    rule_5_an_exchange_of_qos_2_goes_on_over_the_newer_link,
    rule_5_of_two_connects_the_later_attach_wins_and_the_will_comes_first,
    rule_5_a_will_that_is_delayed_is_kept_back_when_its_client_returns,
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

/// The programs of a user come all at once, to all shards, and no shard asks another; those of a device come to one.
fn rule_4_what_an_identity_may_have_is_leased_to_the_shards_in_equal_portions(shards: u16) {
    let mut cast = Cast::new(shards).with_limits(|limits| limits.sessions_per_identity = 6);
    let (user, device) = (cast.add("user", 0), cast.add_device("device", 0));
    let (mut of_user, mut of_device) = (vec![user], vec![device]);
    for number in 1..9 {
        of_user.push(cast.add_program(user, &format!("app{number}-"), number % 3));
        of_device.push(cast.add_program(device, &format!("part{number}-"), number % 3));
    }
    let mut stage = cast.begin();
    stage.scene();
    for client in of_user.iter().chain(&of_device) {
        let hello = stage.hello(*client);
        stage.connect(*client, hello);
    }
    stage.go_on();
    let portion = 6 / usize::from(shards);
    for home in 0..usize::from(shards) {
        let here = of_user.iter().skip(home).step_by(usize::from(shards));
        let open: Vec<bool> = here.map(|client| stage.is_open(*client)).collect();
        assert_eq!(open.iter().filter(|open| **open).count(), portion, "on shard {home}: {open:?}");
    }
    let open = of_device.iter().filter(|client| stage.is_open(**client)).count();
    assert_eq!(open, 6, "a device has all that is meant for it on its shard");
    let refused = of_user.iter().chain(&of_device).filter(|client| !stage.is_open(**client));
    for client in refused {
        assert_eq!(stage.welcomes(*client), [(false, ReasonCode::QuotaExceeded)]);
    }
    stage.end();
}

/// A slice ends before a message has reached all its readers; before the next slice one of them begins a new session,
/// in the place of the old one.
fn rule_4_a_fan_out_under_way_misses_the_session_that_took_the_place_of_a_reader(shards: u16) {
    // How many filters make the slice end between the two readers depends on what each step costs: some number does.
    let between = (0..64).find(|left_out| slice_ends_between_two_readers(shards, *left_out));
    assert!(between.is_some(), "no slice ended between the two readers");
}

/// Plays the race of two readers, one of them with all filters that match but `left_out`. Returns whether it came up:
/// whether the slice ended behind the first and before the second.
fn slice_ends_between_two_readers(shards: u16, left_out: usize) -> bool {
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
    let filters: Vec<&str> = filters.iter().skip(left_out).map(String::as_str).collect();
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
    stage.wake(home);
    stage.go_on();
    assert_eq!((stage.got(heavy), stage.got(reader)), (sent, vec![]));
    stage.expect_race(Race::WorkLeftForLater);
    stage.end();
    to_heavy == to_reader + 1
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
    stage.disk_answers(home);
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
    let (mut stage, sensor, reader) = Cast::new(shards).with_slow_disk().sensor_and_reader();
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
