use super::*;
use crate::keys::SystemRandom;
use keyward_envelope::software::{P256Agreement, P256Key};
use keyward_envelope::{
    Cipher, Claims, Message, Signer, sign, sign_for_group, sign_for_recipient, sign_grant, sign_key_set,
};

const NOW: u64 = 1_795_000_000;
const INSTALLATION: &str = "k7m2q9xw4hp3a8cd";

fn key(secret: u8) -> P256Key {
    P256Key::from_secret(&[secret; 32]).unwrap()
}

fn context<'a>(direction: Direction<'a>, topic: &'a str) -> Context<'a> {
    Context { direction, installation: INSTALLATION, topic, correlation: None }
}

fn key_set(root: u8, version: u64, keys: &[u8], expires: u64) -> Vec<u8> {
    let keys: Vec<_> = keys.iter().map(|secret| (key(*secret).public(), Purpose::Sign)).collect();
    let claims = Claims::issued_at(Sequence(version), NOW).until(expires);
    let mut out = vec![0; 2_048];
    let context = context(Direction::All, KEY_SET_TOPIC);
    let len = sign_key_set(&keys, claims, &context, &mut key(root), &mut out).unwrap();
    out.truncate(len);
    out
}

fn command(signer: u8, device: &str, topic: &str, claims: Claims) -> Vec<u8> {
    let mut out = vec![0; 512];
    let message = Message { claims, format: Some(Format::JSON), payload: b"{\"valve\":\"open\"}" };
    let context = context(Direction::Down { device }, topic);
    let len = sign(&message, &context, &mut key(signer), &mut out).unwrap();
    out.truncate(len);
    out
}

/// A device that pins key 1 and knows key 2.
fn master() -> Master {
    let mut cose = [0; 128];
    let len = key(1).public().to_cose(Purpose::Sign, &mut cose).unwrap();
    let (device, installation) = ("Pump-1".parse().unwrap(), INSTALLATION.parse().unwrap());
    let mut master = Master::new(device, installation, Some(&cose[..len]));
    assert_eq!(master.learn(&key_set(1, 5, &[2], NOW + 99), Some(NOW)), Ok(true));
    master
}

fn judge(bytes: &[u8], topic: &str) -> Result<Command, Disobeyed> {
    master().judge(topic, bytes, None, Some(NOW), None, &mut OpensNothing)
}

#[test]
fn what_the_server_signed_for_this_device_and_topic_just_now_is_obeyed() {
    let bytes = command(2, "pump-1", "pump-1/set", Claims::issued_at(Sequence(7), NOW));
    let obeyed = judge(&bytes, "pump-1/set").unwrap();
    assert_eq!((obeyed.payload.as_slice(), obeyed.number), (b"{\"valve\":\"open\"}".as_slice(), Sequence(7)));
    assert_eq!((obeyed.signer, obeyed.format), (key(2).kid(), Some(50)));
}

#[test]
fn everything_else_is_not_obeyed() {
    let fresh = Claims::issued_at(Sequence(7), NOW);
    let topic = "pump-1/set";
    let refused = |bytes: &[u8]| judge(bytes, topic).unwrap_err();
    assert_eq!(refused(b"open"), Disobeyed::Unsigned);
    assert_eq!(refused(&command(3, "pump-1", topic, fresh)), Disobeyed::OtherKey);
    assert_eq!(
        refused(&command(1, "pump-1", topic, fresh)),
        Disobeyed::OtherKey,
        "the pinned key signs key sets alone"
    );
    assert_eq!(refused(&command(2, "pump-2", topic, fresh)), Disobeyed::Signature);
    assert_eq!(refused(&command(2, "pump-1", "pump-1/other", fresh)), Disobeyed::Signature);
    let old = Claims::issued_at(Sequence(7), NOW - 61);
    assert_eq!(refused(&command(2, "pump-1", topic, old)), Disobeyed::Stale(Stale::TooOld));
    let over = old.until(NOW - 1);
    assert_eq!(refused(&command(2, "pump-1", topic, over)), Disobeyed::Stale(Stale::Expired));
    assert!(judge(&command(2, "pump-1", topic, old.until(NOW)), topic).is_ok());
    let mut changed = command(2, "pump-1", topic, fresh);
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&changed), Disobeyed::Signature);
}

#[test]
fn a_command_with_a_nonce_is_for_the_session_that_gave_it_out() {
    let nonce = Nonce::new(&[7; 8]).unwrap();
    let bytes = command(2, "pump-1", "t", Claims::in_session(Sequence(7), nonce));
    let judge = |nonce: Option<Nonce>| {
        master().judge("t", &bytes, None, None, nonce.as_ref(), &mut OpensNothing).map(drop)
    };
    assert_eq!(judge(Some(nonce)), Ok(()));
    assert_eq!(judge(None), Err(Disobeyed::Stale(Stale::OtherSession)));
    assert_eq!(judge(Nonce::new(&[8; 8])), Err(Disobeyed::Stale(Stale::OtherSession)));
}

