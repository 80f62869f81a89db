//! A store that an older broker wrote is read by every later one, with all that is in it.
//!
//! `tests/fixtures/format-N.txt` holds what one scene left on disk in format N, a record of each kind. When a format comes, its
//! file is written by `cargo test -p keyward-broker --test stories -- --ignored the_fixture_of_todays_format_is_written`; the
//! older ones stay as they are.

use crate::peer::{Got, at, hello5, letter};
use crate::signed_messages_count_once::{key, packet, sealed};
use crate::world::{World, rule};
use core::fmt::Write as _;
use keyward_broker::persist::{FORMAT, UPGRADES, Upgrade, recover, upgrades};
use keyward_broker::{HashKey, Limits};
use keyward_mqtt::packet::{Qos, SubscribeOptions};
use keyward_mqtt::property::PublishProperties;
use keyward_mqtt::time::{Millis, Now, UnixMillis};
use keyward_store::memory::MemoryEngine;
use keyward_store::{Batch, Engine as _, Table};

const META: Table = Table::new(0);
const NAMES: [&str; 11] = [
    "meta",
    "session",
    "subscription",
    "inbound",
    "place",
    "message",
    "accepted",
    "retained",
    "will",
    "group",
    "window",
];

/// The lamp signs what it says on `lamp/x/signed`.
const SIGNED: &str = "[[signed]]\nwho = \"device:lamp\"\ntopics = [\"lamp/x/signed\"]\ncheck = \"require\"\n";

fn all_may_everything() -> String {
    rule("users", "allow", &["publish", "subscribe", "share"], &["#"])
        + &rule("devices", "allow", &["publish", "subscribe", "share"], &["#"])
        + SIGNED
}

/// Leaves a record of each kind: `away` and `member` are away, `half` has half of a QoS 2 exchange, `pump` has the other half
/// of two, and `lamp` left a will.
fn scene() -> World {
    let mut world = World::on_disk(1, Limits::default());
    let w = &mut world;
    w.rules(&all_may_everything());
    let away = w.connect(hello5("user:app", "away"));
    let as_published = SubscribeOptions { retain_as_published: true, ..at(Qos::ExactlyOnce) };
    w.subscribe_with(away, "pump/#", as_published, Some(7));
    w.subscribe_with(away, "lamp/+", SubscribeOptions { no_local: true, ..at(Qos::AtLeastOnce) }, None);
    w.lose(away);
    let half = w.connect(hello5("user:app", "half").silent());
    w.subscribe(half, "pump/once");
    let member = w.connect(hello5("user:app", "member").receive_maximum(1).silent());
    w.subscribe(member, "$share/jobs/work/#");
    let lamp = w.connect(hello5("device:lamp", "lamp").expiry(0).will("lamp/status", "gone"));
    w.lose(lamp);
    let pump = w.connect(
        hello5("device:pump", "pump").silent().retained_will("pump/status", "offline").will_delay(5),
    );
    let properties = PublishProperties {
        message_expiry: Some(600),
        response_topic: Some("pump/answer"),
        correlation_data: Some(b"42"),
        ..PublishProperties::default()
    };
    w.publish(pump, letter("pump/asks", "how much?").with(properties).qos1(1));
    w.publish(pump, letter("pump/once", "once").qos2(2));
    w.publish(pump, letter("pump/state", "on").retained().qos1(3));
    w.publish(pump, letter("pump/zero", "0").retained());
    let once = w.messages(half)[0].id.unwrap();
    w.pubrec(half, once);
    for number in 1..=3 {
        let topic = format!("work/{number}");
        w.publish(pump, letter(&topic, &number.to_string()).qos2(10 + number));
        w.pubrel(pump, 10 + number);
    }
    w.lose(member);
    w.flush();
    w.slow_store();
    w.publish(pump, letter("pump/late", "late").qos2(4));
    w.store();
    w.message_keys("device:lamp", vec![key(1, 2)]);
    let lamp = w.connect(hello5("device:lamp", "lamp").expiry(0));
    let signed = sealed(w, 1, "lamp/x/signed", 7, 0, "on");
    w.send(lamp, &packet("lamp/x/signed", &signed, Qos::AtMostOnce, 1));
    w.store();
    world
}

