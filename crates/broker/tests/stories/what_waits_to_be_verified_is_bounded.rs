//! Messages that wait to be verified are held in memory: so many of one device, and so many together, also of links that are gone.

use crate::peer::hello5;
use crate::signed_messages_count_once::{acks, begin, demand, key, packet, publish, sealed};
use crate::world::{World, in_every_world};
use keyward_broker::{Notice, Standing, Unfit};
use keyward_mqtt::packet::{Packet, Qos};
use keyward_mqtt::property::PublishProperties;
use keyward_mqtt::reason::ReasonCode;

const DEVICE: usize = 2 << 20;
const SHARD: usize = 16 << 20;

/// Sends messages of one device, each on a link that is lost before it is verified, until one is refused. Returns how many were not.
fn flood(w: &mut World, device: &str, correlation: Option<&[u8]>, text: &str) -> usize {
    for number in 1..1_000 {
        let pump = w.connect(hello5(&format!("device:{device}"), device).expiry(1_000));
        w.got(pump);
        let topic = format!("{device}/a");
        let payload = sealed(w, 1, &topic, number, 0, text);
        let mut packet = packet(&topic, &payload, Qos::AtLeastOnce, 1);
        if let Packet::Publish(publish) = &mut packet {
            publish.properties =
                PublishProperties { correlation_data: correlation, ..PublishProperties::default() };
        }
        w.send(pump, &packet);
        if let Some(reason) = acks(w, pump).pop() {
            assert_eq!(reason, ReasonCode::QuotaExceeded);
            return number as usize - 1;
        }
        w.lose(pump);
    }
    panic!("there is no bound");
}

fn held(w: &World) -> usize {
    w.stats().unchecked_bytes as usize
}

/// A device with 256 links filled the queue of its shard alone: others were refused.
#[test]
fn a_device_fills_its_part_and_others_are_verified() {
    in_every_world(|w| {
        let (app, _) = begin(w);
        w.rules(
            &(demand("check = \"require\"")
                + "[[signed]]\nwho = \"device:lamp\"\ntopics = [\"#\"]\ncheck = \"require\"\n"),
        );
        w.message_keys("device:lamp", vec![key(1, 2)]);
        w.slow_checks();
        flood(w, "pump", None, &"x".repeat(60_000));
        assert!(w.notices.iter().any(|notice| matches!(notice, Notice::VerifiersBehind { .. })));
        assert!((DEVICE - 70_000..=DEVICE).contains(&held(w)), "{}", held(w));
        let lamp = w.connect(hello5("device:lamp", "lamp"));
        let payload = sealed(w, 1, "lamp/a", 1, 0, "on");
        w.send(lamp, &packet("lamp/a", &payload, Qos::AtLeastOnce, 1));
        w.verify();
        assert_eq!((held(w), w.messages(app).len()), (0, 1), "what links sent that are gone goes nowhere");
        let pump = w.connect(hello5("device:pump", "pump"));
        w.got(pump);
        let payload = sealed(w, 1, "pump/a", 2_000, 0, "22");
        publish(w, pump, &payload, Qos::AtLeastOnce, 2);
        w.verify();
        assert_eq!(acks(w, pump), [ReasonCode::Success]);
        let stats = w.stats();
        assert_eq!((stats.verified, stats.repeated, stats.unfit), (2, 0, [0; Unfit::ALL.len()]));
    });
}

#[test]
fn all_together_have_a_bound() {
    let w = &mut World::new(1, Default::default());
    let _ = begin(w);
    w.rules(
        &(demand("check = \"require\"")
            + "[[signed]]\nwho = \"devices\"\ntopics = [\"{id}/#\"]\ncheck = \"require\"\n"),
    );
    w.slow_checks();
    let text = "x".repeat(60_000);
    let most = (0..12).map(|number| {
        let device = format!("d{number}");
        w.set(&format!("device:{device}"), 1, Standing::Active);
        w.message_keys(&format!("device:{device}"), vec![key(1, 2)]);
        flood(w, &device, None, &text)
    });
    let most: Vec<usize> = most.collect();
    assert!(most[..7].iter().all(|many| *many == most[0]) && most[11] == 0, "{most:?}");
    assert!((SHARD - 70_000..=SHARD).contains(&held(w)), "{}", held(w));
    w.verify();
    assert_eq!(held(w), 0);
}

/// It was not counted: with 60,000 bytes of it a message weighed as much as one without.
#[test]
fn what_stands_beside_the_payload_weighs_too() {
    in_every_world(|w| {
        let _ = begin(w);
        w.slow_checks();
        let most = flood(w, "pump", Some(&[7; 60_000]), "on");
        assert!(most * 2 * 60_000 <= DEVICE, "it is held twice, in {most} messages");
        assert!(held(w) <= DEVICE);
    });
}
