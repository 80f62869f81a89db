//! The watch is told what devices say, each message that was accepted once, with what its signature proves.

use crate::peer::{hello5, letter};
use crate::signed_messages_count_once::{begin, key, publish, sealed};
use crate::world::{World, in_every_world};
use keyward_broker::Signed;
use keyward_broker::limits::SAID_MESSAGES;
use keyward_envelope::Sequence;
use keyward_mqtt::packet::Qos;

const QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

fn told(w: &mut World) -> Vec<(String, Option<Signed>)> {
    std::mem::take(&mut w.said)
}

#[test]
fn what_a_device_says_is_told_whether_somebody_reads_it_or_not() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        told(w);
        for (number, qos) in QOS.into_iter().enumerate() {
            w.send(pump, &letter("pump/a", "1").qos(qos, number as u16 + 1).packet());
            assert_eq!(told(w), [("pump/a".to_owned(), None)], "{qos:?}");
        }
    });
}

/// A link that says more than that in a second says nothing new to the watch; the next second it is heard again.
#[test]
fn of_a_link_that_floods_the_first_of_each_second_is_told() {
    let share = usize::from(SAID_MESSAGES);
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        let lamp = w.connect(hello5("device:lamp", "lamp"));
        for _ in 0..2 {
            w.pass(2);
            told(w);
            for _ in 0..share + 50 {
                w.send(pump, &letter("pump/a", "1").packet());
            }
            w.send(lamp, &letter("lamp/a", "1").packet());
            let heard = told(w);
            assert_eq!(heard.iter().filter(|(topic, _)| topic == "pump/a").count(), share);
            assert_eq!(heard.len(), share + 1, "another is heard");
        }
    });
}

#[test]
fn what_users_say_and_what_is_refused_is_not() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        let pump = w.connect(hello5("device:pump", "pump"));
        w.send(app, &letter("pump/a", "1").packet());
        w.send(pump, &letter("lamp/a", "1").packet());
        assert_eq!(told(w), []);
        assert_eq!(w.denials.len(), 1);
    });
}

#[test]
fn a_signed_message_is_told_once_with_its_number_and_one_that_does_not_count_is_not() {
    in_every_world(|w| {
        let (_, pump) = begin(w);
        let first = sealed(w, 1, "pump/a", 7, 0, "1");
        publish(w, pump, &first, Qos::AtLeastOnce, 1);
        let made = Some(w.now.0 / 1_000);
        let signed = Signed { kid: key(1, 2).kid, sequence: Sequence(7), made, level: 2, is_late: false };
        assert_eq!(told(w), [("pump/a".to_owned(), Some(signed))]);
        let other = sealed(w, 1, "pump/a", 7, 0, "2");
        for payload in [&first[..], &other, b"not signed"] {
            publish(w, pump, payload, Qos::AtLeastOnce, 2);
        }
        assert_eq!(told(w), []);
    });
}
