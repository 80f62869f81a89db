//! The state machines of the two ends of a link. They are given bytes and time, and give packets, bytes and deadlines.
//!
//! What outlives a link on the server's side (subscriptions, queues, wills) is the broker's; the client's side keeps
//! its session here, for it has one.

mod client;
mod server;

pub use client::{ClientConnection, ClientError, ClientEvent, ClientStep, Discarded, Message};
pub use server::{Farewell, Refused, ServerConnection, Step};

pub use crate::limits::{ClientLimits, ConnectionLimits};
