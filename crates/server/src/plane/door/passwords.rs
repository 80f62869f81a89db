//! The pool that checks chosen passwords: Argon2id is slow on purpose, so it is kept off the threads that serve
//! links, and bounded in threads, in places, and in how long an attempt may wait.

use crate::clock::{self, millis};
use crate::plane::limits::{Limits, SLOW_DOWN_ENTRIES};
use crate::plane::source::Source;
use keyward_identity::{PasswordMemory, PasswordRecord, Rehash, limits::REHASHES};
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use zeroize::Zeroizing;

/// Places in the queue that one source may take while at least half of them are free; then it gets one.
const PLACES_PER_SOURCE: usize = 8;

/// Is an attempt to log in with a chosen password.
pub(crate) struct Attempt {
    /// What it is checked against; the decoy if the name is unknown.
    pub(crate) record: PasswordRecord,
    /// Whose record it is.
    pub(crate) identity: Option<Identity>,
    pub(crate) password: Zeroizing<Vec<u8>>,
    pub(crate) source: Source,
    /// When the attempt came.
    pub(crate) begun: Millis,
    /// Is given the outcome, on a thread of the pool.
    pub(crate) answer: Box<dyn FnOnce(Outcome) + Send>,
}

/// Says what became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The password is the right one.
    Right,
    /// The password is wrong, or the name unknown.
    Wrong,
    /// The attempt waited too long, or had to make room, and was not checked.
    TooLate,
}

/// Says that the queue had no place for an attempt.
#[derive(Debug)]
pub(crate) struct NoPlace;

/// Is a bounded number of threads with a bounded queue before them.
pub(crate) struct PasswordPool {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
    rehashed: Mutex<Receiver<Rehash>>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    places: usize,
    age: Millis,
    /// Takes new hashes of imported passwords; a full one loses them, and the next login makes another.
    rehashed: SyncSender<Rehash>,
}

#[derive(Default)]
struct Queue {
    attempts: VecDeque<Attempt>,
    /// How often passwords of a source were wrong lately.
    wrong: HashMap<Source, u32>,
    closed: bool,
}

impl PasswordPool {
    pub(crate) fn start(limits: &Limits) -> io::Result<Self> {
        let (sender, rehashed) = sync_channel(REHASHES);
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            places: limits.password_queue,
            age: millis(limits.password_age),
            rehashed: sender,
        });
        let mut pool = Self { shared, threads: Vec::new(), rehashed: Mutex::new(rehashed) };
        for index in 0..limits.password_threads {
            let shared = pool.shared.clone();
            let thread = thread::Builder::new().name(format!("password-{index}"));
            pool.threads.push(thread.spawn(move || shared.run())?);
        }
        Ok(pool)
    }

    /// Returns the new hashes of imported passwords that were found right since it was asked last.
    pub(crate) fn rehashed(&self) -> Vec<Rehash> {
        self.rehashed.lock().unwrap_or_else(PoisonError::into_inner).try_iter().take(REHASHES).collect()
    }

    /// Puts an attempt into the queue if there is a place for it. In a full queue a source that
    /// waits for nothing yet gets the place of the newest attempt of the source that waits for most; if all wait for as
    /// much, of the one whose passwords were wrong most often lately, if that is more often than its own.
    pub(crate) fn offer(&self, attempt: Attempt) -> Result<(), NoPlace> {
        let mut queue = self.shared.queue();
        let places = self.shared.places;
        let share = if 2 * queue.attempts.len() >= places { 1 } else { PLACES_PER_SOURCE };
        if queue.count(attempt.source) >= share {
            return Err(NoPlace);
        }
        let displaced = match queue.attempts.len() >= places {
            true => match queue.displace(attempt.source) {
                None => return Err(NoPlace),
                displaced => displaced,
            },
            false => None,
        };
        queue.attempts.push_back(attempt);
        drop(queue);
        self.shared.changed.notify_one();
        if let Some(displaced) = displaced {
            (displaced.answer)(Outcome::TooLate);
        }
        Ok(())
    }
}

impl Queue {
    fn count(&self, source: Source) -> usize {
        self.attempts.iter().filter(|waiting| waiting.source == source).count()
    }

