//! What was taken away from authorities of others after a backup: trust, names, certificates by a newer list.

use super::*;
use crate::trust::{admitted, bind, old};
use keyward_identity::ProvenBy;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

/// An authority that signs lists of revoked certificates.
struct Old(String, Issuer<'static, KeyPair>);

impl Old {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Old CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self(pem, Issuer::new(params, key))
    }

    fn list(&self, serials: &[u8]) -> Vec<u8> {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let revoked = |serial: &u8| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[*serial]),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now,
            next_update: now + Duration::days(10),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.1).unwrap().pem().unwrap().into_bytes()
    }
}

/// Backs up a house whose authority has a list with one serial number, then takes much away.
struct Taken {
    house: House,
    backup: Backup,
    /// Where the first record behind the backup begins.
    behind: usize,
}

fn gone() -> keyward_identity::LocalName {
    "gone".parse().unwrap()
}

impl Taken {
    fn new() -> Self {
        let (authority, removed) = (Old::new(), Old::new());
        let mut house = House::new();
        for id in ["key", "pump-1", "pump-2", "pump-3"] {
            house.add_device(id);
        }
        let mut trust = |name, authority: &Old| {
            let certificates = authority.0.clone().into_bytes();
            let revocations = Some(authority.list(&[1]));
            house.run(Command::TrustAuthority {
                name,
                proves: ProvenBy::CommonName,
                certificates,
                revocations,
            });
        };
        trust(old(), &authority);
        trust(gone(), &removed);
        house.run(bind("device:pump-1", "Kitchen 1"));
        house.run(bind("device:pump-2", "Kitchen 2"));
        let common_name = "Kitchen 3".to_owned();
        let identity = "device:pump-3".parse().unwrap();
        house.run(Command::BindName { identity, name: gone(), common_name, certificate: None });
        let backup = back_up(&house);
        house.now.0 += HOUR;
        house.run(Command::NoteConfigChange { summary: "the record that is damaged".into() });
        house.run(Command::UnbindName { name: old(), common_name: "Kitchen 1".into() });
        house.run(Command::DistrustAuthority { name: gone() });
        for revoked in [&[1, 2][..], &[1, 2, 3]] {
            house.run(Command::SetRevocations { name: old(), revocations: authority.list(revoked) });
        }
        let behind = backup.ledger.len();
        Self { house, backup, behind }
    }

    fn confirm(&mut self) {
        self.house.run(Command::ConfirmAll);
        self.house.run(Command::ConfirmAuthority { name: old() });
    }

    fn revoked(&self) -> Option<usize> {
        self.house.registrar().registry().trusted()[&old()].summary().revoked
    }
}

#[test]
fn what_was_taken_from_an_authority_behind_a_damage_does_not_come_back_with_its_confirmation() {
    let mut taken = Taken::new();
    taken.house.close();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        let mut bytes = fs::read(taken.house.path(copy)).unwrap();
        bytes[taken.behind + 30] ^= 1;
        taken.house.write(copy, bytes);
    }
    let report = restore(&mut taken.house, &taken.backup, None);
    assert!(matches!(report.old_ledger, OldLedger::Damaged { salvaged: 4, .. }), "{report:?}");
    let applied = Applied { names: 1, authorities: 1, lists: 1, ..Applied::default() };
    assert_eq!((report.applied, &report.outdated[..]), (applied, &[][..]));
    assert!(report.to_string().contains("1 removed, 1 names unbound, 1 with their newer list"), "{report}");
    taken.confirm();
    assert!(matches!(admitted(&taken.house, "Kitchen 1"), Err(CertificateRefusal::Unbound { .. })));
    assert_eq!(admitted(&taken.house, "Kitchen 2").unwrap(), "device:pump-2");
    assert_eq!(taken.revoked(), Some(3), "the newest list");
    assert!(matches!(
        taken.house.refused(Command::ConfirmAuthority { name: gone() }),
        Refusal::NoSuchAuthority(_)
    ));
    assert!(taken.house.account("device:pump-3").bound_names.is_empty());
}

#[test]
fn the_list_that_is_kept_elsewhere_names_what_was_taken_from_authorities() {
    let mut taken = Taken::new();
    let list = printed(&taken.house);
    for line in ["device:pump-1 name-unbound old Kitchen%201 record=", "authority:gone removed record="] {
        assert!(list.to_string().contains(line), "{list}");
    }
    assert_eq!(
        RevokedList::parse(Path::new("list"), list.to_string().as_bytes()).unwrap().to_string(),
        list.to_string()
    );
    let list = RevokedList::parse(Path::new("list"), list.to_string().as_bytes()).unwrap();
    taken.house.close();
    fs::remove_dir_all(taken.house.path("ledger")).unwrap();
    let report = restore(&mut taken.house, &taken.backup, Some(&list));
    assert_eq!(report.applied, Applied { names: 1, authorities: 1, ..Applied::default() });
    assert_eq!(report.outdated, [old()], "the text says that there is a newer list, not what stands in it");
    assert!(report.to_string().contains("keyward authority trust crl old"), "{report}");
    taken.confirm();
    assert!(matches!(admitted(&taken.house, "Kitchen 1"), Err(CertificateRefusal::Unbound { .. })));
    assert!(matches!(
        taken.house.refused(Command::ConfirmAuthority { name: gone() }),
        Refusal::NoSuchAuthority(_)
    ));
}

#[test]
fn what_the_backup_knows_is_not_taken_from_an_authority_twice() {
    let mut taken = Taken::new();
    let list = printed(&taken.house);
    taken.house.run(bind("device:pump-1", "Kitchen 1"));
    let backup = back_up(&taken.house);
    taken.house.close();
    fs::remove_dir_all(taken.house.path("ledger")).unwrap();
    let report = restore(&mut taken.house, &backup, Some(&list));
    assert_eq!((report.applied, &report.outdated[..]), (Applied::default(), &[][..]));
    taken.confirm();
    assert_eq!(admitted(&taken.house, "Kitchen 1").unwrap(), "device:pump-1");
}

#[test]
fn whom_a_list_that_is_lost_shut_out_stays_out_until_somebody_answers_for_the_authority() {
    let mut taken = Taken::new();
    let printed = printed(&taken.house).to_string();
    let by_word: String = printed
        .lines()
        .filter(|line| !line.starts_with("complete-until"))
        .fold(String::new(), |text, line| text + line + "\n");
    let list = RevokedList::parse(Path::new("list"), by_word.as_bytes()).unwrap();
    taken.house.close();
    fs::remove_dir_all(taken.house.path("ledger")).unwrap();
    let report = restore(&mut taken.house, &taken.backup, Some(&list));
    assert_eq!((report.unknown, report.unconfirmed), (None, 0), "all else is known");
    assert_eq!((&report.outdated[..], &report.authorities[..]), (&[old()][..], &[old()][..]));
    let told = report.to_string();
    assert!(told.contains("keyward authority trust confirm old"), "{told}");
    assert!(!told.contains("nothing of it comes back"), "{told}");
    assert_eq!(taken.revoked(), Some(1), "the list of the backup");
    assert!(matches!(admitted(&taken.house, "Kitchen 2"), Err(CertificateRefusal::Distrusted { .. })));
    taken.confirm();
    assert_eq!(admitted(&taken.house, "Kitchen 2").unwrap(), "device:pump-2");
}
