//! What a client must show to log in: the rule of a listener, or of a type of device.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Says what a client must show to log in. Where two rules hold, that of the listener and that of the device's type, both must
/// be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum LoginRule {
    /// A client certificate.
    #[serde(rename = "certificate")]
    Certificate,
    /// A password; a certificate is not asked for.
    #[serde(rename = "password")]
    Password,
    /// A client certificate, and the password of the identity that it shows.
    #[serde(rename = "certificate and password")]
    CertificateAndPassword,
    /// A client certificate, or else a password.
    #[default]
    #[serde(rename = "certificate or password")]
    CertificateOrPassword,
}

impl LoginRule {
    /// Every rule.
    pub const ALL: [Self; 4] =
        [Self::Certificate, Self::Password, Self::CertificateAndPassword, Self::CertificateOrPassword];

    /// Returns the rule as it is written in `keyward.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Password => "password",
            Self::CertificateAndPassword => "certificate and password",
            Self::CertificateOrPassword => "certificate or password",
        }
    }

    /// Parses a rule as it is written in `keyward.toml`. `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|login| login.as_str() == text)
    }

    /// Tells whether nobody meets the rule without a certificate.
    pub fn needs_certificate(self) -> bool {
        matches!(self, Self::Certificate | Self::CertificateAndPassword)
    }
}

impl fmt::Display for LoginRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        for login in LoginRule::ALL {
            assert_eq!(LoginRule::parse(&login.to_string()), Some(login));
            assert_eq!(serde_json::to_string(&login).unwrap(), format!("\"{login}\""));
        }
        assert_eq!(LoginRule::parse("certificate  or password"), None);
    }
}
