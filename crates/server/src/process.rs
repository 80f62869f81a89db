//! What this process asks of the system for itself: that other programs of its user do not see its memory, and file
//! descriptors.

use crate::plane::Limits;
use crate::plane::limits::{CONNECTIONS_LEAST, OWN_DESCRIPTORS};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps and tracing by programs of the same user: the memory holds keys.
///
/// # Errors
/// An IO error if the system refuses.
pub fn forbid_dumps() -> std::io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Lets this process have as many file descriptors as the system allows it at most, and returns how many it has.
pub fn raise_descriptors() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is no limit.
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(_) => current.unwrap_or(u64::MAX),
    }
}

/// Leaves the store its file descriptors, whoever connects.
pub(crate) fn with_descriptors(limits: Limits, descriptors: u64) -> Limits {
    let left = usize::try_from(descriptors.saturating_sub(OWN_DESCRIPTORS)).unwrap_or(usize::MAX);
    let connections = limits.connections.min(left.max(CONNECTIONS_LEAST));
    if connections < limits.connections {
        tracing::warn!(
            "limits.connections is {}, but the system gives this process {descriptors} file descriptors, and {OWN_DESCRIPTORS} \
             are kept for its own files: there can be {connections} connections; raise the limit (ulimit -n, LimitNOFILE=)",
            limits.connections
        );
    }
    Limits { connections, ..limits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_store_its_descriptors() {
        let connections = |descriptors| with_descriptors(Limits::default(), descriptors).connections;
        assert_eq!(connections(1_024), 768);
        assert_eq!(connections(u64::MAX), Limits::default().connections);
        assert_eq!(connections(100), CONNECTIONS_LEAST);
    }
}
