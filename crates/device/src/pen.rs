//! Writes messages: numbers and signs them, and puts them into the outbox, all under one lock, so that they leave in the order of their numbers.

use crate::clock;
use crate::device::DeviceSettings;
use crate::enrol::Membership;
use crate::groups::GroupKeys;
use crate::keys::{Generation, KeyError, KeyStore, MessageSigner, Role, SystemRandom, public_key};
use crate::limits::{AHEAD_NUMBERS, READING_BYTES, TOPIC_BYTES};
use crate::numbers::Sequencer;
use crate::outbox::{Entry, Outbox};
use crate::readers::{self, EncryptRule, Readers};
use crate::state::StateError;
use keyward_envelope::{
    Cipher, Claims, Content, Context, Direction, Format, Message, Nonce, PublicKey, SealError, Sequence,
    inspect, limits, sign, sign_for_group, sign_for_recipient,
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
    /// There is neither a clock nor a link.
    #[error(
        "this device has no clock, so what it says is good for one link, and none stands on which all that waited was sent: say it again when it does, or set the clock"
    )]
    NoClock,
    /// It is to be encrypted for one recipient, and there is no clock.
    #[error(
        "what is said here is for one recipient, and while this device has no clock nobody could write it anew for the next link: set the clock, or encrypt for a group"
    )]
    RecipientWithoutClock,
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

/// Says when a message is good.
#[derive(Debug, Clone, Copy)]
enum Stamp {
    /// From this moment on, seconds since 1970.
    Date(u64),
    /// In this session.
    Session(Nonce),
}

impl Stamp {
    fn claims(self, number: Sequence) -> Claims {
        match self {
            Self::Date(issued) => Claims::issued_at(number, issued),
            Self::Session(nonce) => Claims::in_session(number, nonce),
        }
    }
}

/// Holds what is needed to write messages.
pub(crate) struct Pen {
    device: String,
    installation: String,
    signer: MessageSigner,
    public: PublicKey,
    numbers: Sequencer,
    has_clock: bool,
    /// What messages carry in place of a date: given by the server for the link that stands.
    session: Option<Nonce>,
    encrypt: Vec<EncryptRule>,
    pub(crate) groups: GroupKeys,
    pub(crate) outbox: Outbox,
}

impl Pen {
    pub(crate) fn take_up(
        membership: &Membership,
        keys: &Arc<dyn KeyStore>,
        folder: &Path,
        settings: &DeviceSettings,
        groups: GroupKeys,
    ) -> Result<Self, ReportError> {
        Ok(Self {
            device: membership.device.to_string(),
            installation: membership.installation.to_string(),
            signer: MessageSigner::new(Arc::clone(keys), Generation::Current)?,
            public: public_key(keys.as_ref(), Role::Message, Generation::Current)?,
            has_clock: settings.clock,
            session: None,
            numbers: Sequencer::start(&folder.join("numbers"), keys.as_ref())?,
            encrypt: settings.encrypt.clone(),
            groups,
            outbox: Outbox::open(&folder.join("outbox"), settings.outbox, keys.as_ref())?,
        })
    }

    /// Signs with the store's current key from here on.
    pub(crate) fn take_key(&mut self, keys: &Arc<dyn KeyStore>) -> Result<(), KeyError> {
        self.signer = MessageSigner::new(Arc::clone(keys), Generation::Current)?;
        self.public = public_key(keys.as_ref(), Role::Message, Generation::Current)?;
        Ok(())
    }

