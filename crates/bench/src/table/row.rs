//! The rows of the table: which traffic is measured.

use crate::load::Options;
use crate::shape::Shape;
use std::time::Duration;

/// One row: a shape at a QoS, plain or with TLS.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) tls: bool,
    pub(crate) options: Options,
}

/// Publishers, readers or pairs of each row.
const CLIENTS: usize = 100;

/// Returns all rows, plain before TLS.
pub(crate) fn all(length: Duration) -> Vec<Row> {
    let mut rows = Vec::new();
    for tls in [false, true] {
        for shape in [Shape::FanIn, Shape::FanOut, Shape::Pairs] {
            for qos in 0..=2 {
                rows.push(row(shape, qos, tls, length));
            }
        }
        rows.push(one_per_write(tls, length));
    }
    rows
}

fn row(shape: Shape, qos: u8, tls: bool, length: Duration) -> Row {
    let (label, burst, window) = match shape {
        // 800 messages under way to one reader: Keyward keeps at most 1,000 for a session.
        Shape::FanIn => ("100 → 1", 8, 8),
        Shape::FanOut => ("1 → 100", 8, 32),
        Shape::Pairs => ("100 pairs", 4, 8),
        Shape::Echo => ("100 echoes", 1, 1),
        Shape::Absent => ("100 → 100 away", 4, 16),
    };
    Row {
        name: format!("{label}, QoS {qos}, {}", link(tls)),
        tls,
        options: Options { shape, clients: CLIENTS, qos, burst, window, length, ..Options::default() },
    }
}

/// Each publisher has one message under way, so that none shares a write or a read with another: the dearest case.
pub(crate) fn one_per_write(tls: bool, length: Duration) -> Row {
    let options = Options { burst: 1, window: 1, ..row(Shape::FanIn, 0, tls, length).options };
    Row { name: format!("100 → 1, one per write, QoS 0, {}", link(tls)), tls, options }
}

/// The shape of a fleet: pairs at QoS 1.
pub(crate) fn pairs_at_qos_1(tls: bool, length: Duration) -> Row {
    row(Shape::Pairs, 1, tls, length)
}

/// One publisher, a hundred readers, QoS 0.
pub(crate) fn fan_out(tls: bool, length: Duration) -> Row {
    row(Shape::FanOut, 0, tls, length)
}

fn link(tls: bool) -> &'static str {
    if tls { "TLS" } else { "plain" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_reader_is_owed_more_than_a_session_may_hold() {
        for Row { name, options, .. } in all(Duration::from_secs(1)) {
            let publishers = if options.shape == Shape::FanIn { options.clients as u64 } else { 1 };
            assert!(publishers * options.window < 1_000, "{name}");
        }
    }

    #[test]
    fn every_shape_is_measured_at_every_qos_plain_and_with_tls() {
        let names: std::collections::BTreeSet<String> =
            all(Duration::from_secs(1)).into_iter().map(|row| row.name).collect();
        assert_eq!(names.len(), 2 * (3 * 3 + 1));
    }
}
