//! What identity reads: names, ledger records, signing requests, certificates.

use keyward_identity::{
    AgreementKey, Fence, ImportedCertificate, Kid, LocalName, MessageKey, MessageSecret, ProvenBy,
    TrustedAuthority, WallTime, decoders, read_private_key, restore::RevokedList,
};
use keyward_ids::{CertSerial, ClientId, Identity, InstallationId, KeyId};
use std::path::Path;

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
    if let Ok(fence) = text.parse::<Fence>() {
        assert_eq!(fence.to_string().parse(), Ok(fence), "{fence}");
    }
    if let Ok(installation) = InstallationId::parse(text) {
        assert_eq!(InstallationId::parse(installation.as_str()).as_ref(), Ok(&installation));
    }
    assert_eq!(ClientId::new(text).as_str(), text);
}

/// Reads a list of what was revoked; what is read prints, and reads the same again. An error names the line and cannot steer a
/// terminal.
pub fn revoked_list(data: &[u8]) {
    match RevokedList::parse(Path::new("list"), data) {
        Ok(list) => {
            let printed = list.to_string();
            let again = RevokedList::parse(Path::new("list"), printed.as_bytes());
            assert!(again.is_ok_and(|again| again == list), "{printed}");
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with("list:") && text.len() < 1_000, "{text:?}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}

/// Reads the hash of a password that Mosquitto kept; what is shown of it is short, and costs stay within their bounds.
pub fn imported_hash(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let Some(shown) = decoders::imported_hash(text) else { return };
    assert!(text.len() <= 512 && shown.len() < 64 && shown.starts_with('$'), "{shown:?}");
    let costs = shown.split(|character: char| !character.is_ascii_digit());
    let most = costs.filter_map(|number| number.parse::<u64>().ok()).max();
    assert!(most.is_some_and(|most| most <= 500_000), "{shown:?} costs too much");
}

/// Reads the file of an authority that is to be trusted, and the same bytes as its lists of revoked certificates. What is shown of
/// it cannot steer a terminal, and nothing that holds a private key is taken.
pub fn trusted_authority(data: &[u8]) {
    let now = WallTime(1_800_000_000_000);
    for lists in [None, Some(data)] {
        match TrustedAuthority::read(ProvenBy::CommonName, data, lists, now) {
            Ok(authority) => {
                let shown = authority.subjects().concat();
                assert!(!shown.contains(char::is_control), "{shown:?}");
                assert!(authority.summary().not_after >= now && !authority.certificates.is_empty());
                assert!(lists.is_none() || !authority.revocations.is_empty());
            }
            Err(why) => assert!(!why.to_string().contains(char::is_control), "{why}"),
        }
    }
    if let Ok(certificate) = ImportedCertificate::read(data, now) {
        assert!(certificate.not_after >= now && !certificate.subject().contains(char::is_control));
    }
    let _ = read_private_key(data);
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(name) = text.parse::<LocalName>()
    {
        assert!(name.as_str() == text && text.len() <= 32);
    }
}

/// Reads a key by which messages are verified; what is read is written, and reads the same again. Its name prints and parses as itself.
pub fn message_key(data: &[u8]) {
    if let Ok(key) = MessageKey::read_file(data, 3) {
        let again = MessageKey::read(&key.cose(), 3);
        assert_eq!(again.as_ref(), Ok(&key), "{:02x?}", key.cose());
        assert_eq!(key.kid().to_string().parse().as_ref(), Ok(&key.kid()));
    }
    if let Ok(key) = AgreementKey::read_file(data) {
        assert_eq!(AgreementKey::read(&key.cose()).as_ref(), Ok(&key), "{:02x?}", key.cose());
        assert!(MessageKey::read(&key.cose(), 0).is_err(), "no key does both");
    }
    if let Some(MessageSecret::P256(secret) | MessageSecret::Ed25519(secret)) = MessageSecret::read_file(data)
    {
        assert!(secret.expose().len() == 32);
    }
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(kid) = text.parse::<Kid>()
    {
        assert!(kid.to_string().eq_ignore_ascii_case(text));
    }
}

/// The key that the seeds of `signing_request` are signed with.
const REQUESTED: &str = "aebf154b798e2ddea040e0dce3b1e345fce49ce85ef680176f0fba23eb3db055";

/// Reads a signing request for one device; without its key nobody makes a request that is taken.
pub fn signing_request(data: &[u8]) {
    if let Some(key) = decoders::signing_request(data) {
        assert_eq!(key.to_string(), REQUESTED, "a key was taken that signed nothing");
    }
}
