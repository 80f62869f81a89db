//! Two identities never hold one public key; signing requests are taken at their key and refused if they want more.

use crate::support::*;

use keyward_identity::{Command, CsrRefusal, KeySource, Refusal};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

fn request(common_name: Option<&str>, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    change(&mut params);
    params.serialize_request(key).unwrap().der().to_vec()
}

fn plain(common_name: &str, key: &KeyPair) -> Vec<u8> {
    request(Some(common_name), key, |_| {})
}

fn refusal(bytes: Vec<u8>) -> CsrRefusal {
    match House::new().refused(device("pump-1", csr(bytes))) {
        Refusal::Csr(refusal) => refusal,
        other => panic!("{other}"),
    }
}

fn asks_for_more(change: impl FnOnce(&mut CertificateParams)) -> String {
    let request = request(Some("pump-1"), &KeyPair::generate().unwrap(), change);
    let refusal = refusal(request);
    assert!(matches!(refusal, CsrRefusal::AsksForMore { .. }), "{refusal}");
    refusal.to_string()
}

#[test]
fn a_request_for_ones_own_name_or_for_no_name_is_signed() {
    let mut house = House::new();
    let key = KeyPair::generate().unwrap();
    let issued = house.run(device("pump-1", csr(plain("Pump-1", &key)))).certificate.unwrap();
    assert!(issued.private_key_pem.is_none());
    assert!(house.admit(&issued).is_ok());
    let nameless = request(None, &KeyPair::generate().unwrap(), |_| {});
    house.run(device("pump-2", csr(nameless)));
}

#[test]
fn a_request_may_ask_for_what_it_gets_anyway() {
    let mut house = House::new();
    let installation = house.registrar().registry().installation().to_string();
    let request = request(Some("pump-1"), &KeyPair::generate().unwrap(), |params| {
        let uri = format!("urn:keyward:{installation}:device:pump-1");
        params.subject_alt_names = vec![rcgen::SanType::URI(uri.try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.is_ca = IsCa::ExplicitNoCa;
    });
    house.run(device("pump-1", csr(request)));
}

#[test]
fn a_request_for_another_identity_is_refused() {
    let other = refusal(plain("pump-2", &KeyPair::generate().unwrap()));
    assert!(other.to_string().contains("CN=pump-2"), "{other}");
    assert!(
        asks_for_more(|params| {
            params.distinguished_name.push(DnType::OrganizationName, "Acme");
        })
        .contains("Acme")
    );
}

#[test]
fn a_request_for_names_is_refused() {
    let dns = asks_for_more(|params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("gate.local".try_into().unwrap())];
    });
    assert!(dns.contains("gate.local"), "{dns}");
    asks_for_more(|params| params.subject_alt_names = vec![rcgen::SanType::IpAddress([10, 0, 0, 1].into())]);
    asks_for_more(|params| {
        let uri = "urn:keyward:aaaaaaaaaaaaaaaa:user:root".try_into().unwrap();
        params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
    });
}

