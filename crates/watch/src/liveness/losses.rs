//! What a loss is taken for: while the device is away by what came before, when it is back by what it says of itself.

use super::device::{Device, How, Loss, Told};
use super::settings::Settings;
use super::starts::Started;
use crate::event::{End, Exposure, Heartbeat, Reset, UnixMillis};
use crate::finding::{Class, Confidence, Evidence, Severity};
pub(super) use crate::knowledge::span;

/// By how much the clock of a device may disagree about when it started.
const SLACK_MILLIS: u64 = 10_000;
/// So many messages before the heartbeat were buffered: no device makes them so fast.
const BUFFERED_MESSAGES: u32 = 4;

/// Is what something is taken for.
#[derive(Debug, Clone)]
pub(super) struct Judgement {
    pub(super) class: Class,
    pub(super) confidence: Confidence,
    pub(super) severity: Severity,
    pub(super) evidence: Vec<Evidence>,
}

pub(super) fn fact(at: UnixMillis, what: impl Into<Box<str>>) -> Evidence {
    Evidence { at, what: what.into() }
}

fn signed(is_verified: bool) -> &'static str {
    if is_verified { "signed" } else { "not signed" }
}

/// Judges a loss while the device is away. `has_company` says that others of its site are there.
pub(super) fn while_away(device: &Device, loss: &Loss, has_company: bool, settings: &Settings) -> Judgement {
    let mut evidence = Vec::new();
    let touch = device.touched(loss.from, settings).or_else(|| device.touched(loss.noticed, settings));
    let gasp = device.gasped(loss, settings);
    if let Some(touch) = touch {
        let what = format!("the switch {:?} was triggered ({})", touch.input, signed(touch.is_verified));
        evidence.push(fact(touch.at, what));
    }
    evidence.extend(device.heard.map(|heard| fact(heard, "the last message or link came")));
    if let Some((at, is_verified)) = gasp {
        evidence.push(fact(at, format!("it said that its supply fails ({})", signed(is_verified))));
    }
    evidence.push(fact(loss.noticed, how(device, loss)));
    if has_company {
        evidence.push(fact(loss.noticed, "others of its site are there"));
    }
    let is_public = device.exposure == Exposure::Public;
    let (class, confidence, severity) = match (touch, gasp) {
        (Some(touch), _) if touch.is_verified => {
            (Class::TheftSuspected, Confidence::High, Severity::Critical)
        }
        (Some(_), _) => (Class::TheftSuspected, Confidence::Medium, Severity::High),
        (None, Some((_, is_verified))) => {
            let confidence = if is_verified { Confidence::Proven } else { Confidence::Medium };
            let is_pulled = is_public && has_company && !device.is_backed;
            (Class::PowerLoss, confidence, if is_pulled { Severity::High } else { Severity::Medium })
        }
        (None, None) => (Class::Missing, Confidence::Low, of_missing(device.exposure)),
    };
    Judgement { class, confidence, severity, evidence }
}

fn of_missing(exposure: Exposure) -> Severity {
    match exposure {
        Exposure::Locked => Severity::Low,
        Exposure::Workplace | Exposure::Public => Severity::Medium,
    }
}

fn how(device: &Device, loss: &Loss) -> String {
    match (loss.how, device.ended, device.asleep) {
        (How::Gasp, ..) => "nothing came since".to_owned(),
        (How::Overslept, _, Some(asleep)) => {
            format!("it was to wake {} ago, and did not", span(loss.noticed.since(asleep.until)))
        }
        (How::Link, Some((_, end)), _) => match end {
            End::KeepAlive => {
                "its link ended: nothing came for one and a half times the keep-alive".to_owned()
            }
            End::Disconnect => "it took leave".to_owned(),
            End::Server => "the server ended its link, and it did not come back".to_owned(),
            End::Closed | End::TakenOver => "its link was closed without a word".to_owned(),
        },
        _ => match device.usual(loss.noticed) {
            Some(usual) => format!(
                "silent for {}, where {} are usual",
                span(loss.noticed.since(loss.from)),
                span(usual.interval)
            ),
            None => format!("silent for {}", span(loss.noticed.since(loss.from))),
        },
    }
}