/// What the lamp had signed counts once.
fn a_signed_message_is_known(w: &mut World) {
    let passing = w.connect(hello5("user:app", "listening").expiry(0));
    w.subscribe(passing, "lamp/x/signed");
    let lamp = w.connect(hello5("device:lamp", "lamp").expiry(0));
    let [known, new] = [7, 8].map(|number| sealed(w, 1, "lamp/x/signed", number, 0, "on"));
    for payload in [known, new] {
        w.send(lamp, &packet("lamp/x/signed", &payload, Qos::AtLeastOnce, 1));
    }
    assert_eq!(w.messages(passing).len(), 1);
    w.disconnect(lamp);
    w.disconnect(passing);
}

/// Finds what the scene left.
fn is_all_there(mut world: World, format: u32) {
    let w = &mut world;
    w.rules(&all_may_everything());
    let (away, present) = w.resume(hello5("user:app", "away"));
    assert!(present);
    let came = w.messages(away);
    let told: Vec<_> = came.iter().map(|m| (&*m.topic, &*m.payload, m.qos, m.retain)).collect();
    let (once, twice) = (Qos::AtLeastOnce, Qos::ExactlyOnce);
    let expected: [(&str, &[u8], Qos, bool); 5] = [
        ("lamp/status", b"gone", once, false),
        ("pump/asks", b"how much?", once, false),
        ("pump/once", b"once", twice, false),
        ("pump/state", b"on", once, true),
        ("pump/late", b"late", twice, false),
    ];
    assert_eq!(told, expected);
    let asks = &came[1];
    assert_eq!((asks.expiry, asks.response_topic.as_deref()), (Some(600), Some("pump/answer")));
    assert_eq!((asks.correlation.as_deref(), &*asks.subscription_ids), (Some(&b"42"[..]), &[7][..]));
    half_an_exchange_goes_on(w);
    the_group_goes_on(w);
    if format >= 2 {
        a_signed_message_is_known(w);
    }
    let passing = w.connect(hello5("user:app", "passing").expiry(0));
    w.subscribe(passing, "pump/#");
    assert_eq!(w.payloads(passing), ["on", "0"], "what was retained");
    let (pump, _) = w.resume(hello5("device:pump", "pump").silent());
    for (number, topic) in [(2, "pump/once"), (4, "pump/late")] {
        let payload = &topic["pump/".len()..];
        w.publish(pump, letter(topic, payload).qos2(number).dup());
        assert!(matches!(w.got(pump)[..], [Got::PubRec(again, _)] if again == number));
    }
    assert_eq!(w.payloads(away), [""; 0], "they had come already");
}

/// PUBREC had come: PUBREL is sent, and not the message.
fn half_an_exchange_goes_on(w: &mut World) {
    let (half, present) = w.resume(hello5("user:app", "half").silent());
    let got = w.got(half);
    assert!(present && matches!(got[..], [Got::PubRel(1, _)]), "{got:?}");
}

/// The message that was handed out comes to its member again, and the others after it.
fn the_group_goes_on(w: &mut World) {
    let (member, _) = w.resume(hello5("user:app", "member").receive_maximum(1));
    let came = w.messages(member);
    let told: Vec<_> = came.iter().map(|m| (&*m.topic, m.dup)).collect();
    assert_eq!(told, [("work/1", true), ("work/2", false), ("work/3", false)]);
}

/// Nobody comes back.
fn the_will_is_published(mut world: World) {
    let w = &mut world;
    w.rules(&all_may_everything());
    let passing = w.connect(hello5("user:app", "passing").expiry(0));
    w.subscribe(passing, "pump/status");
    w.pass(61);
    assert_eq!(w.payloads(passing), ["offline"]);
}

