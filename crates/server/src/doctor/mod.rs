//! Looks for what is weak in an installation: what it is, why it matters, and the command that mends it.
//!
//! A check is a function from [`Facts`] to findings, in the file of its subject, with a line in that file's table. It reads no file
//! and asks nobody: what it needs is gathered before, in [`facts`].
//!
//! What is not here: whether what is stored can be read ([`crate::check`]).

mod accounts;
mod authorities;
mod backups;
mod certificates;
mod configuration;
mod facts;
mod files;
mod listeners;
mod names;
mod permissions;

pub use facts::{Authority, Backup, Facts, OpenFile, StartedBy};

use serde::{Deserialize, Serialize};

/// Says what an installation is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// A house: what strangers could use.
    Home,
    /// A company: also what one's own people and one stolen device could use.
    Commercial,
}

/// Says how bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// It works, and could be safer.
    Weak,
    /// The broker cannot start, or cannot do its work.
    Unusable,
}

/// Is one thing to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The name of the check, for scripts.
    pub check: String,
    /// How bad it is.
    pub weight: Weight,
    /// What is weak, and where.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What mends it, one step after the other; at least one.
    pub mend: Vec<Step>,
}

/// Is a step of what mends something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A command of Keyward: what follows its name, quoted for a shell.
    Keyward(String),
    /// A command of the system.
    Shell(String),
    /// What a person has to do.
    Sentence(String),
}

/// Holds what was looked at and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// What the installation was held to.
    pub profile: Profile,
    /// The names of the checks that were made.
    pub checked: Vec<String>,
    /// What there is to mend, the worst first.
    pub findings: Vec<Finding>,
}

/// Is one thing that is looked at.
pub(crate) struct Check {
    /// A word or two.
    pub(crate) name: &'static str,
    /// From which profile on it is looked at.
    pub(crate) from: Profile,
    /// Why it matters.
    pub(crate) why: &'static str,
    /// Finds what is weak.
    pub(crate) look: fn(&Facts) -> Vec<Weakness>,
}

/// Is what a check finds.
pub(crate) struct Weakness {
    what: String,
    mend: Vec<Step>,
    weight: Weight,
}

impl Weakness {
    /// Says what is weak and what mends it.
    pub(crate) fn new(what: impl Into<String>, mend: impl Into<Vec<Step>>) -> Self {
        Self { what: what.into(), mend: mend.into(), weight: Weight::Weak }
    }

    /// Says that nothing works so.
    pub(crate) fn unusable(self) -> Self {
        Self { weight: Weight::Unusable, ..self }
    }
}

impl Step {
    pub(crate) fn keyward(command: impl Into<String>) -> Self {
        Self::Keyward(command.into())
    }

    pub(crate) fn shell(command: impl Into<String>) -> Self {
        Self::Shell(command.into())
    }

    pub(crate) fn by(sentence: impl Into<String>) -> Self {
        Self::Sentence(sentence.into())
    }
}

impl From<Step> for Vec<Step> {
    fn from(step: Step) -> Self {
        vec![step]
    }
}

/// All checks, by subject.
const TABLES: [&[Check]; 9] = [
    configuration::CHECKS,
    listeners::CHECKS,
    permissions::CHECKS,
    accounts::CHECKS,
    certificates::CHECKS,
    authorities::CHECKS,
    names::CHECKS,
    files::CHECKS,
    backups::CHECKS,
];

/// Makes every check that the profile asks for.
pub fn examine(facts: &Facts, profile: Profile) -> Diagnosis {
    let checks = || TABLES.iter().copied().flatten().filter(|check| check.from <= profile);
    let found = |check: &Check| {
        let finding = |weakness: Weakness| Finding {
            check: check.name.to_owned(),
            weight: weakness.weight,
            what: weakness.what,
            why: check.why.to_owned(),
            mend: weakness.mend,
        };
        (check.look)(facts).into_iter().map(finding).collect::<Vec<_>>()
    };
    let mut findings: Vec<Finding> = checks().flat_map(found).collect();
    findings.sort_by_key(|finding| finding.weight == Weight::Weak);
    Diagnosis { profile, checked: checks().map(|check| check.name.to_owned()).collect(), findings }
}

#[cfg(test)]
mod tests;
