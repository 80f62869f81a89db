//! Rules of listeners and of types of devices, plain listeners, clients without a login.

use crate::peer::{Hello, Peer, tls_config};
use crate::world::{Bundle, PATIENCE, World, bundle};
use keyward_identity::{AddDevice, AddUser, Command, KeySource, NewCredential, NewPassword, Secret};
use keyward_ids::{DeviceId, Identity, UserId};
use keyward_mqtt::reason::ReasonCode::{self, BadUserNameOrPassword, NotAuthorized, Success};
use keyward_server::config::Network;
use keyward_server::login::LoginRule;
use keyward_server::plane::{Entrance, Evidence, Limits, Listener, LoginCause, Protocol, Security};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A device of the type `meter` with a certificate and a password.
struct Meter {
    bundle: Bundle,
    password: String,
}

fn password(secret: &str) -> NewPassword {
    NewPassword::Chosen(Secret::new(secret.as_bytes().to_vec()))
}

fn device(id: &str, plain: bool, credential: NewCredential) -> Command {
    Command::AddDevice(AddDevice {
        device_type: Some("meter".parse().unwrap()),
        plain,
        ..AddDevice::new(DeviceId::parse(id).unwrap(), credential)
    })
}

fn meter(world: &mut World, id: &str, secret: NewPassword) -> Meter {
    let certificate = NewCredential::Certificate { key: KeySource::Generate, lifetime_days: None };
    let (outcome, _) = world.command(device(id, false, certificate));
    let issued = outcome.certificate.unwrap();
    let shown = match &secret {
        NewPassword::Chosen(secret) => Some(secret.expose_text().to_owned()),
        _ => None,
    };
    let identity = format!("device:{id}").parse().unwrap();
    let (outcome, _) = world.command(Command::SetPassword { identity, password: secret });
    let password = shown.unwrap_or_else(|| outcome.password.unwrap().expose_text().to_owned());
    Meter { bundle: bundle(&issued.chain_pem, issued.private_key_pem.unwrap().expose_text()), password }
}

fn demand(world: &World, login: LoginRule) {
    world.plane.set_type_rules([("meter".parse().unwrap(), login)].into());
}

fn open(world: &World, name: &str, entrance: Entrance, security: Security) -> SocketAddr {
    let listener =
        Listener { security, entrance, ..Listener::tls(name, vec!["127.0.0.1:0".parse().unwrap()]) };
    world.plane.add_listener(listener).unwrap()[0]
}

/// Is the entrance to a network whose passwords can be read.
fn lan(from: &str, anonymous_as: Option<&str>) -> Entrance {
    Entrance {
        login: LoginRule::Password,
        is_plain_network: true,
        from: vec![Network::parse(from).unwrap()],
        anonymous_as: anonymous_as.map(|name| UserId::parse(name).unwrap()),
        trusted: None,
    }
}

/// Opens a listener as on a network, whose passwords can be read.
fn open_lan(world: &World, anonymous_as: Option<&str>) -> SocketAddr {
    open(world, "lan", lan("127.0.0.0/8", anonymous_as), Security::Plain)
}

/// Opens one that speaks WebSocket.
fn open_web(world: &World, name: &str, from: &str) -> SocketAddr {
    let listener = Listener {
        protocol: Protocol::WebSocket { origins: Default::default() },
        entrance: lan(from, None),
        ..Listener::plain(name, vec!["127.0.0.1:0".parse().unwrap()])
    };
    world.plane.add_listener(listener).unwrap()[0]
}

fn tls(world: &World, at: SocketAddr, bundle: Option<&Bundle>, hello: &Hello<'_>) -> ReasonCode {
    Peer::tls_to(at, "localhost", tls_config(&world.ca_pem(), bundle)).hello(hello)
}

fn with<'a>(name: &'a str, password: &'a str) -> Hello<'a> {
    Hello { username: Some(name), password: Some(password), ..Hello::default() }
}

