//! The lines of `/etc/hosts` (hosts(5)).

use crate::limits::ADDRESSES;
use std::net::IpAddr;

/// Returns the addresses that the file gives to `name`, which is in lower case.
pub(crate) fn in_hosts(file: &[u8], name: &str) -> Vec<IpAddr> {
    let text = String::from_utf8_lossy(file);
    let of_line = |line: &str| -> Option<IpAddr> {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.trim_end_matches('.').eq_ignore_ascii_case(name)).then_some(address)
    };
    text.lines().filter_map(of_line).take(ADDRESSES).collect()
}
