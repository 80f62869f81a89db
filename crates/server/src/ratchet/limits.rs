//! Bounds of the rolling secrets of devices.

/// Devices that take part. About 60 bytes of memory and 74 bytes of disk each at most; one more is not answered.
pub(crate) const RATCHETS: usize = 262_144;

/// Records that the file may hold beside two for each device, before it is written anew.
pub(crate) const SURPLUS: usize = 1_024;

/// Answers that are judged with one sync of the disk.
pub(crate) const ANSWERS_PER_SYNC: usize = 256;
