//! The keys by which devices sign.

use super::{Clerk, Decision};
use crate::{
    account::Account,
    commands::NewMessageKey,
    events::Event,
    limits,
    message_key::{HeldMessageKey, Kid, MessageKey},
    refusal::Refusal,
    second_holder::SecondHolder,
};
use keyward_ids::{DeviceId, Identity, KeyId, Kind};
use std::time::Duration;

impl Clerk<'_> {
    pub(super) fn register_message_key(
        &self,
        identity: Identity,
        key: MessageKey,
    ) -> Result<Decision, Refusal> {
        let held = &self.signing(&identity)?.message_keys;
        if held.iter().any(|held| held.key.kid() == key.kid()) {
            return Err(Refusal::HasMessageKey { identity, kid: key.kid() });
        }
        self.check_unheld(key.id())?;
        if held.len() >= limits::MESSAGE_KEYS_PER_ACCOUNT {
            return Err(Refusal::TooManyMessageKeys { identity });
        }
        Ok(Event::MessageKeyRegistered { identity, key }.into())
    }

    /// Refuses a key that anybody holds or ever held, for certificates or for messages.
    pub(super) fn check_unheld(&self, key: KeyId) -> Result<(), Refusal> {
        if self.state.is_own_key(&key) {
            return Err(Refusal::AuthorityKey);
        }
        let remedy =
            "make another key for messages: a key has one holder and one purpose, and does not come back";
        match self.state.registry.key_holder(&key) {
            Some(holder) => Err(Refusal::KeyHeld { key, holder: holder.clone(), remedy }),
            None => Ok(()),
        }
    }

    pub(super) fn retire_message_key(
        &self,
        identity: Identity,
        kid: Kid,
        overlap_secs: u64,
    ) -> Result<Decision, Refusal> {
        if overlap_secs > limits::MESSAGE_KEY_OVERLAP_SECONDS {
            return Err(Refusal::Overlap { given: overlap_secs });
        }
        let held = self.message_key(&identity, kid)?;
        let until = self.now.after(Duration::from_secs(overlap_secs));
        // What was taken is not given back by a later word.
        match held.until.is_some_and(|earlier| earlier <= until) {
            true => Ok(Decision::nothing()),
            false => Ok(Event::MessageKeyRetired { identity, kid, until }.into()),
        }
    }

    pub(super) fn withdraw_message_key(&self, identity: Identity, kid: Kid) -> Result<Decision, Refusal> {
        self.message_key(&identity, kid)?;
        Ok(Event::MessageKeyWithdrawn { identity, kid }.into())
    }

    pub(super) fn rekey(&self, id: DeviceId, with: NewMessageKey) -> Result<Decision, Refusal> {
        let identity = Identity::Device(id);
        let account = self.unrevoked(&identity)?;
        let mut decision = match with {
            NewMessageKey::Key(key) => {
                self.check_unheld(key.id())?;
                Event::MessageKeyRegistered { identity: identity.clone(), key }.into()
            }
            NewMessageKey::ClaimCode { seconds } => self.draw_code(&identity, seconds, true)?,
        };
        let kids = account.message_keys.iter().map(|held| held.key.kid());
        let withdrawn = kids.map(|kid| Event::MessageKeyWithdrawn { identity: identity.clone(), kid });
        decision.events.splice(0..0, withdrawn);
        Ok(decision)
    }

    pub(super) fn note_second_holder(
        &self,
        identity: Identity,
        kid: Kid,
        evidence: SecondHolder,
    ) -> Result<Decision, Refusal> {
        let is_accepted = self.message_key(&identity, kid)?.until.is_none_or(|until| self.now < until);
        let is_known = self.signing(&identity)?.second_holder().is_some();
        match is_accepted && !is_known {
            true => Ok(Event::SecondHolderFound { identity, kid, evidence: evidence.bounded() }.into()),
            false => Ok(Decision::nothing()),
        }
    }

    fn message_key(&self, identity: &Identity, kid: Kid) -> Result<&HeldMessageKey, Refusal> {
        let account = self.signing(identity)?;
        let missing = || Refusal::NoSuchMessageKey { identity: identity.clone(), kid };
        account.message_keys.iter().find(|held| held.key.kid() == kid).ok_or_else(missing)
    }

    /// Returns the account of a device that may have message keys.
    fn signing(&self, identity: &Identity) -> Result<&Account, Refusal> {
        match identity.kind() {
            Kind::Device => self.unrevoked(identity),
            Kind::User => Err(Refusal::SignsNothing(identity.clone())),
        }
    }
}
