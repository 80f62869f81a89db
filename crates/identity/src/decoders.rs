//! The decoders of this crate that meet foreign bytes, opened to the fuzz targets alone.

use crate::authority::inspect;
use crate::csr;
use crate::ledger;
use keyward_ids::{Identity, InstallationId, Kind};

/// Reads a ledger record, its chain and checksum made right.
pub fn ledger_record(bytes: &[u8]) {
    ledger::read_sealed(bytes);
}

/// Reads a signing request for one device.
pub fn signing_request(bytes: &[u8]) {
    let installation = InstallationId::from_random([7; InstallationId::LEN]);
    if let Ok(identity) = Identity::new(Kind::Device, "pump") {
        let _ = csr::take_key(bytes, &identity, &installation);
    }
}

/// Reads what the registry keeps of a certificate.
pub fn certificate(der: &[u8]) {
    let _ = inspect(der);
}
