//! What reviewers found in other brokers in 2026, told as stories of this one: QoS 2 over reconnects and takeovers, the
//! send quota, packet ids of both directions, wills and takeovers, session expiry at DISCONNECT, overlapping
//! subscriptions.
//!
//! Each story was seen to fail with the broker broken by hand, in each of the ways that are told beside it:
//!
//! | story | breaks |
//! |---|---|
//! | `a_qos_2_message_without_pubrec_comes_again_with_dup_under_its_id_on_every_new_link` | a new link does not begin the exchanges anew; a repetition has no DUP |
//! | `a_qos_2_message_with_pubrec_never_comes_again` | PUBREC leaves the message where it was |
//! | `a_publisher_that_repeats_qos_2_over_a_new_link_reaches_its_readers_once` | only what came over the same link counts as known |
//! | `a_pubrel_is_owed_on_every_new_link_until_pubcomp_and_stands_in_its_place` | no PUBREL over a new link; all PUBRELs before all messages |
//! | `a_new_link_has_its_own_send_quota_and_repetitions_count_against_it` | repetitions do not ask for the quota, or are not counted; a refusing PUBREC gives nothing back; the client's receive maximum is not heeded |
//! | `a_pubrel_owed_from_an_older_link_holds_a_place_and_gives_back_no_more_than_that` | only messages without PUBREC are counted |
//! | `what_was_sent_does_not_expire_whatever_the_time` | an expired message is not repeated but dropped |
//! | `the_handshake_of_a_message_that_expired_goes_on` | a repetition with an expiry is taken for a new message; PUBREL is not answered after the time |
//! | `a_takeover_in_the_midst_of_publishing_qos_2_neither_loses_nor_doubles` | a takeover forgets what was received; the older link can still be heard |
//! | `a_takeover_in_the_midst_of_receiving_qos_2_ignores_what_the_older_link_still_says` | the older link can still be heard |
//! | `one_packet_id_serves_both_directions_at_once` | an id that is under way to the client is refused from it; PUBREC frees the client's id |
//! | `the_end_of_one_direction_leaves_the_same_packet_id_of_the_other_alone` | PUBREL ends what is under way to the client; PUBCOMP frees the client's id |
//! | `a_takeover_publishes_the_will_unless_the_session_goes_on_before_its_delay_is_over` | the will is published only if the session ends, only without a delay, or always |
//! | `the_will_of_the_link_that_took_over_is_the_one_that_counts` | a resumed session keeps no new will; the older will is replaced unsaid |
//! | `the_expiry_that_disconnect_names_is_the_one_that_holds` | DISCONNECT's expiry is ignored, only shortens, or cannot be 0 |
//! | `a_shorter_expiry_at_disconnect_cuts_the_delay_of_the_will_short` | DISCONNECT's expiry is ignored; neither the delay is cut nor does the end of the session publish the will |
//! | `a_session_that_was_to_end_with_its_link_is_not_revived_by_disconnect` | DISCONNECT may name any expiry |
//! | `overlapping_subscriptions_deliver_at_the_highest_qos_in_whatever_order_they_were_made` | the lowest QoS counts, or that of the first or last subscription found |
//! | `overlapping_subscriptions_keep_a_message_for_the_absent_if_one_of_them_does` | the lowest QoS counts, or that of the first or last subscription found |

use crate::peer::{Got, Hello, Message, Peer, at, hello, hello5, letter};
use crate::world::{World, in_every_world, in_every_world_and_version};
use keyward_broker::CloseCause;
use keyward_mqtt::packet::{Qos, Version};
use keyward_mqtt::reason::ReasonCode;

/// A reader that acknowledges nothing by itself comes, or comes back.
fn reader(w: &mut World, version: Version) -> Peer {
    w.connect(hello(version, "device:pump", "pump").silent())
}

/// Connects an application that publishes QoS 2 messages with these payloads to the reader.
fn send_to_reader(w: &mut World, version: Version, payloads: &[&str]) {
    let app = w.connect(hello(version, "user:app", "app"));
    for (number, payload) in (1..).zip(payloads) {
        w.publish(app, letter("pump/a", payload).qos2(number));
    }
    w.disconnect(app);
}

