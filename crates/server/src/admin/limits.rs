//! The bounds of what the broker does about devices by itself.

use std::time::Duration;

/// Devices that the broker puts into quarantine by itself within [`QUARANTINE_SPAN`], if one in [`QUARANTINE_SHARE`] of them is fewer.
/// Whoever finds a way to have devices accused must not switch a fleet off.
pub const QUARANTINES: usize = 3;

/// Of so many devices one may be put into quarantine by the broker itself within [`QUARANTINE_SPAN`].
pub const QUARANTINE_SHARE: usize = 100;

/// The time in which so many devices are put into quarantine at most.
pub const QUARANTINE_SPAN: Duration = Duration::from_secs(3_600);

/// Things that the watch has found of devices and from which something may follow, until that is done: a device and kind once.
pub const CAUSES: usize = 1_024;

/// Devices that are remembered, and named, as left to a person: proven, and not put into quarantine any more.
pub const QUARANTINES_LEFT: usize = 1_000;
