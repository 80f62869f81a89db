//! What a rule allows or denies.

use core::fmt;

/// Is one thing that a principal can do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Send messages to the topic; a will too.
    Publish,
    /// Ask for messages of the topic.
    Subscribe,
    /// Be handed a message of the topic, whatever subscription it came through.
    Receive,
    /// Join a shared subscription: a member takes messages that the other members then do not get.
    Share,
}

impl Action {
    /// Lists all actions.
    pub const ALL: [Self; 4] = [Self::Publish, Self::Subscribe, Self::Receive, Self::Share];

    /// Returns the word that stands in rule files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Receive => "receive",
            Self::Share => "share",
        }
    }

    /// Returns the action that this word of a rule file names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Is a set of actions.
///
/// `subscribe` takes `receive` with it, in `allow` and in `deny`: a subscription that delivers nothing is of no use,
/// and a topic that one may not subscribe to must not arrive through a wider filter either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ActionSet(u8);

impl ActionSet {
    pub(crate) fn insert(&mut self, action: Action) {
        self.0 |= action.bit();
        if action == Action::Subscribe {
            self.0 |= Action::Receive.bit();
        }
    }

    pub(crate) fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.contains(*action))
    }
}