/// Takes what the peer got without its CONNACK.
fn after_connack(w: &mut World, peer: Peer) -> Vec<Got> {
    let mut got = w.got(peer);
    assert!(matches!(got.remove(0), Got::ConnAck { .. }));
    got
}

#[track_caller]
fn one_message(got: &[Got]) -> &Message {
    match got {
        [Got::Message(message)] => message,
        other => panic!("{other:?}"),
    }
}

// QoS 2 replay after resume.

#[test]
fn a_qos_2_message_without_pubrec_comes_again_with_dup_under_its_id_on_every_new_link() {
    in_every_world_and_version(|w, version| {
        let mut pump = reader(w, version);
        w.subscribe(pump, "pump/#");
        send_to_reader(w, version, &["once"]);
        let first = w.messages(pump).remove(0);
        for _ in 0..3 {
            w.lose(pump);
            pump = reader(w, version);
            let got = after_connack(w, pump);
            let again = one_message(&got);
            assert_eq!((again.id, again.qos, again.dup), (first.id, Qos::ExactlyOnce, true));
            assert_eq!(again.payload, b"once");
        }
    });
}

#[test]
fn a_qos_2_message_with_pubrec_never_comes_again() {
    in_every_world_and_version(|w, version| {
        let pump = reader(w, version);
        w.subscribe(pump, "pump/#");
        send_to_reader(w, version, &["once"]);
        let id = w.messages(pump).remove(0).id.unwrap();
        w.pubrec(pump, id);
        w.lose(pump);
        let pump = reader(w, version);
        assert_eq!(after_connack(w, pump), [Got::PubRel(id, ReasonCode::Success)]);
        w.pubcomp(pump, id);
        w.lose(pump);
        let pump = reader(w, version);
        assert_eq!(after_connack(w, pump), []);
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn a_publisher_that_repeats_qos_2_over_a_new_link_reaches_its_readers_once() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let mut pump = reader(w, version);
        w.publish(pump, letter("pump/a", "once").qos2(9));
        for _ in 0..3 {
            w.lose(pump);
            pump = reader(w, version);
            w.publish(pump, letter("pump/a", "once").qos2(9).dup());
            assert_eq!(after_connack(w, pump), [Got::PubRec(9, ReasonCode::Success)]);
        }
        w.pubrel(pump, 9);
        assert_eq!(w.got(pump), [Got::PubComp(9, ReasonCode::Success)]);
        assert_eq!(w.payloads(app), ["once"]);
    });
}

// PUBREL owed on resume.

#[test]
fn a_pubrel_is_owed_on_every_new_link_until_pubcomp_and_stands_in_its_place() {
    in_every_world_and_version(|w, version| {
        let mut pump = reader(w, version);
        w.subscribe(pump, "pump/#");
        send_to_reader(w, version, &["1", "2", "3"]);
        let ids: Vec<_> = w.messages(pump).into_iter().map(|message| message.id.unwrap()).collect();
        w.pubrec(pump, ids[1]);
        for _ in 0..3 {
            w.lose(pump);
            pump = reader(w, version);
            let got = after_connack(w, pump);
            let Got::Message(one) = &got[0] else { panic!("{got:?}") };
            let Got::Message(three) = &got[2] else { panic!("{got:?}") };
            assert_eq!((one.id, three.id, got.len()), (Some(ids[0]), Some(ids[2]), 3));
            assert_eq!(got[1], Got::PubRel(ids[1], ReasonCode::Success));
        }
        w.pubcomp(pump, ids[1]);
        w.lose(pump);
        let pump = reader(w, version);
        assert_eq!(w.messages(pump).len(), 2, "what has its PUBCOMP is over");
    });
}

// Send quota after reconnect.

