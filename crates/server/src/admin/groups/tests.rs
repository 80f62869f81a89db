//! Groups as an operator sees them, and the grants that members find.

use crate::{
    admin::{
        Admin,
        fixture::{Fixture, fixture},
    },
    control::{
        Addressee, Der, DeviceAdd, GroupDetail, NewCredential, NewPassword, Request, Response, SealCommand,
    },
    grants::Granting,
    installation,
    server_keys::{self, System},
};
use keyward_envelope::{
    Content, Context as Spoken, Direction, Epoch, GroupKey, KeySet, OpenError, PublicKey, Purpose, inspect,
    open_grant, software::P256Agreement,
};
use keyward_identity::{AgreementKey, Command, Context, GroupAges};
use std::{cell::RefCell, collections::BTreeMap, sync::Mutex};

fn say(fixture: &mut Fixture, request: Request) -> Vec<String> {
    match fixture.admin.execute(request) {
        Ok(Response::Changed(changed)) => std::iter::once(changed.what).chain(changed.notes).collect(),
        Ok(_) => Vec::new(),
        Err(refusal) => vec![refusal.what],
    }
}

fn shown(fixture: &mut Fixture) -> GroupDetail {
    match fixture.admin.execute(Request::GroupShow { name: "plant".into() }) {
        Ok(Response::Group(detail)) => *detail,
        _ => panic!("no group"),
    }
}

fn device(fixture: &mut Fixture, id: &str) {
    let add = DeviceAdd::new(id, NewCredential::Password(NewPassword::Generated));
    fixture.admin.execute(Request::DeviceAdd(add)).map(drop).unwrap();
}

/// Registers a key to encrypt to for a device, and returns its other half.
fn agree(fixture: &mut Fixture, id: &str) -> P256Agreement {
    let secret = P256Agreement::generate(&mut System).unwrap();
    let mut cose = vec![0; 128];
    let len = secret.public().to_cose(Purpose::Agree, &mut cose).unwrap();
    let key = AgreementKey::read(&cose[..len]).unwrap();
    let identity = format!("device:{id}").parse().unwrap();
    let context = Context { now: installation::wall_time(), actor: "test" };
    fixture.admin.registrar.execute(Command::RegisterAgreementKey { identity, key }, context).unwrap();
    secret
}

#[test]
fn a_member_without_a_key_is_told_and_named() {
    let mut fixture = fixture();
    ["pump-1", "pump-2"].iter().for_each(|id| device(&mut fixture, id));
    agree(&mut fixture, "pump-1");
    say(&mut fixture, Request::GroupCreate { name: "plant".into() });
    let who = vec!["pump-1".into(), "device:pump-2".into()];
    let told = say(&mut fixture, Request::GroupAdd { name: "plant".into(), who });
    assert_eq!(told[0], "2 members are in the group plant.");
    assert!(told[1].starts_with("device:pump-2 gets no key: it has no key to encrypt to"), "{told:?}");
    let detail = shown(&mut fixture);
    assert_eq!((detail.group.members, detail.group.without_key), (2, 1));
    assert!(detail.who[0].key.is_some() && detail.who[1].without.is_some());
    let told = say(&mut fixture, Request::GroupRemove { name: "plant".into(), who: vec!["pump-2".into()] });
    assert!(told[1].contains("keeps its key"), "{told:?}");
    let told = say(&mut fixture, Request::GroupRemove { name: "plant".into(), who: vec!["pump-1".into()] });
    assert!(told[1].contains("another key"), "{told:?}");
    assert_eq!(shown(&mut fixture).epochs.len(), 2);
}

#[test]
fn a_key_that_is_handed_out_stands_in_the_audit_and_not_its_digits() {
    let mut fixture = fixture();
    say(&mut fixture, Request::GroupCreate { name: "plant".into() });
    let ask = Request::GroupKey { name: "plant".into(), epoch: None };
    let Ok(Response::GroupKey(answer)) = fixture.admin.execute(ask) else { panic!("no key") };
    assert_eq!((answer.epoch, answer.key.expose().len()), (1, 32));
    let audit = fixture.audit().join("\n");
    assert!(audit.contains("key 1 of the group plant handed out"), "{audit}");
    assert!(!audit.contains(answer.key.expose()));
    let none = say(&mut fixture, Request::GroupKey { name: "plant".into(), epoch: Some(9) });
    assert!(none[0].contains("has no key of epoch 9"), "{none:?}");
    let missing = say(&mut fixture, Request::GroupShow { name: "hall".into() });
    assert!(missing[0].contains("there is no group hall"), "{missing:?}");
}

