//! What is asked of devices and users, and what is answered.

use super::{
    invitations::InvitationRow,
    keys::MessageKeyRow,
    places::{PlaceChange, PlaceRow},
    secret::{Der, Secret},
};
use serde::{Deserialize, Serialize};

/// Asks for a new device.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceAdd {
    /// The new id.
    pub id: String,
    /// Its type, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// Where it stands, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Who can lay hands on it; without it what the configuration says of its site or type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
    /// Which chip it is, if it is one that cannot protect its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip: Option<Chip>,
    /// What else is to be said of where it stands.
    #[serde(default)]
    pub place: PlaceChange,
    /// Whether it may log in on plain listeners, and with its password nowhere else.
    #[serde(default)]
    pub plain: bool,
    /// What it proves itself with.
    pub credential: NewCredential,
    /// Whether topics that others use already are accepted.
    #[serde(default)]
    pub allow_overlap: bool,
    /// The preset that it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<PresetChoice>,
}

impl DeviceAdd {
    /// Asks for a device of which no more is said than how it proves itself.
    pub fn new(id: &str, credential: NewCredential) -> Self {
        Self {
            id: id.to_owned(),
            device_type: None,
            site: None,
            exposure: None,
            chip: None,
            place: PlaceChange::default(),
            plain: false,
            credential,
            allow_overlap: false,
            preset: None,
        }
    }
}

/// Asks for a new user.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserAdd {
    /// The new name.
    pub name: String,
    /// Whether it may log in on plain listeners, and with its password nowhere else.
    #[serde(default)]
    pub plain: bool,
    /// What it proves itself with: a password, or for an application a certificate.
    pub credential: NewCredential,
    /// The preset that it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<PresetChoice>,
    /// Whether topics of the preset that others use already are accepted.
    #[serde(default)]
    pub allow_overlap: bool,
    /// Where it comes from, for people and for an import that looks for its own; at most 256 bytes, empty for nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl UserAdd {
    /// Asks for a user of whom no more is said than how it proves itself.
    pub fn new(name: &str, credential: NewCredential) -> Self {
        Self {
            name: name.to_owned(),
            plain: false,
            credential,
            preset: None,
            allow_overlap: false,
            note: String::new(),
        }
    }
}

/// Says what a new device proves itself with.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NewCredential {
    /// A certificate over the public key of this PKCS#10 request; nothing but the key is taken from it.
    Csr(Der),
    /// A password.
    Password(NewPassword),
    /// Nothing: for the user that clients without a login become.
    None,
}

/// Says where a password comes from.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NewPassword {
    /// Keyward draws 128 random bits and shows them once.
    Generated,
    /// A person chose it.
    Chosen(Secret),
    /// It is known by its hash alone, as it stands in a password file of Mosquitto behind the colon: `$6$…`, `$7$…` or
    /// `$argon2id$…`.
    Imported(Secret),
    /// So it is, and it may have been read on a network where it was used.
    Exposed(Secret),
}

/// Chooses a preset and says what it is filled in with, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresetChoice {
    /// Its name, such as `tasmota`.
    pub name: String,
    /// The topic; without it what the software comes with, or the name of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The MAC address of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// Asks for the rules of a preset for somebody who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresetGive {
    /// `device:ID` or `user:NAME`.
    pub identity: String,
    /// The preset.
    pub preset: PresetChoice,
    /// Whether topics of the preset that others use already are accepted.
    #[serde(default)]
    pub allow_overlap: bool,
}

/// Asks for the end of a device.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRevoke {
    /// The device.
    pub id: String,
    /// Whether what it published before is still delivered.
    #[serde(default)]
    pub keep_messages: bool,
    /// Whether its will is published.
    #[serde(default)]
    pub publish_will: bool,
}

/// Says who can lay hands on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// Anybody.
    Public,
    /// People who work there.
    Workplace,
    /// Nobody without a key to the room.
    Locked,
}

/// Names a chip out of which whoever holds the device reads the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chip {
    /// ESP8266.
    Esp8266,
    /// The ESP32 family.
    Esp32,
}

/// Holds what a new device needs.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeviceAdded {
    /// The device.
    pub device: DeviceRow,
    /// The installation that its certificate names.
    pub installation: String,
    /// Its certificate and the issuer, PEM, leaf first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// The generated password, shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The trust anchor that the device needs, PEM.
    pub ca_pem: String,
    /// The key that signs the server's key sets, a public key in PEM: what is pinned by whoever is to believe commands; none before the
    /// keys were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_key_pem: Option<String>,
    /// Where to connect.
    pub reach: Reach,
    /// The filters below which it may publish and subscribe by default.
    pub topics: Vec<String>,
    /// What to know, a line each.
    pub notes: Vec<String>,
}

