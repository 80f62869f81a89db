//! `keyward watch`: what the watch over devices knows, and what it would have told of a recording.

use crate::args::WatchCommand;
use crate::clock::moment;
use crate::failure::{Failure, Outcome};
use crate::reach::Site;
use crate::screen::{Screen, harmless, table};
use keyward_server::control::{Explained, Request, Response};
use keyward_server::watch::{Played, Told, replay};
use serde_json::json;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Runs the command; `site` finds the installation where one is asked.
pub(crate) fn run(site: impl Fn() -> Outcome<Site>, screen: Screen, command: WatchCommand) -> Outcome {
    match command {
        WatchCommand::Explain { device } => {
            let site = site()?;
            site.show(&site.ask(Request::WatchExplain { device })?, |response| match response {
                Response::Explained(explained) => Some(explanation(explained)),
                _ => None,
            })
        }
        WatchCommand::Replay { file, device } => play(screen, &file, device.as_deref()),
    }
}

fn explanation(explained: &Explained) -> String {
    let known = explained.known.iter().map(|known| [known.about.to_string(), harmless(&known.what)]);
    let mut text = table(["about", "what the watch knows"], known);
    if explained.open.is_empty() {
        text += &format!("\nNo incident of {} is open.\n", explained.device);
    }
    for row in &explained.open {
        text += &format!("\nIncident {} ({}): {}\n", row.number, row.incident, harmless(&row.what));
    }
    text
}

/// Prints what is told while it is played: who looks for the beginning need not wait for the end.
fn play(screen: Screen, file: &Path, device: Option<&str>) -> Outcome {
    let name = file.display().to_string();
    let recording: Box<dyn BufRead> = if name == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(file).map_err(|error| refused(&name, &error))?;
        Box::new(BufReader::new(file))
    };
    let scope = device.map(|id| format!("device:{}", id.strip_prefix("device:").unwrap_or(id)));
    let (mut printed, mut told_of) = (Ok(()), 0_u64);
    let played = replay(recording, |told| {
        let concerns = scope.as_ref().is_none_or(|scope| scope.eq_ignore_ascii_case(&told.incident.scope));
        if concerns && printed.is_ok() {
            told_of += 1;
            printed = tell(screen, &told);
        }
    });
    printed?;
    let played = played.map_err(|error| refused(&name, &error))?;
    match screen.is_json() {
        true => screen.json("played", &played),
        false => screen.print(&summary(&played, told_of)),
    }
}

fn refused(name: &str, error: &impl Display) -> Failure {
    Failure::failed(format!(
        "{name}: {error}. With `record` in the section [watch] of keyward.toml the broker records from its next start on, in DIR/watch.jsonl"
    ))
}

fn tell(screen: Screen, told: &Told) -> Outcome {
    if screen.is_json() {
        return screen.json("told", &json!(told));
    }
    let row = &told.incident;
    let turn = match (told.is_over, told.calls) {
        (true, _) => "over",
        (false, true) => "CALLS",
        (false, false) => "told",
    };
    let mut text = format!(
        "{}  {turn:<5}  {} {} ({}, {})\n",
        moment(told.at_unix_ms),
        row.incident,
        row.scope,
        row.severity,
        row.confidence
    );
    if !told.is_over {
        for fact in &told.evidence {
            text += &format!("    {}  {}\n", moment(fact.at_unix_ms), harmless(&fact.what));
        }
    }
    screen.print(&text)
}

fn summary(played: &Played, told: u64) -> String {
    match played.span_unix_ms {
        Some((first, last)) => format!(
            "{} events from {} to {}: told {told} times.\n",
            played.events,
            moment(first),
            moment(last)
        ),
        None => "Nothing is recorded there.\n".to_owned(),
    }
}
