//! Topic permissions: parse → validate → compile → decide and explain.
#![allow(dead_code, clippy::todo, missing_docs, unused)]

mod action;
mod skeleton;
pub mod limits;
mod subject;

pub use action::Action;
pub use skeleton::*;
pub use subject::Subject;
