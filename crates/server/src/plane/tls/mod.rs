//! What a TLS listener shows and demands: one immutable rustls configuration per listener and generation.
//!
//! Each configuration has its own ticket key and its own session cache, so that a session of one listener, of older
//! authorities or of an older configuration is never resumed: such a client makes a full handshake, unseen by it.
//! There is no early data, and no key log: rustls writes one only if it is told to.

pub(crate) mod certificate;
pub(crate) mod channel;
pub(crate) mod fingerprint;
pub(crate) mod fragment;
pub(crate) mod hello;
mod path_length;
pub(crate) mod remedy;
mod sealing;
pub(crate) mod trusted;
pub(crate) mod version1;

use crate::login::LoginRule;
use crate::plane::entrance::Entrance;
use crate::plane::tls::certificate::ServerNames;
use crate::plane::tls::trusted::{TrustedClients, TrustedVerifiers};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, ResolvesServerCert, ServerConfig, ServerSessionMemoryCache, VerifierBuilderError,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Is what TLS listeners are built from.
pub struct TlsMaterial {
    /// The server's certificate and its issuers, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the leaf.
    pub key: PrivateKeyDer<'static>,
    /// The root of this chain, for devices that know its fingerprint alone.
    pub root: Option<CertificateDer<'static>>,
    /// The roots under which clients' certificates must stand; the server's own root is not among them.
    pub device_roots: Vec<CertificateDer<'static>>,
    /// Issuers under these roots, for clients that send their leaf alone.
    pub device_issuers: Vec<CertificateDer<'static>>,
    /// Authorities of others whose client certificates are accepted too.
    pub trusted: Vec<TrustedClients>,
    /// What some listeners show instead of the server's certificate, by their names.
    pub listeners: Vec<ListenerCertificate>,
}

/// Is what one listener shows instead of the server's certificate.
pub struct ListenerCertificate {
    /// The listener.
    pub listener: String,
    /// The certificate and its issuers, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the leaf.
    pub key: PrivateKeyDer<'static>,
}

/// Tells whether a certificate and a key belong together and can be shown.
///
/// # Errors
/// [`TlsError`] says why not.
pub(crate) fn check_certificate(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(), TlsError> {
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map(drop).map_err(TlsError::Key)
}

/// Says why certificates and key do not make a TLS listener. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The key is damaged, of an unknown kind, or not the one of the certificate.
    #[error("the server's key and certificate do not fit together: {0}")]
    Key(rustls::Error),
    /// The chain is empty.
    #[error("there is no server certificate")]
    NoCertificate,
    /// A root cannot be read.
    #[error("a device root cannot be read: {0}")]
    Root(rustls::Error),
    /// The roots do not make a verifier.
    #[error("the device roots cannot verify clients: {0}")]
    Verifier(VerifierBuilderError),
    /// The cryptography refused.
    #[error("the TLS library refused the settings: {0}")]
    Provider(rustls::Error),
}

/// Is checked material, from which each listener gets its configuration.
pub(crate) struct TlsSettings {
    provider: Arc<CryptoProvider>,
    certified: Shown,
    roots: Arc<RootCertStore>,
    issuers: Arc<[CertificateDer<'static>]>,
    trusted: Arc<TrustedVerifiers>,
    names: Arc<ServerNames>,
    listeners: BTreeMap<String, (Shown, Arc<ServerNames>)>,
}

impl TlsSettings {
    pub(crate) fn new(material: TlsMaterial) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let leaf = material.chain.first().ok_or(TlsError::NoCertificate)?;
        let names = Arc::new(ServerNames::of(leaf));
        let certified =
            CertifiedKey::from_der(material.chain, material.key, &provider).map_err(TlsError::Key)?;
        let mut roots = RootCertStore::empty();
        for root in material.device_roots {
            roots.add(root).map_err(TlsError::Root)?;
        }
        let (certified, roots) = (Shown::new(certified, material.root), Arc::new(roots));
        let trusted = Arc::new(TrustedVerifiers::new(material.trusted, &provider));
        let mut listeners = BTreeMap::new();
        for ListenerCertificate { listener, chain, key } in material.listeners {
            let names = Arc::new(ServerNames::of(chain.first().ok_or(TlsError::NoCertificate)?));
            let certified = CertifiedKey::from_der(chain, key, &provider).map_err(TlsError::Key)?;
            listeners.insert(listener, (Shown::new(certified, None), names));
        }
        let issuers = material.device_issuers.into();
        Ok(Self { provider, certified, roots, issuers, trusted, names, listeners })
    }

