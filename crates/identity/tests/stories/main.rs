//! Stories about one installation, told through the public interface.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a story's own vocabulary; a failed step ends it, and damage is done with plain writes"
)]

mod accounts;
mod certificates;
mod clock;
mod damage;
mod enrolment;
mod groups;
mod keys;
mod message_keys;
mod places;
mod quarantine;
mod renewal;
mod restore;
mod server_keys;
mod server_names;
mod store;
mod support;
mod tpm;
mod trust;
