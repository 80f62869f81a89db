//! A link that was opened with a claim code, or to renew a certificate, can apply for a certificate and do nothing else.

use crate::peer::{Hello, Peer, encode, publish, subscribe, tls_config};
use crate::world::{Bundle, PATIENCE, World, bundle, device, now};
use keyward_identity::{Claim, Command, KeySource, NewCredential, Renewal, WallTime};
use keyward_ids::{Identity, Kind};
use keyward_mqtt::packet::{
    Connect, Delivery, Packet, PacketId, Publish, Subscribe, SubscribeFilters, SubscribeOptions, Version,
    Will,
};
use keyward_mqtt::property::{ConnectProperties, PublishProperties, SubscribeProperties, WillProperties};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicName;
use keyward_server::plane::{ANSWER_TOPIC, Answer, Application, Limits, REQUEST_TOPIC, Wish, limits};
use keyward_tpm::{Expected, software::SoftwareChip};
use std::time::Duration;

pub(crate) const HOUR: u64 = 3_600_000;

/// Invites a device, and returns the code.
pub(crate) fn invite(world: &mut World, id: &str) -> String {
    let (outcome, _) =
        world.command(device(id, NewCredential::ClaimCode { seconds: 900, endorsement: None }));
    outcome.claim_code.unwrap().code.expose_text().to_owned()
}

/// Makes a key and a signing request for it.
pub(crate) fn request() -> (String, Vec<u8>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    (key.serialize_pem(), params.serialize_request(&key).unwrap().der().to_vec())
}

/// Opens a link with a code.
pub(crate) fn link(world: &World, id: &str, code: &str) -> Peer {
    let (mut peer, name) = (Peer::tls(world, None), format!("claim:{id}"));
    let hello = Hello { username: Some(&name), password: Some(code), ..Hello::default() };
    assert_eq!(peer.hello(&hello), ReasonCode::Success);
    peer
}

/// The same, with ears for the answer.
pub(crate) fn listening(world: &World, id: &str, code: &str) -> Peer {
    let mut peer = link(world, id, code);
    peer.send(&subscribe(ANSWER_TOPIC, 1));
    assert_eq!(codes(&mut peer), [ReasonCode::Success]);
    peer
}

pub(crate) fn codes(peer: &mut Peer) -> Vec<ReasonCode> {
    let frame = peer.frame().expect("SUBACK before the end");
    match peer.decode(&frame) {
        Packet::SubAck(ack) => ack.reasons.into_iter().collect(),
        other => panic!("not SUBACK: {other:?}"),
    }
}

/// Waits for the next application, lets the registrar decide it, and answers: the chain, or why not.
pub(crate) fn decide(world: &mut World) {
    let application = world.applications.recv_timeout(PATIENCE).expect("somebody should apply");
    decide_this(world, application);
}

pub(crate) fn decide_this(world: &mut World, application: Application) {
    let identity = application.identity.clone();
    let (wish, answer) = application.open();
    let command = match wish {
        Wish::Claim { code, request, .. } => Command::Claim(Claim {
            id: identity.name().parse().unwrap(),
            code,
            csr: request,
            message_key: None,
            proof: None,
            agreement_key: None,
            lifetime_days: None,
        }),
        Wish::Renew { serial, request } => Command::Renew(Renewal::new(identity, serial, request)),
        Wish::Late { code } => Command::Claim(Claim {
            id: identity.name().parse().unwrap(),
            code,
            csr: Vec::new(),
            message_key: None,
            proof: None,
            agreement_key: None,
            lifetime_days: None,
        }),
        Wish::Succeed { serial } => Command::Succeed { identity, serial, overlap_secs: 0 },
    };
    let text = match world.command_at(now(), command) {
        Ok((outcome, _)) => outcome.certificate.map(|issued| issued.chain_pem).unwrap_or_default(),
        Err(refusal) => format!("refused: {refusal}"),
    };
    answer(Answer::from(text.into_bytes()));
}

/// Returns the answer, behind which the request is acknowledged if it wanted that.
pub(crate) fn answer(peer: &mut Peer, id: Option<u16>) -> String {
    let frame = peer.frame().expect("an answer before the end");
    let text = match peer.decode(&frame) {
        Packet::Publish(publish) => {
            assert_eq!(publish.topic.unwrap().as_str(), ANSWER_TOPIC);
            String::from_utf8(publish.payload.to_vec()).unwrap()
        }
        other => panic!("not PUBLISH: {other:?}"),
    };
    if let Some(id) = id {
        let frame = peer.frame().expect("PUBACK before the end");
        match peer.decode(&frame) {
            Packet::PubAck(ack) => assert_eq!((ack.id.0.get(), ack.reason), (id, ReasonCode::Success)),
            other => panic!("not PUBACK: {other:?}"),
        }
    }
    text
}

