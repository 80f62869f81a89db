//! A device renews its certificate, and its key for messages with it, against the registrar itself, in simulated time; the power of the device fails at
//! every step, and the server is killed with it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a story's own vocabulary; a failed step ends it")]

use base64ct::{Base64, Encoding};
use keyward_device::enrol::{Certified, EnrolError, Host, Membership, Rejection, Renewed, renew_by};
use keyward_device::{
    Counter, FileStore, Generation, KeyError, KeyStore, Protection, Role, cose_key, signing_request,
};
use keyward_identity::{
    Account, AddDevice, Claim, Command, Context, InitOptions, IssuedCertificate, KeyProtection, Kid,
    Lifetimes, MessageKey, MessageKeyStatus, NewCredential, OpenOptions, Outcome, Refusal, Registrar,
    Renewal, WallTime,
};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use zeroize::Zeroizing;

const DAY: u64 = 86_400_000;
const BUILD: WallTime = WallTime(1_793_491_200_000);
/// How long certificates are valid here, in days.
const LIFE: u32 = 90;
/// For how many seconds a message key is accepted after another has taken its place.
const OVERLAP: u64 = 7 * 86_400;

/// Is the power of the device: how many steps it lasts, if it is to fail.
#[derive(Debug, Clone, Default)]
struct Power(Arc<Mutex<Option<u32>>>);

impl Power {
    fn fails_after(&self, steps: Option<u32>) {
        *self.0.lock().unwrap() = steps;
    }

    /// Goes one step on; when the power has failed nothing does.
    fn step(&self) -> Result<(), KeyError> {
        match &mut *self.0.lock().unwrap() {
            None => Ok(()),
            Some(0) => Err(KeyError::Foreign),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// Changes something; the power fails before it, or behind it.
    fn change<T>(&self, change: impl FnOnce() -> Result<T, KeyError>) -> Result<T, KeyError> {
        self.step()?;
        let done = change()?;
        self.step().map(|()| done)
    }
}

/// Is a key store whose device may lose its power.
#[derive(Debug)]
struct Fragile {
    store: FileStore,
    power: Power,
}

impl KeyStore for Fragile {
    fn protection(&self) -> Protection {
        self.store.protection()
    }
    fn public(&self, role: Role, generation: Generation) -> Result<[u8; 65], KeyError> {
        self.store.public(role, generation)
    }
    fn sign(&self, role: Role, generation: Generation, digest: &[u8; 32]) -> Result<[u8; 64], KeyError> {
        self.store.sign(role, generation, digest)
    }
    fn agree(&self, generation: Generation, peer: &[u8; 65]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.store.agree(generation, peer)
    }
    fn prepare(&self, role: Role) -> Result<[u8; 65], KeyError> {
        self.power.change(|| self.store.prepare(role))
    }
    fn discard(&self, role: Role) -> Result<(), KeyError> {
        self.power.change(|| self.store.discard(role))
    }
    fn promote(&self, role: Role) -> Result<(), KeyError> {
        self.power.change(|| self.store.promote(role))
    }
    fn wrap(&self, secret: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        self.store.wrap(secret)
    }
    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.store.unwrap(wrapped)
    }
    fn counter(&self, counter: Counter) -> Result<Option<u64>, KeyError> {
        self.store.counter(counter)
    }
    fn raise_counter(&self, counter: Counter) -> Result<Option<u64>, KeyError> {
        self.store.raise_counter(counter)
    }
    fn destroy(&self) -> Result<(), KeyError> {
        self.store.destroy()
    }
}

/// Is a server's ledger and a device, which share the time.
struct Site {
    server: TempDir,
    device: TempDir,
    registrar: Option<Registrar>,
    keys: Option<Arc<dyn KeyStore>>,
    power: Power,
    now: WallTime,
}

fn private_dir() -> TempDir {
    let closed = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(closed).tempdir().unwrap()
}

fn lifetimes() -> Lifetimes {
    Lifetimes { device: LIFE, ..Lifetimes::default() }
}

fn read_message_key(cose: &str) -> MessageKey {
    MessageKey::read(&Base64::decode_vec(cose).unwrap(), 0).unwrap()
}

impl Site {
    /// Makes one whose device is enrolled, with a message key.
    fn new() -> Self {
        let (server, device, now) = (private_dir(), private_dir(), BUILD);
        let registrar = Registrar::create(
            server.path(),
            InitOptions {
                now,
                build_time: BUILD,
                accept_clock: false,
                actor: "story",
                found_names: vec!["gate".parse().unwrap()],
                added_names: Vec::new(),
                protection: KeyProtection::FileMode,
                lifetimes: lifetimes(),
            },
        );
        let power = Power::default();
        let store = FileStore::create(device.path().join("keys")).unwrap();
        let keys: Arc<dyn KeyStore> = Arc::new(Fragile { store, power: power.clone() });
        let mut site =
            Self { server, device, registrar: Some(registrar.unwrap()), keys: Some(keys), power, now };
        site.enrol();
        site
    }

