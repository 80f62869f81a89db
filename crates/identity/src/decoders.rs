//! The decoders of this crate that meet foreign bytes, opened to the fuzz targets alone.

pub use crate::vault::cheap::KeyFileContent;

use crate::authority::inspect;
use crate::ledger::{self, AuditEntry, Ledger, LedgerError, remains::Remains, snapshot};
use crate::vault::cheap;
use crate::{GroupKeys, ImportedHash, account::CertificateRecord, csr};
use keyward_ids::{Identity, InstallationId, KeyId, Kind};
use std::path::Path;

/// Reads a ledger record, its chain and checksum made right. `None` if it is refused.
pub fn ledger_record(bytes: &[u8]) -> Option<AuditEntry> {
    ledger::read_sealed(bytes)
}

/// Writes an entry as the first record of a ledger; `None` if it is too large for one.
pub fn first_record(entry: &AuditEntry) -> Option<Vec<u8>> {
    ledger::write_first(entry)
}

/// Returns the file of a ledger with these notes of a changed configuration.
pub fn ledger_file(notes: &[&str]) -> Vec<u8> {
    ledger::file_of(notes)
}

/// Opens the ledger in `dir` as a start does, mends it where it can be mended, and reads it from its first record.
/// Returns what was mended too.
///
/// # Errors
/// [`LedgerError`] if it cannot be read.
pub fn open_ledger(dir: &Path) -> Result<(Vec<AuditEntry>, Vec<String>), LedgerError> {
    let (ledger, mended) = Ledger::open(dir)?;
    Ok((ledger.audit(1)?.collect::<Result<_, _>>()?, mended))
}

/// Reads what is left of a damaged ledger, each record by its own checksum, and whether it is known to end with the last.
///
/// # Errors
/// [`LedgerError`] if a newer program wrote in it.
pub fn ledger_remains(copies: [Vec<u8>; 2]) -> Result<(Vec<AuditEntry>, bool), LedgerError> {
    let remains = Remains::of(copies.map(Some))?;
    Ok((remains.behind(0)?, remains.is_ended()))
}

/// Reads the JSON of a snapshot, its sum made right. `None` if it is refused, else whether it reads the same after it
/// was written again.
pub fn snapshot_survives_a_trip(json: &[u8]) -> Option<bool> {
    snapshot::survives_a_trip(json)
}

/// Reads the server's key file under a passphrase; one that would take long to open is not opened.
pub fn key_file(text: &[u8], passphrase: &str) -> KeyFileContent {
    cheap::read(text, passphrase)
}

/// Seals a key as the server's, at the least cost; `None` only without memory or random bytes.
pub fn seal_key(key: &[u8], passphrase: &str) -> Option<Vec<u8>> {
    cheap::seal(key, passphrase)
}

/// Returns the file around a sealed key.
pub fn sealed_key_file(sealed: &[u8]) -> Vec<u8> {
    cheap::wrap(sealed)
}

/// Reads the keys of groups as a key file holds them. `None` if they are refused, else whether they are written as they were
/// read, but for order and repetition.
pub fn group_keys_survive_a_trip(bytes: &[u8]) -> Option<bool> {
    let written = GroupKeys::read(bytes)?.write();
    let again = GroupKeys::read(&written)?;
    Some(written.len() <= bytes.len() && *again.write() == *written)
}

/// Reads a signing request for one device: the key that would be certified. `None` if it is refused.
pub fn signing_request(bytes: &[u8]) -> Option<KeyId> {
    let installation = InstallationId::from_random([7; InstallationId::LEN]);
    let identity = Identity::new(Kind::Device, "pump").ok()?;
    csr::take_key(bytes, &identity, &installation).ok().map(|key| key.id())
}

/// Reads the hash of a password as Mosquitto keeps it: what is shown of it. `None` if it is refused.
pub fn imported_hash(text: &str) -> Option<String> {
    Some(ImportedHash::parse(text).ok()?.form().ok()?.to_string())
}

/// Reads what the registry keeps of a certificate; `None` if it cannot be read.
pub fn certificate(der: &[u8]) -> Option<CertificateRecord> {
    inspect(der)
}
