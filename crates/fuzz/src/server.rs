//! What the server reads: the first bytes of a connection, certificates, the control socket, `keyward.toml`, names.

use keyward_envelope::{PublicKey, Purpose};
use keyward_identity::{MessageKey, ServerName, decoders as identity, limits::DNS_NAME_BYTES};
use keyward_mqtt::time::UnixMillis;
use keyward_server::config::{Address, Config, EditError, Listener, MAX_LISTENERS, Place, Protocol};
use keyward_server::config::{add_listener, remove_listener};
use keyward_server::control::CallError;
use keyward_server::enrolment::Request;
use keyward_server::login::LoginRule;
use keyward_server::names::parse_list;
use keyward_server::plane::{HandshakeCause, Peer};
use keyward_server::{decoders, decoders::Hello};
use rustls::pki_types::DnsName;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

/// Reads the first bytes of a connection, in all their beginnings: once a hello is whole, more bytes change nothing.
/// The line about it steers no terminal.
pub fn client_hello(data: &[u8]) {
    let whole = decoders::client_hello(data);
    for end in (0..data.len()).rev().take(64) {
        let part = decoders::client_hello(&data[..end]);
        assert!(part.is_none() || part == whole, "{part:?} of {end} bytes became {whole:?}");
    }
    if let Some(bytes) = whole.as_ref().and_then(|hello| hello.fragment) {
        assert!((63..=16 * 1024).contains(&bytes), "records of {bytes} bytes");
    }
    if let Some(Hello { asked: Some(name), .. }) = whole {
        let peer = Peer::Remote(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        for cause in [HandshakeCause::NameNotHeld(name.clone()), HandshakeCause::NoName(name)] {
            let line = cause.line(peer, "mqtts");
            assert!(line.len() < 2048 && !line.contains(char::is_control), "{line:?}");
        }
    }
}

/// Reads a certificate as the registry and as the door do: both see the same serial number, key and validity.
pub fn certificate(data: &[u8]) {
    let record = identity::certificate(data);
    let at = |time| decoders::client_certificate(data, UnixMillis(time));
    let Some(record) = record else {
        drop(at(0));
        return;
    };
    let (begin, end) = (record.not_before.0, record.not_after.0);
    for (time, is_valid) in [(begin, begin <= end), (end, begin <= end), (end.saturating_add(1), false)] {
        let Some(shown) = at(time) else { panic!("the door cannot read {record:?}") };
        assert_eq!((&shown.serial, shown.key), (&record.serial, record.key));
        assert_eq!(shown.is_valid, is_valid || end == u64::MAX, "{record:?} at {time}");
        assert!(shown.common_name.len() <= data.len());
    }
}

/// An authority whose key nobody has any more, and the one client that it certified.
const ROOT: &[u8] = include_bytes!("../seeds/version1_certificate/root.der");
const CERTIFIED: &[u8] = include_bytes!("../seeds/version1_certificate/pump.der");

/// Reads a certificate of version 1 as the verifier does: where the library can read it, both see the same, and it sees
/// nothing more. Without the key of the authority nobody makes one that is taken.
pub fn version1_certificate(data: &[u8]) {
    let taken = decoders::takes_version1(ROOT, data, Duration::from_secs(1_800_000_000));
    let Some(read) = decoders::version1_certificate(data) else {
        assert!(!taken, "what cannot be read is taken");
        return;
    };
    if let Ok((rest, parsed)) = X509Certificate::from_der(data) {
        assert!(rest.is_empty() && parsed.version() == X509Version::V1 && parsed.extensions().is_empty());
        assert!(parsed.issuer_uid.is_none() && parsed.subject_uid.is_none());
        let validity = parsed.validity();
        assert_eq!(read.validity, (validity.not_before.timestamp(), validity.not_after.timestamp()));
        assert!(parsed.raw_serial().ends_with(&read.serial));
        // Of a name or a key that is not in order the library keeps what is; here it is whole, and no such key verifies.
        assert!(read.issuer.starts_with(parsed.issuer().as_raw()));
        assert!(read.key.starts_with(parsed.public_key().raw));
    }
    let is_known = decoders::version1_certificate(CERTIFIED).is_some_and(|known| known.key == read.key);
    assert!(is_known || !taken, "a key was taken that the authority did not certify");
    assert!(taken || data != CERTIFIED);
}

/// Reads lines of the control socket, in pieces, as requests. The first byte chooses the length of the pieces. A
/// refusal quotes nothing.
pub fn control_request(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else { return };
    let whole = decoders::control_requests(bytes, bytes.len().max(1));
    assert_eq!(whole, decoders::control_requests(bytes, usize::from(piece) + 1));
    assert_eq!(whole.len(), bytes.iter().filter(|byte| **byte == b'\n').count());
    for refusal in whole.iter().filter_map(|result| result.as_ref().err()) {
        assert!(refusal.what.len() < 100 && refusal.what.is_ascii(), "{refusal:?}");
    }
}

/// Reads an answer of the control socket; what is read can be written, and reads the same again. An error quotes
/// nothing.
pub fn control_answer(data: &[u8]) {
    match decoders::control_answer(data) {
        Ok(written) => {
            let again = decoders::control_answer(&written);
            assert!(again.is_ok_and(|again| again == written), "{}", written.escape_ascii());
        }
        // What the broker says of itself is for people; the command line escapes it.
        Err(CallError::Refused(_)) => {}
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 200 && text.is_ascii(), "{text:?}");
        }
    }
}