fn told(world: &World, what: &str, is_it: impl Fn(&LoginCause) -> bool) {
    world.told.wait(what, |told| told.logins.iter().find(|each| is_it(&each.cause)).map(drop));
}

#[test]
fn on_one_port_each_type_shows_what_it_demands() {
    let mut world = World::with(World::hasty());
    let Meter { bundle, password } = meter(&mut world, "m-1", NewPassword::Generate);
    let (name, right) = (Hello::default(), with("m-1", &password));
    let wrong = with("m-1", "wrong");
    for (login, certificate, secret, both, one_wrong) in [
        (LoginRule::Certificate, Success, BadUserNameOrPassword, Success, Success),
        (LoginRule::Password, BadUserNameOrPassword, Success, Success, BadUserNameOrPassword),
        (
            LoginRule::CertificateAndPassword,
            BadUserNameOrPassword,
            BadUserNameOrPassword,
            Success,
            BadUserNameOrPassword,
        ),
        (LoginRule::CertificateOrPassword, Success, Success, Success, Success),
    ] {
        demand(&world, login);
        assert_eq!(tls(&world, world.tls, Some(&bundle), &name), certificate, "{login}: certificate");
        assert_eq!(tls(&world, world.tls, None, &right), secret, "{login}: password");
        assert_eq!(tls(&world, world.tls, Some(&bundle), &right), both, "{login}: both");
        assert_eq!(tls(&world, world.tls, Some(&bundle), &wrong), one_wrong, "{login}: a wrong password");
    }
    // Another type on the same port is not held to it.
    demand(&world, LoginRule::CertificateAndPassword);
    let other = world.add_device("pump-1");
    assert_eq!(tls(&world, world.tls, Some(&other), &name), Success);
    told(
        &world,
        "not enough",
        |cause| matches!(cause, LoginCause::NotEnough { demand, .. } if demand.device_type.is_some()),
    );
    let last = world.plane.last_login(&"device:m-1".parse().unwrap()).unwrap();
    assert_eq!(last.listener, "mqtts");
    world.told.wait("what was shown and demanded", |told| {
        let both = |each: &&keyward_server::plane::LoggedIn| {
            each.shown == Evidence::CertificateAndPassword
                && each.demand.to_string().contains("its type meter demands \"certificate and password\"")
        };
        told.logged_in.iter().find(both).map(drop)
    });
}

#[test]
fn a_listener_and_a_type_that_exclude_each_other_let_nobody_in() {
    let mut world = World::with(World::hasty());
    let Meter { bundle, password } = meter(&mut world, "m-1", NewPassword::Generate);
    demand(&world, LoginRule::Certificate);
    let entrance = Entrance { login: LoginRule::Password, ..Entrance::default() };
    let at = open(&world, "passwords", entrance, Security::Tls);
    // No certificate is asked for, so none is there.
    assert_eq!(tls(&world, at, Some(&bundle), &with("m-1", &password)), BadUserNameOrPassword);
    world.add_user("anna", "correct horse battery");
    assert_eq!(tls(&world, at, None, &with("anna", "correct horse battery")), Success, "users have no type");
}

#[test]
fn certificate_and_password_takes_the_chosen_password_of_the_same_identity_only() {
    let mut world = World::with(World::hasty());
    let entrance = Entrance { login: LoginRule::CertificateAndPassword, ..Entrance::default() };
    let at = open(&world, "both", entrance, Security::Tls);
    let Meter { bundle, .. } = meter(&mut world, "m-1", password("correct horse battery"));
    world.add_user("anna", "another good password");
    let unnamed = Hello { password: Some("correct horse battery"), ..Hello::default() };
    assert_eq!(tls(&world, at, Some(&bundle), &unnamed), Success, "the certificate names it");
    assert_eq!(tls(&world, at, Some(&bundle), &with("device:m-1", "correct horse battery")), Success);
    assert_eq!(tls(&world, at, Some(&bundle), &with("m-1", "another good password")), BadUserNameOrPassword);
    assert_eq!(tls(&world, at, Some(&bundle), &with("anna", "another good password")), NotAuthorized);
    assert_eq!(tls(&world, at, Some(&bundle), &Hello::default()), BadUserNameOrPassword);
    let bare = world.add_device("pump-1");
    assert_eq!(tls(&world, at, Some(&bare), &with("pump-1", "x")), BadUserNameOrPassword);
    told(&world, "it has no password", |cause| matches!(cause, LoginCause::NoPassword(_)));
    // A password alone fails in the handshake already.
    let mut peer = Peer::tls_to(at, "localhost", tls_config(&world.ca_pem(), None));
    let _ = peer.try_send(&with("m-1", "correct horse battery").bytes());
    assert_eq!(peer.frame(), None);
}

