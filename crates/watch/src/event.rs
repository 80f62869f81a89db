//! What the watch hears, as values. Nothing here judges.
//!
//! Whoever feeds the watch says what happened and when, in the order of time. What a device says of itself carries whether a signature
//! proved it: what anybody could have said never counts as proof.

use crate::declared::Declared;
use core::{fmt, str::FromStr};
use keyward_ids::{DeviceId, NameError, SiteId};
use serde::{Deserialize, Serialize};

/// Is a time: milliseconds since 1970, and never earlier than that of the event before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Returns the milliseconds from `earlier` to this time; 0 if it is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the time so many milliseconds later.
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// Is something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A device exists, or what is known of where it stands has changed.
    Registered {
        /// The device.
        device: DeviceId,
        /// Where it stands.
        place: Place,
    },
    /// What is known of the readings of a device was declared, or has changed.
    Declared {
        /// The device.
        device: DeviceId,
        /// What is known, in place of what was before.
        declared: Box<Declared>,
    },
    /// A device was removed or revoked: nothing is expected of it any more.
    Removed {
        /// The device.
        device: DeviceId,
    },
    /// A link of a device was let in.
    Connected {
        /// The device.
        device: DeviceId,
        /// The link.
        connection: Connection,
    },
    /// A link of a device answered for the rolling secret. Of one that takes no part nothing is said.
    Ratcheted {
        /// The device.
        device: DeviceId,
        /// Its link, as in [`Connection::link`].
        link: u64,
        /// How it answered.
        ratchet: Ratchet,
    },
    /// A link of a device ended.
    Disconnected {
        /// The device.
        device: DeviceId,
        /// Its link, as in [`Connection::link`].
        link: u64,
        /// How it ended.
        end: End,
    },
    /// A message of a device was accepted.
    Message {
        /// The device.
        device: DeviceId,
        /// What matters of it.
        message: Message,
    },
    /// A message of a device held the value of a sensor.
    Reading {
        /// The device.
        device: DeviceId,
        /// The sensor: topic and path, as one name.
        stream: Box<str>,
        /// The value, in the unit of the sensor.
        value: f64,
    },
    /// A device told how it is.
    Heartbeat {
        /// The device.
        device: DeviceId,
        /// What it told.
        heartbeat: Heartbeat,
        /// Whether its signature was verified.
        verified: bool,
    },
    /// The supply of a device is failing, as it says itself.
    LastGasp {
        /// The device.
        device: DeviceId,
        /// Whether its signature was verified.
        verified: bool,
    },
    /// A device told where it is, by satellites or what else it asks.
    Fix {
        /// The device.
        device: DeviceId,
        /// Where it is.
        position: Position,
        /// Whether its signature was verified.
        verified: bool,
    },
    /// A switch that notices tampering was triggered.
    Tamper {
        /// The device.
        device: DeviceId,
        /// Its name for the switch: `case`, `tilt`.
        input: Box<str>,
        /// Whether its signature was verified.
        verified: bool,
    },
    /// The broker found something that its messages prove.
    Proof {
        /// The device.
        device: DeviceId,
        /// What they prove.
        proof: Proof,
    },
    /// A device was refused something.
    Denied {
        /// The device.
        device: DeviceId,
    },
    /// Somebody works on devices: what is missing there until the end is no alarm.
    Maintenance {
        /// What is worked on.
        scope: Scope,
        /// When it ends; in the past takes the window away.
        until: UnixMillis,
    },
    /// A person says that a device was moved on purpose.
    MovedOnPurpose {
        /// The device.
        device: DeviceId,
    },
    /// The broker has started: no link of before is there, and devices need time to come back.
    Restarted,
    /// The broker is, or is no longer, in trouble itself: devices are not to be blamed for what is missing meanwhile.
    OwnTrouble {
        /// Whether it is.
        is_on: bool,
    },
}

