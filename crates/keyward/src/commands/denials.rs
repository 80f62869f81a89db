//! `keyward denials`: who was refused what, why, and what would help.

use crate::args::DenialsArgs;
use crate::clock::{ago, unix_ms};
use crate::failure::Outcome;
use crate::reach::Site;
use crate::screen::{harmless, table, table_of_escaped};
use keyward_server::control::{Request, Response};
use keyward_server::denials::Report;
use keyward_server::escape::escape;
use keyward_server::quoting::quote;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The most characters of a topic or name that a table shows; `--json` has all.
const CELL: usize = 60;

/// Runs the command.
pub(crate) fn run(site: &Site, args: &DenialsArgs) -> Outcome {
    let since_secs = args.since.map(|since| since.0.as_secs());
    site.show(&site.ask(Request::Denials { since_secs })?, |response| match response {
        Response::Denials(report) => {
            let remedial =
                Remedial { folder: site.home.policy_dir(), reload: site.program.command("reload") };
            Some(tell(report, unix_ms(), &remedial))
        }
        _ => None,
    })
}

/// Holds where rules lie and how they are put in force.
struct Remedial {
    folder: PathBuf,
    reload: String,
}

fn tell(report: &Report, now: u64, site: &Remedial) -> String {
    if report.denials.is_empty() && report.logins.is_empty() && report.handshakes.is_empty() {
        return "Nothing was refused.\n".to_owned();
    }
    let mut text = String::new();
    if !report.denials.is_empty() {
        text.push_str("Refused actions\n");
        text.push_str(&actions(report, now));
        text.push_str(&remedies(report, site));
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

/// Says what would allow each refused action: a shell line that adds the rule, or why there is none.
fn remedies(report: &Report, site: &Remedial) -> String {
    let mut text = String::new();
    let sentences = report.denials.iter().filter_map(|row| Some((row, row.remedy.as_deref()?)));
    for (row, remedy) in sentences {
        let _ =
            writeln!(text, "  {} {} {}: {}", row.who, row.action, escape(&cut(&row.topic)), harmless(remedy));
    }
    let lines: Vec<String> = report
        .denials
        .iter()
        .filter_map(|row| Some(harmless(&appending(&site.folder, row.would_allow.as_deref()?))))
        .collect();
    let lines = distinct(lines.iter().map(String::as_str));
    if !lines.is_empty() {
        let _ = writeln!(text, "To allow one of them, paste its line, then: {}", site.reload);
        lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

/// Writes the shell line that appends `rules` to a file of `folder`. A file has one tier, so each tier has its own.
fn appending(folder: &Path, rules: &str) -> String {
    let tier = rules.lines().find_map(|line| line.strip_prefix("tier = "));
    let file = tier.map_or_else(|| "allowed.toml".to_owned(), |tier| format!("allowed-tier-{tier}.toml"));
    let file = quote(&folder.join(file).to_string_lossy());
    let begin = tier.map(|tier| format!("test -e {file} || echo 'tier = {tier}' > {file}; "));
    // The empty word ends a last line that an editor left open.
    let words: Vec<String> = [""]
        .into_iter()
        .chain(rules.lines().filter(|line| !line.is_empty() && !line.starts_with("tier = ")))
        .map(quote)
        .collect();
    format!("{}printf '%s\\n' {} >> {file}", begin.unwrap_or_default(), words.join(" "))
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
    table_of_escaped(["from", "what happened, and what helps", "times", "last"], rows)
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
                remedy: Some("x\u{9b}".to_owned()),
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

    fn remedial() -> Remedial {
        Remedial { folder: "/srv/kw/policy.d".into(), reload: "keyward reload".to_owned() }
    }

    #[test]
    fn a_rule_of_another_tier_goes_into_a_file_of_that_tier() {
        let line = appending(&remedial().folder, "tier = 9\n\n[[rule]]\nwho = \"device:d\"\n");
        assert_eq!(
            line,
            "test -e /srv/kw/policy.d/allowed-tier-9.toml || \
             echo 'tier = 9' > /srv/kw/policy.d/allowed-tier-9.toml; \
             printf '%s\\n' '' '[[rule]]' 'who = \"device:d\"' >> /srv/kw/policy.d/allowed-tier-9.toml"
        );
    }

    #[test]
    fn what_a_peer_chose_cannot_steer_the_terminal() {
        let text = tell(&hostile(), 61_000, &remedial());
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
        assert!(!text.contains("\nroot logged in"), "{text}");
        assert!(text.contains("1 min ago"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 250), "{text}");
    }

    #[test]
    fn nothing_refused_says_so() {
        assert_eq!(tell(&Report::default(), 0, &remedial()), "Nothing was refused.\n");
    }
}
