//! Writes a score, for people and for programs.

use super::Kind;
use super::score::{Row, Score, median};
use core::fmt::Write as _;
use keyward_watch::Class;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Writes a score as text. A star marks a class that is right.
pub fn text(score: &Score) -> String {
    let mut text = String::new();
    for (kind, title) in [
        (Kind::Harm, "What somebody has to know"),
        (Kind::Harmless, "What only looks like it"),
        (Kind::Ordinary, "Ordinary trouble"),
    ] {
        let _ = writeln!(text, "{title}");
        let (rule, name, labels) = ("rule", "what", "times");
        let _ = writeln!(
            text,
            "{rule:<16} {name:<36} {labels:>6} {:>6} {:>8} {:>9}  found",
            "named", "noticed", "after"
        );
        for ((_, name), row) in score.rows.iter().filter(|((of, _), _)| *of == kind) {
            let Row { rule, labels, named, noticed, .. } = row;
            let delay = median(&row.delays).map_or_else(|| "-".to_owned(), duration);
            let _ = writeln!(
                text,
                "{rule:<16} {name:<36} {labels:>6} {named:>6} {noticed:>8} {delay:>9}  {}",
                answers(row)
            );
        }
        text.push('\n');
    }
    times(&mut text, score);
    calls(&mut text, score);
    text
}

fn answers(row: &Row) -> String {
    let star = |class| if row.right.contains(class) { "*" } else { "" };
    let mut answers: Vec<_> =
        row.answers.iter().map(|(class, count)| format!("{class}{} {count}", star(class))).collect();
    if row.nothing > 0 {
        answers.push(format!("nothing {}", row.nothing));
    }
    answers.join(", ")
}

fn times(text: &mut String, score: &Score) {
    let _ = writeln!(text, "From the beginning of harm until it was named: class, times, median");
    for (class, times) in &score.times {
        let middle = median(times).map_or_else(String::new, duration);
        let _ = writeln!(text, "  {class:<22} {:>6} {middle:>9}", times.len());
    }
    text.push('\n');
}

fn calls(text: &mut String, score: &Score) {
    let _ = writeln!(text, "What no label explains: class, findings, calls on quiet days, calls later");
    for (class, more) in &score.unexplained {
        let _ = writeln!(
            text,
            "  {class:<22} {:>8} {:>6} {:>6}",
            more.findings, more.quiet_pages, more.later_pages
        );
    }
    let pages = score.quiet_pages_per_100_devices_and_week();
    let _ =
        writeln!(text, "False pages on quiet days: {pages:.2} for 100 devices in a week (goal: at most 1)");
}

/// Writes seconds, minutes or hours: "12s", "3.5m", "26.0h".
fn duration(millis: u64) -> String {
    let seconds = millis as f64 / 1_000.0;
    match millis {
        0..120_000 => format!("{seconds:.0}s"),
        120_000..7_200_000 => format!("{:.1}m", seconds / 60.0),
        _ => format!("{:.1}h", seconds / 3_600.0),
    }
}

/// Writes a score as JSON: `worlds`, `events`, `false_pages_per_100_devices_and_week`, `rows`, `unexplained`, `median_ms_until_named`.
pub fn json(score: &Score) -> Value {
    let counts = |answers: &BTreeMap<Class, u64>| -> BTreeMap<&str, u64> {
        answers.iter().map(|(class, count)| (class.word(), *count)).collect()
    };
    let rows = score.rows.iter().map(|((kind, name), row)| {
        json!({
            "kind": kind.word(),
            "name": name,
            "rule": row.rule,
            "right": row.right.iter().map(|class| class.word()).collect::<Vec<_>>(),
            "labels": row.labels,
            "named": row.named,
            "noticed": row.noticed,
            "nothing": row.nothing,
            "found": counts(&row.answers),
            "median_ms_after_knowable": median(&row.delays),
        })
    });
    let unexplained: BTreeMap<&str, Value> = score
        .unexplained
        .iter()
        .map(|(class, more)| {
            let (findings, quiet, later) = (more.findings, more.quiet_pages, more.later_pages);
            (class.word(), json!({ "findings": findings, "quiet_pages": quiet, "later_pages": later }))
        })
        .collect();
    let times: BTreeMap<&str, _> =
        score.times.iter().map(|(class, times)| (class.word(), median(times))).collect();
    json!({
        "worlds": score.worlds,
        "events": score.events,
        "false_pages_per_100_devices_and_week": score.quiet_pages_per_100_devices_and_week(),
        "rows": rows.collect::<Vec<_>>(),
        "unexplained": unexplained,
        "median_ms_until_named": times,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::score::Unexplained;

    fn score() -> Score {
        let row = Row {
            rule: "L7",
            right: &[Class::PowerLoss],
            labels: 4,
            named: 2,
            noticed: 1,
            nothing: 1,
            answers: BTreeMap::from([(Class::PowerLoss, 2), (Class::Missing, 3)]),
            delays: vec![1_000, 150_000, 9_000_000],
        };
        Score {
            worlds: 1,
            events: 10,
            quiet_device_ms: 100 * 14 * crate::fleet::DAY,
            rows: BTreeMap::from([((Kind::Harm, "cut"), row)]),
            unexplained: BTreeMap::from([(
                Class::Stuck,
                Unexplained { findings: 9, quiet_pages: 3, later_pages: 1 },
            )]),
            times: BTreeMap::from([(Class::PowerLoss, vec![150_000])]),
        }
    }

    #[test]
    fn the_table_tells_right_from_wrong_and_how_often_somebody_was_called_in_vain() {
        let text = text(&score());
        for line in [
            "L7               cut                                       4      2        1      2.5m  power-loss* 2, missing 3, nothing 1",
            "  power-loss                  1      2.5m",
            "  stuck                         9      3      1",
            "False pages on quiet days: 1.50 for 100 devices in a week (goal: at most 1)",
        ] {
            assert!(
                text.contains(&line.replace("power-loss* 2, missing 3", "missing 3, power-loss* 2")),
                "{line}\n{text}"
            );
        }
    }

    #[test]
    fn a_program_reads_the_same() {
        let json = json(&score());
        assert_eq!(json["false_pages_per_100_devices_and_week"], 1.5);
        assert_eq!(json["rows"][0]["found"]["missing"], 3);
        assert_eq!(json["rows"][0]["median_ms_after_knowable"], 150_000);
        assert_eq!(json["unexplained"]["stuck"]["quiet_pages"], 3);
        assert_eq!(json["median_ms_until_named"]["power-loss"], 150_000);
    }
}
