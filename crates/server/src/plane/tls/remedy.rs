//! Why a connection failed before its CONNECT, and the one line that tells the operator what to do about it.
//!
//! What the peer chose is escaped here; a name stands in a command to paste only if it is plainly a name.

use crate::escape::escape_cut;
use crate::plane::limits::SHOWN_TEXT;
use crate::plane::source::Peer;
use crate::plane::tls::certificate::ServerNames;
use crate::plane::tls::channel::TlsFault;
use crate::plane::tls::hello::{AskedName, Dialect, Hello};
use crate::plane::tls::trusted::Unheard;
use crate::plane::websocket::{UpgradeFault, WebSocketFault};
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible, PeerMisbehaved};
use std::net::IpAddr;

/// Says why a connection failed before its CONNECT was whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HandshakeCause {
    /// It speaks MQTT in clear text to a TLS port.
    PlainMqtt,
    /// It speaks HTTP in clear text to a TLS port.
    PlainHttp,
    /// It speaks something that is neither TLS nor MQTT.
    NotTls,
    /// It speaks TLS to a port without TLS.
    TlsToPlainPort,
    /// It turned away after it had asked for this name, which the server certificate does not hold.
    NameNotHeld(String),
    /// It turned away after it had connected to this address, which the server certificate does not hold.
    AddressNotHeld(IpAddr),
    /// Its address is of no network that the listener lets in.
    OutsideNetworks,
    /// It asked for a text that is no name, which the TLS library does not let pass.
    NoName(String),
    /// It does not trust the server's authority.
    DistrustsUs,
    /// It finds the server certificate expired or not valid yet.
    FindsUsExpired,
    /// It refused the server certificate without saying why.
    RefusesUs,
    /// Its certificate is of another authority.
    OtherAuthority,
    /// Its certificate is of this authority, which is trusted, but not at this listener.
    AuthorityNotHeeded(String),
    /// Its certificate is of this authority, which is trusted, and has ended or not begun.
    AuthorityNotValid(String),
    /// Its certificate is of this authority, which is trusted, and whose own certificate does not let it certify that.
    AuthorityMayNotCertify(String),
    /// Its authority has lists of revoked certificates, and none covers an issuer of this one.
    WithoutList,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate is on a list of its authority.
    Revoked,
    /// Its certificate is not made for clients.
    NotForClients,
    /// Its certificate, or the proof that it has the key, is damaged.
    BadCertificate,
    /// It shows no certificate and the listener demands one.
    NoCertificate,
    /// It speaks TLS before 1.2 only.
    OldTls,
    /// It shares no cipher suite, group or signature with us.
    NothingShared,
    /// It wants records of a length that no standard allows.
    OddFragment,
    /// A handshake message was too long.
    TooLong,
    /// It does not keep to the protocol of WebSocket.
    WebSocket(WebSocketFault),
    /// It did not finish in time.
    TooSlow,
    /// It closed the connection half way.
    Left,
    /// Anything else, in the words of the TLS library.
    Other(String),
}

/// Is what is known of a connection that failed.
pub(crate) struct Circumstances<'a> {
    pub(crate) hello: Option<&'a Hello>,
    pub(crate) local: IpAddr,
    pub(crate) names: &'a ServerNames,
}

impl Circumstances<'_> {
    fn asked(&self) -> Option<&AskedName> {
        self.hello.and_then(|hello| hello.asked.as_ref())
    }

    /// Returns what the peer wanted and the server certificate does not hold, if there is such a thing.
    fn not_held(&self) -> Option<HandshakeCause> {
        match self.asked() {
            Some(AskedName::Name(name)) if !self.names.holds_name(name) => {
                Some(HandshakeCause::NameNotHeld(name.clone()))
            }
            Some(AskedName::Name(_)) => None,
            Some(AskedName::Address(address)) => self.address_not_held(*address),
            None => self.address_not_held(self.local.to_canonical()),
        }
    }

    fn address_not_held(&self, address: IpAddr) -> Option<HandshakeCause> {
        (!self.names.holds_address(address)).then_some(HandshakeCause::AddressNotHeld(address))
    }
}

