//! The tables for people.

use super::contender::Contender;
use super::{PAYLOADS, RATES, Report, Row, Sum};
use crate::stage::Durability;
use std::fmt::Write;

/// Writes both tables with what a reader has to know to repeat them.
pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    head(&mut text);
    for row in &report.rows {
        line(&mut text, &cells(row));
    }
    let (turns, seconds) = (report.turns, report.seconds_per_turn);
    let _ = writeln!(text, "\nMedian of {turns} turns of {seconds} s; {}.\n", report.layout);
    for price in prices(report) {
        let _ = writeln!(text, "{price}");
    }
    text.push('\n');
    line(&mut text, &["broker", "acknowledged", "of these lost by kill -9"].map(str::to_owned));
    line(&mut text, &["---", "---:", "---:"].map(str::to_owned));
    for crash in &report.crashes {
        line(&mut text, &crash.cells());
    }
    for problem in report.problems.iter().chain(&unacknowledged(report)) {
        let _ = write!(text, "\n- {problem}");
    }
    text
}

/// Says what each promise costs beside none, for each payload of which both were measured.
fn prices(report: &Report) -> Vec<String> {
    let rate = |payload, name: &str| {
        let mut rows = report.rows.iter().filter(|row| row.payload == payload && row.name == name);
        rows.next()?.saturating.as_ref().map(|sum| sum.per_second.median)
    };
    let memory = Contender::Keyward(Durability::Memory).name();
    let mut prices = Vec::new();
    for payload in PAYLOADS {
        for of in [Durability::Synced, Durability::Os] {
            let name = Contender::Keyward(of).name();
            if let Some((kept, free)) = rate(payload, name).zip(rate(payload, memory)) {
                let percent = kept / free * 100.0;
                prices.push(format!(
                    "{payload} bytes: {name} takes {percent:.0} % of the messages a second of {memory}."
                ));
            }
        }
    }
    prices
}

fn head(text: &mut String) {
    let fixed = [
        "payload",
        "broker",
        "messages/s (generator busy)",
        "CPU µs/message",
        "written per payload byte",
        "resident bytes per message",
    ];
    let paced = RATES.map(|rate| format!("{rate}/s: ack p50 / p99 / max ms"));
    let columns: Vec<String> = fixed.map(str::to_owned).into_iter().chain(paced).collect();
    line(text, &columns);
    let marks: Vec<String> =
        (0..columns.len()).map(|n| if n == 1 { "---" } else { "---:" }.to_owned()).collect();
    line(text, &marks);
}

fn line(text: &mut String, cells: &[String]) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn cells(row: &Row) -> Vec<String> {
    let mut cells = vec![row.payload.to_string(), row.name.to_owned()];
    match &row.saturating {
        Some(sum) => cells.extend(saturating(sum)),
        None => cells.extend(vec!["–".to_owned(); 4]),
    }
    let paced = row.paced.iter().zip(RATES);
    cells.extend(paced.map(|(sum, rate)| sum.as_ref().map_or("–".to_owned(), |sum| waits(sum, rate))));
    cells
}

fn saturating(sum: &Sum) -> [String; 4] {
    let rate = sum.per_second;
    [
        format!(
            "{:.0} ({:.0}–{:.0}; {:.0} %)",
            rate.median,
            rate.min,
            rate.max,
            sum.generator_busy.median * 100.0
        ),
        format!("{:.1}", sum.cpu_us_per_message.median),
        format!("{:.1}", sum.written_bytes_per_payload_byte.median),
        format!("{:.0}", sum.resident_bytes_per_message.median),
    ]
}

/// A broker that does not keep the pace has no latency worth the name; what it did is said.
fn waits(sum: &Sum, rate: u32) -> String {
    let ms = |us: f64| us / 1_000.0;
    let waits = format!(
        "{:.2} / {:.1} / {:.0}",
        ms(sum.ack_p50_us.median),
        ms(sum.ack_p99_us.median),
        ms(sum.ack_max_us.max)
    );
    let kept = sum.per_second.median;
    if kept < 0.95 * f64::from(rate) { format!("{waits} (only {kept:.0}/s)") } else { waits }
}

fn unacknowledged(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    for row in &report.rows {
        let count: u64 =
            row.saturating.iter().chain(row.paced.iter().flatten()).map(|sum| sum.unacknowledged).sum();
        if count > 0 {
            notes.push(format!(
                "{}, {} bytes: {count} messages were not acknowledged seconds after the end",
                row.name, row.payload
            ));
        }
    }
    notes
}