    /// Takes out the newest attempt of the source that has most, and was wrong most often, if that is more than
    /// `newcomer`.
    fn displace(&mut self, newcomer: Source) -> Option<Attempt> {
        let rank = |source| (self.count(source), self.wrong.get(&source).copied().unwrap_or(0));
        let ranked = (0..self.attempts.len()).map(|index| (rank(self.attempts[index].source), index));
        let (worst, index) = ranked.max()?;
        let (_, wrong) = rank(newcomer);
        if worst > (1, wrong) { self.attempts.remove(index) } else { None }
    }

    /// Remembers whether a source knows its passwords. When too many are remembered, all are forgiven half.
    fn judge(&mut self, source: Source, outcome: Outcome) {
        match outcome {
            Outcome::Right => drop(self.wrong.remove(&source)),
            Outcome::TooLate => {}
            Outcome::Wrong => {
                while self.wrong.len() >= SLOW_DOWN_ENTRIES {
                    self.wrong.values_mut().for_each(|count| *count /= 2);
                    self.wrong.retain(|_, count| *count > 0);
                }
                let count = self.wrong.entry(source).or_insert(0);
                *count = count.saturating_add(1);
            }
        }
    }
}

impl Drop for PasswordPool {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.closed = true;
        queue.attempts.clear();
        drop(queue);
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _: thread::Result<()> = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut memory = PasswordMemory::default();
        while let Some(attempt) = self.next() {
            let waited = clock::now().mono.saturating_sub(attempt.begun);
            let outcome = if waited > self.age {
                Outcome::TooLate
            } else if attempt.record.verify_slow(&attempt.password, &mut memory) {
                Outcome::Right
            } else {
                Outcome::Wrong
            };
            self.queue().judge(attempt.source, outcome);
            let Attempt { record, identity, password, answer, .. } = attempt;
            answer(outcome);
            if let Some(identity) = identity.filter(|_| outcome == Outcome::Right && record.is_imported()) {
                self.rehash(record, identity, &password);
            }
        }
    }

    /// Hashes an imported password as a chosen one. The login does not wait for it, and nothing is lost if it fails.
    fn rehash(&self, before: PasswordRecord, identity: Identity, password: &[u8]) {
        match before.rehash(password, identity.name()) {
            Ok(Some(after)) => drop(self.rehashed.try_send(Rehash { identity, before, after })),
            Ok(None) => {}
            Err(error) => tracing::warn!(%identity, "an imported password keeps its old hash: {error}"),
        }
    }

    fn next(&self) -> Option<Attempt> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(attempt) = queue.attempts.pop_front() {
                return Some(attempt);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn attempt(last: u8, answers: &SyncSender<Outcome>, password: &[u8]) -> Attempt {
        Attempt {
            record: PasswordRecord::choose(b"correct horse", "anna").unwrap(),
            password: Zeroizing::new(password.to_vec()),
            ..attempt_of(last, answers)
        }
    }

    /// An attempt that costs nothing to make.
    fn attempt_of(last: u8, answers: &SyncSender<Outcome>) -> Attempt {
        let answers = answers.clone();
        Attempt {
            record: PasswordRecord::decoy(),
            identity: None,
            password: Zeroizing::default(),
            source: Source::from(std::net::IpAddr::from([192, 0, 2, last])),
            begun: clock::now().mono,
            answer: Box::new(move |outcome| answers.send(outcome).unwrap()),
        }
    }

    fn next(answers: &Receiver<Outcome>) -> Outcome {
        answers.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    #[test]
    fn a_right_password_is_told_from_a_wrong_one() {
        let pool = PasswordPool::start(&Limits::default()).unwrap();
        let (sender, answers) = sync_channel(4);
        assert!(pool.offer(attempt(1, &sender, b"correct horse")).is_ok());
        assert_eq!(next(&answers), Outcome::Right);
        assert!(pool.offer(attempt(1, &sender, b"battery staple")).is_ok());
        assert_eq!(next(&answers), Outcome::Wrong);
    }

    /// A pool that checks nothing.
    fn waiting_pool(places: usize) -> PasswordPool {
        let limits = Limits { password_threads: 0, password_queue: places, ..Limits::default() };
        PasswordPool::start(&limits).unwrap()
    }

    #[test]
    fn places_are_bounded_in_all_and_per_source() {
        let pool = waiting_pool(3 * PLACES_PER_SOURCE);
        let (sender, _answers) = sync_channel(64);
        for _ in 0..PLACES_PER_SOURCE {
            assert!(pool.offer(attempt_of(1, &sender)).is_ok());
        }
        assert!(pool.offer(attempt_of(1, &sender)).is_err(), "the source has its share");
        assert!(pool.offer(attempt_of(2, &sender)).is_ok());

        let pool = waiting_pool(2);
        assert!(pool.offer(attempt_of(1, &sender)).is_ok());
        assert!(pool.offer(attempt_of(1, &sender)).is_err(), "half of the queue is one place for each");
        assert!(pool.offer(attempt_of(2, &sender)).is_ok());
        assert!(pool.offer(attempt_of(3, &sender)).is_err(), "the queue is full of as many sources");
    }

    #[test]
    fn a_full_queue_has_a_place_for_a_source_that_has_none() {
        let pool = waiting_pool(3 * PLACES_PER_SOURCE);
        let (flood, displaced) = sync_channel(64);
        for source in 1..=40 {
            for _ in 0..PLACES_PER_SOURCE {
                let _: Result<(), NoPlace> = pool.offer(attempt_of(source, &flood));
            }
        }
        assert!(pool.offer(attempt_of(200, &flood)).is_err(), "every place is another source's");

        let pool = waiting_pool(3 * PLACES_PER_SOURCE);
        for source in [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2].into_iter().chain(3..=14) {
            assert!(pool.offer(attempt_of(source, &flood)).is_ok());
        }
        displaced.try_iter().for_each(drop);
        assert!(pool.offer(attempt_of(200, &flood)).is_ok());
        assert_eq!(displaced.try_recv(), Ok(Outcome::TooLate), "who has most makes room");
    }

    #[test]
    fn as_many_guessing_sources_as_there_are_places_do_not_keep_out_who_never_guessed_wrong() {
        let pool = waiting_pool(64);
        let (sender, answers) = sync_channel(64);
        for last in 1..=64 {
            let source = attempt_of(last, &sender).source;
            pool.shared.queue().judge(source, Outcome::Wrong);
            assert!(pool.offer(attempt_of(last, &sender)).is_ok());
        }
        for honest in 100..=120 {
            assert!(pool.offer(attempt_of(honest, &sender)).is_ok());
            assert_eq!(answers.try_recv(), Ok(Outcome::TooLate), "a guesser makes room");
        }
        let guesser = attempt_of(200, &sender);
        pool.shared.queue().judge(guesser.source, Outcome::Wrong);
        assert!(pool.offer(guesser).is_err(), "who is no better has to wait");
    }

    #[test]
    fn what_is_remembered_of_guessing_sources_is_bounded_and_a_right_password_forgives() {
        let mut queue = Queue::default();
        let source = |number| Source::V4(std::net::Ipv4Addr::from_bits(number));
        for number in 0..10_000 {
            queue.judge(source(0), Outcome::Wrong);
            queue.judge(source(number), Outcome::Wrong);
        }
        assert!(queue.wrong.len() <= SLOW_DOWN_ENTRIES);
        assert!(queue.wrong.get(&source(0)).is_some_and(|count| *count > 1_000));
        queue.judge(source(0), Outcome::Right);
        assert_eq!(queue.wrong.get(&source(0)), None);
    }

    #[test]
    fn an_attempt_that_waited_too_long_is_not_checked() {
        let limits = Limits { password_age: Duration::ZERO, ..Limits::default() };
        let pool = PasswordPool::start(&limits).unwrap();
        let (sender, answers) = sync_channel(4);
        let old = Attempt { begun: Millis::ZERO, ..attempt(1, &sender, b"correct horse") };
        assert!(pool.offer(old).is_ok());
        assert_eq!(next(&answers), Outcome::TooLate);
    }
}
