//! What a failed handshake leaves for the operator, and that odd clients are served.

use crate::peer::{Hello, Peer, tls_config};
use crate::world::{PATIENCE, World};
use keyward_mqtt::reason::ReasonCode;
use keyward_server::login::LoginRule;
use keyward_server::plane::{Entrance, Listener, LogLine};
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

/// Runs `openssl s_client` against the TLS listener and ends it when its input ends.
pub(crate) fn s_client(world: &World, arguments: &[&str]) -> Output {
    let ca = tempfile::NamedTempFile::new().unwrap();
    ca.as_file().write_all(world.ca_pem().as_bytes()).unwrap();
    let port = world.tls.port();
    Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-CAfile"])
        .arg(ca.path())
        .args(["-brief", "-verify_return_error"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn is_served(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stderr).contains("CONNECTION ESTABLISHED")
}

#[test]
fn clients_without_a_name_with_an_address_or_with_an_unknown_name_are_served() {
    let world = World::new();
    for name in [
        &["-noservername"][..],
        &["-servername", "127.0.0.1"],
        &["-servername", "192.168.77.5"],
        &["-servername", "never.heard.of"],
        &["-servername", "under_score.local"],
    ] {
        for version in ["-tls1_2", "-tls1_3"] {
            let output = s_client(&world, &[name, &[version]].concat());
            assert!(is_served(&output), "{name:?} {version}: {output:?}");
        }
    }
}

#[test]
fn a_client_that_finds_its_name_missing_leaves_the_command_that_adds_it() {
    let world = World::new();
    let mut peer = Peer::tls_to(world.tls, "mqtt.home", tls_config(&world.ca_pem(), None));
    assert!(peer.try_send(&Hello::default().bytes()).is_err());
    let line = world.told.handshake_line("asked for");
    assert_eq!(
        line,
        "127.0.0.1 asked for `mqtt.home`, which the certificate does not name → keyward server name add mqtt.home"
    );
}

#[test]
fn openssl_that_finds_its_name_missing_leaves_the_same_line() {
    let world = World::new();
    let output = s_client(&world, &["-servername", "mqtt.home", "-verify_hostname", "mqtt.home"]);
    assert!(!is_served(&output));
    world.told.handshake_line("keyward server name add mqtt.home");
}

#[test]
fn a_client_that_does_not_trust_us_is_told_apart() {
    let (world, other) = (World::new(), World::new());
    let mut peer = Peer::tls_to(world.tls, "localhost", tls_config(&other.ca_pem(), None));
    assert!(peer.try_send(&Hello::default().bytes()).is_err());
    world.told.handshake_line("does not trust this broker → it needs ca.pem");
}

#[test]
fn plain_mqtt_and_http_on_the_tls_port_are_recognised() {
    let world = World::new();
    let mut mqtt = Peer::plain(world.tls);
    mqtt.send(&Hello::default().bytes());
    assert_eq!(mqtt.frame(), None);
    world.told.handshake_line("speaks plain MQTT to the TLS port");
    let mut http = Peer::plain(world.tls);
    http.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(http.frame(), None);
    world.told.handshake_line("speaks HTTP");
}

#[test]
fn tls_on_the_plain_port_is_recognised() {
    let world = World::new();
    let mut peer = Peer::tls_to(world.plain, "localhost", tls_config(&world.ca_pem(), None));
    assert!(peer.try_send(&Hello::default().bytes()).is_err());
    world.told.handshake_line("speaks TLS to listener `mqtt`, which has none");
}

#[test]
fn an_old_tls_is_refused_and_recognised() {
    let world = World::new();
    let output = s_client(&world, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(!is_served(&output));
    world.told.handshake_line("speaks no TLS 1.2 or 1.3");
}

#[test]
fn a_name_that_is_none_is_shown_escaped() {
    let world = World::new();
    s_client(&world, &["-servername", "evil\u{1b}[2Jname"]);
    let line = world.told.handshake_line("which is no host name");
    assert!(line.contains("`evil\\u{1b}[2Jname`"), "{line}");
}

#[test]
fn a_listener_that_demands_a_certificate_turns_a_password_away() {
    let mut world = World::new();
    let listener = Listener {
        entrance: Entrance { login: LoginRule::Certificate, ..Entrance::default() },
        ..Listener::tls("strict", vec!["127.0.0.1:0".parse().unwrap()])
    };
    let strict = world.plane.add_listener(listener).unwrap()[0];
    let bundle = world.add_device("pump-1");
    let mut bare = Peer::tls_to(strict, "localhost", tls_config(&world.ca_pem(), None));
    let _ = bare.try_send(&Hello::default().bytes());
    assert_eq!(bare.frame(), None);
    world.told.handshake_line("shows no certificate, and listener `strict` demands one");
    Peer::tls_to(strict, "localhost", tls_config(&world.ca_pem(), Some(&bundle))).log_in("c1");
}

#[test]
fn a_hello_in_pieces_of_one_byte_is_a_hello() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let config = tls_config(&world.ca_pem(), Some(&bundle));
    let name = "localhost".try_into().unwrap();
    let mut tls = rustls::ClientConnection::new(config, name).unwrap();
    let mut socket = std::net::TcpStream::connect(world.tls).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    for byte in hello {
        socket.write_all(&[byte]).unwrap();
    }
    let mut stream = rustls::StreamOwned::new(tls, socket);
    stream.write_all(&Hello::default().bytes()).unwrap();
    let mut first = [0; 4];
    stream.read_exact(&mut first).unwrap();
    assert_eq!((first[0], first[3]), (0x20, ReasonCode::Success as u8));
}

#[test]
fn a_source_that_fails_again_and_again_does_not_fill_the_log() {
    let world = World::new();
    for _ in 0..40 {
        let mut peer = Peer::plain(world.tls);
        peer.send(&Hello::default().bytes());
        assert_eq!(peer.frame(), None);
    }
    let told = world.told.wait("all of them", |told| {
        (told.handshakes.len() == 40).then(|| told.handshakes.iter().map(|each| each.log).collect::<Vec<_>>())
    });
    assert!(told.iter().filter(|log| **log != LogLine::LeftOut).count() <= 6, "{told:?}");
}
