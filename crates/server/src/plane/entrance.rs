//! What a listener asks of those who come through it, and how a login met it.

use crate::config::Network;
use crate::login::LoginRule;
use crate::plane::source::Peer;
use keyward_identity::LocalName;
use keyward_ids::{TypeId, UserId};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// What types of devices demand, beside what the listener demands. Types that demand nothing are not in it.
pub type TypeRules = BTreeMap<TypeId, LoginRule>;

/// Is what a listener asks of those who come through it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entrance {
    /// What a client must show.
    pub login: LoginRule,
    /// Whether passwords can be read on the network: then only identities that are marked come in, and nowhere else do
    /// their passwords open.
    pub is_plain_network: bool,
    /// Whose addresses may connect; empty: everybody's.
    pub from: Vec<Network>,
    /// The user that a client becomes which shows nothing.
    pub anonymous_as: Option<UserId>,
    /// The authorities of others whose word counts; `None`: all that are trusted.
    pub trusted: Option<Vec<LocalName>>,
}

impl Entrance {
    /// Tells whether this client may connect. Programs of this machine on a Unix socket are of no network.
    pub fn lets_in(&self, peer: Peer) -> bool {
        let is_inside = |address: IpAddr| self.from.iter().any(|network| network.contains(address));
        match peer {
            Peer::Remote(address) => self.from.is_empty() || is_inside(address.ip()),
            Peer::Local { .. } => true,
        }
    }

    /// Tells whether the word of an authority of others counts here.
    pub(crate) fn heeds(&self, authority: &LocalName) -> bool {
        self.trusted.as_ref().is_none_or(|named| named.contains(authority))
    }
}

/// Says by what evidence a client logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// A certificate; a password beside it was not looked at.
    Certificate,
    /// A password.
    Password,
    /// A certificate, and the password of its identity.
    CertificateAndPassword,
    /// A certificate of another authority that only lets its holder knock, and the password of an identity.
    KnockAndPassword,
    /// What a method of enhanced authentication asked for; it counts as a password.
    Method,
    /// Nothing: it became the user that the listener names.
    Nothing,
}

impl Evidence {
    /// Tells whether the address that it came from is not banned as long as it is logged in: it has proven something.
    pub(crate) fn spares_its_address(self) -> bool {
        self != Self::Nothing
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Certificate => "certificate",
            Self::Password => "password",
            Self::CertificateAndPassword => "certificate and password",
            Self::KnockAndPassword => "password beside a certificate of another authority",
            Self::Method => "enhanced authentication",
            Self::Nothing => "nothing",
        })
    }
}

/// Is what is demanded of one login: by the listener, and by the type of the device. Both must be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// What the listener demands.
    pub listener: LoginRule,
    /// What the type of the device demands.
    pub device_type: Option<(TypeId, LoginRule)>,
}

impl Demand {
    /// Tells whether it is met by a certificate, by a password, or by both.
    pub(crate) fn is_met(&self, shown: Evidence) -> bool {
        let meets = |login: LoginRule, shown: Evidence| match (login, shown) {
            (_, Evidence::CertificateAndPassword) => true,
            (LoginRule::Certificate, shown) => shown == Evidence::Certificate,
            (LoginRule::Password, shown) => matches!(shown, Evidence::Password | Evidence::Method),
            (LoginRule::CertificateAndPassword, _) => false,
            (LoginRule::CertificateOrPassword, shown) => shown != Evidence::Nothing,
        };
        // A certificate that lets its holder knock is one for a listener that demands both. For all others it is nobody's.
        let (at_listener, of_type) = match (shown, self.listener) {
            (Evidence::KnockAndPassword, LoginRule::CertificateAndPassword) => {
                (Evidence::CertificateAndPassword, Evidence::Password)
            }
            (Evidence::KnockAndPassword, _) => (Evidence::Password, Evidence::Password),
            (shown, _) => (shown, shown),
        };
        let by_type = self.device_type.as_ref();
        meets(self.listener, at_listener) && by_type.is_none_or(|(_, login)| meets(*login, of_type))
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the listener demands \"{}\"", self.listener)?;
        match &self.device_type {
            Some((name, login)) => write!(f, ", its type {name} demands \"{login}\""),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_proves_nobody_counts_only_where_a_listener_demands_both() {
        let met = |listener, device_type: Option<LoginRule>| {
            let device_type = device_type.map(|login| ("meter".parse().unwrap(), login));
            Demand { listener, device_type }.is_met(Evidence::KnockAndPassword)
        };
        assert!(
            met(LoginRule::CertificateAndPassword, None)
                && met(LoginRule::CertificateAndPassword, Some(LoginRule::Password))
        );
        assert!(met(LoginRule::CertificateOrPassword, None) && met(LoginRule::Password, None));
        assert!(!met(LoginRule::Certificate, None));
        assert!(!met(LoginRule::CertificateAndPassword, Some(LoginRule::CertificateAndPassword)));
        assert!(!met(LoginRule::CertificateOrPassword, Some(LoginRule::Certificate)));
    }

    #[test]
    fn both_rules_must_be_met() {
        let met = |listener, device_type: Option<LoginRule>, shown| {
            let device_type = device_type.map(|login| ("meter".parse().unwrap(), login));
            Demand { listener, device_type }.is_met(shown)
        };
        use LoginRule::{Certificate, CertificateAndPassword, CertificateOrPassword, Password};
        for (listener, device_type, certificate, password) in [
            (CertificateOrPassword, None, true, true),
            (Certificate, None, true, false),
            (Password, None, false, true),
            (CertificateAndPassword, None, false, false),
            (CertificateOrPassword, Some(Certificate), true, false),
            (CertificateOrPassword, Some(CertificateAndPassword), false, false),
            (Certificate, Some(Password), false, false),
            (Password, Some(Password), false, true),
        ] {
            assert_eq!(
                met(listener, device_type, Evidence::Certificate),
                certificate,
                "{listener} {device_type:?}"
            );
            assert_eq!(
                met(listener, device_type, Evidence::Password),
                password,
                "{listener} {device_type:?}"
            );
            assert!(met(listener, device_type, Evidence::CertificateAndPassword));
            assert!(!met(listener, device_type, Evidence::Nothing));
        }
    }
}
