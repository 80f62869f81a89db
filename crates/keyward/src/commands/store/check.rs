//! `keyward store check`.

use super::{Progress, size};
use crate::args::CheckArgs;
use crate::failure::{Failure, Outcome};
use crate::reach::{Site, counted};
use crate::screen::{table, to_value};
use keyward_server::check::device::{DeviceReport, measure, shown};
use keyward_server::check::{CheckReport, check_running, check_stopped};
use keyward_server::control::{CallError, Client};
use keyward_server::escape::escape;
use std::fmt::Write as _;
use std::time::Duration;

/// Runs the command.
pub(super) fn run(site: &Site, args: &CheckArgs) -> Outcome {
    let mut progress = Progress::new(site, "read");
    let mut tell_rows = |rows| progress.tell_rows(rows);
    site.home.check()?;
    let (report, is_running) = match Client::connect(&site.home) {
        Ok(client) => (check_running(client, &mut tell_rows)?, true),
        Err(CallError::NotRunning(_)) => (check_stopped(&site.home, site.access(), &mut tell_rows)?, false),
        Err(error) => return Err(error.into()),
    };
    drop(progress);
    let device = match args.device {
        true => {
            let directory = site.home.directory();
            Some(measure(directory).map_err(|error| Failure::file(directory, &error))?)
        }
        false => None,
    };
    if site.screen.is_json() {
        let mut value = to_value(&report)?;
        value["is_sound"] = report.is_sound().into();
        value["device"] = to_value(&device)?;
        site.screen.json("check", &value)?;
    } else {
        let mut text = tell(&report, is_running);
        text.push_str(&device.as_ref().map(tell_device).unwrap_or_default());
        site.screen.print(&text)?;
    }
    match report.problems().count() {
        0 => Ok(()),
        // The script has read it already.
        _ if site.screen.is_json() => Err(Failure::failed("")),
        count => Err(Failure::failed(format!(
            "{} found; what a start cannot mend, a backup brings back: keyward store restore",
            counted(count, "problem was", "problems were")
        ))),
    }
}

fn tell(report: &CheckReport, is_running: bool) -> String {
    let mut text = format!(
        "Ledger     {}, {}, kept twice\n",
        counted(report.ledger.records, "change", "changes"),
        size(report.ledger.bytes)
    );
    match &report.messages {
        None => text.push_str("Messages   none are kept\n"),
        Some(messages) => {
            let _ = writeln!(text, "Messages   {} on disk\n", size(messages.disk_bytes));
            let rows = messages.tables.iter().map(|row| {
                [
                    row.name.clone(),
                    row.rows.to_string(),
                    size(row.bytes),
                    row.damaged.to_string(),
                    row.left_over.to_string(),
                ]
            });
            text.push_str(&table(["what", "records", "size", "do not read", "left over"], rows));
            if is_running {
                text.push_str(
                    "\nThe broker runs: the journals of its engine are looked at when it is stopped.\n",
                );
            }
        }
    }
    for problem in report.problems() {
        let _ = writeln!(text, "wrong: {}", escape(&problem));
    }
    text
}

fn tell_device(device: &DeviceReport) -> String {
    let micros = |micros| shown(Duration::from_micros(micros));
    let mut text = format!(
        "\nDisk       a sync takes {} in the middle, {} at most in 99 of 100 (of {}; file system {})\n",
        micros(device.median_us),
        micros(device.p99_us),
        device.syncs,
        device.file_system,
    );
    if let Some(warning) = &device.warning {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_server::check::{LedgerReport, MessagesReport, TableReport};

    #[test]
    fn what_is_wrong_stands_below_the_table_and_cannot_steer_the_terminal() {
        let table = TableReport { name: "messages".into(), rows: 7, bytes: 70, damaged: 1, left_over: 2 };
        let messages =
            MessagesReport { tables: vec![table], problems: vec!["x\u{1b}".into()], disk_bytes: 1 };
        let ledger = LedgerReport { records: 3, bytes: 900, problems: Vec::new() };
        let report =
            CheckReport { ledger, messages: Some(messages), missing_keys: vec!["keys/pepper".into()] };
        let text = tell(&report, false);
        assert!(text.contains("3 changes, 900 B") && text.contains("messages  7"), "{text}");
        assert!(text.contains("wrong: x\\u{1b}\n") && text.contains("keys/pepper is missing"), "{text}");
    }
}
