//! The one thread that reads what messages on disk say, while the shards go on (rule 20).
//!
//! What waits for it is bounded: each session and each group has one page under way at most.

use crate::plane::handover::WorkerMessage;
use crate::plane::inbox::Inbox;
use keyward_broker::ShardIndex;
use keyward_broker::persist::PageAsk;
use keyward_store::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Takes what a shard wants to have read. The thread ends when all of these are gone.
#[derive(Clone)]
pub(crate) struct PageDesk(Sender<(ShardIndex, PageAsk)>);

/// Reads until nobody is left who could ask.
pub(crate) struct PageReader {
    asked: Receiver<(ShardIndex, PageAsk)>,
    store: Arc<dyn Read>,
    /// The inboxes of the workers, in the order of their shards.
    inboxes: Arc<[Inbox<WorkerMessage>]>,
}

impl PageDesk {
    pub(crate) fn ask(&self, shard: ShardIndex, ask: PageAsk) {
        // The thread ends after the last desk.
        let _ = self.0.send((shard, ask));
    }
}

impl PageReader {
    #[expect(clippy::disallowed_methods, reason = "a session or group has one page under way at most")]
    pub(crate) fn new(store: Arc<dyn Read>, inboxes: Arc<[Inbox<WorkerMessage>]>) -> (Self, PageDesk) {
        let (desk, asked) = channel();
        (Self { asked, store, inboxes }, PageDesk(desk))
    }

    pub(crate) fn run(self) {
        for (shard, ask) in self.asked {
            let page = ask.read(&*self.store, |error| tracing::error!("{error}"));
            if let Some(inbox) = self.inboxes.get(usize::from(shard.0)) {
                inbox.command(WorkerMessage::Page(page));
            }
        }
    }
}