/// Finds the cause behind a fault of the TLS channel.
pub(crate) fn cause_of(fault: &TlsFault, seen: &Circumstances<'_>) -> HandshakeCause {
    match fault {
        TlsFault::NotTls(Dialect::Mqtt) => HandshakeCause::PlainMqtt,
        TlsFault::NotTls(Dialect::Http) => HandshakeCause::PlainHttp,
        TlsFault::NotTls(_) => HandshakeCause::NotTls,
        TlsFault::TooLong => HandshakeCause::TooLong,
        TlsFault::OddFragment => HandshakeCause::OddFragment,
        TlsFault::Library(error) => of_library(error, seen),
    }
}

/// Finds the cause for a peer that left half way without an alert: some TLS stacks just close.
pub(crate) fn cause_of_leaving(seen: &Circumstances<'_>) -> HandshakeCause {
    match seen.asked() {
        Some(_) => seen.not_held().unwrap_or(HandshakeCause::Left),
        None => HandshakeCause::Left,
    }
}

fn of_library(error: &Error, seen: &Circumstances<'_>) -> HandshakeCause {
    match error {
        Error::AlertReceived(alert) => of_alert(*alert, seen),
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::NoCertificatesPresented => HandshakeCause::NoCertificate,
        // Old hellos lack much that rustls misses before it looks at the version.
        Error::PeerIncompatible(_) if seen.hello.is_some_and(|hello| hello.is_old) => HandshakeCause::OldTls,
        Error::PeerIncompatible(how) => of_incompatibility(how, error),
        Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName) => {
            HandshakeCause::NoName(seen.asked().map(AskedName::as_text).unwrap_or_default())
        }
        other => HandshakeCause::Other(other.to_string()),
    }
}

fn of_alert(alert: AlertDescription, seen: &Circumstances<'_>) -> HandshakeCause {
    match alert {
        AlertDescription::UnknownCA => HandshakeCause::DistrustsUs,
        AlertDescription::CertificateExpired => HandshakeCause::FindsUsExpired,
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::HandshakeFailure
        | AlertDescription::AccessDenied
        | AlertDescription::InternalError => seen.not_held().unwrap_or(HandshakeCause::RefusesUs),
        AlertDescription::ProtocolVersion => HandshakeCause::OldTls,
        AlertDescription::CloseNotify | AlertDescription::UserCanceled => cause_of_leaving(seen),
        other => HandshakeCause::Other(format!("alert {other:?}")),
    }
}

fn of_certificate(error: &CertificateError) -> HandshakeCause {
    match error {
        CertificateError::UnknownIssuer => HandshakeCause::OtherAuthority,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => HandshakeCause::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            HandshakeCause::NotYetValid
        }
        CertificateError::Revoked => HandshakeCause::Revoked,
        CertificateError::UnknownRevocationStatus => HandshakeCause::WithoutList,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            HandshakeCause::NotForClients
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<Unheard>() {
            Some(Unheard::NotHeeded(authority)) => HandshakeCause::AuthorityNotHeeded(authority.to_string()),
            Some(Unheard::NotValid(authority)) => HandshakeCause::AuthorityNotValid(authority.to_string()),
            Some(Unheard::MayNotCertify(authority)) => {
                HandshakeCause::AuthorityMayNotCertify(authority.to_string())
            }
            None => HandshakeCause::BadCertificate,
        },
        _ => HandshakeCause::BadCertificate,
    }
}

fn of_incompatibility(how: &PeerIncompatible, error: &Error) -> HandshakeCause {
    match how {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => HandshakeCause::OldTls,
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::EcPointsExtensionRequired
        | PeerIncompatible::UncompressedEcPointsRequired
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => HandshakeCause::NothingShared,
        _ => HandshakeCause::Other(error.to_string()),
    }
}

impl HandshakeCause {
    /// Returns the line: who did what, and after the arrow what helps.
    pub fn line(&self, peer: Peer, listener: &str) -> String {
        format!("{} {}", peer.host(), self.predicate(listener))
    }

