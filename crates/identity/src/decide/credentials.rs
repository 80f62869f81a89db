//! Certificates, passwords and keys of identities.

use super::{Clerk, Decision, enrolment::withdrawn};
use crate::{
    account::Account,
    authority::{self, PublicKey, SigningKey},
    commands::{KeySource, NewPassword, Rehash},
    csr,
    events::Event,
    limits,
    outcome::IssuedCertificate,
    password::PasswordRecord,
    pem,
    refusal::Refusal,
    secret::{NoRandomness, Secret},
};
use keyward_ids::{CertSerial, Identity, KeyId, Kind};
use std::sync::Arc;

impl Clerk<'_> {
    pub(super) fn add_certificate(
        &self,
        identity: &Identity,
        key: &KeySource,
        lifetime_days: Option<u32>,
        replace: bool,
    ) -> Result<Decision, Refusal> {
        let held = &self.unrevoked(identity)?.certificates;
        if !replace && held.len() >= limits::CERTIFICATES_PER_ACCOUNT {
            return Err(Refusal::TooManyCertificates(identity.clone()));
        }
        let mut decision = self.certify(identity, key, lifetime_days)?;
        if replace {
            decision.events.splice(0..0, held.iter().map(|held| withdrawn(identity, &held.serial)));
        }
        Ok(decision)
    }

    /// Issues a certificate to an identity that exists or is about to.
    pub(super) fn certify(
        &self,
        identity: &Identity,
        source: &KeySource,
        lifetime_days: Option<u32>,
    ) -> Result<Decision, Refusal> {
        self.check_clock()?;
        let max = self.lifetimes.device;
        let days = lifetime_days.unwrap_or(max);
        if !(1..=max).contains(&days) {
            return Err(Refusal::Lifetime { given: days, max });
        }
        let installation = self.state.registry.installation();
        let (key, private_key_pem) = self.take_key(identity, source)?;
        self.check_free(identity, &key.id())?;
        let issuer = &self.signers.device_issuing;
        let validity = authority::validity(self.now, days, issuer.not_after())?;
        let der = issuer.certify_client(installation, identity, &key, &self.new_serial()?, validity)?;
        let record = authority::inspect(&der).ok_or_else(|| Refusal::Signing("unreadable".into()))?;
        let issued = IssuedCertificate {
            identity: identity.clone(),
            serial: record.serial.clone(),
            key: record.key,
            not_after: record.not_after,
            chain_pem: pem::encode_chain([der.as_slice(), issuer.der()]),
            private_key_pem,
        };
        let event = Event::CertificateIssued { identity: identity.clone(), certificate: record };
        Ok(Decision { certificate: Some(issued), ..event.into() })
    }

    fn take_key(
        &self,
        identity: &Identity,
        source: &KeySource,
    ) -> Result<(PublicKey, Option<Secret>), Refusal> {
        match source {
            KeySource::Generate => {
                let pair = SigningKey::generate()?;
                let key = PublicKey::of(&pair).ok_or(NoRandomness)?;
                Ok((key, Some(pair.to_pem())))
            }
            KeySource::Csr(bytes) => {
                let key = csr::take_key(bytes, identity, self.state.registry.installation())?;
                Ok((key, None))
            }
        }
    }

    /// Refuses a key that anybody holds or ever held, but for the identity itself renewing a key in use.
    fn check_free(&self, identity: &Identity, key: &KeyId) -> Result<(), Refusal> {
        if self.state.is_own_key(key) {
            return Err(Refusal::AuthorityKey);
        }
        let Some(holder) = self.state.registry.key_holder(key) else { return Ok(()) };
        if self.is_certified(holder, key) && holder == identity {
            return Ok(());
        }
        let remedy = match self.is_in_use(holder, key) {
            true => "make another key, or revoke or remove that one first and release the key",
            false => "make another key, or release this one first (device release-key)",
        };
        Err(Refusal::KeyHeld { key: *key, holder: holder.clone(), remedy })
    }

    fn is_certified(&self, holder: &Identity, key: &KeyId) -> bool {
        let account = self.state.registry.find(holder);
        account.is_some_and(|account| account.certificates.iter().any(|held| held.key == *key))
    }

    fn is_in_use(&self, holder: &Identity, key: &KeyId) -> bool {
        let signs = |account: &Arc<Account>| {
            account.message_keys.iter().any(|held| held.key.id() == *key)
                || account.agreement_keys.iter().any(|held| held.key.id() == *key)
        };
        self.is_certified(holder, key) || self.state.registry.find(holder).is_some_and(signs)
    }

    pub(super) fn release_key(&self, key: KeyId) -> Result<Decision, Refusal> {
        let holder = self.state.registry.key_holder(&key).ok_or(Refusal::NoSuchKey(key))?.clone();
        if self.is_in_use(&holder, &key) {
            return Err(Refusal::KeyHeld { key, holder, remedy: "revoke or remove it first" });
        }
        Ok(Event::KeyReleased { key, holder }.into())
    }

    pub(super) fn new_serial(&self) -> Result<CertSerial, Refusal> {
        loop {
            let serial = authority::draw_serial()?;
            if !self.state.is_serial_used(&serial) {
                return Ok(serial);
            }
        }
    }

    pub(super) fn set_password(
        &self,
        identity: Identity,
        password: &NewPassword,
    ) -> Result<Decision, Refusal> {
        self.unrevoked(&identity)?;
        self.give_password(&identity, password)
    }

    /// Gives a password to an identity that exists or is about to.
    pub(super) fn give_password(
        &self,
        identity: &Identity,
        password: &NewPassword,
    ) -> Result<Decision, Refusal> {
        self.check_login(identity)?;
        let (shown, record) = match password {
            NewPassword::Generate => {
                let (shown, record) = PasswordRecord::generate(self.pepper)?;
                (Some(shown), record)
            }
            NewPassword::Chosen(chosen) => (None, PasswordRecord::choose(chosen.expose(), identity.name())?),
            NewPassword::Imported(hash) | NewPassword::Exposed(hash) => {
                hash.form()?;
                (None, PasswordRecord::Imported(hash.clone()))
            }
        };
        let exposed = matches!(password, NewPassword::Exposed(_));
        let event = Event::PasswordSet { identity: identity.clone(), record, exposed };
        Ok(Decision { password: shown, ..event.into() })
    }

    /// Takes new hashes of passwords that are still the ones that were checked; another password wins.
    pub(super) fn rehash_passwords(&self, rehashes: Vec<Rehash>) -> Result<Decision, Refusal> {
        if rehashes.len() > limits::REHASHES {
            return Err(Refusal::Full { what: "new hashes in one command", max: limits::REHASHES });
        }
        let mut decision = Decision::nothing();
        let mut done: Vec<Identity> = Vec::new();
        for Rehash { identity, before, after } in rehashes {
            let account = self.state.registry.find(&identity);
            let is_same = account.is_some_and(|account| account.password.as_ref() == Some(&before));
            let fits = before.is_imported() && !after.is_imported() && after.is_slow();
            if is_same && fits && !done.contains(&identity) {
                done.push(identity.clone());
                decision.events.push(Event::PasswordRehashed { identity, record: after });
            }
        }
        Ok(decision)
    }

    /// A user name stands for one principal: a device and a user of one name cannot both have a password.
    fn check_login(&self, identity: &Identity) -> Result<(), Refusal> {
        let other = match identity.kind() {
            Kind::Device => Kind::User,
            Kind::User => Kind::Device,
        };
        let Ok(holder) = Identity::new(other, identity.name()) else { return Ok(()) };
        match self.state.registry.find(&holder) {
            Some(account) if account.password.is_some() => Err(Refusal::LoginTaken { holder }),
            _ => Ok(()),
        }
    }

    pub(super) fn withdraw_password(&self, identity: Identity) -> Result<Decision, Refusal> {
        Ok(match self.existing(&identity)?.password {
            Some(_) => Event::PasswordWithdrawn { identity }.into(),
            None => Decision::nothing(),
        })
    }
}
