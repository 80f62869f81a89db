//! What the server signs: the key set that tells devices which keys to believe, commands to devices and groups, and grants of group keys.
//!
//! The rule of use. [`keep`] makes and renews what is missing or near its end, at a start and every few minutes;
//! [`Command::SignCommand`], [`Command::SignGroupMessage`] and [`Command::ReserveNumbers`] give numbers, which are durable when they are
//! given; [`sign_command`] and [`GrantSigner`] sign by them. All of it happens on threads that may wait, never on a worker.
//!
//! What is not here: which keys there are and which numbers were used (`identity`), and the form of messages (`envelope`).

use crate::control::{Refusal, RefusalCode};
use aws_lc_rs::rand;
use keyward_envelope::{
    Cipher, Claims, Context, Direction, Format, GroupKey, Message, Nonce, PublicKey, Purpose, Random,
    SealError, Sequence, Unavailable, sign, sign_for_group, sign_for_recipient, sign_key_set,
    software::P256Key,
};
use keyward_identity::{self as identity, Command, MessageKey, Registrar, Secret, WallTime};
use keyward_ids::{DeviceId, InstallationId};
use zeroize::Zeroizing;

/// Where the key set lies, retained.
pub(crate) const KEY_SET_TOPIC: &str = "$keyward/keys/server";

/// More than a key set takes: eight keys, header and signature.
const KEY_SET_BYTES: usize = 1_024;

/// More than a signature and an encryption add to what is said.
const OVERHEAD: usize = 512;

/// Brings the server's keys up to date: makes those that are missing, deletes command keys whose time is over, and signs
/// another key set where one is due. Tells whether there is another key set.
///
/// # Errors
/// [`identity::Refusal`]: the clock cannot be right, a key cannot be read, or the store takes nothing. What there was stays.
pub(crate) fn keep(registrar: &mut Registrar, now: WallTime, actor: &str) -> Result<bool, identity::Refusal> {
    let context = identity::Context { now, actor };
    registrar.execute(Command::KeepServerKeys, context)?;
    if !registrar.server_keys().is_key_set_due(now) {
        return Ok(false);
    }
    let (version, expires) = registrar.server_keys().next_key_set(now);
    let message = signed_key_set(registrar, now, version, expires)?;
    registrar.execute(Command::KeepKeySet { version, expires, message }, context)?;
    Ok(true)
}

fn signed_key_set(
    registrar: &Registrar,
    now: WallTime,
    version: u64,
    expires: WallTime,
) -> Result<Vec<u8>, identity::Refusal> {
    let missing = || identity::Refusal::Signing("the installation key cannot be read".to_owned());
    let failed = |error: SealError| identity::Refusal::Signing(error.to_string());
    let mut root = registrar.installation_secret().and_then(signer).ok_or_else(missing)?;
    let keys: Vec<(PublicKey, Purpose)> =
        registrar.server_keys().commands().iter().filter_map(|held| public(&held.key)).collect();
    let registry = registrar.registry();
    let context = Context {
        direction: Direction::All,
        installation: registry.installation().as_str(),
        topic: KEY_SET_TOPIC,
        correlation: None,
    };
    let claims = Claims::issued_at(Sequence(version), now.as_secs()).until(expires.as_secs());
    let mut out = vec![0; KEY_SET_BYTES];
    let len = sign_key_set(&keys, claims, &context, &mut root, &mut out).map_err(failed)?;
    out.truncate(len);
    Ok(out)
}

/// Is what a device has to know to believe the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForDevices {
    /// The installation key, a `COSE_Key`: pinned.
    pub(crate) installation_key: Vec<u8>,
    /// The key set that is in force, signed by it; none while the clock cannot be right.
    pub(crate) key_set: Option<Vec<u8>>,
}

/// Returns what devices are told when they enrol; nothing before the keys were made.
pub(crate) fn for_devices(registrar: &Registrar) -> Option<ForDevices> {
    let keys = registrar.server_keys();
    let installation_key = keys.installation()?.cose();
    Some(ForDevices { installation_key, key_set: keys.key_set().map(|set| set.message.clone()) })
}

/// Says whom a command is for, and who can read it.
pub(crate) enum Hearer<'a> {
    /// One device; whoever gets it can read it.
    Device(&'a DeviceId),
    /// One device, which alone can read it with the other half of this key.
    DeviceAlone(&'a DeviceId, &'a PublicKey),
    /// The members of a group, who alone can read it.
    Group(&'a GroupKey),
}

/// Is a command on its way to be signed.
pub(crate) struct Spoken<'a> {
    /// Whom it is for.
    pub(crate) to: Hearer<'a>,
    /// The topic that it is published on.
    pub(crate) topic: &'a str,
    /// MQTT 5's correlation data.
    pub(crate) correlation: Option<&'a [u8]>,
    /// Its number, which nothing else has.
    pub(crate) number: u64,
    /// Until when it is good; a minute from its date without.
    pub(crate) expires: Option<WallTime>,
    /// The nonce that the device gave out last.
    pub(crate) nonce: Option<Nonce>,
    /// What the payload is.
    pub(crate) format: Option<Format>,
    /// The payload.
    pub(crate) payload: &'a [u8],
}