/// Returns with which code the broker closed the link, if it said one.
pub(crate) fn end(peer: &mut Peer) -> Option<ReasonCode> {
    let rest = peer.rest();
    rest.last().map(|frame| match peer.decode(frame) {
        Packet::Disconnect(disconnect) => disconnect.reason,
        other => panic!("not DISCONNECT: {other:?}"),
    })
}

#[test]
fn a_device_with_a_code_gets_its_certificate_and_logs_in_with_it() {
    let mut world = World::new();
    let code = invite(&mut world, "pump-1");
    let (key, csr) = request();
    let mut peer = listening(&world, "PUMP-1", &code);
    peer.send(&publish(REQUEST_TOPIC, &csr, Some(7)));
    decide(&mut world);
    let chain = answer(&mut peer, Some(7));
    Peer::tls(&world, Some(&bundle(&chain, &key))).log_in("pump");
    assert!(peer.is_alive(), "the device leaves when it likes");
    let again = Hello { username: Some("claim:pump-1"), password: Some(&code), ..Hello::default() };
    assert_eq!(Peer::tls(&world, None).hello(&again), ReasonCode::Success, "the answer may have been lost");
}

/// Takes the next application out; returns what the answer to a challenge must be on its link, and how to answer.
fn next(world: &World) -> (Option<Box<Expected>>, impl FnOnce(Answer)) {
    let (wish, answer) = world.applications.recv_timeout(PATIENCE).expect("somebody should apply").open();
    match wish {
        Wish::Claim { expected, .. } => (expected, answer),
        _ => panic!("another wish"),
    }
}

#[test]
fn what_a_challenge_is_answered_with_stays_with_its_link_for_one_request() {
    let mut world = World::new();
    let code = invite(&mut world, "pump-1");
    let (key, csr) = request();
    let point = rcgen::KeyPair::from_pem(&key).unwrap();
    let chip = SoftwareChip::new().unwrap();
    let evidence = chip.vouch(point.public_key_raw(), point.public_key_raw(), &[7; 32]).unwrap();
    let (_, expected) = evidence.judge(&[7; 32]).unwrap().challenge().unwrap();
    let expected = Box::new(expected);
    let [mut peer, mut other] = [listening(&world, "pump-1", &code), listening(&world, "pump-1", &code)];
    let plain = || Answer::from(b"{}".to_vec());
    let ask = |peer: &mut Peer, id: u16, said: Answer| {
        peer.send(&publish(REQUEST_TOPIC, &csr, Some(id)));
        let (open, reply) = next(&world);
        reply(said);
        answer(peer, Some(id));
        open
    };
    let challenge = Answer { payload: b"{}".to_vec(), expected: Some(expected.clone()) };
    assert_eq!(ask(&mut peer, 1, challenge), None);
    assert_eq!(ask(&mut other, 1, plain()), None, "it is another link");
    assert_eq!(ask(&mut peer, 2, plain()), Some(expected));
    assert_eq!(ask(&mut peer, 3, plain()), None, "it is over");
}

/// Shakes hands and returns the certificates that the server shows.
fn shown(world: &World, protocol: Option<&[u8]>) -> Vec<Vec<u8>> {
    let mut config = (*tls_config(&world.ca_pem(), None)).clone();
    config.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
    let mut client = rustls::ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap();
    let mut socket = std::net::TcpStream::connect(world.tls).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut socket).unwrap();
    }
    client.peer_certificates().unwrap().iter().map(|der| der.to_vec()).collect()
}

#[test]
fn a_device_that_knows_the_fingerprint_of_the_root_alone_is_shown_the_root() {
    let world = World::new();
    let known = world.registrar.status(now()).ca_fingerprint;
    let chain = shown(&world, Some(b"keyward-enroll"));
    assert_eq!((chain.len(), keyward_identity::fingerprint(&chain[2])), (3, known));
    for other in [None, Some(&b"mqtt"[..])] {
        assert_eq!(shown(&world, other), chain[..2], "small clients have no room for it");
    }
}

