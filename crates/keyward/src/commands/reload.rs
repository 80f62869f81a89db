//! `keyward reload`: configuration and rules are read again, all of it or nothing.

use crate::failure::{Failure, Outcome};
use crate::reach::Site;
use keyward_server::control::{Reloaded, Request, Response};
use keyward_server::escape::escape;
use std::fmt::Write;

/// Runs the command.
pub(crate) fn run(site: &Site) -> Outcome {
    let response = site.ask(Request::Reload)?;
    site.show(&response, |response| match response {
        Response::Reloaded(reloaded) => Some(tell(reloaded)),
        _ => None,
    })?;
    match response {
        Response::Reloaded(reloaded) if reloaded.pending => Err(Failure::said()),
        _ => Ok(()),
    }
}

fn tell(reloaded: &Reloaded) -> String {
    let mut text = String::new();
    if reloaded.changes.is_empty() && reloaded.needs_restart.is_empty() {
        text.push_str("Nothing differed.\n");
    }
    for change in &reloaded.changes {
        let _ = writeln!(text, "{}", escape(change));
    }
    for change in &reloaded.needs_restart {
        let _ = writeln!(text, "at the next start: {}", escape(change));
    }
    match reloaded.in_force_ms {
        None => text.push_str("No broker runs here: the files are good, and count from the next start on.\n"),
        Some(_) if reloaded.pending => text.push_str("It is NOT in force everywhere yet.\n"),
        Some(ms) if !reloaded.changes.is_empty() => {
            let _ = writeln!(text, "In force everywhere after {ms} ms.");
        }
        Some(_) => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_without_a_difference_says_so() {
        let nothing =
            Reloaded { changes: Vec::new(), needs_restart: Vec::new(), in_force_ms: Some(1), pending: false };
        assert_eq!(tell(&nothing), "Nothing differed.\n");
    }

    #[test]
    fn a_reload_without_a_broker_says_so() {
        let stopped = Reloaded {
            changes: vec!["a.toml".into()],
            needs_restart: Vec::new(),
            in_force_ms: None,
            pending: false,
        };
        assert!(tell(&stopped).contains("No broker runs here"));
    }

    #[test]
    fn a_reload_that_is_not_in_force_everywhere_does_not_say_that_it_is() {
        let late = Reloaded {
            changes: vec!["a.toml".into()],
            needs_restart: Vec::new(),
            in_force_ms: Some(5_000),
            pending: true,
        };
        assert_eq!(tell(&late), "a.toml\nIt is NOT in force everywhere yet.\n");
    }
}