    fn predicate(&self, listener: &str) -> String {
        match self {
            Self::NameNotHeld(name) => format!(
                "asked for `{}`, which the certificate does not name → keyward server name add {}",
                escape_cut(name, SHOWN_TEXT),
                if is_plain_name(name) { name } else { "NAME" }
            ),
            Self::AddressNotHeld(address) => format!(
                "connected to {address}, which the certificate does not name → keyward server name add {address}"
            ),
            Self::NoName(text) => format!(
                "asked for `{}`, which is no host name → correct the host name in the client",
                escape_cut(text, SHOWN_TEXT)
            ),
            Self::TlsToPlainPort => format!(
                "speaks TLS to listener `{}`, which has none → use the TLS port",
                escape_cut(listener, SHOWN_TEXT)
            ),
            Self::OutsideNetworks => format!(
                "is of no network that listener `{}` lets in → if it may, add its network to `from`",
                escape_cut(listener, SHOWN_TEXT)
            ),
            Self::AuthorityNotHeeded(authority) => format!(
                "shows a certificate of the authority {authority}, which does not count at listener `{}` → if it may, \
                 name it in `trusted` of the listener, in keyward.toml",
                escape_cut(listener, SHOWN_TEXT)
            ),
            Self::AuthorityNotValid(authority) => format!(
                "shows a certificate of the authority {authority}, whose own is not valid now → if the clock of the broker \
                 is right, give it a bundle: keyward device add"
            ),
            Self::AuthorityMayNotCertify(authority) => format!(
                "shows a certificate of the authority {authority}, whose own does not let it certify that (its path length, or \
                 what it is for) → give it a bundle: keyward device add"
            ),
            Self::NoCertificate => format!(
                "shows no certificate, and listener `{}` demands one → give it a bundle: keyward device add",
                escape_cut(listener, SHOWN_TEXT)
            ),
            Self::WebSocket(WebSocketFault::Upgrade(fault)) => {
                format!("begins no WebSocket at listener `{}`: {fault}", escape_cut(listener, SHOWN_TEXT))
                    + of_upgrade(fault)
            }
            Self::WebSocket(WebSocketFault::Frame(fault)) => {
                format!("sends frames of WebSocket that are not in order: {fault} → correct the client")
            }
            Self::Other(text) => {
                format!("failed in the TLS handshake: {}", escape_cut(text, SHOWN_TEXT))
            }
            other => other.fixed_predicate().to_owned(),
        }
    }

    fn fixed_predicate(&self) -> &'static str {
        match self {
            Self::PlainMqtt => "speaks plain MQTT to the TLS port → turn on TLS in the client, with ca.pem",
            Self::PlainHttp => "speaks HTTP to the MQTT port → it is no MQTT client",
            Self::NotTls => "speaks neither TLS nor MQTT to the TLS port → it is no MQTT client",
            Self::DistrustsUs => "does not trust this broker → it needs ca.pem",
            Self::FindsUsExpired => {
                "finds the certificate of this broker expired or not valid yet → set the clock of the client"
            }
            Self::RefusesUs => {
                "refuses the certificate of this broker without saying why → it needs ca.pem, and a name of `keyward \
                 server name list`"
            }
            Self::OtherAuthority => {
                "shows a certificate of another authority → give it a bundle of this broker: keyward device add"
            }
            Self::Expired => {
                "shows a certificate that has expired → give it a new one; if it has not, set the clock of the broker"
            }
            Self::NotYetValid => "shows a certificate that is not valid yet → set the clock of the broker",
            Self::Revoked => {
                "shows a certificate that its authority has revoked → give it a new one, if it is a client of yours still"
            }
            Self::WithoutList => {
                "shows a certificate with an issuer that has no list of revoked certificates, where its authority has lists → \
                 hand over the lists of all its issuers: keyward authority trust crl --help"
            }
            Self::NotForClients => {
                "shows a certificate that is not made for clients → give it a bundle: keyward device add"
            }
            Self::BadCertificate => {
                "shows a certificate that is damaged, or has not its key → give it a bundle: keyward device add"
            }
            Self::OldTls => "speaks no TLS 1.2 or 1.3 → update the client, or turn TLS 1.2 on in it",
            Self::NothingShared => {
                "shares no cipher suite, curve or signature with this broker → it needs ECDHE with P-256 or X25519, \
                 ECDSA, and AES-GCM or ChaCha20"
            }
            Self::OddFragment => {
                "asks for records of a length that no standard allows (max_fragment_length, record_size_limit) → correct \
                 its TLS settings: 512, 1024, 2048 or 4096"
            }
            Self::TooLong => {
                "sent a handshake message of more than 64 KiB → send a shorter certificate chain"
            }
            Self::TooSlow => {
                "did not finish handshake and login in time → if it is a client of yours, look at its network"
            }
            Self::Left => "left before it logged in → if it is a client of yours, its log says why",
            Self::NameNotHeld(_)
            | Self::AddressNotHeld(_)
            | Self::NoName(_)
            | Self::TlsToPlainPort
            | Self::OutsideNetworks
            | Self::AuthorityNotHeeded(_)
            | Self::AuthorityNotValid(_)
            | Self::AuthorityMayNotCertify(_)
            | Self::NoCertificate
            | Self::WebSocket(_)
            | Self::Other(_) => "",
        }
    }
}

