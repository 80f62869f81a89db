//! What people are told of an incident: what is the matter, and what to do.

use crate::control::{IncidentNote, IncidentRow};
use keyward_ids::SiteId;
use keyward_watch::event::Scope;
use keyward_watch::finding::{Class, Confidence, Evidence};
use keyward_watch::incidents::{Incident, State};
use serde::Serialize;

/// Returns an incident as a line of a list; `site` is where the device stands.
pub(crate) fn row(incident: &Incident, site: Option<&SiteId>) -> IncidentRow {
    let state = match incident.state {
        State::Open => "open",
        State::Acknowledged { .. } => "acknowledged",
        State::Ended { .. } => "ended",
        State::Resolved { .. } => "resolved",
    };
    IncidentRow {
        number: incident.number.0,
        incident: incident.class.word().to_owned(),
        scope: incident.scope.to_string(),
        severity: word(incident.severity),
        confidence: word(incident.confidence),
        state: state.to_owned(),
        first_seen_unix_ms: incident.first_seen.0,
        last_seen_unix_ms: incident.last_seen.0,
        seen: incident.seen,
        parent: incident.parent.map(|parent| parent.0),
        what: sentence(incident, site),
    }
}

/// Returns a fact that speaks for an incident.
pub(crate) fn evidence(fact: &Evidence) -> IncidentNote {
    IncidentNote { at_unix_ms: fact.at.0, what: fact.what.to_string() }
}

/// Returns the word by which a value is written.
pub(crate) fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

/// Returns the command that shows an incident.
pub(crate) fn more(incident: &Incident) -> String {
    format!("keyward incident show {}", incident.number)
}

/// Says an incident in a sentence; `site` is where the device stands.
pub(crate) fn sentence(incident: &Incident, site: Option<&SiteId>) -> String {
    let who = subject(&incident.scope, site);
    let surely = match incident.confidence {
        Confidence::Low => "possibly ",
        Confidence::Medium => "probably ",
        Confidence::High | Confidence::Proven => "",
    };
    let (what, remedy) = matter(incident.class);
    format!("{who}: {surely}{what} → {remedy}")
}

fn subject(scope: &Scope, site: Option<&SiteId>) -> String {
    let at = |site: Option<&SiteId>| site.map_or(String::new(), |site| format!(" at {site}"));
    match scope {
        Scope::Device(device) => format!("device {device}{}", at(site)),
        Scope::Site(site) => format!("site {site}"),
        Scope::Gateway(site, name) => format!("gateway {}{}", name.escape_debug(), at(site.as_ref())),
        Scope::Circuit(site, name) => format!("circuit {}{}", name.escape_debug(), at(site.as_ref())),
        Scope::Everything => "this installation".to_owned(),
    }
}

/// Returns what is the matter, and what to do.
fn matter(class: Class) -> (&'static str, &'static str) {
    const LOOK: &str = "look at it, and say what you found";
    const KEYS: &str = "if you did not flash it anew, revoke it; else give it other keys";
    match class {
        Class::Missing => ("silent, and nothing tells why", "it tells when it comes back; else look at it"),
        Class::PowerLoss => ("it lost its power", "look at its supply"),
        Class::NetworkLoss => ("it ran, and was cut off the network", "look at the network there"),
        Class::Stalled => ("it ran, and had nothing to say: it hung, or was jammed", LOOK),
        Class::RebootLoop => ("it starts again and again", "look at its supply and its program"),
        Class::TamperReset => ("somebody pulls its reset pin", LOOK),
        Class::SensorSilent => ("it is there, and one of its sensors is silent", "look at that sensor"),
        Class::DestroyedOrStolen => {
            ("silent for so long that it is destroyed or gone", "look for it; if it is gone, revoke it")
        }
        Class::TheftSuspected => {
            ("it fell silent just after somebody touched it", "look for it; if it is gone, revoke it")
        }
        Class::SiteOutage => ("all of it is silent: power or uplink", "look at the site"),
        Class::SitePower => ("it lost the mains: what has a battery is there", "look at the fuses"),
        Class::GatewayLoss => ("all behind it are silent", "look at it"),
        Class::CircuitLoss => ("all on it are silent", "look at its fuse"),
        Class::OwnTrouble => (
            "so much is silent that the broker or the way to it is in trouble",
            "look at the broker's network first",
        ),
        Class::Tampered => ("somebody opened or moved it", LOOK),
        Class::Equivocation => ("two hold its key: one number stands under two messages", KEYS),
        Class::EpochsInterleave => ("two hold its key: two starts of it speak in turns", KEYS),
        Class::NumbersBehind => ("its numbers went back: it lost its memory, or two hold its key", KEYS),
        Class::Replay => {
            ("somebody sends its old messages again", "they count for nothing; look who is on its network")
        }
        Class::TakeoverPingPong => ("two take each other's place with its credential", KEYS),
        Class::StaleRatchet => {
            ("somebody came with a secret that was used up: two hold its credential", KEYS)
        }
        Class::ImpossibleTravel => ("seen at two places that nobody travels between so fast", LOOK),
        Class::KeyLevelFell => ("its key is less protected than the one before", KEYS),
        Class::BadSignatures => ("messages come in its name that are not signed as they must be", LOOK),
        Class::Moved => {
            ("much says that it is no longer where it was", "look for it; if you moved it, say so")
        }
        Class::OutOfRange => ("a reading is outside what it can be", "look at the sensor"),
        Class::TooFast => ("a reading changes faster than it can", "look at the sensor"),
        Class::Stuck => ("a sensor says the same again and again", "look at the sensor"),
        Class::Unusual => ("readings are not what they use to be", LOOK),
        Class::Disagrees => ("a sensor disagrees with its neighbours", "look at the sensor"),
        Class::NoiseChanged => ("the noise of a sensor changed: something else may stand in its place", LOOK),
        Class::ValueReplay => ("readings of earlier come again, one by one", LOOK),
        Class::RelationBroken => ("sensors contradict each other", "look at both"),
        Class::CadenceChanged => ("readings come at another pace", "look whether its program changed"),
        Class::GroupStep => ("many neighbours changed together", "look whether the world did"),
    }
}