/// Says `shut` to somebody on `plant/set`, signed by the command key; returns the message, or why there is none.
fn seal(fixture: &mut Fixture, to: Addressee) -> Result<Vec<u8>, String> {
    let (topic, payload) = ("plant/set".to_owned(), Der(b"shut".to_vec()));
    let seal = SealCommand {
        to,
        topic,
        correlation: None,
        valid_secs: Some(60),
        nonce: None,
        format: None,
        payload,
    };
    match fixture.admin.execute(Request::SealCommand(Box::new(seal))) {
        Ok(Response::Sealed(sealed)) => Ok(sealed.message.0),
        Ok(_) => panic!("no message"),
        Err(refusal) => Err(refusal.what),
    }
}

/// Opens what was sealed as somebody does who knows the command key and `open`s what is inside.
fn heard(
    fixture: &Fixture,
    message: &[u8],
    direction: Direction<'_>,
    open: impl FnOnce(Content<'_>, &mut [u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let registrar = &fixture.admin.registrar;
    let (key, _) = PublicKey::from_cose(&registrar.server_keys().commands()[0].key.cose()).unwrap();
    let installation = registrar.registry().installation().to_string();
    let context = Spoken { direction, installation: &installation, topic: "plant/set", correlation: None };
    let found = inspect(message).unwrap();
    let verified = found.verify(&key, &context).ok()?;
    open(verified.content().unwrap(), &mut [0; 256])
}

#[test]
fn what_is_said_to_a_group_opens_with_its_newest_key_alone() {
    let mut fixture = fixture();
    say(&mut fixture, Request::GroupCreate { name: "plant".into() });
    say(&mut fixture, Request::GroupRotate { name: "plant".into() });
    let message = seal(&mut fixture, Addressee::Group("PLANT".into())).unwrap();
    assert!(!message.windows(4).any(|window| window == b"shut"), "it is encrypted");
    let with = |epoch: u32, direction: Direction<'_>| {
        let keys = fixture.admin.registrar.group_keys();
        let key = GroupKey::new("plant", Epoch(epoch), keys.get(epoch).unwrap()).unwrap();
        heard(&fixture, &message, direction, |content, out| match content {
            Content::ForGroup(sealed) => sealed.open(&key, out).ok().map(<[u8]>::to_vec),
            _ => None,
        })
    };
    assert_eq!(with(2, Direction::All).as_deref(), Some(b"shut".as_slice()));
    assert_eq!(with(1, Direction::All), None, "who is out has the old key");
    assert_eq!(with(2, Direction::Down { device: "pump-1" }), None, "it is for no device by itself");
    assert!(fixture.audit().concat().contains("to the group plant, key 2, on 'plant/set'"));
}

#[test]
fn what_is_encrypted_for_a_device_opens_with_its_newest_key_alone() {
    let mut fixture = fixture();
    device(&mut fixture, "pump-1");
    let refused = seal(&mut fixture, Addressee::DeviceAlone("pump-1".into())).unwrap_err();
    assert!(refused.contains("keyward keys add device:pump-1 FILE --purpose encrypt"), "{refused}");
    let (mut old, mut new) = (agree(&mut fixture, "pump-1"), agree(&mut fixture, "pump-1"));
    let message = seal(&mut fixture, Addressee::DeviceAlone("PUMP-1".into())).unwrap();
    assert!(!message.windows(4).any(|window| window == b"shut"), "it is encrypted");
    let with = |key: &mut P256Agreement| {
        heard(&fixture, &message, Direction::Down { device: "pump-1" }, |content, out| match content {
            Content::ForRecipient(sealed) => sealed.open(key, out).ok().map(<[u8]>::to_vec),
            _ => None,
        })
    };
    assert_eq!(with(&mut old), None);
    assert_eq!(with(&mut new).as_deref(), Some(b"shut".as_slice()));
}

/// What lies retained below `$keyward/keys/`, and who puts it there.
struct Broker {
    admin: Mutex<Admin>,
    granting: Granting,
    retained: BTreeMap<String, Vec<u8>>,
    _folder: tempfile::TempDir,
}

impl Broker {
    /// Works until nothing is left to do; returns how many grants were made.
    fn work(&mut self) -> usize {
        let mut made = 0;
        loop {
            let told = RefCell::new(Vec::new());
            self.granting.work(&self.admin, "test", &|values| told.borrow_mut().extend(values));
            let told = told.into_inner();
            if told.is_empty() {
                return made;
            }
            for (topic, payload) in told {
                match payload.is_empty() {
                    true => assert!(self.retained.remove(&topic).is_some(), "{topic}"),
                    false => {
                        made += 1;
                        self.retained.insert(topic, payload);
                    }
                }
            }
        }
    }

    fn ask(&self, request: Request) {
        let mut admin = self.admin.lock().unwrap();
        admin.execute(request).map(drop).unwrap();
    }

    fn topics(&self) -> Vec<&str> {
        self.retained.keys().map(String::as_str).collect()
    }

