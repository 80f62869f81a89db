//! Records are as short as a client asks for in its hello (RFC 6066 §4), and no client is hurt by asking oddly.

use crate::peer::{Hello, Peer, publish, subscribe, tls_config_of};
use crate::world::{Bundle, World};
use rustls::ClientConnection;
use rustls::version::{TLS12, TLS13};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// The payload that comes back: more than any record that is asked for.
const PAYLOAD: [u8; 6_000] = [b'x'; 6_000];

/// Lets openssl log in, subscribe and publish to itself; returns the lengths of the records of application data that the
/// broker sent until the message was back.
fn records_of(world: &World, files: &Path, asked: Option<usize>, version: &str) -> Vec<usize> {
    let traffic = files.join(format!("traffic-{asked:?}{version}"));
    let fragment: Vec<String> =
        asked.iter().flat_map(|asked| ["-maxfraglen".to_owned(), asked.to_string()]).collect();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &world.tls.to_string(), version, "-quiet", "-verify_return_error"])
        .args([
            "-CAfile",
            "ca.pem",
            "-certform",
            "DER",
            "-cert",
            "cert.der",
            "-keyform",
            "DER",
            "-key",
            "key.der",
        ])
        .args(["-msg", "-msgfile"])
        .arg(&traffic)
        .args(fragment)
        .current_dir(files)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let id = format!("openssl{version}{}", asked.unwrap_or_default());
    let hello = Hello { client_id: &id, ..Hello::default() }.bytes();
    let said = [hello, subscribe("pump-1/#", 1), publish("pump-1/x", &PAYLOAD, None)].concat();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&said).unwrap();
    let (mut stdout, mut heard) = (child.stdout.take().unwrap(), Vec::new());
    while heard.iter().filter(|byte| PAYLOAD.contains(byte)).count() < PAYLOAD.len() {
        let mut piece = [0; 4096];
        let count = stdout.read(&mut piece).unwrap();
        assert!(count > 0, "openssl ended after {} bytes", heard.len());
        heard.extend_from_slice(&piece[..count]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    sent_records(&std::fs::read_to_string(traffic).unwrap())
}

/// Finds the lengths of records with application data that came, in what `s_client -msg` writes: the header of each, and for
/// TLS 1.3 what the header hides.
fn sent_records(traffic: &str) -> Vec<usize> {
    const APPLICATION_DATA: u8 = 0x17;
    let (mut records, mut lines) = (Vec::new(), traffic.lines());
    while let Some(line) = lines.next() {
        let (is_header, is_inner) = (line.contains("RecordHeader"), line.contains("InnerContent"));
        if !line.starts_with("<<<") || !(is_header || is_inner) {
            continue;
        }
        let bytes = lines.next().unwrap_or_default().split_whitespace();
        let bytes: Vec<u8> = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        match bytes[..] {
            [APPLICATION_DATA, _, _, high, low] => records.push(usize::from(u16::from_be_bytes([high, low]))),
            [inner] if inner != APPLICATION_DATA => drop(records.pop()),
            _ => {}
        }
    }
    records
}

fn write_files(world: &World, bundle: &Bundle, files: &Path) {
    let write = |name: &str, bytes: &[u8]| {
        std::fs::File::create(files.join(name)).unwrap().write_all(bytes).unwrap();
    };
    write("ca.pem", world.ca_pem().as_bytes());
    write("cert.der", &bundle.chain[0]);
    write("key.der", bundle.key.secret_der());
}

#[test]
fn a_client_gets_records_as_short_as_it_asks_for_and_the_others_whole_ones() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let files = tempfile::tempdir().unwrap();
    write_files(&world, &bundle, files.path());
    for (version, added) in [("-tls1_2", 24), ("-tls1_3", 17)] {
        for asked in [512, 1024, 2048, 4096] {
            let records = records_of(&world, files.path(), Some(asked), version);
            assert_eq!(records.iter().max(), Some(&(asked + added)), "{version} {asked}: {records:?}");
        }
        let records = records_of(&world, files.path(), None, version);
        assert!(records.iter().any(|record| *record > PAYLOAD.len()), "{version}: {records:?}");
    }
}

/// Makes the hello of a real client and puts extensions behind its own; bytes that are none count too.
fn hello_with(world: &World, more: &[u8]) -> Vec<u8> {
    let config = tls_config_of(&world.ca_pem(), None, &[&TLS12, &TLS13]);
    let mut client = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    // record header 5, message header 4, version 2, random 32, session id 1 + n, suites 2 + n, compression 1 + n
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    at += 2 + usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    at += 1 + usize::from(hello[at]);
    for length in [3, 7, at] {
        let longer =
            u16::from_be_bytes([hello[length], hello[length + 1]]) + u16::try_from(more.len()).unwrap();
        hello[length..length + 2].copy_from_slice(&longer.to_be_bytes());
    }
    hello.extend_from_slice(more);
    hello
}

#[test]
fn odd_wishes_are_refused_with_their_alert_and_a_line() {
    const ILLEGAL_PARAMETER: u8 = 47;
    const DECODE_ERROR: u8 = 50;
    let world = World::new();
    let cases: [(&str, &[u8], u8); 8] = [
        ("no code", &[0, 1, 0, 0], ILLEGAL_PARAMETER),
        ("an unknown code", &[0, 1, 0, 1, 5], ILLEGAL_PARAMETER),
        ("two codes", &[0, 1, 0, 2, 1, 1], ILLEGAL_PARAMETER),
        ("the same wish twice", &[0, 1, 0, 1, 1, 0, 1, 0, 1, 1], ILLEGAL_PARAMETER),
        ("a limit too low", &[0, 28, 0, 2, 0, 63], ILLEGAL_PARAMETER),
        ("half a limit", &[0, 28, 0, 1, 2], ILLEGAL_PARAMETER),
        ("cut in the body", &[0, 1, 0, 2, 1], DECODE_ERROR),
        ("cut in the header", &[0, 1, 0], DECODE_ERROR),
    ];
    for (what, extensions, alert) in cases {
        let mut peer = Peer::plain(world.tls);
        peer.send(&hello_with(&world, extensions));
        assert_eq!(everything(&mut peer), [0x15, 3, 3, 0, 2, 2, alert], "{what}");
    }
    world.told.handshake_line("asks for records of a length that no standard allows");
}

fn everything(peer: &mut Peer) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = peer.socket.read_to_end(&mut all);
    all
}
