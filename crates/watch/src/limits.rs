//! Bounds of what the watch remembers, each with its reason. Beyond them it forgets the oldest, never more than is named here.

/// Facts that one finding keeps: what began it and what is newest; more is history.
pub const EVIDENCE: usize = 8;

/// Bytes of the text of one fact.
pub const EVIDENCE_BYTES: usize = 200;

/// Maintenance windows at once: more than any crew works in.
pub const WINDOWS: usize = 1_024;

/// The longest maintenance window, in milliseconds: seven days. What lasts longer is no maintenance.
pub const WINDOW_MILLIS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Facts that one incident keeps: half of them the oldest, for what began it is what is asked for most.
pub const INCIDENT_EVIDENCE: usize = 16;

/// Lines of the history of one incident.
pub const HISTORY: usize = 32;

/// Incidents that are open at once. About 4 KiB each with all that they may hold; beyond, they are counted and told as one.
pub const INCIDENTS: usize = 10_000;

/// Incidents that are over and remembered.
pub const PAST_INCIDENTS: usize = 2_000;

/// Message keys of one device whose starts are remembered, the newest. All that is remembered of who holds a device's keys and where it
/// is takes at most 6 KiB.
pub const MESSAGE_KEYS: usize = 3;

/// Starts of one device under one key, the newest: a copy alternates with what was heard just before.
pub const STARTS: usize = 4;

/// Links of one device that are remembered as open, the newest.
pub const LINKS: usize = 4;

/// Networks from which one device is known to come, the newest: a van, a phone's hotspot and some offices.
pub const NETWORKS: usize = 16;

/// Autonomous systems from which one device is known to come, the newest.
pub const SYSTEMS: usize = 8;

/// Places from which devices of one site came that never came from there, the newest.
pub const ARRIVALS: usize = 8;

/// Countries from which one device is known to come, the newest.
pub const COUNTRIES: usize = 4;

/// Sensors of one device whose cadence is known: more than a gateway of a building has. About 250 bytes each with a short name.
pub const SENSORS: usize = 32;

/// Sensors of the whole fleet whose readings are judged by their own history, of some 9 KiB each: 180 MB, and 240 MB in the file with what was learned. Of those beyond only declared limits are known.
pub const HISTORIES: usize = 20_000;

/// Bytes of the name of a sensor; one with a longer name is not watched for silence.
pub const SENSOR_NAME_BYTES: usize = 256;

/// The longest sleep that a device can announce, in milliseconds: seven days. What sleeps longer is asked for sooner.
pub const SLEEP_MILLIS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Sensors of one kind at one site that are compared with each other; of more the rest is not.
pub const NEIGHBOURS: usize = 1_024;

/// Sensors of all devices that are compared with their neighbours. At most 4 KiB each, and the name.
pub const COMPARED: usize = 20_000;
