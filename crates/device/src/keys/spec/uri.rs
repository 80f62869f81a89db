//! Takes the name of a key store apart: `scheme:path?name=value&…`, with `%` and two hexadecimal digits for what has a meaning there.

use super::super::KeyError;
use std::fmt::Write as _;

/// Says what is wrong with the name of a key store. The name is not quoted: somebody may have written a PIN into it.
pub(super) fn wrong(problem: impl Into<String>) -> KeyError {
    KeyError::Invalid { what: "the name of the key store".to_owned(), problem: problem.into() }
}

/// Holds `name=value` pairs until each is taken.
pub(super) struct Pairs<'a> {
    of: &'static str,
    pairs: Vec<(&'a str, String)>,
}

impl<'a> Pairs<'a> {
    /// Reads pairs that `separator` divides; `of` says where they stand.
    pub(super) fn read(of: &'static str, text: Option<&'a str>, separator: char) -> Result<Self, KeyError> {
        let mut pairs = Vec::new();
        for part in text.unwrap_or_default().split(separator).filter(|part| !part.is_empty()) {
            // What has no name is not quoted: it may be a PIN.
            let pair = part.split_once('=');
            let (name, value) = pair.ok_or_else(|| wrong("a part of it has no =; parts are name=value"))?;
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(wrong(format!("{of}, {name:?} stands twice")));
            }
            pairs.push((name, decode(value)?));
        }
        Ok(Self { of, pairs })
    }

    /// Takes one out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(other, _)| *other == name)?;
        Some(self.pairs.swap_remove(at).1)
    }

    /// Refuses what nobody took.
    pub(super) fn end(self, known: &str) -> Result<(), KeyError> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(wrong(format!("{}, {name:?} is not known here; these are: {known}", self.of)))
            }
        }
    }
}

/// Splits at the first `?`.
pub(super) fn split(rest: &str) -> (&str, Option<&str>) {
    rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)))
}

/// Decodes `%41`; what comes out is text without control characters.
pub(super) fn decode(text: &str) -> Result<String, KeyError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(), digit());
                let value = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                value.ok_or_else(|| wrong("after % stand two hexadecimal digits; a % itself is %25"))?
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is no text (UTF-8)"))?;
    if text.chars().any(char::is_control) {
        return Err(wrong("it holds a control character"));
    }
    Ok(text)
}

/// Encodes what has a meaning in the name of a key store.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '%' | '?' | '&' | ';' | '=' | ' ' => {
                // Writing to a text cannot fail.
                let _ = write!(out, "%{:02X}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out
}
