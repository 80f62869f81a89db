//! The control socket: one JSON line for a question, one for the answer.
//!
//! `{"schema":1,"request":…}` is answered by `{"schema":1,"response":…}` or `{"schema":1,"refused":…}`. The socket
//! lies in the home, is closed to other users, and its peers are checked by their credentials. What is too long for a line
//! (a backup) follows an answer in pieces, and a second answer says how it went.
//! What is not here: carrying requests out ([`crate::admin`]).

mod accounts;
mod certificates;
pub(crate) mod client;
mod exposure;
mod groups;
mod incidents;
mod invitations;
mod keys;
pub mod limits;
pub(crate) mod line;
mod places;
mod request;
mod response;
mod sealing;
mod secret;
pub(crate) mod socket;
mod stream;

pub use accounts::{
    Chip, CredentialRow, DeviceAdd, DeviceAdded, DeviceDetail, DeviceRevoke, DeviceRow, Exposure,
    LastLoginRow, NewCredential, NewPassword, PresetChoice, PresetGive, QuarantineRow, Reach, Standing,
    UserAdd, UserAdded, UserRow,
};
pub use certificates::{
    AuthorityBind, AuthorityTrust, BoundRow, Proves, ServerCertificateImport, ServerCertificateRow,
    ServerNames, TrustedAuthorityRow,
};
pub use client::{CallError, Client, Stream};
pub use exposure::{ContactRow, ExposureReport, GroupReachRow, HeldKeyRow, ReachRow};
pub use groups::{EpochRow, GroupDetail, GroupKeyAnswer, GroupRow, MemberRow};
pub use incidents::{
    Explained, IncidentDetail, IncidentMessage, IncidentNote, IncidentRow, IncidentStep, IncidentVerdict,
    Known, NotifyTestRow,
};
pub use invitations::{DeviceInvite, DeviceInvited, InvitationRow, InvitationState};
pub use keys::{DeviceRekey, KeysAdd, MessageKeyRow, MessageKeyState, Purpose, TpmRow};
pub use places::{MaintenanceRow, MovedRow, PlaceChange, PlaceField, PlaceRow, Power, Said, SaidBy};
pub use request::{ExplainAction, ListenerAdd, PolicyExplain, Request};
pub use response::{
    AuditRow, BackupBegun, BanRow, Changed, Health, ListenerRow, PolicyChecked, PolicyExplained, Refusal,
    RefusalCode, Reloaded, Response, StoreRevoked,
};
pub use sealing::{Addressee, KeySetRow, SealCommand, Sealed, ServerKeyRow, ServerKeyRows, ServerKeyState};
pub use secret::{Der, Secret};
pub use socket::{ControlSocket, Handler, Reply, Streaming};
pub use stream::Pieces;

/// The schema number of requests and answers; it grows when a field changes its meaning.
pub const SCHEMA: u32 = 1;
