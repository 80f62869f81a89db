//! Fills a broker's store over sockets: stored sessions, each with a filter of its own, and messages that wait for them.

use crate::caller::Calls;
use crate::error::BenchError;
use crate::load::Access;
use std::thread;

/// Clients at a time: what they wait for is a sync, which they share.
const AT_A_TIME: usize = 16;
/// Messages in one write: below the receive maximum that Keyward announces.
const BATCH: usize = 100;

/// What the store is to hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling {
    pub(super) sessions: usize,
    /// Messages of each session.
    pub(super) messages_each: usize,
    pub(super) payload: usize,
}

impl Filling {
    /// Makes the sessions, then publishes to them in turns, so that the messages of a session do not lie together.
    pub(super) fn fill(self, access: &Access) -> Result<(), BenchError> {
        side_by_side(self.sessions, |part, sessions| self.make_sessions(access, part, sessions))?;
        side_by_side(self.sessions, |part, sessions| self.publish(access, part, sessions))
    }

    fn make_sessions(self, access: &Access, _: usize, sessions: &[usize]) -> Result<(), BenchError> {
        let calls = Calls::new(access.clone())?;
        for number in sessions {
            let mut reader = calls.log_in(&client_id(*number), true)?;
            reader.subscribe([topic(*number).as_str()], 1)?;
            reader.leave()?;
        }
        Ok(())
    }

    fn publish(self, access: &Access, part: usize, sessions: &[usize]) -> Result<(), BenchError> {
        let mut writer = Calls::new(access.clone())?.log_in(&format!("writer{part}"), false)?;
        let payload = vec![b'x'; self.payload];
        let topics: Vec<String> = sessions.iter().map(|number| topic(*number)).collect();
        for _ in 0..self.messages_each {
            for batch in topics.chunks(BATCH) {
                let refused = writer.publish_all(batch, &payload, false)?;
                if refused > 0 {
                    return Err(BenchError::broker("keyward", format!("it refused {refused} messages")));
                }
            }
        }
        writer.leave()
    }
}

/// Returns the client id of a session.
pub(super) fn client_id(number: usize) -> String {
    format!("kept{number}")
}

fn topic(number: usize) -> String {
    format!("bench/kept/{number}")
}

/// Gives each of some threads its part of the numbers below `count`.
fn side_by_side(
    count: usize,
    work: impl Fn(usize, &[usize]) -> Result<(), BenchError> + Sync,
) -> Result<(), BenchError> {
    let numbers: Vec<usize> = (0..count).collect();
    let size = count.div_ceil(AT_A_TIME).max(1);
    thread::scope(|scope| {
        let parts = numbers.chunks(size).enumerate();
        let threads: Vec<_> = parts
            .map(|(part, numbers)| {
                scope.spawn({
                    let work = &work;
                    move || work(part, numbers)
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(BenchError::Misuse("a filling thread panicked".to_owned())))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn every_number_is_somebodys_and_nobodys_twice() {
        for count in [0, 1, 15, 16, 17, 1_000] {
            let seen = Mutex::new(Vec::new());
            side_by_side(count, |_, numbers| {
                seen.lock().unwrap().extend_from_slice(numbers);
                Ok(())
            })
            .unwrap();
            let mut seen = seen.into_inner().unwrap();
            seen.sort_unstable();
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }
}