#[test]
fn a_new_link_has_its_own_send_quota_and_repetitions_count_against_it() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").receive_maximum(3).silent());
        w.subscribe(pump, "pump/#");
        send_to_reader(w, Version::V5, &["1", "2", "3", "4", "5"]);
        assert_eq!(w.payloads(pump), ["1", "2", "3"]);
        w.lose(pump);

        let pump = w.connect(hello5("device:pump", "pump").receive_maximum(2).silent());
        assert_eq!(w.payloads(pump), ["1", "2"], "the third was sent before, and must wait all the same");
        w.lose(pump);

        let pump = w.connect(hello5("device:pump", "pump").receive_maximum(4).silent());
        let again = w.messages(pump);
        let payloads: Vec<_> = again.iter().map(|message| &message.payload[..]).collect();
        assert_eq!(payloads, [b"1", b"2", b"3", b"4"]);
        w.pubrec_with(pump, again[0].id.unwrap(), ReasonCode::UnspecifiedError);
        assert_eq!(w.payloads(pump), ["5"]);
    });
}

#[test]
fn a_pubrel_owed_from_an_older_link_holds_a_place_and_gives_back_no_more_than_that() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").receive_maximum(1).silent());
        w.subscribe(pump, "pump/#");
        send_to_reader(w, Version::V5, &["1", "2", "3"]);
        let first = w.messages(pump).remove(0).id.unwrap();
        w.pubrec(pump, first);
        w.lose(pump);

        let pump = w.connect(hello5("device:pump", "pump").receive_maximum(1).silent());
        assert_eq!(w.messages(pump), [], "the client has not finished the first message");
        w.pubcomp(pump, first);
        assert_eq!(w.payloads(pump), ["2"], "one message is all that the client takes");
    });
}

// Expiry of inflight QoS 2.

#[test]
fn what_was_sent_does_not_expire_whatever_the_time() {
    in_every_world(|w| {
        let pump = reader(w, Version::V5);
        w.subscribe(pump, "pump/#");
        let app = w.connect(hello5("user:app", "app"));
        w.publish(app, letter("pump/a", "sent").qos2(1).expiring(5));
        w.publish(app, letter("pump/a", "received").qos2(2).expiring(5));
        let ids: Vec<_> = w.messages(pump).into_iter().map(|message| message.id.unwrap()).collect();
        w.pubrec(pump, ids[1]);
        w.lose(pump);
        w.pass(100);
        let pump = reader(w, Version::V5);
        let got = after_connack(w, pump);
        let Got::Message(sent) = &got[0] else { panic!("{got:?}") };
        assert_eq!((&sent.payload[..], sent.dup, sent.id), (&b"sent"[..], true, Some(ids[0])));
        assert_eq!(got[1..], [Got::PubRel(ids[1], ReasonCode::Success)]);
        w.pubrec(pump, ids[0]);
        w.pubcomp(pump, ids[0]);
        w.pubcomp(pump, ids[1]);
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn the_handshake_of_a_message_that_expired_goes_on() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let pump = reader(w, Version::V5);
        w.got(pump);
        w.publish(pump, letter("pump/a", "x").qos2(3).expiring(1));
        w.pass(50);
        w.publish(pump, letter("pump/a", "x").qos2(3).expiring(1).dup());
        w.pubrel(pump, 3);
        let received = Got::PubRec(3, ReasonCode::Success);
        assert_eq!(w.got(pump), [received.clone(), received, Got::PubComp(3, ReasonCode::Success)]);
        assert_eq!(w.payloads(app), ["x"], "the repetition is one still");
    });
}

// Takeover during QoS 2.

#[test]
fn a_takeover_in_the_midst_of_publishing_qos_2_neither_loses_nor_doubles() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let first = reader(w, version);
        w.publish(first, letter("pump/a", "once").qos2(4));
        let second = reader(w, version);
        w.pubrel(first, 4);
        w.publish(second, letter("pump/a", "once").qos2(4).dup());
        w.pubrel(second, 4);
        assert!(!w.is_open(first) && w.is_open(second));
        let expected = [Got::PubRec(4, ReasonCode::Success), Got::PubComp(4, ReasonCode::Success)];
        assert_eq!(after_connack(w, second), expected);
        assert_eq!(w.payloads(app), ["once"]);
    });
}

