//! `keyward incident`: what the watch found, who looks after it, and what it was.

use crate::args::{IncidentCommand, VerdictArg};
use crate::clock::moment;
use crate::failure::{Failure, Outcome};
use crate::program::Program;
use crate::reach::{Site, counted, unexpected};
use crate::screen::{harmless, table};
use keyward_server::control::{
    IncidentDetail, IncidentNote, IncidentRow, IncidentVerdict, Request, Response,
};
use keyward_server::quoting::quote;

/// Runs the command.
pub(crate) fn run(site: &Site, command: IncidentCommand) -> Outcome {
    match command {
        IncidentCommand::List { all } => {
            site.show(&site.ask(Request::IncidentList { all })?, |response| match response {
                Response::Incidents(rows) if rows.is_empty() => Some(format!(
                    "No incident is open. Message keys and claim codes that two hold, and quarantine: {}\n",
                    site.program.command("status")
                )),
                Response::Incidents(rows) => Some(listing(rows)),
                _ => None,
            })
        }
        IncidentCommand::Show { number, message: Some(wanted) } => {
            let response = site.ask(Request::IncidentShow { number })?;
            let Response::Incident(incident) = response else { return Err(unexpected()) };
            let place = usize::try_from(wanted - 1).ok();
            let found = place.and_then(|place| incident.messages.get(place)).ok_or_else(|| {
                let there = counted(incident.messages.len() as u64, "signed message", "signed messages");
                Failure::misuse(format!("incident {number} has {there}: no number {wanted}"))
            })?;
            site.screen.print(&format!("{}\n", found.payload))
        }
        IncidentCommand::Show { number, message: None } => {
            site.show(&site.ask(Request::IncidentShow { number })?, |response| match response {
                Response::Incident(incident) => Some(detail(incident, &site.program)),
                _ => None,
            })
        }
        IncidentCommand::Ack { number, note } => {
            site.change(Request::IncidentAck { number, note: note.unwrap_or_default() })
        }
        IncidentCommand::Resolve { number, verdict, note } => {
            let verdict = match verdict {
                VerdictArg::True => IncidentVerdict::True,
                VerdictArg::False => IncidentVerdict::False,
                VerdictArg::Benign => IncidentVerdict::Benign,
            };
            site.change(Request::IncidentResolve { number, verdict, note: note.unwrap_or_default() })
        }
    }
}

fn listing(rows: &[IncidentRow]) -> String {
    let cells = |row: &IncidentRow| {
        let number = match row.parent {
            Some(parent) => format!("{} (part of {parent})", row.number),
            None => row.number.to_string(),
        };
        let surely = format!("{} ({})", row.severity, row.confidence);
        [
            number,
            row.incident.clone(),
            row.scope.clone(),
            surely,
            row.state.clone(),
            moment(row.first_seen_unix_ms),
        ]
    };
    table(["number", "incident", "of", "severity (sure)", "state", "first seen"], rows.iter().map(cells))
}

fn detail(incident: &IncidentDetail, program: &Program) -> String {
    let row = &incident.row;
    let mut text = format!(
        "Incident {}: {}\n{}\n\n  severity    {}\n  confidence  {}\n  state       {}\n  first seen  {}\n  last seen   {} ({})\n",
        row.number,
        row.incident,
        harmless(&row.what),
        row.severity,
        row.confidence,
        row.state,
        moment(row.first_seen_unix_ms),
        moment(row.last_seen_unix_ms),
        counted(row.seen, "time", "times"),
    );
    if let Some(parent) = row.parent {
        text += &format!("  part of     incident {parent}\n");
    }
    if !incident.children.is_empty() {
        let children: Vec<String> = incident.children.iter().map(ToString::to_string).collect();
        text += &format!("  holds       incidents {}\n", children.join(", "));
    }
    for (title, notes) in [("Evidence", &incident.evidence), ("History", &incident.history)] {
        if !notes.is_empty() {
            text += &format!("\n{title}\n");
            text.extend(notes.iter().map(note));
        }
    }
    text += &messages(incident);
    if !incident.steps.is_empty() {
        text += "\nWhat to do\n";
        text.extend(incident.steps.iter().map(|step| {
            let command = step.command.strip_prefix("keyward ").unwrap_or(&step.command);
            format!("  {}:\n    {}\n", step.when, harmless(&program.command(command)))
        }));
    }
    text
}

/// Lists the signed messages that prove an incident, and how each is read.
fn messages(incident: &IncidentDetail) -> String {
    if incident.messages.is_empty() {
        return String::new();
    }
    let mut text = "\nSigned messages that prove it\n".to_owned();
    let device = incident.row.scope.strip_prefix("device:").unwrap_or("ID");
    for (at, message) in incident.messages.iter().enumerate() {
        let (when, topic) = (moment(message.at_unix_ms), harmless(&message.topic));
        text += &format!("  {when}  {topic}\n");
        text += &format!(
            "    keyward incident show {} --message {} | keyward open --from-device {device} -t {}\n",
            incident.row.number,
            at + 1,
            quote(&topic),
        );
    }
    text
}

fn note(note: &IncidentNote) -> String {
    format!("  {}  {}\n", moment(note.at_unix_ms), harmless(&note.what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_server::control::IncidentStep;
    use keyward_server::home::Home;

    #[test]
    fn no_name_that_a_device_chose_paints_the_terminal_of_whoever_looks_at_its_incident() {
        let fact = IncidentNote { at_unix_ms: 0, what: "\"t \u{1b}]0;x\u{7}\n  more\" is 9".to_owned() };
        let row = IncidentRow {
            number: 1,
            incident: "out-of-range".to_owned(),
            scope: "device:pump".to_owned(),
            severity: "high".to_owned(),
            confidence: "high".to_owned(),
            state: "open".to_owned(),
            first_seen_unix_ms: 0,
            last_seen_unix_ms: 0,
            seen: 1,
            parent: None,
            what: "gateway a\\u{1b}".to_owned(),
        };
        let history = vec![fact.clone()];
        let command = "keyward maintenance begin 'gateway:-/\u{1b}]0;x\u{7}'".to_owned();
        let steps = vec![IncidentStep { when: "somebody works there".to_owned(), command }];
        let incident = IncidentDetail {
            row,
            evidence: vec![fact],
            history,
            children: Vec::new(),
            messages: Vec::new(),
            steps,
        };
        let text = detail(&incident, &Program::of_process(&Home::at("/srv/kw")));
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
        assert_eq!(text.matches("\\n  more").count(), 2, "{text}");
        assert!(text.contains("gateway a\\u{1b}\n"), "{text}");
    }
}
