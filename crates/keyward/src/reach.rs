//! Reaches the installation: the running broker through its socket, or the stopped store.

use crate::args::Global;
use crate::failure::{Failure, Outcome};
use crate::program::Program;
use crate::screen::Screen;
use keyward_client::resolver;
use keyward_server::admin::{self, OpenOptions};
use keyward_server::control::{Changed, Reach, Request, Response};
use keyward_server::escape::escape;
use keyward_server::home::{Home, Surroundings};
use std::fmt::{Display, Write};
use std::time::Duration;

/// How long a name may take to be found before an address stands in its place.
const LOOK_UP: Duration = Duration::from_secs(3);

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
            options: OpenOptions { passphrase_file: global.passphrase_file() },
        })
    }

    /// Returns what opening a stopped store can need.
    pub(crate) fn access(&self) -> &OpenOptions {
        &self.options
    }

    /// Asks the installation once.
    pub(crate) fn ask(&self, request: Request) -> Outcome<Response> {
        Ok(admin::open(&self.home, &self.options)?.call(request)?)
    }

    /// Asks for somebody new, who is to reach the broker at `host`, else where this machine finds it.
    pub(crate) fn ask_to_add(&self, request: Request, host: Option<&str>) -> Outcome<Response> {
        let mut response = self.ask(request)?;
        let (reach, notes) = match &mut response {
            Response::DeviceAdded(added) => (&mut added.reach, &mut added.notes),
            Response::UserAdded(added) => (&mut added.reach, &mut added.notes),
            _ => return Ok(response),
        };
        match host {
            Some(host) => reach.host = host.to_owned(),
            // Here and not in the broker: a resolver may take seconds.
            None if reach.is_of_container => notes.push(of_container(&reach.host)),
            None => notes.extend(settle(reach, resolves)),
        }
        Ok(response)
    }

    /// Prints an answer: exact for scripts, else as `show` tells it, if it is the answer that was expected.
    pub(crate) fn show(&self, response: &Response, show: impl Fn(&Response) -> Option<String>) -> Outcome {
        if self.screen.is_json() {
            return self.screen.answer(response);
        }
        self.screen.print(&show(response).ok_or_else(unexpected)?)
    }

    /// Asks for a change and tells what came of it: a failure if it is not in force everywhere.
    pub(crate) fn change(&self, request: Request) -> Outcome {
        let response = self.ask(request)?;
        self.show(&response, |response| match response {
            Response::Changed(changed) => Some(tell_change(changed)),
            _ => None,
        })?;
        match response {
            Response::Changed(changed) if changed.pending => Err(Failure::said()),
            _ => Ok(()),
        }
    }
}

/// Says that a bundle leads nowhere yet.
fn of_container(host: &str) -> String {
    format!(
        "the broker runs in a container and nobody has named it: {host} is known inside of it only. Set KEYWARD_NAMES, or run: \
         keyward server name add NAME; or say --host NAME"
    )
}

/// Puts an address in the place of a host name that this machine cannot resolve at this moment, and says so.
fn settle(reach: &mut Reach, resolves: impl Fn(&str) -> bool) -> Option<String> {
    if reach.host == reach.otherwise || resolves(&reach.host) {
        return None;
    }
    let name = std::mem::replace(&mut reach.host, reach.otherwise.clone());
    Some(format!(
        "{name} does not resolve on this machine, so {} stands in its place; --host chooses another",
        reach.otherwise
    ))
}

fn resolves(host: &str) -> bool {
    resolver::addresses_within(host, LOOK_UP).is_ok()
}

/// Says that the broker answered something else than was asked.
pub(crate) fn unexpected() -> Failure {
    Failure::failed("the broker's answer is not understood; is it another version of Keyward?")
}

fn tell_change(changed: &Changed) -> String {
    let mut text = escape(&changed.what);
    if changed.pending {
        text.push_str(" It is NOT in force everywhere yet.");
    }
    // Where nothing had to come into force, nobody asked about links.
    let closed_links = changed.closed_links.filter(|closed| *closed > 0 || changed.in_force_ms.is_some());
    if let Some(closed) = closed_links {
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
    fn a_name_that_does_not_resolve_gives_way_to_an_address() {
        let reach = || Reach {
            host: "mqtt.home".into(),
            otherwise: "192.0.2.1".into(),
            port: 8883,
            is_of_container: false,
        };
        let mut kept = reach();
        assert_eq!((settle(&mut kept, |_| true), kept.host.as_str()), (None, "mqtt.home"));
        let mut given_up = reach();
        let note = settle(&mut given_up, |_| false).unwrap();
        assert_eq!(given_up.host, "192.0.2.1");
        assert!(note.contains("mqtt.home") && note.contains("--host"), "{note}");
        assert!(resolves("127.0.0.1"));
    }

    #[test]
    fn a_change_says_how_many_links_it_closed_and_when_it_held() {
        let changed = Changed {
            what: "Device dev01 is revoked.".to_owned(),
            closed_links: Some(1),
            in_force_ms: Some(3),
            pending: false,
            notes: vec!["x\u{1b}".to_owned()],
        };
        let text = tell_change(&changed);
        assert_eq!(
            text,
            "Device dev01 is revoked. 1 live connection closed; in force everywhere after 3 ms.\n  note: x\\u{1b}\n"
        );
    }

    #[test]
    fn a_change_that_is_not_in_force_everywhere_claims_nothing_else() {
        let pending = Changed {
            what: "Device dev01 is revoked.".to_owned(),
            closed_links: None,
            in_force_ms: None,
            pending: true,
            notes: vec!["look".to_owned()],
        };
        let text = "Device dev01 is revoked. It is NOT in force everywhere yet.\n  note: look\n";
        assert_eq!(tell_change(&pending), text);
    }
}
