//! Rows that are counted and grouped by who caused them, bounded.

use super::limits;
use keyward_mqtt::time::Now;
use std::{collections::HashMap, hash::Hash};

/// Counts rows by what they say, grouped by who caused them. Where there is no room, the stalest row goes: of the
/// same source if that one has its share already, else of all.
#[derive(Debug)]
pub(super) struct Rows<Source, Row> {
    pub(super) of_source: HashMap<Source, HashMap<Row, Times>>,
    held: usize,
    forgotten: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) count: u64,
    last: u64,
    pub(super) first_unix: u64,
    pub(super) last_unix: u64,
}

impl<Source, Row> Default for Rows<Source, Row> {
    fn default() -> Self {
        Self { of_source: HashMap::new(), held: 0, forgotten: 0 }
    }
}

impl<Source: Eq + Hash + Clone, Row: Eq + Hash + Clone> Rows<Source, Row> {
    pub(super) fn count(&mut self, now: Now, source: Source, row: Row) -> bool {
        let rows = self.of_source.entry(source.clone()).or_default();
        if let Some(times) = rows.get_mut(&row) {
            times.count += 1;
            times.last = now.mono.0;
            times.last_unix = now.wall.0;
            return times.count.is_power_of_two();
        }
        let crowded = rows.len() >= limits::DENIAL_ROWS_EACH;
        if crowded {
            self.forget(&source);
        } else if self.held >= limits::DENIAL_ROWS
            && let Some(stalest) = self.stalest_source()
        {
            self.forget(&stalest);
        }
        let times = Times { count: 1, last: now.mono.0, first_unix: now.wall.0, last_unix: now.wall.0 };
        self.of_source.entry(source).or_default().insert(row, times);
        self.held += 1;
        !crowded
    }

    /// Returns how many rows gave way to others.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn stalest_source(&self) -> Option<Source> {
        let stalest = |rows: &HashMap<Row, Times>| rows.values().map(|times| times.last).min();
        let with_rows = self.of_source.iter().filter_map(|(source, rows)| Some((stalest(rows)?, source)));
        with_rows.min_by_key(|(last, _)| *last).map(|(_, source)| source.clone())
    }

    /// Drops the stalest row of `source`.
    fn forget(&mut self, source: &Source) {
        let Some(rows) = self.of_source.get_mut(source) else { return };
        let stalest = rows.iter().min_by_key(|(_, times)| times.last).map(|(row, _)| row.clone());
        if stalest.is_some_and(|row| rows.remove(&row).is_some()) {
            self.held -= 1;
            self.forgotten += 1;
        }
        if rows.is_empty() {
            self.of_source.remove(source);
        }
    }

    pub(super) fn newest_first<T>(&self, from: u64, show: impl Fn(&Row, &Times) -> T) -> Vec<T> {
        let mut rows: Vec<_> =
            self.of_source.values().flatten().filter(|(_, times)| times.last >= from).collect();
        rows.sort_by_key(|(_, times)| std::cmp::Reverse(times.last));
        rows.into_iter().map(|(row, times)| show(row, times)).collect()
    }
}
