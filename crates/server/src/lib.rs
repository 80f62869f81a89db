//! The IO shell: door, workers, control socket, wiring.
//!
//! [`running::run`] starts a broker: it opens the store of a [`home`], starts the [`plane`] that clients talk to, and
//! answers operators ([`control`], [`admin`]). Everything that touches a socket, a clock, a signal or a file of an
//! installation is in this crate or in `identity`; what messages mean is in `broker`, what rules mean in `policy`.

pub mod admin;
pub mod backup;
mod carrier;
pub mod check;
pub mod clock;
pub mod config;
pub mod container;
pub mod control;
#[cfg(feature = "decoders")]
pub mod decoders;
pub mod denials;
pub mod doctor;
pub mod enrolment;
pub mod escape;
mod facts;
mod grants;
pub mod home;
pub mod installation;
pub mod journal;
pub mod logging;
pub mod login;
pub mod names;
pub mod notify;
mod peer;
pub mod plane;
pub mod process;
pub mod quoting;
mod ratchet;
mod regular;
pub mod rules;
pub mod running;
mod salvage;
mod server_keys;
pub mod service;
mod signals;
mod socket_path;
pub mod status;
pub mod store;
mod sys;
pub mod upgrade;
pub mod watch;
mod whereabouts;
pub mod wiring;