    /// Signs and stores; returns the number of the first in the outbox.
    pub(crate) fn write(&mut self, readings: &[Reading<'_>]) -> Result<u64, ReportError> {
        let stamp = self.stamp().ok_or(ReportError::NoClock)?;
        let entries: Vec<Entry> =
            readings.iter().map(|reading| self.sign(reading, stamp)).collect::<Result<_, _>>()?;
        Ok(self.outbox.append(&entries)?)
    }

    /// Returns how often the device was started.
    pub(crate) fn boot_count(&self) -> u32 {
        self.numbers.boot_count()
    }

    /// Tells whether the newest message may overtake all others: a verifier remembers so many numbers only.
    pub(crate) fn may_overtake(&mut self, entry: &Entry) -> bool {
        let oldest = self.outbox.peek(0, 1).ok().and_then(|waiting| number(&waiting.first()?.entry));
        match (oldest, number(entry)) {
            (Some(oldest), Some(newest)) => newest.saturating_sub(oldest) <= AHEAD_NUMBERS,
            _ => false,
        }
    }

    /// Begins to write for a link, or ends it: of a device without a clock.
    pub(crate) fn write_in(&mut self, session: Option<Nonce>) {
        self.session = session;
    }

    fn stamp(&self) -> Option<Stamp> {
        clock::date(self.has_clock).map(Stamp::Date).or(self.session.map(Stamp::Session))
    }

    /// Tells whether the oldest message that waits was made for a link, and not dated.
    pub(crate) fn is_oldest_undated(&mut self) -> bool {
        let oldest = self.outbox.peek(0, 1).ok().and_then(|waiting| waiting.into_iter().next());
        oldest.is_some_and(|oldest| {
            inspect(&oldest.entry.payload).is_ok_and(|found| found.claims().issued.is_none())
        })
    }

    /// Writes the oldest message that waits anew, if it was made for an earlier link than the one of `session`: for that, or dated without one; under another number, behind
    /// all that wait, and in one step with forgetting the old one. Tells whether it was.
    pub(crate) fn rewrite_oldest(
        &mut self,
        oldest: &Entry,
        session: Option<Nonce>,
    ) -> Result<bool, ReportError> {
        let Some((format, payload)) = self.reopen(oldest, session) else { return Ok(false) };
        let stamp = session.map(Stamp::Session).or_else(|| self.stamp()).ok_or(ReportError::NoClock)?;
        let reading = Reading {
            topic: &oldest.topic,
            payload: &payload,
            format,
            retain: oldest.retain,
            correlation: oldest.properties.correlation_data.as_deref(),
        };
        let entry = self.sign(&reading, stamp)?;
        self.outbox.replace_oldest(&entry)?;
        Ok(true)
    }

    /// Returns what a message of an earlier session says. What is for another's eyes alone nothing here opens again.
    fn reopen(&self, oldest: &Entry, session: Option<Nonce>) -> Option<(Option<Format>, Vec<u8>)> {
        let context = Context {
            direction: Direction::Up { device: &self.device },
            installation: &self.installation,
            topic: &oldest.topic,
            correlation: oldest.properties.correlation_data.as_deref(),
        };
        let found = inspect(&oldest.payload).ok()?;
        if found.claims().issued.is_some() || found.claims().nonce == session {
            return None;
        }
        match found.verify(&self.public, &context).ok()?.content().ok()? {
            Content::Plain { format, payload } => Some((format, payload.to_vec())),
            Content::ForGroup(sealed) => {
                let mut opened = vec![0; sealed.payload_len()];
                sealed.open(self.groups.of_epoch(sealed.epoch())?, &mut opened).ok()?;
                Some((sealed.format(), opened))
            }
            Content::ForRecipient(_) => None,
        }
    }

    fn sign(&mut self, reading: &Reading<'_>, stamp: Stamp) -> Result<Entry, ReportError> {
        check(reading)?;
        let context = Context {
            direction: Direction::Up { device: &self.device },
            installation: &self.installation,
            topic: reading.topic,
            correlation: reading.correlation,
        };
        let claims = stamp.claims(self.numbers.take()?);
        let message = Message { claims, format: reading.format, payload: reading.payload };
        let mut bytes = vec![0; limits::MESSAGE_BYTES.min(reading.payload.len() + MORE_BYTES)];
        let signer = &mut self.signer;
        let signed = match readers::of(&self.encrypt, reading.topic) {
            None => sign(&message, &context, signer, &mut bytes),
            Some(Readers::Holder(_)) if matches!(stamp, Stamp::Session(_)) => {
                return Err(ReportError::RecipientWithoutClock);
            }
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

/// Returns the number of a message of the outbox.
fn number(entry: &Entry) -> Option<u64> {
    inspect(&entry.payload).ok().map(|found| found.claims().sequence.0)
}

/// Returns the start of the device in which a message was signed.
pub(crate) fn start_of(entry: &Entry) -> Option<u64> {
    number(entry).map(|number| number >> 32)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::FileStore;
    use crate::sealed::SealedStore;

    fn pen(folder: &Path, keys: Arc<dyn KeyStore>, encrypt: Vec<EncryptRule>) -> Pen {
        Sequencer::create(&folder.join("numbers"), keys.as_ref()).unwrap();
        let store = SealedStore::open(&folder.join("store"), Arc::clone(&keys)).unwrap();
        let membership = Membership {
            device: "pump-1".parse().unwrap(),
            installation: "k7m2q9xw4hp3a8cd".parse().unwrap(),
            hosts: Vec::new(),
            certificate: String::new(),
            server_root: String::new(),
            expires: 0,
            renew_from: 0,
            installation_key: None,
            key_set: None,
            tls_key: Vec::new(),
            message_key: None,
            vouched: false,
        };
        let settings = DeviceSettings { encrypt, clock: false, ..DeviceSettings::default() };
        Pen::take_up(&membership, &keys, folder, &settings, GroupKeys::load(&store).unwrap()).unwrap()
    }

    /// A board whose clock was never set: what its link left unsent is written anew, and what only another can open cannot be.
    #[test]
    fn without_a_clock_nothing_is_taken_that_could_not_be_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Arc<dyn KeyStore> = Arc::new(FileStore::create(folder.path().join("keys")).unwrap());
        let reader = public_key(keys.as_ref(), Role::Agreement, Generation::Current).unwrap();
        let rule = EncryptRule { topics: vec!["private/#".to_owned()], readers: Readers::Holder(reader) };
        let mut pen = pen(folder.path(), keys, vec![rule]);
        assert!(matches!(pen.write(&[Reading::new("open", b"1")]), Err(ReportError::NoClock)));
        pen.write_in(Nonce::new(&[7; 8]));
        assert!(pen.write(&[Reading::new("open", b"1")]).is_ok());
        let refused = pen.write(&[Reading::new("private/x", b"1")]);
        assert!(matches!(refused, Err(ReportError::RecipientWithoutClock)), "{refused:?}");
        let oldest = pen.outbox.peek(0, 9).unwrap();
        assert_eq!(oldest.len(), 1);
        assert!(pen.rewrite_oldest(&oldest[0].entry, Nonce::new(&[8; 8])).unwrap());
    }
}
