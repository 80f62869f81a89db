//! Plans what becomes of another broker's users, rules, listeners and certificates, and puts it into effect. That other
//! broker is Mosquitto.
//!
//! How to use it: [`Plan::of`] reads a configuration with all that it names. [`Import::open`] takes hold of an installation,
//! [`Import::check`] adds to [`Plan::refusals`] what does not fit into it, and without refusals [`Import::carry_out`] writes all
//! of the plan or nothing. What was killed on the way is finished by the same import, or taken back by [`Import::undo`].
//!
//! What is not here: reading the formats (`keyward-mosquitto`), and what an operator is shown (the command `keyward import`).

mod error;
mod fingerprint;
mod import;
mod journal;
pub mod limits;
mod plan;

pub use error::{Failed, ImportError};
pub use import::{Import, TakenBack};
pub use journal::Journal;
pub use keyward_mosquitto::{Fate, Version};
pub use plan::{NewUser, OldAuthority, OldServer, Plan, Wishes};
