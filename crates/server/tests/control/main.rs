//! What operators ask for and what comes of it: stories on the stopped store and on a running broker.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on fails where it stands")]

mod authorities_of_listeners;
mod backups;
mod claim_codes;
mod documents;
mod presets;
mod running_broker;
mod server_certificates;
mod site;
mod stopped_store;
