//! What a client is told before it connects.

use keyward_mqtt::packet::{Qos, Version};
use rustls::sign::SigningKey;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Says where the broker is, who the client is, and how it wants its session.
///
/// Holds secrets, so it has no `Debug`.
#[derive(Clone)]
pub struct ClientOptions {
    /// A host name or IP address, without port.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// How to speak TLS; `None` is plain TCP.
    pub tls: Option<TlsOptions>,
    /// The protocol version.
    pub version: Version,
    /// User name and password.
    pub login: Option<Login>,
    /// The client id; empty asks the broker to choose one.
    pub client_id: String,
    /// Whether an older session of this client id is thrown away.
    pub clean_start: bool,
    /// How long the broker keeps the session after the link is gone, in seconds; `u32::MAX` is for ever.
    /// In 3.1.1 a session outlives its link exactly if `clean_start` is false.
    pub session_expiry: u32,
    /// Seconds between signs of life; 0 is never.
    pub keep_alive: u16,
    /// What the broker publishes if it loses the client.
    pub will: Option<Will>,
    /// The longest wait for anything the broker has to answer.
    pub timeout: Duration,
}

impl ClientOptions {
    /// Makes options for MQTT 5.0 over plain TCP with a clean session, a keep-alive of 60 s and a timeout of 10 s.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
            version: Version::V5,
            login: None,
            client_id: String::new(),
            clean_start: true,
            session_expiry: 0,
            keep_alive: 60,
            will: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Says whom to trust and which certificate to show.
#[derive(Clone)]
pub struct TlsOptions {
    /// The trust anchors (PEM, one certificate or more). Nothing else is trusted: the system's store is not read.
    pub roots_pem: Vec<u8>,
    /// The client's own certificate and key.
    pub identity: Option<TlsIdentity>,
    /// The name that the broker's certificate must carry; `None` is [`ClientOptions::host`].
    pub server_name: Option<String>,
}

/// Holds a certificate with its chain and the private key.
#[derive(Clone)]
pub struct TlsIdentity {
    /// The certificate, then its issuer (PEM).
    pub chain_pem: Vec<u8>,
    /// The private key.
    pub key: TlsKey,
}

/// Is a private key for TLS.
#[derive(Clone)]
pub enum TlsKey {
    /// The key itself (PEM, PKCS#8, SEC1 or PKCS#1).
    Pem(Zeroizing<Vec<u8>>),
    /// A key that somebody else holds, and that signs for us: in a token or a TPM. It may block.
    Held(Arc<dyn SigningKey>),
}

impl TlsIdentity {
    /// Puts together a certificate with its chain and a key, both PEM.
    pub fn from_pem(chain_pem: impl Into<Vec<u8>>, key_pem: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self { chain_pem: chain_pem.into(), key: TlsKey::Pem(key_pem.into()) }
    }
}

/// Holds a user name, and a password if one goes with it.
#[derive(Clone)]
pub struct Login {
    /// The user name.
    pub username: String,
    /// The password, any bytes. None is not an empty one: beside a certificate the server may refuse both.
    pub password: Option<Zeroizing<Vec<u8>>>,
}

/// Is the message that the broker publishes if it loses the client (MQTT 5.0 chapter 3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Where it is published.
    pub topic: String,
    /// What is published.
    pub payload: Vec<u8>,
    /// With which quality of service.
    pub qos: Qos,
    /// Whether it is retained.
    pub retain: bool,
    /// Seconds that the broker waits first; 5.0 only.
    pub delay: u32,
}