#[test]
fn a_key_set_is_replaced_by_a_newer_one_alone() {
    let mut master = master();
    assert_eq!(master.learn(&key_set(1, 4, &[3], NOW + 99), Some(NOW)), Err(BadKeySet::Older));
    assert_eq!(master.learn(&key_set(1, 5, &[2], NOW + 99), Some(NOW)), Ok(false));
    assert_eq!(master.learn(&key_set(2, 6, &[3], NOW + 99), Some(NOW)), Err(BadKeySet::Foreign));
    assert_eq!(master.learn(&key_set(1, 6, &[3], NOW - 1), Some(NOW)), Err(BadKeySet::Expired));
    assert_eq!(master.learn(&key_set(1, 6, &[3], NOW + 99), Some(NOW)), Ok(true));
    let old = command(2, "pump-1", "t", Claims::issued_at(Sequence(1), NOW));
    assert_eq!(master.judge("t", &old, None, Some(NOW), None, &mut OpensNothing), Err(Disobeyed::OtherKey));
    assert_eq!(master.version(), Some(Sequence(6)));
}

/// Who stole a command key, and keeps the newer key sets from the device, is obeyed no longer than the last set that came is good.
#[test]
fn keys_that_have_expired_are_not_obeyed_although_nothing_newer_came() {
    let judge = |now: Option<u64>, claims: Claims| {
        let bytes = command(2, "pump-1", "t", claims);
        let nonce = Nonce::new(&[7; 8]);
        master().judge("t", &bytes, None, now, nonce.as_ref(), &mut OpensNothing).map(drop)
    };
    let dated = |now: u64| judge(Some(now), Claims::issued_at(Sequence(1), now));
    assert_eq!(dated(NOW + 99), Ok(()));
    assert_eq!(dated(NOW + 100), Err(Disobeyed::OldKeys));
    let in_session = Claims::in_session(Sequence(1), Nonce::new(&[7; 8]).unwrap());
    assert_eq!(judge(Some(NOW + 100), in_session), Err(Disobeyed::OldKeys));
    assert_eq!(judge(None, in_session), Ok(()), "without a clock nobody knows");
}

#[test]
fn a_device_without_a_pinned_key_obeys_nobody() {
    let (device, installation) = ("pump-1".parse().unwrap(), INSTALLATION.parse().unwrap());
    let mut free = Master::new(device, installation, None);
    assert_eq!(free.learn(&key_set(1, 5, &[2], NOW + 99), Some(NOW)), Err(BadKeySet::Foreign));
    let bytes = command(2, "pump-1", "t", Claims::issued_at(Sequence(1), NOW));
    assert_eq!(free.judge("t", &bytes, None, Some(NOW), None, &mut OpensNothing), Err(Disobeyed::NoKeys));
}

/// A device that opens what is encrypted to this secret key, and what is said under this key of a group.
struct Keyring(P256Agreement, Option<GroupKey>);

fn keyring(secret: u8, group: Option<GroupKey>) -> Keyring {
    Keyring(P256Agreement::from_secret(&[secret; 32]).unwrap(), group)
}

impl Opens for Keyring {
    fn own(&mut self) -> Option<&mut dyn Agreement> {
        Some(&mut self.0)
    }

    fn group(&self, epoch: Epoch) -> Option<GroupKey> {
        self.1.clone().filter(|key| key.epoch() == epoch)
    }
}

fn plant(epoch: u32) -> GroupKey {
    GroupKey::new("plant", Epoch(epoch), &[9; 16]).unwrap()
}

const SAID: Message<'_> = Message {
    claims: Claims { sequence: Sequence(7), issued: Some(NOW), expires: None, nonce: None },
    format: Some(Format::JSON),
    payload: b"4711",
};

