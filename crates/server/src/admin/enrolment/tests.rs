//! What devices are answered that apply for a certificate.

use super::*;
use crate::admin::fixture::{Fixture, fixture};
use crate::control::{DeviceInvite, MessageKeyRow, Request, Response, TpmRow};
use crate::installation;
use keyward_identity::MessageKey;
use keyward_ids::KeyId;
use keyward_tpm::{Challenge, Evidence, software::SoftwareChip};
use rcgen::KeyPair;
use serde_json::{Value, json};

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
    let (code, request) = (identity::Secret::new(code.into()), request.to_vec());
    let wish = Wish::Claim { code, request, expected: None };
    let decided = fixture.admin.enrol(&id.parse().unwrap(), wish, "test").unwrap();
    serde_json::from_slice(&decided.reply.encode()).unwrap()
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

#[test]
fn a_clock_that_cannot_be_right_is_not_the_fault_of_the_device() {
    let mut fixture = fixture();
    let code = invite(&mut fixture, "pump-1");
    let key = KeyPair::generate().unwrap();
    let mut turn = Turn::begin(&mut fixture.admin, "test");
    turn.now = identity::WallTime(1);
    let right = Right::Code(identity::Secret::new(code.into()));
    let decided = turn.apply(&"device:pump-1".parse().unwrap(), right, &request(&key), None);
    let reply: Value = serde_json::from_slice(&decided.reply.encode()).unwrap();
    assert_eq!(reply["error"], "later");
}

/// Writes a request as a device with message keys does; `signs` is its message key.
fn with_message_key(key: &KeyPair, signs: &KeyPair) -> Vec<u8> {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let csr = params.serialize_request(key).unwrap().pem().unwrap();
    let key = identity::MessageKey::read_file(signs.public_key_pem().as_bytes(), 0).unwrap();
    let cose = Base64::encode_string(&key.cose());
    serde_json::json!({ "csr": csr, "message_key": { "cose": cose, "level": 0 } }).to_string().into_bytes()
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
        let reply = turn.apply(&applicant, right, &with_message_key(&next_key, &next_signs), None);
        let reply: Value = serde_json::from_slice(&reply.reply.encode()).unwrap();
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

/// Is a device with a chip that is a program: nobody can tell by its words.
struct Device {
    chip: SoftwareChip,
    tls: KeyPair,
    message: KeyPair,
}

impl Device {
    fn new() -> Self {
        let key = || KeyPair::generate().unwrap();
        Self { chip: SoftwareChip::new().unwrap(), tls: key(), message: key() }
    }

    fn fingerprint(&self) -> String {
        KeyId::new(self.chip.fingerprint().unwrap()).to_string()
    }

    fn evidence(&self, id: &str, site: &Fixture) -> Evidence {
        let mut root = [0; 32];
        let der = site.admin.registrar.trust().server_root;
        root.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der).as_ref());
        let (tls, message) = (self.tls.public_key_raw(), self.message.public_key_raw());
        self.chip.vouch(tls, message, &Evidence::about(id, &root)).unwrap()
    }

    fn request(&self, evidence: Option<&Evidence>, level: u8) -> Value {
        let csr = self.tls_request();
        let cose = MessageKey::read_file(self.message.public_key_pem().as_bytes(), 0).unwrap().cose();
        let message_key = json!({ "cose": Base64::encode_string(&cose), "level": level });
        match evidence {
            Some(evidence) => json!({ "csr": csr, "message_key": message_key, "evidence": evidence }),
            None => json!({ "csr": csr, "message_key": message_key }),
        }
    }

    fn tls_request(&self) -> String {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.serialize_request(&self.tls).unwrap().pem().unwrap()
    }

    /// Answers a challenge.
    fn activated(&self, mut request: Value, answered: &Value) -> Value {
        let challenge: Challenge = serde_json::from_value(answered["challenge"].clone()).unwrap();
        request["activated"] = Base64::encode_string(&self.chip.activate(&challenge).unwrap()).into();
        request
    }
}

/// Is the link of a device: it keeps what the answer to its challenge must be, for one request.
struct Link<'a> {
    site: &'a mut Fixture,
    code: String,
    expected: Option<Box<Expected>>,
}

impl Link<'_> {
    fn ask(&mut self, request: &Value) -> Value {
        let (code, request) =
            (identity::Secret::new(self.code.clone().into()), request.to_string().into_bytes());
        let wish = Wish::Claim { code, request, expected: self.expected.take() };
        let decided = self.site.admin.enrol(&"device:pump-1".parse().unwrap(), wish, "test").unwrap();
        self.expected = decided.expected;
        serde_json::from_slice(&decided.reply.encode()).unwrap()
    }

    /// Asks for what gets no certificate because of the evidence; nothing is written.
    fn is_not_believed(&mut self, request: &Value) -> String {
        let before = self.site.admin.registrar.registry().revision();
        let answered = self.ask(request);
        assert_eq!(answered["error"], "evidence", "{answered}");
        assert_eq!(self.site.admin.registrar.registry().revision(), before);
        answered["what"].as_str().unwrap().to_owned()
    }
}

