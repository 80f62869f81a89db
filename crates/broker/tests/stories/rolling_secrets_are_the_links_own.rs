//! A device that takes part in the rolling secret is asked on its own link, answers once, and is told there what came of it.

use crate::peer::{Peer, hello, hello5, letter};
use crate::world::{World, app_may_everything, in_every_world, in_every_world_and_version, nonce_of};
use keyward_broker::{DeniedAction, RatchetAnswer};
use keyward_mqtt::packet::Qos;

const TOPIC: &str = "$keyward/ratchet";

fn begin(w: &mut World) -> Peer {
    let may = "[[rule]]\nwho = \"device:pump\"\nallow = [\"subscribe\"]\ntopics = [\"$keyward/ratchet\"]\n";
    w.rules(&(app_may_everything() + may));
    let app = w.connect(hello5("user:app", "app"));
    w.subscribe(app, "#");
    w.subscribe(app, "$keyward/#");
    w.got(app);
    app
}

fn says(w: &mut World, pump: Peer, text: &str) {
    w.send(pump, &letter(TOPIC, text).packet());
}

fn told(w: &mut World, peer: Peer) -> Vec<String> {
    let told = w.messages(peer);
    assert!(told.iter().all(|told| told.topic == TOPIC && !told.retain));
    told.into_iter().map(|told| String::from_utf8(told.payload).unwrap()).collect()
}

fn nonce(peer: Peer) -> String {
    let digits: String = nonce_of(peer.link).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("nonce {digits}")
}

#[test]
fn who_asks_is_told_the_nonce_of_its_link_answers_and_is_told_what_came_of_it() {
    in_every_world_and_version(|w, version| {
        let app = begin(w);
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.subscribe(pump, TOPIC);
        assert_eq!(told(w, pump), [nonce(pump)], "{version:?}");
        says(w, pump, "none");
        let answer = RatchetAnswer {
            link: pump.link,
            identity: "device:pump".parse().unwrap(),
            life: 1,
            epoch: 1,
            nonce: nonce_of(pump.link).into(),
            text: b"none".as_slice().into(),
        };
        assert_eq!(std::mem::take(&mut w.ratchets), [answer]);
        assert_eq!(told(w, pump), Vec::<String>::new());
        w.rule(pump, "next");
        assert_eq!(told(w, pump), ["next"]);
        assert_eq!((w.messages(app).len(), w.said.len()), (0, 0), "nobody else hears of it");
        assert!(w.denials.is_empty());
    });
}

#[test]
fn a_nonce_is_good_for_one_answer_and_a_link_that_was_not_asked_gives_none() {
    in_every_world(|w| {
        begin(w);
        let pump = w.connect(hello5("device:pump", "pump"));
        says(w, pump, "none");
        assert_eq!((w.ratchets.len(), w.denials.len()), (0, 1));
        w.rule(pump, "next");
        assert_eq!(told(w, pump), Vec::<String>::new());
        w.subscribe(pump, TOPIC);
        w.subscribe(pump, TOPIC);
        assert_eq!(told(w, pump), [nonce(pump), nonce(pump)]);
        says(w, pump, "none");
        says(w, pump, "none");
        w.subscribe(pump, TOPIC);
        assert_eq!((told(w, pump).len(), w.ratchets.len(), w.denials.len()), (0, 1, 2));
        assert_eq!(w.denials[1].action, DeniedAction::Publish);
        w.lose(pump);
        w.rule(pump, "next");
        let later = w.connect(hello5("device:pump", "pump"));
        w.subscribe(later, TOPIC);
        assert_eq!(told(w, later), [nonce(later)], "another link, another nonce");
    });
}

#[test]
fn an_answer_of_every_qos_is_acknowledged_and_a_long_one_is_not_looked_at() {
    in_every_world_and_version(|w, version| {
        begin(w);
        for (number, qos) in [Qos::AtLeastOnce, Qos::ExactlyOnce].into_iter().enumerate() {
            let pump = w.connect(hello(version, "device:pump", "pump"));
            w.subscribe(pump, TOPIC);
            w.got(pump);
            w.send(pump, &letter(TOPIC, &"x".repeat(129)).qos(qos, number as u16 + 1).packet());
            assert!(!w.got(pump).is_empty(), "{version:?} {qos:?}");
            assert_eq!(w.ratchets.pop().unwrap().text.len(), 0);
        }
    });
}

#[test]
fn users_take_no_part() {
    in_every_world(|w| {
        let app = begin(w);
        w.subscribe(app, TOPIC);
        assert_eq!(told(w, app), Vec::<String>::new());
        says(w, app, "none");
        assert_eq!(w.ratchets, []);
    });
}
