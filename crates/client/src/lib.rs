//! An MQTT client that drives the sans-IO connection over TCP and TLS.
//!
//! Blocking, one thread, every wait with a deadline. A [`Client`] is one link: it does not reconnect by itself, and
//! when it is dropped without [`Client::disconnect`] the broker publishes its will.
//!
//! ```no_run
//! use keyward_client::{Client, ClientOptions, Publication};
//! # fn main() -> Result<(), keyward_client::ClientError> {
//! let mut client = Client::connect(&ClientOptions::new("localhost", 1883))?;
//! client.publish(&Publication::new("dev01/status", b"21.5"))?;
//! client.disconnect()
//! # }
//! ```
//!
//! What is not here: packets and the state of a session (`mqtt`), and where keys come from (`keyward`).

mod address;
mod client;
mod clock;
#[cfg(feature = "decoders")]
pub mod decoders;
mod error;
mod heard;
mod limits;
mod message;
mod options;
mod pin;
pub mod resolver;
mod tls;
mod transport;
mod wire;

pub use address::{Address, AddressError};
pub use client::Client;
pub use error::ClientError;
pub use heard::{Event, Greeting};
pub use message::{Message, Publication};
pub use options::{ClientOptions, Login, TlsIdentity, TlsKey, TlsOptions, Will};
