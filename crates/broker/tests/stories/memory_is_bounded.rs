//! Invariant 11: whatever a client makes the broker hold counts, alone brings it over the marks, and is given back.

use crate::peer::{Got, Peer, hello, hello5, letter};
use crate::shared_groups_share_fairly::all_may_share;
use crate::world::World;
use keyward_broker::{CloseCause, Limits, Notice};
use keyward_mqtt::packet::Version;
use keyward_mqtt::reason::ReasonCode;

const TOTAL: usize = 2_000_000;

/// A broker of one shard in which nothing but memory is short.
fn small_world() -> World {
    small_world_of(1)
}

fn small_world_of(shards: u16) -> World {
    World::new(shards, small_limits())
}

fn small_limits() -> Limits {
    Limits {
        memory_total: TOTAL,
        queue_messages: usize::MAX / 2,
        queue_messages_per_identity: usize::MAX / 2,
        sessions_per_identity: 100_000,
        subscriptions_per_session: 100_000,
        wildcards_per_identity: 100_000,
        ..Limits::default()
    }
}

fn is_critical(w: &World) -> bool {
    w.stats().memory as usize >= TOTAL / 10 * 9
}

/// What holds above 90 %, whoever has filled the memory.
fn assert_that_nothing_more_is_taken(w: &mut World, what: &str, witness: Peer) {
    assert!(is_critical(w), "{what} filled {} bytes", w.stats().memory);
    assert!(w.stats().memory as usize <= TOTAL * 11 / 10, "{what}: {}", w.stats().memory);
    let newcomer = w.try_connect(hello5("device:lamp", "newcomer"));
    assert_eq!(w.closed(newcomer), Some(CloseCause::Refused(ReasonCode::ServerBusy)), "{what}");
    w.got(witness);
    w.publish(witness, letter("lamp/a", "x").qos1(9));
    assert!(
        w.has_got(witness, |got| matches!(got, Got::PubAck(9, ReasonCode::QuotaExceeded, _))),
        "{what}: {:?}",
        w.got(witness)
    );
    assert_eq!(w.subscribe(witness, "lamp/new"), [ReasonCode::QuotaExceeded], "{what}");
    assert!(w.notices.iter().any(|notice| matches!(notice, Notice::NoMemory { .. })), "{what}");
}

/// Lets `fill` run until memory is short, sees that the bounds hold, and that all is given back in the end.
fn alone(what: &str, mut fill: impl FnMut(&mut World, u16), give_back: impl FnOnce(&mut World)) {
    let mut world = small_world();
    let w = &mut world;
    let witness = w.connect(hello5("device:lamp", "witness"));
    for round in 1..=20_000 {
        if is_critical(w) {
            break;
        }
        fill(w, round);
    }
    assert_that_nothing_more_is_taken(w, what, witness);
    give_back(w);
    w.revoke("device:pump");
    w.revoke("user:app");
    w.lose(witness);
    w.pass(40 * 24 * 3600);
    assert_eq!(w.stats().memory, 0, "{what} was not given back: {:?}", w.stats());
}

fn nothing(_: &mut World) {}

fn pump(w: &mut World, client_id: &str) -> Peer {
    w.connect(hello5("device:pump", client_id))
}

#[test]
fn a_queue_alone_fills_the_memory_and_gives_it_back() {
    let mut app = None;
    alone(
        "a queue",
        |w, round| {
            let app = *app.get_or_insert_with(|| {
                let reader = pump(w, "reader");
                w.subscribe(reader, "pump/#");
                w.lose(reader);
                w.connect(hello5("user:app", "app"))
            });
            w.publish(app, letter("pump/a", &"x".repeat(10_000)).qos1(round));
        },
        nothing,
    );
}

#[test]
fn retained_messages_alone_fill_the_memory_and_give_it_back() {
    let publish = |w: &mut World, round: u16, payload: &str| {
        let publisher = pump(w, "publisher");
        w.publish(publisher, letter(&format!("pump/{round}"), payload).retained());
    };
    alone(
        "retained messages",
        |w, round| publish(w, round, &"x".repeat(10_000)),
        |w| (1..=300).for_each(|round| publish(w, round, "")),
    );
}

#[test]
fn sessions_alone_fill_the_memory_and_give_it_back() {
    let session = |w: &mut World, round| {
        let peer = pump(w, &format!("session-{round}"));
        w.lose(peer);
    };
    alone("sessions", session, nothing);
}

