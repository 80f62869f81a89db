//! A world in which every change to the broker proves itself: shards, clients, links with faults, an engine, an
//! operator and a clock, all drawn from one seed, and a reference model that says what must and must not happen.
//!
//! The broker in it is the real one, from bytes up: client bytes → `mqtt::ServerConnection` → `broker::Shard`, run as
//! the server's workers run it. One seed has one trace.
//!
//! What is not here: sockets, TLS and passwords (`server`'s tests), disks (the store's).

mod broker;
mod client;
pub mod crowd;
pub mod dice;
pub mod event;
pub mod fleet;
mod log;
pub mod model;
mod operator;
pub mod packet;
mod pump_and_reader;
mod quarantined;
pub mod races;
pub mod records;
pub mod rules;
pub mod run;
pub mod setup;
mod signed;
mod signing;
mod wire;
mod words;
pub mod world;
