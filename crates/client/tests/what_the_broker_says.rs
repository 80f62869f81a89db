//! The client against a broker that follows a script: every answer becomes the right result or the right error.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_client::{Client, ClientError, ClientOptions, Publication};
use keyward_mqtt::packet::{Qos, Version};
use keyward_mqtt::reason::ReasonCode;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(5);

/// CONNACK of 5.0: no session, success, no properties.
const WELCOME: &[u8] = &[0x20, 3, 0, 0, 0];

/// Plays the broker in a thread: each step reads one packet of the client, then sends bytes.
fn broker(script: &'static [&'static [u8]]) -> (ClientOptions, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut link, _) = listener.accept().unwrap();
        link.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = Vec::new();
        for answer in script {
            heard.push(packet(&mut link));
            link.write_all(answer).unwrap();
        }
        heard
    });
    let mut options = ClientOptions::new("127.0.0.1", port);
    options.timeout = PATIENCE;
    (options, thread)
}

/// Reads one packet of fewer than 128 bytes.
fn packet(link: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 2];
    link.read_exact(&mut head).unwrap();
    let mut body = vec![0; usize::from(head[1])];
    link.read_exact(&mut body).unwrap();
    [head.to_vec(), body].concat()
}

fn connected(script: &'static [&'static [u8]]) -> Client {
    Client::connect(&broker(script).0).unwrap()
}

#[test]
fn a_refused_login_carries_its_code_and_the_words_of_the_broker() {
    let (options, _) = broker(&[&[0x20, 8, 0, 0x87, 5, 0x1f, 0, 2, b'n', b'o']]);
    let error = Client::connect(&options).err().unwrap();
    assert_eq!(error.reason(), Some(ReasonCode::NotAuthorized));
    assert!(error.to_string().contains("0x87") && error.to_string().contains("(no)"), "{error}");
}

#[test]
fn a_return_code_of_3_1_1_becomes_a_code_of_5() {
    let (mut options, _) = broker(&[&[0x20, 2, 0, 5]]);
    options.version = Version::V311;
    let error = Client::connect(&options).err().unwrap();
    assert_eq!(error.reason(), Some(ReasonCode::NotAuthorized), "{error}");
}

#[test]
fn a_broker_that_hangs_up_is_told_from_one_that_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = ClientOptions::new("127.0.0.1", listener.local_addr().unwrap().port());
    options.timeout = SOON;
    assert!(matches!(Client::connect(&options), Err(ClientError::TimedOut { .. })));

    let thread = std::thread::spawn(move || {
        drop(listener.accept().unwrap());
        // The first link waited in the system; the second is the one that is hung up on.
        drop(packet(&mut listener.accept().unwrap().0));
    });
    options.timeout = PATIENCE;
    assert!(matches!(Client::connect(&options), Err(ClientError::Closed)));
    thread.join().unwrap();
}

#[test]
fn nobody_listening_is_unreachable_and_says_what_to_check() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Client::connect(&ClientOptions::new("127.0.0.1", port)).err().unwrap();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[test]
fn publishing_at_qos_1_waits_for_puback() {
    let mut client = connected(&[WELCOME, &[0x40, 2, 0, 1]]);
    assert_eq!(client.publish(&Publication::new("a", b"x")).unwrap(), ReasonCode::Success);
}

#[test]
fn publishing_at_qos_2_waits_for_pubcomp() {
    let (options, broker) = broker(&[WELCOME, &[0x50, 2, 0, 1], &[0x70, 2, 0, 1]]);
    let mut client = Client::connect(&options).unwrap();
    client.publish(&Publication::new("a", b"x").qos(Qos::ExactlyOnce)).unwrap();
    let heard = broker.join().unwrap();
    assert_eq!(heard[1][0], 0x34, "PUBLISH at QoS 2");
    assert_eq!(heard[2][0], 0x62, "PUBREL");
}

