//! What is wrong with a rule file, where, and what to do.

use crate::{limits, quote::Quoted};
use core::{fmt, ops::Range};

/// Is one error in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// The name of the file.
    pub file: String,
    /// The line, from 1; 0 if the error is about the file as a whole.
    pub line: u32,
    /// The column in characters, from 1; 0 if the error is about the file as a whole.
    pub column: u32,
    /// The key whose value is wrong, such as `topics`; empty if it is not about one.
    pub key: String,
    /// What could have stood there.
    pub expected: String,
    /// What stands there, as it was written; empty if nothing does.
    pub given: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": expected {}", self.expected)?;
        if !self.given.is_empty() {
            write!(f, ", given {}", Quoted(&self.given))?;
        }
        write!(f, "; {}", self.help)
    }
}

/// Is why a policy was not loaded: every error that was found, at most [`MAX_ERRORS`](crate::limits::MAX_ERRORS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyErrors(Vec<PolicyError>);

impl PolicyErrors {
    pub(crate) fn in_order(mut errors: Vec<PolicyError>) -> Self {
        errors.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        errors.truncate(limits::MAX_ERRORS);
        Self(errors)
    }

    /// Returns the errors in the order of files and lines; there is at least one.
    pub fn errors(&self) -> &[PolicyError] {
        &self.0
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl core::error::Error for PolicyErrors {}

/// Says in words what is wrong: the part of a [`PolicyError`] that is not its place.
pub(crate) struct Fault {
    pub(crate) key: String,
    pub(crate) expected: String,
    pub(crate) given: String,
    pub(crate) help: String,
}

impl Fault {
    pub(crate) fn new(key: &str, expected: impl Into<String>, help: impl Into<String>) -> Self {
        Self { key: key.into(), expected: expected.into(), given: String::new(), help: help.into() }
    }

    pub(crate) fn given(mut self, given: &str) -> Self {
        self.given = given.chars().take(80).collect();
        self
    }

    /// Places the fault in the text of its file, at the start of `span`.
    pub(crate) fn at(self, file: &str, text: &str, span: &Range<usize>) -> PolicyError {
        let (line, column) = line_and_column(text, span.start);
        PolicyError { line, column, ..self.in_file(file) }
    }

    /// Places the fault at the file as a whole.
    pub(crate) fn in_file(self, file: &str) -> PolicyError {
        let Self { key, expected, given, help } = self;
        PolicyError { file: file.into(), line: 0, column: 0, key, expected, given, help }
    }
}

/// Returns the line and the column in characters, both from 1, of a place in a text.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let lines = before.bytes().filter(|byte| *byte == b'\n').count();
    let columns = before[line_start..].chars().count();
    let from_one = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
    (from_one(lines), from_one(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_with_a_newline() {
        let text = "a\r\n\u{e9}\u{e9}x\n";
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(line_and_column(text, text.find('x').unwrap()), (2, 3));
        assert_eq!(line_and_column(text, text.len()), (3, 1));
        assert_eq!(line_and_column(text, 999), (3, 1));
    }
}
