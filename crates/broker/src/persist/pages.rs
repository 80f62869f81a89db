//! What messages on disk say is read again before their turn comes (rule 20): off the shard, a page at a time.

use super::MESSAGE;
use super::publication::Owner;
use super::wire::Reader;
use crate::message::{Content, MessageId};
use keyward_store::{Read, ReadError};

/// Asks for what some messages say that wait in one queue.
#[derive(Debug)]
pub struct PageAsk {
    owner: Owner,
    wanted: Vec<(u64, MessageId)>,
}

/// Is the answer: what they say, by their places.
#[derive(Debug)]
pub struct Page {
    pub(crate) owner: Owner,
    /// `None` is a message that does not read.
    pub(crate) contents: Vec<(u64, Option<Content>)>,
}

impl PageAsk {
    pub(crate) fn new(owner: Owner, wanted: Vec<(u64, MessageId)>) -> Self {
        Self { owner, wanted }
    }

    /// Reads the page. A message that is not there may have gone meanwhile, so that only the shard knows whether it is
    /// missed; `complain` is told of what the engine cannot read.
    pub fn read(self, store: &dyn Read, mut complain: impl FnMut(ReadError)) -> Page {
        let contents = self.wanted.into_iter().map(|(place, id)| {
            let content = match store.get(MESSAGE, &id.0.to_be_bytes()) {
                Ok(Some(record)) => Reader::new(&record).content(),
                Ok(None) => None,
                Err(error) => {
                    complain(error);
                    None
                }
            };
            (place, content)
        });
        Page { owner: self.owner, contents: contents.collect() }
    }
}
