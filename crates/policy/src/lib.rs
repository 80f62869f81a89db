//! Topic permissions: parse → validate → compile → decide and explain.
//!
//! How to use it: [`Policy::load`] takes the texts of all rule files and gives one immutable [`Policy`] or all
//! errors; [`Policy::rights`] compiles what applies to one [`Subject`]; [`Rights`] then answers for each topic and
//! subscription without looking at the policy again. Everything is denied unless a rule allows it.
//!
//! What is not here: reading files and watching them (`server`), who a peer is (`identity`), what a denial does to a
//! link (`broker`). Nothing in this crate does IO, reads a clock or draws a random number.

mod action;
mod check;
mod client;
mod error;
mod explain;
mod file;
mod filter;
mod late;
pub mod limits;
mod overlap;
mod policy;
mod preset;
mod quote;
mod rights;
mod rule;
mod signed;
mod subject;
mod template;
mod validate;

pub use action::Action;
pub use check::Finding;
pub use error::{PolicyError, PolicyErrors};
pub use explain::{Arrival, Explanation, Remedy, Step};
pub use file::SourceFile;
pub use overlap::Overlap;
pub use policy::Policy;
pub use preset::{AppliedPreset, Filled, Filling, PRESETS, Preset, PresetError};
pub use rights::{Cause, Decision, Reading, Rights};
pub use rule::{CitedRule, Effect, RuleRef};
pub use signed::{Check, Demand};
pub use subject::Subject;
pub use template::{Placeholder, Unresolved};
