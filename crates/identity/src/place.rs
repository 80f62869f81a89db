//! Where a device stands beside its site, what it depends on there, and when a person moved it. Rules do not speak of this; the watch
//! judges by it what a silence means.

use crate::{clock::WallTime, limits};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Says what a device depends on where it stands, as far as somebody said it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What connects it: an access point, a radio gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The fuse that it hangs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<String>,
    /// What it lives on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
    /// How often it is to report, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_secs: Option<u64>,
    /// The area that it is not to leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
}

/// Says what a device lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// The mains.
    Mains,
    /// A battery of its own.
    Battery,
    /// A supply that outlasts the mains for a while.
    Ups,
}

/// Is a circle on earth. As text: latitude, longitude and radius, `52.5162,13.3777,200`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// Degrees north of its middle, in millionths.
    pub latitude: i32,
    /// Degrees east of its middle, in millionths.
    pub longitude: i32,
    /// From there to its edge, in metres.
    pub radius_m: u32,
}

/// Says when a person moved a device on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// When that was said.
    pub at: WallTime,
    /// Why, in one line; empty if nothing was said.
    pub because: String,
}

/// Says what is wrong with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceRefusal {
    /// A gateway or circuit is called so that nobody can write it down.
    #[error(
        "the name of a {0} has 1 to {max} letters, digits, '-', '_', '.' and ':', and begins with a letter or digit",
        max = limits::PLACE_NAME_BYTES
    )]
    Name(&'static str),
    /// The interval is none.
    #[error(
        "an interval is 1 s to {} days: how often the device reports when all is well",
        limits::INTERVAL_SECONDS / 86_400
    )]
    Interval,
    /// Why it was moved takes more than a line.
    #[error("why a device was moved is one line of at most {} bytes", limits::REASON_BYTES)]
    Reason,
    /// It is no circle on earth.
    #[error(
        "a fence is LAT,LON,RADIUS: degrees north (-90 to 90), degrees east (-180 to 180), and 10 to 1000000 metres, like 52.5162,13.3777,200"
    )]
    Fence,
}

impl Place {
    /// Tells whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Checks what is said against the bounds.
    ///
    /// # Errors
    /// [`PlaceRefusal`] for the first that is out of them.
    pub fn check(&self) -> Result<(), PlaceRefusal> {
        for (what, name) in [("gateway", &self.gateway), ("circuit", &self.circuit)] {
            if name.as_deref().is_some_and(|name| !is_name(name)) {
                return Err(PlaceRefusal::Name(what));
            }
        }
        if self.interval_secs.is_some_and(|secs| !(1..=limits::INTERVAL_SECONDS).contains(&secs)) {
            return Err(PlaceRefusal::Interval);
        }
        if self.fence.is_some_and(|fence| !fence.is_on_earth()) {
            return Err(PlaceRefusal::Fence);
        }
        Ok(())
    }
}

/// Tells whether a gateway or circuit can be called so.
fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=limits::PLACE_NAME_BYTES).contains(&name.len())
        && name.bytes().all(is_part)
        && name.as_bytes()[0].is_ascii_alphanumeric()
}

impl Power {
    /// Names it in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mains => "mains",
            Self::Battery => "battery",
            Self::Ups => "ups",
        }
    }
}

const MILLIONTHS: f64 = 1e6;

impl Fence {
    fn is_on_earth(self) -> bool {
        self.latitude.unsigned_abs() <= 90_000_000
            && self.longitude.unsigned_abs() <= 180_000_000
            && (10..=1_000_000).contains(&self.radius_m)
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let degrees = |millionths: i32| f64::from(millionths) / MILLIONTHS;
        write!(f, "{},{},{}", degrees(self.latitude), degrees(self.longitude), self.radius_m)
    }
}

impl FromStr for Fence {
    type Err = PlaceRefusal;

    fn from_str(text: &str) -> Result<Self, PlaceRefusal> {
        let degrees = |text: &str, most: f64| {
            let degrees: f64 = text.trim().parse().ok()?;
            // In this range a number of millionths is one that an `i32` holds.
            (-most..=most).contains(&degrees).then(|| (degrees * MILLIONTHS).round() as i32)
        };
        let read = |parts: &[&str]| {
            let [latitude, longitude, radius] = parts else { return None };
            Some(Self {
                latitude: degrees(latitude, 90.0)?,
                longitude: degrees(longitude, 180.0)?,
                radius_m: radius.trim().parse().ok()?,
            })
        };
        let parts: Vec<&str> = text.split(',').collect();
        read(&parts).filter(|fence| fence.is_on_earth()).ok_or(PlaceRefusal::Fence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_read_as_it_was_written() {
        let fence: Fence = "-33.8568, 151.2153,200".parse().unwrap();
        assert_eq!(fence, Fence { latitude: -33_856_800, longitude: 151_215_300, radius_m: 200 });
        assert_eq!(fence.to_string(), "-33.8568,151.2153,200");
        assert_eq!(fence.to_string().parse(), Ok(fence));
        let edge: Fence = "90,-180,1000000".parse().unwrap();
        assert_eq!(edge.to_string(), "90,-180,1000000");
        for text in [
            "",
            "1,2",
            "1,2,3,4",
            "90.1,0,50",
            "0,-180.5,50",
            "NaN,0,50",
            "inf,0,50",
            "0,0,9",
            "0,0,1000001",
            "0,0,-5",
            "a,b,c",
        ] {
            assert_eq!(text.parse::<Fence>(), Err(PlaceRefusal::Fence), "{text}");
        }
    }

    #[test]
    fn what_can_be_written_nowhere_is_no_place() {
        let gateway = |name: &str| Place { gateway: Some(name.into()), ..Place::default() };
        for name in ["ap-2", "AA:BB:CC", "9", &"x".repeat(limits::PLACE_NAME_BYTES)] {
            assert_eq!(gateway(name).check(), Ok(()), "{name}");
        }
        for name in ["", "-a", "a b", "a/b", "a+", "ü", "a\n", &"x".repeat(limits::PLACE_NAME_BYTES + 1)] {
            assert_eq!(gateway(name).check(), Err(PlaceRefusal::Name("gateway")), "{name}");
        }
        for secs in [0, limits::INTERVAL_SECONDS + 1] {
            let place = Place { interval_secs: Some(secs), ..Place::default() };
            assert_eq!(place.check(), Err(PlaceRefusal::Interval));
        }
        let fence = Some(Fence { latitude: i32::MIN, longitude: 0, radius_m: 50 });
        assert_eq!(Place { fence, ..Place::default() }.check(), Err(PlaceRefusal::Fence));
    }
}
