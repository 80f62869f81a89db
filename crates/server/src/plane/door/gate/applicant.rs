//! Who applies for a certificate: by a claim code, or by the certificate that it has.

use super::{Gate, held, names};
use crate::plane::entrance::{Entrance, Evidence};
use crate::plane::events::LoginCause;
use crate::plane::tls::certificate::ClientCertificate;
use keyward_identity::{CertificateRefusal, Secret, WallTime};
use keyward_ids::{CertSerial, DeviceId, Identity};
use keyward_mqtt::packet::Connect;
use keyward_mqtt::time::Now;
use rustls::pki_types::CertificateDer;

/// Begins the user name of a device that has a claim code; its id follows.
const BY_CODE: &str = "claim:";

/// Begins the user name of a device that renews its certificate; its id follows.
const BY_CERTIFICATE: &str = "renew:";

/// Is a device that may apply for a certificate, and for nothing else.
pub(crate) struct Applicant {
    pub(crate) identity: Identity,
    pub(crate) shown: Shown,
}

/// Says by what it may.
#[derive(Clone)]
pub(crate) enum Shown {
    /// A claim code.
    Code(Secret),
    /// A certificate of its own, by its serial number.
    Certificate(CertSerial),
}

/// Says how a CONNECT wants to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applying<'a> {
    ByCode(&'a str),
    ByCertificate(&'a str),
}

impl<'a> Applying<'a> {
    /// Reads it off the user name, which is none that an account could have.
    pub(crate) fn of(username: Option<&'a str>) -> Option<Self> {
        let name = username?;
        let by_code = name.strip_prefix(BY_CODE).map(Self::ByCode);
        by_code.or_else(|| name.strip_prefix(BY_CERTIFICATE).map(Self::ByCertificate))
    }
}

impl Gate {
    /// Lets a device apply that has a right to. A code is looked at alone, whatever certificate is beside it; a certificate must be
    /// enough for its holder to log in, for what it is exchanged for is as good.
    pub(crate) fn judge_applicant(
        &self,
        now: Now,
        entrance: &Entrance,
        chain: Option<&[CertificateDer<'_>]>,
        applying: Applying<'_>,
        connect: &Connect<'_>,
    ) -> Result<Applicant, LoginCause> {
        match (applying, connect.password) {
            (Applying::ByCode(id), Some(code)) => self.by_code(now, id, code),
            (Applying::ByCode(_), None) => Err(LoginCause::NoCredential),
            (Applying::ByCertificate(name), None) => self.by_own_certificate(now, entrance, chain, name),
            (Applying::ByCertificate(_), Some(_)) => {
                Err(LoginCause::Enrolment("a password came with renew:, which takes a certificate alone"))
            }
        }
    }

    fn by_code(&self, now: Now, id: &str, code: &[u8]) -> Result<Applicant, LoginCause> {
        let id = DeviceId::parse(id).map_err(|_| LoginCause::UnknownName)?;
        let registry = self.registry.load();
        let account = registry.admit_code(&id, code, &self.pepper, WallTime(now.wall.0));
        let identity = account.map_err(LoginCause::Claim)?.identity.clone();
        Ok(Applicant { identity, shown: Shown::Code(Secret::new(code.to_vec())) })
    }

    fn by_own_certificate(
        &self,
        now: Now,
        entrance: &Entrance,
        chain: Option<&[CertificateDer<'_>]>,
        name: &str,
    ) -> Result<Applicant, LoginCause> {
        let leaf = chain.ok_or(LoginCause::NoCredential)?.first().ok_or(LoginCause::NoCredential)?;
        let shown = ClientCertificate::read(leaf).ok_or(LoginCause::CertificateUnusable)?;
        let now = WallTime(now.wall.0);
        let registry = self.registry.load();
        // A certificate of another authority proves as much at the door, but nothing of ours comes for it.
        let admitted = registry.admit_certificate(&shown.serial, &shown.key, now);
        let account = admitted.map_err(|refusal| match refusal {
            CertificateRefusal::UnknownSerial { .. } | CertificateRefusal::KeyMismatch { .. } => {
                LoginCause::Enrolment("only certificates that were issued here are renewed here")
            }
            refusal => LoginCause::Certificate(refusal),
        })?;
        if !names(name, &account.identity) {
            return Err(LoginCause::OtherName { shown: account.identity.clone() });
        }
        self.enough(entrance, account, Evidence::Certificate)?;
        if held(account, &shown).is_none_or(|held| held.due() > now) {
            return Err(LoginCause::Enrolment("its certificate is not to be renewed yet"));
        }
        let identity = account.identity.clone();
        Ok(Applicant { identity, shown: Shown::Certificate(shown.serial) })
    }

    /// Tells whether an applicant has still what it showed.
    pub(crate) fn holds_applicant(&self, now: Now, applicant: &Applicant) -> bool {
        let registry = self.registry.load();
        match (&applicant.shown, &applicant.identity) {
            (Shown::Code(code), Identity::Device(id)) => {
                registry.admit_code(id, code.expose(), &self.pepper, WallTime(now.wall.0)).is_ok()
            }
            (Shown::Code(_), Identity::User(_)) => false,
            (Shown::Certificate(serial), identity) => registry.find(identity).is_some_and(|account| {
                account.is_active() && account.certificates.iter().any(|held| held.serial == *serial)
            }),
        }
    }

    /// Tells whether it is known that the used code of a device came again: it is written down once.
    pub(crate) fn is_conflict_known(&self, id: &DeviceId) -> bool {
        let registry = self.registry.load();
        let account = registry.find(&Identity::Device(id.clone()));
        let invitation = account.and_then(|account| account.invitation.as_ref());
        invitation.is_none_or(|invitation| invitation.conflict.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_account_can_have_the_user_name_of_an_applicant() {
        assert_eq!(Applying::of(Some("claim:pump-1")), Some(Applying::ByCode("pump-1")));
        assert_eq!(Applying::of(Some("renew:pump-1")), Some(Applying::ByCertificate("pump-1")));
        for name in [None, Some("pump-1"), Some("claim"), Some("device:claim"), Some("Claim:x")] {
            assert_eq!(Applying::of(name), None, "{name:?}");
        }
        for name in ["claim:x", "renew:x"] {
            assert!(DeviceId::parse(name).is_err() && keyward_ids::UserId::parse(name).is_err());
        }
    }
}
