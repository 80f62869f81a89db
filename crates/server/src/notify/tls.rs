//! Whom the broker believes when it is the client: the authorities of the system, or those of a file.

use super::limits;
use crate::escape::escape_cut;
use keyward_identity::files;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Characters that are told of what is wrong with TLS: names of a certificate stand there too.
const TROUBLE: usize = 300;

/// Where systems keep the authorities that they believe: Debian, Alpine and their kin; Red Hat's; BSD's.
const OF_SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Reads the authorities of a file in PEM, or those of the system; `SSL_CERT_FILE` says where these are, if they are elsewhere.
///
/// # Errors
/// There is no such file, or nothing in it.
pub(super) fn roots(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let named = || std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = || OF_SYSTEM.iter().map(PathBuf::from).find(|path| path.exists());
    let Some(path) = file.map(Path::to_owned).or_else(named).or_else(usual) else {
        return Err(
            "this system has no file of authorities: install ca-certificates, or set ca_file".to_owned()
        );
    };
    // That of a system is a link on some.
    let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    let text = files::read_regular(&path, limits::ROOTS_BYTES).map_err(|error| error.to_string())?;
    let roots: Vec<_> = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
    if roots.is_empty() {
        return Err(format!("{} holds no certificate in PEM", path.display()));
    }
    Ok(roots)
}

/// Says what is wrong with TLS to the other end, and what to look at.
pub(super) fn trouble(error: &(impl Display + ?Sized)) -> String {
    format!("TLS: {} (ca_file says whom to believe)", escape_cut(&error.to_string(), TROUBLE))
}
