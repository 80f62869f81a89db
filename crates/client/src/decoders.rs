//! The decoders of this crate that meet foreign bytes, opened to the fuzz targets alone.

use crate::error::ClientError;
use crate::options::TlsOptions;
use crate::tls;

/// Reads trust anchors, certificates and key as a connection to `host` would.
///
/// # Errors
/// [`ClientError::Credentials`] if one of them cannot be used.
pub fn tls_options(options: &TlsOptions, host: &str) -> Result<(), ClientError> {
    tls::start(options, host).map(drop)
}
