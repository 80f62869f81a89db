//! MQTT over WebSocket: the same doors, rules and bounds as without, and what frames that are not in order cost.

use crate::frames::{Frame, REQUEST, frame, head, take};
use crate::peer::{Hello, Peer, encode, publish, subscribe};
use crate::world::{PATIENCE, World};
use keyward_mqtt::packet::{Packet, Version};
use keyward_mqtt::reason::ReasonCode;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Is a WebSocket whose frames a test writes and reads itself.
struct Raw {
    socket: TcpStream,
    came: Vec<u8>,
}

impl Raw {
    /// Connects and speaks as far as the answer to the request.
    fn begin(world: &World) -> Self {
        let mut raw = Self::connect(world);
        raw.send(REQUEST.as_bytes());
        assert!(head(&mut raw.socket).starts_with("HTTP/1.1 101 "));
        raw
    }

    fn connect(world: &World) -> Self {
        let socket = TcpStream::connect(world.ws).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, came: Vec::new() }
    }

    /// Logs in as a device with a generated password.
    fn log_in(world: &mut World, id: &str) -> Self {
        let password = world.add_device_with_password(id);
        let mut raw = Self::begin(world);
        let hello = Hello { username: Some(id), password: Some(&password), ..Hello::default() };
        raw.send(&frame(BINARY, &hello.bytes()));
        let answer = raw.frame().unwrap();
        assert_eq!((answer.first, answer.payload[0]), (BINARY, 0x20), "CONNACK");
        raw
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Returns the next frame; `None` when the broker closes the connection.
    fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = take(&mut self.came) {
                return Some(frame);
            }
            let mut bytes = [0; 4096];
            match self.socket.read(&mut bytes).expect("a frame or the end in time") {
                0 => return None,
                count => self.came.extend_from_slice(&bytes[..count]),
            }
        }
    }

    /// Returns with which code the broker closes, and sees that it closes the connection too.
    fn close_code(&mut self) -> Option<u16> {
        let frames: Vec<Frame> = std::iter::from_fn(|| self.frame()).collect();
        frames.last().expect("a close").close_code()
    }
}

#[test]
fn a_device_logs_in_with_its_certificate_and_meets_its_rules_over_wss() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut peer = Peer::secure_web(&world, Some(&bundle)).log_in("c1");
    peer.send(&subscribe("pump-1/x", 1));
    peer.frame().unwrap();
    peer.send(&publish("pump-1/x", &[7; 70_000], Some(1)));
    let frames = [peer.frame().unwrap(), peer.frame().unwrap()];
    let has = |wanted: fn(&Packet<'_>) -> bool| frames.iter().any(|frame| wanted(&peer.decode(frame)));
    assert!(has(|packet| matches!(packet, Packet::Publish(publish) if publish.payload == [7; 70_000])));
    assert!(has(|packet| matches!(packet, Packet::PubAck(ack) if !ack.reason.is_failure())));
    peer.send(&publish("pump-2/x", b"mine?", Some(2)));
    let frame = peer.frame().unwrap();
    assert!(matches!(peer.decode(&frame), Packet::PubAck(ack) if ack.reason == ReasonCode::NotAuthorized));
    let stats = world.plane.stats();
    assert_eq!((stats.connections, stats.logins, stats.most_logged_in), (1, 1, 1));
}

#[test]
fn a_wrong_password_gets_its_code_and_then_a_close() {
    let mut world = World::with(World::hasty());
    world.add_device_with_password("pump-1");
    let mut raw = Raw::begin(&world);
    let hello = Hello { username: Some("pump-1"), password: Some("guess"), ..Hello::default() };
    raw.send(&frame(BINARY, &hello.bytes()));
    let answer = raw.frame().unwrap();
    assert_eq!((answer.first, answer.payload[0], answer.payload[3]), (BINARY, 0x20, 0x86));
    assert_eq!(raw.close_code(), Some(1000));
    let listener =
        world.told.wait("a failed login", |told| told.logins.first().map(|login| login.listener.clone()));
    assert_eq!(listener, "ws");
}

