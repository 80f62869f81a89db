//! How events change what is known of the server's keys.

use crate::{
    clock::WallTime,
    events::Event,
    server_keys::{CommandKey, ServerKeys, SignedKeySet},
};

impl ServerKeys {
    /// Applies an event about these keys that was written at `at`; others change nothing.
    pub(super) fn apply(&mut self, at: WallTime, event: &Event) {
        match event {
            Event::InstallationKeyMade { key } => self.installation = Some(key.clone()),
            Event::CommandKeyMade { key, signs_from } => {
                let (key, signs_from) = (key.clone(), *signs_from);
                self.commands.push(CommandKey { key, made: at, signs_from, until: None });
            }
            Event::CommandKeyRetired { kid, until } => {
                let of_kid = self.commands.iter_mut().filter(|command| command.key.kid() == *kid);
                of_kid.for_each(|command| command.until = Some(*until));
            }
            Event::CommandKeyRemoved { kid } => self.commands.retain(|command| command.key.kid() != *kid),
            Event::KeySetSigned { version, expires, kids, message } => {
                let (expires, kids, message) = (*expires, kids.clone(), message.clone());
                self.version = self.version.max(*version);
                self.key_set = Some(SignedKeySet { version: *version, signed: at, expires, kids, message });
            }
            Event::CommandSigned { number, .. } | Event::GroupMessageSigned { number, .. } => {
                self.use_up(*number, 1);
            }
            Event::CommandNumbersReserved { first, count } => self.use_up(*first, u64::from(*count)),
            _ => {}
        }
    }

    fn use_up(&mut self, first: u64, count: u64) {
        self.next_number = self.next_number.max(first.saturating_add(count));
    }

    /// Lets another command key be made, and another key set be signed: a ledger that was restored does not know which numbers
    /// were used since, which keys were taken away, nor which key sets devices have seen.
    pub(super) fn doubt(&mut self) {
        self.commands.clear();
        self.key_set = None;
    }
}
