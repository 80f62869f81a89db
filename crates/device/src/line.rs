//! What programs say to the agent, one line each, on its standard input or its socket.

use crate::limits::{READING_BYTES, TOPIC_BYTES};
use base64ct::{Base64, Encoding};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Something to report.
    Report {
        /// Where.
        topic: String,
        /// What.
        payload: Vec<u8>,
        /// Whether the payload is JSON.
        is_json: bool,
        /// Whether the broker keeps it.
        retain: bool,
    },
    /// `!power-lost`: the supply is failing.
    PowerLost,
    /// `!tamper REASON`: somebody opened the device.
    Tamper(String),
    /// `!status`: how does the device stand?
    Status,
    /// `!commands`: from here on this connection is told commands.
    Commands,
}

/// Says why a line is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}; a line is TOPIC PAYLOAD, or {{\"topic\":…,\"payload\":…}}, or one of !power-lost, !tamper REASON, !status, !commands"
)]
pub struct LineError(&'static str);

/// Bytes of a line: a reading in base64, and its topic.
pub const LINE_BYTES: usize = 2 * READING_BYTES + 6 * TOPIC_BYTES;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    topic: String,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    base64: Option<String>,
    #[serde(default)]
    retain: bool,
}

impl Line {
    /// Reads a line without its end. In the JSON form a payload that is a text is sent as that text, any other as the JSON that it is; bytes come
    /// as `base64`.
    ///
    /// # Errors
    /// [`LineError`]; whether the topic can be published to is not looked at here.
    pub fn read(line: &[u8]) -> Result<Self, LineError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.first() {
            None => Err(LineError("it is empty")),
            Some(b'!') => Self::read_word(line),
            Some(b'{') => Self::read_json(line),
            Some(_) => {
                let end = line.iter().position(|byte| *byte == b' ');
                let (topic, payload) = line.split_at(end.ok_or(LineError("it has no payload"))?);
                let topic = str::from_utf8(topic).map_err(|_| LineError("its topic is not UTF-8"))?;
                let payload = payload.get(1..).unwrap_or_default().to_vec();
                Ok(Self::Report { topic: topic.to_owned(), payload, is_json: false, retain: false })
            }
        }
    }

    fn read_word(line: &[u8]) -> Result<Self, LineError> {
        let text = str::from_utf8(line).map_err(|_| LineError("it is not UTF-8"))?;
        match text.split_once(' ').unwrap_or((text, "")) {
            ("!power-lost", _) => Ok(Self::PowerLost),
            ("!status", _) => Ok(Self::Status),
            ("!commands", _) => Ok(Self::Commands),
            ("!tamper", reason) => Ok(Self::Tamper(reason.to_owned())),
            _ => Err(LineError("the word after ! is not known")),
        }
    }

    fn read_json(line: &[u8]) -> Result<Self, LineError> {
        let Written { topic, payload, base64, retain } =
            serde_json::from_slice(line).map_err(|_| LineError("it is no JSON object of that form"))?;
        let (payload, is_json) = match (payload, base64) {
            (Some(raw), None) => match serde_json::from_str::<String>(raw.get()) {
                Ok(text) => (text.into_bytes(), false),
                Err(_) => (raw.get().as_bytes().to_vec(), true),
            },
            (None, Some(text)) => {
                (Base64::decode_vec(&text).map_err(|_| LineError("its base64 is none"))?, false)
            }
            _ => return Err(LineError("it needs either payload or base64")),
        };
        Ok(Self::Report { topic, payload, is_json, retain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(topic: &str, payload: &str, is_json: bool, retain: bool) -> Result<Line, LineError> {
        Ok(Line::Report { topic: topic.into(), payload: payload.into(), is_json, retain })
    }

    #[test]
    fn a_line_is_a_topic_and_a_payload_or_the_same_as_json() {
        for (line, expected) in [
            ("a/b 21.5 °C\r", report("a/b", "21.5 °C", false, false)),
            ("a ", report("a", "", false, false)),
            (r#"{"topic":"a","payload":"x y","retain":true}"#, report("a", "x y", false, true)),
            (r#"{"topic":"a","payload":{"t":[1, 2]}}"#, report("a", r#"{"t":[1, 2]}"#, true, false)),
            (r#"{"topic":"a","base64":"AQ=="}"#, report("a", "\u{1}", false, false)),
            ("!power-lost", Ok(Line::PowerLost)),
            ("!tamper lid open", Ok(Line::Tamper("lid open".into()))),
            ("!status", Ok(Line::Status)),
            ("!commands", Ok(Line::Commands)),
        ] {
            assert_eq!(Line::read(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for line in
            ["", "a", "!", "!stop", "{", "{}", r#"{"topic":"a"}"#, r#"{"topic":"a","payload":1,"base64":""}"#]
        {
            assert!(Line::read(line.as_bytes()).is_err(), "{line}");
        }
    }
}
