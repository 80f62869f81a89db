//! The data plane against real sockets: who gets in, what a bad peer costs, what a change closes.

mod bad_input;
mod changes;
mod floods;
mod handshakes;
mod links;
mod logins;
mod peer;
mod resumption;
mod world;
