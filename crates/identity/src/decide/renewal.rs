//! Certificates that renew others, keys for messages that come with them, and what ends when one of them is used for the first time.
//!
//! A message key that comes so verifies at once, beside those before it: its device may sign with it as soon as it has the answer.
//! Those before it are retired when the certificate is used, not withdrawn, because messages wait in the device that were signed by them. Whose answer
//! was lost goes on with the certificate and the keys that it has, or brings the same again.

use super::{
    Clerk, Decision,
    enrolment::{SentKeys, held, withdrawn},
};
use crate::{
    account::{Account, CertificateRecord},
    authority,
    clock::WallTime,
    commands::{KeySource, Renewal},
    cose_key::Kid,
    csr,
    endorsement::PROVEN_LEVEL,
    events::Event,
    limits,
    message_key::MessageKey,
    refusal::Refusal,
};
use keyward_ids::{CertSerial, Identity, KeyId, Kind};
use std::time::Duration;

impl Clerk<'_> {
    pub(super) fn renew(&self, renewal: Renewal) -> Result<Decision, Refusal> {
        let Renewal { identity, serial, csr, message_key, agreement_key, overlap_secs, lifetime_days } =
            renewal;
        let keys = SentKeys { message: message_key, proof: None, agreement: agreement_key };
        let nothing = || Refusal::NothingToRenew { identity: identity.clone(), serial: serial.clone() };
        let account = self.unrevoked(&identity)?;
        let is_valid = |held: &&CertificateRecord| (held.not_before..=held.not_after).contains(&self.now);
        let old =
            held(account, &serial).filter(is_valid).filter(|_| account.is_active()).ok_or_else(nothing)?;
        if account.quarantine.is_some() {
            // Two hold its key: whoever asks may be the wrong one.
            return Err(Refusal::InQuarantine(identity));
        }
        if self.now < old.due() {
            return Err(Refusal::RenewalEarly { identity, due: old.due() });
        }
        let key = csr::take_key(&csr, &identity, self.state.registry.installation())?;
        let unused: Vec<_> = successors(account, &serial).collect();
        if let Some(lost) = unused.iter().find(|unused| unused.key == key.id()) {
            let mut decision = self.issue_again(&identity, lost, &key)?; // The answer was lost.
            decision.events = self.keys_of_renewal(account, keys, key.id(), &lost.serial)?;
            check_brings_none(&identity, &decision.events)?;
            return Ok(decision);
        }
        let withdrawn = self.make_room(account, old, &unused)?;
        let mut decision = self.certify(&identity, &KeySource::Csr(csr), lifetime_days)?;
        for event in &mut decision.events {
            if let Event::CertificateIssued { certificate, .. } = event {
                certificate.renews = Some(serial.clone());
            }
        }
        let issued = decision.certificate.as_ref().map(|issued| issued.serial.clone());
        if let Some(issued) = issued {
            decision.events.extend(self.keys_of_renewal(account, keys, key.id(), &issued)?);
        }
        // That it renews is its first use, if it renewed another itself: or there would be more and more of them.
        let ended = self.succession(account, &serial, overlap_secs);
        decision.events.splice(0..0, ended.into_iter().chain(withdrawn));
        Ok(decision)
    }

    /// Says which of the certificates that renew `old` makes room for another one: they were lost on the way, with their keys.
    fn make_room(
        &self,
        account: &Account,
        old: &CertificateRecord,
        unused: &[&CertificateRecord],
    ) -> Result<Vec<Event>, Refusal> {
        if unused.len() < limits::RENEWALS_OUTSTANDING {
            return Ok(Vec::new());
        }
        let Some(oldest) = unused.iter().min_by_key(|unused| unused.not_before) else {
            return Ok(Vec::new());
        };
        let last_third = Duration::from_millis(old.not_after.0.saturating_sub(old.due().0));
        let issued = oldest.not_before.after(authority::BACKDATED);
        // The nearer the end, the shorter: never is the pause longer than the certificate lasts.
        let left = Duration::from_millis(old.not_after.0.saturating_sub(issued.0));
        let pause = limits::RENEWAL_PAUSE.min(last_third / 8).min(left / 8);
        let until = issued.after(pause);
        if self.now < until {
            return Err(Refusal::RenewedTooOften { identity: account.identity.clone(), until });
        }
        Ok(lost(account, &oldest.serial))
    }

    /// Says which keys for messages come with the certificate with `serial`, whose key is `certified`. One that came with it before and
    /// does not come again is one that the device does without.
    fn keys_of_renewal(
        &self,
        account: &Account,
        keys: SentKeys,
        certified: KeyId,
        serial: &CertSerial,
    ) -> Result<Vec<Event>, Refusal> {
        keys.check_apart(account, certified)?;
        let names = |it: &MessageKey| (it.kid(), it.id());
        let sent =
            [keys.message.as_ref().map(names), keys.agreement.as_ref().map(|key| (key.kid(), key.id()))];
        let given_up = |kid: Kid| !sent.iter().flatten().any(|(of, _)| *of == kid);
        let given_up: Vec<Kid> = account.kids_awaiting(serial).filter(|kid| given_up(*kid)).collect();
        let mut events: Vec<Event> = given_up.iter().map(|kid| taken(account, *kid)).collect();
        let is_kept = |it: &Held<'_>| !given_up.contains(&it.kid);
        if let (Some(key), [Some(name), _]) = (keys.message, sent) {
            let held = signing(account).into_iter().filter(is_kept).collect();
            let register = || follow(account, key);
            events.extend(self.sent_key(account, held, name, serial, register)?);
        }
        if let (Some(key), [_, Some(name)]) = (keys.agreement, sent) {
            let held = agreeing(account).into_iter().filter(is_kept).collect();
            let register = || Ok(Event::AgreementKeyRegistered { identity: account.identity.clone(), key });
            events.extend(self.sent_key(account, held, name, serial, register)?);
        }
        Ok(events)
    }

    /// Lets a key wait for the first use of the certificate with `serial`, beside the `held` of its purpose; one that is in use
    /// already stays as it is.
    fn sent_key(
        &self,
        account: &Account,
        held: Vec<Held<'_>>,
        (kid, id): (Kid, KeyId),
        serial: &CertSerial,
        register: impl FnOnce() -> Result<Event, Refusal>,
    ) -> Result<Vec<Event>, Refusal> {
        let identity = || account.identity.clone();
        let awaits = Event::MessageKeyAwaits { identity: identity(), kid, serial: serial.clone() };
        match held.iter().find(|it| it.kid == kid) {
            Some(Held { until: None, awaits: waits, .. }) => {
                // The key of its other certificate was lost, and this one was not.
                let is_of_other = *waits != Some(serial) && account.awaits_use(*waits);
                Ok(is_of_other.then_some(awaits).into_iter().collect())
            }
            _ => {
                self.check_unheld(id)?;
                if account.kids().any(|of| of == kid) {
                    return Err(Refusal::HasMessageKey { identity: identity(), kid });
                }
                let mut events = self.make_room_for_key(account, &held)?;
                events.extend([register()?, awaits]);
                Ok(events)
            }
        }
    }

    /// Takes the oldest keys away by which nothing is accepted any more, as many as are in the way of one more.
    fn make_room_for_key(&self, account: &Account, held: &[Held<'_>]) -> Result<Vec<Event>, Refusal> {
        let too_many = (held.len() + 1).saturating_sub(limits::MESSAGE_KEYS_PER_ACCOUNT);
        let over = held.iter().filter(|it| it.until.is_some_and(|until| until <= self.now));
        let events: Vec<Event> = over.take(too_many).map(|it| taken(account, it.kid)).collect();
        match events.len() < too_many {
            true => Err(Refusal::TooManyMessageKeys { identity: account.identity.clone() }),
            false => Ok(events),
        }
    }

    pub(super) fn succeed(&self, identity: &Identity, serial: &CertSerial, overlap_secs: u64) -> Decision {
        let account = self.state.registry.find(identity);
        // Of two that may hold its key, neither takes the way back from the other.
        let account = account.filter(|account| account.quarantine.is_none());
        let events = account.map(|account| self.succession(account, serial, overlap_secs));
        Decision { events: events.unwrap_or_default(), ..Decision::nothing() }
    }

    /// Says what ends when the certificate with `serial` is used for the first time: the one that it renews; the others that
    /// renew that one, which were lost on the way; and after a while the message keys whose place others take that came with it.
    fn succession(&self, account: &Account, serial: &CertSerial, overlap_secs: u64) -> Vec<Event> {
        let Some(old) = account.renewed_by(serial) else { return Vec::new() };
        let others = successors(account, old).filter(|other| other.serial != *serial);
        let mut events = vec![withdrawn(&account.identity, old)];
        events.extend(others.flat_map(|other| lost(account, &other.serial)));
        let overlap = Duration::from_secs(overlap_secs.min(limits::MESSAGE_KEY_OVERLAP_SECONDS));
        let until = self.now.after(overlap);
        for held in [signing(account), agreeing(account)] {
            if !held.iter().any(|it| it.awaits == Some(serial)) {
                continue;
            }
            let is_before = |it: &&Held<'_>| !account.awaits_use(it.awaits) && !it.is_doubted;
            let ends = |it: &&Held<'_>| it.until.is_none_or(|end| until < end);
            events.extend(held.iter().filter(is_before).filter(ends).map(|it| Event::MessageKeyRetired {
                identity: account.identity.clone(),
                kid: it.kid,
                until,
            }));
        }
        events
    }

    /// Takes the keys away that wait for certificates of an account, which end unused.
    pub(super) fn keys_of_unused(&self, identity: &Identity) -> Result<Vec<Event>, Refusal> {
        let account = self.existing(identity)?;
        let kids = account.certificates.iter().flat_map(|held| account.kids_awaiting(&held.serial));
        Ok(kids.map(|kid| taken(account, kid)).collect())
    }
}

