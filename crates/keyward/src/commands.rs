//! What each command does, one module a command. Arguments are in `args`; what several commands need is beside this
//! folder (`reach`, `screen`, `bundle`, `secret`).

pub(crate) mod agent;
pub(crate) mod audit;
pub(crate) mod authority;
pub(crate) mod bans;
pub(crate) mod completions;
mod confirming;
pub(crate) mod denials;
pub(crate) mod device;
pub(crate) mod doctor;
mod exposure;
mod first_screen;
pub(crate) mod groups;
pub(crate) mod healthcheck;
pub(crate) mod import;
pub(crate) mod incident;
mod invitation;
pub(crate) mod keys;
pub(crate) mod listener;
pub(crate) mod man;
pub(crate) mod notify;
pub(crate) mod open;
pub(crate) mod places;
pub(crate) mod policy;
pub(crate) mod preset;
pub(crate) mod publish;
pub(crate) mod reload;
pub(crate) mod seal;
pub(crate) mod server_certificate;
pub(crate) mod server_name;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod subscribe;
mod target;
pub(crate) mod up;
pub(crate) mod user;
pub(crate) mod watch;
