//! Decides what devices apply for, and tells what became of it.

use super::{Admin, Turn, incidents::Kind};
use crate::{
    control::Refusal,
    enrolment::{self, Certified, Decided, Rejection, Reply, Request},
    plane::Wish,
    server_keys,
};
use base64ct::{Base64, Encoding};
use keyward_identity::{self as identity, Claim, ClaimRefusal, Command, IssuedCertificate, Renewal};
use keyward_ids::{CertSerial, Identity};
use keyward_tpm::Expected;
use std::fmt::Display;

/// Says by what right a device applies.
enum Right {
    Code(identity::Secret),
    Certificate(CertSerial),
}

impl Admin {
    /// Returns for how many seconds a message key is accepted still after another has taken its place: as long as a reading that the device
    /// signed by it may be on its way, by any rule.
    fn message_key_overlap(&self) -> Result<u64, Refusal> {
        Ok(self.policy()?.longest_offline().as_secs())
    }

    /// Carries out what `applicant` applies for; what the answer says is durable and in force. `None` where nobody waits for
    /// words.
    pub(crate) fn enrol(&mut self, applicant: &Identity, wish: Wish, actor: &str) -> Option<Decided> {
        let mut turn = Turn::begin(self, actor);
        match wish {
            Wish::Claim { code, request, expected } => {
                Some(turn.apply(applicant, Right::Code(code), &request, expected.as_deref()))
            }
            Wish::Renew { serial, request } => {
                Some(turn.apply(applicant, Right::Certificate(serial), &request, None))
            }
            Wish::Late { code } => {
                turn.note_late(applicant, code);
                None
            }
            Wish::Succeed { serial } => {
                let succeeded = turn.admin.message_key_overlap().and_then(|overlap_secs| {
                    turn.command(Command::Succeed { identity: applicant.clone(), serial, overlap_secs })
                });
                if let Err(refusal) = succeeded {
                    tracing::warn!(identity = %applicant, "its old certificate lives on for now: {}", refusal.what);
                }
                None
            }
        }
    }
}