#[test]
fn only_marked_identities_use_a_plain_listener_and_their_passwords_open_no_other() {
    let mut world = World::with(World::hasty());
    let lan = open_lan(&world, None);
    let unmarked = world.add_device_with_password("pump-1");
    let (outcome, _) = world.command(device("tas-1", true, NewCredential::Password(NewPassword::Generate)));
    let marked = outcome.password.unwrap().expose_text().to_owned();
    let plain = |at, name, secret| Peer::plain(at).hello(&with(name, secret));
    assert_eq!(plain(lan, "tas-1", &marked), Success);
    assert_eq!(plain(lan, "pump-1", &unmarked), BadUserNameOrPassword);
    told(&world, "not marked", |cause| matches!(cause, LoginCause::NotMarkedPlain { .. }));
    assert_eq!(tls(&world, world.tls, None, &with("tas-1", &marked)), BadUserNameOrPassword);
    assert_eq!(plain(world.plain, "tas-1", &marked), BadUserNameOrPassword, "loopback is no network");
    told(&world, "plain only", |cause| matches!(cause, LoginCause::OnlyPlain { .. }));
    assert_eq!(plain(world.plain, "pump-1", &unmarked), Success);
}

#[test]
fn plain_websocket_on_a_network_is_for_marked_identities_of_its_networks_too() {
    let mut world = World::with(World::hasty());
    let (near, far) = (open_web(&world, "web", "127.0.0.0/8"), open_web(&world, "far", "192.0.2.0/24"));
    let unmarked = world.add_device_with_password("pump-1");
    let (outcome, _) = world.command(device("panel-1", true, NewCredential::Password(NewPassword::Generate)));
    let marked = outcome.password.unwrap().expose_text().to_owned();
    let web = |name, secret| Peer::web_to(near).hello(&with(name, secret));
    assert_eq!(web("panel-1", &marked), Success);
    assert_eq!(web("pump-1", &unmarked), BadUserNameOrPassword);
    told(&world, "not marked", |cause| matches!(cause, LoginCause::NotMarkedPlain { .. }));
    let elsewhere = Peer::web(&world).hello(&with("panel-1", &marked));
    assert_eq!(elsewhere, BadUserNameOrPassword, "WebSocket on loopback is no network");
    // Who is of no network of the listener gets no answer even to its request.
    assert_eq!(Peer::plain(far).frame(), None);
    world.told.handshake_line("is of no network that listener `far` lets in");
}

#[test]
fn clearing_the_mark_cuts_live_plain_links_and_setting_it_cuts_those_of_the_password() {
    let mut world = World::with(World::hasty());
    let lan = open_lan(&world, None);
    let identity: Identity = "device:tas-1".parse().unwrap();
    let (outcome, _) = world.command(device("tas-1", true, NewCredential::Password(NewPassword::Generate)));
    let secret = outcome.password.unwrap().expose_text().to_owned();
    let mut peer = Peer::plain(lan);
    assert_eq!(peer.hello(&with("tas-1", &secret)), Success);
    let (_, applied) = world.command(Command::MarkPlain { identity: identity.clone(), plain: false });
    assert_eq!(applied.closed, 1);
    assert!(!peer.is_alive());
    assert_eq!(Peer::plain(lan).hello(&with("tas-1", &secret)), BadUserNameOrPassword);
    let mut peer = Peer::tls(&world, None);
    assert_eq!(peer.hello(&with("tas-1", &secret)), BadUserNameOrPassword, "it may have been read");
    let password = NewPassword::Generate;
    let (outcome, _) = world.command(Command::SetPassword { identity: identity.clone(), password });
    let secret = outcome.password.unwrap().expose_text().to_owned();
    let mut peer = Peer::tls(&world, None);
    assert_eq!(peer.hello(&with("tas-1", &secret)), Success, "with a new one it is as any other");
    let (_, applied) = world.command(Command::MarkPlain { identity, plain: true });
    assert_eq!(applied.closed, 1);
}

