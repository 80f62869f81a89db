//! Gathers readings of a topic until there are enough for one message: one number, one signature and one place in the outbox for all of them.
//!
//! How to use it. [`Batches::put`] each reading with a ticket, which comes back with its batch; [`Batches::take_due`] when the time that
//! [`Batches::due`] names has come; report what comes out in its order, and acknowledge by the tickets. What is gathered is in memory alone: a reading
//! may be acknowledged when the batch is stored, and not before. Readings of one topic keep their order.
//!
//! The payload of a batch is an array of CBOR (content format 60) of byte strings, each of which is what the reading alone would have been. A batch of
//! one is an array too, so that whoever reads the topic reads one form.
//!
//! What is not here: clock and threads (the time is given), and how a message is signed and stored (`pen`).

use crate::cbor;
use crate::limits::{BATCH_BYTES, BATCH_READINGS, BATCH_TIME, BATCHES, RULES};
use keyward_mqtt::topic::{TopicFilter, TopicName};
use std::time::{Duration, Instant};

/// Says of which topics readings are gathered, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRule {
    /// Topic filters.
    pub topics: Vec<String>,
    /// Readings of one batch at most, 1 to 1,024.
    pub messages: usize,
    /// Bytes of one batch at most, 1 to 64,509; a reading that is longer is a batch by itself.
    pub bytes: usize,
    /// How long the first reading waits at most, up to an hour.
    pub within: Duration,
}

impl BatchRule {
    /// Looks at what an owner wrote.
    ///
    /// # Errors
    /// A sentence says what is wrong, and what may be given.
    pub fn check(&self) -> Result<(), String> {
        if self.topics.is_empty() {
            return Err(
                "a batch needs `topics`: filters of the topics whose readings are gathered".to_owned()
            );
        }
        check_filters(&self.topics)?;
        if !(1..=BATCH_READINGS).contains(&self.messages) {
            return Err(format!("`messages` of a batch is {}; give 1 to {BATCH_READINGS}", self.messages));
        }
        if !(1..=BATCH_BYTES).contains(&self.bytes) {
            return Err(format!("`bytes` of a batch is {}; give 1 to {BATCH_BYTES}", self.bytes));
        }
        if self.within.is_zero() || self.within > BATCH_TIME {
            return Err("`within` of a batch is more than 0s, and 1h at most".to_owned());
        }
        Ok(())
    }
}

/// Refuses what is no topic filter.
pub(crate) fn check_filters(filters: &[String]) -> Result<(), String> {
    if filters.len() > RULES {
        return Err(format!(
            "{} filters, and {RULES} are the most; one with # at its end stands for many",
            filters.len()
        ));
    }
    for filter in filters {
        TopicFilter::parse(filter).map_err(|error| format!("the filter {filter:?} {error}"))?;
    }
    Ok(())
}

/// Tells whether one of the filters matches; a topic that is none is matched by nothing.
pub(crate) fn any_matches(filters: &[String], topic: &str) -> bool {
    TopicName::parse(topic).is_ok_and(|topic| {
        filters.iter().any(|filter| TopicFilter::parse(filter).is_ok_and(|filter| filter.matches(topic)))
    })
}

/// Is a batch that is closed: what one message is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<T> {
    /// Where.
    pub topic: String,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// An array of CBOR.
    pub payload: Vec<u8>,
    /// Whose readings it holds, in their order.
    pub tickets: Vec<T>,
}

/// Says what became of a reading.
#[derive(Debug, PartialEq, Eq)]
pub enum Put<T> {
    /// Of its topic nothing is gathered: it is a message by itself. Holds the ticket.
    Alone(T),
    /// It waits, or is in the last of these batches; they are closed, and to be reported in this order.
    Gathered(Vec<Batch<T>>),
}

struct Open<T> {
    topic: String,
    retain: bool,
    until: Instant,
    /// The readings, each a byte string.
    strings: Vec<u8>,
    tickets: Vec<T>,
}

