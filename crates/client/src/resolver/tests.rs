//! Names in a system made by the test: its own files, and name servers on loopback that answer as they are told.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use super::question::{Answer, Question};
use super::*;
use simple_dns::rdata::{A, AAAA, CNAME, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::thread::{self, JoinHandle};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

struct System {
    folder: TempDir,
    resolver: Resolver,
}

/// Makes a system with these two files, whose name servers listen on `port`.
fn system(hosts: &str, config: &str, port: u16) -> System {
    let folder = TempDir::with_prefix("keyward-names-").unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        let mut file = File::options().write(true).create_new(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    };
    let resolver = Resolver {
        hosts: file("hosts", hosts),
        config: file("resolv.conf", config),
        port,
        multicast: (Ipv4Addr::LOCALHOST, port).into(),
    };
    System { folder, resolver }
}

impl System {
    fn find(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        assert!(self.folder.path().exists());
        self.resolver.addresses(host, clock::now() + PATIENCE)
    }
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Answers `count` questions on a port of loopback with what `answer` makes of them.
fn server(
    count: usize,
    answer: impl Fn(&Packet<'_>) -> Vec<u8> + Send + 'static,
) -> (u16, JoinHandle<Vec<String>>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let serve = move || {
        let mut asked = Vec::new();
        for _ in 0..count {
            let mut datagram = [0; 1024];
            let (length, from) = socket.recv_from(&mut datagram).unwrap();
            let packet = Packet::parse(&datagram[..length]).unwrap();
            asked.push(packet.questions[0].qname.to_string());
            let reply = answer(&packet);
            if !reply.is_empty() {
                socket.send_to(&reply, from).unwrap();
            }
        }
        asked
    };
    (port, thread::spawn(serve))
}

/// Answers with an alias and the addresses behind it, with records of somebody else beside them.
fn known(question: &Packet<'_>) -> Vec<u8> {
    let mut reply = Packet::new_reply(question.id());
    let asked = question.questions[0].clone();
    let record =
        |name: &'static str, rdata| ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, 60, rdata);
    let v4 = |ip: [u8; 4]| RData::A(A { address: u32::from_be_bytes(ip) });
    if asked.qtype == QTYPE::TYPE(TYPE::A) {
        reply.answers.push(record("elsewhere.example", v4([192, 0, 2, 99])));
        reply.answers.push(record("gate.home.arpa", v4([192, 0, 2, 7])));
    } else {
        reply.answers.push(record("gate.home.arpa", RData::AAAA(AAAA { address: 1 })));
    }
    reply.answers.push(record("MQTT.home.arpa", RData::CNAME(CNAME(Name::new("gate.home.arpa").unwrap()))));
    reply.questions.push(asked);
    reply.build_bytes_vec().unwrap()
}

fn with_code(question: &Packet<'_>, code: RCODE) -> Vec<u8> {
    let mut reply = Packet::new_reply(question.id());
    *reply.rcode_mut() = code;
    reply.questions.push(question.questions[0].clone());
    reply.build_bytes_vec().unwrap()
}

#[test]
fn an_address_a_line_of_hosts_and_localhost_need_no_server() {
    let hosts = "192.0.2.1 gate Mqtt.Home # 192.0.2.2 commented\n::7\tgate\nnonsense gate\n";
    let system = system(hosts, "", 1);
    assert_eq!(system.find("192.0.2.9"), Ok(ips(&["192.0.2.9"])));
    assert_eq!(system.find("fd00::9"), Ok(ips(&["fd00::9"])));
    assert_eq!(system.find("GATE."), Ok(ips(&["192.0.2.1", "::7"])));
    assert_eq!(system.find("mqtt.home"), Ok(ips(&["192.0.2.1"])));
    assert_eq!(system.find("localhost"), Ok(ips(&["127.0.0.1", "::1"])));
    assert_eq!(system.find("commented"), Err(ResolveError::NoServer));
    for impossible in ["", "a b", "a..b", "\u{1b}[2J", &"a".repeat(64), "a/b"] {
        assert_eq!(system.find(impossible), Err(ResolveError::Invalid), "{impossible:?}");
    }
}

#[test]
fn a_server_is_asked_and_aliases_are_followed_to_their_own_addresses_only() {
    let (port, server) = server(2, known);
    let system = system("", "nameserver 127.0.0.1\n", port);
    assert_eq!(system.find("mqtt.home.arpa"), Ok(ips(&["192.0.2.7", "::1"])));
    server.join().unwrap();
}

#[test]
fn a_short_name_is_tried_in_the_search_domains_first() {
    let (port, server) = server(4, |question| match question.questions[0].qname.to_string().as_str() {
        "mqtt.home.arpa" => known(question),
        _ => with_code(question, RCODE::NameError),
    });
    let system = system("", "search lan home.arpa\nnameserver 127.0.0.1\n", port);
    assert_eq!(system.find("mqtt"), Ok(ips(&["192.0.2.7", "::1"])));
    assert_eq!(server.join().unwrap()[1..3], ["mqtt.lan", "mqtt.home.arpa"]);
}

#[test]
fn a_name_that_nobody_knows_and_a_server_that_does_not_answer_are_told_apart() {
    let (port, unknowing) = server(2, |question| with_code(question, RCODE::NameError));
    let system = system("", "nameserver 127.0.0.1\n", port);
    assert_eq!(system.find("nobody.example"), Err(ResolveError::Unknown));
    unknowing.join().unwrap();
    let deaf = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let system = self::system(
        "",
        "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        deaf.local_addr().unwrap().port(),
    );
    assert_eq!(system.find("a.example"), Err(ResolveError::Silent("127.0.0.1".to_owned())));
}

#[test]
fn an_answer_that_is_not_to_the_question_is_passed_over() {
    let (port, liar) = server(2, |question| {
        let mut reply = known(question);
        reply[0] ^= 1; // Another id than was asked with.
        reply
    });
    let system = system("", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", port);
    assert_eq!(system.find("mqtt.home.arpa"), Err(ResolveError::Silent("127.0.0.1".to_owned())));
    liar.join().unwrap();
}

#[test]
fn an_answer_that_was_cut_off_is_asked_for_again_over_tcp() {
    let (port, server) = server(2, |question| {
        let mut reply = Packet::new_reply(question.id());
        reply.set_flags(PacketFlag::TRUNCATION);
        reply.questions.push(question.questions[0].clone());
        reply.build_bytes_vec().unwrap()
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let whole = thread::spawn(move || {
        for _ in 0..2 {
            let mut stream = listener.accept().unwrap().0;
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut asked = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut asked).unwrap();
            let reply = known(&Packet::parse(&asked).unwrap());
            stream.write_all(&u16::try_from(reply.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&reply).unwrap();
        }
    });
    let system = system("", "nameserver 127.0.0.1\n", port);
    assert_eq!(system.find("mqtt.home.arpa"), Ok(ips(&["192.0.2.7", "::1"])));
    server.join().unwrap();
    whole.join().unwrap();
}

#[test]
fn a_local_name_is_asked_of_the_network_and_never_of_a_name_server() {
    let (port, host) = server(2, |question| {
        let mut reply = Packet::new_reply(question.id());
        let name = Name::new("gate.local").unwrap();
        let address = RData::A(A { address: u32::from_be_bytes([192, 0, 2, 7]) });
        reply.answers.push(ResourceRecord::new(name, CLASS::IN, 10, address));
        reply.build_bytes_vec().unwrap()
    });
    // Port 1 would refuse.
    let mut system = system("", "nameserver 127.0.0.1\n", 1);
    system.resolver.multicast = (Ipv4Addr::LOCALHOST, port).into();
    assert_eq!(system.find("gate.local"), Ok(ips(&["192.0.2.7"])));
    host.join().unwrap();
}

#[test]
fn an_answer_that_promises_more_records_than_it_has_room_for_is_none() {
    let question = Question { id: 7, name: "a.example", v6: false };
    let mut bytes = with_code(&Packet::parse(&question.bytes(true).unwrap()).unwrap(), RCODE::NoError);
    assert_eq!(question.read(&bytes), Some(Answer::Addresses(Vec::new())));
    bytes[6..8].copy_from_slice(&u16::MAX.to_be_bytes());
    assert_eq!(question.read(&bytes), None);
}
