//! Authorities of others: what is taken as one, whom its names stand for, and what a restore makes of it.

use crate::support::*;

use keyward_identity::{
    CertificateRefusal, Command, LocalName, ProvenBy, Refusal, TrustRefusal, Unfit, limits,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

pub fn authority_pem(is_ca: bool) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Old CA");
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

pub fn old() -> LocalName {
    "old".parse().unwrap()
}

pub fn trust(name: &str, pem: &str) -> Command {
    let certificates = pem.as_bytes().to_vec();
    let (name, proves) = (name.parse().unwrap(), ProvenBy::CommonName);
    Command::TrustAuthority { name, proves, certificates, revocations: None }
}

pub fn bind(who: &str, common_name: &str) -> Command {
    let (identity, common_name) = (who.parse().unwrap(), common_name.to_owned());
    Command::BindName { identity, name: old(), common_name, certificate: None }
}

pub fn admitted(house: &House, common_name: &str) -> Result<String, CertificateRefusal> {
    let key = house.registrar().registry().keys_of(&"device:key".parse().unwrap()).next().copied();
    let registry = house.registrar().registry();
    let account = registry.admit_bound_name(&old(), common_name, &key.unwrap())?;
    Ok(account.map_or_else(String::new, |account| account.identity.to_string()))
}

/// A house that trusts the old authority, with a device whose key is anybody's.
pub fn house() -> House {
    let mut house = House::new();
    house.add_device("key");
    house.run(trust("old", &authority_pem(true)));
    house
}

#[test]
fn what_is_no_authority_or_our_own_is_not_trusted() {
    let mut house = house();
    let refused = |house: &mut House, pem: &str| match house.refused(trust("other", pem)) {
        Refusal::Trust(why) => why,
        other => panic!("{other}"),
    };
    let ours = std::fs::read_to_string(house.path("authority/device-root.pem")).unwrap();
    assert!(matches!(refused(&mut house, &ours), TrustRefusal::Own { .. }));
    assert!(matches!(refused(&mut house, &authority_pem(false)), TrustRefusal::NoAuthority { .. }));
    for nothing in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(matches!(refused(&mut house, nothing), TrustRefusal::Malformed { .. }), "{nothing}");
    }
    let with_key = authority_pem(true) + &KeyPair::generate().unwrap().serialize_pem();
    assert!(matches!(refused(&mut house, &with_key), TrustRefusal::HoldsPrivateKey { .. }));
    let large = "x".repeat(limits::TRUSTED_CERTIFICATE_BYTES + 1);
    assert!(matches!(refused(&mut house, &large), TrustRefusal::TooLarge { .. }));
    let pem = authority_pem(true);
    house.run(trust("second", &pem));
    assert!(matches!(refused(&mut house, &pem), TrustRefusal::Known { .. }));
    assert!(matches!(house.refused(trust("second", &authority_pem(true))), Refusal::AuthorityExists(_)));
    for name in ["third", "fourth"] {
        house.run(trust(name, &authority_pem(true)));
    }
    assert!(matches!(house.refused(trust("fifth", &authority_pem(true))), Refusal::Full { .. }));
    assert!("Old".parse::<LocalName>().is_err() && "../x".parse::<LocalName>().is_err());
}

/// It was trusted and let its clients in, whom every other TLS library refuses.
#[test]
fn an_authority_that_may_not_certify_clients_is_not_trusted_and_the_reason_is_told() {
    use rcgen::{ExtendedKeyUsagePurpose as Purpose, KeyUsagePurpose as Usage};
    let mut house = house();
    let pem = |usages: &[Usage], purposes: &[Purpose]| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.key_usages, params.extended_key_usages) = (usages.to_vec(), purposes.to_vec());
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    };
    for (usages, purposes, expected) in [
        (&[Usage::CrlSign][..], &[][..], Unfit::SignsNoCertificates),
        (&[Usage::KeyCertSign], &[Purpose::ServerAuth], Unfit::NotForClients),
    ] {
        match house.refused(trust("other", &pem(usages, purposes))) {
            Refusal::Trust(TrustRefusal::Unfit { why, .. }) => assert_eq!(why, expected),
            other => panic!("{other}"),
        }
    }
    let both = authority_pem(true) + &pem(&[], &[Purpose::ServerAuth]);
    assert!(matches!(house.refused(trust("other", &both)), Refusal::Trust(TrustRefusal::Unfit { .. })));
    house.run(trust("other", &pem(&[Usage::KeyCertSign], &[Purpose::ServerAuth, Purpose::ClientAuth])));
}

