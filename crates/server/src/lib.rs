//! The IO shell: door, workers, control socket, wiring.
pub mod admin;
pub mod clock;
pub mod config;
pub mod control;
pub mod denials;
pub mod escape;
pub mod home;
pub mod installation;
pub mod logging;
pub mod names;
pub mod plane;
pub mod process;
pub mod rules;
pub mod running;
mod signals;
pub mod status;
pub mod wiring;
