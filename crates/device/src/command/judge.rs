//! Whether a device obeys: a command is signed by a key of the server's, made for this device and topic, fresh, and comes once.

use keyward_envelope::freshness::{self, Stale};
use keyward_envelope::{
    Agreement, Content, Context, Direction, Epoch, Format, GroupKey, KeySet, Kid, Nonce, PublicKey, Purpose,
    Sequence, Unverified, Verified, inspect, open_grant,
};
use keyward_ids::{DeviceId, InstallationId};
use std::fmt;

/// Where the server's keys lie.
pub const KEY_SET_TOPIC: &str = "$keyward/keys/server";

/// What the topics of keys begin with.
const KEYS_PREFIX: &str = "$keyward/keys/";

/// Returns the filter of the topics on which a device finds the keys of its groups.
pub(crate) fn grants_of(device: &str) -> String {
    format!("{KEYS_PREFIX}+/+/{device}")
}

/// Opens what is encrypted to the device.
pub trait Opens {
    /// Returns the key that opens what is encrypted to the device alone; nothing if it has none.
    fn own(&mut self) -> Option<&mut dyn Agreement>;

    /// Returns the key of an epoch of one of its groups.
    fn group(&self, epoch: Epoch) -> Option<GroupKey>;
}

/// Opens nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpensNothing;

impl Opens for OpensNothing {
    fn own(&mut self) -> Option<&mut dyn Agreement> {
        None
    }

    fn group(&self, _: Epoch) -> Option<GroupKey> {
        None
    }
}

/// Is a command that the device may obey, once its number is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Where it came.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// What the payload is, a number of the registry of CoAP content formats.
    pub format: Option<u16>,
    /// Where an answer is expected.
    pub response_topic: Option<String>,
    /// What the answer has to carry.
    pub correlation: Option<Vec<u8>>,
    /// The key that signed it, and its number among those of that key.
    pub signer: Kid,
    /// See `signer`.
    pub number: Sequence,
}

/// Says why a device does not obey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disobeyed {
    /// It is not signed: no message of the profile.
    Unsigned,
    /// The device knows no key of the server's.
    NoKeys,
    /// The server's keys that the device knows were good until a time that has passed.
    OldKeys,
    /// The key is none of the server's.
    OtherKey,
    /// The signature does not hold for this device, topic and installation.
    Signature,
    /// It is too old, from the future, or for another session.
    Stale(Stale),
    /// It was obeyed before, or is older than what is remembered.
    Seen,
    /// It is encrypted, and this device cannot open it.
    Sealed,
    /// It was to be the key of a group, and is none, or that of another group or epoch.
    NoGrant,
}

impl fmt::Display for Disobeyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("it is not signed: send commands with `keyward seal`"),
            Self::NoKeys => f.write_str("this device knows no key of the server: enrol it again"),
            Self::OldKeys => f.write_str(
                "the server's keys that this device knows have expired, and the server tells it no newer ones; look at both clocks",
            ),
            Self::OtherKey => f.write_str("the key that signed it is none of the server's"),
            Self::Signature => f.write_str(
                "its signature does not hold: it was made for another device, topic or installation, or changed",
            ),
            Self::Stale(stale) => stale.fmt(f),
            Self::Seen => f.write_str("it came before, or newer ones did long ago"),
            Self::Sealed => {
                f.write_str("it is encrypted, and neither to this device's key nor under a key of its groups")
            }
            Self::NoGrant => f.write_str("it is no key of that group and epoch for this device"),
        }
    }
}

/// Says why a key set was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKeySet {
    /// It is none, or not signed by the installation's key.
    #[error("it is no key set that the installation's key signed")]
    Foreign,
    /// A newer one is known.
    #[error("a newer one was seen")]
    Older,
    /// It was good until a time that has passed.
    #[error("it has expired")]
    Expired,
}

/// Holds whom the device obeys.
#[derive(Debug, Clone)]
pub struct Master {
    device: DeviceId,
    installation: InstallationId,
    pinned: Option<PublicKey>,
    keys: Option<KeySet>,
    /// Until when the keys are good, seconds since 1970.
    expires: Option<u64>,
}

impl Master {
    /// Takes the installation's key as it was pinned at enrolment, a `COSE_Key`; without one no command is obeyed.
    pub fn new(device: DeviceId, installation: InstallationId, pinned: Option<&[u8]>) -> Self {
        let pinned = pinned.and_then(|cose| PublicKey::from_cose(cose).ok()).map(|(key, _)| key);
        Self { device, installation, pinned, keys: None, expires: None }
    }

    /// Takes a key set, signed, unless it is older than the one that is known. True if it is newer.
    ///
    /// # Errors
    /// [`BadKeySet`]; the one before stays.
    pub fn learn(&mut self, bytes: &[u8], now: Option<u64>) -> Result<bool, BadKeySet> {
        let pinned = self.pinned.as_ref().ok_or(BadKeySet::Foreign)?;
        let context = Context {
            direction: Direction::All,
            installation: self.installation.as_str(),
            topic: KEY_SET_TOPIC,
            correlation: None,
        };
        let found = inspect(bytes).map_err(|_| BadKeySet::Foreign)?;
        let verified = found.verify(pinned, &context).map_err(|_| BadKeySet::Foreign)?;
        let keys = KeySet::read(&verified).map_err(|_| BadKeySet::Foreign)?;
        let version = self.keys.as_ref().map(KeySet::version);
        if version.is_some_and(|known| keys.version() < known) {
            return Err(BadKeySet::Older);
        }
        let expires = verified.claims().expires;
        if is_over(expires, now) {
            return Err(BadKeySet::Expired);
        }
        let is_new = version != Some(keys.version());
        if is_new {
            (self.keys, self.expires) = (Some(keys), expires);
        }
        Ok(is_new)
    }

