//! Which requests begin a WebSocket, and what the others are told.

use super::*;

/// Pages of the same host, at a listener without TLS.
const PLAIN: Origins = Origins::SameHost { tls: false };

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Writes a request that is in order, with one header in another form, or more headers.
fn request(first: &str, other: &[(&str, Option<&str>)]) -> String {
    let mut headers = vec![
        ("Host", Some("broker:8083")),
        ("Upgrade", Some("websocket")),
        ("Connection", Some("Upgrade")),
        ("Sec-WebSocket-Key", Some(KEY)),
        ("Sec-WebSocket-Version", Some("13")),
        ("Sec-WebSocket-Protocol", Some("mqtt")),
    ];
    headers.retain(|(name, _)| other.iter().all(|(other, _)| other != name));
    headers.extend_from_slice(other);
    let lines: String =
        headers.iter().filter_map(|(name, value)| Some(format!("{name}: {}\r\n", (*value)?))).collect();
    format!("{first}\r\n{lines}\r\n")
}

fn take_by(origins: Origins, text: &str) -> (Result<Option<usize>, UpgradeFault>, String) {
    let mut said = Vec::new();
    let taken = Upgrade::new(Arc::new(origins)).take(text.as_bytes(), &mut said);
    (taken, String::from_utf8(said).unwrap())
}

fn take(text: &str) -> (Result<Option<usize>, UpgradeFault>, String) {
    take_by(PLAIN, text)
}

fn fault(text: &str) -> UpgradeFault {
    take(text).0.unwrap_err()
}

fn with(name: &str, value: Option<&str>) -> String {
    request("GET /mqtt HTTP/1.1", &[(name, value)])
}

// The key and its answer are those of RFC 6455 §1.3.
#[test]
fn a_request_in_order_is_answered_as_the_rfc_says() {
    let text = request("GET /mqtt HTTP/1.1", &[]);
    let (taken, said) = take(&text);
    assert_eq!(taken, Ok(Some(text.len())));
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    assert_eq!(said, expected);
}

#[test]
fn a_request_may_come_in_any_pieces_and_frames_may_follow_at_once() {
    let text = request("GET / HTTP/1.1", &[]);
    let bytes = [text.as_bytes(), b"\x82\x80...."].concat();
    for cut in 1..text.len() {
        let (mut upgrade, mut said) = (Upgrade::new(Arc::default()), Vec::new());
        assert_eq!(upgrade.take(&bytes[..cut], &mut said), Ok(None), "{cut}");
        assert_eq!(upgrade.take(&bytes[cut..], &mut said), Ok(Some(text.len() - cut)), "{cut}");
        assert!(said.starts_with(b"HTTP/1.1 101 "));
    }
}

#[test]
fn lists_are_read_in_any_case_and_spread_over_lines() {
    for (name, value) in [
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "WebSocket"),
        ("Sec-WebSocket-Protocol", "chat,mqtt"),
        ("sec-websocket-protocol", "mqttv3.1 , mqtt"),
    ] {
        let (taken, said) = take(&with(name, Some(value)));
        assert!(taken.is_ok() && said.contains("Protocol: mqtt\r\n"), "{name}: {taken:?}");
    }
    let old = take(&with("Sec-WebSocket-Protocol", Some("mqttv3.1"))).1;
    assert!(old.contains("Sec-WebSocket-Protocol: mqttv3.1\r\n"), "{old}");
}

#[test]
fn what_is_missing_or_wrong_is_named_and_told_in_http() {
    let long = "x".repeat(UPGRADE_BYTES);
    for (text, expected, status) in [
        (request("POST /mqtt HTTP/1.1", &[]), UpgradeFault::Method, "405"),
        (request("GET /mqtt HTTP/1.0", &[]), UpgradeFault::Malformed, "400"),
        (request("GET /mqtt HTTP/2.0", &[]), UpgradeFault::Malformed, "400"),
        (request("GET /other?a=b HTTP/1.1", &[]), UpgradeFault::Path("/other".to_owned()), "404"),
        (with("Host", None), UpgradeFault::Malformed, "400"),
        (with("Upgrade", None), UpgradeFault::NoUpgrade, "426"),
        (with("Upgrade", Some("h2c")), UpgradeFault::NoUpgrade, "426"),
        (with("Connection", Some("close")), UpgradeFault::NoUpgrade, "426"),
        (with("Sec-WebSocket-Version", Some("8")), UpgradeFault::Version, "426"),
        (with("Sec-WebSocket-Key", None), UpgradeFault::Key, "400"),
        (with("Sec-WebSocket-Key", Some("c2hvcnQ=")), UpgradeFault::Key, "400"),
        (with("Sec-WebSocket-Key", Some("not base64 at all!!!!!!=")), UpgradeFault::Key, "400"),
        (with("Sec-WebSocket-Protocol", None), UpgradeFault::Subprotocol, "400"),
        (with("Sec-WebSocket-Protocol", Some("MQTT, wamp")), UpgradeFault::Subprotocol, "400"),
        (with("Content-Length", Some("5")), UpgradeFault::Malformed, "400"),
        (with("Transfer-Encoding", Some("chunked")), UpgradeFault::Malformed, "400"),
        (with("Bad Header", Some("x")), UpgradeFault::Malformed, "400"),
        (with("Cookie", Some(&long)), UpgradeFault::TooLong, "431"),
    ] {
        let (taken, said) = take(&text);
        assert_eq!(taken, Err(expected), "{text}");
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{text}{said}");
    }
}

