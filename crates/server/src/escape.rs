//! Makes what a peer chose safe to show to people.
//!
//! A client id, a user name, a topic or a name in a certificate may hold line ends that forge a log line, ANSI
//! sequences that repaint a terminal, and bidirectional controls that turn a text round. `--json` needs none of this:
//! there the text is exact.

use std::fmt::{self, Write};

/// Shows a text with everything that steers a terminal, a log or the direction of writing spelled out, as in
/// `\n`, `\u{1b}` or `\u{202e}`. A backslash is doubled, so that the original can be told from what was escaped.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\\' => f.write_str("\\\\")?,
                letter if steers(letter) => write!(f, "\\u{{{:x}}}", u32::from(letter))?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// Returns `text` as [`Escaped`] shows it.
pub fn escape(text: &str) -> String {
    Escaped(text).to_string()
}

/// Escapes a line that may hold escapes already: backslashes are left as they are.
pub fn harmless(line: &str) -> String {
    line.split('\\').map(escape).collect::<Vec<_>>().join("\\")
}

/// Returns bytes as text that is safe to show; what is not UTF-8 becomes U+FFFD.
pub fn escape_bytes(bytes: &[u8]) -> String {
    escape(&String::from_utf8_lossy(bytes))
}

/// Returns `text` escaped and cut to about `max` characters, so that one peer cannot fill a screen.
pub fn escape_cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => escape(text),
        Some((end, _)) => format!("{}…", Escaped(&text[..end])),
    }
}

/// Returns `text` cut to about `max` characters and otherwise as it is: for a field of a log line, where the log's
/// format quotes and escapes it (text once, JSON exactly).
pub fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}'
            | '\u{61c}'
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_forge_a_line_paint_a_terminal_or_turn_its_direction() {
        assert_eq!(escape("a\nb\r\t"), "a\\nb\\r\\t");
        assert_eq!(escape("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(escape("\u{202e}gpj.exe"), "\\u{202e}gpj.exe");
        assert_eq!(escape("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(escape("\u{2066}x\u{2069}\u{200b}"), "\\u{2066}x\\u{2069}\\u{200b}");
    }

    #[test]
    fn what_was_escaped_can_be_told_from_what_was_written() {
        assert_eq!(escape("\\n"), "\\\\n");
        assert_eq!(escape("Küche/größe"), "Küche/größe");
    }

    #[test]
    fn a_line_is_escaped_once() {
        assert_eq!(harmless("a\u{1b}[2J and \\u{1b}"), "a\\u{1b}[2J and \\u{1b}");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        assert_eq!(escape_bytes(&[b'a', 0xff, b'\n']), "a\u{fffd}\\n");
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        assert_eq!(escape_cut("äöü", 2), "äö…");
        assert_eq!(escape_cut("äö", 2), "äö");
    }
}
