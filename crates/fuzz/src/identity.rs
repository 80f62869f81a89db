//! What identity reads: names, ledger records, signing requests, certificates.

use keyward_identity::decoders;
use keyward_ids::{CertSerial, ClientId, Identity, InstallationId, KeyId};

/// Parses every kind of name; what is accepted prints and parses as itself.
pub fn names(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(identity) = text.parse::<Identity>() {
        let printed = identity.to_string();
        assert_eq!(printed.parse().as_ref(), Ok(&identity), "{printed:?}");
        assert!(!identity.name().contains(['/', '+', '#']), "{printed:?} would span topic levels");
    }
    if let Ok(key) = text.parse::<KeyId>() {
        assert_eq!(key.to_string().parse().as_ref(), Ok(&key));
    }
    if let Ok(serial) = text.parse::<CertSerial>() {
        assert_eq!(serial.to_string().parse().as_ref(), Ok(&serial));
    }
    if let Ok(installation) = InstallationId::parse(text) {
        assert_eq!(InstallationId::parse(installation.as_str()).as_ref(), Ok(&installation));
    }
    assert_eq!(ClientId::new(text).as_str(), text);
}

/// Reads a ledger record whose checksum was made right, as one who writes to the file could.
pub fn ledger_record(data: &[u8]) {
    decoders::ledger_record(data);
}

/// Reads a signing request for one device.
pub fn signing_request(data: &[u8]) {
    decoders::signing_request(data);
}

/// Reads what the registry keeps of a certificate.
pub fn certificate(data: &[u8]) {
    decoders::certificate(data);
}
