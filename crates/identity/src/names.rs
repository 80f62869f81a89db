//! Names that a new device or user may not take, and the names and addresses of this server.

use crate::limits;
use keyward_ids::Identity;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

const RESERVED: &str = include_str!("reserved.txt");

/// Returns the words that no device and no user may be called, in lower case.
pub fn reserved_words() -> impl Iterator<Item = &'static str> {
    RESERVED.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Says why a device or user may not be called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameRefusal {
    /// The name stands on the reserved list.
    #[error("'{0}' is reserved: others use it as the first level of their topics; choose another name")]
    Reserved(String),
    /// The name reads as an IP address.
    #[error("'{0}' reads as an IP address; choose a name with a letter in it")]
    Address(String),
    /// The name is a name of this server.
    #[error("'{0}' is a name of this server; choose another name")]
    ServerName(String),
}

/// Checks that a new identity may have its name.
///
/// # Errors
/// [`NameRefusal`] says what the name collides with.
pub fn check_new_name(identity: &Identity, server: &ServerNames) -> Result<(), NameRefusal> {
    let name = identity.name();
    if reserved_words().any(|word| word.eq_ignore_ascii_case(name)) {
        return Err(NameRefusal::Reserved(name.to_owned()));
    }
    if reads_as_address(name) {
        return Err(NameRefusal::Address(name.to_owned()));
    }
    if server.iter().any(|(known, _)| known.is_called(name)) {
        return Err(NameRefusal::ServerName(name.to_owned()));
    }
    Ok(())
}

/// Old resolvers read `127.1` and `010.0.0.1` as addresses too: digits and dots with a dot among them are one.
fn reads_as_address(name: &str) -> bool {
    name.parse::<Ipv4Addr>().is_ok()
        || (name.contains('.') && name.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

/// Tells whether a label is a number, decimal or hexadecimal: a name that ends in one is read as an address.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// Names this server for clients: a DNS name or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServerName {
    /// A host name in lower case, without a final dot; one label is enough.
    Dns(String),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
}

/// Says why a text does not name a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{}' is neither an IP address nor a host name (letters, digits, '-', '_' and '.', labels of 1 to 63 \
     characters, the last not a number, 253 in all)",
    .0.escape_debug()
)]
pub struct ServerNameError(String);

impl ServerNameError {
    fn new(text: &str) -> Self {
        Self(text.chars().take(limits::DNS_NAME_BYTES).collect())
    }
}

impl ServerName {
    fn is_called(&self, name: &str) -> bool {
        matches!(self, Self::Dns(dns) if dns.eq_ignore_ascii_case(name))
    }

    /// Returns how many bytes the name takes in a certificate (RFC 5280 §4.2.1.6).
    pub(crate) fn encoded_len(&self) -> usize {
        2 + match self {
            Self::Dns(name) => name.len(),
            Self::Ip(IpAddr::V4(_)) => 4,
            Self::Ip(IpAddr::V6(_)) => 16,
        }
    }
}

impl FromStr for ServerName {
    type Err = ServerNameError;
    fn from_str(text: &str) -> Result<Self, ServerNameError> {
        let name = Self::of_ledger(text)?;
        match &name {
            // No top-level domain is a number (RFC 3696 §2), and TLS libraries ask for no such name.
            Self::Dns(dns) if dns.rsplit('.').next().is_some_and(is_number) => {
                Err(ServerNameError::new(text))
            }
            _ => Ok(name),
        }
    }
}

impl ServerName {
    /// Parses a name that a ledger may hold: some were taken once that are refused now.
    fn of_ledger(text: &str) -> Result<Self, ServerNameError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Ip(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let good = name.len() <= limits::DNS_NAME_BYTES && name.split('.').all(is_label);
        if !good || reads_as_address(&name) {
            return Err(ServerNameError::new(text));
        }
        Ok(Self::Dns(name))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.pad(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl Serialize for ServerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::wire::text::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ServerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::of_ledger(&text).map_err(serde::de::Error::custom)
    }
}

/// Says where a name of this server comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameOrigin {
    /// The server found it by itself: its host name, an interface address.
    Found,
    /// An operator added it.
    Added,
    /// The server found it, an operator removed it: it stays out of the certificate.
    Hidden,
}

/// Holds the names and addresses of this server, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerNames(BTreeMap<ServerName, NameOrigin>);

impl ServerNames {
    /// Returns the names with where they come from, in order; hidden ones too.
    pub fn iter(&self) -> impl Iterator<Item = (&ServerName, NameOrigin)> {
        self.0.iter().map(|(name, origin)| (name, *origin))
    }

    /// Returns where `name` comes from, if it is known.
    pub fn origin(&self, name: &ServerName) -> Option<NameOrigin> {
        self.0.get(name).copied()
    }