impl Turn<'_> {
    /// Writes down that a code came after its hour, and tells the operator.
    fn note_late(&mut self, applicant: &Identity, code: identity::Secret) {
        let Identity::Device(id) = applicant else { return };
        let (id, csr) = (id.clone(), Vec::new());
        let (message_key, proof, agreement_key) = (None, None, None);
        let claim = Claim { id, code, csr, message_key, proof, agreement_key, lifetime_days: None };
        let before = self.admin.registrar.registry().revision();
        match self.execute(Command::Claim(claim)) {
            Err(identity::Refusal::Claim(ClaimRefusal::Used { .. })) => {
                if self.admin.registrar.registry().revision() != before {
                    self.admin.tell(Kind::ClaimConflict, applicant);
                }
            }
            Ok(_) | Err(identity::Refusal::Claim(_)) => {} // There is another code meanwhile.
            Err(refusal) => {
                tracing::error!(identity = %applicant, "its incident is not written down: {refusal}")
            }
        }
    }

    fn apply(
        &mut self,
        applicant: &Identity,
        right: Right,
        request: &[u8],
        expected: Option<&Expected>,
    ) -> Decided {
        let command = match self.command_of(applicant, right, request, expected) {
            Ok(command) => command,
            Err(decided) => return *decided,
        };
        let reply = match self.execute(command).map(|(outcome, _)| outcome.certificate) {
            Ok(Some(issued)) => self.certified(issued),
            Ok(None) => later(applicant, "nothing was issued"),
            Err(refusal) => self.rejected(applicant, refusal),
        };
        reply.into()
    }

    fn command_of(
        &self,
        applicant: &Identity,
        right: Right,
        request: &[u8],
        expected: Option<&Expected>,
    ) -> Result<Command, Box<Decided>> {
        let refused = |error, what: &dyn Display| {
            tracing::warn!(identity = %applicant, by = self.actor, "not certified: {what}");
            Box::new(Reply::refused(error, what).into())
        };
        let request = Request::read(request).map_err(|error| refused(Rejection::Request, &error))?;
        let key = |why| refused(Rejection::Key, &why);
        let message_key = request.message_key().map_err(key)?;
        let agreement_key = request.agreement_key().map_err(key)?;
        let registry = self.admin.registrar.registry();
        let device_type = registry.find(applicant).and_then(|account| account.device_type.as_ref());
        let config = self.admin.config().map_err(|refusal| Box::new(later(applicant, refusal).into()))?;
        let has_evidence = request.evidence.is_some();
        let root = self.admin.registrar.trust().server_root;
        let proof = match right {
            Right::Code(_) => enrolment::judge(&request, applicant.name(), &root, expected),
            Right::Certificate(_) => Ok(None),
        };
        let proof = proof.inspect_err(|decided| tell_doubt(applicant, &decided.reply))?;
        let (csr, lifetime_days) = (request.csr, config.days_of(device_type));
        match (right, applicant) {
            (Right::Code(code), Identity::Device(id)) => {
                let id = id.clone();
                Ok(Command::Claim(Claim { id, code, csr, message_key, proof, agreement_key, lifetime_days }))
            }
            (Right::Code(_), Identity::User(_)) => {
                Err(refused(Rejection::Void, &"claim codes are for devices"))
            }
            // A TPM vouches at enrolment, and a key for which it vouched stays.
            (Right::Certificate(_), _) if has_evidence => {
                Err(refused(Rejection::Request, &"evidence comes with a claim code, not with a renewal"))
            }
            (Right::Certificate(serial), identity) => {
                let identity = identity.clone();
                let overlap_secs = self.admin.message_key_overlap();
                let overlap_secs =
                    overlap_secs.map_err(|refusal| Box::new(later(&identity, refusal.what).into()))?;
                Ok(Command::Renew(Renewal {
                    identity,
                    serial,
                    csr,
                    message_key,
                    agreement_key,
                    overlap_secs,
                    lifetime_days,
                }))
            }
        }
    }

    fn certified(&self, issued: IssuedCertificate) -> Reply {
        let registrar = &self.admin.registrar;
        let registry = registrar.registry();
        let account = registry.find(&issued.identity);
        let record =
            account.and_then(|account| account.certificates.iter().find(|held| held.serial == issued.serial));
        let renew_from = record.map_or(issued.not_after, identity::CertificateRecord::due);
        let believed = server_keys::for_devices(registrar);
        tracing::info!(identity = %issued.identity, by = self.actor, serial = %issued.serial, "certified");
        Reply::Certified(Box::new(Certified {
            device: issued.identity.name().to_owned(),
            installation: registry.installation().to_string(),
            certificate: issued.chain_pem,
            server_root: registrar.ca_pem(),
            installation_key: believed.as_ref().map(|it| Base64::encode_string(&it.installation_key)),
            key_set: believed.and_then(|it| it.key_set).map(|set| Base64::encode_string(&set)),
            expires: issued.not_after.to_string(),
            renew_from: renew_from.to_string(),
        }))
    }

    /// Tells a device why it gets nothing: it has shown its right to ask. Keys of others are not named to it.
    fn rejected(&mut self, applicant: &Identity, refusal: identity::Refusal) -> Reply {
        use identity::Refusal as R;
        tracing::warn!(identity = %applicant, by = self.actor, "not certified: {refusal}");
        let void = "this code is good for nothing any more; ask the operator for another one";
        match refusal {
            R::Claim(ClaimRefusal::OtherKey { id, .. }) => {
                self.admin.tell(Kind::ClaimConflict, &Identity::Device(id));
                let what = "this code was used with another key; ask the operator, who was told of it";
                Reply::refused(Rejection::Conflict, what)
            }
            R::Claim(refusal @ ClaimRefusal::OtherMessageKey(_)) => Reply::refused(Rejection::Key, refusal),
            R::Claim(refusal @ (ClaimRefusal::OtherKeysProven(_) | ClaimRefusal::Unproven(_))) => {
                Reply::refused(Rejection::Evidence, refusal)
            }
            R::Claim(ClaimRefusal::OtherTpm { id, .. }) => {
                self.admin.tell(Kind::ClaimConflict, &Identity::Device(id));
                let what =
                    "this code is for a certain TPM, which has to vouch for the keys; ask the operator";
                Reply::refused(Rejection::Evidence, what)
            }
            R::Claim(ClaimRefusal::Used { id, .. }) => {
                self.admin.tell(Kind::ClaimConflict, &Identity::Device(id));
                Reply::refused(Rejection::Void, void)
            }
            R::Claim(_) => Reply::refused(Rejection::Void, void),
            R::Csr(refusal) => Reply::refused(Rejection::Request, refusal),
            R::KeyHeld { .. } | R::AuthorityKey => {
                Reply::refused(Rejection::Key, "this key is not free; make another one")
            }
            refusal @ (R::NoRotation { .. } | R::SignsNothing(_)) => Reply::refused(Rejection::Key, refusal),
            R::TooManyMessageKeys { .. } | R::HasMessageKey { .. } => {
                let what = "there is no room for another key for messages now; renew without it";
                Reply::refused(Rejection::Key, what)
            }
            R::RenewalEarly { .. } => Reply::refused(Rejection::Early, refusal),
            R::InQuarantine(_) => {
                let what = "this device is in quarantine, where no certificate is renewed; ask the operator";
                Reply::refused(Rejection::Later, what)
            }
            R::RenewedTooOften { .. } => Reply::refused(Rejection::Later, refusal),
            R::NothingToRenew { .. } | R::IsRevoked(_) | R::NoSuchIdentity(_) => {
                let what = "this certificate cannot be renewed any more; ask the operator for a claim code";
                Reply::refused(Rejection::Void, what)
            }
            refusal => later(applicant, refusal),
        }
    }
}

/// Tells the operator that what a TPM said was not believed.
fn tell_doubt(applicant: &Identity, reply: &Reply) {
    if let Reply::Refused { what, .. } = reply {
        tracing::warn!(identity = %applicant, "its evidence of a TPM is not believed: {what}");
    }
}

/// Says that it is not the device's fault. The cause is for the operator.
fn later(applicant: &Identity, cause: impl std::fmt::Display) -> Reply {
    tracing::error!(identity = %applicant, "no certificate could be issued: {cause}");
    Reply::refused(Rejection::Later, "the server cannot issue a certificate now; try again later")
}

#[cfg(test)]
mod tests;
