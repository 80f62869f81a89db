//! What a person reads when the broker has started: a dozen lines, made to be pasted from.

use crate::program::Program;
use crate::reach::counted;
use crate::screen::Paint;
use keyward_server::control::ListenerRow;
use keyward_server::escape::escape;
use keyward_server::status::Status;
use std::fmt::Write;

/// Writes the first screen.
pub(crate) fn first_screen(status: &Status, program: &Program, paint: Paint) -> String {
    let mut text = format!(
        "{} {} runs in {} (Ctrl-C stops it)\n\n",
        paint.strong("Keyward"),
        escape(&status.version),
        escape(&status.home),
    );
    let _ = writeln!(text, "  Listens  {}; nothing else is open", listeners(&status.listeners));
    let _ = writeln!(text, "  Names    {}", escape(&status.names.join(", ")));
    let _ = writeln!(text, "  Trust    {}  (what clients need to trust this broker)", escape(&status.ca_pem));
    let _ = writeln!(text, "           SHA-256 {}", escape(&status.ca_fingerprint));
    let _ = writeln!(text, "  Knows    {}\n", acquaintances(status, paint));
    let _ = writeln!(text, "{}", paint.strong(next_heading(status)));
    let commands = next_commands(status).map(|(command, purpose)| (program.command(command), purpose));
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    for (command, purpose) in commands {
        let _ = writeln!(text, "  {command:width$}  {}", paint.faint(&format!("# {purpose}")));
    }
    if let Some(folder) = &status.offline_folder {
        let _ = writeln!(
            text,
            "\nMove {} to a safe place: the root keys are in it, and the broker never needs them.",
            escape(folder)
        );
    }
    for warning in &status.warnings {
        let _ = writeln!(text, "{} {}", paint.bad("Note:"), escape(warning));
    }
    text
}

fn listeners(rows: &[ListenerRow]) -> String {
    let open: Vec<String> = rows.iter().filter(|row| row.open).map(listener).collect();
    if open.is_empty() { "nowhere".to_owned() } else { open.join("; ") }
}

fn listener(row: &ListenerRow) -> String {
    let Some(port) = row.port else {
        return format!("{}, demands a {}", escape(&row.addresses.join(", ")), escape(&row.demands));
    };
    let transport = match (row.protocol.as_str(), row.transport.as_str()) {
        ("websocket", "plain") => "MQTT over WebSocket without TLS",
        ("websocket", _) => "MQTT over WebSocket and TLS",
        (_, "plain") => "MQTT without TLS",
        _ => "MQTT over TLS",
    };
    let everywhere = |address: &String| matches!(address.as_str(), "0.0.0.0" | "::");
    let place = if row.addresses.iter().all(everywhere) {
        "all addresses".to_owned()
    } else {
        escape(&row.addresses.join(", "))
    };
    format!("port {port} ({transport}, {place}), demands a {}", escape(&row.demands))
}

fn acquaintances(status: &Status, paint: Paint) -> String {
    let count = format!(
        "{}, {}",
        counted(status.devices, "device", "devices"),
        counted(status.users, "user", "users")
    );
    if status.devices + status.users == 0 {
        format!("{count}: {}", paint.strong("nobody can log in yet"))
    } else {
        count
    }
}

fn next_heading(status: &Status) -> &'static str {
    if status.devices + status.users == 0 { "Next, in a second terminal:" } else { "In a second terminal:" }
}

fn next_commands(status: &Status) -> [(&'static str, &'static str); 3] {
    let denials = ("denials", "when nothing arrives: who was refused what, and why");
    if status.devices + status.users == 0 {
        [
            ("device add dev01", "makes its key and certificate, prints a first message to send"),
            ("user add app", "an application that logs in with a password"),
            denials,
        ]
    } else {
        [("status", "what runs, and who is connected"), ("device list", "who is known"), denials]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use keyward_server::home::Home;
    use keyward_server::status::ClockState;

    /// A broker that was just installed.
    pub(crate) fn fresh() -> Status {
        Status {
            home: "/srv/kw".to_owned(),
            version: "0.1.0".to_owned(),
            installation: "abcdefghijkmnpqr".to_owned(),
            listeners: vec![ListenerRow {
                name: "default".to_owned(),
                addresses: vec!["0.0.0.0".to_owned(), "::".to_owned()],
                port: Some(8883),
                protocol: "mqtt".to_owned(),
                transport: "tls".to_owned(),
                demands: "certificate or password".to_owned(),
                from: Vec::new(),
                anonymous_as: None,
                trusted: None,
                origins: None,
                open: true,
                warnings: Vec::new(),
            }],
            names: vec!["gate.local".to_owned(), "localhost".to_owned()],
            ca_pem: "/srv/kw/ca.pem".to_owned(),
            ca_fingerprint: "AB:CD".to_owned(),
            devices: 0,
            devices_shut_out: 0,
            devices_quarantined: 0,
            users: 0,
            marked_plain: 0,
            certificates: Vec::new(),
            device_certificates_ending: 0,
            clock: ClockState::Trusted,
            offline_folder: Some("/srv/kw/offline".to_owned()),
            warnings: Vec::new(),
            running: None,
        }
    }

    fn screen(status: &Status) -> String {
        first_screen(status, &Program::of_process(&Home::at("/srv/kw")), Paint::plain())
    }

    #[test]
    fn a_newcomer_reads_a_dozen_lines_that_answer_every_first_question() {
        let text = screen(&fresh());
        for answer in [
            "runs in /srv/kw",
            "Ctrl-C stops it",
            "port 8883",
            "nothing else is open",
            "gate.local",
            "/srv/kw/ca.pem",
            "AB:CD",
            "0 devices, 0 users: nobody can log in yet",
            "--dir /srv/kw device add dev01",
            "--dir /srv/kw denials",
            "Move /srv/kw/offline to a safe place",
        ] {
            assert!(text.contains(answer), "{answer} is missing in:\n{text}");
        }
        assert!(text.lines().count() <= 16, "{text}");
    }

    #[test]
    fn who_has_devices_is_not_told_that_nobody_can_log_in() {
        let text = screen(&Status { devices: 1, offline_folder: None, ..fresh() });
        assert!(text.contains("1 device, 0 users\n"), "{text}");
        assert!(!text.contains("nobody") && !text.contains("device add"), "{text}");
    }
}
