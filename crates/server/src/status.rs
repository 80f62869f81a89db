//! What `keyward status` and the first screen show.

use crate::control::ListenerRow;
use serde::{Deserialize, Serialize};

/// Holds how an installation is; the part that only a running broker knows is [`Status::running`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The directory.
    pub home: String,
    /// The version of the program that answers.
    pub version: String,
    /// The random id of the installation.
    pub installation: String,
    /// The listeners: open, or as configured if no broker runs.
    pub listeners: Vec<ListenerRow>,
    /// The names of the server certificate.
    pub names: Vec<String>,
    /// The path of the trust anchor.
    pub ca_pem: String,
    /// Its SHA-256, as hexadecimal pairs with colons.
    pub ca_fingerprint: String,
    /// How many devices are known (removed ones are not counted).
    pub devices: usize,
    /// How many of them are disabled or revoked.
    pub devices_shut_out: usize,
    /// How many of them are in quarantine.
    #[serde(default)]
    pub devices_quarantined: usize,
    /// How many users are known.
    pub users: usize,
    /// How many devices and users may log in on plain listeners.
    #[serde(default)]
    pub marked_plain: usize,
    /// Certificates of the installation and when they end.
    pub certificates: Vec<CertificateRow>,
    /// How many device certificates end within 30 days.
    pub device_certificates_ending: usize,
    /// Whether the clock is trusted, and if not why and what to do.
    pub clock: ClockState,
    /// The path of the folder with the root keys, as long as it lies here: move it to a safe place.
    pub offline_folder: Option<String>,
    /// What the operator should know or do, a line each.
    pub warnings: Vec<String>,
    /// What a running broker adds; `None` on a stopped store.
    pub running: Option<RunningStatus>,
}

/// Holds one certificate of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRow {
    /// Which: `server`, `server issuer`, `device issuer` …
    pub what: String,
    /// When it ends, milliseconds since 1970.
    pub expires_unix_ms: u64,
}

/// Says whether certificates can be issued by the clock as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// The clock is plausible.
    Trusted,
    /// Nothing is issued until the clock is set or `keyward clock accept`.
    Doubted {
        /// Why, and what to do.
        why: String,
    },
}

/// Holds what only a running broker knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningStatus {
    /// The process id.
    pub pid: u32,
    /// Seconds since the start.
    pub uptime_secs: u64,
    /// Shards that were too busy to say what they hold: the five figures that follow leave them out.
    pub silent_shards: u64,
    /// Connected clients.
    pub links: u64,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Subscriptions of all sessions.
    pub subscriptions: u64,
    /// Retained messages.
    pub retained: u64,
    /// Messages that wait for their receivers.
    pub queued: u64,
    /// Bytes that clients make the broker hold, as counted against `memory_total`.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Whether what is acknowledged is on disk.
    #[serde(default)]
    pub storage: StorageState,
    /// Connections turned away or closed to make room since the start.
    #[serde(default)]
    pub turned_away: u64,
    /// Addresses that are banned now.
    #[serde(default)]
    pub banned: usize,
    /// Refused actions within the last hour.
    pub denials_last_hour: u64,
    /// Failed logins within the last hour.
    pub login_failures_last_hour: u64,
    /// Failed handshakes within the last hour.
    pub handshake_failures_last_hour: u64,
    /// Reports that were lost because they came faster than they could be kept.
    pub lost_reports: u64,
    /// What was dropped or not delivered, and why, counted.
    pub notices: Vec<NoticeRow>,
    /// The generation of the rules in force.
    pub policy_generation: u64,
    /// The revision of the registry in force.
    pub registry_revision: u64,
}

/// Says whether what a running broker acknowledges is on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageState {
    /// It is.
    #[default]
    Open,
    /// There is no room for more.
    Full,
    /// The store failed.
    Broken,
    /// There is no store: it ends with the process.
    Memory,
}

impl StorageState {
    /// Says what the operator should know or do; nothing if all is well.
    pub fn warning(self) -> Option<&'static str> {
        match self {
            Self::Open => None,
            Self::Full => Some(
                "the disk is full up to store.reserve: nothing more is stored, and what would have to be is refused; free some space",
            ),
            Self::Broken => Some(
                "the message store failed: nothing more is acknowledged that has to be stored; see the log, then restart",
            ),
            Self::Memory => Some("store.durability is \"memory\": sessions and messages end with the broker"),
        }
    }
}

/// Holds one counted fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeRow {
    /// What happened.
    pub what: String,
    /// How often since the start.
    pub count: u64,
}
