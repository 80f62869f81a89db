//! Filters, overlapping subscriptions, identifiers, No Local, Retain As Published.

use crate::peer::{Got, at, hello, hello5, id, letter};
use crate::shared_groups_share_fairly::all_may_share;
use crate::world::{in_every_world, in_every_world_and_version, in_every_world_with};
use keyward_broker::Limits;
use keyward_mqtt::packet::{
    Packet, Qos, RetainHandling, Subscribe, SubscribeFilters, SubscribeOptions, Version,
};
use keyward_mqtt::property::SubscribeProperties;
use keyward_mqtt::reason::ReasonCode;

#[test]
fn each_filter_has_its_own_code() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.got(pump);
        let filters = [
            ("pump/a", at(Qos::AtMostOnce)),
            ("lamp/a", at(Qos::AtMostOnce)),
            ("pump/#/b", at(Qos::AtMostOnce)),
            ("$share/g/lamp/a", at(Qos::AtMostOnce)),
            ("$share/g", at(Qos::AtMostOnce)),
            ("pump/b", at(Qos::ExactlyOnce)),
        ];
        let packet = Packet::Subscribe(Subscribe {
            id: id(3),
            properties: SubscribeProperties::default(),
            filters: SubscribeFilters::List(&filters),
        });
        w.send(pump, &packet);
        let failed = |code| match version {
            Version::V31 => ReasonCode::Success, // the QoS that was asked for: 3.1 knows no failure
            Version::V311 => ReasonCode::UnspecifiedError,
            Version::V5 => code,
        };
        let expected = [
            ReasonCode::Success,
            failed(ReasonCode::NotAuthorized),
            failed(ReasonCode::TopicFilterInvalid),
            failed(ReasonCode::NotAuthorized),
            failed(ReasonCode::TopicFilterInvalid),
            ReasonCode::GrantedQos2,
        ];
        assert_eq!(w.got(pump), [Got::SubAck(3, expected.to_vec())]);
        assert_eq!(w.stats().subscriptions, 2);
    });
}

#[test]
fn the_refusal_of_a_group_stands_in_the_place_of_its_filter() {
    // [MQTT-3.9.3-1]: which it is shows only when the group has answered.
    for version in [Version::V31, Version::V311, Version::V5] {
        in_every_world_with(Limits { group_members: 1, ..Limits::default() }, |w| {
            w.rules(&all_may_share());
            let member = w.connect(hello(version, "user:app", "member"));
            w.subscribe(member, "$share/full/t");
            let app = w.connect(hello(version, "user:app", "app"));
            w.got(app);
            let filters = [
                ("a", at(Qos::AtMostOnce)),
                ("$share/g/t", at(Qos::AtLeastOnce)),
                ("$share/full/t", at(Qos::ExactlyOnce)),
                ("b", at(Qos::AtLeastOnce)),
            ];
            let packet = Packet::Subscribe(Subscribe {
                id: id(3),
                properties: SubscribeProperties::default(),
                filters: SubscribeFilters::List(&filters),
            });
            w.send(app, &packet);
            let refusal = match version {
                Version::V31 => ReasonCode::GrantedQos2,
                Version::V311 => ReasonCode::UnspecifiedError,
                Version::V5 => ReasonCode::QuotaExceeded,
            };
            let codes = vec![ReasonCode::Success, ReasonCode::GrantedQos1, refusal, ReasonCode::GrantedQos1];
            assert_eq!(w.got(app), [Got::SubAck(3, codes)]);
        });
    }
}

#[test]
fn a_subscription_made_again_loses_nothing_that_waits() {
    // [MQTT-3.8.4-4], in 3.1.1 [MQTT-3.8.4-3]
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").receive_maximum(1).silent());
        w.subscribe(pump, "pump/#");
        let app = w.connect(hello5("user:app", "app"));
        for (number, payload) in [(1, "1"), (2, "2"), (3, "3")] {
            w.publish(app, letter("pump/a", payload).qos1(number));
        }
        w.subscribe(pump, "pump/#");
        for payload in ["1", "2", "3"] {
            let message = w.messages(pump).remove(0);
            assert_eq!(message.payload, payload.as_bytes());
            w.puback(pump, message.id.unwrap());
        }
    });
}