#[test]
fn a_takeover_in_the_midst_of_receiving_qos_2_ignores_what_the_older_link_still_says() {
    in_every_world_and_version(|w, version| {
        let first = reader(w, version);
        w.subscribe(first, "pump/#");
        send_to_reader(w, version, &["once"]);
        let id = w.messages(first).remove(0).id.unwrap();
        let second = reader(w, version);
        w.pubrec(first, id);
        let got = after_connack(w, second);
        assert_eq!((one_message(&got).id, one_message(&got).dup), (Some(id), true));
        w.pubrec(second, id);
        w.pubcomp(second, id);
        assert_eq!(w.got(second), [Got::PubRel(id, ReasonCode::Success)]);
        assert_eq!(w.stats().queued, 0);
    });
}

// The same packet id in both directions.

#[test]
fn one_packet_id_serves_both_directions_at_once() {
    in_every_world_and_version(|w, version| {
        let pump = reader(w, version);
        w.subscribe(pump, "pump/in");
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "pump/out");
        w.publish(app, letter("pump/in", "to you").qos2(1));
        let id = w.messages(pump).remove(0).id.unwrap();

        w.publish(pump, letter("pump/out", "from me").qos2(id));
        assert_eq!(w.got(pump), [Got::PubRec(id, ReasonCode::Success)]);
        w.pubrec(pump, id);
        assert_eq!(w.got(pump), [Got::PubRel(id, ReasonCode::Success)]);
        w.pubrel(pump, id);
        assert_eq!(w.got(pump), [Got::PubComp(id, ReasonCode::Success)]);
        w.pubcomp(pump, id);
        assert!(w.is_open(pump));
        assert_eq!(w.payloads(app), ["from me"]);
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn the_end_of_one_direction_leaves_the_same_packet_id_of_the_other_alone() {
    in_every_world_and_version(|w, version| {
        let pump = reader(w, version);
        w.subscribe(pump, "pump/in");
        let app = w.connect(hello(version, "user:app", "app"));
        for (number, payload) in [(1, "first"), (2, "second")] {
            w.publish(app, letter("pump/in", payload).qos2(number));
        }
        let ids: Vec<_> = w.messages(pump).into_iter().map(|message| message.id.unwrap()).collect();

        w.publish(pump, letter("pump/out", "from me").qos2(ids[0]));
        w.pubrel(pump, ids[0]);
        w.got(pump);
        w.pubrec(pump, ids[0]);
        assert_eq!(w.got(pump), [Got::PubRel(ids[0], ReasonCode::Success)], "ours goes on");

        w.publish(pump, letter("pump/out", "from me too").qos2(ids[1]));
        w.pubrec(pump, ids[1]);
        w.pubcomp(pump, ids[1]);
        w.got(pump);
        w.pubrel(pump, ids[1]);
        assert_eq!(w.got(pump), [Got::PubComp(ids[1], ReasonCode::Success)], "theirs goes on");
    });
}

// Will versus takeover.

#[test]
fn a_takeover_publishes_the_will_unless_the_session_goes_on_before_its_delay_is_over() {
    let will = |delay| hello5("device:pump", "pump").will("pump/gone", "gone").will_delay(delay);
    let next = |clean| {
        let hello = hello5("device:pump", "pump");
        if clean { hello.clean() } else { hello }
    };
    for (delay, clean, is_mourned) in
        [(0, false, true), (0, true, true), (30, false, false), (30, true, true)]
    {
        in_every_world(|w| {
            let app = w.connect(hello5("user:app", "app"));
            w.subscribe(app, "#");
            let _first = w.connect(will(delay));
            let second = w.connect(next(clean));
            w.pass(100);
            assert_eq!(w.payloads(app).len(), usize::from(is_mourned), "delay {delay}, clean {clean}");
            w.lose(second);
            w.pass(100);
            assert_eq!(w.payloads(app), Vec::<String>::new(), "the second link left no will");
        });
    }
}

#[test]
fn the_will_of_the_link_that_took_over_is_the_one_that_counts() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let hello = |text| hello(version, "device:pump", "pump").will("pump/gone", text);
        let _first = w.connect(hello("first"));
        let second = w.connect(hello("second"));
        assert_eq!(w.payloads(app), ["first"]);
        w.disconnect(second);
        assert_eq!(w.payloads(app), Vec::<String>::new());
        let third = w.connect(hello("third"));
        w.lose(third);
        assert_eq!(w.payloads(app), ["third"]);
    });
}

