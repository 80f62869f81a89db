//! How much memory the process takes: its resident set, as the system tells it.

use std::fs;

/// Holds bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heap {
    current: u64,
    maximum: u64,
}

impl Heap {
    /// Reads it; `None` where the system does not tell.
    pub(super) fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let kib = |key: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().strip_suffix("kB")?.trim().parse().ok()
        };
        Some(Self { current: kib("VmRSS:")? * 1_024, maximum: kib("VmHWM:")? * 1_024 })
    }

    pub(super) fn values(self) -> [(&'static str, u64); 2] {
        [("heap/current", self.current), ("heap/maximum", self.maximum)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_set_is_found_among_the_lines_of_the_system() {
        let status = "Name:\tx\nVmHWM:\t    2000 kB\nVmRSS:\t    1000 kB\n";
        assert_eq!(Heap::parse(status), Some(Heap { current: 1_024_000, maximum: 2_048_000 }));
        assert_eq!(Heap::parse("VmRSS:\t1000 kB\n"), None);
    }
}
