//! Signed messages that prove an incident, as they came: who doubts it can have their signatures checked again.
//!
//! They say what their topic says, so they are shown to who administers the installation alone: nothing of them is published, mailed or logged.

use base64ct::{Base64, Encoding};
use keyward_broker::Message;
use keyward_watch::event::UnixMillis;
use keyward_watch::incidents::Number;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Messages that are kept with one incident: the first.
const OF_ONE: usize = 2;
/// Messages that are kept in all; those of the oldest incidents make room. None is longer than what the watch hears of at all.
pub(super) const IN_ALL: usize = 512;
/// Bytes of one in a file.
pub(super) const BYTES: usize = 8 * 1024;

/// Is a signed message as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignedMessage {
    /// When, in milliseconds since 1970.
    pub(crate) at: UnixMillis,
    pub(crate) topic: String,
    /// Its payload, in base64.
    pub(crate) payload: String,
}

impl SignedMessage {
    pub(super) fn of(at: UnixMillis, message: &Message) -> Self {
        let payload = Base64::encode_string(message.payload());
        Self { at, topic: message.topic().to_owned(), payload }
    }
}

/// Holds them by the number of their incident.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SignedMessages(BTreeMap<Number, Vec<SignedMessage>>);

impl SignedMessages {
    pub(super) fn of(&self, number: Number) -> &[SignedMessage] {
        self.0.get(&number).map(Vec::as_slice).unwrap_or_default()
    }

    /// Keeps a message, if it is one of the first of its incident. Returns whether it does.
    pub(super) fn keep(&mut self, number: Number, message: SignedMessage) -> bool {
        let of_one = self.0.entry(number).or_default();
        if of_one.len() >= OF_ONE || of_one.contains(&message) {
            return false;
        }
        of_one.push(message);
        while self.0.values().map(Vec::len).sum::<usize>() > IN_ALL {
            self.0.pop_first();
        }
        true
    }

    /// Forgets those whose incidents are forgotten.
    pub(super) fn forget(&mut self, is_known: impl Fn(Number) -> bool) {
        self.0.retain(|number, _| is_known(*number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: u64) -> SignedMessage {
        SignedMessage { at: UnixMillis(n), topic: format!("pump/{n}"), payload: "AA==".to_owned() }
    }

    #[test]
    fn the_first_of_each_incident_stay_and_the_oldest_incidents_make_room() {
        let mut kept = SignedMessages::default();
        let keeps: Vec<bool> = [1, 1, 2, 3].map(|n| kept.keep(Number(7), message(n))).to_vec();
        assert_eq!(
            (keeps, kept.of(Number(7))),
            (vec![true, false, true, false], &[message(1), message(2)][..])
        );
        (100..100 + IN_ALL as u64).for_each(|number| assert!(kept.keep(Number(number), message(number))));
        assert_eq!((kept.of(Number(7)).len(), kept.of(Number(100)).len()), (0, 1));
        kept.forget(|number| number == Number(101));
        assert_eq!((kept.of(Number(100)).len(), kept.of(Number(101)).len()), (0, 1));
    }
}