    /// Returns the verifiers of authorities that are not ours.
    pub(crate) fn trusted(&self) -> Arc<TrustedVerifiers> {
        self.trusted.clone()
    }

    /// Makes the configuration of one listener, with its own ticket key and a cache of `sessions` entries.
    pub(crate) fn configure(
        &self,
        listener: &str,
        entrance: &Entrance,
        sessions: usize,
    ) -> Result<ListenerTls, TlsError> {
        let ours = (self.certified.clone(), self.names.clone());
        let (certified, names) = self.listeners.get(listener).cloned().unwrap_or(ours);
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Provider)?;
        let builder = match entrance.login {
            LoginRule::Password => builder.with_no_client_auth(),
            _ => builder.with_client_cert_verifier(Arc::new(DeviceVerifier::new(self, entrance)?)),
        };
        let mut config = builder.with_cert_resolver(Arc::new(certified));
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Provider)?;
        config.session_storage = ServerSessionMemoryCache::new(sessions);
        config.max_early_data_size = 0;
        Ok(ListenerTls { config: Arc::new(config), names })
    }
}

/// Makes the verifiers of authorities that are not ours, without anything that listeners show.
pub(crate) fn trusted_verifiers(trusted: Vec<TrustedClients>) -> TrustedVerifiers {
    TrustedVerifiers::new(trusted, &Arc::new(aws_lc_rs::default_provider()))
}

/// Is what a door needs for the handshakes of one listener.
#[derive(Clone)]
pub(crate) struct ListenerTls {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) names: Arc<ServerNames>,
}

/// The protocol (RFC 7301) by which a device that is about to enrol asks for the root, too. It is not answered by name: what is
/// spoken is MQTT in any case.
const ENROLLING: &[u8] = b"keyward-enroll";

/// Is the one certificate that a listener shows whatever name was asked for: small clients send none, or an IP address.
#[derive(Debug, Clone)]
struct Shown {
    usual: Arc<CertifiedKey>,
    /// The same with the root behind it. It is shown to who asks only, for small clients have no room for it, and most of no
    /// use: they have it.
    with_root: Option<Arc<CertifiedKey>>,
}

impl Shown {
    fn new(usual: CertifiedKey, root: Option<CertificateDer<'static>>) -> Self {
        let with_root = root.map(|root| {
            let chain = usual.cert.iter().cloned().chain([root]).collect();
            Arc::new(CertifiedKey::new(chain, usual.key.clone()))
        });
        Self { usual: Arc::new(usual), with_root }
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_enrolling = hello.alpn().is_some_and(|mut names| names.any(|name| name == ENROLLING));
        let shown = self.with_root.as_ref().filter(|_| is_enrolling).unwrap_or(&self.usual);
        Some(shown.clone())
    }
}

