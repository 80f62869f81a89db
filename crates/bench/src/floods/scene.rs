//! What the attacker knows: where the broker listens, a login of its own, and when to end; and what several floods do.

use crate::caller::{Caller, Calls};
use crate::clock;
use crate::error::BenchError;
use crate::load::Access;
use crate::process;
use crate::stage::Broker;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Descriptors that broker and attacker may have each.
pub(super) const DESCRIPTORS: u64 = 20_000;
/// Of these, what the attacker leaves for other things than a siege.
const SPARE: u64 = 200;
/// Connections of one siege in all.
const MOST: u64 = 1_000_000;
/// Addresses that a siege comes from: so many may each have 256 connections that are not authenticated, in all 2,048.
const ADDRESSES: u64 = 8;
/// The first of them; the client that notices has another.
pub(super) const FIRST_ADDRESS: &str = "127.0.0.2";
/// How long the broker may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is handed to the attacker's process, in a file that only this user may read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Scene {
    plain: SocketAddr,
    tls: SocketAddr,
    ca: Option<PathBuf>,
    pid: u32,
    user: String,
    password: String,
}

impl Scene {
    /// Describes a broker to a user of it.
    pub(super) fn new(broker: &Broker, user: &str, password: String) -> Self {
        let (plain, tls) = (broker.plain.address, broker.tls.address);
        let pid = broker.pid();
        Self { plain, tls, pid, ca: broker.tls.ca.clone(), user: user.to_owned(), password }
    }

    /// Reads one.
    pub(super) fn read(path: &Path) -> Result<Self, BenchError> {
        let text =
            std::fs::read_to_string(path).map_err(BenchError::io(format!("reading {}", path.display())))?;
        serde_json::from_str(&text)
            .map_err(|error| BenchError::Misuse(format!("{}: {error}", path.display())))
    }
}

/// What an attacker did.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Connections, packets or messages, as the flood counts them.
    pub(super) done: u64,
    /// How many of these the broker refused, or answered by closing the link.
    pub(super) refused: u64,
}

/// An attacker at work.
pub(super) struct Attacker {
    /// Its login without TLS, the cheapest for it.
    pub(super) plain: Calls,
    /// The same with TLS.
    pub(super) tls: Calls,
    /// The broker's process.
    pub(super) broker: u32,
    end: Instant,
}

impl Attacker {
    /// Begins; its time ends after `length`.
    pub(super) fn new(scene: Scene, length: Duration) -> Result<Self, BenchError> {
        let login = Some((scene.user, scene.password));
        let plain = Calls::new(Access { address: scene.plain, ca: None, login: login.clone() })?;
        let tls = Calls::new(Access { address: scene.tls, ca: scene.ca, login })?;
        Ok(Self { plain, tls, broker: scene.pid, end: clock::now() + length })
    }

    /// Logs in `count` links.
    pub(super) fn links(&self, name: &str, count: u64) -> Result<Vec<Caller>, BenchError> {
        (0..count).map(|number| self.plain.log_in(&format!("{name}{number}"), false)).collect()
    }

    /// Opens ever new connections, sends on each what `first` makes of its number, and waits for nothing; all
    /// descriptors are used, then the oldest connection goes.
    pub(super) fn besiege(
        &self,
        broker: SocketAddr,
        mut first: impl FnMut(u64) -> Vec<u8>,
    ) -> Result<Tally, BenchError> {
        let most = process::raise_descriptors(DESCRIPTORS).saturating_sub(SPARE);
        let mut held = VecDeque::new();
        let mut tally = Tally::default();
        while self.has_time() && tally.done < MOST {
            let from = Ipv4Addr::new(127, 0, 0, (2 + tally.done % ADDRESSES) as u8);
            match send_from(from, broker, &first(tally.done)) {
                Ok(tcp) => held.push_back(tcp),
                Err(_) => tally.refused += 1,
            }
            tally.done += 1;
            if held.len() as u64 > most {
                held.pop_front();
            }
        }
        Ok(tally)
    }

    /// Whether there is time left.
    pub(super) fn has_time(&self) -> bool {
        clock::now() < self.end
    }
}

/// Opens a connection from one of this machine's addresses and sends some bytes.
fn send_from(from: Ipv4Addr, broker: SocketAddr, bytes: &[u8]) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&broker.into(), PATIENCE)?;
    let mut tcp = TcpStream::from(socket);
    tcp.write_all(bytes)?;
    Ok(tcp)
}
