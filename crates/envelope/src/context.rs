//! What a message is signed for besides what it says: installation, direction, device, topic, correlation. It is not sent; who verifies
//! must know it from elsewhere, and another one is another message.

use crate::cbor::{self, Sink};
use crate::limits::{CORRELATION_BYTES, NAME_BYTES, TOPIC_BYTES};
use core::fmt;
use sha2::{Digest as _, Sha256};

/// Says who speaks to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction<'a> {
    /// This device speaks.
    Up {
        /// Its name.
        device: &'a str,
    },
    /// The server speaks to this device.
    Down {
        /// Its name.
        device: &'a str,
    },
    /// The server speaks to all devices.
    All,
}

impl<'a> Direction<'a> {
    fn number(self) -> u64 {
        match self {
            Self::Up { .. } => 0,
            Self::Down { .. } => 1,
            Self::All => 2,
        }
    }

    /// Returns the name of the device, nothing for all.
    pub fn device(self) -> &'a str {
        match self {
            Self::Up { device } | Self::Down { device } => device,
            Self::All => "",
        }
    }
}

/// Holds what a message is signed for. Signer and verifier must give the same; upper and lower case of the device's name are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// Who speaks to whom.
    pub direction: Direction<'a>,
    /// The installation's id, so that no message of one installation is good in another.
    pub installation: &'a str,
    /// The topic to which the message is published, aliases resolved.
    pub topic: &'a str,
    /// MQTT 5's correlation data, of an answer or a command.
    pub correlation: Option<&'a [u8]>,
}

/// Says which part of a context cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextError {
    /// The installation's id is no name of 1 to 64 characters.
    Installation,
    /// The device's name is no name of 1 to 64 characters.
    Device,
    /// The topic is empty, longer than 65,535 bytes, or has a wildcard.
    Topic,
    /// The correlation data is longer than 65,535 bytes.
    Correlation,
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Installation => "the installation id is no name of 1 to 64 characters",
            Self::Device => "the device's name is no name of 1 to 64 characters",
            Self::Topic => "the topic is empty, too long or a filter; give the topic as it is published",
            Self::Correlation => "the correlation data is longer than 65535 bytes",
        })
    }
}

impl core::error::Error for ContextError {}

/// Tells whether a text is a name: `A-Z a-z 0-9 - _ .`, beginning with a letter or digit.
pub(crate) fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=NAME_BYTES).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Writes a name in lower case, for all spellings of a name are one.
pub(crate) fn folded(sink: &mut dyn Sink, name: &str) {
    let mut lower = [0; NAME_BYTES];
    let len = name.len().min(NAME_BYTES);
    if let (Some(lower), Some(name)) = (lower.get_mut(..len), name.as_bytes().get(..len)) {
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        cbor::text_string(sink, len);
        sink.put(lower);
    }
}

impl Context<'_> {
    /// Checks that each part can be.
    ///
    /// # Errors
    /// [`ContextError`] names the part.
    pub fn check(&self) -> Result<(), ContextError> {
        if !is_name(self.installation) {
            return Err(ContextError::Installation);
        }
        if !matches!(self.direction, Direction::All) && !is_name(self.direction.device()) {
            return Err(ContextError::Device);
        }
        let topic = self.topic.as_bytes();
        if !(1..=TOPIC_BYTES).contains(&topic.len()) || topic.iter().any(|b| matches!(b, b'#' | b'+' | 0)) {
            return Err(ContextError::Topic);
        }
        match self.correlation {
            Some(data) if data.len() > CORRELATION_BYTES => Err(ContextError::Correlation),
            _ => Ok(()),
        }
    }

    /// Writes the external data that begins with `purpose`.
    fn write(&self, sink: &mut dyn Sink, purpose: &str) {
        cbor::array(sink, 6);
        cbor::text(sink, purpose);
        cbor::unsigned(sink, self.direction.number());
        cbor::text(sink, self.installation);
        folded(sink, self.direction.device());
        cbor::text(sink, self.topic);
        match self.correlation {
            Some(data) => cbor::bytes(sink, data),
            None => cbor::null(sink),
        }
    }

    /// Writes what a signature covers (`external_aad`).
    pub(crate) fn write_for_signature(&self, sink: &mut dyn Sink) {
        self.write(sink, "mqsec1");
    }

    /// Returns what encryption is tied to: a digest, because AEADs want all of it in one piece and a device has no room for a topic.
    pub(crate) fn digest_for_encryption(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.write(&mut hash, "mqsec1/enc");
        hash.finalize().into()
    }

    /// Writes direction and device, for a key that is derived for one speaker.
    pub(crate) fn write_speaker(&self, sink: &mut dyn Sink) {
        cbor::unsigned(sink, self.direction.number());
        folded(sink, self.direction.device());
    }
}
