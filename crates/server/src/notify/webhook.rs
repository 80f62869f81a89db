//! Webhooks: an incident as JSON by POST, signed over the time and the body.

use super::notice::{Letter, Origin};
use super::{Channel, limits, secret, tls};
use crate::clock;
use crate::config;
use aws_lc_rs::hmac;
use std::sync::Arc;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// The field that holds the time of sending and the signature: `t=SECONDS,v1=HEX`.
const SIGNATURE: &str = "Keyward-Signature";

/// The field that holds the name of a letter, the same at each try (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY: &str = "Idempotency-Key";

/// Calls one program over HTTP.
pub(super) struct Webhook {
    settings: config::Webhook,
    origin: Origin,
}

impl Webhook {
    pub(super) fn new(settings: config::Webhook, origin: Origin) -> Self {
        Self { settings, origin }
    }

    /// Returns a client that goes straight to the host, follows nobody elsewhere, and is done in time.
    fn agent(&self) -> Result<Agent, String> {
        let mut config = Agent::config_builder()
            .timeout_global(Some(limits::NOTICE_TIME))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .user_agent(concat!("keyward/", env!("CARGO_PKG_VERSION")));
        if self.settings.url.starts_with("https:") {
            let roots = tls::roots(self.settings.ca_file.as_deref())?;
            let roots: Vec<_> = roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            config = config.tls_config(
                TlsConfig::builder()
                    .provider(TlsProvider::Rustls)
                    .root_certs(RootCerts::Specific(Arc::new(roots)))
                    .unversioned_rustls_crypto_provider(Arc::new(provider))
                    .build(),
            );
        }
        Ok(config.build().new_agent())
    }

    fn send_one(&self, letter: &Letter) -> Result<(), String> {
        let secret = secret::read(&self.settings.secret_file, limits::SECRET_BYTES_MIN)?;
        let body = letter.json(&self.origin);
        let signature = signature(&secret, clock::now().wall.as_secs(), &body);
        let request = self
            .agent()?
            .post(&self.settings.url)
            .header("Content-Type", "application/json")
            .header(SIGNATURE, signature)
            .header(IDEMPOTENCY, &letter.id);
        let host = &self.settings.host;
        match request.send(body.as_bytes()) {
            Ok(answer) => judge(answer.status().as_u16()).map_err(|why| format!("{host} {why}")),
            Err(error) => Err(format!("{host}: {}", plain(&error))),
        }
    }
}

impl Channel for Webhook {
    fn send(&self, letters: &[Letter]) -> Result<(), String> {
        letters.iter().try_for_each(|letter| self.send_one(letter))
    }
}

/// Returns the signature over time and body: HMAC with SHA-256 (RFC 2104) over `SECONDS.BODY`.
fn signature(secret: &[u8], at_secs: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{at_secs}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at_secs},v1={hex}")
}

/// Says what an answer means: whatever begins with 2 is good.
fn judge(status: u16) -> Result<(), String> {
    match status {
        200..=299 => Ok(()),
        300..=399 => {
            Err(format!("sends elsewhere ({status}), and nobody is followed: write the URL that it leads to"))
        }
        401 | 403 => Err(format!("refuses ({status}): does it know the secret?")),
        404 | 410 => Err(format!("knows no such place ({status}): is the URL right?")),
        _ => Err(format!("answers {status}")),
    }
}

/// Says what went wrong, without the URL, for that may hold a secret.
fn plain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("no answer within {} s", limits::NOTICE_TIME.as_secs()),
        ureq::Error::HostNotFound => {
            "no such host: is the URL right, and does this machine's DNS answer?".to_owned()
        }
        ureq::Error::ConnectionFailed => "nobody takes the connection".to_owned(),
        ureq::Error::Io(error) => {
            match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(inner) => tls::trouble(inner),
                None => error.kind().to_string(),
            }
        }
        ureq::Error::Rustls(error) => tls::trouble(error),
        ureq::Error::BadUri(_) => "the URL is none".to_owned(),
        ureq::Error::LargeResponseHeader(..) => "its answer is too long".to_owned(),
        ureq::Error::Protocol(_) => "it does not answer as HTTP does".to_owned(),
        _ => "it could not be told".to_owned(),
    }
}

#[cfg(test)]
mod tests;
