//! Listeners as they are configured: valid by construction.

use super::{
    error::{ConfigError, Places},
    file,
};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use toml::Spanned;

/// The longest name of a listener, in bytes.
pub const MAX_LISTENER_NAME: usize = 32;
/// The most listeners: each costs a TLS configuration, and nobody reads a longer list.
pub const MAX_LISTENERS: usize = 16;
/// The port that IANA gives MQTT over TLS.
pub const MQTTS_PORT: u16 = 8883;

/// Holds one configured listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, unique among the listeners.
    pub name: String,
    /// What it binds.
    pub address: Address,
    /// The TCP port; 0 lets the system choose.
    pub port: u16,
    /// What is spoken on it and what a client must show.
    pub security: Security,
}

/// Says what a listener binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// All addresses, IPv4 and IPv6.
    All,
    /// One address.
    One(IpAddr),
}

/// Says what is spoken on a listener and what a client must show there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS; a client certificate or a password.
    CertificateOrPassword,
    /// TLS; a client certificate.
    Certificate,
    /// No TLS, a password; on loopback addresses only.
    PlainPassword,
}

impl Security {
    /// Returns `tls` or `plain`.
    pub fn transport(self) -> &'static str {
        match self {
            Self::CertificateOrPassword | Self::Certificate => "tls",
            Self::PlainPassword => "plain",
        }
    }

    /// Returns what a client must show, for people.
    pub fn demands(self) -> &'static str {
        match self {
            Self::CertificateOrPassword => "client certificate or password",
            Self::Certificate => "client certificate",
            Self::PlainPassword => "password",
        }
    }
}

impl Address {
    /// Parses `*` or an IP address. `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        text.parse().ok().map(Self::One)
    }

    /// Returns the addresses to bind.
    pub fn to_bind(self) -> Vec<IpAddr> {
        match self {
            Self::All => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            Self::One(ip) => vec![ip],
        }
    }

    fn is_loopback(self) -> bool {
        matches!(self, Self::One(ip) if ip.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("*"),
            Self::One(ip) => ip.fmt(f),
        }
    }
}

impl Default for Listener {
    /// MQTT over TLS on 8883, all addresses, client certificate or password.
    fn default() -> Self {
        Self {
            name: "mqtts".to_owned(),
            address: Address::All,
            port: MQTTS_PORT,
            security: Security::CertificateOrPassword,
        }
    }
}

pub(super) fn validate(
    listeners: &[Spanned<file::Listener>],
    places: &Places<'_>,
) -> Result<Vec<Listener>, Vec<ConfigError>> {
    if listeners.is_empty() {
        return Ok(vec![Listener::default()]);
    }
    let mut errors = Vec::new();
    if let Some(extra) = listeners.get(MAX_LISTENERS) {
        errors.push(places.error(&extra.span(), format!("at most {MAX_LISTENERS} listeners")));
    }
    let mut valid: Vec<Listener> = Vec::new();
    for listener in listeners.iter().take(MAX_LISTENERS) {
        match one(listener.get_ref(), places) {
            Ok(listener_) => {
                if let Some(error) = collision(&valid, &listener_, listener.get_ref(), places) {
                    errors.push(error);
                }
                valid.push(listener_);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(valid) } else { Err(errors) }
}

fn one(raw: &file::Listener, places: &Places<'_>) -> Result<Listener, ConfigError> {
    let name = raw.name.get_ref();
    let plain_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && !name.is_empty();
    if !plain_name || name.len() > MAX_LISTENER_NAME {
        let expected = format!("1 to {MAX_LISTENER_NAME} letters, digits, '-', '_' or '.'");
        return Err(places.error(&raw.name.span(), expected));
    }
    let address = match &raw.address {
        None => Address::All,
        Some(text) => Address::parse(text.get_ref())
            .ok_or_else(|| places.error(&text.span(), "an IP address, or \"*\" for all addresses"))?,
    };
    let security = security(raw, address, places)?;
    // The type of the port is bounded, so nothing is lost here.
    let port = u16::try_from(raw.port.get_ref().0).unwrap_or_default();
    Ok(Listener { name: name.clone(), address, port, security })
}

fn security(raw: &file::Listener, address: Address, places: &Places<'_>) -> Result<Security, ConfigError> {
    let certificate = raw.certificate.as_ref().map(|c| *c.get_ref());
    match &raw.tls {
        Some(tls) if !tls.get_ref() => {
            if !address.is_loopback() {
                let expected = "true: without TLS passwords and messages can be read on the network, \
                                so plain MQTT needs address = \"127.0.0.1\" or \"::1\"";
                return Err(places.error(&tls.span(), expected));
            }
            match &raw.certificate {
                Some(c) if *c.get_ref() == file::Certificate::Required => {
                    Err(places.error(&c.span(), "\"optional\": without TLS no certificate can be shown"))
                }
                _ => Ok(Security::PlainPassword),
            }
        }
        _ if certificate == Some(file::Certificate::Required) => Ok(Security::Certificate),
        _ => Ok(Security::CertificateOrPassword),
    }
}

fn collision(
    earlier: &[Listener],
    listener: &Listener,
    raw: &file::Listener,
    places: &Places<'_>,
) -> Option<ConfigError> {
    if earlier.iter().any(|other| other.name == listener.name) {
        return Some(places.error(&raw.name.span(), "a name that no other listener has"));
    }
    let taken = earlier.iter().find(|other| {
        let overlap = other.address == listener.address
            || other.address == Address::All
            || listener.address == Address::All;
        listener.port != 0 && other.port == listener.port && overlap
    })?;
    let expected = format!("a port that listener {} has not taken", taken.name);
    Some(places.error(&raw.port.span(), expected))
}