#[test]
fn a_certificate_of_a_marked_identity_opens_tls_listeners_still() {
    let mut world = World::with(World::hasty());
    let Meter { bundle, password } = meter(&mut world, "m-1", NewPassword::Generate);
    world.command(Command::MarkPlain { identity: "device:m-1".parse().unwrap(), plain: true });
    assert_eq!(tls(&world, world.tls, Some(&bundle), &Hello::default()), Success);
    demand(&world, LoginRule::CertificateAndPassword);
    let both = tls(&world, world.tls, Some(&bundle), &with("m-1", &password));
    assert_eq!(both, BadUserNameOrPassword, "a password that may have been read proves nothing");
}

#[test]
fn who_shows_nothing_becomes_the_named_user_at_this_listener_only() {
    let mut world = World::with(World::hasty());
    let lan = open_lan(&world, Some("guest"));
    let bare = || Peer::plain(lan).hello(&Hello::default());
    assert_eq!(bare(), NotAuthorized, "there is no such user yet");
    told(&world, "nobody", |cause| matches!(cause, LoginCause::NobodyAnonymous(_)));
    let id = UserId::parse("guest").unwrap();
    world.command(Command::AddUser(AddUser {
        id,
        plain: false,
        note: String::new(),
        credential: NewCredential::None,
    }));
    assert_eq!(bare(), BadUserNameOrPassword, "it is not marked");
    let identity: Identity = "user:guest".parse().unwrap();
    world.command(Command::MarkPlain { identity: identity.clone(), plain: true });
    let mut peers = [Peer::plain(lan).log_in("a"), Peer::plain(lan).log_in("b")];
    assert_eq!(world.plane.sessions_of(&[&identity]), [2]);
    let named = Hello { username: Some("guest"), ..Hello::default() };
    assert_eq!(Peer::plain(lan).hello(&named), NotAuthorized, "a name without a password");
    assert_eq!(Peer::plain(lan).hello(&with("guest", "")), BadUserNameOrPassword);
    assert_eq!(Peer::plain(world.plain).hello(&Hello::default()), NotAuthorized, "another listener");
    let (_, applied) = world.command(Command::Disable { identity });
    assert_eq!(applied.closed, 2);
    assert!(peers.iter_mut().all(|peer| !peer.is_alive()));
    assert_eq!(bare(), NotAuthorized);
}

#[test]
fn who_is_of_no_network_of_the_listener_is_closed_before_anything_is_read() {
    let world = World::new();
    let from = vec![Network::parse("192.0.2.0/24").unwrap()];
    let at = open(&world, "far", Entrance { from, ..Entrance::default() }, Security::Tls);
    let mut peer = Peer::plain(at);
    assert_eq!(peer.frame(), None);
    let line = world.told.handshake_line("is of no network that listener `far` lets in");
    assert!(line.contains("127.0.0.1"), "{line}");
    assert_eq!(world.plane.stats().turned_away, 1);
}

#[test]
fn a_password_that_was_under_way_when_the_mark_went_lets_nobody_in() {
    let mut world = World::with(World::hasty());
    let lan = open_lan(&world, None);
    world.command(device("tas-1", true, NewCredential::Password(password("correct horse battery"))));
    let mut peers: Vec<Peer> = (0..8).map(|_| Peer::plain(lan)).collect();
    for peer in &mut peers {
        peer.send(&with("tas-1", "correct horse battery").bytes());
    }
    world.command(Command::MarkPlain { identity: "device:tas-1".parse().unwrap(), plain: false });
    // Whoever was let in before is closed, whoever was not is refused or closed.
    assert!(peers.iter_mut().all(|peer| !peer.is_alive()));
}