    /// Returns the version of the key set that is known.
    pub fn version(&self) -> Option<Sequence> {
        self.keys.as_ref().map(KeySet::version)
    }

    /// Returns the keys that may sign what is obeyed.
    pub(crate) fn signers(&self) -> Vec<Kid> {
        self.keys.iter().flat_map(KeySet::keys).map(|(key, _)| key.kid()).collect()
    }

    /// Judges what came on `topic`. Whether its number was seen is for the caller to say and to store, before it acts.
    ///
    /// # Errors
    /// [`Disobeyed`].
    pub fn judge(
        &self,
        topic: &str,
        payload: &[u8],
        correlation: Option<&[u8]>,
        now: Option<u64>,
        nonce: Option<&Nonce>,
        opens: &mut dyn Opens,
    ) -> Result<Command, Disobeyed> {
        let found = inspect(payload).map_err(|_| Disobeyed::Unsigned)?;
        let direction = if found.is_for_group() { Direction::All } else { self.down() };
        // A nonce is one device's: what is said to a group is judged by its date.
        let nonce = nonce.filter(|_| direction != Direction::All);
        let verified = self.verify(&found, direction, topic, correlation, now)?;
        freshness::of_command(verified.claims(), now, nonce).map_err(Disobeyed::Stale)?;
        let (format, payload) = open(&verified, opens)?;
        Ok(Command {
            topic: topic.to_owned(),
            payload,
            format: format.map(|Format(number)| number),
            response_topic: None,
            correlation: correlation.map(<[u8]>::to_vec),
            signer: verified.kid(),
            number: verified.claims().sequence,
        })
    }

    /// Opens what came on a topic of [`grants_of`]: the key of a group. It has no bound of age (`docs/mqsec1.md`, "For a group"). `knows` tells of which epochs the key
    /// is there, and nothing is returned for them.
    ///
    /// # Errors
    /// [`Disobeyed`].
    pub(crate) fn granted(
        &self,
        topic: &str,
        payload: &[u8],
        now: Option<u64>,
        opens: &mut dyn Opens,
    ) -> Result<Option<GroupKey>, Disobeyed> {
        let (group, epoch) = grant_of(topic).ok_or(Disobeyed::NoGrant)?;
        // An empty one was withdrawn, which nobody signed: what is known stays.
        if payload.is_empty() || opens.group(epoch).is_some() {
            return Ok(None);
        }
        let found = inspect(payload).map_err(|_| Disobeyed::Unsigned)?;
        let verified = self.verify(&found, self.down(), topic, None, now)?;
        let key =
            open_grant(&verified, opens.own().ok_or(Disobeyed::Sealed)?).map_err(|_| Disobeyed::Sealed)?;
        let is_it = key.group().eq_ignore_ascii_case(group) && key.epoch() == epoch;
        if is_it { Ok(Some(key)) } else { Err(Disobeyed::NoGrant) }
    }

    /// Returns how the server speaks to this device alone.
    fn down(&self) -> Direction<'_> {
        Direction::Down { device: self.device.as_str() }
    }

    /// Verifies what the server said.
    fn verify<'a>(
        &'a self,
        found: &Unverified<'a>,
        direction: Direction<'a>,
        topic: &'a str,
        correlation: Option<&'a [u8]>,
        now: Option<u64>,
    ) -> Result<Verified<'a>, Disobeyed> {
        let keys = self.keys.as_ref().ok_or(Disobeyed::NoKeys)?;
        // Whoever keeps newer ones from the device would have it obey a stolen key for ever.
        if is_over(self.expires, now) {
            return Err(Disobeyed::OldKeys);
        }
        let key = keys.find(found.kid(), Purpose::Sign).ok_or(Disobeyed::OtherKey)?;
        let context = Context { direction, installation: self.installation.as_str(), topic, correlation };
        found.verify(key, &context).map_err(|_| Disobeyed::Signature)
    }
}

/// Tells whether an end has passed; without a clock none has.
fn is_over(end: Option<u64>, now: Option<u64>) -> bool {
    end.zip(now).is_some_and(|(end, now)| now > end)
}

/// Tells whether a topic is one of those on which keys of groups lie, and of which group and epoch.
pub(crate) fn grant_of(topic: &str) -> Option<(&str, Epoch)> {
    let mut parts = topic.strip_prefix(KEYS_PREFIX)?.split('/');
    let (group, epoch, _device) = (parts.next()?, parts.next()?, parts.next()?);
    let epoch = epoch.parse().ok().map(Epoch)?;
    parts.next().is_none().then_some((group, epoch))
}

/// Returns what a command says and its format, decrypted if it has to be.
fn open(verified: &Verified<'_>, opens: &mut dyn Opens) -> Result<(Option<Format>, Vec<u8>), Disobeyed> {
    match verified.content().map_err(|_| Disobeyed::Unsigned)? {
        Content::Plain { format, payload } => Ok((format, payload.to_vec())),
        Content::ForRecipient(sealed) => {
            let mut opened = vec![0; sealed.payload_len()];
            let key = opens.own().ok_or(Disobeyed::Sealed)?;
            sealed.open(key, &mut opened).map_err(|_| Disobeyed::Sealed)?;
            Ok((sealed.format(), opened))
        }
        Content::ForGroup(sealed) => {
            let mut opened = vec![0; sealed.payload_len()];
            let key = opens.group(sealed.epoch()).ok_or(Disobeyed::Sealed)?;
            sealed.open(&key, &mut opened).map_err(|_| Disobeyed::Sealed)?;
            Ok((sealed.format(), opened))
        }
    }
}

#[cfg(test)]
mod tests;
