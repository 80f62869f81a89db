//! Claim codes, and what they are good for.

use super::{Clerk, Decision};
use crate::{
    account::{Account, CertificateRecord},
    agreement_key::AgreementKey,
    authority::{PublicKey, Validity},
    commands::{Claim, KeySource},
    cose_key::Kid,
    csr,
    endorsement::{self, Endorsement, TpmProof},
    events::Event,
    invitation::{ClaimCode, ClaimRefusal, Claimed, Invitation},
    limits,
    message_key::MessageKey,
    outcome::IssuedCertificate,
    password::PasswordRecord,
    pem,
    refusal::Refusal,
};
use keyward_ids::{CertSerial, DeviceId, Identity, KeyId};
use std::time::Duration;

impl Clerk<'_> {
    pub(super) fn invite(
        &self,
        id: DeviceId,
        seconds: u64,
        replace: bool,
        endorsement: Option<KeyId>,
    ) -> Result<Decision, Refusal> {
        let identity = Identity::Device(id);
        let account = self.unrevoked(&identity)?;
        if !replace && !account.certificates.is_empty() {
            return Err(Refusal::HasCertificate(identity));
        }
        self.draw_code(&account.identity, seconds, replace, endorsement)
    }

    /// Draws a code for a device that exists or is about to.
    pub(super) fn draw_code(
        &self,
        identity: &Identity,
        seconds: u64,
        replace: bool,
        endorsement: Option<KeyId>,
    ) -> Result<Decision, Refusal> {
        let Identity::Device(_) = identity else { return Err(Refusal::NoDevice(identity.clone())) };
        if !limits::CLAIM_SECONDS.contains(&seconds) {
            return Err(Refusal::ClaimLife { given: seconds });
        }
        // It ends by the same clock by which the certificate is dated.
        self.check_clock()?;
        let (code, record) = PasswordRecord::generate(self.pepper)?;
        let expires = self.now.after(Duration::from_secs(seconds));
        let event =
            Event::Invited { identity: identity.clone(), code: record, expires, replace, endorsement };
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
        let Claim { id, code, csr, message_key, proof, agreement_key, lifetime_days } = claim;
        let keys = SentKeys { message: message_key, proof, agreement: agreement_key };
        let registry = &self.state.registry;
        let account = match registry.admit_code(&id, code.expose(), self.pepper, self.now) {
            Err(late @ ClaimRefusal::Used { .. }) => return Ok(self.claim_late(id, late, &csr)),
            admitted => admitted?,
        };
        let invitation = account.invitation.as_ref();
        let identity = &account.identity;
        if let Some(claimed) = invitation.and_then(|invitation| invitation.claimed.as_ref()) {
            return self.claim_again(&id, account, claimed, &csr, &keys);
        }
        // It was given to a device that had none.
        let may_replace = invitation.is_some_and(|invitation| invitation.replace);
        if !may_replace && !account.certificates.is_empty() {
            return Err(ClaimRefusal::HasCertificate(id).into());
        }
        let sent = csr::take_key(&csr, identity, registry.installation())?.id();
        let endorsement = match keys.judge(&id, invitation, sent) {
            // Whoever has it is not the device that it is for.
            Err(other @ ClaimRefusal::OtherTpm { .. }) => return Ok(conflict(account, Some(sent), other)),
            judged => judged?,
        };
        let mut decision = self.add_certificate(identity, &KeySource::Csr(csr), lifetime_days, true)?;
        let issued = decision.certificate.as_ref().map(|issued| (issued.key, issued.serial.clone()));
        if let Some((key, serial)) = issued {
            decision.events.extend(self.keys_of_claim(account, keys, endorsement, key)?);
            decision.events.push(Event::Claimed { identity: identity.clone(), key, serial });
        }
        Ok(decision)
    }

    /// Takes the keys for messages away that the device had, as its certificates, and registers those that come with the claim,
    /// which are neither the key that was `certified` nor one key.
    fn keys_of_claim(
        &self,
        account: &Account,
        keys: SentKeys,
        endorsement: Option<Endorsement>,
        certified: KeyId,
    ) -> Result<Vec<Event>, Refusal> {
        let identity = || account.identity.clone();
        let taken = account.kids().filter(|kid| !keys.hold(account, *kid));
        let mut events: Vec<Event> =
            taken.map(|kid| Event::MessageKeyWithdrawn { identity: identity(), kid }).collect();
        keys.check_apart(account, certified)?;
        if let Some(key) = keys.message {
            let held = account.message_keys.iter().find(|held| held.key.kid() == key.kid());
            // A key that it has is registered again if a TPM vouches for it now.
            match (held, &endorsement) {
                (Some(held), Some(shown)) if held.is_endorsed_by(shown) => {}
                (Some(_), Some(_)) => {
                    events.push(Event::MessageKeyRegistered { identity: identity(), key, endorsement });
                }
                (Some(held), None) if held.key == key => {}
                (Some(_), None) | (None, _) => {
                    self.check_unheld(key.id())?;
                    events.push(Event::MessageKeyRegistered { identity: identity(), key, endorsement });
                }
            }
        }
        let is_held = |sent: &AgreementKey| account.agreement_keys.iter().any(|it| it.key == *sent);
        if let Some(key) = keys.agreement.filter(|sent| !is_held(sent)) {
            self.check_unheld(key.id())?;
            events.push(Event::AgreementKeyRegistered { identity: identity(), key });
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
        keys: &SentKeys,
    ) -> Result<Decision, Refusal> {
        let key = csr::take_key(csr, &account.identity, self.state.registry.installation())?;
        if key.id() == claimed.key {
            keys.judge(id, account.invitation.as_ref(), key.id())?;
            if !keys.are_held(account) {
                return Err(ClaimRefusal::OtherMessageKey(id.clone()).into());
            }
            let used = || ClaimRefusal::Used { id: id.clone(), at: claimed.at };
            let held = held(account, &claimed.serial).ok_or_else(used)?;
            return self.issue_again(&account.identity, held, &key);
        }
        let refusal = ClaimRefusal::OtherKey { id: id.clone(), key: key.id(), certified: claimed.key };
        Ok(conflict(account, Some(key.id()), refusal))
    }

    /// Refuses a code that was used more than an hour ago. Whoever has it now does not have what it was good for, unless it shows
    /// the key that was certified: somebody else was there first, or the device lost its certificate.
    fn claim_late(&self, id: DeviceId, late: ClaimRefusal, csr: &[u8]) -> Decision {
        let registry = &self.state.registry;
        let identity = Identity::Device(id);
        let refused = || Decision { refusal: Some(late.clone().into()), ..Decision::nothing() };
        let Some(account) = registry.find(&identity) else { return refused() };
        let key = csr::take_key(csr, &identity, registry.installation()).ok().map(|key| key.id());
        let claimed = account.invitation.as_ref().and_then(|invitation| invitation.claimed.as_ref());
        match key.is_some() && key == claimed.map(|claimed| claimed.key) {
            true => refused(),
            false => conflict(account, key, late),
        }
    }

    /// Signs a certificate again that was issued: number, key, names and validity are the same. It is not kept, for it is as
    /// good as the one that was lost.
    pub(super) fn issue_again(
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
}

/// Holds the keys for messages that come with a claim or a renewal.
pub(super) struct SentKeys {
    pub(super) message: Option<MessageKey>,
    /// That a TPM vouched for that one and for the key of the certificate.
    pub(super) proof: Option<TpmProof>,
    pub(super) agreement: Option<AgreementKey>,
}

impl SentKeys {
    /// Says which TPM vouched for them; `certified` is the key of the certificate.
    fn judge(
        &self,
        id: &DeviceId,
        invitation: Option<&Invitation>,
        certified: KeyId,
    ) -> Result<Option<Endorsement>, ClaimRefusal> {
        endorsement::judge(id, invitation, certified, self.message.as_ref(), self.proof.as_ref())
    }

    /// Refuses keys of which two are one, or one is the key that was `certified`: each does the work of one.
    pub(super) fn check_apart(&self, account: &Account, certified: KeyId) -> Result<(), Refusal> {
        let mut seen = vec![certified];
        let sent = [self.message.as_ref().map(MessageKey::id), self.agreement.as_ref().map(AgreementKey::id)];
        for key in sent.into_iter().flatten() {
            if seen.contains(&key) {
                let holder = account.identity.clone();
                let remedy =
                    "make another key for messages: one is for the certificate, one signs, one agrees";
                return Err(Refusal::KeyHeld { key, holder, remedy });
            }
            seen.push(key);
        }
        Ok(())
    }

    /// Tells whether one that the account has is among them.
    fn hold(&self, account: &Account, kid: Kid) -> bool {
        let signs = account.message_keys.iter().find(|held| held.key.kid() == kid);
        let agrees = account.agreement_keys.iter().find(|held| held.key.kid() == kid);
        let is_sent =
            |sent: &MessageKey, held: &MessageKey| sent == held || self.proof.is_some() && sent.kid() == kid;
        signs.is_some_and(|held| self.message.as_ref().is_some_and(|sent| is_sent(sent, &held.key)))
            || agrees.is_some_and(|held| self.agreement.as_ref() == Some(&held.key))
    }

    /// Tells whether the account has all of them.
    fn are_held(&self, account: &Account) -> bool {
        let signs = |key: &MessageKey| account.message_keys.iter().any(|held| held.key == *key);
        let agrees = |key: &AgreementKey| account.agreement_keys.iter().any(|held| held.key == *key);
        self.message.as_ref().is_none_or(signs) && self.agreement.as_ref().is_none_or(agrees)
    }
}

/// Refuses a code, and writes the conflict down; once, for whoever holds a code must not write the ledger full.
fn conflict(account: &Account, key: Option<KeyId>, refusal: ClaimRefusal) -> Decision {
    let is_known = account.invitation.as_ref().is_some_and(|invitation| invitation.conflict.is_some());
    let conflict = Event::ClaimConflicted { identity: account.identity.clone(), key };
    let decision = if is_known { Decision::nothing() } else { conflict.into() };
    Decision { refusal: Some(refusal.into()), ..decision }
}

pub(super) fn withdrawn(identity: &Identity, serial: &CertSerial) -> Event {
    Event::CertificateWithdrawn { identity: identity.clone(), serial: serial.clone(), unused: false }
}

pub(super) fn held<'a>(account: &'a Account, serial: &CertSerial) -> Option<&'a CertificateRecord> {
    account.certificates.iter().find(|held| held.serial == *serial)
}