#[test]
fn too_many_headers_and_headers_twice_are_refused() {
    let many: Vec<(&str, Option<&str>)> = (0..UPGRADE_HEADERS).map(|_| ("X", Some("1"))).collect();
    assert_eq!(fault(&request("GET /mqtt HTTP/1.1", &many)), UpgradeFault::TooLong);
    for (name, value) in [("Host", "a"), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13")] {
        let twice = request("GET /mqtt HTTP/1.1", &[(name, Some(value)), (name, Some(value))]);
        assert_eq!(fault(&twice), UpgradeFault::Malformed, "{name}");
    }
}

#[test]
fn what_is_no_http_is_known_at_its_first_byte_and_not_answered() {
    for (first, expected) in
        [("\x10", UpgradeFault::Mqtt), ("\x16", UpgradeFault::Tls), ("\0", UpgradeFault::NotHttp)]
    {
        assert_eq!(take(first), (Err(expected), String::new()));
    }
}

#[test]
fn pages_of_another_host_may_not_connect_unless_they_are_listed() {
    let from = |origin: &str| with("Origin", Some(origin));
    let panel = Origins::Listed(vec!["https://panel.example:1880".to_owned()]);
    for (origins, origin, is_allowed) in [
        (PLAIN, "http://broker", true),
        (Origins::SameHost { tls: true }, "https://broker:1880", true),
        // Whoever is on the way wrote this page, and the browser shows the certificate of its user for it.
        (Origins::SameHost { tls: true }, "http://broker", false),
        (PLAIN, "ftp://broker", false),
        (PLAIN, "https://BROKER:1880", true),
        (PLAIN, "https://evil.example", false),
        (PLAIN, "https://broker.evil.example", false),
        (PLAIN, "null", false),
        (panel.clone(), "https://panel.example:1880", true),
        (panel.clone(), "https://panel.example", false),
        (panel.clone(), "http://broker", false),
        (Origins::Listed(Vec::new()), "http://broker", false),
        (Origins::All, "null", true),
    ] {
        let (taken, said) = take_by(origins.clone(), &from(origin));
        assert_eq!(taken.is_ok(), is_allowed, "{origins:?} {origin}");
        assert_eq!(said.starts_with("HTTP/1.1 403 "), !is_allowed, "{said}");
        assert!(!said.contains("evil"), "what the peer chose comes back to it");
    }
    assert!(take_by(panel, &request("GET /mqtt HTTP/1.1", &[])).0.is_ok(), "a program that is no browser");
}

#[test]
fn an_address_is_a_host_like_any_other() {
    let to = |host: &str, origin: &str| {
        request("GET /mqtt HTTP/1.1", &[("Host", Some(host)), ("Origin", Some(origin))])
    };
    assert!(take(&to("[::1]:8083", "http://[::1]:1880")).0.is_ok());
    assert!(take(&to("[::1]:8083", "http://[::1]")).0.is_ok());
    assert!(take(&to("192.0.2.7", "http://192.0.2.7:80")).0.is_ok());
    assert!(take(&to("[::1]:8083", "http://[::2]")).0.is_err());
}

#[test]
fn a_request_that_has_begun_counts_with_all_the_room_that_it_takes() {
    let mut upgrade = Upgrade::new(Arc::default());
    assert_eq!(upgrade.held(), 0);
    assert_eq!(upgrade.take(b"G", &mut Vec::new()), Ok(None));
    assert!(upgrade.held() >= UPGRADE_BYTES);
}
