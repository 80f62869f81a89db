//! Writes messages: numbers and signs them, and puts them into the outbox, all under one lock, so that they leave in the order of their numbers.

use crate::clock;
use crate::enrol::Membership;
use crate::groups::GroupKeys;
use crate::keys::{Generation, KeyError, KeyStore, MessageSigner, SystemRandom};
use crate::limits::{AHEAD_NUMBERS, READING_BYTES, TOPIC_BYTES};
use crate::numbers::Sequencer;
use crate::outbox::{Entry, Outbox, Settings};
use crate::readers::{self, EncryptRule, Readers};
use crate::state::StateError;
use keyward_envelope::{
    Cipher, Claims, Context, Direction, Format, Message, SealError, inspect, limits, sign, sign_for_group,
    sign_for_recipient,
};
use keyward_mqtt::topic::TopicName;
use std::path::Path;
use std::sync::Arc;

/// The content type of a signed message (RFC 9052 §2).
const CONTENT_TYPE: &str = "application/cose; cose-type=\"cose-sign1\"";

/// More than signature and encryption add to a payload.
const MORE_BYTES: usize = 512;

/// Is something to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading<'a> {
    /// Where, as it is published.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// What the payload is; nothing leaves it to topic and agreement.
    pub format: Option<Format>,
    /// Whether the broker keeps it for those who subscribe later.
    pub retain: bool,
    /// The correlation data of the command that this answers.
    pub correlation: Option<&'a [u8]>,
}

impl<'a> Reading<'a> {
    /// Makes a reading of bytes of which nothing more is said.
    pub fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self { topic, payload, format: None, retain: false, correlation: None }
    }
}

/// Says why something was not taken over. Nothing of it will be sent.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The topic cannot be published to.
    #[error("the topic {0}; give a topic as it is published, of at most 1,024 bytes")]
    Topic(String),
    /// The payload is too long.
    #[error("the payload has {0} bytes, and 64,512 are the most: send it in parts")]
    TooLong(usize),
    /// The clock was never set.
    #[error(
        "this machine's clock was never set, and messages are dated: wait for the network's time, or set it"
    )]
    NoClock,
    /// It is to be encrypted for a group of which the device has no key.
    #[error(
        "what is said here is for the group {0}, and this device has no key of it: `keyward group add {0} ID` makes it a member; the key comes when it is connected"
    )]
    NoGroupKey(String),
    /// It cannot be stored.
    #[error(transparent)]
    State(#[from] StateError),
    /// It cannot be signed: by the keys.
    #[error("it cannot be signed: {0}")]
    Keys(#[from] KeyError),
    /// It cannot be signed.
    #[error("it cannot be signed: {0}")]
    Seal(SealError),
    /// The device was opened, and its keys are gone.
    #[error("this device was tampered with and its keys are destroyed: {0}")]
    Destroyed(String),
}

/// Holds what is needed to write messages.
pub(crate) struct Pen {
    device: String,
    installation: String,
    signer: MessageSigner,
    numbers: Sequencer,
    encrypt: Vec<EncryptRule>,
    pub(crate) groups: GroupKeys,
    pub(crate) outbox: Outbox,
}

impl Pen {
    pub(crate) fn take_up(
        membership: &Membership,
        keys: &Arc<dyn KeyStore>,
        folder: &Path,
        settings: Settings,
        encrypt: Vec<EncryptRule>,
        groups: GroupKeys,
    ) -> Result<Self, ReportError> {
        Ok(Self {
            device: membership.device.to_string(),
            installation: membership.installation.to_string(),
            signer: MessageSigner::new(Arc::clone(keys), Generation::Current)?,
            numbers: Sequencer::start(&folder.join("numbers"), keys.as_ref())?,
            encrypt,
            groups,
            outbox: Outbox::open(&folder.join("outbox"), settings, keys.as_ref())?,
        })
    }

    /// Signs and stores; returns the number of the first in the outbox.
    pub(crate) fn write(&mut self, readings: &[Reading<'_>]) -> Result<u64, ReportError> {
        let entries: Vec<Entry> =
            readings.iter().map(|reading| self.sign(reading)).collect::<Result<_, _>>()?;
        Ok(self.outbox.append(&entries)?)
    }

    /// Returns how often the device was started.
    pub(crate) fn boot_count(&self) -> u32 {
        self.numbers.boot_count()
    }

    /// Tells whether the newest message may overtake all others: a verifier remembers so many numbers only.
    pub(crate) fn may_overtake(&mut self, entry: &Entry) -> bool {
        let number = |entry: &Entry| inspect(&entry.payload).ok().map(|found| found.claims().sequence.0);
        let oldest = self.outbox.peek(0, 1).ok().and_then(|waiting| number(&waiting.first()?.entry));
        match (oldest, number(entry)) {
            (Some(oldest), Some(newest)) => newest.saturating_sub(oldest) <= AHEAD_NUMBERS,
            _ => false,
        }
    }

    fn sign(&mut self, reading: &Reading<'_>) -> Result<Entry, ReportError> {
        check(reading)?;
        let issued = clock::unix_seconds().ok_or(ReportError::NoClock)?;
        let context = Context {
            direction: Direction::Up { device: &self.device },
            installation: &self.installation,
            topic: reading.topic,
            correlation: reading.correlation,
        };
        let claims = Claims::issued_at(self.numbers.take()?, issued);
        let message = Message { claims, format: reading.format, payload: reading.payload };
        let mut bytes = vec![0; limits::MESSAGE_BYTES.min(reading.payload.len() + MORE_BYTES)];
        let signer = &mut self.signer;
        let signed = match readers::of(&self.encrypt, reading.topic) {
            None => sign(&message, &context, signer, &mut bytes),
            Some(Readers::Holder(key)) => {
                sign_for_recipient(&message, &context, signer, key, &mut SystemRandom, &mut bytes)
            }
            Some(Readers::Group(group)) => {
                let missing = || ReportError::NoGroupKey(group.clone());
                let key = self.groups.newest(group).ok_or_else(missing)?;
                sign_for_group(&message, &context, signer, key, Cipher::Gcm, &mut bytes)
            }
        };
        let len = signed
            .map_err(|error| self.signer.failure().map_or(ReportError::Seal(error), ReportError::Keys))?;
        bytes.truncate(len);
        let mut entry = Entry::new(reading.topic, bytes);
        entry.retain = reading.retain;
        entry.properties.content_type = Some(CONTENT_TYPE.to_owned());
        entry.properties.correlation_data = reading.correlation.map(<[u8]>::to_vec);
        Ok(entry)
    }
}

fn check(reading: &Reading<'_>) -> Result<(), ReportError> {
    let topic = |problem: String| ReportError::Topic(problem);
    if reading.topic.len() > TOPIC_BYTES {
        return Err(topic(format!("has {} bytes", reading.topic.len())));
    }
    TopicName::parse(reading.topic).map_err(|error| topic(format!("{:?} {error}", reading.topic)))?;
    if reading.topic.starts_with('$') {
        return Err(topic(format!("{:?} is the server's", reading.topic)));
    }
    if reading.payload.len() > READING_BYTES {
        return Err(ReportError::TooLong(reading.payload.len()));
    }
    Ok(())
}