    fn enrol(&mut self) {
        let id = || "pump-1".parse().unwrap();
        let credential = NewCredential::ClaimCode { seconds: 3_600, endorsement: None };
        let added = self.run(Command::AddDevice(AddDevice::new(id(), credential))).unwrap();
        let keys = self.keys();
        let cose = Base64::encode_string(&cose_key(&*keys, Role::Message, Generation::Current).unwrap());
        let claim = Claim {
            id: id(),
            code: added.claim_code.unwrap().code,
            csr: signing_request(&*keys, Generation::Current, None).unwrap().into_bytes(),
            message_key: Some(read_message_key(&cose)),
            proof: None,
            agreement_key: None,
            lifetime_days: None,
        };
        let issued = self.run(Command::Claim(claim)).unwrap().certificate.unwrap();
        let certified = self.answer(issued);
        let public = |role| keys.public(role, Generation::Current).unwrap().to_vec();
        let membership = Membership {
            device: certified.device,
            installation: certified.installation,
            hosts: vec![Host { name: "gate".into(), port: 8883 }],
            certificate: certified.certificate,
            server_root: certified.server_root,
            expires: certified.expires,
            renew_from: certified.renew_from,
            installation_key: None,
            key_set: None,
            tls_key: public(Role::Tls),
            message_key: Some(public(Role::Message)),
            vouched: false,
        };
        membership.save(self.device.path()).unwrap();
    }

    fn registrar(&self) -> &Registrar {
        self.registrar.as_ref().unwrap()
    }

    fn keys(&self) -> Arc<dyn KeyStore> {
        Arc::clone(self.keys.as_ref().unwrap())
    }

    fn membership(&self) -> Membership {
        Membership::load(self.device.path()).unwrap()
    }

    fn account(&self) -> Account {
        let account = self.registrar().registry().find(&"device:pump-1".parse().unwrap()).cloned();
        Account::clone(&account.unwrap())
    }

    fn run(&mut self, command: Command) -> Result<Outcome, Refusal> {
        let context = Context { now: self.now, actor: "story" };
        self.registrar.as_mut().unwrap().execute(command, context)
    }

    fn answer(&self, issued: IssuedCertificate) -> Certified {
        let account = self.account();
        let held = account.certificates.iter().find(|held| held.serial == issued.serial).unwrap();
        Certified {
            device: "pump-1".parse().unwrap(),
            installation: self.registrar().registry().installation().clone(),
            certificate: issued.chain_pem,
            server_root: self.registrar().ca_pem(),
            expires: held.not_after.as_secs(),
            renew_from: held.due().as_secs(),
            installation_key: None,
            key_set: None,
        }
    }