/// Is what the keys for messages of both purposes have in common.
struct Held<'a> {
    kid: Kid,
    until: Option<WallTime>,
    awaits: Option<&'a CertSerial>,
    /// Two hold it: it stands until an operator takes it away.
    is_doubted: bool,
}

fn signing(account: &Account) -> Vec<Held<'_>> {
    let held = account.message_keys.iter().map(|held| Held {
        kid: held.key.kid(),
        until: held.until,
        awaits: held.awaits.as_ref(),
        is_doubted: held.second_holder.is_some(),
    });
    held.collect()
}

fn agreeing(account: &Account) -> Vec<Held<'_>> {
    let held = account.agreement_keys.iter().map(|held| Held {
        kid: held.key.kid(),
        until: held.until,
        awaits: held.awaits.as_ref(),
        is_doubted: false,
    });
    held.collect()
}

/// Registers a message key that follows the one in use. A certificate vouches for who asks, and for no more than that: so the new key
/// is never believed to be kept better than the one before it, and one that is kept worse would be refused where the other was not.
fn follow(account: &Account, key: MessageKey) -> Result<Event, Refusal> {
    let identity = account.identity.clone();
    if identity.kind() == Kind::User {
        return Err(Refusal::SignsNothing(identity));
    }
    if account.second_holder().is_some() {
        return Err(Refusal::NoRotation { identity, why: "two hold the one that it has" });
    }
    let in_use = account.message_keys.iter();
    let in_use = in_use.filter(|held| held.until.is_none() && !account.awaits_use(held.awaits.as_ref()));
    match in_use.map(|held| held.key.level()).max() {
        None => Err(Refusal::NoRotation { identity, why: "it has none whose place the new one could take" }),
        Some(PROVEN_LEVEL) => {
            let why =
                "its TPM vouches for the one that it has, which it does at enrolment and not with a renewal";
            Err(Refusal::NoRotation { identity, why })
        }
        Some(level) if key.level() < level => {
            let why = "the new one is kept less well (level) than the one that it has";
            Err(Refusal::NoRotation { identity, why })
        }
        Some(level) => {
            let key = key.at_most(level);
            Ok(Event::MessageKeyRegistered { identity, key, endorsement: None })
        }
    }
}