#[test]
fn a_request_for_authority_or_for_serving_is_refused() {
    asks_for_more(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    asks_for_more(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
    asks_for_more(|params| {
        let oid = [1, 3, 6, 1, 4, 1, 99_999, 1];
        let extension = rcgen::CustomExtension::from_oid_content(&oid, vec![5, 0]);
        params.custom_extensions = vec![extension];
    });
    asks_for_more(|params| {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
}

#[test]
fn a_request_with_control_characters_is_refused_without_printing_them() {
    let message = refusal(plain("pump\u{1b}[2J\n", &KeyPair::generate().unwrap())).to_string();
    assert!(!message.contains('\u{1b}') && !message.contains('\n'), "{message:?}");
}

#[test]
fn a_request_that_was_altered_is_refused() {
    let mut bytes = plain("pump-1", &KeyPair::generate().unwrap());
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    assert_eq!(refusal(bytes), CsrRefusal::BadSignature);
}

#[test]
fn garbage_is_refused_with_what_it_is() {
    assert!(matches!(refusal(Vec::new()), CsrRefusal::Malformed(_)));
    assert!(matches!(refusal(vec![0x30, 0x82, 0xff]), CsrRefusal::Malformed(_)));
    assert!(matches!(refusal(b"hello".to_vec()), CsrRefusal::Malformed(_)));
    assert!(matches!(refusal(vec![0xff; 10]), CsrRefusal::Malformed(_)));
    assert!(matches!(refusal(vec![b'x'; 9_000]), CsrRefusal::TooLarge { .. }));
    let mut trailing = plain("pump-1", &KeyPair::generate().unwrap());
    trailing.push(0);
    assert!(matches!(refusal(trailing), CsrRefusal::Malformed(_)));
    let key = KeyPair::generate().unwrap();
    let with_key = format!("{}{}", key.serialize_pem(), "-----BEGIN CERTIFICATE REQUEST-----\n");
    assert!(matches!(refusal(with_key.into_bytes()), CsrRefusal::Malformed(_)));
    assert_eq!(refusal(key.serialize_pem().into_bytes()), CsrRefusal::HoldsPrivateKey);
}

/// Has openssl make a request with a new key.
fn openssl_request(house: &House, algorithm: &str, option: &str) -> Vec<u8> {
    let (key, request) = (house.path("k"), house.path("r"));
    openssl(&["genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", text(&key)]);
    openssl(&["req", "-new", "-key", text(&key), "-subj", "/CN=pump-1", "-out", text(&request)]);
    std::fs::read(request).unwrap()
}

#[test]
fn requests_that_openssl_makes_with_good_keys_are_signed() {
    for (algorithm, option) in [
        ("EC", "ec_paramgen_curve:P-256"),
        ("EC", "ec_paramgen_curve:P-384"),
        ("RSA", "rsa_keygen_bits:2048"),
    ] {
        let mut house = House::new();
        let request = openssl_request(&house, algorithm, option);
        let issued = house.run(device("pump-1", csr(request))).certificate.unwrap();
        assert!(house.admit(&issued).is_ok(), "{option}");
    }
}

#[test]
fn requests_with_weak_or_strange_keys_are_refused() {
    for (algorithm, option) in [
        ("RSA", "rsa_keygen_bits:1024"),
        ("EC", "ec_paramgen_curve:P-521"),
        ("EC", "ec_paramgen_curve:secp256k1"),
    ] {
        let mut house = House::new();
        let request = openssl_request(&house, algorithm, option);
        let refusal = house.refused(device("pump-1", csr(request)));
        assert!(matches!(refusal, Refusal::Csr(CsrRefusal::Key(_))), "{option}: {refusal}");
    }
}

#[test]
fn a_compressed_point_is_refused_because_a_key_must_not_have_two_names() {
    let mut house = House::new();
    let (key, compressed, request) = (house.path("k"), house.path("c"), house.path("r"));
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", text(&key)]);
    openssl(&["ec", "-in", text(&key), "-conv_form", "compressed", "-out", text(&compressed)]);
    openssl(&["req", "-new", "-key", text(&compressed), "-subj", "/CN=pump-1", "-out", text(&request)]);
    let refusal = house.refused(device("pump-1", csr(std::fs::read(request).unwrap())));
    assert!(matches!(refusal, Refusal::Csr(CsrRefusal::Key(_))), "{refusal}");
}

#[test]
fn two_identities_never_hold_one_key() {
    let mut house = House::new();
    let key = KeyPair::generate().unwrap();
    house.run(device("pump-1", csr(plain("pump-1", &key))));
    let refusal = house.refused(device("pump-2", csr(plain("pump-2", &key))));
    assert!(refusal.to_string().contains("device:pump-1"), "{refusal}");
    assert!(matches!(house.refused(user("anna", csr(plain("anna", &key)))), Refusal::KeyHeld { .. }));
}

#[test]
fn a_device_may_renew_for_the_key_that_it_holds() {
    let mut house = House::new();
    let key = KeyPair::generate().unwrap();
    let old = house.run(device("pump-1", csr(plain("pump-1", &key)))).certificate.unwrap();
    let again = Command::AddCertificate {
        identity: old.identity.clone(),
        key: KeySource::Csr(plain("pump-1", &key)),
        lifetime_days: None,
        replace: true,
    };
    let new = house.run(again).certificate.unwrap();
    assert_eq!(new.key, old.key);
    assert!(house.admit(&new).is_ok() && house.admit(&old).is_err());
}

#[test]
fn the_key_of_a_removed_device_stays_taken_until_an_operator_releases_it() {
    let mut house = House::new();
    let key = KeyPair::generate().unwrap();
    let old = house.run(device("pump-1", csr(plain("pump-1", &key)))).certificate.unwrap();
    let release = Command::ReleaseKey { key: old.key };
    assert!(matches!(house.refused(release.clone()), Refusal::KeyHeld { .. }), "it is in use");
    house.run(remove("device:pump-1"));
    for name in ["pump-1", "pump-2"] {
        let refusal = house.refused(device(name, csr(plain(name, &key))));
        assert!(refusal.to_string().contains("release"), "{refusal}");
    }
    house.run(release.clone());
    house.open().unwrap();
    let new = house.run(device("pump-2", csr(plain("pump-2", &key)))).certificate.unwrap();
    assert!(house.admit(&new).is_ok());
    assert!(house.admit(&old).is_err(), "the old certificate of the same key stays void");
    house.run(revoke("device:pump-2"));
    house.run(release.clone());
    assert!(matches!(house.refused(release), Refusal::NoSuchKey(_)));
}

#[test]
fn the_keys_of_the_authorities_and_of_the_server_are_nobodys() {
    let mut house = House::new();
    for file in ["keys/server.key", "keys/device-issuing.key", "offline/device-root.key"] {
        let key = KeyPair::from_pem(&std::fs::read_to_string(house.path(file)).unwrap()).unwrap();
        let refusal = house.refused(device("pump-1", csr(plain("pump-1", &key))));
        assert!(matches!(refusal, Refusal::AuthorityKey), "{file}: {refusal}");
    }
}
