//! What a device keeps of its enrolment: who it is, where it belongs, its certificate, and whom it believes.

use super::answer::Certified;
use super::claim::Host;
use crate::keys::{Generation, KeyError, KeyStore, Protection, Role};
use crate::limits::ANSWER_BYTES;
use base64ct::{Base64, Encoding};
use keyward_envelope::PublicKey;
use keyward_files::{self as files, FileError};
use keyward_ids::{DeviceId, InstallationId};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file's name in the device's folder.
const FILE: &str = "membership.json";

/// The level of keys for which the hardware vouched.
pub(super) const PROVEN_LEVEL: u8 = 3;

/// The form of the file.
const SCHEMA: u32 = 1;

/// Holds what a device keeps of its enrolment. There is no secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Who the device is.
    pub device: DeviceId,
    /// The installation that it belongs to.
    pub installation: InstallationId,
    /// Where the server answers, in this order.
    pub hosts: Vec<Host>,
    /// The certificate and its issuer's, PEM.
    pub certificate: String,
    /// The trust anchor, PEM.
    pub server_root: String,
    /// When the certificate ends, seconds since 1970.
    pub expires: u64,
    /// From when on it may be renewed, seconds since 1970.
    pub renew_from: u64,
    /// The key that signs key sets, a `COSE_Key`; a server of before key sets gave none, and the device obeys no command.
    pub installation_key: Option<Vec<u8>>,
    /// The newest key set, as it was signed.
    pub key_set: Option<Vec<u8>>,
    /// The key of the certificate, SEC 1: tells after a power cut whether it is the store's current key or the next one.
    pub tls_key: Vec<u8>,
    /// The key by which its messages are verified from the use of this certificate on, likewise; a device that was enrolled before this was
    /// kept has none here, and signs with the store's current key.
    pub message_key: Option<Vec<u8>>,
    /// Whether the server saw, when it certified these keys, that they are in the hardware that vouched for them.
    pub vouched: bool,
}

#[derive(Serialize, Deserialize)]
struct Written {
    schema: u32,
    device: String,
    installation: String,
    hosts: Vec<Host>,
    certificate: String,
    server_root: String,
    expires: u64,
    renew_from: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    installation_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_set: Option<String>,
    tls_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_key: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    vouched: bool,
}