impl<T> Open<T> {
    fn close(self) -> Batch<T> {
        let mut payload = cbor::array(self.tickets.len());
        payload.extend(self.strings);
        Batch { topic: self.topic, retain: self.retain, payload, tickets: self.tickets }
    }
}

/// Gathers readings.
pub struct Batches<T> {
    rules: Vec<BatchRule>,
    /// The oldest first.
    open: Vec<Open<T>>,
}

impl<T> Batches<T> {
    /// Takes the rules; the first that names a topic is its rule.
    pub fn new(rules: Vec<BatchRule>) -> Self {
        Self { rules, open: Vec::new() }
    }

    /// Takes a reading.
    pub fn put(&mut self, now: Instant, topic: &str, retain: bool, payload: &[u8], ticket: T) -> Put<T> {
        let Some(rule) = self.rules.iter().position(|rule| any_matches(&rule.topics, topic)) else {
            return Put::Alone(ticket);
        };
        let BatchRule { messages, bytes, within, .. } = self.rules[rule];
        let mut closed = Vec::new();
        let mut string = Vec::with_capacity(payload.len() + 5);
        cbor::bytes(&mut string, payload);
        if let Some(at) = self.open.iter().position(|open| open.topic == topic) {
            let open = &self.open[at];
            // One message is retained or it is not.
            if open.retain != retain || open.strings.len() + string.len() > bytes {
                closed.push(self.open.remove(at).close());
            }
        }
        let at = self.open.iter().position(|open| open.topic == topic).unwrap_or_else(|| {
            if self.open.len() >= BATCHES {
                closed.push(self.open.remove(0).close());
            }
            let (topic, strings, tickets) = (topic.to_owned(), Vec::new(), Vec::new());
            self.open.push(Open { topic, retain, until: now + within, strings, tickets });
            self.open.len() - 1
        });
        let open = &mut self.open[at];
        open.strings.extend(string);
        open.tickets.push(ticket);
        if open.tickets.len() >= messages || open.strings.len() >= bytes {
            closed.push(self.open.remove(at).close());
        }
        Put::Gathered(closed)
    }

    /// Returns when the next batch is to be closed although it is not full.
    pub fn due(&self) -> Option<Instant> {
        self.open.iter().map(|open| open.until).min()
    }

    /// Closes the batches whose time is over.
    pub fn take_due(&mut self, now: Instant) -> Vec<Batch<T>> {
        self.take(|open| open.until <= now)
    }

    /// Closes all batches: the power fails, or the program ends.
    pub fn take_all(&mut self) -> Vec<Batch<T>> {
        self.take(|_| true)
    }

