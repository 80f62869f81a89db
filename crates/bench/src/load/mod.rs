//! The load generator: one thread, all clients of a shape, as fast as the window allows or at a given rate.

mod engine;
mod flow;
mod outcome;
mod pace;

use crate::codec::Version;
use crate::error::BenchError;
use crate::shape::Shape;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use flow::STAMP;
pub(crate) use outcome::Outcome;

/// How a broker is reached, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) address: SocketAddr,
    /// With it TLS is spoken, and this file's certificates are trusted.
    pub(crate) ca: Option<PathBuf>,
    /// User name and password.
    pub(crate) login: Option<(String, String)>,
}

/// What is sent, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) version: Version,
    pub(crate) shape: Shape,
    /// Publishers, readers or pairs.
    pub(crate) clients: usize,
    pub(crate) qos: u8,
    /// Bytes of a payload, at least [`STAMP`].
    pub(crate) payload: usize,
    /// Messages that a publisher sends in one write.
    pub(crate) burst: u64,
    /// Messages that a publisher may have under way; a paced run waits only when it is full.
    pub(crate) window: u64,
    /// Messages per second of all publishers; `None` is as fast as the window allows.
    pub(crate) rate: Option<f64>,
    /// What is sent before anything is counted.
    pub(crate) warm_up: Duration,
    pub(crate) length: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: Version::V311,
            shape: Shape::Pairs,
            clients: 100,
            qos: 0,
            payload: 64,
            burst: 1,
            window: 8,
            rate: None,
            warm_up: Duration::from_millis(300),
            length: Duration::from_secs(1),
        }
    }
}

impl Options {
    fn check(&self) -> Result<(), BenchError> {
        let problem = if self.clients == 0 || self.clients > 10_000 {
            "clients: 1 to 10,000".to_owned()
        } else if self.qos > 2 {
            "qos: 0, 1 or 2".to_owned()
        } else if self.burst == 0 || self.burst > self.window {
            "burst: at least 1 and at most the window".to_owned()
        } else if self.window > 60_000 {
            "window: at most 60,000, as packet ids must differ".to_owned()
        } else if !(STAMP..=1_000_000).contains(&self.payload) {
            format!("payload: {STAMP} to 1,000,000 bytes; the first {STAMP} hold number and time")
        } else if self.rate.is_some_and(|rate| !(0.1..=5_000_000.0).contains(&rate)) {
            "rate: 0.1 to 5,000,000 messages per second".to_owned()
        } else if self.length.is_zero() || self.length > Duration::from_secs(3_600) {
            "seconds: above 0 and at most 3,600".to_owned()
        } else {
            return Ok(());
        };
        Err(BenchError::Misuse(problem))
    }
}

/// Is told when the counted part of a run begins and ends.
pub(crate) trait Watcher {
    /// The warm-up is over.
    fn opened(&mut self) -> Result<(), BenchError>;
    /// The counted part is over; traffic still flows.
    fn closed(&mut self) -> Result<(), BenchError>;
}

/// Connects all clients, sends, and counts.
///
/// # Errors
/// A broker that cannot be reached, refuses a client, or delivers nothing for a while.
pub(crate) fn run(
    access: &Access,
    options: &Options,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, BenchError> {
    options.check()?;
    engine::Engine::new(access, options)?.run(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_above_the_window_is_refused_as_it_could_never_be_sent() {
        let options = Options { burst: 9, window: 8, ..Options::default() };
        assert!(matches!(options.check(), Err(BenchError::Misuse(what)) if what.starts_with("burst")));
    }

    #[test]
    fn a_payload_without_room_for_the_stamp_is_refused() {
        let options = Options { payload: STAMP - 1, ..Options::default() };
        assert!(matches!(options.check(), Err(BenchError::Misuse(what)) if what.starts_with("payload")));
    }
}
