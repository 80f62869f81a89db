//! MQTT 3.1, 3.1.1 and 5.0 packets, topics, codec and connection state machines, without IO.
//!
//! The rule of use. A server makes one [`connection::ServerConnection`] a link, gives it the bytes that came and gets
//! packets that borrow from them; what it sends it writes with [`codec::encode`], or with
//! [`codec::encode_publish_head`] where one message goes to many. A client makes one
//! [`connection::ClientConnection`], which outlives its links and keeps their session. Both are told the time.
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
