//! MQTT 3.1.1 and 5.0 packets, topics, codec and connection state machines, without IO.
//!
//! What is not here: sessions, routing and permissions (`broker`, `policy`); sockets and clocks (`server`, `client`).

#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod codec;
pub mod connection;
pub mod frame;
pub mod limits;
pub mod lists;
pub mod packet;
pub mod property;
pub mod reason;
pub mod time;
pub mod topic;
