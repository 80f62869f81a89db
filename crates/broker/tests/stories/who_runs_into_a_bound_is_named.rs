//! Every bound that a client runs into is told with its name and whose client it was.

use crate::peer::{Got, hello, hello5, letter};
use crate::world::{World, identity};
use keyward_broker::{Bound, CloseCause, Limits, Notice};
use keyward_mqtt::packet::Version;
use keyward_mqtt::reason::ReasonCode;

/// Lets a story happen in a broker with these limits, and sees that the pump ran into `bound` and nobody into another.
fn runs_into(bound: Bound, limits: Limits, story: impl Fn(&mut World)) {
    for shards in 1..=3 {
        let mut world = World::new(shards, limits);
        story(&mut world);
        let expected = Notice::Limit { identity: identity("device:pump"), bound };
        assert!(world.notices.contains(&expected), "{bound:?}: {:?}", world.notices);
        assert!(world.notices.iter().all(|notice| *notice == expected), "{bound:?}: {:?}", world.notices);
    }
}

fn subscribe_to(w: &mut World, filters: &[&str]) {
    let pump = w.connect(hello5("device:pump", "pump"));
    for filter in filters {
        w.subscribe(pump, filter);
    }
}

#[test]
fn bounds_of_subscriptions() {
    let some = Limits::default();
    let both = ["pump/+", "pump/+/b"];
    runs_into(Bound::SubscriptionsPerSession, Limits { subscriptions_per_session: 1, ..some }, |w| {
        subscribe_to(w, &both);
    });
    runs_into(Bound::SubscriptionsPerIdentity, Limits { subscriptions_per_identity: 1, ..some }, |w| {
        subscribe_to(w, &both);
    });
    runs_into(Bound::WildcardsPerIdentity, Limits { wildcards_per_identity: 1, ..some }, |w| {
        subscribe_to(w, &both);
    });
    runs_into(
        Bound::SubscriptionBytesPerIdentity,
        Limits { subscription_bytes_per_identity: 1_000, ..some },
        |w| subscribe_to(w, &["pump/a/b/c/d"]),
    );
    runs_into(Bound::TopicLevels, some, |w| subscribe_to(w, &[&"pump/".repeat(33)]));
    runs_into(Bound::TopicBytes, some, |w| subscribe_to(w, &[&format!("pump/{}", "x".repeat(4_092))]));
}

#[test]
fn bounds_of_publishing() {
    let long = format!("pump/{}", "x".repeat(4_092));
    runs_into(Bound::TopicBytes, Limits::default(), |w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter(&long, "x").qos1(1));
        assert_eq!(w.stats().retained, 0);
    });
    runs_into(Bound::TopicLevels, Limits::default(), |w| {
        let pump = w.connect(hello(Version::V311, "device:pump", "pump"));
        w.publish(pump, letter(&"pump/".repeat(33), "x").retained());
        assert_eq!(w.stats().retained, 0);
    });
    runs_into(Bound::InboundPerIdentity, Limits { inbound_per_identity: 2, ..Limits::default() }, |w| {
        let pump = w.connect(hello5("device:pump", "pump").silent());
        let other = w.connect(hello5("device:pump", "other").silent());
        w.publish(pump, letter("pump/a", "x").qos2(1));
        w.publish(other, letter("pump/a", "x").qos2(1));
        w.got(pump);
        w.publish(pump, letter("pump/a", "x").qos2(2));
        assert_eq!(w.got(pump), [Got::PubRec(2, ReasonCode::QuotaExceeded)]);
        w.pubrel(other, 1);
        w.publish(pump, letter("pump/a", "x").qos2(2));
        assert_eq!(w.got(pump), [Got::PubRec(2, ReasonCode::Success)]);
        // The end of a session gives all its places back.
        w.disconnect_with(pump, ReasonCode::Success, Some(0));
        let old = w.connect(hello(Version::V311, "device:pump", "old").silent());
        w.publish(old, letter("pump/a", "x").qos2(1));
        w.publish(old, letter("pump/a", "x").qos2(2));
        assert!(w.is_open(old));
        w.publish(old, letter("pump/a", "x").qos2(3));
        assert_eq!(w.closed(old), Some(CloseCause::NoRoom));
    });
    runs_into(
        Bound::OutboxBytesHard,
        Limits { outbox_bytes: 500, outbox_bytes_hard: 600, ..Limits::default() },
        |w| {
            let pump = w.connect(hello(Version::V311, "device:pump", "pump"));
            w.set_reading(pump, false);
            for _ in 0..200 {
                w.publish(pump, letter("pump/a", "x").qos1(1));
            }
        },
    );
}

#[test]
fn bounds_of_connecting() {
    let some = Limits::default();
    let connect = |w: &mut World, client_id: &str| {
        w.try_connect(hello5("device:pump", client_id));
    };
    runs_into(Bound::ClientIdBytes, some, |w| connect(w, &"x".repeat(257)));
    runs_into(Bound::Sessions, Limits { sessions: 1, ..some }, |w| {
        connect(w, "a");
        connect(w, "b");
    });
    runs_into(Bound::SessionsPerIdentity, Limits { sessions_per_identity: 1, ..some }, |w| {
        connect(w, "a");
        connect(w, "b");
    });
    let with_will = |w: &mut World, topic: &str, payload: &str| {
        w.try_connect(hello5("device:pump", "pump").will(topic, payload));
    };
    runs_into(Bound::WillBytes, some, |w| with_will(w, "pump/will", &"x".repeat(17_000)));
    runs_into(Bound::TopicLevels, some, |w| with_will(w, &"pump/".repeat(33), "x"));
    runs_into(Bound::TopicBytes, some, |w| with_will(w, &format!("pump/{}", "x".repeat(4_092)), "x"));
}
