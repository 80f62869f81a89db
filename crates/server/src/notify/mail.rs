//! Mail: calls as plain text, those of a minute in one.
//!
//! The conversation with the mail server is ours ([`super::smtp`]): it needs six commands of it.

use super::notice::{Event, Letter, Notice, Origin};
use super::smtp::Smtp;
use super::{Channel, limits, secret};
use crate::clock;
use crate::config;
use crate::control::IncidentStep;
use crate::escape::harmless;
use base64ct::{Base64, Encoding};
use keyward_identity::WallTime;
use std::fmt::Write;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Characters of a line of base64 (RFC 2045, 6.8).
const LINE: usize = 76;

/// Bytes of text in one encoded word, so that its line has at most 78 characters with the name of the field (RFC 2047, 2, allows 75).
const WORD: usize = 42;

/// Characters of a subject.
const SUBJECT: usize = 150;

/// Writes to people.
pub(super) struct Mail {
    settings: config::Mail,
    origin: Origin,
}

impl Mail {
    pub(super) fn new(settings: config::Mail, origin: Origin) -> Self {
        Self { settings, origin }
    }
}

impl Channel for Mail {
    fn send(&self, letters: &[Letter]) -> Result<(), String> {
        let Some(first) = letters.first() else { return Ok(()) };
        let is_test = first.notice.event == Event::Test;
        let password = match &self.settings.login {
            Some(login) => Some(secret::read(&login.password_file, 1)?),
            None => None,
        };
        let text = message(&self.settings, &self.origin, letters, clock::now().wall.0);
        let mut smtp =
            Smtp::open(&self.settings, clock::now().mono.saturating_add(clock::millis(limits::NOTICE_TIME)))?;
        if let (Some(login), Some(password)) = (&self.settings.login, &password) {
            smtp.log_in(&login.user, password)?;
        }
        let refused = smtp.address(&self.settings.from, &self.settings.to)?;
        let what = refused
            .iter()
            .map(|(who, why)| format!("{who} is refused: {why}"))
            .collect::<Vec<_>>()
            .join("; ");
        if refused.len() == self.settings.to.len() || (is_test && !refused.is_empty()) {
            return Err(what);
        }
        if !refused.is_empty() {
            // The others are not to wait for somebody who is gone.
            tracing::warn!("a mail of incidents goes to fewer than it should: {what}");
        }
        smtp.write(&text)
    }
}

/// Returns a mail (RFC 5322) that tells these calls.
fn message(settings: &config::Mail, origin: &Origin, letters: &[Letter], now_unix_ms: u64) -> String {
    let mut text = String::new();
    let date = OffsetDateTime::from_unix_timestamp(i64::try_from(now_unix_ms / 1_000).unwrap_or(0));
    let date = date.ok().and_then(|date| date.format(&Rfc2822).ok()).unwrap_or_default();
    let id = letters.first().map_or("", |letter| letter.id.as_str());
    let fields = [
        ("Date", date),
        ("From", settings.from.clone()),
        ("To", settings.to.join(",\r\n ")),
        ("Subject", encoded(&subject(letters))),
        ("Message-ID", format!("<{id}@{}.keyward>", origin.installation)),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "base64".to_owned()),
    ];
    for (name, value) in fields {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text += "\r\n";
    let body = Base64::encode_string(body(origin, letters).as_bytes());
    for line in body.as_bytes().chunks(LINE) {
        text += &String::from_utf8_lossy(line);
        text += "\r\n";
    }
    text
}

fn subject(letters: &[Letter]) -> String {
    let Some(Letter { notice, .. }) = letters.first() else { return String::new() };
    let (what, _) = notice.what.split_once(" → ").unwrap_or((&notice.what, ""));
    let mut subject: String = format!("Keyward: {}", harmless(what)).chars().take(SUBJECT).collect();
    if letters.len() > 1 {
        let _ = write!(subject, " (and {} more)", letters.len() - 1);
    }
    subject
}

fn body(origin: &Origin, letters: &[Letter]) -> String {
    let mut text = String::new();
    for Letter { notice, .. } in letters {
        let Notice { what, kind, more, severity, at_unix_ms, incident, steps, .. } = notice;
        let (what, severity) = (harmless(what), serde_json::to_value(severity).unwrap_or_default());
        let since = incident.get("at").and_then(serde_json::Value::as_str);
        let since = since.map_or_else(|| WallTime(*at_unix_ms).to_string(), str::to_owned);
        let _ = write!(
            text,
            "{what}\n\n  kind      {kind}\n  severity  {}\n  since     {since}\n  more      {more}\n",
            severity.as_str().unwrap_or_default()
        );
        let facts = incident.get("evidence").and_then(serde_json::Value::as_array);
        for fact in facts.into_iter().flatten() {
            if let Some(what) = fact.get("what").and_then(serde_json::Value::as_str) {
                // What devices call their sensors stands there too.
                let _ = writeln!(text, "  because   {}", harmless(what));
            }
        }
        if !steps.is_empty() {
            text += "\nWhat to do\n";
        }
        for IncidentStep { when, command } in steps {
            let _ = writeln!(text, "  {when}:\n    {command}");
        }
        text += "\n";
    }
    let Origin { installation, host, directory } = origin;
    let _ = writeln!(
        text,
        "-- \nKeyward on {host}, in {} (installation {installation}). Run commands there, as the user that the broker runs as. All that is open: \
         keyward status",
        directory.display()
    );
    text
}

/// Writes a text for a header field: as it is if that is ASCII and would not be taken for encoded words, else as encoded words (RFC 2047).
fn encoded(text: &str) -> String {
    if text.is_ascii() && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for letter in text.chars() {
        if words.last().is_some_and(|word| word.len() + letter.len_utf8() > WORD) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    let word = |word: &String| format!("=?utf-8?B?{}?=", Base64::encode_string(word.as_bytes()));
    words.iter().map(word).collect::<Vec<_>>().join("\r\n ")
}

#[cfg(test)]
mod tests;
