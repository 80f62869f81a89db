//! What an operator is answered.

use super::{
    request::{Chip, Exposure},
    secret::Secret,
};
use crate::{check::CheckReport, denials, doctor::Diagnosis, status::Status};
use serde::{Deserialize, Serialize};

/// Holds the answer to one request. Times are milliseconds since 1970 (`_unix_ms`).
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Response {
    /// How the broker is.
    Status(Box<Status>),
    /// Who does not answer.
    Health(Health),
    /// What is weak.
    Diagnosis(Box<Diagnosis>),
    /// The device is known and what it needs was issued.
    DeviceAdded(Box<DeviceAdded>),
    /// The devices, by id.
    Devices(Vec<DeviceRow>),
    /// One device.
    Device(Box<DeviceDetail>),
    /// The user is known, or has another password.
    UserAdded(Box<UserAdded>),
    /// The users, by name.
    Users(Vec<UserRow>),
    /// The change is durable and, if a broker runs, in force.
    Changed(Changed),
    /// What the rule files hold.
    PolicyChecked(PolicyChecked),
    /// What would be decided, and why.
    PolicyExplained(PolicyExplained),
    /// What was refused.
    Denials(denials::Report),
    /// What was taken away.
    StoreRevoked(StoreRevoked),
    /// The authorities of others whose client certificates are accepted.
    TrustedAuthorities(Vec<TrustedAuthorityRow>),
    /// The imported certificates of this server.
    ServerCertificates(Vec<ServerCertificateRow>),
    /// The names of the server certificate now.
    ServerNames(ServerNames),
    /// The addresses that are banned.
    Bans(Vec<BanRow>),
    /// The listeners now.
    Listeners(Vec<ListenerRow>),
    /// What a reload changed.
    Reloaded(Reloaded),
    /// The newest changes of the ledger, oldest first.
    Audit(Vec<AuditRow>),
    /// A backup begins: its stream follows.
    StoreBackupBegun(BackupBegun),
    /// A backup's stream is whole.
    StoreBackupDone,
    /// A check begins: its stream follows.
    StoreCheckBegun,
    /// All was read.
    StoreChecked(Box<CheckReport>),
}

/// Says whether a running broker does its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether everybody answers.
    pub healthy: bool,
    /// The threads that do not answer.
    pub silent: Vec<String>,
    /// How many seconds the disk has been waited for, if that is long.
    pub disk_waits_secs: Option<u64>,
}

/// Says what the stream of a backup is: the bytes of the ledger; then, if there are messages, chunks of rows, each behind its
/// length (`u64`, big-endian).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupBegun {
    /// Whose it is.
    pub installation: String,
    /// How many records the ledger has.
    pub ledger_records: u64,
    /// How many bytes the ledger has.
    pub ledger_bytes: u64,
    /// Whether rows follow.
    pub messages: bool,
}

/// Says why a request was not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct Refusal {
    /// What kind of refusal it is, for programs.
    pub code: RefusalCode,
    /// What is wrong, where, and what to do; may have several lines.
    pub what: String,
}

/// Classes refusals for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalCode {
    /// A value cannot be what it should be.
    Invalid,
    /// What is named does not exist.
    NotFound,
    /// What is asked for exists already, or collides with something.
    Conflict,
    /// The state forbids it: the clock is in doubt, an issuing key is closed, a device was revoked.
    Forbidden,
    /// A file is bad: configuration or rules.
    BadFile,
    /// The broker must run, or must not run, for this.
    WrongMoment,
    /// A disk, socket or program fault.
    Failed,
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
    /// Where to connect.
    pub reach: Reach,
    /// The filters below which it may publish and subscribe by default.
    pub topics: Vec<String>,
    /// What to know, a line each.
    pub notes: Vec<String>,
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
    /// Its credentials, oldest first.
    pub credentials: Vec<CredentialRow>,
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
    /// The generated password, shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Where to connect.
    pub reach: Reach,
    /// What to know, a line each: that no rule names this user yet, links closed by a new password.
    pub notes: Vec<String>,
}

/// Holds one imported certificate of this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCertificateRow {
    /// Its name here.
    pub name: String,
    /// Its subject.
    pub subject: String,
    /// When it ends.
    pub expires_unix_ms: u64,
    /// Whether its key can be read.
    pub usable: bool,
    /// The listeners that show it.
    pub listeners: Vec<String>,
}

