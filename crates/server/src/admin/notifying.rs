//! Who is told outside of incidents: what operators ask of that.

use super::{Admin, needs_running};
use crate::control::{Refusal, RefusalCode, Response};
use crate::notify::Notifier;

impl Admin {
    /// Returns who tells incidents outside.
    ///
    /// # Errors
    /// No broker runs.
    pub(crate) fn notifier(&self) -> Result<Notifier, Refusal> {
        let running = self.running.as_ref();
        running
            .map(|running| running.notifier.clone())
            .ok_or_else(|| needs_running("nobody is told anything"))
    }

    /// Returns a line for the status of each place that cannot be told.
    pub(super) fn notify_warnings(&self) -> Vec<String> {
        self.running.as_ref().map(|running| running.notifier.warnings()).unwrap_or_default()
    }
}

/// Sends a test to each place. This waits for what is far away: nobody is to be kept waiting meanwhile.
///
/// # Errors
/// There is no place.
pub(crate) fn test(notifier: &Notifier) -> Result<Response, Refusal> {
    if !notifier.has_places() {
        let what = "nobody is told of incidents: write [[notify.webhook]], [notify.mail] or [notify.syslog] into keyward.toml, \
                    and start the broker again (docs/notify.md)";
        return Err(Refusal::new(RefusalCode::NotFound, what));
    }
    Ok(Response::NotifyTested(notifier.test()))
}
