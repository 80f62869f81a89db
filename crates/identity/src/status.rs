//! What `status` shows of an installation.

use crate::{
    clock::{ClockVerdict, WallTime},
    names::ServerNames,
    registry::Counts,
};
use keyward_ids::{CertSerial, InstallationId};

/// Holds what there is to tell about an installation at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The installation's id.
    pub installation: InstallationId,
    /// When it was made.
    pub created: WallTime,
    /// The number of the last ledger record.
    pub revision: u64,
    /// Whether the root keys still lie in `DIR/offline/`: tell the operator to move them to a safe place.
    pub offline_keys_present: bool,
    /// Whether the other keys are encrypted under a passphrase.
    pub keys_sealed: bool,
    /// The SHA-256 fingerprint of `ca.pem`, as `AB:CD:…`.
    pub ca_fingerprint: String,
    /// The authorities' certificates and the server's.
    pub certificates: Vec<CertificateStatus>,
    /// The names and addresses of the server.
    pub server_names: ServerNames,
    /// Whether the server's certificate is to be renewed now.
    pub server_renewal_due: bool,
    /// The devices, counted.
    pub devices: Counts,
    /// The users, counted.
    pub users: Counts,
    /// Whether certificates may be dated by the clock.
    pub clock: ClockVerdict,
    /// What was mended when the store was opened, in sentences for the operator.
    pub mended: Vec<String>,
}

/// Begins the role of a server certificate that others made; its name follows.
pub const IMPORTED_ROLE: &str = "imported server certificate ";

/// Holds what there is to tell about one certificate of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateStatus {
    /// What it is for: `server root`, `server issuing`, `server`, `device root`, `device issuing`, or
    /// [`IMPORTED_ROLE`] and a name.
    pub role: String,
    /// Its serial number.
    pub serial: CertSerial,
    /// When it begins to be valid.
    pub not_before: WallTime,
    /// When it ends to be valid.
    pub not_after: WallTime,
}