/// Judges a device whose link is alive while it says nothing.
pub(super) fn while_linked(device: &Device, now: UnixMillis) -> Judgement {
    let mut evidence: Vec<_> =
        device.heard.map(|heard| fact(heard, "the last message came")).into_iter().collect();
    let usual = device.usual(now).map(|usual| format!(", where {} are usual", span(usual.interval)));
    let silent = span(now.since(device.heard.unwrap_or(now)));
    evidence.push(fact(
        now,
        format!("silent for {silent}{}, while its link is alive", usual.unwrap_or_default()),
    ));
    Judgement {
        class: Class::Stalled,
        confidence: Confidence::Medium,
        severity: of_missing(device.exposure),
        evidence,
    }
}

/// Judges one that is away for too long.
pub(super) fn too_long(loss: &Loss, now: UnixMillis) -> Judgement {
    Judgement {
        class: Class::DestroyedOrStolen,
        confidence: Confidence::Medium,
        severity: Severity::High,
        evidence: vec![
            fact(loss.from, "the last sign of it"),
            fact(now, format!("nothing for {}, and nothing else explains it", span(now.since(loss.from)))),
        ],
    }
}

/// Judges a loss by the first heartbeat after it. `None` if that tells nothing new.
pub(super) fn by_heartbeat(
    told: &Told,
    now: UnixMillis,
    started: Started,
    heartbeat: &Heartbeat,
    is_verified: bool,
) -> Option<Judgement> {
    let back = told.back?;
    // Theft stays suspected, a link that stood says enough, and one that slept starts whatever kept it away.
    if told.class == Class::TheftSuspected || told.loss.how == How::Linked || started.took_leave {
        return None;
    }
    let away = span(back.since.since(told.loss.from));
    let uptime = span(heartbeat.uptime_secs.saturating_mul(1_000));
    let confidence = if is_verified { Confidence::High } else { Confidence::Medium };
    let is_restarted = started.began.plus(SLACK_MILLIS) >= told.loss.from;
    let mut evidence =
        vec![fact(now, format!("it was away for {away} and runs for {uptime} ({})", signed(is_verified)))];
    if started.times > 1 {
        evidence.push(fact(now, format!("it started {} times meanwhile", started.times)));
    }
    let (class, confidence, severity) = if is_restarted {
        let (class, confidence) = by_reset(heartbeat.reset, confidence);
        evidence.push(fact(now, format!("it says why it started: {}", reason(heartbeat.reset))));
        (class, confidence, Severity::Medium)
    } else if let Some(waited) = heartbeat.buffered.filter(|waited| *waited > 0) {
        evidence.push(fact(now, format!("{waited} readings waited in it")));
        (Class::NetworkLoss, confidence, Severity::Low)
    } else if back.messages > BUFFERED_MESSAGES {
        evidence.push(fact(now, format!("{} messages came at once", back.messages)));
        (Class::NetworkLoss, Confidence::Medium, Severity::Low)
    } else if heartbeat.buffered.is_none() {
        evidence.push(fact(now, "it does not say what waited in it"));
        (Class::NetworkLoss, Confidence::Low, Severity::Low)
    } else {
        evidence.push(fact(now, "no readings waited in it"));
        (Class::Stalled, confidence, Severity::Medium)
    };
    Some(Judgement { class, confidence, severity, evidence })
}

/// A device that starts anew by its own will had no link: clients do so when they find none.
fn by_reset(reset: Reset, confidence: Confidence) -> (Class, Confidence) {
    match reset {
        Reset::PowerOn | Reset::Brownout => (Class::PowerLoss, confidence),
        Reset::Watchdog => (Class::Stalled, confidence),
        Reset::Software => (Class::NetworkLoss, Confidence::Low),
        // On many chips the pin reads like a cold start.
        Reset::External | Reset::Unknown => (Class::PowerLoss, Confidence::Medium),
    }
}

pub(super) fn reason(reset: Reset) -> &'static str {
    match reset {
        Reset::Unknown => "it does not know",
        Reset::PowerOn => "its supply came back",
        Reset::Brownout => "its supply was too weak",
        Reset::Watchdog => "its program hung",
        Reset::Software => "its program wanted to",
        Reset::External => "its reset pin was pulled",
    }
}
