//! Counted facts: what happened to whom, how often, and when it is worth a line of the log again.

use crate::denials::limits::{FACT_LINE_EVERY, NOTICE_ROWS};
use crate::status::NoticeRow;
use keyward_mqtt::time::Millis;
use std::collections::BTreeMap;

/// Holds facts within a bound: whoever was not heard of for longest is counted among the others.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    rows: BTreeMap<(String, String), Row>,
    others: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    count: u64,
    untold: u64,
    told: Millis,
    seen: Millis,
}

impl Facts {
    /// Counts that `what` happened `times` times to or by `who`. Returns how often since the last line if it is worth
    /// one: the first time, and then once a minute.
    pub(crate) fn count(&mut self, now: Millis, what: &str, who: &str, times: u64) -> Option<u64> {
        let key = (what.to_owned(), who.to_owned());
        if !self.rows.contains_key(&key) && self.rows.len() >= NOTICE_ROWS {
            self.make_room();
        }
        let fresh = Row { count: 0, untold: 0, told: now, seen: now };
        let row = self.rows.entry(key).or_insert(fresh);
        let is_new = row.count == 0;
        row.count += times;
        row.untold += times;
        row.seen = now;
        if !is_new && now.saturating_sub(row.told) < FACT_LINE_EVERY {
            return None;
        }
        row.told = now;
        Some(std::mem::take(&mut row.untold))
    }

    /// Returns all facts, the most frequent first.
    pub(crate) fn rows(&self) -> Vec<NoticeRow> {
        let named = self
            .rows
            .iter()
            .map(|((what, who), row)| NoticeRow { what: format!("{what} ({who})"), count: row.count });
        let others = self
            .others
            .iter()
            .map(|(what, count)| NoticeRow { what: format!("{what} (others)"), count: *count });
        let mut rows: Vec<_> = named.chain(others).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.count));
        rows
    }

    fn make_room(&mut self) {
        let stalest = self.rows.iter().min_by_key(|(_, row)| row.seen).map(|(key, _)| key.clone());
        if let Some((key, row)) = stalest.and_then(|key| self.rows.remove_entry(&key)) {
            *self.others.entry(key.0).or_insert(0) += row.count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_gets_a_line_at_once_and_then_once_a_minute_with_how_often_it_was() {
        let mut facts = Facts::default();
        assert_eq!(facts.count(Millis(0), "too slow", "device:a", 1), Some(1));
        for n in 1..100 {
            assert_eq!(facts.count(Millis(n), "too slow", "device:a", 1), None);
        }
        assert_eq!(facts.count(Millis(5), "too slow", "device:b", 1), Some(1), "another is not silenced");
        assert_eq!(facts.count(Millis(60_000), "too slow", "device:a", 3), Some(102));
        assert_eq!(facts.rows()[0], NoticeRow { what: "too slow (device:a)".to_owned(), count: 103 });
    }

    #[test]
    fn facts_are_bounded_and_a_new_offender_is_named_even_then() {
        let mut facts = Facts::default();
        for n in 0..NOTICE_ROWS as u64 + 50 {
            assert_eq!(facts.count(Millis(n), "too slow", &format!("device:d{n}"), 1), Some(1));
        }
        let rows = facts.rows();
        assert_eq!(rows.len(), NOTICE_ROWS + 1);
        assert_eq!(rows[0], NoticeRow { what: "too slow (others)".to_owned(), count: 50 });
    }
}
