//! What stands in the certificates, and who accepts them. OpenSSL is the judge.

use crate::support::*;
use keyward_identity::{KeySource, NewCredential, fingerprint};

fn pem_to_der(house: &House, pem: &str) -> Vec<u8> {
    let from = house.write("one.pem", pem);
    let to = house.path("one.der");
    openssl(&["x509", "-in", text(&from), "-outform", "DER", "-out", text(&to)]);
    std::fs::read(to).unwrap()
}

fn shown(house: &House, pem: &str) -> String {
    let path = house.write("shown.pem", pem);
    openssl(&["x509", "-in", text(&path), "-noout", "-text", "-nameopt", "RFC2253"])
}

fn critical(shown: &str) -> Vec<&str> {
    shown.lines().filter_map(|line| line.trim().strip_suffix(": critical")).collect()
}

#[test]
fn a_device_certificate_names_its_identity_and_nothing_else() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    let shown = shown(&house, &blocks(&issued.chain_pem)[0]);
    let installation = house.registrar().registry().installation().to_string();
    assert!(shown.contains("Subject: CN=pump-1\n"), "{shown}");
    assert!(shown.contains(&format!("URI:urn:keyward:{installation}:device:pump-1\n")), "{shown}");
    assert!(shown.contains("TLS Web Client Authentication\n"), "{shown}");
    assert!(shown.contains("Digital Signature\n"), "{shown}");
    assert!(shown.contains("CA:FALSE"), "{shown}");
    assert!(!shown.contains("DNS:") && !shown.contains("IP Address:"), "{shown}");
    assert_eq!(critical(&shown), ["X509v3 Key Usage", "X509v3 Basic Constraints"]);
}

#[test]
fn a_users_certificate_names_a_user() {
    let mut house = House::new();
    let issued = house.run(user("anna", generated())).certificate.unwrap();
    assert!(shown(&house, &blocks(&issued.chain_pem)[0]).contains(":user:anna\n"));
}

#[test]
fn the_server_certificate_names_the_server_and_may_only_serve() {
    let house = House::new();
    let server = house.registrar().server_identity();
    let der = house.write("server.der", &server.chain[0]);
    let shown = openssl(&["x509", "-inform", "DER", "-in", text(&der), "-noout", "-text"]);
    for name in
        ["DNS:gate", "DNS:gate.local", "DNS:localhost", "IP Address:127.0.0.1", "IP Address:192.168.1.5"]
    {
        assert!(shown.contains(name), "{name}: {shown}");
    }
    assert!(shown.contains("TLS Web Server Authentication\n"), "{shown}");
    assert!(!shown.contains("TLS Web Client Authentication"), "{shown}");
    assert_eq!(critical(&shown), ["X509v3 Key Usage", "X509v3 Basic Constraints"]);
}

#[test]
fn authorities_may_sign_and_an_issuing_one_has_none_below_it() {
    let house = House::new();
    for (file, path_len) in
        [("server-root", 1), ("server-issuing", 0), ("device-root", 1), ("device-issuing", 0)]
    {
        let pem = std::fs::read_to_string(house.path(&format!("authority/{file}.pem"))).unwrap();
        let shown = shown(&house, &pem);
        assert!(shown.contains(&format!("CA:TRUE, pathlen:{path_len}\n")), "{file}: {shown}");
        assert!(shown.contains("Certificate Sign, CRL Sign\n"), "{file}: {shown}");
        assert_eq!(critical(&shown), ["X509v3 Key Usage", "X509v3 Basic Constraints"], "{file}");
        assert!(!shown.contains("Extended Key Usage"), "{file}: {shown}");
    }
}

/// Verifies `leaf` with one intermediate under one anchor.
fn verifies(house: &House, anchor: &str, chain: &str, purpose: &str) -> bool {
    let blocks = blocks(chain);
    let leaf = house.write("leaf.pem", &blocks[0]);
    let issuer = house.write("issuer.pem", &blocks[1]);
    let anchor = house.path(anchor);
    try_openssl(&[
        "verify",
        "-x509_strict",
        "-purpose",
        purpose,
        "-attime",
        &(house.now.0 / 1_000).to_string(),
        "-CAfile",
        text(&anchor),
        "-untrusted",
        text(&issuer),
        text(&leaf),
    ])
    .0
}

fn server_chain(house: &House) -> String {
    let server = house.registrar().server_identity();
    let der_to_pem = |der: &Vec<u8>| {
        let from = house.write("some.der", der);
        openssl(&["x509", "-inform", "DER", "-in", text(&from)])
    };
    server.chain.iter().map(der_to_pem).collect()
}

#[test]
fn each_root_vouches_for_its_own_kind_only() {
    let mut house = House::new();
    let device = house.add_device("pump-1").chain_pem;
    let server = server_chain(&house);
    assert!(verifies(&house, "ca.pem", &server, "sslserver"));
    assert!(verifies(&house, "authority/device-root.pem", &device, "sslclient"));
    assert!(!verifies(&house, "ca.pem", &device, "sslclient"), "a device under the anchor of bundles");
    assert!(!verifies(&house, "ca.pem", &device, "sslserver"), "a device playing the server");
    assert!(!verifies(&house, "authority/device-root.pem", &device, "sslserver"));
    assert!(!verifies(&house, "authority/device-root.pem", &server, "sslclient"));
    assert!(!verifies(&house, "ca.pem", &server, "sslclient"));
}

