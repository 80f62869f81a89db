//! What an operator is answered.

use super::{
    accounts::{DeviceAdded, DeviceDetail, DeviceRow, UserAdded, UserRow},
    certificates::{ServerCertificateRow, ServerNames, TrustedAuthorityRow},
    groups::{GroupDetail, GroupKeyAnswer, GroupRow},
    invitations::DeviceInvited,
    keys::MessageKeyRow,
    sealing::{Sealed, ServerKeyRows},
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
    /// The device has a claim code.
    DeviceInvited(Box<DeviceInvited>),
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
    /// Message keys, by device, oldest first.
    MessageKeys(Vec<MessageKeyRow>),
    /// The keys of the server that devices believe.
    ServerKeys(Box<ServerKeyRows>),
    /// A signed command.
    Sealed(Box<Sealed>),
    /// The groups, by name.
    Groups(Vec<GroupRow>),
    /// One group.
    Group(Box<GroupDetail>),
    /// The key of a group.
    GroupKey(Box<GroupKeyAnswer>),
    /// The imported certificates of this server.
    ServerCertificates(Vec<ServerCertificateRow>),
    /// The names of the server certificate now.
    ServerNames(ServerNames),
    /// What the watch knows of a device.
    Explained(super::Explained),
    /// Incidents, the newest last.
    Incidents(Vec<super::IncidentRow>),
    /// One incident.
    Incident(Box<super::IncidentDetail>),
    /// What a thief has who holds a device.
    Exposure(Box<super::ExposureReport>),
    /// Where somebody works, by what is worked on.
    Maintenance(Vec<super::MaintenanceRow>),
    /// What became of the test of each place that is told of incidents.
    NotifyTested(Vec<super::NotifyTestRow>),
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

/// Says that a change is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// What was changed, a sentence.
    pub what: String,
    /// How many live links were closed; `None` on a stopped store, and where [`pending`](Self::pending).
    pub closed_links: Option<usize>,
    /// Milliseconds from the request to the last closed link and to all doors and shards having reported; `None` on a
    /// stopped store, where [`pending`](Self::pending), and if nothing had to change.
    pub in_force_ms: Option<u64>,
    /// Whether the change is on disk, and not every door and shard has reported in time that it is in force: links that
    /// it should have closed may be open. A note says so too.
    #[serde(default)]
    pub pending: bool,
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
    /// The authorities of others whose certificates count there; `None`: all that are trusted.
    #[serde(default)]
    pub trusted: Option<Vec<String>>,
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
    /// Whether not every shard has reported in time that the rules are in force; [`changes`](Self::changes) says so too.
    #[serde(default)]
    pub pending: bool,
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
