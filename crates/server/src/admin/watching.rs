//! What operators ask of the watch: which incidents there are, that they look after one, and what it was.

use super::{Admin, Turn};
use crate::{
    control::{
        Explained, IncidentDetail, IncidentMessage, IncidentNote, IncidentVerdict, Refusal, RefusalCode,
        Response,
    },
    installation::wall_time,
    watch::{self, SignedMessage, evidence, steps, word},
};
use keyward_ids::DeviceId;
use keyward_watch::event::Scope;
use keyward_watch::incidents::{Entry, Incident, NoSuch, Number, State, What};

/// Incidents in the status: those for which somebody is called, the newest.
const SHOWN: usize = 10;

/// Characters of a note.
const NOTE: usize = 500;

impl Turn<'_> {
    pub(super) fn acknowledge_incident(&mut self, number: u64, note: &str) -> Result<Response, Refusal> {
        let (by, note) = (self.actor.to_owned(), bounded(note)?);
        let done = self.admin.watch.with(|book| {
            book.acknowledge(wall_time(), Number(number), &by, note)
                .map(|incident| incident.scope.to_string())
        });
        let scope = done.map_err(none)?;
        Ok(Response::Changed(self.changed(
            format!("You look after incident {number} ({scope})."),
            None,
            Vec::new(),
        )))
    }

    pub(super) fn resolve_incident(
        &mut self,
        number: u64,
        verdict: IncidentVerdict,
        note: &str,
    ) -> Result<Response, Refusal> {
        let (by, note) = (self.actor.to_owned(), bounded(note)?);
        let done = self.admin.watch.with(|book| {
            book.resolve(wall_time(), Number(number), verdict, &by, note)
                .map(|incident| incident.scope.to_string())
        });
        let scope = done.map_err(none)?;
        Ok(Response::Changed(self.changed(
            format!("Incident {number} ({scope}) is resolved: {}.", word(verdict)),
            None,
            Vec::new(),
        )))
    }
}

impl Admin {
    /// Lists incidents, the newest last: those that are open, or all that are remembered.
    pub(super) fn watch_incidents(&self, all: bool) -> Response {
        Response::Incidents(self.watch.with(|book| {
            book.incidents()
                .all()
                .filter(|incident| all || incident.is_open())
                .map(|it| book.row(it))
                .collect()
        }))
    }

    pub(super) fn show_incident(&self, number: u64) -> Result<Response, Refusal> {
        let number = Number(number);
        let detail = self.watch.with(|book| {
            let incident = book.incidents().get(number)?;
            let children = book.incidents().all().filter(|other| other.parent == Some(number));
            Some(IncidentDetail {
                row: book.row(incident),
                evidence: incident.evidence.iter().map(evidence).collect(),
                history: incident.history.iter().map(history).collect(),
                children: children.map(|child| child.number.0).collect(),
                messages: book.signed(number).iter().map(message).collect(),
                steps: steps(incident),
            })
        });
        Ok(Response::Incident(Box::new(detail.ok_or_else(|| none(NoSuch::Number(number)))?)))
    }

    /// Says what the watch knows of a device, and what is open of it.
    pub(super) fn explain_watch(&self, device: &str) -> Result<Response, Refusal> {
        let id = DeviceId::parse(device.strip_prefix("device:").unwrap_or(device))
            .map_err(|error| Refusal::new(RefusalCode::Invalid, error))?;
        let known = self.watch.known(id.clone()).map_err(|_| {
            Refusal::new(
                RefusalCode::WrongMoment,
                "the watch does not answer: it is off ([watch] enabled in keyward.toml), or far behind; try again",
            )
        })?;
        let known = known.ok_or_else(|| {
            let what = format!("the watch knows no active device {id}: `keyward device list` lists them");
            Refusal::new(RefusalCode::NotFound, what)
        })?;
        let scope = Scope::Device(id.clone());
        let open = self.watch.with(|book| {
            let open =
                book.incidents().all().filter(|incident| incident.is_open() && incident.scope == scope);
            open.map(|incident| book.row(incident)).collect()
        });
        Ok(Response::Explained(Explained { device: id.to_string(), known, open }))
    }

    /// Returns a line for the status of each incident for which somebody is called, the newest first.
    pub(super) fn calls(&self) -> Vec<String> {
        self.watch.with(|book| {
            let calling = |incident: &&Incident| {
                incident.state == State::Open && incident.severity.pages() && incident.parent.is_none()
            };
            let mut calling: Vec<_> = book.incidents().all().filter(calling).collect();
            let more = calling.len().saturating_sub(SHOWN);
            let shown = calling.split_off(more);
            let line = |incident: &&Incident| {
                format!(
                    "incident {} ({}): {}: {}",
                    incident.number,
                    incident.class.word(),
                    book.sentence(incident),
                    watch::more(incident)
                )
            };
            let mut lines: Vec<String> = shown.iter().rev().map(line).collect();
            if more > 0 {
                lines.push(format!("{more} more incidents → keyward incident list"));
            }
            lines
        })
    }
}

fn bounded(note: &str) -> Result<&str, Refusal> {
    match note.chars().count() {
        0..=NOTE => Ok(note),
        long => {
            let what = format!("the note has {long} characters; write at most {NOTE}");
            Err(Refusal::new(RefusalCode::Invalid, what))
        }
    }
}

fn none(error: NoSuch) -> Refusal {
    let code = match error {
        NoSuch::Number(_) => RefusalCode::NotFound,
        NoSuch::Resolved(_) => RefusalCode::WrongMoment,
    };
    Refusal::new(code, error)
}

fn message(signed: &SignedMessage) -> IncidentMessage {
    let SignedMessage { at, topic, payload } = signed.clone();
    IncidentMessage { at_unix_ms: at.0, topic, payload }
}

fn history(entry: &Entry) -> IncidentNote {
    let by = |what: &str, by: &str, note: &str| match note {
        "" => format!("{what} by {by}"),
        note => format!("{what} by {by}: {note}"),
    };
    let what = match &entry.what {
        What::Opened(class) => format!("began as {class}"),
        What::Became(class) => format!("turned out to be {class}"),
        What::Worse(severity) => format!("severity is {} now", word(severity)),
        What::FoldedInto(parent) => format!("is part of incident {parent}"),
        What::Ended => "ended by itself".to_owned(),
        What::Answered { what } => what.to_string(),
        What::CameBack => "came back".to_owned(),
        What::Acknowledged { by: who, note } => by("acknowledged", who, note),
        What::Resolved { verdict, by: who, note } => by(&format!("called {}", word(verdict)), who, note),
    };
    IncidentNote { at_unix_ms: entry.at.0, what }
}
