//! The device side of Keyward: what a gateway, a meter or a camera links to be a device of the fleet.
//!
//! A device holds its keys in a [`KeyStore`]. Where that keeps them, in a file or in hardware, decides what is left to
//! somebody who steals the device; [`Protection`] says it, and nothing here makes it sound better than it is.
//!
//! What is not here: how a message is signed (`envelope`), and how a packet is written (`mqtt`, `client`).

mod batch;
mod bytes;
mod cbor;
mod clock;
pub mod command;
#[cfg(feature = "decoders")]
pub mod decoders;
mod device;
mod disk;
pub mod enrol;
mod groups;
pub mod heartbeat;
mod keys;
pub mod limits;
pub mod line;
mod link;
mod log;
mod numbers;
mod outbox;
mod pen;
mod readers;
mod sealed;
mod shared;
mod state;
mod tamper;
#[cfg(test)]
mod testing;

pub use batch::{Batch, BatchRule, Batches, Put};
pub use device::{Device, DeviceSettings, DeviceStatus, Log, StartError, found};
pub use keys::{
    Counter, Endorsement, FileStore, Generation, KeyError, KeySpec, KeyStore, MessageSigner, Opener,
    Protection, Role, SealingSecret, SecretPlace, SystemRandom, TlsSigner, TokenSpec, TokenStore, TpmPlace,
    TpmStore, cose_key, signing_request,
};
pub use numbers::{SeenCommands, Sequencer};
pub use outbox::{Entry, Full, Outbox, Properties, Settings, Status, Waiting};
pub use pen::{Reading, ReportError};
pub use readers::{EncryptRule, Readers};
pub use sealed::SealedStore;
pub use state::StateError;
pub use tamper::OnTamper;
