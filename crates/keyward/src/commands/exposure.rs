//! `keyward device exposure`: what a thief has who holds a device.

use crate::clock::{day, moment};
use crate::commands::device::standing_of;
use crate::commands::{keys, places};
use crate::failure::Outcome;
use crate::reach::Site;
use crate::screen::table;
use keyward_server::control::{
    CredentialRow, ExposureReport, GroupReachRow, HeldKeyRow, ReachRow, Request, Response,
};
use keyward_server::escape::escape;
use std::fmt::Write;

/// Runs the command.
pub(crate) fn run(site: &Site, id: String) -> Outcome {
    site.show(&site.ask(Request::DeviceExposure { id })?, |response| match response {
        Response::Exposure(report) => Some(tell(report)),
        _ => None,
    })
}

fn tell(report: &ExposureReport) -> String {
    let row = &report.device;
    let mut text = format!(
        "Who holds device:{} has what follows. It is {}.\n{}",
        escape(&row.id),
        standing_of(row),
        places::lines(&report.place)
    );
    text.push_str(&contact(report));
    text.push_str(&reach("It reads", &report.reads));
    text.push_str(&reach("It writes", &report.writes));
    if let Some(level) = report.must_sign {
        let _ = writeln!(text, "  Some of it must be signed, by a key of level {level} or more.");
    }
    text.push_str(&groups(&report.groups));
    text.push_str(&held_keys(&report.keys));
    text.push_str(&credentials(&report.credentials));
    if !report.same_password.is_empty() {
        let _ = writeln!(text, "  The same password has: {}", escape(&report.same_password.join(", ")));
    }
    text.push_str(&section("What to do", &report.to_do));
    text.push_str(&section("What is not known", &report.unknown));
    text
}

fn contact(report: &ExposureReport) -> String {
    let contact = &report.contact;
    let mut text = String::new();
    if let Some(login) = &contact.last_login {
        let (at, listener) = (moment(login.at_unix_ms), escape(&login.listener));
        let _ = writeln!(text, "  login     {at} at listener {listener}, with {}", escape(&login.shown));
    }
    match contact.connected {
        Some(true) => text.push_str("  link      connected now: whoever holds it now speaks\n"),
        Some(false) => text.push_str("  link      away\n"),
        None => {}
    }
    if let Some(sessions) = report.sessions {
        let waiting = report.waiting.unwrap_or_default();
        let _ = writeln!(text, "  sessions  {sessions}; {waiting} messages wait there for whoever logs in");
    }
    if let Some(since) = contact.two_holders_unix_ms {
        let _ = writeln!(text, "  copied    two hold one of its keys, proven {}", moment(since));
    }
    text
}

fn section(title: &str, lines: &[String]) -> String {
    let mut text = format!("\n{title}\n");
    for line in lines {
        let _ = writeln!(text, "  {}", escape(line));
    }
    if lines.is_empty() {
        text.push_str("  nothing\n");
    }
    text
}

fn reach(title: &str, rows: &[ReachRow]) -> String {
    if rows.is_empty() {
        return format!("\n{title} nothing.\n");
    }
    let cells = |row: &ReachRow| {
        let more = if row.retained_more { " or more" } else { "" };
        [
            row.filter.clone(),
            row.retained.map(|count| format!("{count}{more}")).unwrap_or_default(),
            row.except.join(", "),
            row.rule.clone(),
        ]
    };
    let heading = ["topics", "retained there", "but not", "by rule"];
    format!("\n{title}\n{}", table(heading, rows.iter().map(cells)))
}

fn groups(rows: &[GroupReachRow]) -> String {
    if rows.is_empty() {
        return "\nIt is in no group whose messages are encrypted.\n".to_owned();
    }
    let cells = |row: &GroupReachRow| {
        [
            row.group.clone(),
            row.keys.to_string(),
            row.since_unix_ms.map(moment).unwrap_or_default(),
            row.newest_unix_ms.map(moment).unwrap_or_default(),
            if row.gets_next { "yes" } else { "no" }.to_owned(),
        ]
    };
    let heading = ["group", "keys", "reads since", "newest key of", "gets the next"];
    format!("\nIt decrypts\n{}", table(heading, rows.iter().map(cells)))
}

fn held_keys(rows: &[HeldKeyRow]) -> String {
    if rows.is_empty() {
        return "\nIt has no key for messages.\n".to_owned();
    }
    let cells = |row: &HeldKeyRow| {
        let copied = match row.can_be_copied {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not known",
        };
        [
            row.key.kid.clone(),
            keys::purpose(&row.key).to_owned(),
            row.key.level.map(|_| keys::level(&row.key)).unwrap_or_default(),
            copied.to_owned(),
            row.why.clone(),
        ]
    };
    format!(
        "\nIts keys for messages\n{}",
        table(["key", "for", "level", "copied", "why"], rows.iter().map(cells))
    )
}

fn credentials(rows: &[CredentialRow]) -> String {
    if rows.is_empty() {
        return "\nIt has nothing to log in with.\n".to_owned();
    }
    let cells = |row: &CredentialRow| {
        [
            row.kind.clone(),
            if row.usable { "opens the door" } else { "dead" }.to_owned(),
            row.expires_unix_ms.map(day).unwrap_or_default(),
            row.note.clone().unwrap_or_default(),
        ]
    };
    format!("\nIt logs in with\n{}", table(["credential", "now", "ends", "note"], rows.iter().map(cells)))
}