#[test]
fn wills_alone_fill_the_memory_and_give_it_back() {
    let will = "x".repeat(12_000);
    let session = |w: &mut World, round| {
        let hello =
            hello5("device:pump", &format!("session-{round}")).will("pump/will", &will).will_delay(9_000);
        let peer = w.connect(hello);
        w.lose(peer);
    };
    alone("wills", session, nothing);
}

#[test]
fn subscriptions_alone_fill_the_memory_and_give_it_back() {
    let subscribe = |w: &mut World, round| {
        let peer = pump(w, "subscriber");
        for number in 0..20 {
            w.subscribe(peer, &format!("pump/{round}/{number}/a/b/c"));
        }
    };
    alone("subscriptions", subscribe, nothing);
}

#[test]
fn outboxes_of_links_that_do_not_read_alone_fill_the_memory_and_give_it_back() {
    let mut app = None;
    alone(
        "outboxes",
        |w, round| {
            let app = *app.get_or_insert_with(|| w.connect(hello5("user:app", "app")));
            if round % 20 == 1 {
                let reader = pump(w, &format!("reader-{round}"));
                w.subscribe(reader, "pump/#");
                w.set_reading(reader, false);
            }
            w.publish(app, letter("pump/a", &"x".repeat(10_000)));
        },
        nothing,
    );
}

#[test]
fn what_is_remembered_to_decide_faster_fills_the_memory_only_until_it_is_short() {
    let mut world = small_world();
    let w = &mut world;
    let witness = w.connect(hello5("device:lamp", "witness"));
    let before = w.stats().memory;
    for round in 0..500 {
        w.publish(witness, letter(&format!("lamp/{round}/{}", "x".repeat(200)), "x"));
    }
    let grown = w.stats().memory - before;
    assert!((5_000..20_000).contains(&grown), "{grown}");
    w.burden(TOTAL);
    w.publish(witness, letter("lamp/a", "x"));
    assert_eq!(w.stats().memory, before + TOTAL as u64, "forgotten to the last byte");
}

#[test]
fn answers_that_wait_for_the_disk_alone_fill_the_memory_until_their_link_is_closed() {
    let mut world = small_world();
    let w = &mut world;
    let greedy = w.connect(hello(Version::V311, "device:pump", "greedy"));
    w.slow_store();
    for id in 1..=60_000 {
        w.publish(greedy, letter("pump/a", "x").qos1(id).retained());
        if !w.is_open(greedy) {
            break;
        }
        assert!(w.stats().memory as usize <= TOTAL);
    }
    assert_eq!(w.closed(greedy), Some(CloseCause::NoRoom));
    assert!(w.stats().memory < 20_000, "{}", w.stats().memory);
}

#[test]
fn messages_of_qos_2_that_are_never_released_alone_fill_the_memory_and_give_it_back() {
    let mut greedy = None;
    alone(
        "unreleased messages",
        |w, round| {
            if round % 2_000 == 1 {
                let client_id = format!("greedy-{round}");
                greedy = Some(w.connect(hello(Version::V311, "device:pump", &client_id).silent()));
            }
            w.publish(greedy.unwrap(), letter("pump/a", "x").qos2(round));
        },
        nothing,
    );
}

/// Lets 20 messages of QoS 2 come back from the disk once memory is short. Some readers never acknowledge one; one does,
/// and is returned.
fn publish_while_memory_is_short(w: &mut World, silent: usize) -> Peer {
    for number in 0..silent {
        let reader = w.connect(hello5("device:pump", &format!("reader-{number}")).silent());
        w.subscribe(reader, "pump/#");
    }
    let prompt = pump(w, "prompt");
    w.subscribe(prompt, "pump/#");
    let app = w.connect(hello5("user:app", "app"));
    w.slow_store();
    for id in 1..=20 {
        w.publish(app, letter("pump/a", &"x".repeat(5_000)).qos2(id));
    }
    w.burden(TOTAL / 10 * 9);
    assert!(is_critical(w));
    w.store();
    prompt
}

#[test]
fn messages_that_are_sent_at_once_and_never_acknowledged_fill_the_memory_only_to_its_end() {
    let mut world = small_world();
    publish_while_memory_is_short(&mut world, 5);
    let held = world.stats().memory as usize;
    assert!((TOTAL / 100 * 95..=TOTAL).contains(&held), "{held} bytes are held");
    let is_told = |notice: &Notice| matches!(notice, Notice::NoMemory { .. });
    assert!(world.notices.iter().any(is_told), "what is lost is told");
}

