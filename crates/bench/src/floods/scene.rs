//! What the attacker knows: where the broker listens, a login of its own, and when to end.

use crate::caller::Calls;
use crate::clock;
use crate::error::BenchError;
use crate::load::Access;
use crate::stage::Broker;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is handed to the attacker's process, in a file that only this user may read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Scene {
    plain: SocketAddr,
    tls: SocketAddr,
    ca: Option<PathBuf>,
    user: String,
    password: String,
}

impl Scene {
    /// Describes a broker to a user of it.
    pub(super) fn new(broker: &Broker, user: &str, password: String) -> Self {
        let (plain, tls) = (broker.plain.address, broker.tls.address);
        Self { plain, tls, ca: broker.tls.ca.clone(), user: user.to_owned(), password }
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
    end: Instant,
}

impl Attacker {
    /// Begins; its time ends after `length`.
    pub(super) fn new(scene: Scene, length: Duration) -> Result<Self, BenchError> {
        let login = Some((scene.user, scene.password));
        let plain = Calls::new(Access { address: scene.plain, ca: None, login: login.clone() })?;
        let tls = Calls::new(Access { address: scene.tls, ca: scene.ca, login })?;
        Ok(Self { plain, tls, end: clock::now() + length })
    }

    /// Whether there is time left.
    pub(super) fn has_time(&self) -> bool {
        clock::now() < self.end
    }
}
