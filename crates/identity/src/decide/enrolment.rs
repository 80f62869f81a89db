//! Claim codes, what they are good for, and certificates that renew others.

use super::{Clerk, Decision};
use crate::{
    account::{Account, CertificateRecord},
    authority::{PublicKey, Validity},
    commands::{Claim, IssuedCertificate, KeySource, Renewal},
    csr,
    events::Event,
    invitation::{ClaimCode, ClaimRefusal, Claimed},
    limits,
    message_key::{HeldMessageKey, MessageKey},
    password::PasswordRecord,
    pem,
    refusal::Refusal,
};
use keyward_ids::{CertSerial, DeviceId, Identity, KeyId};
use std::time::Duration;

impl Clerk<'_> {
    pub(super) fn invite(&self, id: DeviceId, seconds: u64, replace: bool) -> Result<Decision, Refusal> {
        let identity = Identity::Device(id);
        let account = self.unrevoked(&identity)?;
        if !replace && !account.certificates.is_empty() {
            return Err(Refusal::HasCertificate(identity));
        }
        self.draw_code(&account.identity, seconds)
    }

    /// Draws a code for a device that exists or is about to.
    pub(super) fn draw_code(&self, identity: &Identity, seconds: u64) -> Result<Decision, Refusal> {
        let Identity::Device(_) = identity else { return Err(Refusal::NoDevice(identity.clone())) };
        if !limits::CLAIM_SECONDS.contains(&seconds) {
            return Err(Refusal::ClaimLife { given: seconds });
        }
        // It ends by the same clock by which the certificate is dated.
        self.check_clock()?;
        let (code, record) = PasswordRecord::generate(self.pepper)?;
        let expires = self.now.after(Duration::from_secs(seconds));
        let event = Event::Invited { identity: identity.clone(), code: record, expires };
        Ok(Decision { claim_code: Some(ClaimCode { code, expires }), ..event.into() })
    }

    pub(super) fn uninvite(&self, id: DeviceId) -> Result<Decision, Refusal> {
        let account = self.existing(&Identity::Device(id))?;
        Ok(match account.invitation {
            Some(_) => Event::Uninvited { identity: account.identity.clone() }.into(),
            None => Decision::nothing(),
        })
    }

    pub(super) fn claim(&self, claim: Claim) -> Result<Decision, Refusal> {
        let Claim { id, code, csr, message_key, lifetime_days } = claim;
        let registry = &self.state.registry;
        let account = registry.admit_code(&id, code.expose(), self.pepper, self.now)?;
        let claimed = account.invitation.as_ref().and_then(|invitation| invitation.claimed.as_ref());
        let identity = &account.identity;
        if let Some(claimed) = claimed {
            return self.claim_again(&id, account, claimed, &csr, message_key.as_ref());
        }
        let mut decision = self.add_certificate(identity, &KeySource::Csr(csr), lifetime_days, true)?;
        let issued = decision.certificate.as_ref().map(|issued| (issued.key, issued.serial.clone()));
        if let Some((key, serial)) = issued {
            decision.events.extend(self.message_keys_of_claim(account, message_key, key)?);
            decision.events.push(Event::Claimed { identity: identity.clone(), key, serial });
        }
        Ok(decision)
    }

    /// Takes the message keys away that the device had, as its certificates, and registers the one that comes with the claim,
    /// which is not the key that was `certified`.
    fn message_keys_of_claim(
        &self,
        account: &Account,
        message_key: Option<MessageKey>,
        certified: KeyId,
    ) -> Result<Vec<Event>, Refusal> {
        let identity = || account.identity.clone();
        let is_sent = |held: &HeldMessageKey| message_key.as_ref() == Some(&held.key);
        let (kept, taken): (Vec<_>, Vec<_>) = account.message_keys.iter().partition(|held| is_sent(held));
        let take =
            |held: &HeldMessageKey| Event::MessageKeyWithdrawn { identity: identity(), kid: held.key.kid() };
        let mut events: Vec<Event> = taken.into_iter().map(take).collect();
        if let Some(key) = message_key.filter(|_| kept.is_empty()) {
            self.check_unheld(key.id())?;
            if key.id() == certified {
                let remedy = "make another key for messages: this one is for the certificate";
                return Err(Refusal::KeyHeld { key: certified, holder: identity(), remedy });
            }
            events.push(Event::MessageKeyRegistered { identity: identity(), key });
        }
        Ok(events)
    }

    /// Answers a code that was used: to the same key as before, for the answer may have been lost.
    fn claim_again(
        &self,
        id: &DeviceId,
        account: &Account,
        claimed: &Claimed,
        csr: &[u8],
        message_key: Option<&MessageKey>,
    ) -> Result<Decision, Refusal> {
        let key = csr::take_key(csr, &account.identity, self.state.registry.installation())?;
        if key.id() == claimed.key {
            let is_held = |key: &MessageKey| account.message_keys.iter().any(|held| held.key == *key);
            if !message_key.is_none_or(is_held) {
                return Err(ClaimRefusal::OtherMessageKey(id.clone()).into());
            }
            let used = || ClaimRefusal::Used { id: id.clone(), at: claimed.at };
            let held = held(account, &claimed.serial).ok_or_else(used)?;
            return self.issue_again(&account.identity, held, &key);
        }
        let refusal = ClaimRefusal::OtherKey { id: id.clone(), key: key.id(), certified: claimed.key };
        let is_known = account.invitation.as_ref().is_some_and(|invitation| invitation.conflict.is_some());
        let conflict = Event::ClaimConflicted { identity: account.identity.clone(), key: key.id() };
        // Once: whoever holds a code must not write the ledger full.
        let decision = if is_known { Decision::nothing() } else { conflict.into() };
        Ok(Decision { refusal: Some(refusal.into()), ..decision })
    }

    /// Signs a certificate again that was issued: number, key, names and validity are the same. It is not kept, for it is as
    /// good as the one that was lost.
    fn issue_again(
        &self,
        identity: &Identity,
        held: &CertificateRecord,
        key: &PublicKey,
    ) -> Result<Decision, Refusal> {
        let issuer = &self.signers.device_issuing;
        let validity = Validity { not_before: held.not_before, not_after: held.not_after };
        let installation = self.state.registry.installation();
        let der = issuer.certify_client(installation, identity, key, &held.serial, validity)?;
        let issued = IssuedCertificate {
            identity: identity.clone(),
            serial: held.serial.clone(),
            key: held.key,
            not_after: held.not_after,
            chain_pem: pem::encode_chain([der.as_slice(), issuer.der()]),
            private_key_pem: None,
        };
        Ok(Decision { certificate: Some(issued), ..Decision::nothing() })
    }

    pub(super) fn renew(&self, renewal: Renewal) -> Result<Decision, Refusal> {
        let Renewal { identity, serial, csr, lifetime_days } = renewal;
        let nothing = || Refusal::NothingToRenew { identity: identity.clone(), serial: serial.clone() };
        let account = self.unrevoked(&identity)?;
        let is_valid = |held: &&CertificateRecord| (held.not_before..=held.not_after).contains(&self.now);
        let old =
            held(account, &serial).filter(is_valid).filter(|_| account.is_active()).ok_or_else(nothing)?;
        if self.now < old.due() {
            return Err(Refusal::RenewalEarly { identity, due: old.due() });
        }
        let key = csr::take_key(&csr, &identity, self.state.registry.installation())?;
        let unused = account.certificates.iter().find(|held| held.renews.as_ref() == Some(&serial));
        if let Some(unused) = unused.filter(|unused| unused.key == key.id()) {
            return self.issue_again(&identity, unused, &key); // The answer was lost.
        }
        let mut decision = self.certify(&identity, &KeySource::Csr(csr), lifetime_days)?;
        for event in &mut decision.events {
            if let Event::CertificateIssued { certificate, .. } = event {
                certificate.renews = Some(serial.clone());
            }
        }
        // One that was asked for before, with a key that the device has lost meanwhile.
        let withdrawn = unused.map(|unused| Event::CertificateWithdrawn {
            identity: identity.clone(),
            serial: unused.serial.clone(),
        });
        decision.events.splice(0..0, withdrawn);
        Ok(decision)
    }

    pub(super) fn succeed(&self, identity: &Identity, serial: &CertSerial) -> Decision {
        let account = self.state.registry.find(identity);
        let old = account.and_then(|account| account.renewed_by(serial).cloned());
        match old {
            Some(serial) => Event::CertificateWithdrawn { identity: identity.clone(), serial }.into(),
            None => Decision::nothing(),
        }
    }
}

fn held<'a>(account: &'a Account, serial: &CertSerial) -> Option<&'a CertificateRecord> {
    account.certificates.iter().find(|held| held.serial == *serial)
}
