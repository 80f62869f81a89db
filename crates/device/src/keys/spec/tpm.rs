//! Names a TPM.

use super::super::{KeyError, KeyStore, TpmStore};
use super::uri::{Pairs, encode, wrong};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Says where a TPM is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TpmPlace {
    /// A device of the kernel, best the one with its resource manager: `/dev/tpmrm0`.
    Device(PathBuf),
    /// A simulator (swtpm) that listens on TCP, at `host:port`.
    Tcp(String),
    /// A simulator that listens on a Unix socket.
    Socket(PathBuf),
}

impl TpmPlace {
    pub(super) fn read(query: Option<&str>) -> Result<Self, KeyError> {
        let mut pairs = Pairs::read("behind ?", query, '&')?;
        let place = match (pairs.take("device"), pairs.take("swtpm")) {
            (None, None) => Self::Device(PathBuf::from("/dev/tpmrm0")),
            (Some(path), None) if path.starts_with('/') => Self::Device(PathBuf::from(path)),
            (Some(_), None) => return Err(wrong("device= names a file, as /dev/tpmrm0")),
            (None, Some(path)) if path.starts_with('/') => Self::Socket(PathBuf::from(path)),
            (None, Some(address)) if is_address(&address) => Self::Tcp(address),
            (None, Some(_)) => return Err(wrong("swtpm= names HOST:PORT, or the whole path of a socket")),
            (Some(_), Some(_)) => return Err(wrong("a TPM is at one of device= and swtpm=")),
        };
        pairs.end("device, swtpm")?;
        Ok(place)
    }

    /// Returns what stands behind the question mark.
    pub(super) fn query(&self) -> String {
        match self {
            Self::Device(path) => format!("device={}", encode(&path.to_string_lossy())),
            Self::Tcp(address) => format!("swtpm={}", encode(address)),
            Self::Socket(path) => format!("swtpm={}", encode(&path.to_string_lossy())),
        }
    }
}

fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0))
}

impl fmt::Display for TpmPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) | Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

pub(super) fn open(dir: &Path, place: &TpmPlace) -> Result<Arc<dyn KeyStore>, KeyError> {
    Ok(Arc::new(TpmStore::open(dir, place)?))
}

pub(super) fn create(dir: &Path, place: &TpmPlace) -> Result<Arc<dyn KeyStore>, KeyError> {
    Ok(Arc::new(TpmStore::create(dir, place)?))
}