// Session expiry changed at DISCONNECT.

#[test]
fn the_expiry_that_disconnect_names_is_the_one_that_holds() {
    in_every_world(|w| {
        for (at_connect, at_disconnect) in [(100, 10), (10, 100), (100, 0)] {
            let pump = w.connect(hello5("device:pump", "pump").expiry(at_connect));
            w.disconnect_with(pump, ReasonCode::Success, Some(at_disconnect));
            assert_eq!(w.closed(pump), Some(CloseCause::Disconnected));
            w.pass(u64::from(at_disconnect).saturating_sub(1));
            assert_eq!(w.stats().sessions, u64::from(at_disconnect > 0), "{at_connect} → {at_disconnect}");
            w.pass(1);
            assert_eq!(w.stats().sessions, 0, "{at_connect} → {at_disconnect}");
        }
    });
}

#[test]
fn a_shorter_expiry_at_disconnect_cuts_the_delay_of_the_will_short() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let hello: Hello = hello5("device:pump", "pump").expiry(100).will("pump/gone", "gone").will_delay(50);
        let pump = w.connect(hello);
        w.disconnect_with(pump, ReasonCode::DisconnectWithWill, Some(10));
        w.pass(9);
        assert_eq!(w.payloads(app), Vec::<String>::new());
        w.pass(1);
        assert_eq!(w.payloads(app), ["gone"]);
    });
}

#[test]
fn a_session_that_was_to_end_with_its_link_is_not_revived_by_disconnect() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").expiry(0));
        w.disconnect_with(pump, ReasonCode::Success, Some(10));
        assert_eq!(w.closed(pump), Some(CloseCause::Violation(ReasonCode::ProtocolError)));
        assert_eq!(w.stats().sessions, 0);
    });
}

// Overlapping subscriptions.

#[test]
fn overlapping_subscriptions_deliver_at_the_highest_qos_in_whatever_order_they_were_made() {
    let filters = [("#", Qos::AtMostOnce), ("pump/+", Qos::ExactlyOnce), ("pump/a", Qos::AtLeastOnce)];
    for turn in 0..filters.len() {
        in_every_world_and_version(|w, version| {
            let app = w.connect(hello(version, "user:app", "app"));
            for index in 0..filters.len() {
                let (filter, qos) = filters[(index + turn) % filters.len()];
                w.subscribe_with(app, filter, at(qos), None);
            }
            let pump = w.connect(hello(version, "device:pump", "pump"));
            w.publish(pump, letter("pump/a", "x").qos2(1));
            let messages = w.messages(app);
            assert_eq!((messages.len(), messages[0].qos), (1, Qos::ExactlyOnce));
            w.unsubscribe(app, "pump/+");
            w.publish(pump, letter("pump/a", "x").qos2(2));
            let messages = w.messages(app);
            assert_eq!((messages.len(), messages[0].qos), (1, Qos::AtLeastOnce));
        });
    }
}

#[test]
fn overlapping_subscriptions_keep_a_message_for_the_absent_if_one_of_them_does() {
    for [keeps, does_not] in [["pump/a", "#"], ["+/a", "pump/a"]] {
        in_every_world_and_version(|w, version| {
            let app = w.connect(hello(version, "user:app", "app"));
            w.subscribe_with(app, keeps, at(Qos::AtLeastOnce), None);
            w.subscribe_with(app, does_not, at(Qos::AtMostOnce), None);
            w.lose(app);
            let pump = w.connect(hello(version, "device:pump", "pump"));
            w.publish(pump, letter("pump/a", "kept").qos1(1));
            w.publish(pump, letter("pump/b", "not kept").qos1(2));
            let app = w.connect(hello(version, "user:app", "app"));
            assert_eq!(w.payloads(app), ["kept"], "{keeps} beside {does_not}");
        });
    }
}