/// Names that files of a backup can have, and some that none can.
const NAMES: [&str; 8] = [
    "ledger.log",
    "keyward.toml",
    "policy.d/a.toml",
    "keys/pepper",
    "messages/00000000.rows",
    "messages/00000001.rows",
    "../keyward.toml",
    "policy.d/../x.toml",
];

/// The manifest of the backups that are packed here.
const MANIFEST: &[u8] =
    br#"{"what":"keyward backup","format":1,"program":"0.1.0","taken_unix_ms":1,"installation":"x",
    "ledger_records":1,"private_keys":false,"messages":true}"#;

/// Reads a backup. If the first byte is zero the rest is one as it is; if it is one the rest is its manifest; else the rest is
/// files, each behind a byte that chooses its name and two that are its length, in a backup whose digests are right. What
/// is taken leads nowhere else, holds no more than was given, and is not taken without its last byte.
pub fn backup(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else { return };
    let bytes = match kind {
        0 => Some(rest.to_vec()),
        1 => decoders::packed_backup(rest, &[("ledger.log", b"x")]),
        _ => decoders::packed_backup(MANIFEST, &files(rest)),
    };
    let Some(bytes) = bytes else { return };
    let Ok(survey) = decoders::backup(&bytes) else { return };
    let sizes: u64 = survey.contents.iter().map(|content| content.size).sum();
    assert!(sizes <= bytes.len() as u64, "{sizes} bytes out of {}", bytes.len());
    for content in &survey.contents {
        let is_safe = content.name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
        assert!(is_safe && !content.name.contains(char::is_control), "{:?}", content.name);
    }
    assert!(decoders::backup(&bytes[..bytes.len() - 1]).is_err(), "taken without its end");
}

fn files(mut rest: &[u8]) -> Vec<(&'static str, &[u8])> {
    let mut files = Vec::new();
    while let Some(([name, high, low], more)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(more.len());
        let (file, more) = more.split_at(length);
        files.push((NAMES[usize::from(*name) % NAMES.len()], file));
        rest = more;
    }
    files
}

/// Parses a configuration; what is refused says where, and what is taken is within its bounds.
pub fn configuration(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    match Config::parse("keyward.toml", text) {
        Err(errors) => {
            assert!(errors.to_string().contains("keyward.toml"), "an error without its place: {errors}");
        }
        Ok(config) => {
            assert!((1..=MAX_LISTENERS).contains(&config.listeners.len()));
            for listener in &config.listeners {
                let open = !listener.tls && !is_loopback(listener) && listener.from.is_empty();
                assert!(!open, "passwords would cross the network: {listener:?}");
            }
        }
    }
}

fn is_loopback(listener: &Listener) -> bool {
    listener.address().is_none_or(|address| matches!(address, Address::One(ip) if ip.is_loopback()))
}

