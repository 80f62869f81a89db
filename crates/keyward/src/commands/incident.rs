//! `keyward incident`: what the watch found, who looks after it, and what it was.

use crate::args::{IncidentCommand, VerdictArg};
use crate::clock::moment;
use crate::failure::Outcome;
use crate::reach::Site;
use crate::screen::{harmless, table};
use keyward_server::control::{
    IncidentDetail, IncidentNote, IncidentRow, IncidentVerdict, Request, Response,
};

/// Runs the command.
pub(crate) fn run(site: &Site, command: IncidentCommand) -> Outcome {
    match command {
        IncidentCommand::List { all } => {
            site.show(&site.ask(Request::IncidentList { all })?, |response| match response {
                Response::Incidents(rows) if rows.is_empty() => Some("No incident is open.\n".to_owned()),
                Response::Incidents(rows) => Some(listing(rows)),
                _ => None,
            })
        }
        IncidentCommand::Show { number } => {
            site.show(&site.ask(Request::IncidentShow { number })?, |response| match response {
                Response::Incident(incident) => Some(detail(incident)),
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

fn detail(incident: &IncidentDetail) -> String {
    let row = &incident.row;
    let mut text = format!(
        "Incident {}: {}\n{}\n\n  severity    {}\n  confidence  {}\n  state       {}\n  first seen  {}\n  last seen   {} ({} times)\n",
        row.number,
        row.incident,
        harmless(&row.what),
        row.severity,
        row.confidence,
        row.state,
        moment(row.first_seen_unix_ms),
        moment(row.last_seen_unix_ms),
        row.seen,
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
    text
}

fn note(note: &IncidentNote) -> String {
    format!("  {}  {}\n", moment(note.at_unix_ms), harmless(&note.what))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let text = detail(&IncidentDetail { row, evidence: vec![fact], history, children: Vec::new() });
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
        assert_eq!(text.matches("\\n  more").count(), 2, "{text}");
        assert!(text.contains("gateway a\\u{1b}\n"), "{text}");
    }
}
