//! Messages that wait for their fan-out, in a line for each publisher. The lines take turns: whoever publishes to many
//! waits for its own messages, and a message of somebody else for one of them at most.

use crate::interest::Match;
use crate::limits;
use crate::message::Message;
use crate::persist::{Publication, Reservation};
use crate::placement::{HashKey, Map};
use keyward_ids::Identity;
use std::collections::VecDeque;
use std::sync::Arc;

/// Is a message that has not reached all its receivers here.
#[derive(Debug)]
pub(super) struct Fanout {
    pub(super) message: Arc<Message>,
    /// Those that match, by session; `None` until it is this message's turn.
    pub(super) matches: Option<Vec<Match>>,
    pub(super) next: usize,
    /// Whether other shards are still to be told.
    pub(super) is_for_all: bool,
    pub(super) has_waited: bool,
    /// The bytes that it is counted with while it waits.
    counted: usize,
    pub(super) keeping: Keeping,
}

/// Says who writes the places of stored sessions and groups here.
#[derive(Debug)]
pub(super) enum Keeping {
    /// Nobody: a message of QoS 0 has none, and without a store there are none.
    Nobody,
    /// This shard, with the message.
    Here(Publication),
    /// The shard of the publisher: here they are reserved.
    There(Box<Reservation>),
}

impl Fanout {
    pub(super) fn new(message: Arc<Message>, matches: Vec<Match>, keeping: Keeping) -> Self {
        let matches = Some(matches);
        Self { message, matches, next: 0, is_for_all: false, has_waited: false, counted: 0, keeping }
    }

    pub(super) fn waiting(message: Arc<Message>, is_for_all: bool, keeping: Keeping) -> Self {
        Self { message, matches: None, next: 0, is_for_all, has_waited: true, counted: 0, keeping }
    }

    /// Counts it: its message and those whom it goes to.
    fn count(&mut self) -> usize {
        let matches = self.matches.as_ref().map_or(0, |matches| matches.len() * size_of::<Match>());
        self.counted = self.message.weight() + matches;
        self.counted
    }
}

/// Holds the messages that wait, and knows what they weigh.
#[derive(Debug)]
pub(super) struct Waiting {
    /// None of them empty.
    lines: Map<Identity, Line>,
    /// The publishers of all lines, the one whose turn it is first.
    turns: VecDeque<Identity>,
    bytes: usize,
    /// Empty lines, kept for their buffers.
    kept: Vec<Line>,
}

/// Holds what waits of one publisher, in its order.
#[derive(Debug, Default)]
struct Line {
    fanouts: VecDeque<Fanout>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn new(hash_key: HashKey) -> Self {
        Self { lines: Map::with_hasher(hash_key), turns: VecDeque::new(), bytes: 0, kept: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tells whether messages of `publisher` wait.
    pub(super) fn holds(&self, publisher: &Identity) -> bool {
        self.lines.contains_key(publisher)
    }

    /// Tells whether no more of `publisher` may wait: it has its share, or all have theirs.
    pub(super) fn is_full_for(&self, publisher: &Identity) -> bool {
        let own = self.lines.get(publisher).map_or(0, |line| line.bytes);
        own >= limits::FANOUT_WAITING_BYTES_PER_IDENTITY || self.bytes >= limits::FANOUT_WAITING_BYTES
    }

    /// Puts a message behind those of its publisher.
    pub(super) fn push_back(&mut self, fanout: Fanout) {
        self.push(fanout, VecDeque::push_back);
    }

    /// Puts a message that was taken out before those of its publisher, whose next turn comes after everybody else's.
    pub(super) fn put_back(&mut self, fanout: Fanout) {
        self.push(fanout, VecDeque::push_front);
    }

    fn push(&mut self, mut fanout: Fanout, push: impl FnOnce(&mut VecDeque<Fanout>, Fanout)) {
        let publisher = &fanout.message.publisher.identity;
        if !self.lines.contains_key(publisher) {
            self.turns.push_back(publisher.clone());
        }
        let kept = &mut self.kept;
        let line = self.lines.entry(publisher.clone()).or_insert_with(|| kept.pop().unwrap_or_default());
        let bytes = fanout.count();
        line.bytes += bytes;
        self.bytes += bytes;
        push(&mut line.fanouts, fanout);
    }

    /// Takes out the oldest message of the publisher whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Fanout> {
        let publisher = self.turns.pop_front()?;
        let line = self.lines.get_mut(&publisher)?;
        let fanout = line.fanouts.pop_front()?;
        line.bytes -= fanout.counted;
        self.bytes -= fanout.counted;
        if !line.fanouts.is_empty() {
            self.turns.push_back(publisher);
        } else if let Some(line) = self.lines.remove(&publisher) {
            self.keep(line);
        }
        Some(fanout)
    }

    /// Keeps the buffer of an empty line for the next publisher.
    fn keep(&mut self, mut line: Line) {
        if self.kept.len() < limits::FANOUT_LINES_KEPT {
            line.fanouts.shrink_to(limits::FANOUT_LINE_KEPT);
            self.kept.push(line);
        }
    }
}
