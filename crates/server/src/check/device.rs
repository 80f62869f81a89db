//! How long a sync takes, and whether a disk can be that fast. What is acknowledged is on disk only if the disk says the truth
//! about its syncs; one that is too fast to be true keeps them in memory.

use crate::clock;
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

/// Syncs that are measured.
const SYNCS: usize = 300;

/// Bytes that each of them writes: a page.
const PAGE: u64 = 4096;

/// No sync that reaches a device is faster: the command alone takes so long.
const NO_DEVICE: Duration = Duration::from_micros(10);

/// Flash without a capacitor is not faster: it has to program a page.
const NO_PLAIN_FLASH: Duration = Duration::from_micros(100);

/// A disk that turns is not faster: at 15,000 turns a minute half a turn takes 2 ms.
const NO_TURNING_DISK: Duration = Duration::from_millis(1);

/// Is what a sync was measured to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// How many were measured.
    pub syncs: usize,
    /// Half of them took no longer, in microseconds.
    pub median_us: u64,
    /// All but one in a hundred took no longer, in microseconds.
    pub p99_us: u64,
    /// The kind of the file system.
    pub file_system: String,
    /// Whether the disk turns, as far as the system knows.
    pub turns: Option<bool>,
    /// What is to be doubted, why, and what to do.
    pub warning: Option<String>,
}