#[test]
fn a_client_of_the_old_protocol_and_one_on_websocket_enrol_too() {
    let mut world = World::new();
    let code = invite(&mut world, "pump-1");
    let (_, csr) = request();
    let mut old = Peer::tls(&world, None);
    let hello = Hello {
        version: Version::V311,
        username: Some("claim:pump-1"),
        password: Some(&code),
        ..Hello::default()
    };
    assert_eq!(old.hello(&hello), ReasonCode::Success);
    let filters = [(ANSWER_TOPIC, SubscribeOptions::default())];
    let subscribe = Subscribe {
        id: PacketId(1.try_into().unwrap()),
        properties: SubscribeProperties::default(),
        filters: SubscribeFilters::List(&filters),
    };
    // In one piece: what comes behind CONNECT is not lost, whatever it comes with.
    let properties = PublishProperties::default();
    let (topic, delivery) = (TopicName::parse(REQUEST_TOPIC).ok(), Delivery::AtMostOnce);
    let publish_old = Publish { dup: false, delivery, retain: false, topic, properties, payload: &csr };
    let mut bytes = encode(&Packet::Subscribe(subscribe), Version::V311);
    bytes.extend(encode(&Packet::Publish(publish_old), Version::V311));
    old.send(&bytes);
    assert_eq!(codes(&mut old), [ReasonCode::Success]);
    decide(&mut world);
    let first = answer(&mut old, None);
    assert!(first.starts_with("-----BEGIN CERTIFICATE-----"), "{first}");

    let mut web = Peer::secure_web(&world, None);
    let hello = Hello { version: Version::V5, ..hello };
    let mut bytes = hello.bytes();
    bytes.extend(crate::peer::subscribe(ANSWER_TOPIC, 1));
    bytes.extend(publish(REQUEST_TOPIC, &csr, None));
    web.send(&bytes);
    assert_eq!(web.connack(), ReasonCode::Success);
    assert_eq!(codes(&mut web), [ReasonCode::Success]);
    decide(&mut world);
    assert!(answer(&mut web, None).starts_with("-----BEGIN CERTIFICATE-----"), "the same key came again");
}

#[test]
fn a_link_that_was_opened_with_a_code_can_do_nothing_else() {
    let mut world = World::new();
    let code = invite(&mut world, "pump-1");
    let watcher_bundle = world.add_device("watch-1");
    let mut watcher = Peer::tls(&world, Some(&watcher_bundle)).log_in("w");
    watcher.send(&subscribe("#", 1));
    codes(&mut watcher);

    let mut peer = listening(&world, "pump-1", &code);
    for filter in
        ["#", "devices/pump-1/#", "$keyward/#", "$keyward/enroll", "$share/g/$keyward/enroll/answer"]
    {
        peer.send(&subscribe(filter, 2));
        assert_eq!(codes(&mut peer), [ReasonCode::NotAuthorized], "{filter}");
    }
    assert!(peer.is_alive());
    assert_eq!(world.plane.sessions_of(&[&"device:pump-1".parse().unwrap()]), [0], "it has no session");

    let of = |bytes: Vec<u8>, reason| {
        let mut peer = listening(&world, "pump-1", &code);
        peer.send(&bytes);
        assert_eq!(end(&mut peer), Some(reason));
    };
    of(publish("devices/pump-1/status", b"x", None), ReasonCode::NotAuthorized);
    of(publish(ANSWER_TOPIC, b"x", None), ReasonCode::NotAuthorized);
    let odd = |retain, delivery| {
        let (topic, properties) = (TopicName::parse(REQUEST_TOPIC).ok(), PublishProperties::default());
        let packet = Publish { dup: false, delivery, retain, topic, properties, payload: b"x" };
        encode(&Packet::Publish(packet), Version::V5)
    };
    of(odd(true, Delivery::AtMostOnce), ReasonCode::RetainNotSupported);
    of(odd(false, Delivery::ExactlyOnce(PacketId(1.try_into().unwrap()))), ReasonCode::QosNotSupported);
    of(publish(REQUEST_TOPIC, &vec![b'x'; limits::ENROLMENT_BYTES + 1], None), ReasonCode::PacketTooLarge);
    world.told.login_cause("it published to another topic than $keyward/enroll");

    let mut deaf = link(&world, "pump-1", &code);
    deaf.send(&publish(REQUEST_TOPIC, b"x", None));
    assert_eq!(end(&mut deaf), Some(ReasonCode::ImplementationSpecificError), "nobody would hear the answer");
    assert!(watcher.is_alive(), "and nothing came to the one who listens");
}

