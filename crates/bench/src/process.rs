//! What the system says about a process: its processor time, its memory, what it writes; and on which core it may run.

use crate::error::BenchError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;
use std::ops::Sub;

/// Processor time of a process, all its threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct CpuTime {
    pub(crate) user_secs: f64,
    pub(crate) system_secs: f64,
}

impl CpuTime {
    /// Returns user and system time together.
    pub(crate) fn secs(self) -> f64 {
        self.user_secs + self.system_secs
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            user_secs: self.user_secs - earlier.user_secs,
            system_secs: self.system_secs - earlier.system_secs,
        }
    }
}

/// Reads a process' processor time (a tick of the system is 10 ms).
pub(crate) fn cpu_time(pid: u32) -> Result<CpuTime, BenchError> {
    let stat = read(pid, "stat")?;
    cpu_time_in(&stat, rustix::param::clock_ticks_per_second() as f64)
        .ok_or_else(|| BenchError::Misuse(format!("/proc/{pid}/stat has another form than expected")))
}

fn cpu_time_in(stat: &str, ticks_per_sec: f64) -> Option<CpuTime> {
    // The program's name stands in parentheses and may hold anything, so fields are counted from the last one.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || Some(fields.next()?.parse::<f64>().ok()? / ticks_per_sec);
    Some(CpuTime { user_secs: next()?, system_secs: next()? })
}

/// Reads how many bytes a process has caused to be written to disk: pages count when they become dirty, not when the disk
/// gets them.
pub(crate) fn written_bytes(pid: u32) -> Result<u64, BenchError> {
    let io = read(pid, "io")?;
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes:")?.trim().parse().ok());
    bytes.ok_or_else(|| BenchError::Misuse(format!("/proc/{pid}/io has no write_bytes")))
}

/// Reads how much memory of a process is in RAM, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64, BenchError> {
    memory(pid, "VmRSS:")
}

/// Reads how much it was at most, in bytes.
pub(crate) fn peak_resident_bytes(pid: u32) -> Result<u64, BenchError> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, field: &str) -> Result<u64, BenchError> {
    memory_in(&read(pid, "status")?, field)
        .ok_or_else(|| BenchError::Misuse(format!("/proc/{pid}/status has no {field}")))
}

fn memory_in(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

fn read(pid: u32, name: &str) -> Result<String, BenchError> {
    let path = format!("/proc/{pid}/{name}");
    std::fs::read_to_string(&path).map_err(BenchError::io(format!("reading {path}")))
}

/// Lets this process, and those that it starts from now on, have up to `wanted` descriptors, as far as the system
/// allows. Returns how many it may have.
pub(crate) fn raise_descriptors(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit { current: Some(wanted.min(most)), maximum: now.maximum };
    let has = now.current.unwrap_or(u64::MAX);
    if has >= wanted || setrlimit(Resource::Nofile, raised).is_err() {
        return has.min(wanted);
    }
    wanted.min(most)
}

/// Returns the cores on which this process may run.
pub(crate) fn cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Binds this thread, and every process and thread that it starts from now on, to some cores.
pub(crate) fn run_on(cores: &[usize]) -> Result<(), BenchError> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    sched_setaffinity(None, &set).map_err(|error| BenchError::Io {
        doing: format!("binding to the cores {cores:?}"),
        source: error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_move_the_fields() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu_time_in(stat, 100.0), Some(CpuTime { user_secs: 1.5, system_secs: 0.5 }));
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(memory_in("VmPeak:\t 9 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12_288));
        assert_eq!(memory_in("VmPeak:\t 9 kB\n", "VmRSS:"), None);
    }

    #[test]
    fn this_process_has_memory_and_a_core() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        assert!(!cores().is_empty());
    }
}
