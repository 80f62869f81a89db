//! The few facts of a certificate that the door needs.

use keyward_ids::{CertSerial, KeyId};
use keyward_mqtt::time::UnixMillis;
use rustls::pki_types::CertificateDer;
use std::net::IpAddr;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Is what the registry asks of a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    pub(crate) serial: CertSerial,
    pub(crate) key: KeyId,
    /// Its common name; raw, a peer chose it.
    pub(crate) common_name: String,
    not_before: UnixMillis,
    not_after: UnixMillis,
}

impl ClientCertificate {
    /// Reads a certificate that the verifier has accepted, now or when the session that was resumed began.
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let key = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, parsed.public_key().raw);
        let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let millis = |seconds: i64| UnixMillis::from_secs(u64::try_from(seconds).unwrap_or(0));
        Some(Self {
            serial: CertSerial::from_bytes(parsed.raw_serial())?,
            key: KeyId::new(key.as_ref().try_into().ok()?),
            common_name: common_name.unwrap_or_default().to_owned(),
            not_before: millis(parsed.validity().not_before.timestamp()),
            not_after: millis(parsed.validity().not_after.timestamp()),
        })
    }

    /// Tells whether the certificate is valid at this time. The verifier has asked already, but a resumed session
    /// skips it.
    pub(crate) fn is_valid_at(&self, wall: UnixMillis) -> bool {
        self.not_before <= wall && wall <= self.not_after
    }
}

/// Lists what a server certificate names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerNames {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl ServerNames {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut found = Self::default();
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return found };
        let Ok(Some(extension)) = parsed.subject_alternative_name() else { return found };
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => found.names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => found.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        found
    }

    pub(crate) fn holds_name(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        self.names.iter().any(|held| held.eq_ignore_ascii_case(name))
    }

    pub(crate) fn holds_address(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address.to_canonical())
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
