//! Keeps what is in the memory of this process from its user's other programs.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Forbids core dumps and tracing by programs of the same user: the memory holds keys.
///
/// # Errors
/// An IO error if the system refuses.
pub fn forbid_dumps() -> std::io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
