//! What a server answers to an application: one JSON object on `$keyward/enroll/answer`.

use crate::limits::ANSWER_BYTES;
use base64ct::{Base64, Encoding};
use keyward_envelope::{PublicKey, Purpose};
use keyward_ids::{DeviceId, InstallationId};
use keyward_tpm::Challenge;
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Is the answer to an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The device is certified.
    Certified(Box<Certified>),
    /// Its hardware is to show first that it is the one that vouched.
    Challenge(Challenge),
    /// It is not.
    Refused {
        /// What kind of refusal it is.
        rejection: Rejection,
        /// The server's own sentence.
        what: String,
    },
}

/// Holds what a certified device needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// Who the device is.
    pub device: DeviceId,
    /// The installation that it belongs to.
    pub installation: InstallationId,
    /// Its certificate and the issuer's, PEM.
    pub certificate: String,
    /// The trust anchor, PEM.
    pub server_root: String,
    /// When the certificate ends, seconds since 1970.
    pub expires: u64,
    /// From when on it may be renewed, seconds since 1970.
    pub renew_from: u64,
    /// The key that signs key sets: what the device pins. A `COSE_Key`.
    pub installation_key: Option<Vec<u8>>,
    /// The key set of that moment, as it was signed.
    pub key_set: Option<Vec<u8>>,
}

/// Classes refusals, as `docs/enrolment.md` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// The request cannot be read, or asks for more than it gets.
    Request,
    /// The key is held by somebody.
    Key,
    /// What the hardware says shows nothing, or hardware is asked for.
    Evidence,
    /// The code was used with another key.
    Conflict,
    /// The code or certificate is good for nothing any more.
    Void,
    /// It is too early to renew.
    Early,
    /// The server cannot issue now.
    Later,
    /// One that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Says that what the server sent is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server's answer cannot be read: {0}; is its version of Keyward older or much newer?")]
pub struct AnswerError(String);

#[derive(Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
enum Said {
    Certified(SaidCertified),
    Challenge { challenge: Challenge },
    Refused { error: Rejection, what: String },
}

#[derive(Deserialize)]
struct SaidCertified {
    device: String,
    installation: String,
    certificate: String,
    server_root: String,
    expires: String,
    renew_from: String,
    installation_key: Option<String>,
    key_set: Option<String>,
}

impl Answer {
    /// Reads an answer. Fields that are not known are passed over, for servers learn.
    ///
    /// # Errors
    /// [`AnswerError`] names the part that cannot be.
    pub fn read(bytes: &[u8]) -> Result<Self, AnswerError> {
        let wrong = |what: &str| AnswerError(what.to_owned());
        if bytes.len() > ANSWER_BYTES {
            return Err(wrong("it is longer than 64 KiB"));
        }
        let said = serde_json::from_slice(bytes).map_err(|error| {
            AnswerError(format!("line {}, column {} is not as expected", error.line(), error.column()))
        })?;
        match said {
            Said::Refused { error, what } => Ok(Self::Refused { rejection: error, what: harmless(&what) }),
            Said::Challenge { challenge } => Ok(Self::Challenge(challenge)),
            Said::Certified(said) => said.check().map(|certified| Self::Certified(Box::new(certified))),
        }
    }
}

impl SaidCertified {
    fn check(self) -> Result<Certified, AnswerError> {
        let wrong = |what: &str| AnswerError(format!("`{what}` is not what it should be"));
        let installation_key = decoded(self.installation_key).map_err(|()| wrong("installation_key"))?;
        let is_key = |key: &Vec<u8>| matches!(PublicKey::from_cose(key), Ok((_, Purpose::Sign)));
        if !installation_key.as_ref().is_none_or(is_key) {
            return Err(wrong("installation_key"));
        }
        Ok(Certified {
            device: DeviceId::parse(&self.device).map_err(|_| wrong("device"))?,
            installation: InstallationId::parse(&self.installation).map_err(|_| wrong("installation"))?,
            certificate: self.certificate,
            server_root: self.server_root,
            expires: moment(&self.expires).ok_or_else(|| wrong("expires"))?,
            renew_from: moment(&self.renew_from).ok_or_else(|| wrong("renew_from"))?,
            installation_key,
            key_set: decoded(self.key_set).map_err(|()| wrong("key_set"))?,
        })
    }
}

fn decoded(text: Option<String>) -> Result<Option<Vec<u8>>, ()> {
    text.map(|text| Base64::decode_vec(&text).map_err(|_| ())).transpose()
}

fn moment(text: &str) -> Option<u64> {
    u64::try_from(OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp()).ok()
}

/// Cuts and escapes words of the server: they go to a log or a terminal.
fn harmless(text: &str) -> String {
    text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certified(more: &str) -> String {
        format!(
            r#"{{"result":"certified","device":"pump-1","installation":"k7m2q9xw4hp3a8cd","certificate":"c","server_root":"r",
            "expires":"2036-11-19T08:00:00.5Z","renew_from":"2033-07-20T08:00:00Z"{more}}}"#
        )
    }

    #[test]
    fn an_answer_says_who_the_device_is_and_until_when() {
        let Ok(Answer::Certified(read)) = Answer::read(certified(r#","more":[1]"#).as_bytes()) else {
            panic!("it is an answer")
        };
        assert_eq!((read.device.as_str(), read.installation.as_str()), ("pump-1", "k7m2q9xw4hp3a8cd"));
        assert_eq!((read.expires, read.renew_from), (2_110_694_400, 2_005_459_200));
        assert_eq!((read.installation_key, read.key_set), (None, None));
    }

    #[test]
    fn a_refusal_is_classed_and_its_words_steer_no_terminal() {
        let read = |error: &str| {
            Answer::read(
                format!("{{\"result\":\"refused\",\"error\":\"{error}\",\"what\":\"no\\u001b[2J\"}}")
                    .as_bytes(),
            )
        };
        let refused = |rejection| Ok(Answer::Refused { rejection, what: "no [2J".to_owned() });
        assert_eq!(read("evidence"), refused(Rejection::Evidence));
        assert_eq!(read("conflict"), refused(Rejection::Conflict));
        assert_eq!(read("of-later-days"), refused(Rejection::Unknown));
    }

    #[test]
    fn a_challenge_is_read_as_it_is_sent() {
        let read =
            Answer::read(br#"{"result":"challenge","challenge":{"credential":"AQ==","secret":"Ag=="}}"#);
        assert_eq!(read, Ok(Answer::Challenge(Challenge { credential: vec![1], secret: vec![2] })));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [
            r#"{"result":"challenge"}"#.to_owned(),
            r#"{"result":"challenge","challenge":{"credential":"!","secret":""}}"#.to_owned(),
            String::new(),
            "{}".to_owned(),
            r#"{"result":"maybe"}"#.to_owned(),
            certified("").replace("pump-1", "-"),
            certified("").replace("k7m2", "K7m2"),
            certified("").replace("2036-11", "2036-13"),
            certified(r#","installation_key":"AQ==""#),
            certified(r#","key_set":"!""#),
            format!("{}{}", certified(""), " ".repeat(ANSWER_BYTES)),
        ] {
            assert!(Answer::read(text.as_bytes()).is_err(), "{text:.300}");
        }
    }
}
