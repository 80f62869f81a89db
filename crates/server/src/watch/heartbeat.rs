//! What devices say of themselves: the heartbeats and alarms of the SDK (CBOR, claims of RFC 9711), and what small chips put into their
//! status (JSON).

use keyward_ids::DeviceId;
use keyward_watch::event::{Event, Heartbeat, Reset, UnixMillis};
use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};
use serde_json::Value;

/// The labels of claims: those of RFC 9711, and Keyward's own (`docs/device.md`).
mod claim {
    pub(super) const UPTIME: i64 = 261;
    pub(super) const BOOT_COUNT: i64 = 267;
    pub(super) const EVENT: i64 = -70_001;
    pub(super) const REASON: i64 = -70_002;
    pub(super) const RESET_CAUSE: i64 = -70_003;
    pub(super) const SUPPLY_MILLIVOLTS: i64 = -70_004;
    pub(super) const OUTBOX: i64 = -70_007;
    pub(super) const SLEEP_SECS: i64 = -70_010;
}

/// Claims that one heartbeat may have.
const CLAIMS: u64 = 64;

/// Is what a message of a device tells of the device itself.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    pub(super) events: Vec<Event>,
    /// Nothing else in it says anything of what its sensors measure.
    pub(super) says_all: bool,
}

/// Returns what a message of a device tells of the device itself; nothing if it is about something else.
pub(super) fn told(device: &DeviceId, topic: &str, payload: &[u8], verified: bool, at: UnixMillis) -> Told {
    let own = topic.strip_prefix("devices/").and_then(|rest| rest.strip_prefix(device.as_str()));
    match own {
        Some("/heartbeat" | "/alarm") => {
            let events = claims(device, payload, verified, at).unwrap_or_default();
            Told { says_all: !events.is_empty(), events }
        }
        _ => status(device, payload, verified, at).unwrap_or(Told { events: Vec::new(), says_all: false }),
    }
}

/// Tells whether a value of a message is what a status says of the device itself.
pub(super) fn is_word(topic: &str, stream: &str) -> bool {
    let word = stream.strip_prefix(topic).and_then(|rest| rest.strip_prefix(' '));
    word.is_some_and(|word| [UPTIME, BOOTS, SLEEP].contains(&word))
}

/// The words of a status of small chips.
const UPTIME: &str = "uptime_s";
const BOOTS: &str = "boots";
const SLEEP: &str = "sleep_s";

/// The word of Tasmota, whose status has memory and radio beside it and no sensor.
const TASMOTA_UPTIME: &str = "UptimeSec";

/// Returns until when a device sleeps that says for how long.
fn wakes(at: UnixMillis, secs: u64) -> UnixMillis {
    at.plus(secs.saturating_mul(1_000))
}

fn claims(device: &DeviceId, payload: &[u8], verified: bool, at: UnixMillis) -> Result<Vec<Event>, Error> {
    let mut decoder = Decoder::new(payload);
    let count =
        decoder.map()?.filter(|count| *count <= CLAIMS).ok_or_else(|| Error::message("too many claims"))?;
    let (mut heartbeat, mut has_uptime, mut event, mut reason) = (Heartbeat::default(), false, "", "");
    for _ in 0..count {
        match decoder.i64()? {
            claim::UPTIME => (heartbeat.uptime_secs, has_uptime) = (decoder.u64()?, true),
            claim::BOOT_COUNT => heartbeat.boot_count = decoder.u64()?,
            claim::OUTBOX => heartbeat.buffered = Some(decoder.u64()?),
            claim::SUPPLY_MILLIVOLTS => heartbeat.supply_millivolts = u32::try_from(decoder.u64()?).ok(),
            claim::RESET_CAUSE => heartbeat.reset = reset(decoder.str()?),
            claim::SLEEP_SECS => heartbeat.sleep_until = Some(wakes(at, decoder.u64()?)),
            claim::EVENT => event = decoder.str()?,
            claim::REASON if decoder.datatype()? == Type::String => reason = decoder.str()?,
            _ => decoder.skip()?,
        }
    }
    let alarm = match event {
        "power-lost" => Some(Event::LastGasp { device: device.clone(), verified }),
        "tamper" | "destroyed" => {
            let input = reason.chars().take(64).collect::<String>().into();
            Some(Event::Tamper { device: device.clone(), input, verified })
        }
        _ => None,
    };
    // What does not say since when it runs is no heartbeat: a start just now would be read out of it.
    let heartbeat = has_uptime.then(|| Event::Heartbeat { device: device.clone(), heartbeat, verified });
    Ok(heartbeat.into_iter().chain(alarm).collect())
}

/// Reads the status of a sketch of `keyward device bundle`, or that of Tasmota.
fn status(device: &DeviceId, payload: &[u8], verified: bool, at: UnixMillis) -> Option<Told> {
    if payload.first() != Some(&b'{') {
        return None;
    }
    let status: Value = serde_json::from_slice(payload).ok()?;
    let number = |key: &str| status.get(key).and_then(Value::as_u64);
    let says_all = status.get(TASMOTA_UPTIME).is_some();
    let uptime_secs = number(UPTIME).or_else(|| number(TASMOTA_UPTIME))?;
    let heartbeat = Heartbeat {
        uptime_secs,
        boot_count: number(BOOTS).unwrap_or_default(),
        reset: status.get("reset").and_then(Value::as_str).map(reset).unwrap_or_default(),
        sleep_until: number(SLEEP).map(|secs| wakes(at, secs)),
        ..Heartbeat::default()
    };
    let event = Event::Heartbeat { device: device.clone(), heartbeat, verified };
    Some(Told { events: vec![event], says_all })
}

