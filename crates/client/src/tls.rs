//! TLS settings from PEM, and rustls' errors in the words of this crate.

use crate::error::ClientError;
use crate::options::{TlsIdentity, TlsKey, TlsOptions};
use crate::pin::PinnedRoot;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, RootCertStore};
use std::sync::Arc;

/// Starts a TLS connection to `host`.
pub(crate) fn start(options: &TlsOptions, host: &str) -> Result<ClientConnection, ClientError> {
    let name = options.server_name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned()).map_err(|_| {
        credentials("server name", format!("{name:?} is neither a host name nor an IP address"))
    })?;
    let config = config(options)?;
    ClientConnection::new(Arc::new(config), name).map_err(|error| explain(error, host))
}

/// The protocol (RFC 7301) by whose name a device that enrols asks to be shown the root.
const ENROL: &[u8] = b"keyward-enroll";

/// Starts a TLS connection to `host` that trusts only a chain whose root has this SHA-256, and asks to be shown that root.
pub(crate) fn start_pinned(fingerprint: &[u8; 32], host: &str) -> Result<ClientConnection, ClientError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        credentials("server name", format!("{host:?} is neither a host name nor an IP address"))
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedRoot::new(*fingerprint, provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![ENROL.to_vec()];
    ClientConnection::new(Arc::new(config), name).map_err(|error| explain(error, host))
}

fn config(options: &TlsOptions) -> Result<ClientConfig, ClientError> {
    // Chosen here and not left to the process: a dependency that brings a second provider must change nothing.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls(error.to_string()))?
        .with_root_certificates(roots(&options.roots_pem)?);
    match &options.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(identity) => {
            let shown = certified(identity, builder.crypto_provider())?;
            Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown))))
        }
    }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, ClientError> {
    let bad = |problem: String| credentials("trust anchor", problem);
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| bad(not_pem(&error)))?;
        store.add(certificate).map_err(|_| bad("it holds a certificate that cannot be read".to_owned()))?;
    }
    if store.is_empty() {
        return Err(bad("it holds no certificate; use the broker's ca.pem".to_owned()));
    }
    Ok(store)
}

/// Puts certificate and key together; they must go with each other.
fn certified(identity: &TlsIdentity, provider: &CryptoProvider) -> Result<CertifiedKey, ClientError> {
    let chain = CertificateDer::pem_slice_iter(&identity.chain_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| credentials("certificate", not_pem(&error)))?;
    if chain.is_empty() {
        return Err(credentials("certificate", "the file holds none".to_owned()));
    }
    let unfit = |error: rustls::Error| {
        credentials("certificate", format!("it does not go with the private key ({error})"))
    };
    match &identity.key {
        TlsKey::Pem(pem) => {
            let key = PrivateKeyDer::from_pem_slice(pem)
                .map_err(|error| credentials("private key", not_pem(&error)))?;
            CertifiedKey::from_der(chain, key, provider).map_err(unfit)
        }
        TlsKey::Held(key) => {
            let shown = CertifiedKey::new(chain, Arc::clone(key));
            shown.keys_match().map_err(unfit)?;
            Ok(shown)
        }
    }
}

/// Says why a file is not PEM. It quotes nothing, as the library would: what lies there may be a key.
fn not_pem(error: &pem::Error) -> String {
    let problem = match error {
        pem::Error::MissingSectionEnd { .. } => "a block has no end; is the file whole?",
        pem::Error::IllegalSectionStart { .. } => "a line that begins a block is damaged",
        pem::Error::Base64Decode(_) => "a block holds what is no base64",
        pem::Error::NoItemsFound => "the file holds none",
        _ => "it cannot be read",
    };
    format!("it is not PEM: {problem}")
}

fn credentials(part: &'static str, problem: String) -> ClientError {
    ClientError::Credentials { part, problem }
}

/// Turns an error of rustls into one that says what to do.
pub(crate) fn explain(error: rustls::Error, host: &str) -> ClientError {
    match error {
        rustls::Error::AlertReceived(alert) => ClientError::Alert { alert: alert_name(alert) },
        rustls::Error::InvalidCertificate(problem) => {
            ClientError::Untrusted { problem: certificate_problem(&problem, host) }
        }
        rustls::Error::NoCertificatesPresented => {
            ClientError::Untrusted { problem: "it showed no certificate".to_owned() }
        }
        rustls::Error::InvalidMessage(_) => ClientError::Tls("what answers does not speak TLS".to_owned()),
        other => ClientError::Tls(other.to_string()),
    }
}

fn certificate_problem(problem: &CertificateError, host: &str) -> String {
    match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate was not issued by the authority in the trust anchor; \
             use the ca.pem of this very broker, and if it is that one, do not connect"
                .to_owned()
        }
        // Only who knows a fingerprint and no root says so.
        CertificateError::ApplicationVerificationFailure => {
            "its root is not the one that the claim names: the claim is of another installation, or was changed on its way, or somebody \
             plays the broker; on the broker itself draw another: keyward device invite ID"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate does not name {host}; on the broker: keyward server name add {host}")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; check this machine's clock, then the broker's `keyward status`"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; check this machine's clock".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate was not issued to a server; somebody may be playing the broker: do not connect"
                .to_owned()
        }
        other => format!("its certificate is wrong ({other})"),
    }
}

/// Returns the alert's name as RFC 8446 §6 writes it.
fn alert_name(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::HandshakeFailure => "handshake_failure",
        AlertDescription::BadCertificate => "bad_certificate",
        AlertDescription::CertificateRevoked => "certificate_revoked",
        AlertDescription::CertificateExpired => "certificate_expired",
        AlertDescription::CertificateUnknown => "certificate_unknown",
        AlertDescription::UnknownCA => "unknown_ca",
        AlertDescription::AccessDenied => "access_denied",
        AlertDescription::ProtocolVersion => "protocol_version",
        AlertDescription::InternalError => "internal_error",
        AlertDescription::UnrecognisedName => "unrecognized_name",
        AlertDescription::CertificateRequired => "certificate_required",
        other => return format!("number {}", u8::from(other)),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_refused_without_quoting_it() {
        for text in [
            "-----BEGIN secret key\n",
            "-----BEGIN CERTIFICATE-----\nsecret\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n",
            "secret",
        ] {
            let error = roots(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("the trust anchor cannot be used: it "), "{error}");
            assert!(!error.contains("secret") && !error.contains('['), "{error}");
        }
    }
}
