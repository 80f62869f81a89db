//! The protocol as its clauses say: wire vectors, tables of the standard, random packets and streams, and stories of
//! the two ends of a link.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its vocabulary too")]

mod aliases;
mod authentication;
mod clauses_of_the_standard;
mod client;
mod client_aliases;
mod codec_tables;
mod forward;
mod packets;
mod pair;
mod properties_hold;
mod server;
mod values;
mod vectors;