#[test]
fn overlapping_subscriptions_make_one_copy_at_the_highest_qos_with_all_identifiers() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe_with(app, "pump/#", at(Qos::AtMostOnce), Some(1));
        w.subscribe_with(app, "+/a", at(Qos::AtLeastOnce), Some(2));
        w.subscribe_with(app, "pump/a", at(Qos::AtMostOnce), None);
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").qos2(1));
        let messages = w.messages(app);
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].qos, Qos::AtLeastOnce);
        let mut ids = messages[0].subscription_ids.clone();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2]);
    });
}

#[test]
fn a_subscription_is_replaced_by_the_next_with_its_filter() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe_with(app, "pump/#", at(Qos::ExactlyOnce), Some(1));
        w.subscribe_with(app, "pump/#", at(Qos::AtMostOnce), Some(2));
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").qos1(1));
        let messages = w.messages(app);
        assert_eq!((messages[0].qos, &messages[0].subscription_ids[..]), (Qos::AtMostOnce, &[2][..]));
        assert_eq!(w.stats().subscriptions, 1);
    });
}

#[test]
fn no_local_keeps_a_clients_own_messages_away() {
    in_every_world(|w| {
        let no_local = SubscribeOptions { no_local: true, ..at(Qos::AtLeastOnce) };
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe_with(app, "pump/#", no_local, None);
        let twin = w.connect(hello5("user:app", "twin"));
        w.publish(app, letter("pump/a", "mine"));
        w.publish(twin, letter("pump/a", "of another client"));
        assert_eq!(w.payloads(app), ["of another client"]);
    });
}

#[test]
fn the_retain_flag_is_forwarded_only_where_that_was_asked() {
    in_every_world(|w| {
        let as_published = SubscribeOptions { retain_as_published: true, ..at(Qos::AtMostOnce) };
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe_with(app, "pump/a", as_published, None);
        w.subscribe_with(app, "pump/b", at(Qos::AtMostOnce), None);
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").retained());
        w.publish(pump, letter("pump/b", "x").retained());
        let flags: Vec<_> = w.messages(app).into_iter().map(|message| message.retain).collect();
        assert_eq!(flags, [true, false]);
    });
}

#[test]
fn unsubscribing_ends_delivery_and_says_what_was_there() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "pump/#");
        w.got(app);
        w.unsubscribe(app, "pump/#");
        w.unsubscribe(app, "pump/#");
        let expected = match version {
            Version::V31 | Version::V311 => [vec![], vec![]],
            Version::V5 => [vec![ReasonCode::Success], vec![ReasonCode::NoSubscriptionExisted]],
        };
        assert_eq!(w.got(app), expected.map(|codes| Got::UnsubAck(60_001, codes)));
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x"));
        assert_eq!(w.got(app), []);
        assert_eq!(w.stats().subscriptions, 0);
    });
}

#[test]
fn a_suback_waits_until_every_shard_knows() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.got(app);
        let others: Vec<_> = (0..w.shard_count()).filter(|shard| *shard != w.shard_of(app)).collect();
        for shard in &others {
            w.set_deaf(*shard, true);
        }
        w.subscribe_only(app, 1, "pump/#", at(Qos::AtMostOnce), None);
        w.settle();
        assert_eq!(w.got(app).is_empty(), !others.is_empty());
        for shard in others.iter().copied() {
            w.set_deaf(shard, false);
        }
        let expected: Vec<_> =
            others.iter().take(1).map(|_| Got::SubAck(1, vec![ReasonCode::Success])).collect();
        assert_eq!(w.got(app), expected);
    });
}

#[test]
fn a_second_session_waits_for_the_same_answers_as_the_first() {
    in_every_world(|w| {
        let first = w.connect(hello5("device:pump", "a"));
        let second = w.connect(hello5("device:pump", "b"));
        assert_eq!(w.shard_of(first), w.shard_of(second));
        w.got(first);
        w.got(second);
        if w.shard_count() == 1 {
            return;
        }
        let other = (w.shard_of(first) + 1) % w.shard_count();
        w.set_deaf(other, true);
        w.subscribe_only(first, 1, "pump/#", at(Qos::AtMostOnce), None);
        w.subscribe_only(second, 1, "pump/#", at(Qos::AtMostOnce), None);
        w.settle();
        assert_eq!((w.got(first), w.got(second)), (vec![], vec![]));
        w.set_deaf(other, false);
        assert_eq!((w.got(first).len(), w.got(second).len()), (1, 1));
    });
}