    /// Returns the names that the certificate is to show: all that were added, then found names (short ones first)
    /// while they fit into [`limits::NAME_BYTES`].
    pub fn certified(&self) -> Vec<ServerName> {
        let of =
            |wanted| self.iter().filter(move |(_, origin)| *origin == wanted).map(|(name, _)| name.clone());
        let mut found: Vec<_> = of(NameOrigin::Found).collect();
        found.sort_by_key(ServerName::encoded_len);
        let mut room = limits::NAME_BYTES.saturating_sub(self.added_bytes());
        found.retain(|name| match room.checked_sub(name.encoded_len()) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        });
        let mut names: Vec<_> = of(NameOrigin::Added).chain(found).collect();
        names.sort();
        names
    }

    /// Returns how many bytes the added names take in the certificate.
    pub(crate) fn added_bytes(&self) -> usize {
        let added = self.iter().filter(|(_, origin)| *origin == NameOrigin::Added);
        added.map(|(name, _)| name.encoded_len()).sum()
    }

    /// Returns how many names are held, hidden ones included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether no name is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn set(&mut self, name: ServerName, origin: NameOrigin) {
        self.0.insert(name, origin);
    }

    /// Replaces the found names; added and hidden ones stay as they are.
    pub(crate) fn refind(&mut self, found: &[ServerName]) {
        self.0.retain(|name, origin| *origin != NameOrigin::Found || found.contains(name));
        for name in found {
            self.0.entry(name.clone()).or_insert(NameOrigin::Found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, server: &[&str]) -> Result<(), NameRefusal> {
        let mut names = ServerNames::default();
        names.refind(&server.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>());
        check_new_name(&format!("device:{name}").parse().unwrap(), &names)
    }

    #[test]
    fn a_reserved_word_is_refused_in_any_case() {
        assert_eq!(check("HomeAssistant", &[]), Err(NameRefusal::Reserved("HomeAssistant".into())));
        for word in ["devices", "users", "sites", "types", "keyward", "cmnd", "stat", "tele", "shellies"] {
            assert!(check(word, &[]).is_err(), "{word}");
        }
        assert_eq!(check("pump-1", &[]), Ok(()));
    }

    #[test]
    fn the_reserved_list_holds_names_only_and_each_once() {
        let words: Vec<_> = reserved_words().collect();
        let distinct: std::collections::HashSet<_> = words.iter().collect();
        assert_eq!(distinct.len(), words.len());
        for word in words {
            assert!(word.parse::<keyward_ids::DeviceId>().is_ok(), "{word}");
            assert_eq!(word, word.to_ascii_lowercase());
        }
    }

    #[test]
    fn an_address_is_no_name_in_any_spelling() {
        for name in ["192.168.1.20", "127.1", "010.0.0.1", "1."] {
            assert!(matches!(check(name, &[]), Err(NameRefusal::Address(_))), "{name}");
        }
        assert_eq!(check("42", &[]), Ok(()));
        assert_eq!(check("v1.5", &[]), Ok(()));
    }

    #[test]
    fn a_name_of_this_server_is_refused() {
        assert!(matches!(check("Gate.local", &["gate.local"]), Err(NameRefusal::ServerName(_))));
        assert_eq!(check("gate2.local", &["gate.local"]), Ok(()));
    }

    #[test]
    fn a_server_name_is_a_host_name_or_an_address() {
        assert_eq!("MQTT.Home.".parse(), Ok(ServerName::Dns("mqtt.home".into())));
        assert_eq!("::1".parse(), Ok(ServerName::Ip("::1".parse().unwrap())));
        for bad in ["", ".", "a..b", "-a", "a-", "a b", "*.home", "a/b", "300.1.1.1", "a\n", &"x".repeat(64)]
        {
            assert!(bad.parse::<ServerName>().is_err(), "{bad:?}");
        }
        for number in ["42", "home.1", "mqtt.home.07.", "0x", "home.0XfF"] {
            assert!(number.parse::<ServerName>().is_err(), "no client can ask for {number}");
        }
        let message = "a\u{1b}[2J".parse::<ServerName>().unwrap_err().to_string();
        assert!(!message.contains('\u{1b}'));
    }

    #[test]
    fn a_name_that_was_taken_once_is_still_read_from_the_ledger() {
        let name: ServerName = serde_json::from_str("\"home.1\"").unwrap();
        assert_eq!(name, ServerName::Dns("home.1".into()));
        assert!(serde_json::from_str::<ServerName>("\"a b\"").is_err());
    }

    #[test]
    fn names_found_in_great_number_leave_room_for_the_certificate() {
        let mut names = ServerNames::default();
        let many: Vec<ServerName> = (0..60).map(|n| format!("fd00::{n}").parse().unwrap()).collect();
        names.refind(&many);
        names.set("mqtt.home".parse().unwrap(), NameOrigin::Added);
        let certified = names.certified();
        assert!(certified.contains(&"mqtt.home".parse().unwrap()));
        assert_eq!(certified.len(), 1 + (limits::NAME_BYTES - "mqtt.home".len() - 2) / 18);
    }

    #[test]
    fn a_hidden_name_stays_hidden_when_it_is_found_again() {
        let mut names = ServerNames::default();
        let name: ServerName = "10.0.0.1".parse().unwrap();
        names.set(name.clone(), NameOrigin::Hidden);
        names.refind(std::slice::from_ref(&name));
        assert_eq!(names.origin(&name), Some(NameOrigin::Hidden));
        assert!(names.certified().is_empty());
    }
}
