//! What can go wrong in a measurement, and what to do then.

use crate::codec::Malformed;
use std::io;
use thiserror::Error;

/// Says why there is no figure.
#[derive(Debug, Error)]
pub(crate) enum BenchError {
    /// The system refused something.
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
    /// A program that is compared is not there.
    #[error("{program} is not there: {remedy}")]
    Missing { program: String, remedy: String },
    /// A broker did not do what a measurement needs.
    #[error("{broker}: {problem}")]
    Broker { broker: String, problem: String },
    /// A peer sent what is no MQTT.
    #[error("a peer sent {0}")]
    Malformed(#[from] Malformed),
    /// TLS could not be set up or failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Misuse(String),
}

impl BenchError {
    /// Returns a function that makes an error of the system into one of this program.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: doing.into(), source }
    }

    /// Makes an error about a broker.
    pub(crate) fn broker(broker: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Broker { broker: broker.into(), problem: problem.into() }
    }
}

impl From<rustls::Error> for BenchError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error.to_string())
    }
}