#[test]
fn a_stored_session_waits_until_every_shard_knows_that_it_is_stored() {
    in_every_world(|w| {
        let short = w.connect(hello5("device:pump", "a").expiry(0));
        let stored = w.connect(hello5("device:pump", "b"));
        w.got(stored);
        if w.shard_count() == 1 {
            return;
        }
        w.subscribe(short, "pump/#");
        let other = (w.shard_of(stored) + 1) % w.shard_count();
        w.set_deaf(other, true);
        w.subscribe_only(stored, 1, "pump/#", at(Qos::AtMostOnce), None);
        w.settle();
        assert_eq!(w.got(stored), []);
        w.set_deaf(other, false);
        assert_eq!(w.got(stored).len(), 1);
    });
}

#[test]
fn requests_under_a_packet_id_in_use_are_refused() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.got(app);
        w.slow_store();
        w.subscribe_only(app, 1, "a", at(Qos::AtMostOnce), None);
        w.subscribe_only(app, 1, "b", at(Qos::AtMostOnce), None);
        w.settle();
        w.store();
        let expected = [
            Got::SubAck(1, vec![ReasonCode::Success]),
            Got::SubAck(1, vec![ReasonCode::PacketIdentifierInUse]),
        ];
        assert_eq!(w.got(app), expected);
    });
}

#[test]
fn subscriptions_have_bounds_per_session_and_per_identity() {
    let limits = Limits { subscriptions_per_session: 2, subscriptions_per_identity: 3, ..Limits::default() };
    in_every_world_with(limits, |w| {
        let first = w.connect(hello5("device:pump", "a"));
        let codes: Vec<_> = ["pump/1", "pump/2", "pump/3", "pump/2"]
            .iter()
            .flat_map(|filter| w.subscribe(first, filter))
            .collect();
        let granted = ReasonCode::GrantedQos2;
        assert_eq!(codes, [granted, granted, ReasonCode::QuotaExceeded, granted]);
        let second = w.connect(hello5("device:pump", "b"));
        assert_eq!(w.subscribe(second, "pump/1"), [granted]);
        assert_eq!(w.subscribe(second, "pump/2"), [ReasonCode::QuotaExceeded]);
        w.unsubscribe(first, "pump/1");
        assert_eq!(w.subscribe(second, "pump/2"), [granted]);
    });
}

#[test]
fn retain_handling_says_when_retained_messages_come() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "kept").retained().qos1(1));
        let app = w.connect(hello5("user:app", "app"));
        for (handling, first, again) in
            [(RetainHandling::Always, 1, 1), (RetainHandling::IfNew, 1, 0), (RetainHandling::Never, 0, 0)]
        {
            let options = SubscribeOptions { retain_handling: handling, ..at(Qos::AtLeastOnce) };
            for expected in [first, again] {
                w.subscribe_with(app, "pump/+", options, None);
                assert_eq!(w.messages(app).len(), expected, "{handling:?}");
            }
            w.unsubscribe(app, "pump/+");
            w.got(app);
        }
    });
}

#[test]
fn a_fan_out_that_is_too_large_for_one_slice_reaches_everybody_in_order() {
    let limits = Limits { sessions_per_identity: 10_000, ..Limits::default() };
    in_every_world_with(limits, |w| {
        let readers: Vec<_> =
            (0..2_100).map(|number| w.connect(hello5("device:pump", &number.to_string()))).collect();
        for reader in &readers {
            w.subscribe(*reader, "pump/a");
        }
        let app = w.connect(hello5("user:app", "app"));
        let last = *readers.last().unwrap();
        w.subscribe(last, "pump/last");
        w.send_only(app, &letter("pump/a", "1").packet());
        w.send_only(app, &letter("pump/last", "2").packet());
        assert!(w.shard_count() > 1 || w.is_behind(app), "one slice is not enough");
        w.settle();
        for reader in readers {
            let expected = if reader.link == last.link { vec!["1", "2"] } else { vec!["1"] };
            assert_eq!(w.payloads(reader), expected);
        }
    });
}
