//! Decides what devices apply for, and tells what became of it.

use super::{Admin, Turn, incidents::Kind};
use crate::{
    control::Refusal,
    enrolment::{Certified, Rejection, Reply, Request},
    plane::Wish,
    server_keys,
};
use base64ct::{Base64, Encoding};
use keyward_identity::{self as identity, Claim, ClaimRefusal, Command, IssuedCertificate, Renewal};
use keyward_ids::{CertSerial, Identity};

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
    pub(crate) fn enrol(&mut self, applicant: &Identity, wish: Wish, actor: &str) -> Option<Reply> {
        let mut turn = Turn::begin(self, actor);
        match wish {
            Wish::Claim { code, request } => Some(turn.apply(applicant, Right::Code(code), &request)),
            Wish::Renew { serial, request } => {
                Some(turn.apply(applicant, Right::Certificate(serial), &request))
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
        let (message_key, agreement_key) = (None, None);
        let claim = Claim { id, code, csr, message_key, agreement_key, lifetime_days: None };
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

    fn apply(&mut self, applicant: &Identity, right: Right, request: &[u8]) -> Reply {
        let command = match self.command_of(applicant, right, request) {
            Ok(command) => command,
            Err(reply) => return reply,
        };
        match self.execute(command).map(|(outcome, _)| outcome.certificate) {
            Ok(Some(issued)) => self.certified(issued),
            Ok(None) => later(applicant, "nothing was issued"),
            Err(refusal) => self.rejected(applicant, refusal),
        }
    }

    fn command_of(&self, applicant: &Identity, right: Right, request: &[u8]) -> Result<Command, Reply> {
        let request = Request::read(request).map_err(|error| Reply::refused(Rejection::Request, error))?;
        let key = |why| Reply::refused(Rejection::Key, why);
        let message_key = request.message_key().map_err(key)?;
        let agreement_key = request.agreement_key().map_err(key)?;
        let registry = self.admin.registrar.registry();
        let device_type = registry.find(applicant).and_then(|account| account.device_type.as_ref());
        let config = self.admin.config().map_err(|refusal| later(applicant, refusal))?;
        let (csr, lifetime_days) = (request.csr, config.days_of(device_type));
        match (right, applicant) {
            (Right::Code(code), Identity::Device(id)) => {
                let id = id.clone();
                Ok(Command::Claim(Claim { id, code, csr, message_key, agreement_key, lifetime_days }))
            }
            (Right::Code(_), Identity::User(_)) => {
                Err(Reply::refused(Rejection::Void, "claim codes are for devices"))
            }
            (Right::Certificate(serial), identity) => {
                let identity = identity.clone();
                let overlap_secs =
                    self.admin.message_key_overlap().map_err(|refusal| later(&identity, refusal.what))?;
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

/// Says that it is not the device's fault. The cause is for the operator.
fn later(applicant: &Identity, cause: impl std::fmt::Display) -> Reply {
    tracing::error!(identity = %applicant, "no certificate could be issued: {cause}");
    Reply::refused(Rejection::Later, "the server cannot issue a certificate now; try again later")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{Fixture, fixture};
    use crate::control::{DeviceInvite, Request, Response};
    use crate::installation;
    use rcgen::KeyPair;
    use serde_json::Value;

    fn request(key: &KeyPair) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.serialize_request(key).unwrap().der().to_vec()
    }

    /// Invites a device and returns the code.
    fn invite(fixture: &mut Fixture, id: &str) -> String {
        match fixture.admin.execute(Request::DeviceInvite(DeviceInvite::new(id, 900))) {
            Ok(Response::DeviceInvited(invited)) => {
                invited.uri.expose().split_once("code=").unwrap().1[..26].to_owned()
            }
            other => panic!("{:?}", other.err()),
        }
    }

    fn claim(fixture: &mut Fixture, id: &str, code: &str, request: &[u8]) -> Value {
        let wish = Wish::Claim { code: identity::Secret::new(code.into()), request: request.to_vec() };
        let reply = fixture.admin.enrol(&id.parse().unwrap(), wish, "test").unwrap();
        serde_json::from_slice(&reply.encode()).unwrap()
    }

    #[test]
    fn what_a_device_is_told_stands_in_the_registry_and_what_went_wrong_with_the_operator() {
        let mut fixture = fixture();
        let code = invite(&mut fixture, "pump-1");
        fixture.told.take();
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let refused = claim(&mut fixture, "device:pump-1", &code, b"x");
        assert_eq!((&refused["result"], &refused["error"]), (&"refused".into(), &"request".into()));
        let certified = claim(&mut fixture, "device:pump-1", &code, &request(&key));
        assert_eq!(certified["result"], "certified");
        assert!(certified["renew_from"].as_str().unwrap() < certified["expires"].as_str().unwrap());
        assert_eq!(certified["server_root"].as_str().unwrap(), fixture.admin.registrar.ca_pem());
        assert!(fixture.told.take().is_empty(), "nobody has to be told");
        let conflict = claim(&mut fixture, "device:pump-1", &code, &request(&other));
        assert_eq!(conflict["error"], "conflict");
        let told = fixture.told.take().concat();
        assert!(told.starts_with("$keyward/incidents/claim-conflict/pump-1 {"), "{told}");
        let (_, other_key) = told.split_once("other_key\":\"").unwrap();
        assert!(!conflict.to_string().contains(&other_key[..64]), "keys are not for the device");
        let warned = |fixture: &Fixture| fixture.admin.status().warnings.concat().contains("claim-conflict");
        assert!(warned(&fixture));
        fixture.admin.execute(Request::DeviceUninvite { id: "pump-1".to_owned() }).unwrap();
        assert_eq!(fixture.told.take(), ["$keyward/incidents/claim-conflict/pump-1 "], "it is over");
        assert!(!warned(&fixture));
        assert_eq!(claim(&mut fixture, "device:pump-1", &code, &request(&key))["error"], "void");
    }

    #[test]
    fn a_code_that_comes_after_its_hour_is_an_incident_that_is_told_once() {
        let mut site = fixture();
        let code = invite(&mut site, "pump-1");
        claim(&mut site, "device:pump-1", &code, &request(&KeyPair::generate().unwrap()));
        site.told.take();
        for told in [1, 0] {
            let mut turn = Turn::begin(&mut site.admin, "test");
            turn.now.0 += 2 * 3_600_000;
            turn.note_late(&"device:pump-1".parse().unwrap(), identity::Secret::new(code.clone().into()));
            let heard = site.told.take();
            assert_eq!(heard.len(), told, "{heard:?}");
            assert!(heard.iter().all(|heard| heard.contains("came again more than an hour later")));
        }
        assert!(site.admin.status().warnings.concat().contains("claim-conflict"));
        assert!(site.audit().concat().contains("came again after its hour"));
    }

    /// Writes a request as a device with message keys does; `signs` is its message key.
    fn with_message_key(key: &KeyPair, signs: &KeyPair) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let csr = params.serialize_request(key).unwrap().pem().unwrap();
        let key = identity::MessageKey::read_file(signs.public_key_pem().as_bytes(), 0).unwrap();
        let cose = Base64::encode_string(&key.cose());
        serde_json::json!({ "csr": csr, "message_key": { "cose": cose, "level": 0 } })
            .to_string()
            .into_bytes()
    }

    #[test]
    fn a_message_key_comes_with_a_renewal_and_one_that_follows_none_is_refused_for_itself() {
        for has_one in [true, false] {
            let mut site = fixture();
            let code = invite(&mut site, "pump-1");
            let [key, signs, next_key, next_signs] = [(); 4].map(|()| KeyPair::generate().unwrap());
            let first = if has_one { with_message_key(&key, &signs) } else { request(&key) };
            assert_eq!(claim(&mut site, "device:pump-1", &code, &first)["result"], "certified");
            let applicant: Identity = "device:pump-1".parse().unwrap();
            let account = |site: &Fixture| {
                identity::Account::clone(site.admin.registrar.registry().find(&applicant).unwrap())
            };
            let held = account(&site).certificates[0].clone();
            let mut turn = Turn::begin(&mut site.admin, "test");
            turn.now = held.due();
            let right = Right::Certificate(held.serial.clone());
            let reply = turn.apply(&applicant, right, &with_message_key(&next_key, &next_signs));
            let reply: Value = serde_json::from_slice(&reply.encode()).unwrap();
            if !has_one {
                assert_eq!(reply["error"], "key");
                assert!(reply["what"].as_str().unwrap().contains("claim code"), "{reply}");
                continue;
            }
            assert_eq!(reply["result"], "certified");
            let renewed = account(&site).certificates[1].serial.clone();
            site.admin.enrol(&applicant, Wish::Succeed { serial: renewed }, "test");
            let ends: Vec<_> = account(&site).message_keys.iter().map(|held| held.until).collect();
            let week = installation::wall_time().after(std::time::Duration::from_secs(7 * 86_400));
            assert!(ends[0].is_some_and(|until| until <= week && until.0 + 60_000 > week.0), "{ends:?}");
            assert_eq!(ends[1], None);
        }
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_not_the_fault_of_the_device() {
        let mut fixture = fixture();
        let code = invite(&mut fixture, "pump-1");
        let key = KeyPair::generate().unwrap();
        let mut turn = Turn::begin(&mut fixture.admin, "test");
        turn.now = identity::WallTime(1);
        let right = Right::Code(identity::Secret::new(code.into()));
        let reply = turn.apply(&"device:pump-1".parse().unwrap(), right, &request(&key));
        let reply: Value = serde_json::from_slice(&reply.encode()).unwrap();
        assert_eq!(reply["error"], "later");
    }
}
