//! Who is answered before it is decided: every SUBSCRIBE, or every CONNECT with a will, is accepted, and what may be read
//! or published is decided when a message is there. For clients that were written for brokers which do so.

use crate::{
    Subject,
    rule::{Tier, Who},
};
use std::sync::Arc;

/// Is one `[[decide-late]]` of a file.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) tier: Tier,
    pub(crate) who: Box<[Who]>,
    pub(crate) what: LateSet,
    pub(crate) note: Option<Box<str>>,
}

/// Says what is decided late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LateSet {
    pub(crate) subscribe: bool,
    pub(crate) will: bool,
}

/// Holds what is decided late for one subject, with the place that says so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lateness {
    pub(crate) subscribe: Option<Arc<Late>>,
    pub(crate) will: Option<Arc<Late>>,
}

impl Late {
    pub(crate) fn includes(&self, subject: &Subject) -> bool {
        self.who.iter().any(|who| who.includes(subject))
    }
}

impl LateSet {
    /// The words that stand in files.
    pub(crate) const WORDS: [&str; 2] = ["subscribe", "will"];

    /// Adds what a word of a file names. Returns false if it names nothing.
    pub(crate) fn insert(&mut self, word: &str) -> bool {
        match word {
            "subscribe" => self.subscribe = true,
            "will" => self.will = true,
            _ => return false,
        }
        true
    }

    pub(crate) fn words(self) -> Vec<&'static str> {
        let [subscribe, will] = Self::WORDS;
        let both = [(self.subscribe, subscribe), (self.will, will)];
        both.into_iter().filter_map(|(is_in, word)| is_in.then_some(word)).collect()
    }
}

impl Lateness {
    /// Gathers what is decided late for a subject; of several places the first is named.
    pub(crate) fn of(all: &[Arc<Late>], subject: &Subject) -> Self {
        let find = |is_in: fn(LateSet) -> bool| {
            let applying = all.iter().filter(|late| is_in(late.what) && late.includes(subject));
            applying.min_by_key(|late| late.tier).cloned()
        };
        Self { subscribe: find(|what| what.subscribe), will: find(|what| what.will) }
    }
}
