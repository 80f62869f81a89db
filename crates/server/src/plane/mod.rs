//! The data plane: everything between a client's socket and its shard.
//!
//! ```text
//! socket → door: accept, TLS, CONNECT, login → hand-over → worker: decode → shard → outbox → TLS → socket
//! ```
//!
//! How to use it: [`DataPlane::start`] with a policy, a directory, a registry and listeners; then hand it every change
//! ([`DataPlane::set_policy`], [`DataPlane::set_directory`], [`DataPlane::set_tls`]). Each returns when the change is
//! in force everywhere. What happens is told to the [`Sink`].
//!
//! What is not here: files and the control socket (the rest of this crate), what a rule says (`policy`), what a
//! session holds (`broker`), what an identity is (`identity`).

mod admission;
mod authentication;
mod bans;
mod changes;
mod committer;
mod data_plane;
mod door;
mod enrolment;
mod entrance;
mod events;
mod handover;
mod hearing;
mod inbox;
mod last_logins;
pub mod limits;
mod listener;
pub(crate) mod pace;
mod pages;
mod parting;
mod pending;
mod proofs;
mod pulse;
mod ratchets;
mod restart;
mod signatures;
mod socket_file;
mod source;
mod start;
mod stats;
mod stream;
mod timers;
pub(crate) mod tls;
mod transport;
mod vigil;
pub(crate) mod websocket;
mod worker;

pub use admission::Crowded;
pub use authentication::{Exchange, Method, Verdict};
pub use bans::Ban;
pub use data_plane::{Applied, DataPlane, NotReported, Stopped};
pub use enrolment::{ANSWER_TOPIC, Answer, Application, ApplicationQueue, Applications, REQUEST_TOPIC, Wish};
pub use entrance::{Demand, Entrance, Evidence, TypeRules};
pub use events::{HandshakeFailure, LimitHit, LogLine, LoggedIn, LoginCause, LoginFailure, Offender, Sink};
pub use hearing::{Ear, Heard, Leave, Mouth, Tick, What, hearing};
pub use last_logins::LastLogin;
pub use limits::Limits;
pub use listener::{Bound, Endpoint, ListenError, Listener, ListenerName, Protocol, Security};
pub use proofs::Proof;
pub use pulse::{Pulse, Vitals};
pub use ratchets::{Answered, RatchetDesk, RatchetQueue, Ruling};
pub use restart::RestartError;
pub use source::{Host, Peer};
pub use start::{DataPlaneOptions, StartError, State};
pub use stats::PlaneStats;
pub(crate) use tls::check_certificate;
pub use tls::remedy::HandshakeCause;
pub use tls::trusted::TrustedClients;
pub(crate) use tls::trusted::check as check_trusted;
pub use tls::{ListenerCertificate, TlsError, TlsMaterial};
pub use websocket::{FrameFault, Origins, UpgradeFault, WebSocketFault};
