//! Who gets in, and what those are told who do not.

use crate::peer::{Hello, Peer};
use crate::world::{World, stranger};
use keyward_mqtt::packet::Version;
use keyward_mqtt::reason::ReasonCode;
use keyward_server::plane::LoginCause;
use std::time::{Duration, Instant};

fn password<'a>(name: &'a str, password: &'a str) -> Hello<'a> {
    Hello { username: Some(name), password: Some(password), ..Hello::default() }
}

#[test]
fn a_certificate_of_the_registry_opens_the_door() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::tls(&world, Some(&bundle)).log_in("c1");
    assert!(peer.is_alive());
}

#[test]
fn a_leaf_without_its_issuer_opens_the_door() {
    let mut world = World::new();
    let mut bundle = world.add_device("pump-1");
    bundle.chain.truncate(1);
    Peer::tls(&world, Some(&bundle)).log_in("c1");
}

#[test]
fn the_same_user_name_beside_a_certificate_is_let_in_and_another_is_refused() {
    let mut world = World::with(World::hasty());
    let bundle = world.add_device("pump-1");
    let generated = world.add_device_with_password("pump-2");
    for name in ["pump-1", "device:pump-1"] {
        let hello = Hello { username: Some(name), ..Hello::default() };
        assert_eq!(Peer::tls(&world, Some(&bundle)).hello(&hello), ReasonCode::Success);
    }
    for hello in [password("pump-2", &generated), Hello { username: Some("user:pump-1"), ..Hello::default() }]
    {
        assert_eq!(Peer::tls(&world, Some(&bundle)).hello(&hello), ReasonCode::NotAuthorized);
    }
    world.told.wait("another name", |told| {
        told.logins.iter().find(|each| matches!(each.cause, LoginCause::OtherName { .. })).map(drop)
    });
}

#[test]
fn a_generated_password_opens_the_door_over_tls() {
    let mut world = World::new();
    let generated = world.add_device_with_password("pump-1");
    let mut peer = Peer::tls(&world, None);
    assert_eq!(peer.hello(&password("pump-1", &generated)), ReasonCode::Success);
    assert!(peer.is_alive());
}

#[test]
fn a_password_opens_a_listener_without_tls() {
    let mut world = World::new();
    let generated = world.add_device_with_password("pump-1");
    let mut peer = Peer::plain(world.plain);
    assert_eq!(peer.hello(&password("pump-1", &generated)), ReasonCode::Success);
    assert!(peer.is_alive());
}

#[test]
fn a_chosen_password_opens_the_door_over_tls() {
    let mut world = World::new();
    world.add_user("anna", "correct horse battery");
    let mut peer = Peer::tls(&world, None);
    assert_eq!(peer.hello(&password("anna", "correct horse battery")), ReasonCode::Success);
    assert!(peer.is_alive());
}

#[test]
fn neither_certificate_nor_password_is_refused_in_both_versions() {
    let world = World::with(World::hasty());
    assert_eq!(Peer::tls(&world, None).hello(&Hello::default()), ReasonCode::NotAuthorized);
    let old = Hello { version: Version::V311, ..Hello::default() };
    assert_eq!(Peer::tls(&world, None).hello(&old), ReasonCode::NotAuthorized);
    let no_password = Hello { username: Some("anna"), ..Hello::default() };
    assert_eq!(Peer::tls(&world, None).hello(&no_password), ReasonCode::NotAuthorized);
}

#[test]
fn the_peer_cannot_tell_an_unknown_name_from_a_wrong_password_but_the_operator_can() {
    let mut world = World::with(World::hasty());
    world.add_user("anna", "correct horse battery");
    world.add_device_with_password("pump-1");
    for name in ["anna", "pump-1", "nobody", "no/name\n", "user:anna"] {
        for version in [Version::V31, Version::V311, Version::V5] {
            let hello = Hello { version, ..password(name, "wrong") };
            assert_eq!(Peer::tls(&world, None).hello(&hello), ReasonCode::BadUserNameOrPassword, "{name}");
        }
    }
    let told = |name: &'static str, cause: LoginCause| {
        world.told.wait(name, |told| {
            let fits = |each: &&_| -> bool {
                let each: &keyward_server::plane::LoginFailure = each;
                each.claimed.as_deref() == Some(name) && each.cause == cause
            };
            told.logins.iter().find(fits).map(drop)
        });
    };
    told("anna", LoginCause::WrongPassword);
    told("pump-1", LoginCause::WrongPassword);
    told("nobody", LoginCause::UnknownName);
}

#[test]
fn every_failed_login_is_answered_one_delay_after_it_began() {
    let delay = Duration::from_millis(700);
    let mut world = World::with(keyward_server::plane::Limits { refusal_delay: delay, ..World::hasty() });
    world.add_user("anna", "correct horse battery");
    world.add_device_with_password("pump-1");
    let bundle = world.add_device("pump-2");
    world.revoke("device:pump-2");
    for hello in
        [password("anna", "wrong"), password("pump-1", "wrong"), password("nobody", "x"), Hello::default()]
    {
        let mut peer = Peer::tls(&world, None);
        let begun = Instant::now();
        assert!(peer.hello(&hello).is_failure());
        assert!(begun.elapsed() >= delay, "{:?} took {:?}", hello.username, begun.elapsed());
    }
    let mut peer = Peer::tls(&world, Some(&bundle));
    let begun = Instant::now();
    assert_eq!(peer.hello(&Hello::default()), ReasonCode::NotAuthorized);
    assert!(begun.elapsed() >= delay);
}

