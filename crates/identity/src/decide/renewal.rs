//! Certificates that renew others, and what ends when one of them is used for the first time.

use super::{
    Clerk, Decision,
    enrolment::{held, withdrawn},
};
use crate::{
    account::{Account, CertificateRecord},
    authority,
    commands::{KeySource, Renewal},
    csr,
    events::Event,
    limits,
    refusal::Refusal,
};
use keyward_ids::{CertSerial, Identity};
use std::time::Duration;

impl Clerk<'_> {
    pub(super) fn renew(&self, renewal: Renewal) -> Result<Decision, Refusal> {
        let Renewal { identity, serial, csr, lifetime_days } = renewal;
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
            return self.issue_again(&identity, lost, &key); // The answer was lost.
        }
        let withdrawn = self.make_room(&identity, old, &unused)?;
        let mut decision = self.certify(&identity, &KeySource::Csr(csr), lifetime_days)?;
        for event in &mut decision.events {
            if let Event::CertificateIssued { certificate, .. } = event {
                certificate.renews = Some(serial.clone());
            }
        }
        // That it renews is its first use, if it renewed another itself: or there would be more and more of them.
        decision.events.splice(0..0, succession(account, &serial).into_iter().chain(withdrawn));
        Ok(decision)
    }

    /// Says which of the certificates that renew `old` makes room for another one: they were lost on the way, with their keys.
    fn make_room(
        &self,
        identity: &Identity,
        old: &CertificateRecord,
        unused: &[&CertificateRecord],
    ) -> Result<Option<Event>, Refusal> {
        if unused.len() < limits::RENEWALS_OUTSTANDING {
            return Ok(None);
        }
        let Some(oldest) = unused.iter().min_by_key(|unused| unused.not_before) else { return Ok(None) };
        let last_third = Duration::from_millis(old.not_after.0.saturating_sub(old.due().0));
        let issued = oldest.not_before.after(authority::BACKDATED);
        // The nearer the end, the shorter: never is the pause longer than the certificate lasts.
        let left = Duration::from_millis(old.not_after.0.saturating_sub(issued.0));
        let pause = limits::RENEWAL_PAUSE.min(last_third / 8).min(left / 8);
        let until = issued.after(pause);
        if self.now < until {
            return Err(Refusal::RenewedTooOften { identity: identity.clone(), until });
        }
        Ok(Some(Event::CertificateWithdrawn {
            identity: identity.clone(),
            serial: oldest.serial.clone(),
            unused: true,
        }))
    }

    pub(super) fn succeed(&self, identity: &Identity, serial: &CertSerial) -> Decision {
        let account = self.state.registry.find(identity);
        let events = account.map(|account| succession(account, serial)).unwrap_or_default();
        Decision { events, ..Decision::nothing() }
    }
}

/// Returns the certificates that renew the one with `serial`, which none of them has replaced yet.
fn successors<'a>(account: &'a Account, serial: &CertSerial) -> impl Iterator<Item = &'a CertificateRecord> {
    account.certificates.iter().filter(move |held| held.renews.as_ref() == Some(serial))
}

/// Says what is taken away when the certificate with `serial` is used for the first time: the one that it renews, and the others
/// that renew that one, which were lost on the way.
fn succession(account: &Account, serial: &CertSerial) -> Vec<Event> {
    let Some(old) = account.renewed_by(serial) else { return Vec::new() };
    let others = successors(account, old).filter(|other| other.serial != *serial);
    let others = others.map(|other| Event::CertificateWithdrawn {
        identity: account.identity.clone(),
        serial: other.serial.clone(),
        unused: true,
    });
    std::iter::once(withdrawn(&account.identity, old)).chain(others).collect()
}
