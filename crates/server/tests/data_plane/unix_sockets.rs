//! Listeners on Unix sockets: the same door, and a user of this machine in the place of an address.

use crate::frames::Framed;
use crate::peer::{Hello, encode};
use crate::world::{PATIENCE, Told, World};
use keyward_mqtt::packet::{Packet, Version};
use keyward_server::plane::{Endpoint, Limits, ListenError, Listener, Peer, Protocol};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

fn listener(path: &Path, protocol: Protocol) -> Listener {
    Listener {
        endpoint: Endpoint::Socket { path: path.to_owned(), mode: 0o600 },
        protocol,
        ..Listener::plain(format!("near {}", path.display()), Vec::new())
    }
}

/// Opens a listener on a socket in a folder of its own.
fn open(world: &World, protocol: Protocol) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    assert!(world.plane.add_listener(listener(&path, protocol)).unwrap().is_empty());
    (folder, path)
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends CONNECT and returns the code of CONNACK.
fn log_in(stream: &mut (impl Read + Write), name: &str, password: &str) -> u8 {
    let hello =
        Hello { version: Version::V311, username: Some(name), password: Some(password), ..Hello::default() };
    stream.write_all(&hello.bytes()).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..3], [0x20, 2, 0]);
    answer[3]
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn is_closed(mut stream: UnixStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0) | Err(_))
}

#[test]
fn a_program_logs_in_with_a_password_and_right_and_wrong_ones_are_told_with_its_uid() {
    let mut world = World::with(World::hasty());
    let password = world.add_device_with_password("pump-1");
    let (_folder, path) = open(&world, Protocol::Mqtt);
    let mut program = connect(&path);
    assert_eq!(log_in(&mut program, "pump-1", &password), 0);
    program.write_all(&encode(&Packet::PingReq, Version::V311)).unwrap();
    let mut pong = [0; 2];
    program.read_exact(&mut pong).unwrap();
    assert_eq!(pong, [0xd0, 0]);
    let login = world.told.wait("a login", |told| told.logged_in.first().cloned());
    assert_eq!(
        (login.peer, login.identity.to_string()),
        (Peer::Local { uid: uid() }, "device:pump-1".to_owned())
    );
    assert_ne!(log_in(&mut connect(&path), "pump-1", "guess"), 0);
    let peer = world.told.wait("a failed login", |told| told.logins.first().map(|login| login.peer));
    assert_eq!(peer, Peer::Local { uid: uid() });
    assert_eq!(peer.to_string(), format!("uid:{}", uid()));
    assert_eq!(world.revoke("device:pump-1").closed, 1);
    assert!(is_closed(program), "revoked, and still there");
}

#[test]
fn what_holds_for_an_address_holds_for_a_user_of_this_machine() {
    let world = World::with(Limits { connections_per_address: 2, ..Limits::default() });
    let (_folder, path) = open(&world, Protocol::Mqtt);
    let held = [connect(&path), connect(&path)];
    assert!(is_closed(connect(&path)));
    assert_eq!(world.told.offender("connections_per_address"), format!("uid:{}", uid()));
    drop(held);
}

#[test]
fn websocket_is_spoken_on_a_socket_too() {
    let mut world = World::new();
    let password = world.add_device_with_password("pump-1");
    let (_folder, path) = open(&world, Protocol::WebSocket { origins: Default::default() });
    assert_eq!(log_in(&mut Framed::begin(connect(&path)), "pump-1", &password), 0);
    connect(&path).write_all(&[0x10, 2]).unwrap();
    let line = |told: &Told| told.handshakes.first().map(|failure| failure.line.clone());
    let line = world.told.wait("MQTT without WebSocket", line);
    assert!(line.starts_with(&format!("uid:{} begins no WebSocket", uid())), "{line}");
}

#[test]
fn the_file_goes_with_its_listener_and_is_never_taken_from_another() {
    let world = World::new();
    let (_folder, path) = open(&world, Protocol::Mqtt);
    let other = World::new();
    let taken = other.plane.add_listener(listener(&path, Protocol::Mqtt));
    assert!(matches!(taken, Err(ListenError::SocketInUse { .. })), "{taken:?}");
    let link = connect(&path);
    assert!(world.plane.remove_listener(&listener(&path, Protocol::Mqtt).name));
    assert!(!path.exists());
    other.plane.add_listener(listener(&path, Protocol::Mqtt)).unwrap();
    drop(link);
    drop(other);
    assert!(!path.exists(), "the file outlives the broker");
}
