//! Errors of `keyward.toml`: where, which key, what was expected, what is given.

use std::{fmt, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Says what is wrong with one place of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as the operator knows it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The key with its sections: `listener.port`; empty if the file is not TOML at all.
    pub key: String,
    /// What would be right.
    pub expected: String,
    /// What stands there.
    pub given: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "expected {}, given {}", self.expected, self.given)
    }
}

impl std::error::Error for ConfigError {}

/// Finds places in one file's text.
pub(super) struct Places<'a> {
    file: &'a str,
    text: &'a str,
}

impl<'a> Places<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text }
    }

    /// Makes the error for the value at `span`.
    pub(super) fn error(&self, span: &Range<usize>, expected: impl Into<String>) -> ConfigError {
        let given = shorten(self.text.get(span.clone()).unwrap_or_default());
        self.at(span, expected.into(), given)
    }

    /// Makes the error for the value at `span` where that may hold a secret.
    pub(super) fn hidden(&self, span: &Range<usize>, expected: impl Into<String>) -> ConfigError {
        self.at(span, expected.into(), "a value that is not shown here".to_owned())
    }

    /// Makes the error for what the parser or a type refused.
    pub(super) fn refused(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(0..0);
        let message = error.message();
        if message == "duplicate key" {
            let again = shorten(self.text.get(span.clone()).unwrap_or_default());
            let expected = "each section and key once: write below the one that stands above".to_owned();
            return self.at(&span, expected, format!("`{again}` again"));
        }
        let (problem, expected) = message.split_once(", expected ").unwrap_or((message, ""));
        let given = given(problem);
        if expected.is_empty() {
            return self.at(&span, "another value".to_owned(), given);
        }
        self.at(&span, expected.to_owned(), given)
    }

    fn at(&self, span: &Range<usize>, expected: String, given: String) -> ConfigError {
        let (line, column) = self.position(span.start);
        let key = self.key_at(span.start).join(".");
        ConfigError { file: self.file.to_owned(), line, column, key, expected, given }
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Returns the keys that lead to the value, or are the key, at `offset`.
    fn key_at(&self, offset: usize) -> Vec<String> {
        let mut path = Vec::new();
        if let Ok(table) = DeTable::parse(self.text) {
            descend(table.get_ref(), offset, &mut path);
        }
        path
    }
}

/// Turns what serde says is there into plain words: `invalid type: string "x"` → `string "x"`.
fn given(problem: &str) -> String {
    let plain = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|prefix| problem.strip_prefix(prefix))
        .map(str::to_owned)
        .or_else(|| problem.strip_prefix("unknown field ").map(|key| format!("the unknown key {key}")))
        .or_else(|| problem.strip_prefix("unknown variant ").map(str::to_owned));
    shorten(&plain.unwrap_or_else(|| problem.to_owned()))
}

/// Shortens a value for a line and takes its line breaks and control characters away.
fn shorten(text: &str) -> String {
    const MAX: usize = 80;
    let mut short: String = text.chars().take(MAX).flat_map(char::escape_debug).collect();
    short = short.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().count() > MAX {
        short.push('…');
    }
    short
}

fn descend(table: &DeTable<'_>, offset: usize, path: &mut Vec<String>) -> bool {
    for (key, value) in table.iter() {
        path.push(key.get_ref().to_string());
        if key.span().contains(&offset) || descend_value(value, offset, path) {
            return true;
        }
        path.pop();
    }
    false
}

fn descend_value(value: &Spanned<DeValue<'_>>, offset: usize, path: &mut Vec<String>) -> bool {
    let inside = match value.get_ref() {
        DeValue::Table(table) => descend(table, offset, path),
        DeValue::Array(items) => items.iter().any(|item| descend_value(item, offset, path)),
        _ => false,
    };
    inside || value.span().contains(&offset)
}
