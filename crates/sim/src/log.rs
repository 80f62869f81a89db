//! What has happened and was not shown to the model yet.

use crate::event::{Event, What};
use keyward_mqtt::time::Now;

/// Gathers events, each with the time of its tick.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) now: Now,
    events: Vec<Event>,
}

impl Log {
    pub(crate) fn beginning_at(now: Now) -> Self {
        Self { now, events: Vec::new() }
    }

    pub(crate) fn say(&mut self, what: What) {
        self.events.push(Event { at: self.now, what });
    }

    pub(crate) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }
}