fn invite_for(site: &mut Fixture, tpm: Option<String>) -> String {
    let invite = DeviceInvite { tpm, replace: true, ..DeviceInvite::new("pump-1", 900) };
    match site.admin.execute(Request::DeviceInvite(invite)) {
        Ok(Response::DeviceInvited(invited)) => {
            invited.uri.expose().split_once("code=").unwrap().1[..26].to_owned()
        }
        other => panic!("{:?}", other.err()),
    }
}

fn message_keys(site: &mut Fixture) -> Vec<MessageKeyRow> {
    match site.admin.execute(Request::DeviceShow { id: "pump-1".to_owned() }) {
        Ok(Response::Device(detail)) => detail.message_keys,
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn a_device_whose_tpm_vouches_and_opens_the_challenge_gets_level_3() {
    let (mut site, pump) = (fixture(), Device::new());
    let code = invite_for(&mut site, None);
    let request = pump.request(Some(&pump.evidence("PUMP-1", &site)), 3);
    let mut link = Link { site: &mut site, code, expected: None };
    let before = link.site.admin.registrar.registry().revision();
    let challenged = link.ask(&request);
    assert_eq!(challenged["result"], "challenge");
    assert_eq!(link.site.admin.registrar.registry().revision(), before, "nothing is certified yet");
    let certified = link.ask(&pump.activated(request.clone(), &challenged));
    assert_eq!(certified["result"], "certified", "{certified}");
    // The answer was lost: the same again takes the same way.
    let challenged = link.ask(&request);
    assert_eq!(link.ask(&pump.activated(request, &challenged))["result"], "certified");
    let rows = message_keys(&mut site);
    assert_eq!((rows.len(), rows[0].level), (1, Some(3)));
    assert_eq!(rows[0].tpm, Some(TpmRow { fingerprint: pump.fingerprint(), named: false }));
    assert!(site.audit().concat().contains(&format!("the TPM {} vouches", &pump.fingerprint()[..16])));
}

#[test]
fn a_challenge_is_answered_once_on_its_link_and_by_its_own_answer() {
    let (mut site, pump) = (fixture(), Device::new());
    let code = invite_for(&mut site, None);
    let request = pump.request(Some(&pump.evidence("pump-1", &site)), 3);
    let mut link = Link { site: &mut site, code, expected: None };
    let unasked = {
        let mut request = request.clone();
        request["activated"] = Base64::encode_string(&[0; 32]).into();
        request
    };
    assert!(link.is_not_believed(&unasked).contains("no challenge is open"));
    let (first, second) = (link.ask(&request), link.ask(&request));
    let earlier = pump.activated(request.clone(), &first);
    assert!(link.is_not_believed(&earlier).contains("another challenge"), "of another challenge");
    let late = pump.activated(request.clone(), &second);
    assert!(link.is_not_believed(&late).contains("no challenge is open"), "a wrong answer ended it");
    let mut bare = pump.request(None, 2);
    bare["activated"] = late["activated"].clone();
    link.is_not_believed(&bare);
    let third = link.ask(&request);
    assert_eq!(link.ask(&pump.activated(request, &third))["result"], "certified");
}

/// Whoever recorded an enrolment, or holds another chip, has what the chip said and cannot open what it opens.
#[test]
fn evidence_of_somebody_elses_chip_leads_nowhere() {
    let (mut site, pump, thief) = (fixture(), Device::new(), Device::new());
    let code = invite_for(&mut site, None);
    let (real, own) = (pump.evidence("pump-1", &site), thief.evidence("pump-1", &site));
    let mut link = Link { site: &mut site, code, expected: None };
    // A replay: the challenge is for the chip that spoke.
    let replay = pump.request(Some(&real), 3);
    let challenged = link.ask(&replay);
    let challenge: Challenge = serde_json::from_value(challenged["challenge"].clone()).unwrap();
    assert_eq!(thief.chip.activate(&challenge), None);
    // The challenge for his own chip says nothing of the other one.
    let mine = thief.request(Some(&own), 3);
    let challenged = link.ask(&mine);
    let swapped = thief.activated(replay, &challenged);
    link.is_not_believed(&swapped);
    // The endorsement key of the one with the attestation key of the other: neither opens it.
    let mixed = Evidence { endorsement: own.endorsement.clone(), ..real.clone() };
    let challenged = link.ask(&pump.request(Some(&mixed), 3));
    let challenge: Challenge = serde_json::from_value(challenged["challenge"].clone()).unwrap();
    assert_eq!((thief.chip.activate(&challenge), pump.chip.activate(&challenge)), (None, None));
    // A voucher of another attestation key.
    for mixed in [
        Evidence { tls: own.tls.clone(), ..real.clone() },
        Evidence { message: own.message.clone(), ..real.clone() },
        Evidence { attestation: own.attestation.clone(), ..real.clone() },
        Evidence { tls: real.message.clone(), message: own.tls.clone(), ..real },
    ] {
        assert!(link.is_not_believed(&pump.request(Some(&mixed), 3)).contains("did not sign"));
    }
    // Keys for which nobody vouched, beside good evidence.
    let stranger = Device::new();
    let request = stranger.request(Some(&own), 3);
    let challenged = link.ask(&request);
    let answer = thief.activated(request, &challenged);
    assert!(link.is_not_believed(&answer).contains("not about the key"));
}

#[test]
fn what_a_tpm_said_for_another_device_or_server_or_with_one_bit_changed_is_not_believed() {
    let (mut site, pump) = (fixture(), Device::new());
    let code = invite_for(&mut site, None);
    let (good, elsewhere) = (pump.evidence("pump-1", &site), pump.evidence("pump-1", &fixture()));
    let other = pump.evidence("pump-2", &site);
    let mut link = Link { site: &mut site, code, expected: None };
    for of_others in [other, elsewhere] {
        let what = link.is_not_believed(&pump.request(Some(&of_others), 3));
        assert!(what.contains("another device id, for another server"), "{what}");
    }
    // A bit of what is signed, or signs.
    let parts: [fn(&mut Evidence) -> &mut Vec<u8>; 6] = [
        |it| &mut it.tls.public,
        |it| &mut it.tls.attest,
        |it| &mut it.tls.signature,
        |it| &mut it.message.public,
        |it| &mut it.message.attest,
        |it| &mut it.message.signature,
    ];
    for part in parts {
        for at in 0..part(&mut good.clone()).len() {
            let mut bad = good.clone();
            part(&mut bad)[at] ^= 1 << (at % 8);
            link.is_not_believed(&pump.request(Some(&bad), 3));
        }
    }
    // Another attestation key is asked for, if it could be one, and the chip does not hold it; another endorsement key is no key.
    for at in 0..good.attestation.len() {
        let mut bad = good.clone();
        bad.attestation[at] ^= 1 << (at % 8);
        let answered = link.ask(&pump.request(Some(&bad), 3));
        let challenge: Option<Challenge> = serde_json::from_value(answered["challenge"].clone()).ok();
        assert_eq!(challenge.and_then(|challenge| pump.chip.activate(&challenge)), None, "{answered}");
    }
    let mut bad = good.clone();
    *bad.endorsement.last_mut().unwrap() ^= 1;
    assert!(link.is_not_believed(&pump.request(Some(&bad), 3)).contains("it is no key"));
    for (evidence, level) in [(None, 3), (Some(&good), 2)] {
        let request = pump.request(evidence, level);
        let answered = link.ask(&request);
        let last = if evidence.is_some() { pump.activated(request, &answered) } else { request };
        assert!(link.is_not_believed(&last).contains("level 3 is shown and not said"));
    }
}

#[test]
fn a_code_for_one_tpm_gets_a_thief_nothing_who_has_another_or_says_that_he_has_none() {
    let (mut site, pump, thief) = (fixture(), Device::new(), Device::new());
    let refused = {
        let invite = DeviceInvite { tpm: Some("cafe".to_owned()), ..DeviceInvite::new("pump-1", 900) };
        site.admin.execute(Request::DeviceInvite(invite)).err().unwrap()
    };
    assert!(refused.what.contains("keyward agent tpm"), "{}", refused.what);
    let code = invite_for(&mut site, Some(pump.fingerprint().to_uppercase()));
    let (real, own) = (pump.evidence("pump-1", &site), thief.evidence("pump-1", &site));
    let mut link = Link { site: &mut site, code, expected: None };
    assert_eq!(link.ask(&thief.request(None, 0))["error"], "evidence");
    let [told] = &link.site.admin.incidents()[..] else { panic!("it is an incident") };
    assert!(told.contains("pump-1 came without evidence of the TPM that it is for"), "{told}");
    for level in [0, 2, 3] {
        assert!(link.is_not_believed(&thief.request(None, level)).contains("a certain TPM"));
    }
    let csr_alone = json!({ "csr": thief.tls_request() });
    link.is_not_believed(&csr_alone);
    let request = thief.request(Some(&own), 3);
    let challenged = link.ask(&request);
    let answer = thief.activated(request, &challenged);
    assert!(!link.is_not_believed(&answer).contains(&pump.fingerprint()), "he need not know which");
    let request = pump.request(Some(&real), 3);
    let challenged = link.ask(&request);
    assert_eq!(link.ask(&pump.activated(request, &challenged))["result"], "certified");
    let tpm = message_keys(&mut site)[0].tpm.clone();
    assert_eq!(tpm, Some(TpmRow { fingerprint: pump.fingerprint(), named: true }));
}