    /// Decides what the device applies for, by its current certificate.
    fn decide(&mut self, request: &[u8]) -> Result<Certified, EnrolError> {
        let request: serde_json::Value = serde_json::from_slice(request).unwrap();
        let key = self.keys().public(Role::Tls, Generation::Current).unwrap();
        assert_eq!(key.as_slice(), self.membership().tls_key, "it shows the certificate that it keeps");
        let message_key =
            request.get("message_key").map(|sent| read_message_key(sent["cose"].as_str().unwrap()));
        let (identity, csr) = ("device:pump-1".parse().unwrap(), request["csr"].as_str().unwrap().into());
        let serial = self.serial();
        let renewal = Renewal { message_key, overlap_secs: OVERLAP, ..Renewal::new(identity, serial, csr) };
        let decided = self.run(Command::Renew(renewal));
        let refused =
            |rejection, refusal: Refusal| EnrolError::Refused { rejection, what: refusal.to_string() };
        match decided {
            Ok(outcome) => Ok(self.answer(outcome.certificate.unwrap())),
            Err(refusal @ Refusal::RenewalEarly { .. }) => Err(refused(Rejection::Early, refusal)),
            Err(refusal @ (Refusal::TooManyMessageKeys { .. } | Refusal::NoRotation { .. })) => {
                Err(refused(Rejection::Key, refusal))
            }
            Err(refusal) => panic!("{refusal}"),
        }
    }

    /// Returns the number of the certificate that the device keeps.
    fn serial(&self) -> keyward_ids::CertSerial {
        let expires = self.membership().expires;
        let held = self.account().certificates;
        let held: Vec<_> = held.into_iter().filter(|held| held.not_after.as_secs() == expires).collect();
        assert_eq!(held.len(), 1, "the certificate that the device keeps opens the door");
        held.into_iter().next().unwrap().serial
    }

    /// Lets the device renew, with power for so many steps.
    fn renews(&mut self, steps: Option<u32>) -> Result<Renewed, EnrolError> {
        let (keys, power, folder) = (self.keys(), self.power.clone(), self.device.path().to_owned());
        power.fails_after(steps);
        let renewed = renew_by(&self.membership(), &keys, &folder, |request| {
            power.step()?;
            let certified = self.decide(request)?;
            power.step()?;
            Ok(certified)
        })?;
        renewed.membership.settle(&*keys)?;
        Ok(renewed)
    }

    /// Lets both begin again with what they had on disk.
    fn restart(&mut self) {
        (self.registrar, self.keys) = (None, None);
        let options =
            OpenOptions { build_time: BUILD, protection: KeyProtection::FileMode, lifetimes: lifetimes() };
        self.registrar = Some(Registrar::open(self.server.path(), options).unwrap());
        self.power.fails_after(None);
        let store = FileStore::open(self.device.path().join("keys")).unwrap();
        self.keys = Some(Arc::new(Fragile { store, power: self.power.clone() }));
        self.membership().settle(&*self.keys()).unwrap();
    }

    /// Logs in by the certificate that is kept.
    fn logs_in(&mut self) {
        let key = self.keys().public(Role::Tls, Generation::Current).unwrap();
        assert_eq!(key.as_slice(), self.membership().tls_key);
        assert!(self.now.as_secs() < self.membership().expires);
        let (identity, serial) = ("device:pump-1".parse().unwrap(), self.serial());
        self.run(Command::Succeed { identity, serial, overlap_secs: OVERLAP }).unwrap();
    }

    /// Returns the name of the key by which the device signs now.
    fn signs_by(&self) -> Kid {
        let cose = cose_key(&*self.keys(), Role::Message, Generation::Current).unwrap();
        MessageKey::read(&cose, 0).unwrap().kid()
    }

