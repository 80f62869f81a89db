//! What messages on disk say is read again before their turn comes (rule 20): off the shard, a page at a time.

use super::MESSAGE;
use super::publication::Owner;
use super::wire::Reader;
use crate::limits;
use crate::message::{Content, Message, MessageId};
use keyward_store::{Read, ReadError};
use std::collections::VecDeque;

/// Asks for what some messages say that wait in one queue.
#[derive(Debug)]
pub struct PageAsk {
    owner: Owner,
    wanted: Wanted,
}

/// Names messages by their places, and what they weigh.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    messages: Vec<(u64, MessageId)>,
    bytes: usize,
}

/// Is the answer: what they say, by their places.
#[derive(Debug)]
pub struct Page {
    pub(crate) owner: Owner,
    /// What was asked for weighs so much.
    pub(crate) bytes: usize,
    /// `None` is a message that is not there or does not read.
    pub(crate) contents: Vec<(u64, Option<Content>)>,
    /// Whether the engine could not read some: these are left out, and may be read another time.
    pub(crate) has_failed: bool,
}

impl PageAsk {
    pub(crate) fn new(owner: Owner, wanted: Wanted) -> Self {
        Self { owner, wanted }
    }

    /// Reads the page. A message that is not there may have gone meanwhile, so that only the shard knows whether it is
    /// missed; `complain` is told of what the engine cannot read.
    pub fn read(self, store: &dyn Read, mut complain: impl FnMut(ReadError)) -> Page {
        let Wanted { messages, bytes } = self.wanted;
        let (mut contents, mut has_failed) = (Vec::with_capacity(messages.len()), false);
        for (place, id) in messages {
            match store.get(MESSAGE, &id.0.to_be_bytes()) {
                Ok(record) => {
                    contents.push((place, record.and_then(|record| Reader::new(&record).content())));
                }
                Err(error) => {
                    has_failed = true;
                    complain(error);
                }
            }
        }
        Page { owner: self.owner, bytes, contents, has_failed }
    }
}

impl Wanted {
    pub(crate) fn add(&mut self, place: u64, message: &Message) {
        self.messages.push((place, message.id));
        self.bytes += message.weight();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Says whether what waits in a queue is being read: one page at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Paging {
    #[default]
    Idle,
    UnderWay,
    /// The engine has failed; nothing is asked for until somebody comes back.
    Failed,
}

impl Paging {
    pub(crate) fn begin(&mut self, page: &Wanted) {
        if !page.is_empty() {
            *self = Self::UnderWay;
        }
    }

    pub(crate) fn end(&mut self, has_failed: bool) {
        *self = if has_failed { Self::Failed } else { Self::Idle };
    }

    /// Tries again what has failed. A page that is under way still comes.
    pub(crate) fn try_again(&mut self) {
        if *self == Self::Failed {
            *self = Self::Idle;
        }
    }

    pub(crate) fn is_idle(self) -> bool {
        self == Self::Idle
    }
}

/// Is the line of the pages of one shard: so many bytes of them are read at a time, or one page.
#[derive(Debug, Default)]
pub(crate) struct PageLine {
    under_way: usize,
    waiting: VecDeque<PageAsk>,
}

impl PageLine {
    pub(crate) fn join(&mut self, ask: PageAsk) {
        self.waiting.push_back(ask);
    }

    /// Returns the next page that may be read now, with so much memory left: one at a time if there is too little, for what is
    /// read makes room when it is sent.
    pub(crate) fn next(&mut self, memory_left: usize) -> Option<PageAsk> {
        let first = self.waiting.front()?.wanted.bytes;
        if self.under_way > 0 && self.under_way + first > limits::PAGES_UNDER_WAY.min(memory_left) {
            return None;
        }
        self.under_way += first;
        self.waiting.pop_front()
    }

    /// Notes that a page came of messages that weigh so much.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.under_way = self.under_way.saturating_sub(bytes);
    }

    /// Returns the bytes that are being read.
    pub(crate) fn bytes(&self) -> usize {
        self.under_way
    }
}