#[test]
fn guessing_is_slowed_down_where_it_happens_even_for_the_right_password() {
    let mut world = World::with(keyward_server::plane::Limits {
        refusal_delay: Duration::from_millis(10),
        ..World::hasty()
    });
    world.add_user("anna", "correct horse battery");
    for name in ["anna", "user:anna", "ANNA"] {
        let code = Peer::tls(&world, None).hello(&password(name, "wrong"));
        assert_eq!(code, ReasonCode::BadUserNameOrPassword);
    }
    let code = Peer::tls(&world, None).hello(&password("anna", "correct horse battery"));
    assert_eq!(code, ReasonCode::BadUserNameOrPassword);
    world.told.wait("a slow-down", |told| {
        told.logins.iter().find(|each| matches!(each.cause, LoginCause::SlowedDown { .. })).map(drop)
    });
}

#[test]
fn nobody_is_locked_out_by_what_others_failed_at_from_the_same_address() {
    let limits = keyward_server::plane::Limits { refusal_delay: Duration::ZERO, ..World::hasty() };
    let mut world = World::with(limits);
    world.add_user("anna", "correct horse battery");
    let generated = world.add_device_with_password("pump-1");
    for n in 0..80 {
        let name = format!("nobody-{n}");
        let code = Peer::plain(world.plain).hello(&password(&name, "wrong"));
        assert_eq!(code, ReasonCode::BadUserNameOrPassword);
    }
    for _ in 0..5 {
        Peer::plain(world.plain).hello(&password("pump-1", "wrong"));
    }
    for (name, secret) in [("anna", "correct horse battery"), ("pump-1", &generated)] {
        assert_eq!(Peer::plain(world.plain).hello(&password(name, secret)), ReasonCode::Success, "{name}");
    }
}

#[test]
fn a_certificate_of_another_authority_is_refused_in_the_handshake_and_a_password_does_not_heal_it() {
    let mut world = World::new();
    let generated = world.add_device_with_password("pump-1");
    let mut peer = Peer::tls(&world, Some(&stranger("pump-1")));
    // In TLS 1.3 the client is done before the server has looked at its certificate.
    let _ = peer.try_send(&password("pump-1", &generated).bytes());
    assert_eq!(peer.frame(), None);
    world.told.handshake_line("shows a certificate of another authority");
}

#[test]
fn a_revoked_disabled_or_removed_device_stays_out_though_its_certificate_chains() {
    use keyward_identity::Command;
    let mut world = World::with(World::hasty());
    let identity = |name: &str| name.parse::<keyward_ids::Identity>().unwrap();
    let bundles = ["pump-1", "pump-2", "pump-3"].map(|id| world.add_device(id));
    world.revoke("device:pump-1");
    world.command(Command::Disable { identity: identity("device:pump-2") });
    world.command(Command::Remove { identity: identity("device:pump-3") });
    for bundle in &bundles {
        let code = Peer::tls(&world, Some(bundle)).hello(&Hello::default());
        assert_eq!(code, ReasonCode::NotAuthorized);
    }
    world.command(Command::Enable { identity: identity("device:pump-2") });
    Peer::tls(&world, Some(&bundles[1])).log_in("c1");
}

#[test]
fn an_empty_client_id_is_replaced_and_told() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let [one, other] = [(); 2].map(|()| {
        let mut peer = Peer::tls(&world, Some(&bundle));
        peer.send(&Hello { client_id: "", ..Hello::default() }.bytes());
        let frame = peer.frame().unwrap();
        let keyward_mqtt::packet::Packet::ConnAck(ack) = peer.decode(&frame) else { panic!("not CONNACK") };
        assert_eq!(ack.reason, ReasonCode::Success);
        ack.properties.assigned_client_id.unwrap().to_owned()
    });
    assert_eq!((one.len(), other.len()), ("auto-".len() + 32, "auto-".len() + 32));
    assert_ne!(one, other, "no other session has it");
}

#[test]
fn a_client_id_beyond_the_bound_is_refused() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let hello = Hello { client_id: &"x".repeat(300), ..Hello::default() };
    let code = Peer::tls(&world, Some(&bundle)).hello(&hello);
    assert_eq!(code, ReasonCode::ClientIdentifierNotValid);
}

#[test]
fn when_too_many_passwords_wait_nobody_can_tell_what_kind_of_account_a_name_has() {
    let delay = Duration::from_millis(700);
    let limits = keyward_server::plane::Limits { refusal_delay: delay, password_queue: 0, ..World::hasty() };
    let mut world = World::with(limits);
    world.add_user("anna", "correct horse battery");
    world.add_device_with_password("pump-1");
    for name in ["anna", "pump-1", "nobody"] {
        let mut peer = Peer::tls(&world, None);
        let begun = Instant::now();
        assert_eq!(peer.hello(&password(name, "wrong")), ReasonCode::BadUserNameOrPassword, "{name}");
        assert!(begun.elapsed() >= delay, "{name} took {:?}", begun.elapsed());
    }
    world.told.wait("the cause", |told| {
        told.logins.iter().find(|each| each.cause == LoginCause::PasswordsWait).map(drop)
    });
}

#[test]
fn a_wrong_client_id_is_told_only_to_whom_the_credential_belongs_to() {
    let mut world = World::with(World::hasty());
    world.add_user("anna", "correct horse battery");
    let generated = world.add_device_with_password("pump-1");
    let client_id = &"x".repeat(300);
    let code = |name: &str, secret: &str| {
        Peer::tls(&world, None).hello(&Hello { client_id, ..password(name, secret) })
    };
    for name in ["anna", "pump-1", "nobody"] {
        assert_eq!(code(name, "wrong"), ReasonCode::BadUserNameOrPassword, "{name}");
    }
    assert_eq!(code("anna", "correct horse battery"), ReasonCode::ClientIdentifierNotValid);
    assert_eq!(code("pump-1", &generated), ReasonCode::ClientIdentifierNotValid);
}
