//! The keys of the server that devices believe: the *installation key*, which devices pin and which signs nothing but key
//! sets, and the *command keys*, which sign commands and grants of group keys.
//!
//! A command key joins the key set as soon as it is made, signs some time later, when devices have heard of it, and the one before
//! it leaves the set later still. The private halves lie in the vault; here is what the ledger knows.
//!
//! **Numbers.** Every signed message has a number that is never used again. The next one stands in the ledger, and is written before
//! anything is signed by it. It is at least the time in seconds, times 2^32, as the version of a key set is at least the time in
//! seconds: what a restore has forgotten is not given again. Nor do command keys come back with a restore: there is a new one then.
//!
//! What is not here: signing, and the form of a key set (`envelope`, asked by `server`).

use crate::{
    authority::SigningKey,
    clock::WallTime,
    cose_key::Kid,
    message_key::MessageKey,
    secret::Secret,
    vault::{KeyFile, Vault},
    wire,
};
use keyward_ids::KeyId;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How long a key set is good: devices with a clock do not believe an older one.
const KEY_SET_LIFE: Duration = Duration::from_secs(90 * 86_400);

/// How long before its end another one takes its place.
const KEY_SET_RENEWAL: Duration = Duration::from_secs(60 * 86_400);

/// Holds the public halves of the server's keys, and the key set that was signed last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerKeys {
    pub(crate) installation: Option<MessageKey>,
    pub(crate) commands: Vec<CommandKey>,
    pub(crate) key_set: Option<SignedKeySet>,
    /// The version of the newest key set that was ever signed.
    pub(crate) version: u64,
    /// No number below it is given out.
    pub(crate) next_number: u64,
}

/// Is a key that signs commands and grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandKey {
    /// The public key.
    pub key: MessageKey,
    /// When it was made.
    pub made: WallTime,
    /// From when on it signs, until a newer one does.
    pub signs_from: WallTime,
    /// When it leaves the key set: nobody believes it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<WallTime>,
}

/// Is a key set as devices get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedKeySet {
    /// Its version, which is its number: higher than that of every one before.
    pub version: u64,
    /// When it was signed.
    pub signed: WallTime,
    /// Until when it is good.
    pub expires: WallTime,
    /// The keys that are in it.
    #[serde(with = "wire::texts")]
    pub kids: Vec<Kid>,
    /// The signed message, as `docs/mqsec1.md` has it.
    #[serde(with = "wire::base64")]
    pub message: Vec<u8>,
}

impl ServerKeys {
    /// Returns the public key by which key sets are verified; none before the first start of a program that makes one.
    pub fn installation(&self) -> Option<&MessageKey> {
        self.installation.as_ref()
    }

    /// Returns the keys that sign commands, the oldest first.
    pub fn commands(&self) -> &[CommandKey] {
        &self.commands
    }

    /// Returns the key that signs at the time `now`: the newest whose time has come.
    pub fn signing(&self, now: WallTime) -> Option<&CommandKey> {
        self.commands.iter().rev().find(|key| key.signs_from <= now).or(self.commands.first())
    }

    /// Returns the key set that was signed last, if there is one for the keys that are there.
    pub fn key_set(&self) -> Option<&SignedKeySet> {
        self.key_set.as_ref()
    }

    /// Tells whether another key set is to be signed at the time `now`: there is none, it has other keys, or it is near its end.
    pub fn is_key_set_due(&self, now: WallTime) -> bool {
        self.key_set.as_ref().is_none_or(|set| {
            !set.kids.iter().eq(self.kids().iter()) || now.after(KEY_SET_RENEWAL) >= set.expires
        })
    }

    /// Returns the version and the end of a key set that is signed at the time `now`.
    pub fn next_key_set(&self, now: WallTime) -> (u64, WallTime) {
        (now.as_secs().max(self.version.saturating_add(1)), now.after(KEY_SET_LIFE))
    }

    /// Returns the names of the keys that belong into a key set.
    pub(crate) fn kids(&self) -> Vec<Kid> {
        self.commands.iter().map(|command| command.key.kid()).collect()
    }

    /// Returns the first of numbers that are free at the time `now`.
    pub(crate) fn free_number(&self, now: WallTime) -> u64 {
        self.next_number.max(now.as_secs() << 32)
    }

    /// Tells whether one of the keys has this name.
    pub(crate) fn holds(&self, key: &KeyId) -> bool {
        let all = self.installation.iter().chain(self.commands.iter().map(|command| &command.key));
        all.into_iter().any(|held| held.id() == *key)
    }

    /// Lists the files with the private halves.
    pub(crate) fn files(&self) -> Vec<KeyFile> {
        let installation = self.installation.iter().map(|_| KeyFile::Installation);
        installation.chain(self.kids().into_iter().map(KeyFile::Command)).collect()
    }
}

/// Is a new key: its public half, and the private one as it goes into the vault (PKCS #8, DER).
pub(crate) fn generate() -> Result<(MessageKey, Secret), crate::secret::NoRandomness> {
    let pair = SigningKey::generate()?;
    let key = MessageKey::of_pair(&pair).ok_or(crate::secret::NoRandomness)?;
    Ok((key, pair.pkcs8().clone()))
}

/// Holds the private halves that could be read: secret numbers of P-256, 32 bytes, big-endian.
#[derive(Default)]
pub(crate) struct PrivateKeys {
    pub(crate) installation: Option<Secret>,
    pub(crate) commands: BTreeMap<Kid, Secret>,
}

/// Reads the private halves. One that cannot be read is told: the broker runs without it, and signs nothing by it.
pub(crate) fn load(vault: &mut Vault, keys: &ServerKeys, trouble: &mut Vec<String>) -> PrivateKeys {
    let mut private = PrivateKeys::default();
    if let Some(key) = &keys.installation {
        private.installation = read(vault, KeyFile::Installation, key, trouble);
    }
    for command in &keys.commands {
        let kid = command.key.kid();
        if let Some(secret) = read(vault, KeyFile::Command(kid), &command.key, trouble) {
            private.commands.insert(kid, secret);
        }
    }
    private
}

fn read(vault: &mut Vault, file: KeyFile, key: &MessageKey, trouble: &mut Vec<String>) -> Option<Secret> {
    let remedy = match file {
        KeyFile::Installation => {
            "no key set can be signed; take the file from a backup that was made with keys"
        }
        _ => "it signs nothing; make another command key (keyward keys rotate-command)",
    };
    let pair = match vault.load(file) {
        Ok(der) => SigningKey::from_pkcs8(&der),
        Err(error) => {
            trouble.push(format!("{error}: {remedy}"));
            return None;
        }
    };
    let pair = pair.filter(|pair| MessageKey::of_pair(pair).as_ref() == Some(key));
    if pair.is_none() {
        let path = vault.path(file);
        trouble.push(format!("{}: is not the key that the ledger knows: {remedy}", path.display()));
    }
    pair.and_then(|pair| pair.secret_number())
}
