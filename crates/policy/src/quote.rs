//! Text that a peer may have chosen, made safe to show and to paste into a rule file.

use core::fmt;

/// Shows a text as a TOML basic string: quoted, with everything but ASCII and letters of other scripts escaped, so
/// that no newline, terminal sequence or bidirectional character reaches a screen.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                ' '..='~' => f.write_char(c)?,
                c if c.is_alphanumeric() => f.write_char(c)?,
                c => write!(f, "\\U{:08X}", u32::from(c))?,
            }
        }
        f.write_char('"')
    }
}

/// Writes a topic or filter so that it means itself as the filter of a rule: braces doubled.
pub(crate) fn as_template(filter: &str) -> String {
    filter.replace('{', "{{").replace('}', "}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_fool_a_reader_is_escaped() {
        assert_eq!(Quoted("a/\u{e9}\"\\").to_string(), r#""a/é\"\\""#);
        assert_eq!(Quoted("\n\u{1b}[2J\u{202e}").to_string(), r#""\U0000000A\U0000001B[2J\U0000202E""#);
    }

    #[test]
    fn a_quoted_text_is_the_same_text_to_a_toml_parser() {
        let odd = "tab\t, quote \", backslash \\, \u{202e}, \u{1f600}, \u{7f}";
        let table: toml::Table = format!("x = {}", Quoted(odd)).parse().unwrap();
        assert_eq!(table["x"].as_str(), Some(odd));
    }
}
