//! Certificates of version 1, written by hand: each thing that is refused differs from one that is taken in one place.

use super::*;
use crate::plane::entrance::Entrance;
use crate::plane::tls::trusted::{TrustedClients, TrustedVerifiers};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer as Signer, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ED25519,
    PKCS_RSA_SHA256, PublicKeyData, RevokedCertParams, SerialNumber, SigningKey,
};
use rustls::crypto::aws_lc_rs::default_provider;
use time::OffsetDateTime;

const NOW: u64 = 1_800_000_000;
const ECDSA_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let header = match length {
        0..=0x7f => vec![tag, length as u8],
        0x80..=0xff => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [header, content].concat()
}

fn name(common_name: &str) -> Vec<u8> {
    let text = element(0x0c, &[common_name.as_bytes()]);
    element(SEQUENCE, &[&element(0x31, &[&element(SEQUENCE, &[&[6, 3, 0x55, 4, 3], &text])])])
}

/// What is written into a certificate, signed with the key that it is given to.
struct Draft<'a> {
    before_serial: &'a [u8],
    serial: &'a [u8],
    inner_algorithm: &'a [u8],
    algorithm: &'a [u8],
    issuer: &'a str,
    validity: [&'a str; 2],
    after_key: &'a [u8],
    unused_bits: u8,
}

impl Default for Draft<'_> {
    fn default() -> Self {
        Self {
            before_serial: &[],
            serial: &[7],
            inner_algorithm: ECDSA_SHA256,
            algorithm: ECDSA_SHA256,
            issuer: "Old CA",
            validity: ["260101000000Z", "280101000000Z"],
            after_key: &[],
            unused_bits: 0,
        }
    }
}

impl Draft<'_> {
    fn signed(&self, by: &KeyPair) -> CertificateDer<'static> {
        self.of_key(by, &KeyPair::generate().unwrap())
    }

    fn of_key(&self, by: &KeyPair, key: &KeyPair) -> CertificateDer<'static> {
        let [from, until] = self.validity.map(|time| element(0x17, &[time.as_bytes()]));
        let signed = element(
            SEQUENCE,
            &[
                self.before_serial,
                &element(INTEGER, &[self.serial]),
                self.inner_algorithm,
                &name(self.issuer),
                &element(SEQUENCE, &[&from, &until]),
                &name("pump-1"),
                &key.subject_public_key_info(),
                self.after_key,
            ],
        );
        let signature = element(BIT_STRING, &[&[self.unused_bits], &by.sign(&signed).unwrap()]);
        element(SEQUENCE, &[&signed, self.algorithm, &signature]).into()
    }
}

/// The authority that a fleet had.
struct Old {
    key: KeyPair,
    params: CertificateParams,
}

impl Old {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Old CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { key: KeyPair::generate().unwrap(), params }
    }

    fn root(&self) -> CertificateDer<'static> {
        self.params.self_signed(&self.key).unwrap().der().clone()
    }

    fn list(&self, serials: &[&[u8]]) -> CertificateRevocationListDer<'static> {
        let moment =
            |days| OffsetDateTime::from_unix_timestamp(NOW as i64).unwrap() + time::Duration::days(days);
        let revoked = |serial: &&[u8]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: moment(-1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: moment(-1),
            next_update: moment(10),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let mut signer = self.params.clone();
        signer.key_usages = vec![KeyUsagePurpose::CrlSign, KeyUsagePurpose::KeyCertSign];
        params.signed_by(&Signer::from_params(&signer, &self.key)).unwrap().der().clone()
    }
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

