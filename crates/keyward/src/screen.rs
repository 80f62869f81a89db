//! What a command prints: tables and sentences for people, exact JSON for scripts, colour on a terminal only.

use crate::failure::{Failure, Outcome};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use keyward_server::control::{Response, SCHEMA};
use keyward_server::escape::escape;
pub(crate) use keyward_server::escape::harmless;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::{self, IsTerminal, Write};

/// Writes to standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    json: bool,
    paint: Paint,
}

impl Screen {
    /// Looks at what standard output is. `NO_COLOR` set to anything but nothing turns colour off (no-color.org).
    pub(crate) fn new(json: bool) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { json, paint: Paint { on: io::stdout().is_terminal() && !unwanted } }
    }

    /// Tells whether a script reads.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Returns what colours words, or leaves them.
    pub(crate) fn paint(self) -> Paint {
        self.paint
    }

    /// Prints `text`, which ends with a line end and in which what peers chose is escaped.
    pub(crate) fn print(self, text: &str) -> Outcome {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| Failure::output(&e))
    }

    /// Prints `{"schema":1,"KIND":VALUE}` and a line end.
    pub(crate) fn json(self, kind: &str, value: &impl Serialize) -> Outcome {
        self.object([(kind.to_owned(), to_value(value)?)].into_iter().collect())
    }

    /// Prints an answer of the broker as it came, with the schema number.
    pub(crate) fn answer(self, response: &Response) -> Outcome {
        match to_value(response)? {
            Value::Object(object) => self.object(object),
            other => self.json("answer", &other),
        }
    }

    /// Prints a JSON object with the schema number and a line end.
    pub(crate) fn object(self, object: Map<String, Value>) -> Outcome {
        let mut all = Map::new();
        all.insert("schema".to_owned(), SCHEMA.into());
        all.extend(object);
        self.print(&format!("{}\n", Value::Object(all)))
    }

    /// Says why nothing came of it: on standard error for people, on standard output for scripts.
    pub(crate) fn refusal(self, failure: &Failure) {
        if failure.what.is_empty() {
            return;
        }
        if self.json {
            let value = serde_json::json!({ "code": failure.code, "what": failure.what });
            // There is nowhere left to complain to.
            drop(self.json("refused", &value));
        } else {
            let mark = Paint { on: self.paint.on && io::stderr().is_terminal() }.bad("error:");
            let lines: Vec<String> = failure.what.lines().map(harmless).collect();
            drop(writeln!(io::stderr(), "{mark} {}", lines.join("\n")));
        }
    }
}

/// Turns a value into JSON.
pub(crate) fn to_value(value: &impl Serialize) -> Outcome<Value> {
    serde_json::to_value(value)
        .map_err(|error| Failure::failed(format!("cannot be written as JSON: {error}")))
}

/// Colours words if the terminal wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// Leaves every word as it is.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { on: false }
    }

    /// What stands out.
    pub(crate) fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What is as it should be.
    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What is wrong.
    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// What can be passed over.
    pub(crate) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Lays out rows under a heading. Every cell is escaped here, so that no caller can forget it.
pub(crate) fn table<const N: usize>(
    heading: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    layout(heading, rows, escape)
}

/// Lays out rows as [`table`] does, whose cells the broker has escaped already: backslashes are left as they are.
pub(crate) fn table_of_escaped<const N: usize>(
    heading: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    layout(heading, rows, harmless)
}

fn layout<const N: usize>(
    heading: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    make_safe: fn(&str) -> String,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(heading.map(str::to_uppercase));
    for row in rows {
        table.add_row(row.map(|cell| make_safe(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    format!("{}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals() {
        assert_eq!(Paint { on: true }.good("right"), "\u{1b}[32mright\u{1b}[0m");
        assert_eq!(Paint::plain().bad("WRONG"), "WRONG");
    }

    #[test]
    fn what_was_escaped_already_is_not_escaped_again() {
        let text = table_of_escaped(["what"], [["a\\u{202e}\u{1b}".to_owned()]]);
        assert!(text.contains("a\\u{202e}\\u{1b}") && !text.contains("\\\\"), "{text}");
    }

    #[test]
    fn no_cell_of_a_table_reaches_the_terminal_unescaped() {
        let text = table(["who", "topic"], [["a\u{1b}[2J".to_owned(), "x\ny\u{202e}".to_owned()]]);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
        assert!(text.contains("x\\ny\\u{202e}"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
