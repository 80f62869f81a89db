//! How many lines and limits about one source are told: a flood must not fill the log or the queue of events.

use super::{LogLine, Offender};
use crate::plane::limits::{LINES_PER_ADDRESS, REPORTED_ADDRESSES};
use crate::plane::source::Source;
use keyward_mqtt::time::Millis;
use std::collections::HashMap;

/// Counts who runs into which limit, so that a flood does not fill the queue of events.
#[derive(Debug, Default)]
pub(super) struct Hits {
    by_offender: HashMap<(Offender, &'static str), Hit>,
}

#[derive(Debug, Clone, Copy)]
struct Hit {
    told: Millis,
    untold: u64,
}

impl Hits {
    const WINDOW: Millis = Millis::from_secs(1);

    /// Returns how often it was since it was told last, if it is to be told now.
    pub(super) fn count(&mut self, now: Millis, who: &Offender, limit: &'static str) -> Option<u64> {
        if let Some(hit) = self.by_offender.get_mut(&(who.clone(), limit)) {
            hit.untold += 1;
            if now.saturating_sub(hit.told) < Self::WINDOW {
                return None;
            }
            hit.told = now;
            return Some(std::mem::take(&mut hit.untold));
        }
        if self.by_offender.len() >= REPORTED_ADDRESSES {
            self.by_offender.retain(|_, hit| now.saturating_sub(hit.told) < Self::WINDOW);
        }
        if self.by_offender.len() < REPORTED_ADDRESSES {
            self.by_offender.insert((who.clone(), limit), Hit { told: now, untold: 0 });
        }
        Some(1)
    }
}

/// Counts lines per source and minute.
#[derive(Debug, Default)]
pub(super) struct LineLimit {
    sources: HashMap<Source, Lines>,
}

#[derive(Debug, Clone, Copy)]
struct Lines {
    since: Millis,
    told: u32,
    left_out: u32,
}

impl LineLimit {
    const WINDOW: Millis = Millis::from_secs(60);

    pub(super) fn allow(&mut self, now: Millis, source: Source) -> LogLine {
        if !self.sources.contains_key(&source) && self.sources.len() >= REPORTED_ADDRESSES {
            self.make_room(now);
        }
        let fresh = Lines { since: now, told: 0, left_out: 0 };
        let lines = self.sources.entry(source).or_insert(fresh);
        if now.saturating_sub(lines.since) >= Self::WINDOW {
            *lines = Lines { left_out: lines.left_out, ..fresh };
        }
        if lines.told >= LINES_PER_ADDRESS {
            lines.left_out = lines.left_out.saturating_add(1);
            return LogLine::LeftOut;
        }
        lines.told += 1;
        LogLine::Written { left_out: std::mem::take(&mut lines.left_out) }
    }

    fn make_room(&mut self, now: Millis) {
        self.sources.retain(|_, lines| now.saturating_sub(lines.since) < Self::WINDOW);
        if self.sources.len() >= REPORTED_ADDRESSES {
            let stalest = self.sources.iter().min_by_key(|(_, lines)| lines.since);
            if let Some(source) = stalest.map(|(source, _)| *source) {
                self.sources.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> Source {
        Source::V4(std::net::Ipv4Addr::from_bits(number))
    }

    fn written(left_out: u32) -> LogLine {
        LogLine::Written { left_out }
    }

    #[test]
    fn lines_of_one_source_are_bounded_per_minute_and_what_was_left_out_is_said() {
        let mut lines = LineLimit::default();
        for _ in 0..LINES_PER_ADDRESS {
            assert_eq!(lines.allow(Millis(0), source(1)), written(0));
        }
        assert_eq!(lines.allow(Millis(1), source(1)), LogLine::LeftOut);
        assert_eq!(lines.allow(Millis(2), source(1)), LogLine::LeftOut);
        assert_eq!(lines.allow(Millis(2), source(2)), written(0), "another source is not silenced");
        assert_eq!(lines.allow(Millis(60_000), source(1)), written(2));
    }

    #[test]
    fn a_limit_is_told_at_once_and_then_once_a_second_with_how_often_it_was_reached() {
        let mut hits = Hits::default();
        let who =
            |last| Offender::Host(crate::plane::Host::Address(std::net::IpAddr::from([192, 0, 2, last])));
        assert_eq!(hits.count(Millis(0), &who(1), "pending"), Some(1));
        for n in 1..10 {
            assert_eq!(hits.count(Millis(n), &who(1), "pending"), None);
        }
        assert_eq!(hits.count(Millis(10), &who(1), "connections"), Some(1));
        assert_eq!(hits.count(Millis(1_000), &who(1), "pending"), Some(10));
        for last in 0..=255 {
            for limit in ["a", "b", "c", "d", "e"] {
                hits.count(Millis(1_000), &who(last), limit);
            }
        }
        assert!(hits.by_offender.len() <= REPORTED_ADDRESSES);
    }

    #[test]
    fn the_sources_that_are_counted_are_bounded() {
        let mut lines = LineLimit::default();
        for number in 0..3_000 {
            lines.allow(Millis(u64::from(number)), source(number));
        }
        assert!(lines.sources.len() <= REPORTED_ADDRESSES);
    }
}