#[test]
fn who_takes_its_messages_at_once_gets_them_while_memory_is_short() {
    let mut world = small_world();
    let prompt = publish_while_memory_is_short(&mut world, 0);
    assert_eq!(world.payloads(prompt).len(), 20);
}

#[test]
fn a_group_hands_out_what_members_have_memory_for_and_keeps_the_rest_for_later() {
    let mut world = small_world_of(2);
    let w = &mut world;
    w.rules(&all_may_share());
    let mut names = 0;
    let mut on_shard = |w: &mut World, shard: usize| loop {
        names += 1;
        let peer = w.connect(hello5("user:app", &names.to_string()).silent());
        if w.shard_of(peer) == shard {
            return peer;
        }
        w.disconnect_with(peer, ReasonCode::Success, Some(0));
    };
    let (member, source) = (on_shard(w, 0), on_shard(w, 1));
    let mut groups = (0..100).map(|number| format!("$share/g{number}/t"));
    let group = groups.find(|group| w.home_of(group) == 1).unwrap();
    w.subscribe(member, &group);
    w.burden(TOTAL / 2 / 10 * 9);
    for id in 1..=60 {
        w.publish(source, letter("t", &"x".repeat(5_000)).qos1(id));
    }
    let handed_out = w.payloads(member).len();
    assert!((10..20).contains(&handed_out), "{handed_out} are under way");
    w.burden(0);
    for id in 1..=60 {
        w.puback(member, id);
    }
    assert_eq!(handed_out + w.payloads(member).len(), 60);
    assert_eq!(w.stats().queued, 0);
}

#[test]
fn a_stored_member_takes_one_message_of_qos_2_also_while_there_is_no_memory() {
    // It had nothing and gave each message back for want of memory; then it asked for the next one, and the two shards
    // said this to each other without end.
    let mut world = World::on_disk(2, small_limits());
    let w = &mut world;
    w.rules(&all_may_share());
    let source = w.connect(hello5("user:app", "source"));
    let groups: Vec<String> = (0..20).map(|number| format!("$share/g{number}/t")).collect();
    let group = groups.iter().find(|group| w.home_of(group) != w.shard_of(source)).unwrap();
    w.subscribe(source, group);
    w.slow_store();
    w.publish(source, letter("t", "x").qos2(1));
    w.burden(TOTAL);
    for _ in 0..4 {
        w.store();
    }
    assert_eq!(w.payloads(source), ["x"]);
}

#[test]
fn what_the_shell_holds_counts_too() {
    let mut burdened = false;
    alone(
        "the shell",
        |w, _| {
            w.burden(if burdened { TOTAL / 10 * 9 } else { TOTAL / 10 });
            burdened = true;
        },
        |w| w.burden(0),
    );
}

#[test]
fn copies_of_a_filter_at_other_shards_count_where_they_are_caused() {
    let memory = |shards| {
        let mut world = World::new(shards, Limits::default());
        let w = &mut world;
        let peer = pump(w, "subscriber");
        let before = w.stats().memory;
        w.subscribe(peer, "pump/a/b/c");
        let subscribed = w.stats().memory - before;
        w.unsubscribe(peer, "pump/a/b/c");
        assert_eq!(w.stats().memory, before);
        subscribed
    };
    let copy = memory(2) - memory(1);
    assert!(copy > 1_000);
    assert_eq!(memory(3) - memory(2), copy);
}

#[test]
fn at_80_percent_qos_0_is_dropped_for_links_that_are_behind_and_nothing_else_changes() {
    let mut world = small_world();
    let w = &mut world;
    let reader = pump(w, "reader");
    w.subscribe(reader, "pump/#");
    w.set_reading(reader, false);
    let app = w.connect(hello5("user:app", "app"));
    w.publish(app, letter("pump/a", &"x".repeat(50_000)));
    assert!(w.notices.is_empty());
    w.burden(TOTAL / 10 * 8);
    w.publish(app, letter("pump/a", "dropped"));
    w.publish(app, letter("pump/a", "kept").qos1(1));
    assert_eq!(w.notices.len(), 1, "{:?}", w.notices);
    assert!(w.has_got(app, |got| matches!(got, Got::PubAck(1, ReasonCode::Success, _))));
    w.connect(hello5("device:lamp", "newcomer"));
    w.got(reader);
    w.set_reading(reader, true);
    assert_eq!(w.payloads(reader).iter().map(String::len).collect::<Vec<_>>(), [50_000, 4]);
}