    fn is_accepted(&self, kid: Kid) -> bool {
        let held = self.account().message_keys;
        let status = held.iter().find(|held| held.key.kid() == kid).map(|held| held.status(self.now));
        status.is_some_and(|status| !matches!(status, MessageKeyStatus::Retired { .. }))
    }
}

#[test]
fn wherever_the_power_fails_the_device_speaks_on_and_what_it_signed_before_is_accepted() {
    for steps in 0.. {
        let mut site = Site::new();
        let (first, old) = (site.signs_by(), site.membership());
        site.now = WallTime(old.renew_from * 1_000 + 999);
        let whole = site.renews(Some(steps)).is_ok();
        site.restart();
        assert!(site.is_accepted(site.signs_by()) && site.is_accepted(first), "{steps} steps");
        site.logs_in();
        assert!(site.is_accepted(site.signs_by()) && site.is_accepted(first), "{steps} steps");
        if site.membership() == old {
            assert_eq!(site.signs_by(), first, "{steps} steps");
            site.renews(None).unwrap();
            site.logs_in();
        }
        assert!(site.signs_by() != first && site.is_accepted(site.signs_by()), "{steps} steps");
        assert_eq!(
            site.account().certificates.len(),
            1,
            "the old one ended with the first use of the new one"
        );
        assert_eq!(site.account().message_keys.len(), 2, "{steps} steps: no key was left over");
        site.now.0 += OVERLAP * 1_000 - 1;
        assert!(site.is_accepted(first), "what waited in the device for as long as it may");
        site.now.0 += 1;
        assert!(!site.is_accepted(first));
        if whole {
            assert!(steps >= 10, "the power failed before and behind each of five steps");
            return;
        }
    }
}

#[test]
fn a_device_renews_from_two_thirds_of_its_certificates_life_on_for_years_and_with_a_power_cut_each_time() {
    let mut site = Site::new();
    let (mut renewals, mut keys) = (0, vec![site.signs_by()]);
    while site.now.0 < BUILD.0 + 4 * 365 * DAY {
        site.now.0 += DAY / 4;
        let kept = site.membership();
        if site.now.as_secs() < kept.renew_from {
            let early = site.renews(None);
            assert!(matches!(early, Err(EnrolError::Refused { rejection: Rejection::Early, .. })));
            continue;
        }
        // Another step each time.
        let _ = site.renews(Some(renewals % 12));
        site.restart();
        if site.membership() == kept {
            site.logs_in();
            site.renews(None).unwrap();
        }
        site.logs_in();
        assert!(!keys.contains(&site.signs_by()) && site.is_accepted(site.signs_by()));
        keys.push(site.signs_by());
        assert_eq!(site.account().certificates.len(), 1);
        renewals += 1;
    }
    assert!((23..=25).contains(&renewals), "once in sixty days: {renewals}");
}

/// The broker does not take it: it is kept less well than the one before, say.
#[test]
fn a_certificate_does_not_wait_for_another_key_for_messages() {
    let mut site = Site::new();
    let first = site.signs_by();
    let kids: Vec<MessageKey> = (1..=3).map(key_of_another_program).collect();
    for key in kids {
        let identity = "device:pump-1".parse().unwrap();
        site.run(Command::RegisterMessageKey { identity, key }).unwrap();
    }
    site.now = WallTime(site.membership().renew_from * 1_000 + 999);
    let renewed = site.renews(None).unwrap();
    assert!(renewed.same_message_key.is_some_and(|why| why.contains("as many as it may")));
    site.restart();
    site.logs_in();
    assert!(site.signs_by() == first && site.is_accepted(first));
    assert_eq!(site.account().certificates.len(), 1);
}

/// Nothing of an answer that is another's is kept, though it comes from the server.
#[test]
fn an_answer_for_another_device_or_from_elsewhere_is_not_believed() {
    let mut site = Site::new();
    let kept = site.membership();
    site.now = WallTime(kept.renew_from * 1_000 + 999);
    let (keys, folder) = (site.keys(), site.device.path().to_owned());
    let changes: [fn(&mut Certified); 3] = [
        |answer| answer.device = "pump-2".parse().unwrap(),
        |answer| answer.installation = "aaaaaaaaaaaaaaaa".parse().unwrap(),
        |answer| answer.server_root = String::new(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let refused = renew_by(&kept, &keys, &folder, |request| {
            let mut answer = site.decide(request)?;
            change(&mut answer);
            Ok(answer)
        });
        assert!(matches!(refused, Err(EnrolError::Mismatch(_))), "{number}: {refused:?}");
        assert_eq!(site.membership(), kept);
    }
}

/// Returns an Ed25519 key.
fn key_of_another_program(n: u8) -> MessageKey {
    let spki =
        [[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00].as_slice(), &[n; 32]];
    let text = Base64::encode_string(&spki.concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
    MessageKey::read_file(pem.as_bytes(), 0).unwrap()
}
