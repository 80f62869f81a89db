//! The one queue into a worker, for all its senders: what was put in before stands before.
//!
//! Nothing blocks here and nothing is dropped. Each sender has a budget of bytes: one that can be refused
//! ([`Inbox::offer`]) gets its message back, one that cannot ([`Inbox::post`]) is told to stop causing more until
//! the worker wakes it.

use mio::Waker;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Names a sender: an index into the budgets of an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender(pub(crate) usize);

/// Says whether a sender has budget left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It may go on.
    Left,
    /// It must cause no more messages to this inbox until its waker is called.
    Exhausted,
}

/// Is the queue into one worker.
pub(crate) struct Inbox<T> {
    queue: Mutex<VecDeque<Entry<T>>>,
    budgets: Box<[Budget]>,
    bytes_per_sender: usize,
    receiver: Arc<Waker>,
}

struct Entry<T> {
    message: T,
    from: Option<Sender>,
    weight: usize,
}

struct Budget {
    used: AtomicUsize,
    starved: AtomicBool,
    waker: Arc<Waker>,
}

impl<T> Inbox<T> {
    /// Makes an inbox whose worker is woken by `receiver` and whose senders by `senders`, in the order of their
    /// numbers.
    pub(crate) fn new(receiver: Arc<Waker>, senders: &[Arc<Waker>], bytes_per_sender: usize) -> Self {
        let budget = |waker: &Arc<Waker>| Budget {
            used: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
            waker: waker.clone(),
        };
        let budgets = senders.iter().map(budget).collect();
        Self { queue: Mutex::default(), budgets, bytes_per_sender, receiver }
    }

    /// Puts in a command of the operator or another message that costs nobody's budget.
    pub(crate) fn command(&self, message: T) {
        self.push(Entry { message, from: None, weight: 0 });
    }

    /// Puts in a message of `weight` bytes, or gives it back if `from` has no budget for it.
    pub(crate) fn offer(&self, from: Sender, weight: usize, message: T) -> Result<(), T> {
        let used = &self.budgets[from.0].used;
        if used.fetch_add(weight, Ordering::AcqRel) + weight > self.bytes_per_sender {
            used.fetch_sub(weight, Ordering::AcqRel);
            return Err(message);
        }
        self.push(Entry { message, from: Some(from), weight });
        Ok(())
    }

    /// Puts in a message of `weight` bytes in any case, and tells whether the sender may go on.
    pub(crate) fn post(&self, from: Sender, weight: usize, message: T) -> Room {
        self.budgets[from.0].used.fetch_add(weight, Ordering::AcqRel);
        self.push(Entry { message, from: Some(from), weight });
        self.room(from)
    }

    /// Tells whether `from` has budget; if not, its waker will be called when half of the budget is free again.
    pub(crate) fn room(&self, from: Sender) -> Room {
        let budget = &self.budgets[from.0];
        if budget.used.load(Ordering::Acquire) <= self.bytes_per_sender {
            return Room::Left;
        }
        // The order of the two steps matters: whoever frees budget looks for the flag after it has freed.
        budget.starved.store(true, Ordering::SeqCst);
        match budget.used.load(Ordering::SeqCst) <= self.bytes_per_sender / 2 {
            true => Room::Left,
            false => Room::Exhausted,
        }
    }

    /// Moves at most `max` messages to `taken`, oldest first, and tells whether more are there. Their budget is free
    /// from now on.
    pub(crate) fn take(&self, max: usize, taken: &mut Vec<T>) -> bool {
        let mut queue = self.queue();
        let count = queue.len().min(max);
        for entry in queue.drain(..count) {
            if let Some(from) = entry.from {
                self.free(from, entry.weight);
            }
            taken.push(entry.message);
        }
        !queue.is_empty()
    }

    /// Returns the bytes that are in it.
    pub(crate) fn bytes(&self) -> usize {
        self.budgets.iter().map(|budget| budget.used.load(Ordering::Relaxed)).sum()
    }

    fn free(&self, from: Sender, weight: usize) {
        let budget = &self.budgets[from.0];
        let left = budget.used.fetch_sub(weight, Ordering::SeqCst) - weight;
        if left <= self.bytes_per_sender / 2 && budget.starved.swap(false, Ordering::SeqCst) {
            wake(&budget.waker);
        }
    }

    fn push(&self, entry: Entry<T>) {
        let mut queue = self.queue();
        let was_empty = queue.is_empty();
        queue.push_back(entry);
        drop(queue);
        if was_empty {
            wake(&self.receiver);
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Entry<T>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a loop. It fails only if the system has no memory for one counter; the loop then wakes at its next timer.
pub(crate) fn wake(waker: &Waker) {
    let _: io::Result<()> = waker.wake();
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};
    use std::time::Duration;

    struct Loop {
        poll: Poll,
        waker: Arc<Waker>,
    }

    impl Loop {
        fn new() -> Self {
            let poll = Poll::new().unwrap();
            let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
            Self { poll, waker }
        }

        fn is_woken(&mut self) -> bool {
            let mut events = Events::with_capacity(4);
            self.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            !events.is_empty()
        }
    }

    fn take<T>(inbox: &Inbox<T>, max: usize) -> Vec<T> {
        let mut taken = Vec::new();
        inbox.take(max, &mut taken);
        taken
    }

    #[test]
    fn messages_of_all_senders_stand_in_the_order_in_which_they_came() {
        let (mut worker, a, b) = (Loop::new(), Loop::new(), Loop::new());
        let inbox = Inbox::new(worker.waker.clone(), &[a.waker, b.waker], 100);
        inbox.offer(Sender(0), 1, "door").unwrap();
        assert!(worker.is_woken());
        inbox.post(Sender(1), 1, "shard");
        inbox.command("revoke");
        assert!(!worker.is_woken(), "one wake-up is enough");
        assert_eq!(take(&inbox, 2), ["door", "shard"]);
        assert_eq!(take(&inbox, 2), ["revoke"]);
    }

    #[test]
    fn a_sender_out_of_budget_gets_its_message_back_and_costs_no_other_sender_anything() {
        let (worker, a, b) = (Loop::new(), Loop::new(), Loop::new());
        let inbox = Inbox::new(worker.waker, &[a.waker, b.waker], 100);
        inbox.offer(Sender(0), 90, 1).unwrap();
        assert_eq!(inbox.offer(Sender(0), 20, 2), Err(2));
        inbox.offer(Sender(1), 100, 3).unwrap();
        assert_eq!(take(&inbox, 9), [1, 3]);
        inbox.offer(Sender(0), 100, 4).unwrap();
    }

    #[test]
    fn a_sender_that_cannot_be_refused_is_stopped_and_woken_when_there_is_room() {
        let (worker, mut shard) = (Loop::new(), Loop::new());
        let inbox = Inbox::new(worker.waker, &[shard.waker.clone()], 100);
        assert_eq!(inbox.post(Sender(0), 80, 1), Room::Left);
        assert_eq!(inbox.post(Sender(0), 80, 2), Room::Exhausted);
        assert_eq!(take(&inbox, 1), [1]);
        assert!(!shard.is_woken(), "80 of 100 are used still");
        assert_eq!(take(&inbox, 1), [2]);
        assert!(shard.is_woken());
        assert_eq!(inbox.room(Sender(0)), Room::Left);
    }
}
