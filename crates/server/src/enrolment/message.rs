//! What a device sends on `$keyward/enroll`, and the JSON that it is answered.

use crate::escape;
use base64ct::{Base64, Encoding};
use keyward_identity::{AgreementKey, MessageKey, MessageKeyRefusal, Secret};
use keyward_tpm::{Challenge, Evidence};
use serde::{Deserialize, Serialize};

/// Is what a device sends: a signing request (PKCS #10, PEM or DER) as it is, or a JSON object that holds one as PEM.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The signing request.
    #[serde(deserialize_with = "text")]
    pub csr: Vec<u8>,
    /// The key by which the device will sign its messages.
    #[serde(default)]
    message_key: Option<SentKey>,
    /// The key to which is to be encrypted for the device.
    #[serde(default)]
    agreement_key: Option<SentAgreementKey>,
    /// What a TPM says of the two keys.
    #[serde(default)]
    pub evidence: Option<Evidence>,
    /// What the TPM found in the challenge.
    #[serde(default)]
    pub activated: Option<Secret>,
}

/// Is a message key as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SentKey {
    /// A `COSE_Key`, base64.
    cose: String,
    /// How well the device says that it keeps the private key.
    level: u8,
}

/// Is a key to encrypt to as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SentAgreementKey {
    /// A `COSE_Key`, base64.
    cose: String,
}

/// Says that what was sent is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the request is neither a signing request (PEM or DER) nor a JSON object {{\"csr\": PEM}}: {0}")]
pub struct RequestError(String);

/// How many characters say what is wrong with a request.
const PROBLEM_CHARS: usize = 200;

impl Request {
    /// Reads what was published. Whether the signing request is sound is for `identity` to say.
    ///
    /// # Errors
    /// [`RequestError`] if it is a JSON object of another form.
    pub fn read(payload: &[u8]) -> Result<Self, RequestError> {
        match payload.first() {
            None => Err(RequestError("it is empty".to_owned())),
            // It quotes what came.
            Some(b'{') => serde_json::from_slice(payload)
                .map_err(|error| RequestError(escape::escape_cut(&error.to_string(), PROBLEM_CHARS))),
            Some(_) => Ok(Self {
                csr: payload.to_vec(),
                message_key: None,
                agreement_key: None,
                evidence: None,
                activated: None,
            }),
        }
    }

    /// Reads the message key, if one was sent. Whether its level is believed is for `identity` to say.
    ///
    /// # Errors
    /// [`MessageKeyRefusal`] says what is wrong with it.
    pub fn message_key(&self) -> Result<Option<MessageKey>, MessageKeyRefusal> {
        let read = |sent: &SentKey| {
            let cose = Base64::decode_vec(&sent.cose).map_err(|_| MessageKeyRefusal::Form)?;
            MessageKey::read(&cose, sent.level)
        };
        self.message_key.as_ref().map(read).transpose()
    }

    /// Reads the key to which is to be encrypted, if one was sent.
    ///
    /// # Errors
    /// [`MessageKeyRefusal`] says what is wrong with it.
    pub fn agreement_key(&self) -> Result<Option<AgreementKey>, MessageKeyRefusal> {
        let read = |sent: &SentAgreementKey| {
            let cose = Base64::decode_vec(&sent.cose).map_err(|_| MessageKeyRefusal::AgreementForm)?;
            AgreementKey::read(&cose)
        };
        self.agreement_key.as_ref().map(read).transpose()
    }
}

fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    String::deserialize(deserializer).map(String::into_bytes)
}

/// Is what a device is answered.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// It is certified.
    Certified(Box<Certified>),
    /// It is to show that its TPM is the one that vouched.
    Challenge {
        /// What only that TPM opens.
        challenge: Challenge,
    },
    /// It is not.
    Refused {
        /// What kind of refusal it is, for programs.
        error: Rejection,
        /// What is wrong and what to do, for people.
        what: String,
    },
}

/// Holds what a device needs to log in.
#[derive(Debug, Serialize)]
pub(crate) struct Certified {
    /// Its id.
    pub(crate) device: String,
    /// The installation that its certificate names.
    pub(crate) installation: String,
    /// Its certificate and the issuer, PEM, its own first: what it shows.
    pub(crate) certificate: String,
    /// The server root, PEM: what it verifies the server under.
    pub(crate) server_root: String,
    /// The key that signs the server's key sets, a `COSE_Key`, base64: what it pins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) installation_key: Option<String>,
    /// The key set that is in force, a signed message for `$keyward/keys/server`, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_set: Option<String>,
    /// When the certificate ends, RFC 3339.
    pub(crate) expires: String,
    /// From when on it may be renewed, RFC 3339.
    pub(crate) renew_from: String,
}

