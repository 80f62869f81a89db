//! Whether the sensors of one device contradict each other, by what its owner knows of them.

use super::alarm::{Alarm, Rule};
use crate::declared::{Declared, Relation};
use crate::event::UnixMillis;
use crate::finding::Turn;
use serde::{Deserialize, Serialize};

const RULE: Rule = Rule { signs: 2, of: 3, good: 5 };

/// Is what a sensor said last, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Said {
    pub(super) at: UnixMillis,
    pub(super) value: f64,
    /// How often it usually says something, in milliseconds.
    pub(super) usual: u64,
}

/// Knows which relations of a device hold: in the order in which they were declared.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Relations {
    alarms: Vec<Alarm>,
}

impl Relations {
    /// Takes that `stream` has said something, and asks what others `said`.
    pub(super) fn note(
        &mut self,
        stream: &str,
        declared: &Declared,
        said: impl Fn(&str) -> Option<Said>,
    ) -> Vec<(Turn, String)> {
        self.alarms.resize(declared.relations.len(), Alarm::default());
        let mut found = Vec::new();
        for (relation, alarm) in declared.relations.iter().zip(&mut self.alarms) {
            if !relation.streams().any(|name| name == stream) {
                continue;
            }
            let Some(values) = together(relation, &said) else { continue };
            if let Some(turn) = alarm.note(!holds(relation, &values), RULE) {
                found.push((turn, words(relation, &values)));
            }
        }
        found
    }

    /// Tells whether one is told that does not hold.
    pub(super) fn is_told(&self) -> bool {
        self.alarms.iter().any(|alarm| alarm.is_set)
    }
}

/// Returns what the sensors of a relation said, in its order, if they said it at about one time: within half of the time in which each says something.
fn together(relation: &Relation, said: impl Fn(&str) -> Option<Said>) -> Option<Vec<f64>> {
    let said: Vec<Said> = relation.streams().map(said).collect::<Option<_>>()?;
    let (first, last) = (said.iter().map(|said| said.at).min()?, said.iter().map(|said| said.at).max()?);
    let usual = said.iter().map(|said| said.usual).max()?;
    (last.since(first) <= usual / 2).then(|| said.iter().map(|said| said.value).collect())
}

fn holds(relation: &Relation, values: &[f64]) -> bool {
    match (relation, values) {
        (Relation::AtMost { .. }, [less, more]) => less <= more,
        (Relation::WhileOn { above, .. }, [switch, value]) => *switch == 0.0 || value > above,
        (Relation::Sum { tolerance, .. }, [total, parts @ ..]) => {
            (total - parts.iter().sum::<f64>()).abs() <= *tolerance
        }
        _ => true,
    }
}

fn words(relation: &Relation, values: &[f64]) -> String {
    match (relation, values) {
        (Relation::AtMost { less, more }, [a, b]) => {
            format!("\"{less}\" is never more than \"{more}\": they said {a} and {b}")
        }
        (Relation::WhileOn { switch, stream, above }, [on, value]) => {
            format!("while \"{switch}\" is on \"{stream}\" is above {above}: they said {on} and {value}")
        }
        (Relation::Sum { total, tolerance, .. }, [said, parts @ ..]) => {
            let sum: f64 = parts.iter().sum();
            format!("\"{total}\" is the sum of its parts up to {tolerance}: they said {said} and {sum}")
        }
        _ => String::new(),
    }
}