#[test]
fn a_name_stands_for_one_identity_that_exists_and_only_as_long_as_it_holds_credentials() {
    let mut house = house();
    house.add_device("pump-1");
    house.add_device("pump-2");
    assert!(matches!(house.refused(bind("device:nobody", "x")), Refusal::NoSuchIdentity(_)));
    assert!(matches!(house.refused(bind("device:pump-1", "a\nb")), Refusal::BadCommonName));
    house.run(bind("device:pump-1", "Kitchen"));
    assert!(matches!(house.refused(bind("device:pump-2", "Kitchen")), Refusal::NameBound { .. }));
    assert_eq!(admitted(&house, "Kitchen").unwrap(), "device:pump-1");
    assert!(matches!(admitted(&house, "pump-1"), Err(CertificateRefusal::Unbound { .. })));
    house.open().unwrap();
    assert_eq!(admitted(&house, "Kitchen").unwrap(), "device:pump-1", "after a restart");
    house.run(revoke("device:pump-1"));
    assert!(matches!(admitted(&house, "Kitchen"), Err(CertificateRefusal::Unbound { .. })));
    assert!(matches!(house.refused(bind("device:pump-1", "x")), Refusal::IsRevoked(_)));
    house.run(remove("device:pump-1"));
    house.add_device("pump-1");
    assert!(matches!(admitted(&house, "Kitchen"), Err(CertificateRefusal::Unbound { .. })), "another life");
    for n in 0..limits::BOUND_NAMES {
        house.run(bind("device:pump-2", &format!("name {n}")));
    }
    assert!(matches!(house.refused(bind("device:pump-2", "one more")), Refusal::Full { .. }));
}

#[test]
fn an_authority_that_is_removed_and_trusted_again_knows_no_names() {
    let mut house = house();
    house.add_device("pump-1");
    house.run(bind("device:pump-1", "Kitchen"));
    let epoch = house.account("device:pump-1").epoch;
    house.run(Command::DistrustAuthority { name: old() });
    assert!(house.account("device:pump-1").epoch > epoch, "links are closed");
    assert!(matches!(admitted(&house, "Kitchen"), Err(CertificateRefusal::Distrusted { .. })));
    house.run(trust("old", &authority_pem(true)));
    assert!(matches!(admitted(&house, "Kitchen"), Err(CertificateRefusal::Unbound { .. })));
    assert!(matches!(
        house.refused(Command::DistrustAuthority { name: "x".parse().unwrap() }),
        Refusal::NoSuchAuthority(_)
    ));
}

#[test]
fn a_list_of_another_authority_is_refused() {
    let mut house = house();
    let revocations = authority_pem(true).into_bytes();
    let refusal = house.refused(Command::SetRevocations { name: old(), revocations });
    assert!(matches!(refusal, Refusal::Trust(TrustRefusal::Malformed { .. })), "{refusal}");
}

#[test]
fn the_key_of_an_imported_server_certificate_is_sealed_and_goes_into_backups_that_hold_keys() {
    use keyward_identity::{OpenOptions, Registrar, Secret, restore};
    let mut house = house();
    let key = KeyPair::generate().unwrap();
    let chain = CertificateParams::new(vec!["old.home".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let import = Command::ImportServerCertificate {
        name: old(),
        chain: chain.into_bytes(),
        key: Secret::new(key.serialize_der()),
    };
    house.run(import.clone());
    let [path] = &restore::files(house.dir.path())
        .unwrap()
        .into_iter()
        .map(|file| file.path)
        .filter(|path| path.to_string_lossy().starts_with("keys/imported-"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("not in the backup")
    };
    house.close();
    let sealed = OpenOptions { protection: passphrase("right"), ..options() };
    let registrar = Registrar::open(house.dir.path(), sealed).unwrap();
    assert_eq!(registrar.imported_identity(&old()).unwrap().private_key.expose(), key.serialize_der());
    let text = std::fs::read_to_string(house.path(&path.to_string_lossy())).unwrap();
    assert!(text.contains("KEYWARD SEALED KEY"), "{text}");
    drop(registrar);
    // A key that is lost stops nothing but its listener.
    std::fs::remove_file(house.path(&path.to_string_lossy())).unwrap();
    let sealed = OpenOptions { protection: passphrase("right"), ..options() };
    let registrar = Registrar::open(house.dir.path(), sealed).unwrap();
    assert!(registrar.imported_identity(&old()).is_none() && registrar.imported_certificates().len() == 1);
    assert!(registrar.status(house.now).mended.iter().any(|line| line.contains("server certificate old")));
}