fn parse(text: &str) -> Batch {
    let mut batch = Batch::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let mut words = line.split(' ');
        let table = Table::new(words.next().unwrap().parse().unwrap());
        let [key, value] = [words.next(), words.next()].map(|word| bytes(word.unwrap()));
        batch.put(table, &key, &value);
    }
    batch
}

fn bytes(hex: &str) -> Vec<u8> {
    if hex == "-" {
        return Vec::new();
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
}

/// Writes what is on disk as a fixture.
fn write(world: World) -> String {
    let mut text = format!(
        "# Format {FORMAT}: table, key and value in hexadecimal; docs/format.md says what they mean.\n"
    );
    let mut last = None;
    for (table, key, value) in world.what_a_crash_leaves() {
        if last.replace(table) != Some(table) {
            let _ = writeln!(text, "\n# {}", NAMES[usize::from(table.number())]);
        }
        let _ = writeln!(text, "{} {} {}", table.number(), hex(&key), hex(&value));
    }
    text
}

fn fixture(format: u32) -> String {
    let path = format!("{}/tests/fixtures/format-{format}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A store that says to have this format, and that it needs such a release.
fn store_of(format: u32, needs: Option<&str>) -> MemoryEngine {
    let (mut engine, mut batch) = (MemoryEngine::new(), Batch::new());
    batch.put(META, b"format", &format.to_be_bytes());
    if let Some(needs) = needs {
        batch.put(META, b"needs", needs.as_bytes());
    }
    engine.append(&batch).unwrap();
    engine
}

fn refusal(store: &MemoryEngine) -> String {
    let now = Now { mono: Millis(1), wall: UnixMillis(1) };
    let asked = upgrades(store, UPGRADES).unwrap_err().to_string();
    assert_eq!(recover(store, HashKey::new([7; 16]), now).unwrap_err().to_string(), asked);
    asked
}

#[test]
fn a_store_of_every_format_is_read_with_all_that_is_in_it() {
    for format in 1..=FORMAT {
        let records = parse(&fixture(format));
        for shards in 1..=3 {
            is_all_there(World::on_records(shards, &records), format);
            the_will_is_published(World::on_records(shards, &records));
        }
    }
}

#[test]
fn what_is_written_today_is_the_format_of_today_byte_by_byte() {
    let (today, fixture) = (write(scene()), fixture(FORMAT));
    for (today, fixture) in today.lines().zip(fixture.lines()) {
        assert_eq!(today, fixture, "the bytes of a record have changed: that is another format");
    }
    assert_eq!(today.lines().count(), fixture.lines().count());
}

#[test]
fn a_newer_format_is_refused_with_the_release_that_it_needs() {
    let refused = refusal(&store_of(FORMAT + 1, Some("9.9.9")));
    assert!(refused.contains("format 3") && refused.contains("start Keyward 9.9.9 or newer"), "{refused}");
    assert!(refusal(&store_of(FORMAT + 1, None)).contains("start a newer Keyward"));
}

#[test]
fn an_older_format_is_brought_up_to_date_step_by_step_and_one_that_nobody_knows_is_refused() {
    assert!(refusal(&store_of(0, None)).contains("format 0, from which nothing leads to 2"));
    let nothing = Upgrade { from: 0, what: "invented for this test", changes: |_| Ok(Batch::new()) };
    let mut store = store_of(0, None);
    let known: Vec<Upgrade> = [nothing].into_iter().chain(UPGRADES.iter().copied()).collect();
    let steps = upgrades(&store, &known).unwrap();
    assert_eq!(steps.len(), FORMAT as usize);
    for step in steps {
        let batch = step.batch(&store).unwrap();
        store.append(&batch).unwrap();
    }
    assert!(upgrades(&store, UPGRADES).unwrap().is_empty(), "it has today's format now");
}

#[test]
#[ignore = "writes a file into the source tree"]
#[expect(clippy::disallowed_methods, reason = "nobody else is at this file")]
fn the_fixture_of_todays_format_is_written() {
    let path = format!("{}/tests/fixtures/format-{FORMAT}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(path, write(scene())).unwrap();
}
