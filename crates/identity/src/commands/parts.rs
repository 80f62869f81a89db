//! What stands in commands.

use crate::{
    account::{Chip, Exposure},
    agreement_key::AgreementKey,
    endorsement::TpmProof,
    message_key::MessageKey,
    password::{ImportedHash, PasswordRecord},
    place::Place,
    secret::Secret,
    wire,
};
use keyward_ids::{CertSerial, DeviceId, Identity, KeyId, SiteId, TypeId, UserId};
use serde::{Deserialize, Serialize};

/// Says how old keys of groups may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupAges {
    /// After how many seconds a group gets a new key.
    pub rotate_secs: u64,
    /// For how many seconds a key is kept that another one followed; at most [`crate::limits::GROUP_EPOCH_SECONDS`].
    pub keep_secs: u64,
}

/// Describes a device to add.
#[derive(Clone, Serialize, Deserialize)]
pub struct AddDevice {
    /// Its id.
    #[serde(with = "wire::text")]
    pub id: DeviceId,
    /// Its type.
    #[serde(with = "wire::optional_text", default)]
    pub device_type: Option<TypeId>,
    /// Where it stands.
    #[serde(with = "wire::optional_text", default)]
    pub site: Option<SiteId>,
    /// Who can lay hands on it.
    #[serde(default)]
    pub exposure: Option<Exposure>,
    /// What it depends on there.
    #[serde(default)]
    pub place: Place,
    /// Which chip it is, if it is one that cannot protect its key.
    pub chip: Option<Chip>,
    /// Whether a machine chose the id.
    #[serde(default)]
    pub machine_chosen: bool,
    /// Whether it may log in where passwords can be read on the network, and with its password nowhere else.
    #[serde(default)]
    pub plain: bool,
    /// A note of at most [`crate::limits::NOTE_BYTES`] bytes.
    #[serde(default)]
    pub note: String,
    /// Its first credential.
    pub credential: NewCredential,
}

impl AddDevice {
    /// Describes a device of which no more is said than how it proves itself.
    pub fn new(id: DeviceId, credential: NewCredential) -> Self {
        Self {
            id,
            device_type: None,
            site: None,
            exposure: None,
            place: Place::default(),
            chip: None,
            machine_chosen: false,
            plain: false,
            note: String::new(),
            credential,
        }
    }
}

/// Describes a user to add.
#[derive(Clone, Serialize, Deserialize)]
pub struct AddUser {
    /// The user's name.
    #[serde(with = "wire::text")]
    pub id: UserId,
    /// Whether it may log in where passwords can be read on the network, and with its password nowhere else.
    #[serde(default)]
    pub plain: bool,
    /// A note of at most [`crate::limits::NOTE_BYTES`] bytes.
    #[serde(default)]
    pub note: String,
    /// The first credential.
    pub credential: NewCredential,
}

/// Says which credential a new identity gets.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewCredential {
    /// A certificate.
    Certificate {
        /// For which key.
        key: KeySource,
        /// How long it is valid, in days; the default of devices if absent.
        lifetime_days: Option<u32>,
    },
    /// A password.
    Password(NewPassword),
    /// A claim code, by which a device fetches its certificate itself.
    ClaimCode {
        /// For how many seconds the code may be used.
        seconds: u64,
        /// The one TPM that gets something for it, by the fingerprint of its endorsement key; any device if absent.
        #[serde(with = "wire::optional_text", default)]
        endorsement: Option<KeyId>,
    },
    /// None: it logs in where a listener names it as the one that clients without a login become.
    None,
}

/// Says where a message key comes from that takes the place of all others of its device.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewMessageKey {
    /// It is known.
    Key(MessageKey),
    /// The device brings it with a claim code, and gets a certificate in the place of those that it has.
    ClaimCode {
        /// For how many seconds the code may be used.
        seconds: u64,
    },
}

/// Says where the key of a certificate comes from.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySource {
    /// Keyward makes a P-256 key and hands it out once.
    Generate,
    /// A signing request (PKCS #10, PEM or DER) holds the public key.
    Csr(#[serde(with = "wire::base64")] Vec<u8>),
}

/// Says where a password comes from.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewPassword {
    /// Keyward draws 128 random bits and shows them once.
    Generate,
    /// A person chose it.
    Chosen(Secret),
    /// It is known by the hash that another broker kept.
    Imported(ImportedHash),
    /// So it is, and may have been read on a network there.
    Exposed(ImportedHash),
}

/// Asks for the certificate that a claim code is good for.
#[derive(Clone, Serialize, Deserialize)]
pub struct Claim {
    /// Which device.
    #[serde(with = "wire::text")]
    pub id: DeviceId,
    /// The code.
    pub code: Secret,
    /// The signing request (PKCS #10, PEM or DER) with the public key.
    #[serde(with = "wire::base64")]
    pub csr: Vec<u8>,
    /// The key by which its messages are to be verified.
    #[serde(default)]
    pub message_key: Option<MessageKey>,
    /// That a TPM vouched for it and for the key of the signing request.
    #[serde(default)]
    pub proof: Option<TpmProof>,
    /// The key to which messages and keys of groups are to be encrypted for it.
    #[serde(default)]
    pub agreement_key: Option<AgreementKey>,
    /// How long the certificate is valid, in days; the default of devices if absent.
    pub lifetime_days: Option<u32>,
}

/// Asks for a certificate in the place of one. The caller has seen that who asks holds the key of that one.
#[derive(Clone, Serialize, Deserialize)]
pub struct Renewal {
    /// Whose it is.
    #[serde(with = "wire::text")]
    pub identity: Identity,
    /// The serial number of the one that it has.
    #[serde(with = "wire::text")]
    pub serial: CertSerial,
    /// The signing request (PKCS #10, PEM or DER) with the public key.
    #[serde(with = "wire::base64")]
    pub csr: Vec<u8>,
    /// The key by which its messages are to be verified from the first use of the new one on, and from now on beside the one before.
    #[serde(default)]
    pub message_key: Option<MessageKey>,
    /// The key to which is to be encrypted for it from the first use of the new one on.
    #[serde(default)]
    pub agreement_key: Option<AgreementKey>,
    /// As of [`Command::Succeed`](super::Command::Succeed): to renew by a certificate is to use it.
    #[serde(default)]
    pub overlap_secs: u64,
    /// How long the new one is valid, in days; the default of devices if absent.
    pub lifetime_days: Option<u32>,
}

impl Renewal {
    /// Asks for a certificate and nothing more.
    pub fn new(identity: Identity, serial: CertSerial, csr: Vec<u8>) -> Self {
        let (message_key, agreement_key, lifetime_days) = (None, None, None);
        Self { identity, serial, csr, message_key, agreement_key, overlap_secs: 0, lifetime_days }
    }
}

/// Is a new hash of an imported password.
#[derive(Clone, Serialize, Deserialize)]
pub struct Rehash {
    /// Whose password it is.
    #[serde(with = "wire::text")]
    pub identity: Identity,
    /// The record by which it was found right.
    pub before: PasswordRecord,
    /// What [`PasswordRecord::rehash`] made of it.
    pub after: PasswordRecord,
}
