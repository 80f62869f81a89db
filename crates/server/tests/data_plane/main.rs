//! The data plane against real sockets: who gets in, what a bad peer costs, what a change closes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "these tests wait for real sockets, with deadlines")]

mod authentication;
mod bad_input;
mod bounds;
mod changes;
mod counts;
mod enrolment;
mod enrolment_abuse;
mod floods;
mod fragments;
mod frames;
mod handshakes;
mod links;
mod logins;
mod peer;
mod quarantine;
mod resumption;
mod signed_messages;
mod topic_aliases;
mod trusted_authorities;
mod unix_sockets;
mod ways_in;
mod websocket;
mod world;