    /// Reads a grant as its member does, which pins the installation key.
    fn open(&self, topic: &str, member: &str, secret: &mut P256Agreement) -> Result<[u8; 16], OpenError> {
        let admin = self.admin.lock().unwrap();
        let registry = admin.registrar.registry();
        let installation = registry.installation().as_str();
        let believed = server_keys::for_devices(&admin.registrar).unwrap();
        let (root, _) = PublicKey::from_cose(&believed.installation_key).unwrap();
        let spoken = |direction, topic| Spoken { direction, installation, topic, correlation: None };
        let set = believed.key_set.unwrap();
        let set =
            inspect(&set).unwrap().verify(&root, &spoken(Direction::All, "$keyward/keys/server")).unwrap();
        let set = KeySet::read(&set).unwrap();
        let grant = inspect(&self.retained[topic]).unwrap();
        let by = set.find(grant.kid(), Purpose::Sign).expect("it is signed by a key of the set");
        let verified = grant.verify(by, &spoken(Direction::Down { device: member }, topic)).unwrap();
        open_grant(&verified, secret).map(|key| *key.expose_secret())
    }
}

fn broker(fixture: Fixture) -> Broker {
    let Fixture { mut admin, _folder, .. } = fixture;
    server_keys::keep(&mut admin.registrar, installation::wall_time(), "test").unwrap();
    let (admin, retained) = (Mutex::new(admin), BTreeMap::new());
    Broker { admin, granting: Granting::default(), retained, _folder }
}

fn group_of(fixture: &mut Fixture, members: &[&str]) {
    say(fixture, Request::GroupCreate { name: "plant".into() });
    let who = members.iter().map(|id| (*id).to_owned()).collect();
    say(fixture, Request::GroupAdd { name: "plant".into(), who });
}

#[test]
fn a_member_opens_its_grant_and_who_was_taken_out_finds_none_of_the_next_key() {
    let mut fixture = fixture();
    ["pump-1", "pump-2"].iter().for_each(|id| device(&mut fixture, id));
    let (mut one, mut two) = (agree(&mut fixture, "pump-1"), agree(&mut fixture, "pump-2"));
    group_of(&mut fixture, &["pump-1", "pump-2"]);
    let mut broker = broker(fixture);
    assert_eq!(broker.work(), 2);
    assert_eq!(broker.topics(), ["$keyward/keys/plant/1/pump-1", "$keyward/keys/plant/1/pump-2"]);
    let first = broker.open("$keyward/keys/plant/1/pump-1", "pump-1", &mut one).unwrap();
    assert_eq!(broker.open("$keyward/keys/plant/1/pump-2", "pump-2", &mut two), Ok(first));
    assert_eq!(broker.open("$keyward/keys/plant/1/pump-2", "pump-2", &mut one), Err(OpenError::OtherKey));
    assert_eq!(broker.work(), 0, "nothing is made twice");

    let revoke =
        crate::control::DeviceRevoke { id: "pump-1".into(), keep_messages: false, publish_will: false };
    broker.ask(Request::DeviceRevoke(revoke));
    assert_eq!(broker.work(), 1);
    let both = ["$keyward/keys/plant/1/pump-2", "$keyward/keys/plant/2/pump-2"];
    assert_eq!(broker.topics(), both, "of the old key and the new one, for who is left");
    assert_ne!(broker.open(both[1], "pump-2", &mut two).unwrap(), first);
    broker.ask(Request::GroupDelete { name: "plant".into() });
    broker.work();
    assert!(broker.retained.is_empty());
}

#[test]
fn a_key_that_is_replaced_gets_the_grants_anew_and_old_epochs_go() {
    let mut fixture = fixture();
    device(&mut fixture, "pump-1");
    let mut old = agree(&mut fixture, "pump-1");
    group_of(&mut fixture, &["pump-1"]);
    let mut new = agree(&mut fixture, "pump-1");
    let mut broker = broker(fixture);
    broker.work();
    let topic = "$keyward/keys/plant/1/pump-1";
    assert!(broker.open(topic, "pump-1", &mut new).is_ok());
    assert_eq!(broker.open(topic, "pump-1", &mut old), Err(OpenError::OtherKey), "the newest key is taken");
    broker.ask(Request::GroupRotate { name: "plant".into() });
    assert_eq!((broker.work(), broker.topics().len()), (1, 2));
    broker.ask(Request::KeysRotateCommand { lead_secs: 0, overlap_secs: 0 });
    assert_eq!(broker.work(), 2, "they are signed by the key of the day");
    assert!(broker.open(topic, "pump-1", &mut new).is_ok());
    let ages = GroupAges { rotate_secs: 1_000_000, keep_secs: 0 };
    let context = Context { now: installation::wall_time(), actor: "test" };
    broker.admin.lock().unwrap().registrar.execute(Command::KeepGroups(ages), context).unwrap();
    broker.work();
    assert_eq!(broker.topics(), ["$keyward/keys/plant/2/pump-1"]);
}