/// Holds what is to be known of an authority of others whose client certificates are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedAuthorityRow {
    /// Its name here.
    pub name: String,
    /// What its certificates prove.
    pub proves: super::Proves,
    /// The subjects of its certificates.
    pub subjects: Vec<String>,
    /// When the first of them ends.
    pub expires_unix_ms: u64,
    /// How many certificates its lists revoke; `None` without a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<usize>,
    /// When the first of its lists should be replaced by a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_list_unix_ms: Option<u64>,
    /// Whether it is used: not after a restore, until it is confirmed.
    pub confirmed: bool,
    /// Where its certificates count as the one that is demanded beside the password, though they prove nobody: listeners
    /// that demand both. Not for who holds a certificate or a bound name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knocks_at: Vec<String>,
    /// The common names that stand for identities, by name.
    pub bound: Vec<BoundRow>,
}

/// Holds one common name that stands for an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundRow {
    /// The common name.
    pub common_name: String,
    /// `device:ID` or `user:NAME`.
    pub identity: String,
    /// The one public key that is accepted, hexadecimal; `None` for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
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
}

/// Says that a change is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// What was changed, a sentence.
    pub what: String,
    /// How many live links were closed; `None` on a stopped store.
    pub closed_links: Option<usize>,
    /// Milliseconds from the request to the last closed link and to all shards having reported; `None` on a
    /// stopped store.
    pub in_force_ms: Option<u64>,
    /// What to know, a line each.
    pub notes: Vec<String>,
}

/// Holds what `policy check` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChecked {
    /// The files that were read, by name.
    pub files: Vec<String>,
    /// How many rules they hold.
    pub rules: usize,
    /// What is odd: rules that apply to nobody, or not to somebody, with the reason.
    pub findings: Vec<String>,
}

/// Holds what `policy explain` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyExplained {
    /// Whether it is allowed; for a filter, whether the subscription is granted.
    pub allowed: bool,
    /// The rule that decides, `policy.d/app.toml:12`; `None` if no rule matches.
    pub rule: Option<String>,
    /// For a filter: which part would arrive.
    pub arrives: Vec<String>,
    /// The rule that would allow it, to paste; empty if it is allowed.
    pub would_allow: Option<String>,
    /// The explanation for people.
    pub text: String,
}

/// Holds the names of the server certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerNames {
    /// The names and addresses.
    pub names: Vec<String>,
    /// Whether the certificate was issued again for this request.
    pub reissued: bool,
    /// When the certificate ends.
    pub expires_unix_ms: u64,
    /// How many bytes the Certificate message of TLS takes.
    #[serde(default)]
    pub certificate_message_bytes: usize,
    /// How many it may take, so that small devices can read it.
    #[serde(default)]
    pub certificate_message_bytes_max: usize,
}

/// Holds one address whose clients are refused for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRow {
    /// The address; of an IPv6 network (a /64) the first.
    pub address: String,
    /// How long the ban holds still.
    pub left_secs: u64,
    /// How many connections it refused.
    pub refused: u64,
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

/// Holds one listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerRow {
    /// Its name.
    pub name: String,
    /// What it is bound to, or will be at the next start: addresses, or the path of a Unix socket.
    pub addresses: Vec<String>,
    /// The port; the bound one while a broker runs; none of a Unix socket.
    pub port: Option<u16>,
    /// `mqtt` or `websocket`.
    #[serde(default)]
    pub protocol: String,
    /// `tls`, `plain` or `socket`.
    pub transport: String,
    /// What a client must show.
    pub demands: String,
    /// The networks whose clients may connect; empty: all.
    #[serde(default)]
    pub from: Vec<String>,
    /// The user that a client becomes which shows nothing.
    #[serde(default)]
    pub anonymous_as: Option<String>,
    /// The origins whose pages may connect over WebSocket; `None` if nothing is said of them.
    #[serde(default)]
    pub origins: Option<Vec<String>>,
    /// Whether it is open now.
    pub open: bool,
    /// What to know or do about it.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Holds what a reload changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What was changed, a line each; empty if nothing differed.
    pub changes: Vec<String>,
    /// What can change at the next start only, a line each.
    pub needs_restart: Vec<String>,
    /// Milliseconds until all shards had reported; `None` on a stopped store.
    pub in_force_ms: Option<u64>,
}

/// Holds the list of what was taken away, for `keyward store restore --revoked`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRevoked {
    /// The text to keep, with its line ends.
    pub list: String,
}

/// Holds one change of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its place in the ledger.
    pub sequence: u64,
    /// When.
    pub at_unix_ms: u64,
    /// Who asked for it.
    pub actor: String,
    /// What.
    pub what: String,
}
