//! `keyward status`.

use crate::clock::{day, span};
use crate::commands::listener::listing;
use crate::failure::Outcome;
use crate::program::Program;
use crate::reach::{Site, counted};
use crate::screen::{Paint, table};
use keyward_server::control::{Request, Response};
use keyward_server::escape::escape;
use keyward_server::status::{ClockState, RunningStatus, Status};
use std::fmt::Write;

/// Runs the command.
pub(crate) fn run(site: &Site) -> Outcome {
    let paint = site.screen.paint();
    site.show(&site.ask(Request::Status)?, |response| match response {
        Response::Status(status) => Some(tell(status, &site.program, paint)),
        _ => None,
    })
}

fn tell(status: &Status, program: &Program, paint: Paint) -> String {
    let mut text = match &status.running {
        Some(running) => format!(
            "Keyward {} {} in {} (process {}, since {})\n",
            escape(&status.version),
            paint.good("runs"),
            escape(&status.home),
            running.pid,
            span(running.uptime_secs),
        ),
        None => format!(
            "Keyward {} {} in {}; start it with: {}\n",
            escape(&status.version),
            paint.bad("does not run"),
            escape(&status.home),
            program.command("up"),
        ),
    };
    let _ = writeln!(text, "\n{}", listing(&status.listeners).trim_end());
    let _ = writeln!(text, "\nNames      {}", escape(&status.names.join(", ")));
    let _ = writeln!(text, "Trust      {}", escape(&status.ca_pem));
    let _ = writeln!(text, "           SHA-256 {}", escape(&status.ca_fingerprint));
    let _ = writeln!(text, "Known      {}", known(status));
    if let Some(running) = &status.running {
        text.push_str(&traffic(running, program));
    }
    text.push_str(&certificates(status));
    text.push_str(&attention(status, paint));
    text
}

fn known(status: &Status) -> String {
    let mut text = format!(
        "{}, {}",
        counted(status.devices, "device", "devices"),
        counted(status.users, "user", "users")
    );
    if status.marked_plain > 0 {
        let _ = write!(text, "; {} marked plain", status.marked_plain);
    }
    if status.devices_quarantined > 0 {
        let _ = write!(text, "; {} of the devices in quarantine", status.devices_quarantined);
    }
    if status.devices_shut_out > 0 {
        let _ = write!(text, "; {} of the devices disabled or revoked", status.devices_shut_out);
    }
    text
}

fn traffic(running: &RunningStatus, program: &Program) -> String {
    let mut text = format!(
        "Now        {}, {}, {}, {} retained, {} queued, {} MB held for clients\n",
        counted(running.links, "client connected", "clients connected"),
        counted(running.sessions, "session", "sessions"),
        counted(running.subscriptions, "subscription", "subscriptions"),
        running.retained,
        running.queued,
        running.memory_bytes.div_ceil(1_000_000),
    );
    if running.silent_shards > 0 {
        let silent = counted(running.silent_shards, "shard does", "shards do");
        let _ = writeln!(text, "           {silent} not answer: these figures leave out what is there");
    }
    let _ = writeln!(
        text,
        "Last hour  {} refused actions, {} failed logins, {} failed handshakes: {}",
        running.denials_last_hour,
        running.login_failures_last_hour,
        running.handshake_failures_last_hour,
        program.command("denials"),
    );
    if running.turned_away > 0 {
        let _ = writeln!(text, "           {} connections found no place", running.turned_away);
    }
    if running.banned > 0 {
        let banned = counted(running.banned, "address is", "addresses are");
        let _ = writeln!(text, "           {banned} banned for a while: {}", program.command("bans list"));
    }
    for notice in &running.notices {
        let _ = writeln!(text, "           {} × {}", notice.count, escape(&notice.what));
    }
    if running.lost_reports > 0 {
        let _ = writeln!(text, "           {} reports were lost: they came too fast", running.lost_reports);
    }
    text
}

fn certificates(status: &Status) -> String {
    let rows = status.certificates.iter().map(|row| [row.what.clone(), day(row.expires_unix_ms)]);
    let mut text = format!("\n{}", table(["certificate", "ends"], rows));
    if status.device_certificates_ending > 0 {
        let count = counted(status.device_certificates_ending, "device certificate", "device certificates");
        let _ = writeln!(text, "{count} will end within 30 days.");
    }
    text
}

fn attention(status: &Status, paint: Paint) -> String {
    let mut lines = Vec::new();
    if let ClockState::Doubted { why } = &status.clock {
        lines.push(format!("the clock is in doubt: {}", escape(why)));
    }
    if let Some(folder) = &status.offline_folder {
        lines.push(format!(
            "the root keys lie in {}: move the folder to a safe place; the broker does not need it",
            escape(folder)
        ));
    }
    lines.extend(status.warnings.iter().map(|warning| escape(warning)));
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    if lines.is_empty() { lines } else { format!("\n{}\n{lines}", paint.strong("To do")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::first_screen::tests::fresh;
    use keyward_server::home::Home;

    #[test]
    fn figures_without_a_busy_shard_say_so() {
        let program = Program::of_process(&Home::at("/srv/kw"));
        let whole = RunningStatus { links: 3, ..RunningStatus::default() };
        assert!(!traffic(&whole, &program).contains("answer"));
        let text = traffic(&RunningStatus { silent_shards: 1, ..whole }, &program);
        assert!(text.contains("1 shard does not answer"), "{text}");
    }

    #[test]
    fn what_needs_attention_stands_at_the_end_and_cannot_steer_the_terminal() {
        let status = Status {
            clock: ClockState::Doubted { why: "it stands before the ledger".to_owned() },
            warnings: vec!["a\u{1b}[2J".to_owned()],
            ..fresh()
        };
        let text = tell(&status, &Program::of_process(&Home::at("/srv/kw")), Paint::plain());
        assert!(text.starts_with("Keyward 0.1.0 does not run in /srv/kw; start it with: "), "{text}");
        let todo = text.split_once("To do\n").unwrap().1;
        assert_eq!(todo.lines().count(), 3, "{todo}");
        assert!(todo.contains("/srv/kw/offline") && todo.contains("a\\u{1b}[2J"), "{todo}");
    }
}
