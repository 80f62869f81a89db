//! The decoders of this crate that meet foreign bytes, opened to the fuzz targets alone.

use crate::error::ClientError;
use crate::options::TlsOptions;
use crate::resolver::{Question, in_hosts};
use crate::tls;
use std::net::IpAddr;

/// Reads trust anchors, certificates and key as a connection to `host` would.
///
/// # Errors
/// [`ClientError::Credentials`] if one of them cannot be used.
pub fn tls_options(options: &TlsOptions, host: &str) -> Result<(), ClientError> {
    tls::start(options, host).map(drop)
}

/// Reads the bytes as an answer of a name server about `name` that was asked with `id`; tells how many addresses it gives.
pub fn name_answer(id: u16, name: &str, bytes: &[u8]) -> usize {
    use crate::resolver::Answer;
    [false, true]
        .map(|v6| match (Question { id, name, v6 }).read(bytes) {
            Some(Answer::Addresses(addresses)) => addresses.len(),
            _ => 0,
        })
        .iter()
        .sum()
}

/// Reads the bytes as `/etc/hosts`.
pub fn hosts(bytes: &[u8], name: &str) -> Vec<IpAddr> {
    in_hosts(bytes, name)
}

/// Reads the bytes as `/etc/resolv.conf`; tells how many servers it names.
pub fn name_servers(bytes: &[u8]) -> usize {
    resolv_conf::Config::parse_with_errors(bytes).0.nameservers.len()
}
