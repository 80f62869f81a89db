//! A TLS session is resumed only where it began: at its listener, under its configuration.

use crate::peer::{Hello, Peer, tls_config_of};
use crate::world::{Bundle, World};
use keyward_mqtt::reason::ReasonCode;
use keyward_server::plane::Listener;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Connects with openssl, keeps the session in `file` or offers the one that lies there; tells whether it was resumed.
fn connect(address: SocketAddr, ca: &Path, version: &str, flag: &str, file: &Path) -> bool {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-noservername", version, "-CAfile"])
        .arg(ca)
        .arg(flag)
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A CONNECT without credentials is answered after the tickets of TLS 1.3 have come; then the broker closes.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&Hello::default().bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("New, ") || text.contains("Reused, "), "{text}");
    text.contains("Reused, ")
}

#[test]
fn a_session_is_resumed_at_its_listener_but_not_at_another_and_not_after_a_reload() {
    let world = World::with(World::hasty());
    let other = Listener::tls("other", vec!["127.0.0.1:0".parse().unwrap()]);
    let other = world.plane.add_listener(other).unwrap()[0];
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&ca)
        .unwrap()
        .write_all(world.ca_pem().as_bytes())
        .unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = dir.path().join(version);
        assert!(!connect(world.tls, &ca, version, "-sess_out", &session), "{version}");
        assert!(connect(world.tls, &ca, version, "-sess_in", &session), "{version}: the same listener");
        assert!(!connect(other, &ca, version, "-sess_in", &session), "{version}: another listener");
    }
    world.reload_tls();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = dir.path().join(version);
        assert!(!connect(world.tls, &ca, version, "-sess_in", &session), "{version}: after a reload");
    }
}

#[test]
fn a_resumed_session_of_a_revoked_device_stays_out() {
    let mut world = World::with(World::hasty());
    let bundle = world.add_device("pump-1");
    let configs = [&TLS12, &TLS13].map(|version| config_of(&world, &bundle, version));
    for config in &configs {
        let mut first = Peer::tls_to(world.tls, "localhost", config.clone()).log_in("c1");
        assert!(first.is_alive() && !first.is_resumed());
        let mut second = Peer::tls_to(world.tls, "localhost", config.clone()).log_in("c2");
        assert!(second.is_alive() && second.is_resumed());
    }
    world.revoke("device:pump-1");
    for config in &configs {
        let mut third = Peer::tls_to(world.tls, "localhost", config.clone());
        assert_eq!(third.hello(&Hello::default()), ReasonCode::NotAuthorized);
        assert!(third.is_resumed(), "the verifier was skipped, the registry was not");
    }
}

fn config_of(
    world: &World,
    bundle: &Bundle,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    tls_config_of(&world.ca_pem(), Some(bundle), &[version])
}
