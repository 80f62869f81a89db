//! A secret that rolls with each connection: for devices without secure hardware, from which everything can be copied.
//!
//! A copy cannot be prevented there, but it shows. With each connection the device proves that it knows the secret that it was given last,
//! and is given the next one. Of two that hold the same secret one is soon left behind: once both have connected twice, one of them was
//! [`Answer::Stale`].
//!
//! # How it runs
//! 1. The broker gives the device a nonce on its link.
//! 2. The device answers on `$keyward/ratchet` with the number of its secret and HMAC-SHA256(secret, nonce). Without a secret it says so.
//! 3. The broker asks [`Ratchet::answer`], with whether the tag is right; stores [`Ratchet::to_bytes`]; and only then gives the device the secret
//!    of the number in the answer.
//! 4. The device stores it in place of its own, in one piece, before it uses it.
//!
//! Wherever the device or the broker stops between these steps, the device is not taken for another: before step 4 it answers with the
//! secret that it used already, which is good as long as no later one was used.
//!
//! # What is not here
//! No secret, no key and no hash: the secret of a number is derived by the caller, HMAC-SHA256 of device, credentials and number with a key that
//! only the server has. So any number can be checked, however old, and what is kept of a device are two numbers.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Is what the broker knows of the secrets of one device, 17 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ratchet {
    /// The highest number that the device has used; 0 if none.
    used: u64,
    /// The highest number that it was given; 0 if none.
    given: u64,
}

/// Is what the device says it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// No secret.
    Nothing,
    /// The secret of a number, and whether its tag over the nonce of the link is right.
    Secret {
        /// Which.
        number: u64,
        /// Whether the tag is that of the secret of this number.
        is_right: bool,
    },
}

/// Says who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// One that holds the newest secret, or begins: store the ratchet, then give it the secret of this number.
    Current {
        /// The number of the next secret.
        give: u64,
    },
    /// One that holds a secret that was used up: two hold the credential, or a flash was restored. Nothing is given.
    Stale,
    /// One that holds none though some were used: it lost its memory, or knows the password alone. Nothing is given.
    Empty,
    /// One that knows no secret that was given. It proves nothing, and is refused.
    Wrong,
}

impl Ratchet {
    /// The length of its byte form.
    pub const LEN: usize = 17;

    /// The first byte of the byte form.
    const VERSION: u8 = 1;

    /// Returns one of a device that was given no secret.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what a device answered. Only a right tag changes anything; a device that was given nothing yet begins without one.
    pub fn answer(&mut self, claim: Claim) -> Answer {
        match claim {
            // Until a secret was used nobody can tell whether the device ever received one.
            Claim::Nothing if self.used == 0 => self.give_after(0),
            Claim::Nothing => Answer::Empty,
            Claim::Secret { number: 0, .. } | Claim::Secret { is_right: false, .. } => Answer::Wrong,
            Claim::Secret { number, .. } => {
                // One that was given by a server whose store was lost since is right, and goes on from there.
                let is_newest = number >= self.given;
                let is_next_unused = number == self.used;
                if !is_newest && !is_next_unused {
                    return Answer::Stale;
                }
                self.give_after(number)
            }
        }
    }

    /// Takes that a number was used, and counts on to one that was never given. One that was given and not used is not given again: who
    /// stored it is another.
    fn give_after(&mut self, used: u64) -> Answer {
        let Some(give) = self.given.max(used).checked_add(1) else { return Answer::Wrong };
        *self = Self { used, given: give };
        Answer::Current { give }
    }

    /// Returns what to store: a version, the highest number that was used, the highest that was given, big-endian.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [Self::VERSION; Self::LEN];
        bytes[1..9].copy_from_slice(&self.used.to_be_bytes());
        bytes[9..].copy_from_slice(&self.given.to_be_bytes());
        bytes
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// [`Unreadable`], with why.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let [version, numbers @ ..]: [u8; Self::LEN] =
            bytes.try_into().map_err(|_| Unreadable::Length(bytes.len()))?;
        if version != Self::VERSION {
            return Err(Unreadable::Version(version));
        }
        let both = u128::from_be_bytes(numbers);
        let (used, given) = ((both >> 64) as u64, both as u64);
        if used >= given && (used, given) != (0, 0) {
            return Err(Unreadable::Numbers { used, given });
        }
        Ok(Self { used, given })
    }
}

/// Says why bytes are no ratchet. The device needs a new claim code: which secret it holds is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// They are not 17.
    Length(usize),
    /// They were written by another version.
    Version(u8),
    /// All that was given was used, or more: after each use another one is given.
    Numbers {
        /// The highest number that was used.
        used: u64,
        /// The highest number that was given.
        given: u64,
    },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => {
                write!(f, "a ratchet has {} bytes, and this has {length}", Ratchet::LEN)
            }
            Self::Version(version) => {
                write!(f, "this ratchet has version {version}, and version {} can be read", Ratchet::VERSION)
            }
            Self::Numbers { used, given } => {
                write!(f, "this ratchet is damaged: secret {used} was used and {given} given")
            }
        }
    }
}

impl core::error::Error for Unreadable {}