/// Signs a command by the command key of the time `now`.
///
/// # Errors
/// [`Refusal`]: there is no such key, or the message cannot be.
pub(crate) fn sign_command(
    registrar: &Registrar,
    now: WallTime,
    spoken: &Spoken<'_>,
) -> Result<Vec<u8>, Refusal> {
    let mut signer = command_signer(registrar, now)?;
    let registry = registrar.registry();
    let direction = match &spoken.to {
        Hearer::Device(device) | Hearer::DeviceAlone(device, _) => {
            Direction::Down { device: device.as_str() }
        }
        Hearer::Group(_) => Direction::All,
    };
    let installation = registry.installation().as_str();
    let context = Context { direction, installation, topic: spoken.topic, correlation: spoken.correlation };
    let claims = Claims {
        sequence: Sequence(spoken.number),
        issued: Some(now.as_secs()),
        expires: spoken.expires.map(WallTime::as_secs),
        nonce: spoken.nonce,
    };
    let message = Message { claims, format: spoken.format, payload: spoken.payload };
    let mut out = vec![0; spoken.payload.len().saturating_add(OVERHEAD)];
    let len = match spoken.to {
        Hearer::Device(_) => sign(&message, &context, &mut signer, &mut out),
        Hearer::DeviceAlone(_, to) => {
            sign_for_recipient(&message, &context, &mut signer, to, &mut System, &mut out)
        }
        Hearer::Group(key) => sign_for_group(&message, &context, &mut signer, key, Cipher::Gcm, &mut out),
    }
    .map_err(Refusal::invalid)?;
    out.truncate(len);
    Ok(out)
}

/// Signs grants of group keys by one command key, wherever it is: the store need not be held meanwhile.
pub(crate) struct GrantSigner {
    key: P256Key,
    installation: InstallationId,
}

impl GrantSigner {
    /// Takes the command key of the time `now`; `None` if there is none that can be read.
    pub(crate) fn of(registrar: &Registrar, now: WallTime) -> Option<Self> {
        let key = registrar.command_secret(now).and_then(|(_, secret)| signer(secret))?;
        Some(Self { key, installation: registrar.registry().installation().clone() })
    }

    /// Returns the name of the key by which it signs.
    pub(crate) fn kid(&self) -> [u8; 8] {
        *keyward_envelope::Signer::kid(&self.key).as_bytes()
    }

    /// Signs the grant of a group key to one member. It is for the topic `$keyward/keys/GROUP/EPOCH/MEMBER`, `number` is one that
    /// nothing else has, and `to` the key of the member that agrees.
    ///
    /// # Errors
    /// [`SealError`]: the grant cannot be made.
    pub(crate) fn sign(
        &mut self,
        now: WallTime,
        number: u64,
        member: &str,
        key: &GroupKey,
        to: &PublicKey,
    ) -> Result<Vec<u8>, SealError> {
        let topic = grant_topic(key.group(), key.epoch().0, member);
        let context = Context {
            direction: Direction::Down { device: member },
            installation: self.installation.as_str(),
            topic: &topic,
            correlation: None,
        };
        let claims = Claims::issued_at(Sequence(number), now.as_secs());
        let mut out = vec![0; KEY_SET_BYTES];
        let len =
            keyward_envelope::sign_grant(key, claims, &context, &mut self.key, to, &mut System, &mut out)?;
        out.truncate(len);
        Ok(out)
    }
}

/// Returns the topic on which a member finds the key of an epoch.
pub(crate) fn grant_topic(group: &str, epoch: u32, member: &str) -> String {
    format!("$keyward/keys/{group}/{epoch}/{member}")
}

fn command_signer(registrar: &Registrar, now: WallTime) -> Result<P256Key, Refusal> {
    let missing = || {
        let what = "the command key cannot be read; `keyward status` says why, and `keyward keys rotate-command` makes another";
        Refusal::new(RefusalCode::Failed, what)
    };
    registrar.command_secret(now).and_then(|(_, secret)| signer(secret)).ok_or_else(missing)
}

fn signer(secret: &Secret) -> Option<P256Key> {
    let number = Zeroizing::new(<[u8; 32]>::try_from(secret.expose()).ok()?);
    P256Key::from_secret(&number).ok()
}

/// Returns a key of the server as a key set holds it.
fn public(key: &MessageKey) -> Option<(PublicKey, Purpose)> {
    PublicKey::from_cose(&key.cose()).ok()
}

/// Draws random numbers from the system.
pub(crate) struct System;

impl Random for System {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Unavailable> {
        rand::fill(out).map_err(|_| Unavailable(5))
    }
}
