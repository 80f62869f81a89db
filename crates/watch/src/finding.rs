//! What a detector says: what it takes for the case, how sure it is, and why.

use crate::event::{Scope, UnixMillis};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Is what a detector found, or that it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// When.
    pub at: UnixMillis,
    /// Of what.
    pub scope: Scope,
    /// What it is taken for.
    pub class: Class,
    /// Whether it begins (or was seen again) or is over.
    pub turn: Turn,
    /// How sure the detector is.
    pub confidence: Confidence,
    /// What follows from it if it is true.
    pub severity: Severity,
    /// Why, in the order of time; at most [`limits::EVIDENCE`](crate::limits::EVIDENCE).
    pub evidence: Vec<Evidence>,
    /// A class that the same scope was in and that this one takes the place of: a loss that is told apart when the device is back.
    pub instead_of: Option<Class>,
    /// The larger thing that this is part of: a device of a site without power.
    pub part_of: Option<(Scope, Class)>,
}

/// Says whether something begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Turn {
    /// It is so, seen now.
    Set,
    /// It is no longer so.
    Clear,
}

/// Is one fact that speaks for a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When it was seen.
    pub at: UnixMillis,
    /// What was seen, as a sentence for a person.
    pub what: Box<str>,
}

/// Says how sure a detector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Other causes are as likely.
    Low,
    /// Other causes are there.
    Medium,
    /// Other causes are far-fetched.
    High,
    /// The device's own signature proves it.
    Proven,
}

/// Says what follows from a finding if it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth a line for those who look.
    Info,
    /// Worth a look some time.
    Low,
    /// Worth a look today.
    Medium,
    /// Somebody is called.
    High,
    /// Somebody is called at once.
    Critical,
}

impl Severity {
    /// Tells whether somebody is called for it.
    pub fn pages(self) -> bool {
        self >= Self::High
    }
}

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Is what a finding is taken for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Class {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Class {
            /// All, in the order in which they are listed.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the word that stands in topics, commands and files.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

classes! {
    /// A device is silent, and nothing tells why.
    Missing = "missing",
    /// Its supply failed.
    PowerLoss = "power-loss",
    /// It ran all the time, and the way to it was cut.
    NetworkLoss = "network-loss",
    /// It ran all the time and had nothing to say: it hung, or was jammed.
    Stalled = "stalled",
    /// It starts again and again.
    RebootLoop = "reboot-loop",
    /// Somebody pulls its reset pin.
    TamperReset = "tamper-reset",
    /// It is there, but one of its sensors is silent.
    SensorSilent = "sensor-silent",
    /// It has been silent for so long that it is destroyed or gone.
    DestroyedOrStolen = "destroyed-or-stolen",
    /// It fell silent just after somebody touched it.
    TheftSuspected = "theft-suspected",
    /// A whole site is silent: power or uplink.
    SiteOutage = "site-outage",
    /// A site lost the mains: what has a battery is still there.
    SitePower = "site-power",
    /// All behind one gateway are silent.
    GatewayLoss = "gateway-loss",
    /// All on one circuit are silent.
    CircuitLoss = "circuit-loss",
    /// The broker itself, or the way to it, is in trouble.
    OwnTrouble = "own-trouble",
    /// A switch that notices tampering was triggered.
    Tampered = "tampered",
    /// Two hold one key: one number, two messages.
    Equivocation = "equivocation",
    /// Two hold one key: starts of the device alternate.
    EpochsInterleave = "epochs-interleave",
    /// Numbers of messages went back.
    NumbersBehind = "numbers-behind",
    /// Old messages come again.
    Replay = "replay",
    /// Two sources take each other's place.
    TakeoverPingPong = "takeover-ping-pong",
    /// Somebody came with a secret that was used up: two hold the credential.
    StaleRatchet = "stale-ratchet",
    /// It was seen at two places that nobody travels between so fast.
    ImpossibleTravel = "impossible-travel",
    /// The key that it uses is less protected than the one before.
    KeyLevelFell = "key-level-fell",
    /// Messages come in its name that are not signed as they must be.
    BadSignatures = "bad-signatures",
    /// Much says that it is no longer where it was.
    Moved = "moved",
    /// A reading is outside its limits.
    OutOfRange = "out-of-range",
    /// A reading changes faster than it can.
    TooFast = "too-fast",
    /// A sensor says the same again and again.
    Stuck = "stuck",
    /// Readings are not what they use to be.
    Unusual = "unusual",
    /// A sensor disagrees with its neighbours.
    Disagrees = "disagrees",
    /// The noise of a sensor changed: another stands in its place.
    NoiseChanged = "noise-changed",
    /// Readings of earlier come again.
    ValueReplay = "value-replay",
    /// Sensors contradict each other.
    RelationBroken = "relation-broken",
    /// Readings come more often or more seldom than they use to.
    CadenceChanged = "cadence-changed",
    /// Many neighbours changed together: the world did, not a sensor.
    GroupStep = "group-step",
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = Class::ALL.iter().map(|class| class.word()).collect();
        assert_eq!(words.len(), Class::ALL.len());
    }
}
