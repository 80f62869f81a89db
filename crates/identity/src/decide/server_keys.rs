//! The keys of the server that devices believe, and the numbers of what they sign.

use super::{Clerk, Decision, bounded};
use crate::{
    clock::WallTime,
    cose_key::Kid,
    events::Event,
    limits,
    refusal::Refusal,
    server_keys::{ServerKeys, generate},
    vault::KeyFile,
};
use keyward_ids::{GroupId, Identity, Kind};
use std::time::Duration;

impl Clerk<'_> {
    fn server_keys(&self) -> &ServerKeys {
        &self.state.server_keys
    }

    pub(super) fn keep_server_keys(&self) -> Result<Decision, Refusal> {
        let mut decision = Decision::nothing();
        if self.server_keys().installation.is_none() {
            let (key, private) = generate()?;
            decision.events.push(Event::InstallationKeyMade { key });
            decision.keys.push((KeyFile::Installation, private));
        }
        let (over, kept): (Vec<_>, Vec<_>) =
            self.server_keys().commands.iter().partition(|key| key.until.is_some_and(|end| end <= self.now));
        if kept.is_empty() {
            decision.add(self.new_command_key(self.now)?);
        }
        decision.events.extend(over.iter().map(|key| Event::CommandKeyRemoved { kid: key.key.kid() }));
        Ok(decision)
    }

    pub(super) fn rotate_command_key(&self, lead_secs: u64, overlap_secs: u64) -> Result<Decision, Refusal> {
        for given in [lead_secs, overlap_secs] {
            if given > limits::COMMAND_KEY_SECONDS {
                return Err(Refusal::CommandKeyTime { given });
            }
        }
        let held = &self.server_keys().commands;
        let signs_from = self.now.after(Duration::from_secs(lead_secs));
        let until = signs_from.after(Duration::from_secs(overlap_secs));
        // Who is in a hurry is not held up by keys that leave at once.
        if held.len() >= limits::COMMAND_KEYS && until > self.now {
            return Err(Refusal::Full { what: "command keys in the key set", max: limits::COMMAND_KEYS });
        }
        let mut decision = self.new_command_key(signs_from)?;
        for old in held {
            // What was taken is not given back by a later word.
            let kid = old.key.kid();
            if until <= self.now {
                decision.events.push(Event::CommandKeyRemoved { kid });
            } else if old.until.is_none_or(|earlier| earlier > until) {
                decision.events.push(Event::CommandKeyRetired { kid, until });
            }
        }
        Ok(decision)
    }

    fn new_command_key(&self, signs_from: WallTime) -> Result<Decision, Refusal> {
        let (key, private) = generate()?;
        let keys = vec![(KeyFile::Command(key.kid()), private)];
        Ok(Decision { keys, ..Event::CommandKeyMade { key, signs_from }.into() })
    }

    pub(super) fn keep_key_set(
        &self,
        version: u64,
        expires: WallTime,
        message: Vec<u8>,
    ) -> Result<Decision, Refusal> {
        self.check_clock()?;
        if version <= self.server_keys().version {
            let (given, newest) = (version, self.server_keys().version);
            return Err(Refusal::OldKeySet { given, newest });
        }
        Ok(Event::KeySetSigned { version, expires, kids: self.server_keys().kids(), message }.into())
    }

    pub(super) fn sign_command(&self, identity: Identity, topic: String) -> Result<Decision, Refusal> {
        self.check_clock()?;
        if identity.kind() != Kind::Device {
            return Err(Refusal::SignsNothing(identity));
        }
        self.unrevoked(&identity)?;
        let (kid, number) = self.next_signature(&topic)?;
        let event = Event::CommandSigned { identity, topic, kid, number };
        Ok(Decision { number: Some(number), ..event.into() })
    }

    pub(super) fn sign_group_message(&self, group: &GroupId, topic: String) -> Result<Decision, Refusal> {
        self.check_clock()?;
        let (group, epoch) = self.key_in_use(group)?;
        let (kid, number) = self.next_signature(&topic)?;
        let event = Event::GroupMessageSigned { group, epoch, topic, kid, number };
        Ok(Decision { number: Some(number), ..event.into() })
    }

    /// Returns the command key that signs now, and the number that its next message gets.
    fn next_signature(&self, topic: &str) -> Result<(Kid, u64), Refusal> {
        bounded("topic of the command", topic, limits::COMMAND_TOPIC_BYTES)?;
        let kid = self.server_keys().signing(self.now).ok_or(Refusal::NoCommandKey)?.key.kid();
        Ok((kid, self.server_keys().free_number(self.now)))
    }

    pub(super) fn reserve_numbers(&self, count: u32) -> Result<Decision, Refusal> {
        if !(1..=limits::RESERVED_NUMBERS).contains(&count) {
            return Err(Refusal::Full { what: "numbers at once", max: limits::RESERVED_NUMBERS as usize });
        }
        let first = self.server_keys().free_number(self.now);
        let event = Event::CommandNumbersReserved { first, count };
        Ok(Decision { number: Some(first), ..event.into() })
    }
}

impl Decision {
    fn add(&mut self, other: Self) {
        self.events.extend(other.events);
        self.keys.extend(other.keys);
    }
}