/// Says why there is no membership.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// The device was never enrolled.
    #[error("{0}: this device is not enrolled; `keyward agent enroll` does it")]
    None(PathBuf),
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file says something that cannot be.
    #[error(
        "{path}: {problem}; enrol the device again, with a claim of `keyward device invite ID --replace`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The store holds neither the key of the certificate, or of its messages, nor the one that was to follow.
    #[error(
        "the key store does not hold the keys of this device's certificate: it is another device's store, an older copy, or not the one that `keys` named at enrolment; name that one, or enrol again with a claim of `keyward device invite ID --replace`"
    )]
    OtherKeys,
    /// The store cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl Membership {
    /// Puts together what is kept of an answer.
    pub(crate) fn of(
        certified: Certified,
        hosts: Vec<Host>,
        tls_key: [u8; 65],
        message_key: [u8; 65],
        vouched: bool,
    ) -> Self {
        let Certified { device, installation, certificate, server_root, expires, renew_from, .. } = certified;
        let (installation_key, key_set) = (certified.installation_key, certified.key_set);
        let (tls_key, message_key) = (tls_key.to_vec(), Some(message_key.to_vec()));
        Self {
            device,
            installation,
            hosts,
            certificate,
            server_root,
            expires,
            renew_from,
            installation_key,
            key_set,
            tls_key,
            message_key,
            vouched,
        }
    }

    /// Returns the level of the key for messages, 0 to 3, which a store of this protection keeps.
    pub fn level(&self, keys: Protection) -> u8 {
        if self.vouched { PROVEN_LEVEL } else { keys.level() }
    }

    /// Reads the membership in `folder`.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub fn load(folder: &Path) -> Result<Self, MembershipError> {
        let path = folder.join(FILE);
        match files::read_regular(&path, ANSWER_BYTES) {
            Ok(bytes) => Self::read(&bytes).map_err(|problem| MembershipError::Damaged { path, problem }),
            Err(error) if error.is_not_found() => Err(MembershipError::None(folder.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the membership into `folder`, durable and whole when this returns.
    ///
    /// # Errors
    /// [`MembershipError::File`].
    pub fn save(&self, folder: &Path) -> Result<(), MembershipError> {
        Ok(files::replace(&folder.join(FILE), &self.write())?)
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// A sentence says what is wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(bytes).map_err(|error| {
            format!("line {}, column {} is not as expected", error.line(), error.column())
        })?;
        if written.schema != SCHEMA {
            return Err(format!("it has schema {}, and only {SCHEMA} is known here", written.schema));
        }
        let decode = |text: String| Base64::decode_vec(&text).map_err(|_| "a key is no base64".to_owned());
        let installation_key = written.installation_key.map(decode).transpose()?;
        if installation_key.as_ref().is_some_and(|key| PublicKey::from_cose(key).is_err()) {
            return Err("the installation's key is none".to_owned());
        }
        if written.hosts.is_empty() {
            return Err("it names no host".to_owned());
        }
        Ok(Self {
            device: DeviceId::parse(&written.device).map_err(|error| format!("the device's id {error}"))?,
            installation: InstallationId::parse(&written.installation)
                .map_err(|error| format!("the installation's id {error}"))?,
            hosts: written.hosts,
            certificate: written.certificate,
            server_root: written.server_root,
            expires: written.expires,
            renew_from: written.renew_from,
            installation_key,
            key_set: written.key_set.map(decode).transpose()?,
            tls_key: decode(written.tls_key)?,
            message_key: written.message_key.map(decode).transpose()?,
            vouched: written.vouched,
        })
    }

    /// Returns the file's bytes.
    pub fn write(&self) -> Vec<u8> {
        let encode = |bytes: &Vec<u8>| Base64::encode_string(bytes);
        let written = Written {
            schema: SCHEMA,
            device: self.device.to_string(),
            installation: self.installation.to_string(),
            hosts: self.hosts.clone(),
            certificate: self.certificate.clone(),
            server_root: self.server_root.clone(),
            expires: self.expires,
            renew_from: self.renew_from,
            installation_key: self.installation_key.as_ref().map(encode),
            key_set: self.key_set.as_ref().map(encode),
            tls_key: encode(&self.tls_key),
            message_key: self.message_key.as_ref().map(encode),
            vouched: self.vouched,
        };
        // Texts and numbers can always be written.
        serde_json::to_vec_pretty(&written).unwrap_or_default()
    }

    /// Puts the keys of the certificate into use: a renewal is written down first and its keys are promoted then, and the power may have
    /// gone in between. Does nothing where they are in use.
    ///
    /// # Errors
    /// [`MembershipError::OtherKeys`] if the store holds no such keys.
    pub fn settle(&self, keys: &dyn KeyStore) -> Result<(), MembershipError> {
        settle_key(keys, Role::Tls, &self.tls_key)?;
        self.message_key.as_ref().map_or(Ok(()), |key| settle_key(keys, Role::Message, key))
    }
}

fn settle_key(keys: &dyn KeyStore, role: Role, key: &[u8]) -> Result<(), MembershipError> {
    if keys.public(role, Generation::Current)?.as_slice() == key {
        return Ok(());
    }
    match keys.public(role, Generation::Next) {
        Ok(next) if next.as_slice() == key => Ok(keys.promote(role)?),
        Ok(_) | Err(KeyError::Missing { .. }) => Err(MembershipError::OtherKeys),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        Membership {
            device: DeviceId::parse("pump-1").unwrap(),
            installation: InstallationId::parse("k7m2q9xw4hp3a8cd").unwrap(),
            hosts: vec![Host { name: "gate".into(), port: 8883 }],
            certificate: "c".into(),
            server_root: "r".into(),
            expires: 2,
            renew_from: 1,
            installation_key: None,
            key_set: Some(vec![1, 2]),
            tls_key: vec![4; 65],
            message_key: Some(vec![5; 65]),
            vouched: true,
        }
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Membership::load(folder.path()), Err(MembershipError::None(_))));
        membership().save(folder.path()).unwrap();
        assert_eq!(Membership::load(folder.path()).unwrap(), membership());
    }

    #[test]
    fn a_damaged_file_is_named_and_what_to_do() {
        let whole = String::from_utf8(membership().write()).unwrap();
        for (old, new) in [("\"schema\": 1", "\"schema\": 2"), ("pump-1", "-"), ("AQI=", "!"), ("}", "")] {
            assert!(Membership::read(whole.replace(old, new).as_bytes()).is_err(), "{old}");
        }
    }
}