#[test]
fn a_code_opens_nothing_without_tls_or_with_a_will() {
    let mut world = World::with(World::hasty());
    let code = invite(&mut world, "pump-1");
    let hello = Hello { username: Some("claim:pump-1"), password: Some(&code), ..Hello::default() };
    assert_eq!(Peer::plain(world.plain).hello(&hello), ReasonCode::NotAuthorized);
    world.told.login_cause("without TLS");
    let will = Will {
        topic: TopicName::parse("devices/pump-1/gone").unwrap(),
        payload: b"x",
        qos: keyward_mqtt::packet::Qos::AtMostOnce,
        retain: false,
        properties: WillProperties::default(),
    };
    let connect = Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive: 60,
        client_id: "c1",
        will: Some(will),
        username: Some("claim:pump-1"),
        password: Some(code.as_bytes()),
        properties: ConnectProperties::default(),
    };
    let mut peer = Peer::tls(&world, None);
    peer.send(&encode(&Packet::Connect(connect), Version::V5));
    assert_eq!(peer.connack(), ReasonCode::NotAuthorized);
    world.told.login_cause("it has a will");
}

#[test]
fn a_wrong_code_is_answered_late_and_held_against_its_address_and_no_code_is_a_password() {
    let mut world = World::with(Limits { ban_after: 3, ..World::hasty() });
    let (code, other) = (invite(&mut world, "pump-1"), invite(&mut world, "pump-2"));
    for (name, password) in [
        ("claim:pump-1", other.as_str()),
        ("claim:pump-1", ""),
        ("claim:nobody", code.as_str()),
        ("claim:no such id", code.as_str()),
        ("pump-1", code.as_str()),
        ("device:pump-1", code.as_str()),
    ] {
        let hello = Hello { username: Some(name), password: Some(password), ..Hello::default() };
        let began = std::time::Instant::now();
        assert_eq!(Peer::tls(&world, None).hello(&hello), ReasonCode::BadUserNameOrPassword, "{name}");
        assert!(began.elapsed() >= World::hasty().refusal_delay, "{name}");
    }
    let counted = |told: &crate::world::Told| {
        let held = told.logins.iter().filter(|failure| failure.cause.is_held_against()).count();
        (held == 6).then_some(())
    };
    world.told.wait("six guesses", counted);
    let told = world.told.login_cause("has no claim code");
    assert!(!told.contains("invite"), "an unproven claim must not talk anybody into it: {told}");
}

#[test]
fn one_link_asks_a_few_times_and_not_for_ever() {
    let mut world = World::with(Limits { enrolment_time: Duration::from_secs(2), ..Limits::default() });
    let code = invite(&mut world, "pump-1");
    let mut peer = listening(&world, "pump-1", &code);
    for _ in 0..limits::APPLICATIONS_PER_LINK {
        peer.send(&publish(REQUEST_TOPIC, b"no request", None));
        decide(&mut world);
        assert!(answer(&mut peer, None).contains("signing request"));
    }
    peer.send(&publish(REQUEST_TOPIC, b"no request", None));
    assert_eq!(end(&mut peer), Some(ReasonCode::QuotaExceeded));
    let silent =
        Hello { username: Some("claim:pump-1"), password: Some(&code), keep_alive: 1, ..Hello::default() };
    let mut late = Peer::tls(&world, None);
    assert_eq!(late.hello(&silent), ReasonCode::Success);
    assert_eq!(end(&mut late), Some(ReasonCode::KeepAliveTimeout));
    let mut idle = listening(&world, "pump-1", &code);
    assert_eq!(end(&mut idle), Some(ReasonCode::MaximumConnectTime));
}

#[test]
fn who_applies_when_too_many_wait_is_sent_away_and_gets_its_turn_later() {
    let mut world = World::new();
    let most = limits::APPLICATIONS_WAITING + 1;
    let invited: Vec<String> = (0..=most).map(|n| invite(&mut world, &format!("pump-{n}"))).collect();
    let apply = |n: usize| {
        let mut peer = listening(&world, &format!("pump-{n}"), &invited[n]);
        peer.send(&publish(REQUEST_TOPIC, b"x", None));
        peer
    };
    // One more is in the hands of who decides.
    let peers: Vec<Peer> = (0..=most).map(apply).collect();
    world.told.login_cause("too many devices apply at once");
    let mut decided = 0;
    while decided < most {
        // The last one was taken only if somebody had the first in his hands by then.
        let patience = if decided < limits::APPLICATIONS_WAITING { PATIENCE } else { Duration::from_secs(1) };
        let Ok(application) = world.applications.recv_timeout(patience) else { break };
        decide_this(&mut world, application);
        decided += 1;
    }
    assert!(decided >= limits::APPLICATIONS_WAITING);
    let is_answered = |mut peer: Peer| {
        let frame = peer.frame().expect("an answer or a farewell");
        match peer.decode(&frame) {
            Packet::Publish(_) => true,
            Packet::Disconnect(disconnect) => {
                assert_eq!(disconnect.reason, ReasonCode::ServerBusy);
                false
            }
            other => panic!("{other:?}"),
        }
    };
    let answered = peers.into_iter().map(is_answered).filter(|answered| *answered).count();
    assert_eq!(answered, decided);
}

