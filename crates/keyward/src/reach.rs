//! Reaches the installation: the running broker through its socket, or the stopped store.

use crate::args::Global;
use crate::failure::{Failure, Outcome};
use crate::program::Program;
use crate::screen::Screen;
use keyward_server::admin::{self, OpenOptions};
use keyward_server::control::{Changed, Request, Response};
use keyward_server::escape::escape;
use keyward_server::home::{Home, Surroundings};
use std::fmt::{Display, Write};

/// Holds what every command about an installation needs.
pub(crate) struct Site {
    pub(crate) home: Home,
    pub(crate) screen: Screen,
    pub(crate) program: Program,
    options: OpenOptions,
}

impl Site {
    /// Finds the directory; touches no file.
    pub(crate) fn find(global: &Global) -> Outcome<Self> {
        let home = Home::find(global.dir.as_deref(), &Surroundings::of_process())?;
        Ok(Self {
            program: Program::of_process(&home),
            home,
            screen: Screen::new(global.json),
            options: OpenOptions { passphrase_file: global.passphrase_file.clone() },
        })
    }

    /// Asks the installation once.
    pub(crate) fn ask(&self, request: Request) -> Outcome<Response> {
        Ok(admin::open(&self.home, &self.options)?.call(request)?)
    }

    /// Prints an answer: exact for scripts, else as `show` tells it, if it is the answer that was expected.
    pub(crate) fn show(&self, response: &Response, show: impl Fn(&Response) -> Option<String>) -> Outcome {
        if self.screen.is_json() {
            return self.screen.answer(response);
        }
        self.screen.print(&show(response).ok_or_else(unexpected)?)
    }

    /// Asks for a change and tells what came of it.
    pub(crate) fn change(&self, request: Request) -> Outcome {
        self.show(&self.ask(request)?, |response| match response {
            Response::Changed(changed) => Some(tell_change(changed)),
            _ => None,
        })
    }
}

/// Says that the broker answered something else than was asked.
pub(crate) fn unexpected() -> Failure {
    Failure::failed("the broker's answer is not understood; is it another version of Keyward?")
}

fn tell_change(changed: &Changed) -> String {
    let mut text = escape(&changed.what);
    if let Some(closed) = changed.closed_links {
        let _ = write!(text, " {}", counted(closed, "live connection closed", "live connections closed"));
        if let Some(ms) = changed.in_force_ms {
            let _ = write!(text, "; in force everywhere after {ms} ms");
        }
        text.push('.');
    }
    text.push('\n');
    text + &notes(&changed.notes)
}

/// Lists notes; what stands in each of their lines is escaped.
pub(crate) fn notes(notes: &[String]) -> String {
    let mut text = String::new();
    for note in notes {
        for (index, line) in note.lines().enumerate() {
            let _ = writeln!(text, "  {}{}", if index == 0 { "note: " } else { "      " }, escape(line));
        }
    }
    text
}

/// Writes a count with its noun.
pub(crate) fn counted<N: Copy + From<u8> + PartialEq + Display>(count: N, one: &str, many: &str) -> String {
    format!("{count} {}", if count == N::from(1) { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_how_many_links_it_closed_and_when_it_held() {
        let changed = Changed {
            what: "Device dev01 is revoked.".to_owned(),
            closed_links: Some(1),
            in_force_ms: Some(3),
            notes: vec!["x\u{1b}".to_owned()],
        };
        let text = tell_change(&changed);
        assert_eq!(
            text,
            "Device dev01 is revoked. 1 live connection closed; in force everywhere after 3 ms.\n  note: x\\u{1b}\n"
        );
    }
}
