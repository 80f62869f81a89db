//! Names that people choose, all of one grammar, and the two that they do not choose.

use alloc::{string::String, sync::Arc};
use core::{cmp::Ordering, fmt, hash, str::FromStr};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The longest name of a device, user, site, type or role, in bytes.
pub const MAX_NAME_LEN: usize = 64;

/// Says why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The text is longer than [`MAX_NAME_LEN`] bytes; holds its length.
    TooLong(usize),
    /// The text begins with something else than an ASCII letter or digit.
    BadStart(char),
    /// The text holds a character outside `A-Z a-z 0-9 - _ .`.
    BadCharacter(char),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty; a name has 1 to 64 characters"),
            Self::TooLong(len) => write!(f, "has {len} bytes; a name has at most {MAX_NAME_LEN}"),
            Self::BadStart(c) => {
                write!(f, "begins with '{}'; a name begins with a letter or digit", c.escape_debug())
            }
            Self::BadCharacter(c) => {
                write!(f, "holds '{}'; a name has ASCII letters, digits, '-', '_' and '.'", c.escape_debug())
            }
        }
    }
}

impl core::error::Error for NameError {}

fn check(text: &str) -> Result<(), NameError> {
    let first = text.chars().next().ok_or(NameError::Empty)?;
    if text.len() > MAX_NAME_LEN {
        return Err(NameError::TooLong(text.len()));
    }
    if !first.is_ascii_alphanumeric() {
        return Err(NameError::BadStart(first));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        Some(bad) => Err(NameError::BadCharacter(bad)),
        None => Ok(()),
    }
}

/// Defines a name type. Names keep the case in which they were written and compare without regard to it, so that
/// `Pump-1` and `pump-1` can never be two identities.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name of 1 to 64 bytes: ASCII letters, digits, `-`, `_`, `.`, beginning with a letter or digit.
            ///
            /// # Errors
            /// [`NameError`] says what is wrong with the text.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text).map(|()| Self(Arc::from(text)))
            }

            /// Returns the name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the form that is the same for all spellings of this name.
            pub fn folded(&self) -> String {
                self.0.to_ascii_lowercase()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }
        }
        impl Eq for $name {}
        impl hash::Hash for $name {
            fn hash<H: hash::Hasher>(&self, state: &mut H) {
                // A hasher takes many bytes as quickly as one.
                for part in self.0.as_bytes().chunks(16) {
                    let mut lower = [0; 16];
                    let lower = &mut lower[..part.len()];
                    lower.copy_from_slice(part);
                    lower.make_ascii_lowercase();
                    state.write(lower);
                }
                state.write_u8(0xff);
            }
        }
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                let (one, other) = (self.0.as_bytes(), other.0.as_bytes());
                for (mine, theirs) in one.iter().zip(other) {
                    // Most bytes that differ do so in more than their case.
                    if mine != theirs {
                        let order = mine.to_ascii_lowercase().cmp(&theirs.to_ascii_lowercase());
                        if order.is_ne() {
                            return order;
                        }
                    }
                }
                one.len().cmp(&other.len())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(D::Error::custom)
            }
        }
    };
}

name! {
    /// Names one device.
    DeviceId
}
name! {
    /// Names one user: a person, an application or a shared login.
    UserId
}
name! {
    /// Names a site: where devices stand.
    SiteId
}
name! {
    /// Names a type of device.
    TypeId
}
name! {
    /// Names a role that rules can grant to identities.
    RoleId
}

name! {
    /// Names a group whose members share a key for messages.
    GroupId
}

/// Names one installation of Keyward for ever: 16 lower-case letters and digits, drawn at random at the first start.
///
/// It stands in the identity of every certificate, so that two installations never share a device name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct InstallationId(Arc<str>);

impl InstallationId {
    /// The length of an installation id, in bytes.
    pub const LEN: usize = 16;
    const ALPHABET: &'static [u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

