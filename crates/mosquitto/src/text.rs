//! Files as Mosquitto reads them: lines of UTF-8.

use crate::{Fate, Place, Remark, Wrong, limits};

/// Gives the bytes of files. The caller reads the disk; a path is as the files write it.
pub trait Source {
    /// Reads a file, no more than `most` bytes of it and one.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn read(&mut self, path: &str, most: usize) -> Result<Vec<u8>, String>;

    /// Lists the paths of the files in a folder, in any order.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn list(&mut self, folder: &str) -> Result<Vec<String>, String>;
}

/// Is a file, with what is said about its lines.
pub(crate) struct Text<'t> {
    pub(crate) file: String,
    text: &'t str,
    pub(crate) remarks: Vec<Remark>,
}

impl<'t> Text<'t> {
    pub(crate) fn new(file: &str, bytes: &'t [u8]) -> Result<Self, Wrong> {
        let file: String = file.into();
        let wrong = |line, what: String| Wrong { place: Place { file: file.clone(), line }, what };
        if bytes.len() > limits::MAX_FILE_BYTES {
            return Err(wrong(0, format!("is longer than {} bytes", limits::MAX_FILE_BYTES)));
        }
        let text = core::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let what = "is no UTF-8 text from here on: convert the file (iconv -t UTF-8)";
            wrong(line_number(before.iter().filter(|byte| **byte == b'\n').count()), what.to_owned())
        })?;
        // Some editors begin a file with a byte order mark, which Mosquitto takes for a part of the first word.
        if text.starts_with('\u{feff}') {
            return Err(wrong(1, "begins with a byte order mark: save it without".to_owned()));
        }
        if let Some(n) = text.lines().position(|line| line.len() > limits::MAX_LINE_BYTES) {
            let what = format!("the line is longer than {} bytes", limits::MAX_LINE_BYTES);
            return Err(wrong(line_number(n), what));
        }
        if let Some(n) = text.lines().position(|line| line.contains('\0')) {
            return Err(wrong(line_number(n), "the line holds a zero byte".to_owned()));
        }
        Ok(Self { file, text, remarks: Vec::new() })
    }

    /// Returns the lines that say something, with their numbers; remarks comments and empty lines.
    pub(crate) fn lines(&mut self) -> Vec<(u32, &'t str)> {
        let mut lines = Vec::new();
        for (n, line) in self.text.lines().enumerate() {
            let (number, line) = (line_number(n), line.trim_end_matches('\r'));
            if line.starts_with('#') || line.trim().is_empty() {
                self.remark(number, line, Fate::Comment, "");
            } else {
                lines.push((number, line));
            }
        }
        lines
    }

    pub(crate) fn remark(&mut self, line: u32, text: &str, fate: Fate, what: impl Into<String>) {
        let place = self.place(line);
        self.remarks.push(Remark { place, text: shown(text), fate, what: what.into() });
    }

    pub(crate) fn place(&self, line: u32) -> Place {
        Place { file: self.file.clone(), line }
    }

    pub(crate) fn wrong(&self, line: u32, what: impl Into<String>) -> Wrong {
        Wrong { place: self.place(line), what: what.into() }
    }

    /// Returns what was said, in the order of the lines.
    pub(crate) fn into_remarks(mut self) -> Vec<Remark> {
        self.remarks.sort_by_key(|remark| remark.place.line);
        self.remarks
    }
}

fn line_number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1)
}

/// Makes a text safe to show: at most 160 characters, and nothing that paints a terminal.
pub fn shown(text: &str) -> String {
    let safe = |c: char| {
        if matches!(c, ' ' | '…') || c.is_alphanumeric() || c.is_ascii_punctuation() {
            c
        } else {
            '\u{fffd}'
        }
    };
    let mut short: String = text.chars().take(160).map(safe).collect();
    if text.chars().nth(160).is_some() {
        short.push('…');
    }
    short
}

/// Takes the first word off a line, as `strtok` with a blank does: blanks before it are skipped.
pub(crate) fn word(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches(' ');
    if line.is_empty() {
        return None;
    }
    Some(line.split_once(' ').unwrap_or((line, "")))
}

/// Takes blanks off both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace())
}
