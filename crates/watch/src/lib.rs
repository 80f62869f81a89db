//! What a device in a public place can suffer, told from what it sends: detectors as state machines.
//!
//! How to use it. Feed a [`Watch`] with what happens, each [`Event`] with its time and in the order of time; take out the [`Finding`]s and hand them to [`incidents::Incidents`]; let
//! time pass when [`Watch::poll_timeout`] says so. [`sensors`] asks a [`readings::Stream`] for each sensor.
//!
//! | module | what |
//! |---|---|
//! | [`event`] | what is heard, as values |
//! | [`declared`] | what an owner knows of readings |
//! | [`finding`] | what a detector says, with its evidence |
//! | `fleet` | the devices, their places, and where somebody works on them |
//! | [`liveness`] | who is silent, and why |
//! | [`identity`] | whether a device is who it says it is, and alone |
//! | [`relocation`] | whether it is still where it was |
//! | [`ratchet`] | a secret that rolls with each connection, for devices that cannot keep one |
//! | [`incidents`] | what findings become for people: one number, a history, who is called |
//! | `neighbours` | sensors that say something else than those around them, and what the world around all of them does |
//! | [`readings`] | readings that lie |
//! | `knowledge` | what is known of one device, for who asks why |
//! | [`sensors`] | which sensors of the fleet lie |
//! | [`limits`] | bounds of what is remembered |
//!
//! Nothing here does IO, reads a clock, starts a task or draws a random number: the same events give the same findings.

mod agenda;
mod array;
pub mod declared;
mod earth;
pub mod event;
pub mod finding;
mod fleet;
pub mod identity;
pub mod incidents;
mod knowledge;
pub mod limits;
pub mod liveness;
mod neighbours;
pub mod ratchet;
pub mod readings;
pub mod relocation;
pub mod sensors;
mod watch;

pub use event::{Event, UnixMillis};
pub use finding::{Class, Finding};
pub use knowledge::Known;
pub use watch::Watch;