/// Returns what helps against a request that was refused.
fn of_upgrade(fault: &UpgradeFault) -> &'static str {
    match fault {
        UpgradeFault::Mqtt => " → let the client use WebSocket, or another port",
        UpgradeFault::Tls => " → use the port with TLS, or ws:// in place of wss://",
        UpgradeFault::Origin(_) => {
            " → if you know the page, name its origin in `origins` of the listener, in keyward.toml"
        }
        UpgradeFault::Path(_) => " → use the path /mqtt",
        UpgradeFault::Subprotocol => " → let the client offer the subprotocol `mqtt`",
        _ => " → it is no MQTT client",
    }
}

/// Tells whether a name can stand in a command that people paste into a shell.
fn is_plain_name(name: &str) -> bool {
    name.len() <= 253
        && name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(cause: HandshakeCause) -> String {
        cause.line(Peer::Remote("192.168.1.20:50000".parse().unwrap()), "mqtts")
    }

    fn alert(alert: AlertDescription, asked: Option<AskedName>) -> HandshakeCause {
        let local = "192.168.1.5".parse().unwrap();
        let hello = Hello { asked, ..Hello::default() };
        let seen = Circumstances { hello: Some(&hello), local, names: &ServerNames::default() };
        cause_of(&TlsFault::Library(Error::AlertReceived(alert)), &seen)
    }

    #[test]
    fn a_name_that_is_missing_is_named_with_the_command_that_adds_it() {
        let asked = Some(AskedName::Name("mqtt.home".into()));
        assert_eq!(
            line(alert(AlertDescription::BadCertificate, asked)),
            "192.168.1.20 asked for `mqtt.home`, which the certificate does not name → \
             keyward server name add mqtt.home"
        );
    }

    #[test]
    fn an_address_that_is_missing_is_named_with_the_command_that_adds_it() {
        assert!(
            line(alert(AlertDescription::CertificateUnknown, None))
                .ends_with("keyward server name add 192.168.1.5")
        );
    }

    #[test]
    fn an_unknown_authority_asks_for_ca_pem() {
        let cause = alert(AlertDescription::UnknownCA, None);
        assert_eq!(line(cause), "192.168.1.20 does not trust this broker → it needs ca.pem");
    }

    #[test]
    fn a_name_that_would_run_in_a_shell_is_not_put_into_the_command() {
        let line = line(HandshakeCause::NameNotHeld("x;reboot\n\u{1b}[2J".into()));
        assert!(line.ends_with("keyward server name add NAME"), "{line}");
        assert!(!line.contains(['\n', '\u{1b}']), "{line}");
        let option = HandshakeCause::NameNotHeld("--dir=/tmp".into());
        assert!(option.line(Peer::Remote("[::1]:1".parse().unwrap()), "x").ends_with("add NAME"));
    }

    #[test]
    fn every_cause_has_words() {
        use HandshakeCause as Cause;
        for cause in [
            Cause::PlainMqtt,
            Cause::PlainHttp,
            Cause::NotTls,
            Cause::TlsToPlainPort,
            Cause::OutsideNetworks,
            Cause::NoName("x y".into()),
            Cause::FindsUsExpired,
            Cause::RefusesUs,
            Cause::OtherAuthority,
            Cause::AuthorityNotHeeded("old".into()),
            Cause::AuthorityNotValid("old".into()),
            Cause::AuthorityMayNotCertify("old".into()),
            Cause::WithoutList,
            Cause::Expired,
            Cause::NotYetValid,
            Cause::Revoked,
            Cause::NotForClients,
            Cause::BadCertificate,
            Cause::NoCertificate,
            Cause::OldTls,
            Cause::NothingShared,
            Cause::OddFragment,
            Cause::TooLong,
            Cause::TooSlow,
            Cause::Left,
            Cause::Other("odd".into()),
        ] {
            assert!(line(cause.clone()).len() > "192.168.1.20 ".len() + 10, "{cause:?}");
        }
    }
}