/// Verifies a client's certificate against the device roots, after bounding what it has to look at. Whether the
/// registry holds the certificate is asked after the handshake, because a resumed session does not come here.
#[derive(Debug)]
struct DeviceVerifier {
    webpki: Arc<dyn ClientCertVerifier>,
    issuers: Arc<[CertificateDer<'static>]>,
    trusted: Arc<TrustedVerifiers>,
    entrance: Entrance,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl DeviceVerifier {
    /// A leaf, two issuers and a root that a client sends for good measure.
    const MAX_CHAIN: usize = 4;
    /// A P-256 leaf takes 600 bytes, one with an RSA-4096 key 2 KiB.
    const MAX_CERTIFICATE: usize = 8 * 1024;

    fn new(settings: &TlsSettings, entrance: &Entrance) -> Result<Self, TlsError> {
        let builder =
            WebPkiClientVerifier::builder_with_provider(settings.roots.clone(), settings.provider.clone());
        let is_needed = entrance.login.needs_certificate();
        let builder = if is_needed { builder } else { builder.allow_unauthenticated() };
        let webpki = builder.build().map_err(TlsError::Verifier)?;
        let trusted = settings.trusted();
        let hints = webpki.root_hint_subjects().iter().chain(trusted.hints(entrance)).cloned().collect();
        let algorithms = settings.provider.signature_verification_algorithms;
        let (issuers, entrance) = (settings.issuers.clone(), entrance.clone());
        Ok(Self { webpki, issuers, trusted, entrance, hints, algorithms })
    }

    /// Verifies a certificate against our own roots, which issue none of version 1.
    fn verify_ours(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if version1::is_version1(leaf) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let all: Vec<CertificateDer<'_>> = issuers.iter().chain(self.issuers.iter()).cloned().collect();
        self.webpki.verify_client_cert(leaf, &all, now)
    }
}

impl ClientCertVerifier for DeviceVerifier {
    fn offer_client_auth(&self) -> bool {
        self.webpki.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.webpki.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let long = issuers.len() >= Self::MAX_CHAIN;
        if long || issuers.iter().chain([leaf]).any(|each| each.len() > Self::MAX_CERTIFICATE) {
            return Err(CertificateError::BadEncoding.into());
        }
        self.verify_ours(leaf, issuers, now).or_else(|ours| {
            match self.trusted.vouching(&self.entrance, leaf, issuers, now) {
                Ok(_) => Ok(ClientCertVerified::assertion()),
                Err(telling) => Err(telling.unwrap_or(ours)),
            }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match version1::is_version1(certificate) {
            true => version1::verify_tls12_signature(message, certificate, signature, &self.algorithms),
            false => self.webpki.verify_tls12_signature(message, certificate, signature),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match version1::is_version1(certificate) {
            true => version1::verify_tls13_signature(message, certificate, signature, &self.algorithms),
            false => self.webpki.verify_tls13_signature(message, certificate, signature),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_identity::{InitOptions, KeyProtection, Lifetimes, Registrar, ServerName, WallTime};

    fn settings() -> TlsSettings {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let options = InitOptions {
            now: WallTime(1_800_000_000_000),
            build_time: WallTime(1_700_000_000_000),
            accept_clock: false,
            actor: "test",
            found_names: vec!["localhost".parse::<ServerName>().unwrap()],
            added_names: Vec::new(),
            protection: KeyProtection::FileMode,
            lifetimes: Lifetimes::default(),
        };
        let registrar = Registrar::create(dir.path(), options).unwrap();
        TlsSettings::new(crate::wiring::tls_material(&registrar)).unwrap()
    }

    #[test]
    fn no_keys_are_logged_and_no_early_data_is_taken() {
        let tls = settings().configure("mqtts", &Entrance::default(), 16).unwrap();
        assert!(!tls.config.key_log.will_log("CLIENT_HANDSHAKE_TRAFFIC_SECRET"));
        assert_eq!(tls.config.max_early_data_size, 0);
    }

    #[test]
    fn a_damaged_key_makes_no_listener() {
        let ours = settings();
        let material = TlsMaterial {
            chain: ours.certified.usual.cert.clone(),
            key: PrivateKeyDer::Pkcs8(vec![0; 8].into()),
            root: None,
            device_roots: Vec::new(),
            device_issuers: Vec::new(),
            trusted: Vec::new(),
            listeners: Vec::new(),
        };
        assert!(matches!(TlsSettings::new(material), Err(TlsError::Key(_))));
    }
}
