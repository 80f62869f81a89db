//! What can go wrong, whose fault it is, and what to do next.

use crate::resolver::ResolveError;
use keyward_mqtt::reason::ReasonCode;
use std::io;

/// Says why a client could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The host name has no address.
    #[error("the name {host} has no address ({source}); check the spelling, or use the broker's IP address")]
    Resolve {
        /// The name that was looked up.
        host: String,
        /// Why.
        source: ResolveError,
    },
    /// No TCP connection came about.
    #[error("cannot reach {address} ({source}); check that the broker runs and listens there")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The client's own trust anchor, certificate or key cannot be used.
    #[error("the {part} cannot be used: {problem}")]
    Credentials {
        /// `trust anchor`, `certificate`, `private key` or `server name`.
        part: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The broker's certificate does not stand up: the client closed, and sent nothing.
    #[error("the broker is not trusted: {problem}")]
    Untrusted {
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The broker ended the TLS connection with an alert.
    #[error("the broker refused the TLS connection (alert {alert}); {}", alert_remedy(.alert))]
    Alert {
        /// The alert's name as in RFC 8446 §6, for instance `unknown_ca`.
        alert: String,
    },
    /// TLS failed in some other way.
    #[error("TLS failed: {0}; check that the port speaks MQTT over TLS")]
    Tls(String),
    /// CONNACK carried a refusal.
    #[error("the broker refused the login: {} (0x{:02X}){}; {}", .reason.as_str(), *.reason as u8, words(.said, *.reason), login_remedy(*.reason))]
    Refused {
        /// Why, as a code of MQTT 5.0; return codes of 3.1.1 are translated.
        reason: ReasonCode,
        /// The broker's own words, if it sent any.
        said: Option<String>,
    },
    /// The broker did not take a message.
    #[error("the broker refused the message to {}: {} (0x{:02X}){}; `keyward denials` on the broker names the rule", .topic.escape_debug(), .reason.as_str(), *.reason as u8, words(.said, *.reason))]
    PublishRefused {
        /// Where it was published.
        topic: String,
        /// Why.
        reason: ReasonCode,
        /// The broker's own words, if it sent any.
        said: Option<String>,
    },
    /// The broker granted no subscription to a filter.
    #[error("the broker refused the subscription to {}: {} (0x{:02X}); `keyward denials` on the broker names the rule", .filter.escape_debug(), .reason.as_str(), *.reason as u8)]
    SubscribeRefused {
        /// What was asked for.
        filter: String,
        /// Why; 0x80 of 3.1.1 is [`ReasonCode::UnspecifiedError`].
        reason: ReasonCode,
    },
    /// The broker said goodbye (DISCONNECT of 5.0).
    #[error("the broker closed the connection: {} (0x{:02X}){}", .reason.as_str(), *.reason as u8, words(.said, *.reason))]
    Disconnected {
        /// Why.
        reason: ReasonCode,
        /// The broker's own words, if it sent any.
        said: Option<String>,
    },
    /// The connection ended without a word.
    #[error("the broker closed the connection without giving a reason; `keyward denials` on the broker may")]
    Closed,
    /// More messages came than are held for an application that does not take them.
    #[error("messages came faster than they were taken; take them with shorter pauses, or subscribe to less")]
    Overrun,
    /// Reading or writing failed.
    #[error("the connection broke: {0}")]
    Broken(#[source] io::Error),
    /// The broker did not answer in time.
    #[error("no {awaited} came in time; check that the broker runs and that the port speaks MQTT")]
    TimedOut {
        /// What was waited for.
        awaited: &'static str,
    },
    /// The broker broke the protocol.
    #[error("the broker broke the protocol: {0}")]
    Protocol(String),
    /// What the caller asked for cannot be said in MQTT.
    #[error("{0}")]
    Request(String),
}

impl ClientError {
    /// Returns the reason code with which the broker refused or closed, if it sent one.
    pub fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Refused { reason, .. }
            | Self::PublishRefused { reason, .. }
            | Self::SubscribeRefused { reason, .. }
            | Self::Disconnected { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Tells whether the connection is gone: after such an error the client can only be dropped.
    pub fn is_final(&self) -> bool {
        !matches!(
            self,
            Self::PublishRefused { .. }
                | Self::SubscribeRefused { .. }
                | Self::TimedOut { .. }
                | Self::Request(_)
        )
    }
}

/// Returns the broker's words in brackets, unless they are only the name of the code.
fn words(text: &Option<String>, reason: ReasonCode) -> String {
    // The words come from the peer: nothing in them may steer a terminal.
    let harmless = |letter: char| match letter {
        '\'' | '"' => letter.to_string(),
        other => other.escape_debug().to_string(),
    };
    text.as_ref()
        .filter(|text| text.as_str() != reason.as_str())
        .map(|text| format!(" ({})", text.chars().map(harmless).collect::<String>()))
        .unwrap_or_default()
}

fn login_remedy(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::BadUserNameOrPassword => "check user name and password",
        ReasonCode::NotAuthorized => {
            "show a certificate or a password that the broker knows; `keyward denials` there gives the cause"
        }
        ReasonCode::UnsupportedProtocolVersion => "use another version of MQTT",
        ReasonCode::ClientIdentifierNotValid => "use another client id",
        ReasonCode::ServerUnavailable | ReasonCode::ServerBusy => "try again later",
        ReasonCode::QuotaExceeded | ReasonCode::ConnectionRateExceeded => "wait, then try again",
        _ => "`keyward denials` on the broker may say more",
    }
}

fn alert_remedy(alert: &str) -> &'static str {
    match alert {
        "certificate_required" => "it demands a certificate: give --cert and --key, or --bundle-dir",
        "unknown_ca" | "bad_certificate" => {
            "it does not know who issued the client's certificate: use one from `keyward device add`"
        }
        "certificate_revoked" | "access_denied" => {
            "the certificate does not count any more: see `keyward device list` on the broker"
        }
        "certificate_expired" => "the certificate is no longer, or not yet, valid: check both clocks",
        "protocol_version" | "handshake_failure" => "the two share no version or cipher of TLS",
        _ => "`keyward denials` on the broker may say more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_broker_are_escaped() {
        let error = ClientError::Disconnected {
            reason: ReasonCode::NotAuthorized,
            said: Some("\u{1b}[2Jgone\n".to_owned()),
        };
        let text = error.to_string();
        assert!(!text.contains('\u{1b}') && !text.contains('\n'), "{text}");
        assert!(text.contains("0x87"), "{text}");
    }

    #[test]
    fn a_refused_message_leaves_the_connection_open() {
        let refused = ClientError::PublishRefused {
            topic: "a".to_owned(),
            reason: ReasonCode::NotAuthorized,
            said: None,
        };
        assert!(!refused.is_final());
        assert!(ClientError::Closed.is_final());
        assert_eq!(refused.reason(), Some(ReasonCode::NotAuthorized));
    }
}