#[test]
fn a_password_in_the_wrong_place_is_treated_as_one_for_a_name_that_nobody_has() {
    let mut world = World::with(World::hasty());
    let lan = open_lan(&world, None);
    let secret = world.add_device_with_password("pump-1");
    for name in ["pump-1", "nobody"] {
        for _ in 0..4 {
            assert_eq!(Peer::plain(lan).hello(&with(name, &secret)), BadUserNameOrPassword);
        }
        world.told.wait("it is slowed down, so it was checked before", |told| {
            let is_it = |each: &&keyward_server::plane::LoginFailure| {
                each.claimed.as_deref() == Some(name) && matches!(each.cause, LoginCause::SlowedDown { .. })
            };
            told.logins.iter().find(is_it).map(drop)
        });
    }
    let counts = |told: &crate::world::Told| told.logins.iter().all(|each| each.cause.is_held_against());
    assert!(world.told.wait("all", |told| (told.logins.len() == 8).then(|| counts(told))));
}

/// Waits until so many connections are in the hands of the doors.
fn wait_for_pending(world: &World, count: usize) {
    let begun = Instant::now();
    while world.plane.stats().pending < count {
        assert!(begun.elapsed() < PATIENCE, "the doors have not accepted {count} connections");
        std::thread::yield_now();
    }
}

#[test]
fn who_has_not_logged_in_when_a_listener_goes_gets_in_by_its_rule_no_more() {
    let mut world = World::new();
    let lan = open_lan(&world, Some("guest"));
    let extra = open(&world, "extra", Entrance::default(), Security::Tls);
    let id = UserId::parse("guest").unwrap();
    let (note, credential) = (String::new(), NewCredential::None);
    world.command(Command::AddUser(AddUser { id, plain: true, note, credential }));
    let mut live = Peer::plain(lan).log_in("a");
    let bundle = world.add_device("pump-1");
    let config = tls_config(&world.ca_pem(), Some(&bundle));
    let mut pending = [Peer::plain(lan), Peer::plain(lan), Peer::tls_to(extra, "localhost", config)];
    let hello = Hello::default().bytes();
    pending[1].send(&hello[..5]);
    pending[2].send(&hello[..5]);
    wait_for_pending(&world, 3);
    assert!(world.plane.remove_listener("lan") && world.plane.remove_listener("extra"));
    assert_eq!(world.plane.stats().pending, 0);
    for (peer, rest) in pending.iter_mut().zip([0, 5, 5]) {
        let _ = peer.try_send(&hello[rest..]);
        assert_eq!(peer.frame(), None, "closed, not let in");
    }
    assert!(live.is_alive(), "who is in stays in");
}

#[test]
fn a_rule_of_a_type_that_came_while_a_password_was_checked_is_met_or_nobody_gets_in() {
    let refusal_delay = Duration::from_millis(300);
    let mut world = World::with(Limits { refusal_delay, ..Limits::default() });
    world.command(device("m-1", false, NewCredential::Password(password("correct horse battery"))));
    let connected = |_| {
        let mut peer = Peer::tls(&world, None);
        peer.send(&with("m-1", "correct horse battery").bytes());
        peer
    };
    let mut peers: Vec<Peer> = (0..8).map(connected).collect();
    let begun = Instant::now();
    while world.plane.stats().connects < 8 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    demand(&world, LoginRule::Certificate);
    let before = world.plane.stats().logins;
    assert!(before < 8, "some are being checked still");
    let answers: Vec<ReasonCode> = peers.iter_mut().map(Peer::connack).collect();
    assert!(answers.contains(&BadUserNameOrPassword), "{answers:?}");
    assert_eq!(world.plane.stats().logins, before, "nobody got in after the rule was in force");
}