/// Asks a trusted authority for its word on a certificate.
fn verdict(
    old: &Old,
    lists: &[CertificateRevocationListDer<'static>],
    leaf: &CertificateDer<'_>,
    seconds: u64,
) -> Result<(), Option<CertificateError>> {
    vouched(old, lists, leaf, &[], seconds)
}

fn vouched(
    old: &Old,
    lists: &[CertificateRevocationListDer<'static>],
    leaf: &CertificateDer<'_>,
    issuers: &[CertificateDer<'_>],
    seconds: u64,
) -> Result<(), Option<CertificateError>> {
    let name = "old".parse().unwrap();
    let clients = TrustedClients { name, roots: vec![old.root()], revocations: lists.to_vec() };
    let verifiers = TrustedVerifiers::new(vec![clients], &default_provider().into());
    match verifiers.vouching(&Entrance::default(), leaf, issuers, at(seconds)) {
        Ok(_) => Ok(()),
        Err(None) => Err(None),
        Err(Some(Error::InvalidCertificate(why))) => Err(Some(why)),
        Err(Some(other)) => panic!("{other}"),
    }
}

const STRANGE: Result<(), Option<CertificateError>> = Err(None);
const DAMAGED: Result<(), Option<CertificateError>> = Err(Some(CertificateError::BadEncoding));

#[test]
fn one_that_the_authority_itself_signed_is_taken_while_it_is_valid() {
    let old = Old::new();
    let leaf = Draft::default().signed(&old.key);
    assert_eq!(verdict(&old, &[], &leaf, NOW), Ok(()));
    // 1 January 2026 and 2028, both included.
    for (seconds, expected) in [
        (1_767_225_599, Err(Some(CertificateError::NotValidYet))),
        (1_767_225_600, Ok(())),
        (1_830_297_600, Ok(())),
        (1_830_297_601, Err(Some(CertificateError::Expired))),
    ] {
        assert_eq!(verdict(&old, &[], &leaf, seconds), expected, "{seconds}");
    }
}

#[test]
fn one_of_another_issuer_or_of_a_namesake_is_refused() {
    let (old, namesake) = (Old::new(), Old::new());
    let of_another = Draft { issuer: "Other CA", ..Draft::default() };
    assert_eq!(verdict(&old, &[], &of_another.signed(&old.key), NOW), STRANGE);
    let forged = Draft::default().signed(&namesake.key);
    assert_eq!(verdict(&old, &[], &forged, NOW), Err(Some(CertificateError::BadSignature)));
    let mut damaged = Draft::default().signed(&old.key).to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(verdict(&old, &[], &damaged.into(), NOW), Err(Some(CertificateError::BadSignature)));
}

/// Whoever has a certificate of version 1 has no word in it that it is no authority.
#[test]
fn one_never_vouches_for_another_not_even_under_the_name_of_its_issuer() {
    let old = Old::new();
    let middle_key = KeyPair::generate().unwrap();
    let middle = Draft::default().of_key(&old.key, &middle_key);
    assert_eq!(verdict(&old, &[], &middle, NOW), Ok(()));
    for (issuer, expected) in [("pump-1", STRANGE), ("Old CA", Err(Some(CertificateError::BadSignature)))] {
        let below = Draft { issuer, ..Draft::default() }.signed(&middle_key);
        assert_eq!(vouched(&old, &[], &below, std::slice::from_ref(&middle), NOW), expected, "{issuer}");
    }
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "pump-1");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signer = Signer::new(params, middle_key);
    let below = CertificateParams::default().signed_by(&KeyPair::generate().unwrap(), &signer).unwrap();
    assert!(vouched(&old, &[], below.der(), &[middle], NOW).is_err(), "of version 3");
}

#[test]
fn an_issuer_in_between_does_not_count() {
    let old = Old::new();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Middle CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let middle = params.signed_by(&key, &Signer::from_params(&old.params, &old.key)).unwrap();
    let leaf = Draft { issuer: "Middle CA", ..Draft::default() }.signed(&key);
    assert_eq!(vouched(&old, &[], &leaf, &[middle.der().clone()], NOW), STRANGE);
}

#[test]
fn one_that_is_on_a_list_of_its_authority_is_refused_however_its_number_is_written() {
    let old = Old::new();
    let leaf = |serial| Draft { serial, ..Draft::default() }.signed(&old.key);
    let lists = [old.list(&[&[3], &[7]]), old.list(&[&[9]])];
    for serial in [&[7][..], &[0, 7], &[9]] {
        assert_eq!(
            verdict(&old, &lists, &leaf(serial), NOW),
            Err(Some(CertificateError::Revoked)),
            "{serial:?}"
        );
    }
    assert_eq!(verdict(&old, &lists, &leaf(&[8]), NOW), Ok(()));
    assert_eq!(verdict(&old, &lists, &leaf(&[7, 0]), NOW), Ok(()));
}

#[test]
fn what_version_1_does_not_have_is_refused() {
    let old = Old::new();
    let extensions = element(0xa3, &[&element(SEQUENCE, &[])]);
    let basic = element(SEQUENCE, &[&[6, 3, 0x55, 0x1d, 0x13], &element(4, &[&element(SEQUENCE, &[])])]);
    let some = element(0xa3, &[&element(SEQUENCE, &[&basic])]);
    for (what, after_key) in [
        ("extensions", &some[..]),
        ("an empty list of them", &extensions),
        ("an issuer's unique id", &[0x81, 2, 0, 1]),
        ("a subject's unique id", &[0x82, 2, 0, 1]),
        ("anything", &[5, 0]),
    ] {
        let leaf = Draft { after_key, ..Draft::default() }.signed(&old.key);
        assert_eq!(verdict(&old, &[], &leaf, NOW), DAMAGED, "{what}");
    }
    for version in [0, 1, 3] {
        let before_serial = &[0xa0, 3, INTEGER, 1, version];
        let leaf = Draft { before_serial, ..Draft::default() }.signed(&old.key);
        assert!(!is_version1(&leaf));
        assert!(verdict(&old, &[], &leaf, NOW).is_err(), "version {} is said", version + 1);
    }
}

#[test]
fn what_is_no_der_or_says_two_things_is_refused() {
    let old = Old::new();
    let good = Draft::default().signed(&old.key);
    let followed = [&good[..], &[0]].concat();
    assert_eq!(verdict(&old, &[], &followed.into(), NOW), DAMAGED);
    let longer = [&[SEQUENCE, 0x81], &ECDSA_SHA256[1..]].concat();
    for (what, draft) in [
        ("two algorithms", Draft { inner_algorithm: ED25519, ..Draft::default() }),
        ("no number", Draft { serial: &[], ..Draft::default() }),
        ("bits that are not used", Draft { unused_bits: 1, ..Draft::default() }),
        ("a time that is none", Draft { validity: ["260101000000Z", "281301000000Z"], ..Draft::default() }),
        (
            "a long form of a short length",
            Draft { algorithm: &longer, inner_algorithm: &longer, ..Draft::default() },
        ),
    ] {
        assert_eq!(verdict(&old, &[], &draft.signed(&old.key), NOW), DAMAGED, "{what}");
    }
    for end in 0..good.len() {
        assert_eq!(Certificate::read(&good[..end]), None, "{end} bytes");
    }
}

#[test]
fn a_signature_is_of_the_algorithm_that_is_named_and_allowed() {
    let old = Old::new();
    let other = |algorithm| Draft { algorithm, inner_algorithm: algorithm, ..Draft::default() };
    // SHA-1 with ECDSA; Ed25519, which is not the kind of the key; RSA.
    let sha1 = [0x30, 9, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];
    let rsa = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 11, 5, 0];
    for algorithm in [&sha1[..], ED25519, &rsa] {
        let leaf = other(algorithm).signed(&old.key);
        assert_eq!(
            verdict(&old, &[], &leaf, NOW),
            Err(Some(CertificateError::BadSignature)),
            "{algorithm:?}"
        );
    }
    let old = Old { key: KeyPair::generate_for(&PKCS_ED25519).unwrap(), ..Old::new() };
    assert_eq!(verdict(&old, &[], &other(ED25519).signed(&old.key), NOW), Ok(()));
    let old = Old { key: KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(), ..Old::new() };
    assert_eq!(verdict(&old, &[], &other(&rsa).signed(&old.key), NOW), Ok(()));
}

#[test]
fn an_authority_whose_extensions_limit_what_it_certifies_says_nothing_of_version_1() {
    let limits: [fn(&mut CertificateParams); 3] = [
        |params| params.key_usages = vec![KeyUsagePurpose::CrlSign],
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        |params| {
            let permitted_subtrees = vec![rcgen::GeneralSubtree::DnsName("home".into())];
            params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
        },
    ];
    for limit in limits {
        let mut old = Old::new();
        let leaf = Draft::default().signed(&old.key);
        assert_eq!(verdict(&old, &[], &leaf, NOW), Ok(()));
        limit(&mut old.params);
        assert_eq!(verdict(&old, &[], &leaf, NOW), STRANGE);
    }
}

/// For webpki an authority has no end; its clients went on after the day on which Mosquitto, and `keyward doctor`, end them.
#[test]
fn an_authority_vouches_in_its_own_time_only_for_certificates_of_every_version() {
    let mut old = Old::new();
    (old.params.not_before, old.params.not_after) =
        (rcgen::date_time_ymd(2026, 2, 1), rcgen::date_time_ymd(2027, 2, 1));
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2028, 1, 1));
    let signer = Signer::from_params(&old.params, &old.key);
    let version3 = params.signed_by(&KeyPair::generate().unwrap(), &signer).unwrap().der().clone();
    for leaf in [Draft::default().signed(&old.key), version3] {
        // 1 February 2026 and 2027, both included.
        for (seconds, is_taken) in
            [(1_769_903_999, false), (1_769_904_000, true), (1_801_440_000, true), (1_801_440_001, false)]
        {
            assert_eq!(verdict(&old, &[], &leaf, seconds).is_ok(), is_taken, "{seconds}");
        }
    }
}
