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
mod arrival;
mod certificate;
mod changes;
mod channel;
mod connect;
mod data_plane;
mod door;
mod events;
mod handover;
mod hello;
mod inbox;
pub mod limits;
mod link;
mod listener;
mod login;
mod parting;
mod passwords;
mod remedy;
mod slowdown;
mod source;
mod stats;
mod timers;
mod tls;
mod worker;

pub use admission::Crowded;
pub use data_plane::{Applied, DataPlane, DataPlaneOptions, NotReported, StartError, State, Stopped};
pub use events::{HandshakeFailure, LoginCause, LoginFailure, Sink};
pub use limits::Limits;
pub use listener::{Bound, ClientAuth, ListenError, Listener, ListenerName, Security};
pub use remedy::HandshakeCause;
pub use stats::PlaneStats;
pub use tls::{TlsError, TlsMaterial};
