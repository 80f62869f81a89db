//! What an engine can refuse, and what the refusal means for what comes after it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Says that nothing will be durable any more until the engine is opened again, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    what: Arc<str>,
}

/// Says what could not be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    what: Arc<str>,
}

impl Broken {
    /// Makes one for an operator: what failed, on which file.
    #[must_use]
    pub fn new(what: impl Into<Arc<str>>) -> Self {
        Self { what: what.into() }
    }
}

impl ReadError {
    /// Makes one for an operator: what failed, on which file.
    #[must_use]
    pub fn new(what: impl Into<Arc<str>>) -> Self {
        Self { what: what.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing can be stored until the broker is restarted: {}", self.what)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what is stored cannot be read: {}", self.what)
    }
}

impl Error for Broken {}
impl Error for ReadError {}
