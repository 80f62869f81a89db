//! `keyward denials`: who was refused what, why, and what would help.

use crate::args::DenialsArgs;
use crate::clock::{ago, unix_ms};
use crate::failure::Outcome;
use crate::reach::Site;
use crate::screen::table;
use keyward_server::control::{Request, Response};
use keyward_server::denials::Report;
use keyward_server::escape::escape;
use std::fmt::Write;

/// The most characters of a topic or name that a table shows; `--json` has all.
const CELL: usize = 60;

/// Runs the command.
pub(crate) fn run(site: &Site, args: &DenialsArgs) -> Outcome {
    let since_secs = args.since.map(|since| since.0.as_secs());
    site.show(&site.ask(Request::Denials { since_secs })?, |response| match response {
        Response::Denials(report) => Some(tell(report, unix_ms())),
        _ => None,
    })
}

fn tell(report: &Report, now: u64) -> String {
    if report.denials.is_empty() && report.logins.is_empty() && report.handshakes.is_empty() {
        return "Nothing was refused.\n".to_owned();
    }
    let mut text = String::new();
    if !report.denials.is_empty() {
        text.push_str("Refused actions\n");
        text.push_str(&actions(report, now));
        for row in &report.denials {
            if let Some(rule) = &row.would_allow {
                let _ = writeln!(text, "  to allow {} {}: {}", row.who, row.action, escape(rule));
            }
        }
    }
    if !report.logins.is_empty() {
        text.push_str(if text.is_empty() { "Failed logins\n" } else { "\nFailed logins\n" });
        text.push_str(&logins(report, now));
        for remedy in distinct(report.logins.iter().filter_map(|row| row.remedy.as_deref())) {
            let _ = writeln!(text, "  {}", escape(remedy));
        }
    }
    if !report.handshakes.is_empty() {
        text.push_str(if text.is_empty() { "Failed connections\n" } else { "\nFailed connections\n" });
        text.push_str(&handshakes(report, now));
    }
    if report.forgotten > 0 {
        let _ = writeln!(text, "\n{} older rows were forgotten to make room.", report.forgotten);
    }
    text
}

fn actions(report: &Report, now: u64) -> String {
    let rows = report.denials.iter().map(|row| {
        [
            row.who.clone(),
            row.action.clone(),
            cut(&row.topic),
            row.rule.clone().unwrap_or_else(|| "no rule allows it".to_owned()),
            row.count.to_string(),
            ago(row.last_unix_ms, now),
        ]
    });
    table(["who", "action", "topic", "by", "times", "last"], rows)
}

fn logins(report: &Report, now: u64) -> String {
    let rows = report.logins.iter().map(|row| {
        [
            cut(&row.who),
            row.address.clone(),
            row.cause.clone(),
            row.count.to_string(),
            ago(row.last_unix_ms, now),
        ]
    });
    table(["said to be", "from", "cause (never told to the peer)", "times", "last"], rows)
}

fn handshakes(report: &Report, now: u64) -> String {
    let rows = report.handshakes.iter().map(|row| {
        [row.address.clone(), row.remedy.clone(), row.count.to_string(), ago(row.last_unix_ms, now)]
    });
    table(["from", "what happened, and what helps", "times", "last"], rows)
}

fn distinct<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen: Vec<&str> = Vec::new();
    lines.for_each(|line| {
        if !seen.contains(&line) {
            seen.push(line);
        }
    });
    seen
}

/// Shortens before the table escapes.
fn cut(text: &str) -> String {
    match text.char_indices().nth(CELL) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_server::denials::{DenialRow, LoginRow};

    fn hostile() -> Report {
        Report {
            denials: vec![DenialRow {
                who: "device:dev01".to_owned(),
                action: "publish".to_owned(),
                topic: format!("a\u{1b}[2J\n\u{202e}{}", "x".repeat(500)),
                rule: None,
                count: 3,
                first_unix_ms: 0,
                last_unix_ms: 1_000,
                would_allow: Some("who = \"device:dev01\"\u{9b}".to_owned()),
            }],
            logins: vec![LoginRow {
                who: "eve\r\nroot logged in".to_owned(),
                address: "192.0.2.1".to_owned(),
                cause: "unknown user".to_owned(),
                count: 1,
                first_unix_ms: 0,
                last_unix_ms: 0,
                remedy: None,
            }],
            ..Report::default()
        }
    }

    #[test]
    fn what_a_peer_chose_cannot_steer_the_terminal() {
        let text = tell(&hostile(), 61_000);
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
        assert!(!text.contains("\nroot logged in"), "{text}");
        assert!(text.contains("1 min ago"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 250), "{text}");
    }

    #[test]
    fn nothing_refused_says_so() {
        assert_eq!(tell(&Report::default(), 0), "Nothing was refused.\n");
    }
}
