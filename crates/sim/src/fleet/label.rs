//! What was really the case: a name, a time, whom it concerns, and which answers are right.

use keyward_ids::DeviceId;
use keyward_watch::event::{Scope, UnixMillis};
use keyward_watch::finding::Class;

/// Says what was the case.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The scenario, or the kind of ordinary trouble.
    pub name: &'static str,
    /// The rules for which it is there, of liveness (L), copies (C), readings (R) or relocation; nothing for ordinary trouble.
    pub rule: &'static str,
    /// Whether it is something that somebody has to know.
    pub kind: Kind,
    /// When it begins.
    pub begins: UnixMillis,
    /// From when on it could be known, by somebody who knows everything that was heard.
    pub knowable: UnixMillis,
    /// Until when findings may speak of it.
    pub ends: UnixMillis,
    /// The devices that it concerns.
    pub devices: Vec<DeviceId>,
    /// What larger things it concerns.
    pub scopes: Vec<Scope>,
    /// The classes that name it.
    pub right: &'static [Class],
    /// Classes that are true of it, and do not name it: that a stolen device is missing.
    pub fitting: &'static [Class],
}

/// Says whether something has to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It has.
    Harm,
    /// It looks like harm and is none: nobody may be called for it, unless a right class says so.
    Harmless,
    /// Ordinary life: likewise.
    Ordinary,
}

impl Kind {
    /// Returns the word that stands in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Harm => "harm",
            Self::Harmless => "harmless",
            Self::Ordinary => "ordinary",
        }
    }
}

impl Label {
    /// Tells whether a finding of this scope at this time speaks of it.
    pub fn concerns(&self, at: UnixMillis, scope: &Scope) -> bool {
        let is_its_scope = match scope {
            Scope::Device(device) => self.devices.contains(device),
            other => self.scopes.contains(other),
        };
        (self.begins..=self.ends).contains(&at) && is_its_scope
    }

    /// Tells whether a finding of this class that speaks of it is true. What is no harm is no reason for any finding but the right one.
    pub fn explains(&self, class: Class) -> bool {
        self.right.contains(&class) || self.kind == Kind::Harm && self.fitting.contains(&class)
    }
}