/// Classes refusals for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rejection {
    /// The request cannot be read, or asks for what nobody gets: another one may do.
    Request,
    /// The key may not be certified: another key may do.
    Key,
    /// What a TPM says shows nothing, or there is none: the same again gets nothing.
    Evidence,
    /// The code was used with another key: only a new code helps.
    Conflict,
    /// The code or the certificate is good for nothing any more: only a new code helps.
    Void,
    /// It is too early to renew.
    Early,
    /// The server cannot do it now: it may do later.
    Later,
}

impl Reply {
    /// Writes it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // It cannot fail: the fields are texts.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn refused(error: Rejection, what: impl ToString) -> Self {
        Self::Refused { error, what: what.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_signing_request_or_an_object_that_holds_one() {
        let pem = "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n";
        let object = serde_json::json!({ "csr": pem }).to_string();
        for payload in [pem.as_bytes(), object.as_bytes()] {
            assert_eq!(Request::read(payload).unwrap().csr, pem.as_bytes());
        }
        assert_eq!(Request::read(b"0\x82\x01").unwrap().csr, b"0\x82\x01");
        let with_key = |key: &str| {
            let payload = format!(r#"{{"csr":"a","message_key":{key}}}"#);
            Request::read(payload.as_bytes()).map(|request| request.message_key())
        };
        assert_eq!(with_key(r#"{"cose":"AQ==","level":0}"#), Ok(Err(MessageKeyRefusal::Form)));
        assert_eq!(with_key(r#"{"cose":"!","level":0}"#), Ok(Err(MessageKeyRefusal::Form)));
        let ed25519 = "pQEBAkiGbu+9ZxjIhAMnIAYhWCDXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
        let at_level = |level| with_key(&format!(r#"{{"cose":"{ed25519}","level":{level}}}"#)).unwrap();
        assert_eq!(at_level(9), Err(MessageKeyRefusal::Level(9)));
        assert_eq!(at_level(3).unwrap().unwrap().level(), 3, "whether it is shown is seen elsewhere");
        assert!(
            with_key(r#"{"cose":"AQ=="}"#).is_err() && with_key(r#"{"cose":"AQ==","level":999}"#).is_err()
        );
        let agreement_key = |key: &str| {
            let payload = format!(r#"{{"csr":"a","agreement_key":{key}}}"#);
            Request::read(payload.as_bytes()).map(|request| request.agreement_key())
        };
        assert_eq!(agreement_key(r#"{"cose":"AQ=="}"#), Ok(Err(MessageKeyRefusal::AgreementForm)));
        assert_eq!(agreement_key(r#"{"cose":"!"}"#), Ok(Err(MessageKeyRefusal::AgreementForm)));
        assert!(agreement_key(r#"{"cose":"AQ==","level":0}"#).is_err(), "nobody asks how well it is kept");
        for bad in ["", "{", "{}", r#"{"csr":1}"#, r#"{"csr":"a","more":1}"#, r#"{"csr":"a"} x"#] {
            assert!(Request::read(bad.as_bytes()).is_err(), "{bad}");
        }
        let long = format!(r#"{{"\u001b[2J{}":1}}"#, "x".repeat(9_000));
        let problem = Request::read(long.as_bytes()).err().unwrap().to_string();
        assert!(problem.len() < 400 && !problem.contains('\u{1b}'), "it goes to a log: {problem}");
    }

    #[test]
    fn what_a_device_is_answered_is_written_as_ever() {
        let refused = Reply::refused(Rejection::Conflict, "two \"devices\"").encode();
        assert_eq!(refused, br#"{"result":"refused","error":"conflict","what":"two \"devices\""}"#);
        let text = || "x".to_owned();
        let (device, installation, certificate, server_root) = (text(), text(), text(), text());
        let (expires, renew_from) = (text(), text());
        let (installation_key, key_set) = (Some(text()), None);
        let challenge = Challenge { credential: vec![1], secret: vec![2] };
        let json = br#"{"result":"challenge","challenge":{"credential":"AQ==","secret":"Ag=="}}"#;
        assert_eq!(Reply::Challenge { challenge }.encode(), json);
        let certified = Reply::Certified(Box::new(Certified {
            device,
            installation,
            certificate,
            server_root,
            installation_key,
            key_set,
            expires,
            renew_from,
        }));
        let json = r#"{"result":"certified","device":"x","installation":"x","certificate":"x","server_root":"x","installation_key":"x","expires":"x","renew_from":"x"}"#;
        assert_eq!(certified.encode(), json.as_bytes());
    }
}
