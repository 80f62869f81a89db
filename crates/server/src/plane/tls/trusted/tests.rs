//! Certificates of version 3 under authorities of others: what limits an authority holds here too.

use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints, RevokedCertParams,
    SerialNumber,
};
use rustls::crypto::aws_lc_rs::default_provider;
use std::slice::from_ref;

/// Is a certificate that certifies others, with its key.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from_slice(&[200]));
    params
}

impl Authority {
    fn root(change: fn(&mut CertificateParams)) -> Self {
        let (mut params, key) = (params("Old CA"), KeyPair::generate().unwrap());
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn middle(&self, name: &str) -> Self {
        self.certify(name, KeyPair::generate().unwrap())
    }

    fn certify(&self, name: &str, key: KeyPair) -> Self {
        let params = params(name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn leaf(&self, serial: u8) -> CertificateDer<'static> {
        self.leaf_named("pump-1.fleet.example", serial)
    }

    fn leaf_named(&self, name: &str, serial: u8) -> CertificateDer<'static> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from_slice(&[serial]));
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }

    fn list(&self, revoked: &[u8]) -> CertificateRevocationListDer<'static> {
        let entry = |serial: &u8| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[*serial]),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2028, 1, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().clone()
    }
}

/// Trusts an authority with these certificates and lists.
fn trusting(
    roots: &[&Authority],
    lists: &[CertificateRevocationListDer<'static>],
) -> impl Fn(&CertificateDer<'_>, &[&Authority]) -> Result<(), String> + use<> {
    let roots = roots.iter().map(|root| root.certificate.clone()).collect();
    let clients = TrustedClients { name: "old".parse().unwrap(), roots, revocations: lists.to_vec() };
    let verifiers = TrustedVerifiers::new(vec![clients], &default_provider().into());
    move |leaf, issuers| {
        let issuers: Vec<_> = issuers.iter().map(|issuer| issuer.certificate.clone()).collect();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
        let word = verifiers.vouching(&Entrance::default(), leaf, &issuers, now);
        word.map(drop).map_err(|why| why.map_or_else(|| "nobody signed it".to_owned(), |why| why.to_string()))
    }
}

fn refused_for(word: Result<(), String>, why: &str) {
    let said = word.expect_err(why);
    assert!(said.contains(why), "{said}");
}

/// Mosquitto refuses a client below an authority that the old one was not to make. webpki forgets how far a trust anchor reaches.
#[test]
fn an_authority_certifies_no_further_down_than_its_path_length() {
    let free = Authority::root(|_| ());
    let [none, one] = [
        Authority::root(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
        Authority::root(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1))),
    ];
    for (root, reach) in [(&none, 0), (&one, 1), (&free, 2)] {
        let word = trusting(&[root], &[]);
        let middle = root.middle("Middle CA");
        let lower = middle.middle("Lower CA");
        word(&root.leaf(1), &[]).unwrap();
        word(&root.leaf(1), &[&middle, &lower]).expect("what is sent and not needed does not count");
        for (depth, below) in [(1, middle.leaf(1)), (2, lower.leaf(1))] {
            match word(&below, &[&middle, &lower]) {
                Ok(()) => assert!(depth <= reach, "{depth} below one that reaches {reach}"),
                Err(why) => {
                    assert!(depth > reach && why.contains("MayNotCertify"), "{depth}, {reach}: {why}")
                }
            }
        }
    }
}

#[test]
fn a_way_that_is_short_enough_counts_where_there_is_a_long_one_too() {
    let root = Authority::root(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)));
    let upper = root.middle("Upper CA");
    let long = upper.middle("Middle CA");
    let same_key = KeyPair::from_pem(&long.issuer.key().serialize_pem()).unwrap();
    let short = root.certify("Middle CA", same_key);
    let leaf = long.leaf(1);
    let word = trusting(&[&root], &[]);
    refused_for(word(&leaf, &[&long, &upper]), "MayNotCertify");
    word(&leaf, &[&long, &upper, &short]).unwrap();
}

/// It was trusted with such a certificate, and its clients got in: webpki looks at neither in a trust anchor.
#[test]
fn an_authority_that_may_not_certify_clients_has_no_word() {
    let limits: [fn(&mut CertificateParams); 2] = [
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        |params| params.key_usages = vec![KeyUsagePurpose::CrlSign],
    ];
    for limit in limits {
        let root = Authority::root(limit);
        refused_for(trusting(&[&root], &[])(&root.leaf(1), &[]), "MayNotCertify");
    }
    let root = Authority::root(|params| {
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    });
    trusting(&[&root], &[])(&root.leaf(1), &[]).unwrap();
}

#[test]
fn an_authority_certifies_the_names_that_it_may() {
    let root = Authority::root(|params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("fleet.example".into())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    });
    let word = trusting(&[&root], &[]);
    word(&root.leaf_named("a.fleet.example", 1), &[]).unwrap();
    assert!(word(&root.leaf_named("a.other.example", 1), &[]).is_err());
}

/// With `crlfile` Mosquitto refuses whom no list covers. Here an intermediate that the client sent itself was enough to
/// get around the lists.
#[test]
fn where_an_authority_has_lists_each_issuer_of_a_client_needs_one() {
    let root = Authority::root(|_| ());
    let middle = root.middle("Middle CA");
    let below = middle.leaf(1);
    trusting(&[&root], &[])(&below, &[&middle]).expect("without lists nothing is asked");
    let lists = [root.list(&[9])];
    let word = trusting(&[&root], &lists);
    word(&root.leaf(1), &[]).unwrap();
    refused_for(word(&root.leaf(9), &[]), "Revoked");
    refused_for(word(&below, &[&middle]), "UnknownRevocationStatus");

    // The issuer is in the file of the authority, without a list of its own and with one.
    let both = [&root, &middle];
    refused_for(trusting(&both, &lists)(&below, &[&middle]), "UnknownRevocationStatus");
    let lists = [root.list(&[9]), middle.list(&[8])];
    let word = trusting(&both, &lists);
    word(&below, &[&middle]).unwrap();
    word(&below, &[]).unwrap();
    refused_for(word(&middle.leaf(8), &[&middle]), "Revoked");
    refused_for(word(&root.leaf(9), &[]), "Revoked");
}

/// Both generations have one name, and a list was asked for by name: that of one was no list of the other, and all of its
/// clients were refused.
#[test]
fn of_two_generations_with_one_name_each_has_the_lists_of_its_own_key() {
    let generations = [Authority::root(|_| ()), Authority::root(|_| ())];
    let [first, second] = &generations;
    for lists in [[first.list(&[1]), second.list(&[2])], [second.list(&[2]), first.list(&[1])]] {
        let word = trusting(&[first, second], &lists);
        word(&first.leaf(2), &[]).unwrap();
        word(&second.leaf(1), &[]).unwrap();
        refused_for(word(&first.leaf(1), &[]), "Revoked");
        refused_for(word(&second.leaf(2), &[]), "Revoked");
    }
    let word = trusting(&[first, second], from_ref(&first.list(&[1])));
    word(&first.leaf(2), &[]).unwrap();
    refused_for(word(&second.leaf(2), &[]), "UnknownRevocationStatus");
}
