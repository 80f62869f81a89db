//! Who the registry says there is, as the broker needs it. The shell makes these values from the registry.

use crate::signature::MessageKey;
use keyward_ids::Identity;
use keyward_policy::Subject;
use std::collections::HashMap;
use std::sync::Arc;

/// Is one identity of the registry at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who it is and where it belongs, as rules see it.
    pub subject: Subject,
    /// Which life of the name this is: an id that was removed and added again has another. Sessions and messages of
    /// an earlier one are nobody's.
    pub life: u64,
    /// Which of its credentials hold: another number whenever one is taken away. Links of an older epoch are closed;
    /// their sessions wait for whoever comes with credentials that hold.
    pub epoch: u64,
    /// What it may do at all.
    pub standing: Standing,
    /// The keys by which its messages are verified.
    pub message_keys: Vec<MessageKey>,
}

/// Says whether an identity may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may act within its rights.
    Active,
    /// It may not act for now. Its sessions are kept, but nothing is queued for them.
    Disabled,
    /// It may not act any more; its sessions are ended.
    Revoked {
        /// Whether what it had published before is still delivered.
        keep_messages: bool,
        /// Whether its will is published.
        publish_will: bool,
    },
    /// It is only a tombstone.
    Removed,
}

/// Holds all principals of one revision of the registry. Immutable: a change makes another one.
#[derive(Debug, Default)]
pub struct Directory {
    revision: u64,
    installation: Arc<str>,
    principals: HashMap<Identity, Arc<Principal>>,
}

impl Directory {
    /// Makes a directory; of two principals of one identity the later counts. Principals that did not change should
    /// be the same `Arc` as before: what was decided for them stays remembered.
    pub fn new(revision: u64, principals: impl IntoIterator<Item = Arc<Principal>>) -> Self {
        let principals =
            principals.into_iter().map(|principal| (principal.subject.identity.clone(), principal)).collect();
        Self { revision, installation: Arc::default(), principals }
    }

    /// Says of which installation this is: messages are signed for one.
    #[must_use]
    pub fn of_installation(self, installation: &str) -> Self {
        Self { installation: installation.into(), ..self }
    }

    pub(crate) fn installation(&self) -> Arc<str> {
        Arc::clone(&self.installation)
    }

    /// Returns the revision of the registry that this is.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns what is known of `identity`.
    pub fn lookup(&self, identity: &Identity) -> Option<&Arc<Principal>> {
        self.principals.get(identity)
    }
}