/// Refuses keys for messages that did not come with a certificate when it was issued: how many are written down is bounded by how many
/// certificates are.
fn check_brings_none(identity: &Identity, events: &[Event]) -> Result<(), Refusal> {
    match events.iter().all(|event| matches!(event, Event::MessageKeyWithdrawn { .. })) {
        true => Ok(()),
        false => {
            let why = "its certificate was renewed with this TLS key and other keys for messages, or none (send those, or another TLS key)";
            Err(Refusal::NoRotation { identity: identity.clone(), why })
        }
    }
}

fn taken(account: &Account, kid: Kid) -> Event {
    Event::MessageKeyWithdrawn { identity: account.identity.clone(), kid }
}

/// Takes a certificate away that was lost on the way, and the keys that came with it.
fn lost(account: &Account, serial: &CertSerial) -> Vec<Event> {
    let (identity, serial_number) = (account.identity.clone(), serial.clone());
    let certificate = Event::CertificateWithdrawn { identity, serial: serial_number, unused: true };
    let keys = account.kids_awaiting(serial).map(|kid| taken(account, kid));
    std::iter::once(certificate).chain(keys).collect()
}

/// Returns the certificates that renew the one with `serial`, which none of them has replaced yet.
fn successors<'a>(account: &'a Account, serial: &CertSerial) -> impl Iterator<Item = &'a CertificateRecord> {
    account.certificates.iter().filter(move |held| held.renews.as_ref() == Some(serial))
}