#[test]
fn packets_are_read_across_frames_several_in_one_and_with_pings_in_between() {
    let mut world = World::new();
    let mut raw = Raw::log_in(&mut world, "pump-1");
    let mut packets = subscribe("pump-1/x", 1);
    for id in 1..=20 {
        packets.extend(publish("pump-1/x", &[id as u8; 300], Some(id)));
    }
    let mut pieces = packets.chunks(37).peekable();
    let mut first = 0x02;
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { 0x80 } else { 0 };
        raw.send(&frame(first | last, piece));
        raw.send(&frame(PING, piece));
        first = 0;
    }
    let (mut acknowledged, mut received, mut buffer) = (Vec::new(), 0, Vec::new());
    while acknowledged.len() < 20 || received < 20 {
        let Frame { first, payload } = raw.frame().unwrap();
        match first {
            PONG => continue,
            other => assert_eq!(other, BINARY),
        }
        buffer.extend(payload);
        while let Some(header) = keyward_mqtt::frame::peek(&buffer).unwrap() {
            if buffer.len() < header.total_len {
                break;
            }
            let packet: Vec<u8> = buffer.drain(..header.total_len).collect();
            match packet[0] >> 4 {
                3 => received += 1,
                4 => acknowledged.push(packet[3]),
                _ => {}
            }
        }
    }
    assert_eq!(acknowledged, (1..=20).collect::<Vec<u8>>());
}

#[test]
fn a_revoked_device_is_cut_off_within_a_second_and_told_nothing() {
    let mut world = World::new();
    let bundle = world.add_device("pump-1");
    let mut secure = Peer::secure_web(&world, Some(&bundle)).log_in("c1");
    let mut raw = Raw::log_in(&mut world, "pump-2");
    let begun = Instant::now();
    assert_eq!(world.revoke("device:pump-1").closed, 1);
    assert_eq!(world.revoke("device:pump-2").closed, 1);
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(secure.frame(), None);
    assert_eq!(raw.frame(), None, "no close, no farewell");
}

#[test]
fn frames_that_are_not_in_order_are_closed_with_their_code_before_and_after_the_login() {
    let mut world = World::new();
    let close = |payload: &[u8]| frame(CLOSE, payload);
    let too_long = [&[BINARY, 0xff][..], &(1_u64 << 30).to_be_bytes(), &[0; 4]].concat();
    for (index, (bytes, code)) in [
        (frame(0x81, b"text"), 1003),
        (vec![BINARY, 2, 0xc0, 0], 1002),
        (frame(0xc2, &[0xc0, 0]), 1002),
        (frame(0x83, &[0xc0, 0]), 1002),
        (frame(0x80, &[0xc0, 0]), 1002),
        (frame(PING, &[0; 126]), 1002),
        (frame(0x09, b""), 1002),
        (close(&1006_u16.to_be_bytes()), 1002),
        (close(&[3]), 1002),
        (too_long, 1009),
    ]
    .into_iter()
    .enumerate()
    {
        let mut raw = Raw::begin(&world);
        raw.send(&bytes);
        assert_eq!(raw.close_code(), Some(code), "before the login: {bytes:x?}");
        let id = format!("pump-{index}");
        let mut raw = Raw::log_in(&mut world, &id);
        raw.send(&bytes);
        assert_eq!(raw.close_code(), Some(code), "after the login: {bytes:x?}");
        let of = format!("device:{id}");
        world.told.wait(&of, |told| told.frames.iter().find(|(who, _)| who.to_string() == of).map(drop));
    }
    world.told.handshake_line("sends frames of WebSocket that are not in order: a frame is text");
}

#[test]
fn a_client_that_closes_is_answered_in_its_words() {
    let mut world = World::new();
    let mut raw = Raw::log_in(&mut world, "pump-1");
    raw.send(&frame(CLOSE, &[&4000_u16.to_be_bytes()[..], b"enough"].concat()));
    let answer = raw.frame().unwrap();
    assert_eq!((answer.close_code(), &answer.payload[2..]), (Some(4000), &b"enough"[..]));
    assert_eq!(raw.frame(), None);
    let mut raw = Raw::begin(&world);
    raw.send(&frame(CLOSE, &[]));
    assert_eq!(raw.frame(), Some(Frame { first: CLOSE, payload: Vec::new() }));
}

#[test]
fn a_client_that_disconnects_is_sent_a_close() {
    let mut world = World::new();
    let mut raw = Raw::log_in(&mut world, "pump-1");
    raw.send(&frame(BINARY, &[0xe0, 0]));
    assert_eq!(raw.close_code(), Some(1000));
}