/// Says where a device stands, and what it depends on there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The site.
    pub site: Option<SiteId>,
    /// What connects it: an access point, a radio gateway.
    pub gateway: Option<Box<str>>,
    /// The fuse that it hangs on.
    pub circuit: Option<Box<str>>,
    /// What it lives on.
    pub power: Power,
    /// Who can reach it.
    pub exposure: Exposure,
    /// How often it was declared to report, in milliseconds; `None` has it learned.
    pub interval_ms: Option<u64>,
    /// The area that it is not to leave.
    pub fence: Option<Fence>,
}

/// Is a place on earth, in millionths of a degree: 11 cm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Degrees north, from −90,000,000 to 90,000,000.
    pub latitude: i32,
    /// Degrees east, from −180,000,000 to 180,000,000.
    pub longitude: i32,
}

/// Is a circle on earth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// Its middle.
    pub middle: Position,
    /// From there to its edge, in metres.
    pub radius_m: u32,
}

/// Says what a device lives on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// The mains, or nobody said.
    #[default]
    Mains,
    /// A battery of its own.
    Battery,
    /// A supply that outlasts the mains for a while.
    Ups,
}

/// Says who can reach a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// Those with a key to the room.
    Locked,
    /// Those who work there, or nobody said.
    #[default]
    Workplace,
    /// Everybody.
    Public,
}

/// Is what is said of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Scope {
    /// One device.
    Device(DeviceId),
    /// All that depend on one gateway of a site.
    Gateway(Option<SiteId>, Box<str>),
    /// All on one circuit of a site.
    Circuit(Option<SiteId>, Box<str>),
    /// All of a site.
    Site(SiteId),
    /// All that there are.
    Everything,
}

/// Writes `device:ID`, `gateway:SITE/NAME`, `circuit:SITE/NAME`, `site:NAME` or `everything`; of a gateway without a site `gateway:/NAME`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |site: &Option<SiteId>| site.as_ref().map_or("", SiteId::as_str).to_owned();
        match self {
            Self::Device(device) => write!(f, "device:{device}"),
            Self::Gateway(site, name) => write!(f, "gateway:{}/{name}", of(site)),
            Self::Circuit(site, name) => write!(f, "circuit:{}/{name}", of(site)),
            Self::Site(site) => write!(f, "site:{site}"),
            Self::Everything => f.write_str("everything"),
        }
    }
}

/// Says why a text names no scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoScope {
    /// It begins with no kind of scope.
    Kind,
    /// What stands behind the kind is no name.
    Name(NameError),
}

impl fmt::Display for NoScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => {
                f.write_str("write device:ID, site:NAME, gateway:SITE/NAME, circuit:SITE/NAME or everything")
            }
            Self::Name(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for NoScope {}

impl From<NameError> for NoScope {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl FromStr for Scope {
    type Err = NoScope;

    fn from_str(text: &str) -> Result<Self, NoScope> {
        if text == "everything" {
            return Ok(Self::Everything);
        }
        let part = |name: &str| {
            let (site, name) = name.split_once('/').ok_or(NoScope::Kind)?;
            let site = (!site.is_empty()).then(|| SiteId::parse(site)).transpose()?;
            Ok((site, name.into()))
        };
        match text.split_once(':') {
            Some(("device", id)) => Ok(Self::Device(DeviceId::parse(id)?)),
            Some(("site", name)) => Ok(Self::Site(SiteId::parse(name)?)),
            Some(("gateway", name)) => part(name).map(|(site, name)| Self::Gateway(site, name)),
            Some(("circuit", name)) => part(name).map(|(site, name)| Self::Circuit(site, name)),
            _ => Err(NoScope::Kind),
        }
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = NoScope;

    fn try_from(text: String) -> Result<Self, NoScope> {
        text.parse()
    }
}

/// Is what is known of a link when it is let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Its number, which is never used again.
    pub link: u64,
    /// Where it comes from.
    pub source: Source,
    /// The keep-alive that was agreed, in seconds; 0 if there is none.
    pub keep_alive_secs: u16,
}

/// Says where a link comes from, as far as can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The network: an IPv4 address's first 24 bits, an IPv6 address's first 48.
    pub network: u64,
    /// What the client hello of TLS has in common with others of that program; 0 without TLS.
    pub fingerprint: u64,
    /// The autonomous system, where a table is there to tell.
    pub system: Option<u32>,
    /// The country, where a table is there to tell.
    pub country: Option<[u8; 2]>,
    /// Latitude and longitude in hundredths of a degree, where they are known.
    pub location: Option<(i16, i16)>,
}

/// Says how a link answered for the rolling secret of devices without secure hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ratchet {
    /// It knew the secret that it was given last, or the one before where that was never used.
    Current,
    /// It knew one that was given and used earlier.
    Stale,
    /// It said that it knew none, though some were used: anybody can say that who has its password.
    Empty,
}