#[test]
fn a_refused_message_leaves_the_link_usable() {
    let mut client = connected(&[WELCOME, &[0x40, 3, 0, 1, 0x87], &[0x40, 2, 0, 2]]);
    let error = client.publish(&Publication::new("a", b"x")).unwrap_err();
    assert!(
        matches!(error, ClientError::PublishRefused { reason: ReasonCode::NotAuthorized, .. }),
        "{error}"
    );
    assert!(!error.is_final());
    client.publish(&Publication::new("a", b"y")).unwrap();
}

#[test]
fn each_filter_has_its_own_verdict() {
    let mut client = connected(&[WELCOME, &[0x90, 5, 0, 1, 0, 1, 0x87]]);
    let options = keyward_mqtt::packet::SubscribeOptions::default();
    let codes = client.subscribe_all(&[("a", options), ("b", options)], None).unwrap();
    assert_eq!(codes, [ReasonCode::GrantedQos1, ReasonCode::NotAuthorized]);
}

#[test]
fn messages_that_came_before_the_goodbye_are_returned_first() {
    // A message to "a", then DISCONNECT 0x8B.
    let farewell: &[u8] = &[0x20, 3, 0, 0, 0, 0x30, 5, 0, 1, b'a', 0, b'x', 0xe0, 1, 0x8b];
    let script: &'static [&'static [u8]] = Box::leak(Box::new([farewell]));
    let mut client = connected(script);
    let message = client.next_message(PATIENCE).unwrap().unwrap();
    assert_eq!((message.topic.as_str(), message.payload.as_slice()), ("a", &b"x"[..]));
    let error = client.next_message(PATIENCE).unwrap_err();
    assert_eq!(error.reason(), Some(ReasonCode::ServerShuttingDown), "{error}");
    assert!(client.publish(&Publication::new("a", b"x")).unwrap_err().is_final());
}

#[test]
fn a_message_by_alias_comes_under_its_topic() {
    // To "a/b" with alias 1, then to alias 1.
    let both: &[u8] = &[
        0x20, 3, 0, 0, 0, 0x30, 9, 0, 3, b'a', b'/', b'b', 3, 0x23, 0, 1, 0x30, 7, 0, 0, 3, 0x23, 0, 1, b'x',
    ];
    let mut client = connected(Box::leak(Box::new([both])));
    for payload in [&b""[..], b"x"] {
        let message = client.next_message(PATIENCE).unwrap().unwrap();
        assert_eq!((message.topic.as_str(), message.payload.as_slice()), ("a/b", payload));
    }
}

#[test]
fn no_message_within_the_time_is_no_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = ClientOptions::new("127.0.0.1", listener.local_addr().unwrap().port());
    let thread = std::thread::spawn(move || {
        let (mut link, _) = listener.accept().unwrap();
        packet(&mut link);
        link.write_all(WELCOME).unwrap();
        link
    });
    let mut client = Client::connect(&options).unwrap();
    let link = thread.join().unwrap();
    assert_eq!(client.next_message(SOON).unwrap(), None);
    drop(link);
    assert!(matches!(client.wait_closed(PATIENCE), Some(ClientError::Closed)));
}

#[test]
fn a_topic_with_a_wildcard_is_refused_before_anything_is_sent() {
    let mut client = connected(&[WELCOME]);
    let error = client.publish(&Publication::new("a/+", b"x")).unwrap_err();
    assert!(matches!(error, ClientError::Request(_)), "{error}");
}

#[test]
fn a_goodbye_is_a_disconnect_packet() {
    let (options, broker) = broker(&[WELCOME, &[]]);
    Client::connect(&options).unwrap().disconnect().unwrap();
    assert_eq!(broker.join().unwrap()[1][0], 0xe0);
}

#[test]
fn garbage_from_the_broker_is_a_breach_of_the_protocol() {
    let (options, _) = broker(&[b"\xf0\x00HTTP/1.1 400"]);
    let error = Client::connect(&options).err().unwrap();
    assert!(matches!(error, ClientError::Protocol(_)), "{error}");
}