#[test]
fn a_command_for_the_device_alone_or_for_its_group_is_opened_and_for_another_is_not_obeyed() {
    let context = context(Direction::Down { device: "pump-1" }, "t");
    let mut out = vec![0; 512];
    let to = P256Agreement::from_secret(&[5; 32]).unwrap().public();
    let len = sign_for_recipient(&SAID, &context, &mut key(2), &to, &mut SystemRandom, &mut out).unwrap();
    let judge = |bytes: &[u8], opens: &mut dyn Opens| {
        let obeyed = master().judge("t", bytes, None, Some(NOW), None, opens);
        obeyed.map(|command| (command.payload, command.format))
    };
    let opened = Ok((b"4711".to_vec(), Some(50)));
    assert_eq!(judge(&out[..len], &mut keyring(5, None)), opened);
    assert_eq!(judge(&out[..len], &mut keyring(6, None)), Err(Disobeyed::Sealed));
    assert_eq!(judge(&out[..len], &mut OpensNothing), Err(Disobeyed::Sealed));
    let len = sign_for_group(&SAID, &context, &mut key(2), &plant(3), Cipher::Gcm, &mut out).unwrap();
    assert_eq!(judge(&out[..len], &mut keyring(5, Some(plant(3)))), Err(Disobeyed::Signature), "said to one");
    let context = self::context(Direction::All, "t");
    let len = sign_for_group(&SAID, &context, &mut key(2), &plant(3), Cipher::Gcm, &mut out).unwrap();
    assert_eq!(judge(&out[..len], &mut keyring(5, Some(plant(3)))), opened);
    assert_eq!(judge(&out[..len], &mut keyring(5, Some(plant(4)))), Err(Disobeyed::Sealed));
}

#[test]
fn what_is_said_to_a_group_is_judged_by_its_date_and_in_the_clear_it_is_no_command() {
    let context = context(Direction::All, "t");
    let (mut out, mut keys) = (vec![0; 512], keyring(5, Some(plant(3))));
    let nonce = Nonce::new(&[7; 8]).unwrap();
    let tied = Message { claims: Claims { nonce: Some(nonce), ..SAID.claims }, ..SAID };
    let len = sign_for_group(&tied, &context, &mut key(2), &plant(3), Cipher::Gcm, &mut out).unwrap();
    let judged = master().judge("t", &out[..len], None, Some(NOW), Some(&nonce), &mut keys);
    assert_eq!(judged.map(drop), Err(Disobeyed::Stale(Stale::OtherSession)), "a nonce is one device's");
    let len = sign_for_group(&SAID, &context, &mut key(2), &plant(3), Cipher::Gcm, &mut out).unwrap();
    let judged = master().judge("t", &out[..len], None, None, Some(&nonce), &mut keys);
    assert_eq!(judged.map(drop), Err(Disobeyed::Stale(Stale::NoClock)));
    let len = sign(&SAID, &context, &mut key(2), &mut out).unwrap();
    let judged = master().judge("t", &out[..len], None, Some(NOW), None, &mut keys);
    assert_eq!(judged.map(drop), Err(Disobeyed::Signature));
}

#[test]
fn a_key_of_a_group_is_taken_from_the_server_alone_and_from_the_place_where_it_belongs() {
    let grant = |signer: u8, to: u8, topic: &str| {
        let context = context(Direction::Down { device: "pump-1" }, topic);
        let claims = Claims::issued_at(Sequence(1), 1);
        let to = P256Agreement::from_secret(&[to; 32]).unwrap().public();
        let (mut out, mut random) = (vec![0; 512], SystemRandom);
        let len =
            sign_grant(&plant(3), claims, &context, &mut key(signer), &to, &mut random, &mut out).unwrap();
        out.truncate(len);
        out
    };
    let granted = |topic: &str, bytes: &[u8], known: Option<GroupKey>| {
        let granted = master().granted(topic, bytes, Some(NOW), &mut keyring(5, known));
        granted.map(|key| key.map(|key| (key.group().to_owned(), key.epoch(), *key.expose_secret())))
    };
    let topic = "$keyward/keys/plant/3/pump-1";
    let good = grant(2, 5, topic);
    assert_eq!(
        granted(topic, &good, None),
        Ok(Some(("plant".to_owned(), Epoch(3), [9; 16]))),
        "however old it is"
    );
    assert_eq!(granted(topic, &good, Some(plant(3))), Ok(None), "it is known");
    assert_eq!(granted(topic, b"", None), Ok(None), "that it was withdrawn nobody signed");
    assert_eq!(granted(topic, &grant(3, 5, topic), None), Err(Disobeyed::OtherKey));
    assert_eq!(granted(topic, &grant(2, 6, topic), None), Err(Disobeyed::Sealed));
    for (elsewhere, problem) in [
        ("$keyward/keys/plant/4/pump-1", Disobeyed::NoGrant),
        ("$keyward/keys/yard/3/pump-1", Disobeyed::NoGrant),
        ("$keyward/keys/plant/x/pump-1", Disobeyed::NoGrant),
        ("$keyward/keys/plant/3/pump-1/more", Disobeyed::NoGrant),
    ] {
        assert_eq!(granted(elsewhere, &grant(2, 5, elsewhere), None), Err(problem), "{elsewhere}");
        assert!(granted(elsewhere, &good, None).is_err(), "{elsewhere}");
    }
}