/// Adds a listener to a configuration and removes it again: the first says what the old one said and the listener, the
/// second what the old one said, and no comment is lost. The first byte chooses the listener.
pub fn configuration_edit(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else { return };
    let Ok(text) = core::str::from_utf8(text) else { return };
    let (tls, login) = [
        (false, LoginRule::Password),
        (true, LoginRule::Certificate),
        (true, LoginRule::CertificateOrPassword),
    ][usize::from(choice >> 4) % 3];
    let is_web = choice & 0x80 != 0;
    let listener = Listener {
        name: ["extra", "mqtts", "a.b-c_d", "local"][usize::from(choice) % 4].to_owned(),
        place: Place::Network {
            address: Address::One(Ipv4Addr::LOCALHOST.into()),
            port: [0, 1883, 8883, 8884][usize::from(choice >> 2) % 4],
        },
        tls,
        login,
        protocol: if is_web { Protocol::WebSocket } else { Protocol::Mqtt },
        trusted: (tls && choice & 0x40 != 0).then(|| "old".parse().ok().into_iter().collect()),
        origins: is_web.then(|| vec!["https://panel.example".to_owned()]),
        ..Listener::default()
    };
    let before = Config::parse("keyward.toml", text);
    let longer = match (&before, add_listener(text, &listener)) {
        (Err(errors), Ok(_)) => panic!("a bad file was edited: {errors}"),
        (Err(_), Err(_)) | (Ok(_), Err(EditError::Config(_) | EditError::Form(_))) => return,
        (Ok(_), Err(error)) => panic!("not added: {error}"),
        (Ok(_), Ok(longer)) => longer,
    };
    let (Ok(mut expected), Ok(got)) = (before.clone(), Config::parse("keyward.toml", &longer)) else {
        panic!("not a configuration any more:\n{longer}");
    };
    expected.listeners.push(listener.clone());
    assert_eq!(got, expected, "{longer}");
    assert_eq!(comments(&longer), comments(text), "{longer}");
    let Ok(shorter) = remove_listener(&longer, &listener.name) else {
        panic!("not removed again:\n{longer}")
    };
    assert_eq!(Config::parse("keyward.toml", &shorter), before, "{shorter}");
    // A comment above the removed section would go with it; there is none.
    assert_eq!(comments(&shorter), comments(text), "{shorter}");
}

/// Counts the signs that begin comments; those in texts too, which stay as well.
fn comments(text: &str) -> usize {
    text.matches('#').count()
}

/// Parses names of a server, one or a list: what is accepted prints and parses as itself, and a client can ask for it.
pub fn server_names(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(name) = text.parse::<ServerName>() {
        let printed = name.to_string();
        assert_eq!(printed.parse().as_ref(), Ok(&name), "{printed:?}");
        assert!(printed.len() <= DNS_NAME_BYTES && printed.is_ascii());
        if let ServerName::Dns(dns) = &name {
            assert!(DnsName::try_from(dns.as_str()).is_ok(), "no client could ask for {dns:?}");
        }
    }
    match parse_list(text) {
        Ok(names) => assert!(names.len() <= text.split(',').count()),
        Err(why) => assert!(!why.contains(char::is_control), "{why:?}"),
    }
}

/// Reads what a device sends that applies for a certificate. A key that is taken reads the same again, and as the library that
/// verifies messages reads it; nobody claims level 3.
pub fn enrolment(data: &[u8]) {
    let Ok(request) = Request::read(data) else { return };
    assert!(request.csr.len() <= data.len());
    if let Ok(Some(key)) = request.message_key() {
        assert!(key.level() <= 3);
        assert_eq!(MessageKey::read(&key.cose(), key.level()).as_ref(), Ok(&key));
        let read =
            PublicKey::from_cose(&key.cose()).map(|(public, purpose)| (*public.kid().as_bytes(), purpose));
        assert_eq!(read.ok(), Some((*key.kid().as_bytes(), Purpose::Sign)));
    }
    if let Ok(Some(key)) = request.agreement_key() {
        let read =
            PublicKey::from_cose(&key.cose()).map(|(public, purpose)| (*public.kid().as_bytes(), purpose));
        assert_eq!(read.ok(), Some((*key.kid().as_bytes(), Purpose::Agree)));
    }
}

/// What a device says, as the watch reads it: its heartbeat, its alarm, its status, its readings.
pub fn device_payload(data: &[u8]) {
    let Ok(device) = "pump".parse() else { return };
    let topics = ["devices/pump/heartbeat", "devices/pump/alarm", "pump/status"];
    let most = topics.map(|topic| decoders::device_payload(&device, topic, data)).into_iter().max();
    assert!(most.is_some_and(|most| most <= 16 + 2));
}

/// What a device answers for its rolling secret, and the file in which the server keeps what it knows of these.
pub fn rolling_secrets(data: &[u8]) {
    decoders::rolling_secrets(data);
}

/// The file in which what waits to be told survives a restart.
pub fn notices_file(data: &[u8]) {
    let _ = decoders::notices_file(data);
}

/// What a mail server answers.
pub fn smtp_answer(data: &[u8]) {
    let _ = decoders::smtp_answer(data);
}

/// The file in which incidents survive a restart.
pub fn incidents_file(data: &[u8]) {
    let _ = decoders::incidents_file(data);
}

/// The file with what a watch has learned: as it lies there, and as one that was written so.
pub fn learned_file(data: &[u8]) {
    let _ = decoders::learned_file(data);
    let _ = decoders::learned_body(data.get(16..).unwrap_or_default());
}

/// What the watch heard, recorded: it can be played from its first line to the last, or says which is none.
pub fn recording(data: &[u8]) {
    let _ = decoders::recording(data);
}