#[test]
fn many_pings_cost_few_answers_and_keep_no_silent_client_alive() {
    let mut world = World::new();
    let password = world.add_device_with_password("pump-1");
    let mut raw = Raw::begin(&world);
    let hello =
        Hello { username: Some("pump-1"), password: Some(&password), keep_alive: 1, ..Hello::default() };
    raw.send(&frame(BINARY, &hello.bytes()));
    raw.frame().unwrap();
    let pings: Vec<u8> = (0..1_000).flat_map(|_| frame(PING, b"still there?")).collect();
    raw.send(&pings);
    let frames: Vec<Frame> = std::iter::from_fn(|| raw.frame()).collect();
    let pongs = frames.iter().filter(|frame| frame.first == PONG).count();
    assert!((1..200).contains(&pongs), "{pongs} answers");
    let [.., disconnect, close] = &frames[..] else { panic!("{frames:x?}") };
    assert_eq!((disconnect.payload[0], disconnect.payload[2]), (0xe0, 0x8d), "too late [MQTT-3.1.2-22]");
    assert_eq!(close.close_code(), Some(1000));
}

#[test]
fn requests_that_are_refused_are_answered_and_told_with_a_remedy() {
    let world = World::new();
    for (request, status, line) in [
        (REQUEST.replace("/mqtt", "/admin"), "404", "there is no `/admin`"),
        (REQUEST.replace(": mqtt", ": wamp"), "400", "does not offer the subprotocol"),
        (REQUEST.replace("Upgrade: websocket\r\n", ""), "426", "asks for no WebSocket"),
        (
            REQUEST.replace("Version: 13", "Version: 13\r\nOrigin: https://evil.example"),
            "403",
            "pages of `https://evil.example` may not connect",
        ),
    ] {
        let mut raw = Raw::connect(&world);
        raw.send(request.as_bytes());
        let head = head(&mut raw.socket);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        let mut rest = Vec::new();
        raw.socket.read_to_end(&mut rest).unwrap();
        world.told.handshake_line(line);
    }
    let mut raw = Raw::connect(&world);
    raw.send(&Hello::default().bytes());
    assert_eq!(raw.frame(), None);
    world.told.handshake_line("it speaks MQTT without WebSocket → let the client use WebSocket");
    let mut raw = Raw::connect(&world);
    raw.send(&[0x16, 3, 1]);
    assert_eq!(raw.frame(), None);
    world.told.handshake_line("it speaks TLS, and the listener has none → use the port with TLS");
}

#[test]
fn a_request_has_a_bound_in_bytes_and_in_time() {
    let world = World::with(World::hasty());
    let mut slow = Raw::connect(&world);
    slow.send(&REQUEST.as_bytes()[..40]);
    let mut long = Raw::connect(&world);
    long.send(format!("GET /mqtt HTTP/1.1\r\nCookie: {}", "x".repeat(9_000)).as_bytes());
    assert!(head(&mut long.socket).starts_with("HTTP/1.1 431 "));
    assert_eq!(slow.frame(), None);
    assert_eq!(world.told.offender("connect_time"), "127.0.0.1");
    // One that has begun a WebSocket and says nothing is in the same time.
    assert_eq!(Raw::begin(&world).frame(), None);
    let mut half = Raw::begin(&world);
    half.send(&frame(BINARY, &Hello::default().bytes())[..9]);
    assert_eq!(half.frame(), None);
}

#[test]
fn a_connect_larger_than_its_bound_is_refused_in_whatever_frames_it_comes() {
    let world = World::new();
    let mut raw = Raw::begin(&world);
    raw.send(&frame(0x02, &[0x10, 0xff]));
    raw.send(&frame(0x80, &[0xff, 0xff, 0x7f]));
    assert_eq!(raw.close_code(), Some(1000));
    let login = |told: &crate::world::Told| told.logins.first().map(drop);
    world.told.wait("the CONNECT is refused", login);
}

#[test]
fn the_stop_is_said_in_mqtt_and_then_in_websocket() {
    let mut world = World::new();
    let mut raw = Raw::log_in(&mut world, "pump-1");
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| world.plane.shutdown());
        let frames: Vec<Frame> = std::iter::from_fn(|| raw.frame()).collect();
        let [disconnect, close] = &frames[..] else { panic!("{frames:x?}") };
        assert_eq!((disconnect.payload[0], disconnect.payload[2]), (0xe0, 0x8b));
        assert_eq!(close.close_code(), Some(1001));
        raw.socket.shutdown(Shutdown::Both).unwrap();
        assert!(stopping.join().unwrap().took < Duration::from_secs(5));
    });
}

#[test]
fn an_older_client_is_served_too() {
    let mut world = World::new();
    let password = world.add_device_with_password("pump-1");
    let mut peer = Peer::web(&world);
    let hello = Hello {
        version: Version::V31,
        username: Some("pump-1"),
        password: Some(&password),
        ..Hello::default()
    };
    assert_eq!(peer.hello(&hello), ReasonCode::Success);
    peer.send(&encode(&Packet::PingReq, Version::V31));
    assert!(peer.frame().is_some());
}
