//! Plans what becomes of another broker's users, rules, listeners and certificates. That other broker is Mosquitto.
//!
//! How to use it: [`Plan::of`] reads a configuration with all that it names. A plan whose [`Plan::refusals`] are empty can be put
//! into effect.
//!
//! What is not here: reading the formats (`keyward-mosquitto`), talking to a broker, and what an operator is shown (the command
//! `keyward import`).

mod plan;

pub use keyward_mosquitto::{Fate, Version};
pub use plan::{NewUser, OldAuthority, OldServer, Plan, Wishes};
