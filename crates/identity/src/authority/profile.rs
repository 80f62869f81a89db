//! What stands in each kind of certificate. This is the one place that decides it.
//!
//! No critical extension but basicConstraints and keyUsage; names of authorities short, because leaf and issuer must
//! fit into a Certificate message of 1,500 bytes.

use crate::{clock::WallTime, names::ServerName};
use keyward_ids::{CertSerial, Identity, InstallationId};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, SerialNumber, string::Ia5String,
};

/// Names the four authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The trust anchor of every bundle.
    ServerRoot,
    /// Signs the server's certificate.
    ServerIssuing,
    /// What the server accepts clients under.
    DeviceRoot,
    /// Signs certificates of devices and users.
    DeviceIssuing,
}

impl Role {
    pub(crate) const ALL: [Self; 4] =
        [Self::ServerRoot, Self::ServerIssuing, Self::DeviceRoot, Self::DeviceIssuing];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::ServerRoot => "server root",
            Self::ServerIssuing => "server issuing",
            Self::DeviceRoot => "device root",
            Self::DeviceIssuing => "device issuing",
        }
    }

    /// Returns the name of its files, without extension.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::ServerRoot => "server-root",
            Self::ServerIssuing => "server-issuing",
            Self::DeviceRoot => "device-root",
            Self::DeviceIssuing => "device-issuing",
        }
    }

    /// A root may have one authority below it, an issuing authority none.
    fn path_len(self) -> u8 {
        match self {
            Self::ServerRoot | Self::DeviceRoot => 1,
            Self::ServerIssuing | Self::DeviceIssuing => 0,
        }
    }
}

/// Holds when a certificate is valid, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: WallTime,
    pub(crate) not_after: WallTime,
}

/// Returns the URI that names an identity in its certificate.
pub(crate) fn identity_uri(installation: &InstallationId, identity: &Identity) -> String {
    format!("urn:keyward:{installation}:{}:{}", identity.kind(), identity.name())
}

/// Describes an authority's certificate.
pub(crate) fn authority(
    role: Role,
    installation: &InstallationId,
    serial: &CertSerial,
    validity: Validity,
) -> CertificateParams {
    let mut params = base(&format!("Keyward {} {installation}", role.title()), serial, validity);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(role.path_len()));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // A self-signed certificate needs no pointer to its issuer (RFC 5280 §4.2.1.1).
    params.use_authority_key_identifier_extension = matches!(role, Role::ServerIssuing | Role::DeviceIssuing);
    params
}

/// Describes the server's certificate.
pub(crate) fn server(
    names: &[ServerName],
    serial: &CertSerial,
    validity: Validity,
) -> Result<CertificateParams, rcgen::Error> {
    let san = |name: &ServerName| match name {
        ServerName::Dns(name) => Ia5String::try_from(name.as_str()).map(SanType::DnsName),
        ServerName::Ip(address) => Ok(SanType::IpAddress(*address)),
    };
    let mut params = leaf("Keyward server", serial, validity);
    params.subject_alt_names = names.iter().map(san).collect::<Result<_, _>>()?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// Describes the certificate of a device or user.
pub(crate) fn client(
    installation: &InstallationId,
    identity: &Identity,
    serial: &CertSerial,
    validity: Validity,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = leaf(identity.name(), serial, validity);
    params.subject_alt_names = vec![SanType::URI(identity_uri(installation, identity).try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn leaf(common_name: &str, serial: &CertSerial, validity: Validity) -> CertificateParams {
    let mut params = base(common_name, serial, validity);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn base(common_name: &str, serial: &CertSerial, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
    params.not_before = validity.not_before.to_utc();
    params.not_after = validity.not_after.to_utc();
    params
}