/// Says how a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The client said so.
    Disconnect,
    /// The connection was closed or reset without a word.
    Closed,
    /// Nothing came for one and a half times the keep-alive.
    KeepAlive,
    /// Another link with the same client identifier took its place.
    TakenOver,
    /// The server ended it: revocation, limits, shutdown.
    Server,
}

/// Is what matters of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What its signature proved; `None` if there was none or it was not asked for.
    pub claims: Option<Claims>,
}

/// Is what the signature of a message proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Which of the device's keys signed it: its identifier, big-endian. Each has numbers of its own.
    pub key: u64,
    /// How often the device had started when it signed.
    pub epoch: u32,
    /// Which message of that start.
    pub count: u64,
    /// When it was signed, by its date; of a message with the nonce of its link instead, when that link was let in.
    pub made: UnixMillis,
    /// The protection of the key, from 0 to 3.
    pub key_level: u8,
}

/// Is how a device says it is: claims of RFC 9711.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Since when it runs, in seconds.
    pub uptime_secs: u64,
    /// How often it started.
    pub boot_count: u64,
    /// Why it started last.
    pub reset: Reset,
    /// How many readings wait in it that could not be sent.
    pub buffered: Option<u64>,
    /// Until when it sleeps.
    pub sleep_until: Option<UnixMillis>,
    /// The voltage of its supply.
    pub supply_millivolts: Option<u32>,
}

/// Says why a device started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reset {
    /// It does not know.
    #[default]
    Unknown,
    /// Its supply came back.
    PowerOn,
    /// Its supply was too weak.
    Brownout,
    /// Its program hung.
    Watchdog,
    /// Its program wanted to.
    Software,
    /// Somebody pulled its reset pin.
    External,
}

/// Is what only a second holder of a key, or a device that lost its memory, can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// One number stands under two messages.
    Equivocation,
    /// A number came that lies far below those seen.
    NumberBehind,
    /// A message that was accepted long ago came again; not what a device says again because no acknowledgement came.
    Replay {
        /// Which: what tells it from the others of its device, as its number or a part of its digest.
        message: u64,
    },
    /// A message came that must be signed and is not, or not truly.
    BadSignature,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_as_it_was_written() {
        let site = || Some("hall".parse().unwrap());
        let scopes = [
            (Scope::Device("pump-1".parse().unwrap()), "device:pump-1"),
            (Scope::Site("hall".parse().unwrap()), "site:hall"),
            (Scope::Gateway(site(), "ap/1".into()), "gateway:hall/ap/1"),
            (Scope::Circuit(None, "F3".into()), "circuit:/F3"),
            (Scope::Everything, "everything"),
        ];
        for (scope, text) in scopes {
            assert_eq!(scope.to_string(), text);
            assert_eq!(text.parse(), Ok(scope));
        }
        for text in
            ["", "pump", "device:", "device:a b", "site:", "gateway:hall", "gateway:a b/x", "user:anna"]
        {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
