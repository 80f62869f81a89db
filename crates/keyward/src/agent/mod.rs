//! The agent: the device's side as a program. Commands that use it are in `commands/agent.rs`.

pub(crate) mod answers;
pub(crate) mod config;
pub(crate) mod intake;
pub(crate) mod orders;
pub(crate) mod polled;
pub(crate) mod program;
pub(crate) mod run;
pub(crate) mod socket;
pub(crate) mod watched;