/// Knows what matters about a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// It is in memory, and ends with the machine.
    Memory(&'static str),
    /// It is a layer of a container, and may end with it.
    Layer(&'static str),
    /// It is on another machine.
    Remote(&'static str),
    /// It is on a disk, as far as is known.
    Disk(&'static str),
}

/// Says what is to be doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The file system is in memory.
    InMemory,
    /// Nothing reaches a device.
    NoDevice,
    /// The disk turns, and no turning disk is so fast.
    TurningTooFast,
    /// Only flash that is protected against a loss of power is so fast.
    NeedsProtection,
}

/// Measures syncs in a directory, on a file of its own that has no name.
///
/// # Errors
/// The file cannot be made, written or synced.
pub fn measure(directory: &Path) -> io::Result<DeviceReport> {
    let file = unnamed(directory)?;
    let mut times = time_syncs(&file)?;
    let file_system = file_system(directory)?;
    let turns = turns(file.metadata()?.dev());
    times.sort_unstable();
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let doubt = judge(median, file_system, turns);
    Ok(DeviceReport {
        syncs: times.len(),
        median_us: micros(median),
        p99_us: micros(p99),
        file_system: file_system.name().to_owned(),
        turns,
        warning: doubt.map(|doubt| doubt.sentence(median)).or_else(|| file_system.hint()),
    })
}

/// Decides whether a disk can sync so fast.
pub fn judge(median: Duration, file_system: FileSystem, turns: Option<bool>) -> Option<Doubt> {
    match file_system {
        FileSystem::Memory(_) => Some(Doubt::InMemory),
        _ if median < NO_DEVICE => Some(Doubt::NoDevice),
        _ if turns == Some(true) && median < NO_TURNING_DISK => Some(Doubt::TurningTooFast),
        _ if median < NO_PLAIN_FLASH => Some(Doubt::NeedsProtection),
        _ => None,
    }
}

impl Doubt {
    fn sentence(self, median: Duration) -> String {
        let took = format!("a sync takes {}", shown(median));
        match self {
            Self::InMemory => {
                "this file system is in memory: nothing in it survives the end of the machine, whatever \
                was acknowledged; put the directory on a disk"
                    .to_owned()
            }
            Self::NoDevice => format!(
                "{took}, and no disk is so fast: the system, or the host of this virtual machine, acknowledges syncs without \
                 a disk. What was acknowledged may be lost with the power: let the host pass flushes on (not \
                 cache=unsafe), and mount without nobarrier"
            ),
            Self::TurningTooFast => format!(
                "{took}, and a disk that turns needs milliseconds: it keeps writes in a cache. Unless that has a battery, \
                 switch it off (hdparm -W 0 /dev/DISK), or what was acknowledged may be lost with the power"
            ),
            Self::NeedsProtection => format!(
                "{took}, and only flash with protection against a loss of power is so fast. If this disk has it, all is \
                 well; if not, or on a virtual machine whose host does not pass flushes on, what was acknowledged may be \
                 lost with the power"
            ),
        }
    }
}

/// Writes a span of time as people read it.
pub fn shown(time: Duration) -> String {
    match micros(time) {
        micros @ 0..10_000 => format!("{micros} µs"),
        micros => format!("{} ms", micros / 1_000),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Makes a file that nobody sees and that is gone when it is closed.
fn unnamed(directory: &Path) -> io::Result<File> {
    let mode = Mode::from_raw_mode(0o600);
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, mode) {
        Ok(file) => Ok(file.into()),
        // Not every file system has them.
        Err(_) => {
            let folder = rustix::fs::open(
                directory,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            let name = format!(".sync-times.{}", std::process::id());
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&folder, &name, flags, mode)?;
            rustix::fs::unlinkat(&folder, &name, AtFlags::empty())?;
            Ok(file.into())
        }
    }
}

/// Overwrites page after page and syncs each, as a journal is written that has its room already.
fn time_syncs(file: &File) -> io::Result<Vec<Duration>> {
    // Where this is refused the first pass below makes the room.
    let _ = rustix::fs::fallocate(file, FallocateFlags::empty(), 0, SYNCS as u64 * PAGE);
    let page = [0x5A; PAGE as usize];
    for number in 0..SYNCS as u64 {
        file.write_all_at(&page, number * PAGE)?;
    }
    file.sync_all()?;
    let page = [0xA5; PAGE as usize];
    (0..SYNCS as u64)
        .map(|number| {
            file.write_all_at(&page, number * PAGE)?;
            let (synced, time) = clock::timed(|| file.sync_data());
            synced.map(|()| time)
        })
        .collect()
}

impl FileSystem {
    fn name(self) -> &'static str {
        let (Self::Memory(name) | Self::Layer(name) | Self::Remote(name) | Self::Disk(name)) = self;
        name
    }

    /// Says what is to be known of it even if it is not too fast.
    fn hint(self) -> Option<String> {
        match self {
            Self::Layer(name) => Some(format!(
                "this file system ({name}) is a layer of a container, and ends with it: put the directory on a volume"
            )),
            Self::Remote(name) => Some(format!(
                "this file system ({name}) is on another machine: whether a sync reaches its disk is for that machine to say"
            )),
            Self::Memory(_) | Self::Disk(_) => None,
        }
    }
}

/// Asks what kind of file system a directory is on.
fn file_system(directory: &Path) -> io::Result<FileSystem> {
    let kind = rustix::fs::statfs(directory)?.f_type as u32;
    Ok(known(kind))
}

/// Knows the numbers of statfs(2).
fn known(kind: u32) -> FileSystem {
    match kind {
        0x0102_1994 => FileSystem::Memory("tmpfs"),
        0x8584_58F6 => FileSystem::Memory("ramfs"),
        0x794C_7630 => FileSystem::Layer("overlay"),
        0x6969 => FileSystem::Remote("NFS"),
        0xFF53_4D42 => FileSystem::Remote("CIFS"),
        0xFE53_4D42 => FileSystem::Remote("SMB"),
        0x0102_1997 => FileSystem::Remote("9p"),
        0x6573_5546 => FileSystem::Disk("FUSE"),
        0xEF53 => FileSystem::Disk("ext4"),
        0x5846_5342 => FileSystem::Disk("XFS"),
        0x9123_683E => FileSystem::Disk("Btrfs"),
        0x2FC1_2FC1 => FileSystem::Disk("ZFS"),
        0xF2F5_2010 => FileSystem::Disk("F2FS"),
        _ => FileSystem::Disk("of a kind that is not known here"),
    }
}

/// Asks the kernel whether a device turns. `None` if it does not say.
fn turns(device: u64) -> Option<bool> {
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    // The queue is the disk's; a partition is a folder in the one of its disk.
    let queues = [format!("/sys/dev/block/{device}/queue"), format!("/sys/dev/block/{device}/../queue")];
    let said = queues.iter().find_map(|queue| fs::read_to_string(format!("{queue}/rotational")).ok())?;
    match said.trim() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: FileSystem = FileSystem::Disk("ext4");

    fn judged(micros: u64, file_system: FileSystem, turns: Option<bool>) -> Option<Doubt> {
        judge(Duration::from_micros(micros), file_system, turns)
    }

    #[test]
    fn a_disk_that_is_as_slow_as_disks_are_is_believed() {
        for (micros, turns) in [(8_000, Some(true)), (2_100, Some(true)), (700, Some(false)), (100, None)] {
            assert_eq!(judged(micros, DISK, turns), None, "{micros} µs");
        }
    }

    #[test]
    fn a_disk_that_is_too_fast_is_doubted_for_a_reason() {
        assert_eq!(judged(1, DISK, None), Some(Doubt::NoDevice));
        assert_eq!(judged(9, DISK, Some(true)), Some(Doubt::NoDevice));
        assert_eq!(judged(400, DISK, Some(true)), Some(Doubt::TurningTooFast));
        assert_eq!(judged(40, DISK, Some(false)), Some(Doubt::NeedsProtection));
        assert_eq!(judged(99, FileSystem::Layer("overlay"), None), Some(Doubt::NeedsProtection));
    }

    #[test]
    fn a_file_system_in_memory_is_named_however_slow_it_is() {
        assert_eq!(judged(5_000, known(0x0102_1994), None), Some(Doubt::InMemory));
        assert_eq!(known(0x0102_1994).name(), "tmpfs");
        assert!(known(0x794C_7630).hint().unwrap().contains("volume"));
        assert_eq!(known(0xEF53).hint(), None);
    }

    #[test]
    fn what_is_said_holds_the_figure_and_what_to_do() {
        let text = Doubt::NoDevice.sentence(Duration::from_micros(3));
        assert!(text.contains("3 µs") && text.contains("cache=unsafe"), "{text}");
        let text = Doubt::TurningTooFast.sentence(Duration::from_micros(400));
        assert!(text.contains("400 µs") && text.contains("hdparm -W 0"), "{text}");
        assert_eq!(shown(Duration::from_millis(12)), "12 ms");
    }

    #[test]
    fn syncs_are_measured_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let report = measure(folder.path()).unwrap();
        assert_eq!(report.syncs, SYNCS);
        assert!(report.median_us <= report.p99_us, "{report:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_in_memory_is_told() {
        let Ok(folder) = tempfile::tempdir_in("/dev/shm") else { return };
        let report = measure(folder.path()).unwrap();
        assert_eq!(report.file_system, "tmpfs");
        assert!(report.warning.unwrap().contains("put the directory on a disk"));
    }
}
