//! What people said of incidents, by class: a rule that is mostly wrong steps down by itself.

use crate::finding::Class;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Is what a person says that an incident was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What it was taken for.
    True,
    /// Something else, and nothing to be called for.
    False,
    /// What it was taken for, and wanted: somebody worked there.
    Benign,
}

/// Verdicts by which a class is judged; fewer judge nothing.
const JUDGED_BY: usize = 20;

/// Remembers the last verdicts of each class.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Verdicts(BTreeMap<Class, VecDeque<Verdict>>);

impl Verdicts {
    /// Takes a verdict. Returns whether the class is down now, if that changed.
    pub(super) fn note(&mut self, class: Class, verdict: Verdict) -> Option<bool> {
        let was_down = self.is_down(class);
        let verdicts = self.0.entry(class).or_default();
        if verdicts.len() == JUDGED_BY {
            verdicts.pop_front();
        }
        verdicts.push_back(verdict);
        let is_down = self.is_down(class);
        (is_down != was_down).then_some(is_down)
    }

    /// Tells whether less than half of the last verdicts of a class were that it was right.
    pub(super) fn is_down(&self, class: Class) -> bool {
        self.0.get(&class).is_some_and(|verdicts| {
            let right = verdicts.iter().filter(|verdict| **verdict != Verdict::False).count();
            verdicts.len() == JUDGED_BY && right < JUDGED_BY / 2
        })
    }
}
