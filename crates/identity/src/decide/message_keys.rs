//! The keys by which devices sign, and those to which is encrypted for devices and users.

use super::{Clerk, Decision};
use crate::{
    account::Account, agreement_key::AgreementKey, clock::WallTime, commands::NewMessageKey, cose_key::Kid,
    events::Event, limits, message_key::MessageKey, quarantine::QuarantinedBy, refusal::Refusal,
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
        if identity.kind() == Kind::User {
            return Err(Refusal::SignsNothing(identity));
        }
        let account = self.unrevoked(&identity)?;
        self.check_new(account, key.kid(), key.id(), account.message_keys.len())?;
        Ok(Event::MessageKeyRegistered { identity, key, endorsement: None }.into())
    }

    pub(super) fn register_agreement_key(
        &self,
        identity: Identity,
        key: AgreementKey,
    ) -> Result<Decision, Refusal> {
        let account = self.unrevoked(&identity)?;
        self.check_new(account, key.kid(), key.id(), account.agreement_keys.len())?;
        Ok(Event::AgreementKeyRegistered { identity, key }.into())
    }

    /// Refuses a key that is not new, or is one too many beside the `held` of its purpose.
    fn check_new(&self, account: &Account, kid: Kid, key: KeyId, held: usize) -> Result<(), Refusal> {
        let identity = || account.identity.clone();
        if account.kids().any(|of| of == kid) {
            return Err(Refusal::HasMessageKey { identity: identity(), kid });
        }
        self.check_unheld(key)?;
        match held >= limits::MESSAGE_KEYS_PER_ACCOUNT {
            true => Err(Refusal::TooManyMessageKeys { identity: identity() }),
            false => Ok(()),
        }
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
        let end = self.end_of_key(&identity, kid)?;
        let until = self.now.after(Duration::from_secs(overlap_secs));
        // What was taken is not given back by a later word.
        match end.is_some_and(|earlier| earlier <= until) {
            true => Ok(Decision::nothing()),
            false => Ok(Event::MessageKeyRetired { identity, kid, until }.into()),
        }
    }

    pub(super) fn withdraw_message_key(&self, identity: Identity, kid: Kid) -> Result<Decision, Refusal> {
        self.end_of_key(&identity, kid)?;
        Ok(Event::MessageKeyWithdrawn { identity, kid }.into())
    }

    pub(super) fn rekey(&self, id: DeviceId, with: NewMessageKey) -> Result<Decision, Refusal> {
        let identity = Identity::Device(id);
        let account = self.unrevoked(&identity)?;
        let mut decision = match with {
            NewMessageKey::Key(key) => {
                self.check_unheld(key.id())?;
                Event::MessageKeyRegistered { identity: identity.clone(), key, endorsement: None }.into()
            }
            NewMessageKey::ClaimCode { seconds } => self.draw_code(&identity, seconds, true, None)?,
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
        because: Option<String>,
    ) -> Result<Decision, Refusal> {
        let account = self.unrevoked(&identity)?;
        let missing = || Refusal::NoSuchMessageKey { identity: identity.clone(), kid };
        let held = account.message_keys.iter().find(|held| held.key.kid() == kid).ok_or_else(missing)?;
        let is_accepted = held.until.is_none_or(|until| self.now < until);
        if !is_accepted || account.second_holder().is_some() {
            return Ok(Decision::nothing());
        }
        let quarantine =
            because.map(|because| self.quarantine(identity.clone(), QuarantinedBy::Broker, because));
        let mut decision = quarantine.transpose()?.unwrap_or_default();
        decision.events.insert(0, Event::SecondHolderFound { identity, kid, evidence: evidence.bounded() });
        Ok(decision)
    }

    /// Returns the end that was set to a key of somebody who may have keys.
    fn end_of_key(&self, identity: &Identity, kid: Kid) -> Result<Option<WallTime>, Refusal> {
        let missing = || Refusal::NoSuchMessageKey { identity: identity.clone(), kid };
        self.unrevoked(identity)?.end_of_key(kid).ok_or_else(missing)
    }
}