    fn take(&mut self, is_over: impl Fn(&Open<T>) -> bool) -> Vec<Batch<T>> {
        let (over, open) = std::mem::take(&mut self.open).into_iter().partition(is_over);
        self.open = open;
        let over: Vec<Open<T>> = over;
        over.into_iter().map(Open::close).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    fn gathering(messages: usize, bytes: usize) -> Batches<u8> {
        let topics = vec!["a/#".to_owned(), "b".to_owned()];
        Batches::new(vec![BatchRule { topics, messages, bytes, within: 10 * SECOND }])
    }

    /// Puts readings of one byte; returns the tickets of the batches that this closed.
    fn put(batches: &mut Batches<u8>, now: Instant, topic: &str, number: u8) -> Vec<Vec<u8>> {
        match batches.put(now, topic, false, &[number], number) {
            Put::Gathered(closed) => closed.into_iter().map(|batch| batch.tickets).collect(),
            Put::Alone(_) => panic!("{topic} is gathered"),
        }
    }

    #[test]
    fn readings_of_a_topic_are_one_message_when_there_are_enough() {
        let (mut batches, now) = (gathering(3, 100), clock::now());
        assert!(put(&mut batches, now, "a/x", 1).is_empty() && put(&mut batches, now, "b", 2).is_empty());
        assert!(put(&mut batches, now, "a/x", 3).is_empty());
        let Put::Gathered(closed) = batches.put(now, "a/x", false, b"end", 4) else {
            panic!("it is gathered")
        };
        let payload = b"\x83\x41\x01\x41\x03\x43end".to_vec();
        assert_eq!(closed, [Batch { topic: "a/x".into(), retain: false, payload, tickets: vec![1, 3, 4] }]);
        assert_eq!(batches.put(now, "c", false, b"", 5), Put::Alone(5));
        assert_eq!(batches.take_all().len(), 1, "that of b is open still");
    }

    #[test]
    fn a_batch_is_closed_when_its_first_reading_has_waited_long_enough() {
        let (mut batches, now) = (gathering(9, 100), clock::now());
        put(&mut batches, now, "a/x", 1);
        put(&mut batches, now + 4 * SECOND, "b", 2);
        put(&mut batches, now + 9 * SECOND, "a/x", 3);
        assert_eq!(batches.due(), Some(now + 10 * SECOND));
        assert!(batches.take_due(now + 9 * SECOND).is_empty());
        let tickets =
            |closed: Vec<Batch<u8>>| closed.into_iter().map(|batch| batch.tickets).collect::<Vec<_>>();
        assert_eq!(tickets(batches.take_due(now + 10 * SECOND)), [[1, 3]]);
        assert_eq!(batches.due(), Some(now + 14 * SECOND));
        assert_eq!(tickets(batches.take_due(now + 14 * SECOND)), [[2]]);
        assert_eq!(batches.due(), None);
    }

    #[test]
    fn a_batch_holds_no_more_bytes_than_it_may_and_a_long_reading_is_one_by_itself() {
        let (mut batches, now) = (gathering(9, 5), clock::now());
        assert!(put(&mut batches, now, "b", 1).is_empty() && put(&mut batches, now, "b", 2).is_empty());
        assert_eq!(put(&mut batches, now, "b", 3), [[1, 2]], "three take six bytes");
        let Put::Gathered(closed) = batches.put(now, "b", false, &[0; 9], 4) else {
            panic!("it is gathered")
        };
        assert_eq!(closed.iter().map(|batch| batch.tickets.as_slice()).collect::<Vec<_>>(), [[3], [4]]);
    }

    #[test]
    fn what_is_retained_and_what_is_not_are_two_messages_in_their_order() {
        let (mut batches, now) = (gathering(9, 100), clock::now());
        put(&mut batches, now, "b", 1);
        let Put::Gathered(closed) = batches.put(now, "b", true, b"", 2) else { panic!("it is gathered") };
        assert_eq!((closed[0].retain, closed[0].tickets.as_slice()), (false, [1].as_slice()));
        assert!(batches.take_all()[0].retain);
    }

    #[test]
    fn the_oldest_batch_is_closed_when_too_many_are_open() {
        let (mut batches, now) = (gathering(9, 100), clock::now());
        let open = |batches: &mut Batches<u8>, number: usize| {
            put(batches, now, &format!("a/{number}"), u8::try_from(number).unwrap())
        };
        assert!((0..BATCHES).all(|number| open(&mut batches, number).is_empty()));
        assert_eq!(open(&mut batches, BATCHES), [[0]]);
    }

    #[test]
    fn a_rule_that_cannot_be_says_what_may_be_given() {
        let good = gathering(1, 1).rules.remove(0);
        assert_eq!(good.check(), Ok(()));
        for (bad, expected) in [
            (BatchRule { topics: vec![], ..good.clone() }, "topics"),
            (BatchRule { topics: vec!["a/#/b".into()], ..good.clone() }, "a/#/b"),
            (BatchRule { messages: 0, ..good.clone() }, "1 to 1024"),
            (BatchRule { bytes: BATCH_BYTES + 1, ..good.clone() }, "1 to 64509"),
            (BatchRule { within: Duration::ZERO, ..good }, "1h at most"),
        ] {
            assert!(bad.check().unwrap_err().contains(expected), "{expected}");
        }
    }
}
