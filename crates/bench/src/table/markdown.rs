//! The table for people.

use super::{Cell, Figure, Measured, Table};
use std::fmt::Write;

/// Writes the table with what a reader has to know to repeat it.
pub(super) fn table(table: &Table) -> String {
    let mut text = String::new();
    head(&mut text, table);
    for row in &table.rows {
        let cells: Vec<String> = row.cells.iter().map(micros).chain(ratios(row)).chain(rates(row)).collect();
        line(&mut text, &row.row, &cells);
    }
    foot(&mut text, table);
    for row in &table.rows {
        notes(&mut text, table, row);
    }
    text
}

fn foot(text: &mut String, table: &Table) {
    let (turns, seconds) = (table.turns, table.seconds_per_turn);
    let _ = writeln!(text, "\nMedian (smallest–largest) of {turns} turns of {seconds} s; {}.", table.layout);
    for broker in &table.brokers {
        let _ = write!(text, "\n- {}: {}", broker.name, broker.about);
    }
}

fn head(text: &mut String, table: &Table) {
    let names = || table.brokers.iter().map(|broker| broker.name);
    let others = || names().skip(1);
    let columns: Vec<String> = names()
        .map(|name| format!("{name}: CPU µs/message"))
        .chain(others().map(|name| format!("× {name}")))
        .chain(names().map(|name| format!("{name}: k/s (generator busy)")))
        .collect();
    line(text, "traffic", &columns);
    line(text, "---", &vec!["---:".to_owned(); columns.len()]);
}

fn line(text: &mut String, first: &str, cells: &[String]) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "| {first} | {} |", cells.join(" | "));
}

fn micros(cell: &Cell) -> String {
    cell.cpu_us
        .map_or("–".to_owned(), |Figure { median, min, max }| format!("{median:.2} ({min:.2}–{max:.2})"))
}

/// The first broker's figure as a multiple of each other's.
fn ratios(row: &Measured) -> impl Iterator<Item = String> + '_ {
    let first = row.cells.first().and_then(|cell| cell.cpu_us);
    row.cells.iter().skip(1).map(move |cell| match (first, cell.cpu_us) {
        (Some(first), Some(other)) => format!("{:.2}", first.over(other)),
        _ => "–".to_owned(),
    })
}

fn rates(row: &Measured) -> impl Iterator<Item = String> + '_ {
    row.cells.iter().map(|cell| match (cell.per_second, cell.generator_busy) {
        (Some(rate), Some(busy)) => format!("{:.0} ({:.0} %)", rate.median / 1e3, busy.median * 100.0),
        _ => "–".to_owned(),
    })
}

fn notes(text: &mut String, table: &Table, row: &Measured) {
    for (cell, broker) in row.cells.iter().zip(&table.brokers) {
        if cell.lost + cell.out_of_order > 0 {
            let (lost, disordered) = (cell.lost, cell.out_of_order);
            let _ =
                write!(text, "\n- {} in “{}”: {lost} lost, {disordered} out of order", broker.name, row.row);
        }
        if let Some(problem) = &cell.problem {
            let _ = write!(text, "\n- {} in “{}”: {problem}", broker.name, row.row);
        }
    }
}