#[test]
fn the_certificate_message_stays_under_1500_bytes_for_the_longest_id_and_for_many_addresses() {
    let mut house = House::new();
    let issued = house.add_device(&"x".repeat(64));
    let chain: Vec<_> = blocks(&issued.chain_pem).iter().map(|pem| pem_to_der(&house, pem)).collect();
    assert!(message_len(&chain) < 1_500, "{}", message_len(&chain));

    let many = (0..60).map(|n| format!("fd00:1:2:3:4:5:6:{n:x}").parse().unwrap());
    let found = many.chain(names(&["localhost", "gate"])).collect();
    house.run(keyward_identity::Command::FindServerNames { names: found });
    let server = house.registrar().server_identity();
    assert!(server.names.contains(&"localhost".parse().unwrap()));
    assert!(message_len(&server.chain) < 1_500, "{}", message_len(&server.chain));
}

#[test]
fn certificates_begin_a_day_early_and_last_as_the_table_says() {
    let mut house = House::new();
    house.add_device("pump-1");
    let status = house.registrar().status(house.now);
    let days = |role: &str| {
        let found = status.certificates.iter().find(|certificate| certificate.role == role).unwrap();
        assert_eq!(found.not_before.0, NOW.0 - DAY, "{role}");
        (found.not_after.0 - NOW.0) / DAY
    };
    assert_eq!((days("server root"), days("device root")), (7_305, 7_305));
    assert_eq!((days("server issuing"), days("device issuing")), (3_653, 3_653));
    assert_eq!(days("server"), 397);
    assert_eq!((house.account("device:pump-1").certificates[0].not_after.0 - NOW.0) / DAY, 3_653);
}

#[test]
fn a_lifetime_can_be_shorter_but_not_longer_than_the_issuing_authoritys() {
    let mut house = House::new();
    let with = |days| NewCredential::Certificate { key: KeySource::Generate, lifetime_days: Some(days) };
    let issued = house.run(device("pump-1", with(30))).certificate.unwrap();
    assert_eq!((issued.not_after.0 - NOW.0) / DAY, 30);
    assert!(house.refused(device("pump-2", with(0))).to_string().contains("1 to 3653 days"));
    house.refused(device("pump-2", with(4_000)));
    house.now.0 += 3_000 * DAY;
    let late = house.run(device("pump-2", generated())).certificate.unwrap();
    assert_eq!((late.not_after.0 - NOW.0) / DAY, 3_653, "it ends with its issuer");
    house.now.0 += 700 * DAY;
    assert!(house.refused(device("pump-3", generated())).to_string().contains("issuing authority"));
}

#[test]
fn a_key_that_keyward_makes_is_pkcs8_and_belongs_to_the_certificate() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    let key = house.write("k.pem", issued.private_key_pem.unwrap().expose());
    let leaf = house.write("l.pem", &blocks(&issued.chain_pem)[0]);
    assert!(std::fs::read_to_string(&key).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let public = openssl(&["pkey", "-in", text(&key), "-pubout"]);
    assert_eq!(public, openssl(&["x509", "-in", text(&leaf), "-noout", "-pubkey"]));
    assert!(openssl(&["pkey", "-in", text(&key), "-noout", "-text"]).contains("prime256v1"));
}

#[test]
fn serials_are_positive_and_of_sixteen_bytes() {
    let mut house = House::new();
    let serials: std::collections::HashSet<_> =
        (0..20).map(|n| house.add_device(&format!("pump-{n}")).serial).collect();
    assert_eq!(serials.len(), 20);
    assert!(serials.iter().all(|serial| serial.as_bytes().len() == 16 && serial.as_bytes()[0] < 0x80));
}

#[test]
fn the_fingerprint_in_status_is_that_of_ca_pem() {
    let house = House::new();
    let shown = openssl(&["x509", "-in", text(&house.path("ca.pem")), "-noout", "-fingerprint", "-sha256"]);
    let fingerprint_shown = house.registrar().status(NOW).ca_fingerprint;
    assert!(shown.trim().ends_with(&fingerprint_shown), "{shown}");
    let der = pem_to_der(&house, &house.registrar().ca_pem());
    assert_eq!(fingerprint(&der), fingerprint_shown);
}

#[test]
fn the_key_id_is_the_digest_of_the_public_key_in_the_certificate() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    let leaf = house.write("l.pem", &blocks(&issued.chain_pem)[0]);
    let public = house.write("p.pem", openssl(&["x509", "-in", text(&leaf), "-noout", "-pubkey"]));
    let der = house.path("p.der");
    openssl(&["pkey", "-pubin", "-in", text(&public), "-outform", "DER", "-out", text(&der)]);
    let digest = openssl(&["dgst", "-sha256", text(&der)]);
    assert!(digest.trim().ends_with(&issued.key.to_string()), "{digest}");
}
