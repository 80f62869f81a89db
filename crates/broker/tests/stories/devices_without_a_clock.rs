//! Devices without a clock sign for the session of their link: by the nonce that it was given, and by no other.

use crate::peer::{Peer, hello, hello5};
use crate::signed_messages_count_once::{key, packet};
use crate::world::{
    INSTALLATION, World, app_may_everything, in_every_world, in_every_world_and_version, nonce_of,
};
use keyward_broker::{DeniedAction, Unfit};
use keyward_envelope::software::Ed25519Key;
use keyward_envelope::{Claims, Context, Direction, Message, Nonce, Sequence, sign};
use keyward_mqtt::packet::Qos;

const TOPIC: &str = "$keyward/nonce";

fn rules() -> String {
    app_may_everything()
        + "[[signed]]\nwho = \"device:pump\"\ntopics = [\"pump/#\"]\ncheck = \"require\"\n"
        + "[[rule]]\nwho = \"device:pump\"\nallow = [\"subscribe\"]\ntopics = [\"$keyward/nonce\"]\n"
}

/// Signs without a date, for the session of this nonce.
pub(crate) fn undated(nonce: &[u8], sequence: u64) -> Vec<u8> {
    let context = Context {
        direction: Direction::Up { device: "pump" },
        installation: INSTALLATION,
        topic: "pump/a",
        correlation: None,
    };
    let claims = Claims::in_session(Sequence(sequence), Nonce::new(nonce).unwrap());
    let mut out = [0; 512];
    let message = Message { claims, format: None, payload: b"21.5" };
    let len = sign(&message, &context, &mut Ed25519Key::from_seed(&[1; 32]), &mut out).unwrap();
    out[..len].to_vec()
}

fn publish(w: &mut World, pump: Peer, payload: &[u8]) {
    w.send(pump, &packet("pump/a", payload, Qos::AtLeastOnce, 7));
}

fn begin(w: &mut World) -> Peer {
    w.rules(&rules());
    w.message_keys("device:pump", vec![key(1, 2)]);
    let app = w.connect(hello5("user:app", "app"));
    w.subscribe(app, "#");
    w.got(app);
    app
}

#[test]
fn a_device_asks_for_the_nonce_of_its_link_and_what_it_signs_with_it_goes_on() {
    in_every_world_and_version(|w, version| {
        let app = begin(w);
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.subscribe(pump, TOPIC);
        let told = w.messages(pump);
        let expected: String = nonce_of(pump.link).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((told.len(), told[0].topic.as_str()), (1, TOPIC), "{version:?}");
        assert_eq!((told[0].payload.as_slice(), told[0].retain), (expected.as_bytes(), false));
        publish(w, pump, &undated(&nonce_of(pump.link), 1));
        assert_eq!(w.messages(app).len(), 1);
        w.subscribe(pump, TOPIC);
        assert_eq!(w.messages(pump).len(), 1, "as often as it asks");
        w.subscribe(app, TOPIC);
        assert!(w.messages(app).iter().all(|told| told.payload != expected.as_bytes()), "each has its own");
    });
}

#[test]
fn in_a_later_session_what_was_taken_is_a_repeat_and_what_was_not_is_refused() {
    in_every_world(|w| {
        let app = begin(w);
        let first = w.connect(hello5("device:pump", "pump"));
        let (taken, kept) = (undated(&nonce_of(first.link), 1), undated(&nonce_of(first.link), 2));
        publish(w, first, &taken);
        assert_eq!(w.messages(app).len(), 1);
        w.lose(first);
        let later = w.connect(hello5("device:pump", "pump"));
        publish(w, later, &taken);
        assert!(w.denials.is_empty(), "its acknowledgement was lost");
        publish(w, later, &kept);
        assert_eq!(w.denials.pop().unwrap().action, DeniedAction::Signed(Unfit::Session));
        assert_eq!(w.messages(app).len(), 0);
        publish(w, later, &undated(&nonce_of(later.link), 2));
        assert_eq!(w.messages(app).len(), 1, "its number was not taken by what was refused");
    });
}

/// A device reconnected with six messages in its outbox that it had signed for the link that broke: each link was closed at the fifth.
#[test]
fn a_device_is_not_closed_for_what_it_signed_for_an_earlier_link() {
    in_every_world(|w| {
        let app = begin(w);
        let first = w.connect(hello5("device:pump", "pump"));
        w.lose(first);
        let later = w.connect(hello5("device:pump", "pump"));
        for number in 1..=20 {
            publish(w, later, &undated(&nonce_of(first.link), number));
            assert_eq!(w.denials.pop().unwrap().action, DeniedAction::Signed(Unfit::Session));
        }
        assert!(w.is_open(later));
        publish(w, later, &undated(&nonce_of(later.link), 21));
        assert_eq!(w.messages(app).len(), 1);
    });
}