/// A world with a device whose certificate is in its last third.
pub(crate) fn aged() -> (World, Bundle) {
    let born = WallTime(now().0 - 12 * HOUR);
    let mut world = World::founded(born, World::hasty(), keyward_broker::Limits::default());
    let credential = NewCredential::Certificate { key: KeySource::Generate, lifetime_days: Some(1) };
    let (outcome, _) = world.command_at(born, device("pump-1", credential)).unwrap();
    let issued = outcome.certificate.unwrap();
    let bundle = bundle(&issued.chain_pem, issued.private_key_pem.unwrap().expose_text());
    (world, bundle)
}

/// Opens a link to renew a certificate, with ears for the answer.
pub(crate) fn renewal(world: &World, held: &Bundle, id: &str) -> Peer {
    let (mut peer, name) = (Peer::tls(world, Some(held)), format!("renew:{id}"));
    assert_eq!(peer.hello(&Hello { username: Some(&name), ..Hello::default() }), ReasonCode::Success);
    peer.send(&subscribe(ANSWER_TOPIC, 1));
    assert_eq!(codes(&mut peer), [ReasonCode::Success]);
    peer
}

#[test]
fn a_device_renews_its_certificate_and_the_old_one_opens_nothing_from_the_first_use_of_the_new_on() {
    let (mut world, old) = aged();
    let mut at_work = Peer::tls(&world, Some(&old)).log_in("pump");
    let mut renewing = renewal(&world, &old, "pump-1");
    let (key, csr) = request();
    renewing.send(&publish(REQUEST_TOPIC, &csr, Some(2)));
    decide(&mut world);
    let new = bundle(&answer(&mut renewing, Some(2)), &key);
    assert!(at_work.is_alive(), "nothing is closed for it");
    Peer::tls(&world, Some(&old)).log_in("pump-old");

    let mut successor = Peer::tls(&world, Some(&new));
    successor.send(&Hello { client_id: "pump-new", ..Hello::default() }.bytes());
    decide(&mut world);
    assert_eq!(successor.connack(), ReasonCode::Success);
    assert!(successor.is_alive());
    at_work.rest(); // It ends.
    let refused = Peer::tls(&world, Some(&old)).hello(&Hello::default());
    assert_eq!(refused, ReasonCode::NotAuthorized);
    Peer::tls(&world, Some(&new)).log_in("pump-new");
    assert!(successor.rest().len() <= 1, "the same client id came again");
}

/// Nobody decides in time: the disk hangs, say.
#[test]
fn a_login_by_a_new_certificate_does_not_hang_on_the_end_of_the_old_one() {
    let (mut world, old) = aged();
    let (key, csr) = request();
    let identity: Identity = Identity::new(Kind::Device, "pump-1").unwrap();
    let serial = world.registrar.registry().find(&identity).unwrap().certificates[0].serial.clone();
    let command = Command::Renew(Renewal::new(identity, serial, csr));
    let (outcome, _) = world.command_at(now(), command).unwrap();
    let new = bundle(&outcome.certificate.unwrap().chain_pem, &key);
    let mut peer = Peer::tls(&world, Some(&new)).log_in("pump");
    assert!(peer.is_alive());
    Peer::tls(&world, Some(&old)).log_in("pump-old");
}

#[test]
fn a_certificate_of_somebody_else_or_none_at_all_renews_nothing() {
    let (mut world, _) = aged();
    let other = world.add_device("pump-2");
    let hello = Hello { username: Some("renew:pump-1"), ..Hello::default() };
    assert_eq!(Peer::tls(&world, Some(&other)).hello(&hello), ReasonCode::NotAuthorized);
    assert_eq!(Peer::tls(&world, None).hello(&hello), ReasonCode::NotAuthorized);
}