/// Says that a user has a (new) password, or a certificate.
#[derive(Clone, Serialize, Deserialize)]
pub struct UserAdded {
    /// The user.
    pub user: UserRow,
    /// The installation that its certificate names.
    pub installation: String,
    /// Its certificate and the issuer, PEM, leaf first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// The trust anchor that the user needs, PEM.
    pub ca_pem: String,
    /// The key that signs the server's key sets, a public key in PEM: what is pinned by whoever is to believe commands; none before the
    /// keys were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_key_pem: Option<String>,
    /// The generated password, shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Where to connect.
    pub reach: Reach,
    /// What to know, a line each: that no rule names this user yet, links closed by a new password.
    pub notes: Vec<String>,
}

/// Says how to reach the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// A name or address that the server certificate names; others follow in `ServerNames`.
    pub host: String,
    /// An address of this machine, or `localhost`, for where `host` is a name that nobody resolves yet.
    pub otherwise: String,
    /// The TCP port of the first TLS listener.
    pub port: u16,
    /// Whether `host` is known inside of a container only, because nobody has named the broker.
    #[serde(default)]
    pub is_of_container: bool,
}

/// Holds one line of the device list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// The id.
    pub id: String,
    /// Its state.
    pub standing: Standing,
    /// It is disabled since the ledger was restored at this moment, because nobody confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed_since_unix_ms: Option<u64>,
    /// The quarantine that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<QuarantineRow>,
    /// Its type.
    pub device_type: Option<String>,
    /// Where it stands.
    pub site: Option<String>,
    /// Who can lay hands on it.
    pub exposure: Exposure,
    /// Which chip it is, if it is one that cannot protect its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip: Option<Chip>,
    /// Whether it may log in on plain listeners, and with its password nowhere else.
    #[serde(default)]
    pub plain: bool,
    /// When it was added.
    pub added_unix_ms: u64,
    /// How many credentials it can use now.
    pub credentials: usize,
    /// When its last usable certificate ends.
    pub expires_unix_ms: Option<u64>,
    /// Whether it is connected now; `None` on a stopped store.
    pub connected: Option<bool>,
    /// The preset that its rules come from, with `, edited` behind it if they were changed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// What is to be known of its password: that it was imported, that it is weak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_note: Option<String>,
}

/// Says since when a device is in quarantine, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRow {
    /// Since when.
    pub since_unix_ms: u64,
    /// `operator` or `broker`.
    pub by: String,
    /// Why.
    pub because: String,
}

/// Holds one line of the user list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// The name.
    pub name: String,
    /// Its state.
    pub standing: Standing,
    /// It is disabled since the ledger was restored at this moment, because nobody confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed_since_unix_ms: Option<u64>,
    /// Whether it may log in on plain listeners, and with its password nowhere else.
    #[serde(default)]
    pub plain: bool,
    /// When it was added.
    pub added_unix_ms: u64,
    /// Whether any rule gives it something.
    pub has_rights: bool,
    /// How many links it has now; `None` on a stopped store.
    pub links: Option<usize>,
    /// The preset that its rules come from, with `, edited` behind it if they were changed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// What is to be known of its password: that it was imported, that it is weak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_note: Option<String>,
    /// How many client ids are in use with its login, connected or with a session that waits; `None` on a stopped store.
    #[serde(default)]
    pub client_ids: Option<usize>,
    /// The note with which it was added; empty without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Says whether an identity may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It may.
    Active,
    /// Not until it is enabled.
    Disabled,
    /// Never again.
    Revoked,
    /// Removed; the id is a tombstone.
    Removed,
}

/// Holds all that is known of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceDetail {
    /// What the list shows.
    pub device: DeviceRow,
    /// Where it stands.
    pub place: PlaceRow,
    /// Its credentials, oldest first.
    pub credentials: Vec<CredentialRow>,
    /// The claim code that it was given last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<InvitationRow>,
    /// Its keys for messages, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub message_keys: Vec<MessageKeyRow>,
    /// What its type demands of a login, beside what the listener demands.
    #[serde(default)]
    pub type_demands: Option<String>,
    /// How it last logged in; `None` if that is not remembered.
    #[serde(default)]
    pub last_login: Option<LastLoginRow>,
    /// The rules that apply to it, and those that do not with the reason, a line each.
    pub rules: Vec<String>,
}

/// Holds one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRow {
    /// `certificate` or `password`.
    pub kind: String,
    /// The certificate's serial number, hexadecimal.
    pub serial: Option<String>,
    /// The SHA-256 of its public key, hexadecimal.
    pub key: Option<String>,
    /// When it ends.
    pub expires_unix_ms: Option<u64>,
    /// Whether it opens the door now.
    pub usable: bool,
    /// What is to be known of it: that a password was imported, that it is weak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Says how an identity last logged in since the broker started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastLoginRow {
    /// When.
    pub at_unix_ms: u64,
    /// What it showed.
    pub shown: String,
    /// At which listener.
    pub listener: String,
}