/// Reads the words of the SDK, and those of the cores for ESP8266 and ESP32.
fn reset(word: &str) -> Reset {
    let word = word.to_ascii_lowercase();
    let says = |part: &str| word.contains(part);
    if says("brown") {
        Reset::Brownout
    } else if says("watchdog") || says("wdt") || says("exception") || says("panic") {
        Reset::Watchdog
    } else if says("external") {
        Reset::External
    } else if says("power") || word == "boot" {
        Reset::PowerOn
    } else if says("software") || says("deep") || word == "program" {
        Reset::Software
    } else {
        Reset::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minicbor::Encoder;

    const AT: UnixMillis = UnixMillis(1_800_000_000_000);

    fn pump() -> DeviceId {
        "pump".parse().unwrap()
    }

    fn heartbeat(event: &str, reason: Option<&str>) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        encoder.map(6 + u64::from(reason.is_some())).unwrap();
        for (label, number) in [(261, 77), (267, 5), (-70_004, 3_300), (-70_007, 9)] {
            encoder.i64(label).unwrap().u64(number).unwrap();
        }
        encoder.i64(-70_001).unwrap().str(event).unwrap().i64(-70_003).unwrap().str("watchdog").unwrap();
        if let Some(reason) = reason {
            encoder.i64(-70_002).unwrap().str(reason).unwrap();
        }
        encoder.into_writer()
    }

    #[test]
    fn a_heartbeat_of_the_sdk_is_read_and_so_are_its_last_word_and_its_switches() {
        let told = |event, reason, topic| told(&pump(), topic, &heartbeat(event, reason), true, AT).events;
        let beat = Heartbeat {
            uptime_secs: 77,
            boot_count: 5,
            reset: Reset::Watchdog,
            buffered: Some(9),
            sleep_until: None,
            supply_millivolts: Some(3_300),
        };
        let beats = Event::Heartbeat { device: pump(), heartbeat: beat, verified: true };
        assert_eq!(told("heartbeat", None, "devices/pump/heartbeat"), std::slice::from_ref(&beats));
        let gasp = Event::LastGasp { device: pump(), verified: true };
        assert_eq!(told("power-lost", None, "devices/pump/alarm"), [beats.clone(), gasp]);
        let lid = Event::Tamper { device: pump(), input: "lid".into(), verified: true };
        assert_eq!(told("tamper", Some("lid"), "devices/pump/alarm"), [beats, lid]);
        assert_eq!(told("heartbeat", None, "devices/lamp/heartbeat"), [], "of others it says nothing");
    }

    #[test]
    fn a_device_that_says_how_long_it_sleeps_says_until_when() {
        let says = |secs: u64| {
            let mut encoder = Encoder::new(Vec::new());
            encoder.map(2).unwrap().i64(261).unwrap().u64(9).unwrap();
            encoder.i64(-70_010).unwrap().u64(secs).unwrap();
            match &told(&pump(), "devices/pump/heartbeat", &encoder.into_writer(), true, AT).events[..] {
                [Event::Heartbeat { heartbeat, .. }] => heartbeat.sleep_until,
                _ => None,
            }
        };
        assert_eq!(says(60), Some(AT.plus(60_000)));
        assert_eq!(says(u64::MAX), Some(UnixMillis(u64::MAX)));
    }

    #[test]
    fn an_alarm_that_does_not_say_since_when_the_device_runs_tells_of_no_start() {
        let mut encoder = Encoder::new(Vec::new());
        encoder.map(1).unwrap().i64(-70_001).unwrap().str("tamper").unwrap();
        let alarm = Event::Tamper { device: pump(), input: "".into(), verified: false };
        assert_eq!(told(&pump(), "devices/pump/alarm", &encoder.into_writer(), false, AT).events, [alarm]);
    }

    #[test]
    fn a_torn_or_foreign_heartbeat_says_nothing_and_breaks_nothing() {
        let whole = heartbeat("tamper", Some("lid"));
        for end in 0..whole.len() {
            assert_eq!(told(&pump(), "devices/pump/alarm", &whole[..end], true, AT).events, []);
        }
        for payload in
            [&b"\xbf\xff"[..], b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", b"\xa1\x01", b"{}", b"", b"\xff"]
        {
            assert_eq!(told(&pump(), "devices/pump/heartbeat", payload, true, AT).events, [], "{payload:x?}");
        }
    }

    #[test]
    fn the_status_of_small_chips_tells_since_when_they_run() {
        let beat = |payload: &str| match &status(&pump(), payload.as_bytes(), false, AT)?.events[..] {
            [Event::Heartbeat { heartbeat, verified: false, .. }] => Some(*heartbeat),
            _ => None,
        };
        let sketch = beat(r#"{"online":true,"uptime_s":12,"boots":3,"reset":"External System"}"#).unwrap();
        assert_eq!((sketch.uptime_secs, sketch.boot_count, sketch.reset), (12, 3, Reset::External));
        let tasmota =
            beat(r#"{"Time":"…","Uptime":"0T00:01:00","UptimeSec":60,"Wifi":{"RSSI":70}}"#).unwrap();
        assert_eq!((tasmota.uptime_secs, tasmota.boot_count), (60, 0));
        let asleep = beat(r#"{"uptime_s":3,"sleep_s":600}"#).unwrap();
        assert_eq!(asleep.sleep_until, Some(AT.plus(600_000)));
        assert_eq!(beat(r#"{"temperature":21}"#), None);
    }
}
