//! Plays a recording to a watch of its own: what it would have told.

use super::recording::Line;
use super::{evidence, row};
use crate::control::{IncidentNote, IncidentRow};
use keyward_watch::Watch;
use keyward_watch::event::UnixMillis;
use keyward_watch::incidents::{Change, Incidents, Settings};
use serde::Serialize;
use std::io::{BufRead, Read};

/// Bytes of the longest line.
const LINE_BYTES: usize = 64 * 1024;

/// The end of the year 9999: no recording is of later.
const LATEST: UnixMillis = UnixMillis(253_402_300_799_999);

/// For so long nothing may be heard, in milliseconds, and time passes step by step: 100 days. What is longer is a clock that was set, and is passed
/// at once, for somebody would wait for each step.
const SILENCE_MS: u64 = 100 * 24 * 60 * 60 * 1_000;

/// Is something that would have been told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// When, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// Whether it is over; else it begins, or is something else or worse now.
    pub is_over: bool,
    /// Whether somebody would have been called.
    pub calls: bool,
    /// The incident, as it was then.
    pub incident: IncidentRow,
    /// What spoke for it, the oldest first.
    pub evidence: Vec<IncidentNote>,
}

/// Says what was played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Played {
    /// Events.
    pub events: u64,
    /// When the first and the last happened, milliseconds since 1970.
    pub span_unix_ms: Option<(u64, u64)>,
}

/// Says why a recording cannot be played further.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error("line {line} cannot be read: {source}")]
    Unreadable {
        /// Which line, from 1.
        line: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is no event.
    #[error("line {line} is no event that was recorded: {why}")]
    NoEvent {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Plays a recording from its first line on, and says what would have been told. A last line without an end is passed over: the recorder was
/// stopped while it wrote.
///
/// # Errors
/// [`ReplayError`] with the line.
pub fn replay(mut recording: impl BufRead, mut tell: impl FnMut(Told)) -> Result<Played, ReplayError> {
    let (mut watch, mut incidents) = (Watch::new(), Incidents::new(Settings::default()));
    let (mut played, mut text, mut number) = (Played::default(), Vec::new(), 0);
    loop {
        text.clear();
        number += 1;
        let read = recording.by_ref().take(LINE_BYTES as u64).read_until(b'\n', &mut text);
        let read = read.map_err(|source| ReplayError::Unreadable { line: number, source })?;
        if read == 0 || (!text.ends_with(b"\n") && read < LINE_BYTES) {
            break;
        }
        let line: Line<'_> = serde_json::from_slice(&text)
            .map_err(|error| ReplayError::NoEvent { line: number, why: error.to_string() })?;
        if line.at > LATEST {
            let why = "it is dated after the year 9999".to_owned();
            return Err(ReplayError::NoEvent { line: number, why });
        }
        let at = line.at.max(watch.now());
        pass(&mut watch, &mut incidents, at, &mut tell);
        watch.handle(at, &line.event);
        take(&mut watch, &mut incidents, at, &mut tell);
        played.events += 1;
        played.span_unix_ms = Some((played.span_unix_ms.map_or(at.0, |(first, _)| first), at.0));
    }
    Ok(played)
}

/// Lets time pass up to `to`.
fn pass(watch: &mut Watch, incidents: &mut Incidents, to: UnixMillis, tell: &mut impl FnMut(Told)) {
    let to = to.min(watch.now().plus(SILENCE_MS));
    loop {
        let next = [watch.poll_timeout(), incidents.poll_timeout()].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next < to) else { return };
        let now = next.max(watch.now());
        watch.handle_timeout(now);
        incidents.handle_timeout(now);
        take(watch, incidents, now, tell);
    }
}

fn take(watch: &mut Watch, incidents: &mut Incidents, now: UnixMillis, tell: &mut impl FnMut(Told)) {
    while let Some(finding) = watch.poll_finding() {
        incidents.handle(finding);
    }
    while let Some(change) = incidents.poll_change() {
        let (number, calls, is_over) = match change {
            Change::Told { number, calls } => (number, calls, false),
            Change::Ended { number } => (number, false, true),
            Change::TooManyCalls | Change::HeldBack { .. } | Change::SteppedDown { .. } => continue,
        };
        let Some(incident) = incidents.get(number) else { continue };
        tell(Told {
            at_unix_ms: now.0,
            is_over,
            calls,
            incident: row(incident, None),
            evidence: incident.evidence.iter().map(evidence).collect(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUMP: &str = r#"{"at":1000,"event":{"registered":{"device":"pump","place":{"site":null,"gateway":null,"circuit":null,"power":"mains","exposure":"public","interval_ms":60000,"fence":null}}}}"#;

    fn message(minute: u64) -> String {
        format!(
            "{{\"at\":{},\"event\":{{\"message\":{{\"device\":\"pump\",\"message\":{{\"claims\":null}}}}}}}}\n",
            minute * 60_000
        )
    }

    fn played(text: &str) -> Result<(Played, Vec<Told>), ReplayError> {
        let mut told = Vec::new();
        let played = replay(text.as_bytes(), |one| told.push(one))?;
        Ok((played, told))
    }

    #[test]
    fn a_recording_is_played_and_what_a_watch_would_have_told_is_told() {
        let mut text = format!("{PUMP}\n");
        (1..40).for_each(|minute| text += &message(minute));
        (100..150).for_each(|minute| text += &message(minute));
        text += "{\"at\":9000000,\"ev";
        let (played, told) = played(&text).unwrap();
        assert_eq!(played.events, 90);
        let brief: Vec<_> = told.iter().map(|told| (told.incident.incident.as_str(), told.is_over)).collect();
        assert_eq!((brief[0], brief.last().unwrap().1), (("missing", false), true), "{told:?}");
        assert!(told[0].at_unix_ms > 40 * 60_000 && told[0].at_unix_ms < 60 * 60_000, "{told:?}");
    }

    /// All were lost at once, which is looked at again and again until they are back; and the clock was set, or the file is of somebody else.
    #[test]
    fn a_silence_of_eight_thousand_years_is_played_in_no_time() {
        let pump = |number: u64| PUMP.replace("\"pump\"", &format!("\"pump-{number}\""));
        let mut text: String = (0..5).map(|number| pump(number) + "\n").collect();
        for minute in 1..40 {
            (0..5).for_each(|number| text += &message(minute).replace("pump", &format!("pump-{number}")));
        }
        text += &format!("{{\"at\":{},\"event\":\"restarted\"}}\n", LATEST.0);
        let (played, told) = played(&text).unwrap();
        assert_eq!((played.events, told.is_empty()), (201, false));
    }

    #[test]
    fn what_is_no_recording_is_refused_with_its_line() {
        for (text, line) in [
            ("hello\n".to_owned(), 1),
            (format!("{PUMP}\n{{}}\n"), 2),
            ("{\"at\":18446744073709551615,\"event\":\"restarted\"}\n".to_owned(), 1),
            ("x".repeat(LINE_BYTES + 1), 1),
        ] {
            let error = played(&text).unwrap_err();
            assert!(error.to_string().starts_with(&format!("line {line} is no event")), "{error}");
        }
        assert_eq!(played("").unwrap().0, Played::default());
    }
}