    /// Makes an id from 16 random bytes, five bits of each.
    pub fn from_random(random: [u8; Self::LEN]) -> Self {
        let text: String =
            random.iter().map(|byte| char::from(Self::ALPHABET[usize::from(byte & 31)])).collect();
        Self(Arc::from(text))
    }

    /// Parses an installation id.
    ///
    /// # Errors
    /// [`NameError`] if the text is not 16 characters of the alphabet.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if let Some(bad) = text.chars().find(|c| !Self::ALPHABET.iter().any(|a| char::from(*a) == *c)) {
            return Err(NameError::BadCharacter(bad));
        }
        if text.len() != Self::LEN {
            return Err(NameError::TooLong(text.len()));
        }
        Ok(Self(Arc::from(text)))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for InstallationId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

/// Holds an MQTT client identifier: any text that the protocol allows, chosen by the peer.
///
/// It is not an identity: two identities may use one client id and have two sessions.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Takes a client id that the protocol layer has accepted.
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// Returns the client id as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_name_is_one_to_sixty_four_plain_characters() {
        assert!(DeviceId::parse("pump-1.b_2").is_ok());
        assert!(DeviceId::parse(&"x".repeat(64)).is_ok());
        assert_eq!(DeviceId::parse(&"x".repeat(65)), Err(NameError::TooLong(65)));
        assert_eq!(DeviceId::parse(""), Err(NameError::Empty));
        assert_eq!(DeviceId::parse(".hidden"), Err(NameError::BadStart('.')));
        assert_eq!(DeviceId::parse("a/b"), Err(NameError::BadCharacter('/')));
        assert_eq!(DeviceId::parse("a\u{fc}"), Err(NameError::BadCharacter('\u{fc}')));
        assert_eq!(DeviceId::parse("a\n"), Err(NameError::BadCharacter('\n')));
    }

    #[test]
    fn an_error_never_prints_a_control_character() {
        let error = DeviceId::parse("a\u{1b}[2J").unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }

    #[test]
    fn names_are_in_the_order_of_their_lower_case_and_equal_ones_have_one_hash() {
        extern crate std;
        use core::hash::{Hash, Hasher};
        use std::vec::Vec;
        let texts =
            ["a", "A", "ab", "aB", "Ab", "a-", "a0", "B", "b", "pump-12", "PUMP-12", "pump-2", "z_", "Zz"];
        let long = ["a".repeat(33), "A".repeat(33), "a".repeat(16) + "B"];
        let names: Vec<DeviceId> = texts
            .iter()
            .copied()
            .chain(long.iter().map(String::as_str))
            .map(|text| text.parse().unwrap())
            .collect();
        let hash = |name: &DeviceId| {
            let mut hasher = std::hash::DefaultHasher::new();
            name.hash(&mut hasher);
            hasher.finish()
        };
        for one in &names {
            for other in &names {
                let lower = |name: &DeviceId| name.as_str().to_ascii_lowercase();
                assert_eq!(one.cmp(other), lower(one).cmp(&lower(other)), "{one} {other}");
                assert_eq!(one == other, lower(one) == lower(other));
                assert!(one != other || hash(one) == hash(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn names_keep_their_case_and_compare_without_it() {
        let (a, b) = (DeviceId::parse("Pump").unwrap(), DeviceId::parse("pUMP").unwrap());
        assert_eq!(a, b);
        assert_eq!(a.as_str(), "Pump");
        assert_eq!(a.folded(), b.folded());
        assert_eq!(a.cmp(&b), Ordering::Equal);
    }

    #[test]
    fn an_installation_id_survives_printing_and_parsing() {
        let id = InstallationId::from_random(core::array::from_fn(|i| (i * 37) as u8));
        assert_eq!(InstallationId::parse(&id.to_string()), Ok(id));
        assert!(InstallationId::parse("short").is_err());
        assert!(InstallationId::parse("ABCDEFGHIJKLMNOP").is_err());
    }
}
