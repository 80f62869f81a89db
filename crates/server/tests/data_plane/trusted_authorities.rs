//! Clients of an authority that is not ours: who they are is said by what was bound, not by what stands in a certificate.

use crate::peer::{Hello, Peer, tls_config, tls_config_of};
use crate::world::{Bundle, World, bundle, now};
use keyward_identity::{Command, LocalName, NewPassword, ProvenBy, Secret};
use keyward_ids::Identity;
use keyward_mqtt::reason::ReasonCode;
use keyward_server::login::LoginRule;
use keyward_server::plane::{Entrance, Listener};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::version::{TLS12, TLS13};
use std::{fs, path::Path, process::Command as Program, sync::Arc};
use time::OffsetDateTime;

/// The authority that a fleet had before it came here.
pub(crate) struct OldAuthority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn moment(days: i64) -> OffsetDateTime {
    let days =
        OffsetDateTime::from_unix_timestamp((now().0 / 1_000) as i64).unwrap() + time::Duration::days(days);
    days.replace_nanosecond(0).unwrap()
}

impl OldAuthority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certifies a client until so many days from now.
    pub(crate) fn client_until(&self, common_name: &str, serial: &[u8], days: i64) -> Bundle {
        let mut params = named(common_name);
        params.serial_number = Some(SerialNumber::from_slice(serial));
        (params.not_before, params.not_after) = (moment(-20), moment(days));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        bundle(&certificate.pem(), &key.serialize_pem())
    }

    fn client(&self, common_name: &str, serial: u8) -> Bundle {
        self.client_until(common_name, &[serial], 20)
    }

    fn list(&self, revoked: &[u8]) -> Vec<u8> {
        let revoked_certs = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[*serial]),
            revocation_time: moment(-1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: moment(-1),
            next_update: moment(10),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap().into_bytes()
    }
}

fn old() -> LocalName {
    "old".parse().unwrap()
}

pub(crate) fn trust(world: &mut World, authority: &OldAuthority, proves: ProvenBy) {
    let certificates = authority.pem.clone().into_bytes();
    world.command(Command::TrustAuthority { name: old(), proves, certificates, revocations: None });
}

pub(crate) fn bind(world: &mut World, who: &str, common_name: &str, certificate: Option<&Bundle>) {
    let identity: Identity = who.parse().unwrap();
    let certificate = certificate.map(|bundle| bundle.chain[0].to_vec());
    let common_name = common_name.to_owned();
    world.command(Command::BindName { identity, name: old(), common_name, certificate });
}

fn hello(world: &World, bundle: &Bundle) -> ReasonCode {
    Peer::tls(world, Some(bundle)).hello(&Hello::default())
}

/// Whoever holds the key of the old authority certifies the name of an administrator.
#[test]
fn a_name_that_was_not_bound_is_nobodys_whoever_is_called_so() {
    let mut world = World::with(World::hasty());
    let old_authority = OldAuthority::new("Old CA");
    world.add_user("admin", "correct horse battery");
    let ours = world.add_device("pump-1");
    world.add_device("pump-2");
    trust(&mut world, &old_authority, ProvenBy::CommonName);
    for name in ["admin", "user:admin", "pump-1", "pump-2"] {
        assert_eq!(hello(&world, &old_authority.client(name, 1)), ReasonCode::NotAuthorized, "{name}");
    }
    world.told.login_cause("'admin' in a certificate of the authority old");
    bind(&mut world, "device:pump-2", "pump-2", None);
    bind(&mut world, "device:pump-1", "Kitchen 1", None);
    for name in ["admin", "user:admin", "pump-1", "PUMP-2", "kitchen 1"] {
        assert_eq!(hello(&world, &old_authority.client(name, 1)), ReasonCode::NotAuthorized, "{name}");
    }
    Peer::tls(&world, Some(&old_authority.client("pump-2", 2))).log_in("c1");
    let kitchen = old_authority.client("Kitchen 1", 3);
    for username in [None, Some("Kitchen 1"), Some("pump-1"), Some("device:pump-1")] {
        let hello = Hello { username, password: Some("is not looked at"), ..Hello::default() };
        assert_eq!(Peer::tls(&world, Some(&kitchen)).hello(&hello), ReasonCode::Success, "{username:?}");
    }
    let other = Hello { username: Some("pump-2"), ..Hello::default() };
    assert_eq!(Peer::tls(&world, Some(&kitchen)).hello(&other), ReasonCode::NotAuthorized);
    Peer::tls(&world, Some(&ours)).log_in("c2");
}

#[test]
fn a_serial_number_of_ours_under_another_authority_is_not_ours() {
    let mut world = World::with(World::hasty());
    let old_authority = OldAuthority::new("Old CA");
    let ours = world.add_device("pump-1");
    let serial = {
        let identity: Identity = "device:pump-1".parse().unwrap();
        world.registrar.registry().find(&identity).unwrap().certificates[0].serial.clone()
    };
    trust(&mut world, &old_authority, ProvenBy::CommonName);
    let twin = old_authority.client_until("pump-1", serial.as_bytes(), 20);
    assert_eq!(hello(&world, &twin), ReasonCode::NotAuthorized);
    world.add_device("pump-2");
    bind(&mut world, "device:pump-2", "pump-1", None);
    world.revoke("device:pump-1");
    assert_eq!(hello(&world, &ours), ReasonCode::NotAuthorized);
    assert_eq!(hello(&world, &twin), ReasonCode::Success, "it is pump-2 by what was bound");
}

#[test]
fn what_is_taken_away_closes_live_links_and_shuts_the_door() {
    let mut world = World::with(World::hasty());
    let old_authority = OldAuthority::new("Old CA");
    let [one, two, three] = [1, 2, 3].map(|n| {
        world.add_device(&format!("pump-{n}"));
        old_authority.client(&format!("pump-{n}"), n)
    });
    trust(&mut world, &old_authority, ProvenBy::CommonName);
    for n in 1..=3 {
        bind(&mut world, &format!("device:pump-{n}"), &format!("pump-{n}"), None);
    }
    let log_in = |world: &World, bundle: &Bundle, id: &str| Peer::tls(world, Some(bundle)).log_in(id);
    let mut peer = log_in(&world, &one, "c1");
    let common_name = "pump-1".to_owned();
    let (_, applied) = world.command(Command::UnbindName { name: old(), common_name });
    assert_eq!((applied.closed, peer.frame()), (1, None));
    assert_eq!(hello(&world, &one), ReasonCode::NotAuthorized);

    let identity: Identity = "device:pump-2".parse().unwrap();
    let mut peer = log_in(&world, &two, "c2");
    let (_, applied) = world.command(Command::Disable { identity: identity.clone() });
    assert_eq!((applied.closed, peer.frame()), (1, None));
    assert_eq!(hello(&world, &two), ReasonCode::NotAuthorized);
    world.command(Command::Enable { identity });

    let mut peers = [log_in(&world, &two, "c2"), log_in(&world, &three, "c3")];
    let revocations = old_authority.list(&[2]);
    let (_, applied) = world.command(Command::SetRevocations { name: old(), revocations });
    assert_eq!(applied.closed, 2);
    assert!(peers.iter_mut().all(|peer| peer.frame().is_none()));
    assert!(refused_in_the_handshake(&world, &two), "its serial number is on the list");
    let mut peer = log_in(&world, &three, "c3");

    let (_, applied) = world.command(Command::DistrustAuthority { name: old() });
    assert_eq!((applied.closed, peer.frame()), (1, None));
    assert!(refused_in_the_handshake(&world, &three));
}

fn refused_in_the_handshake(world: &World, bundle: &Bundle) -> bool {
    let mut peer = Peer::tls(world, Some(bundle));
    // In TLS 1.3 the client is done before the server has looked at its certificate.
    let _ = peer.try_send(&Hello::default().bytes());
    peer.frame().is_none()
}

#[test]
fn a_certificate_that_ended_and_one_of_a_key_that_was_not_bound_are_refused() {
    let mut world = World::with(World::hasty());
    let old_authority = OldAuthority::new("Old CA");
    world.add_device("pump-1");
    trust(&mut world, &old_authority, ProvenBy::CommonName);
    let good = old_authority.client("pump-1", 1);
    bind(&mut world, "device:pump-1", "pump-1", Some(&good));
    assert_eq!(hello(&world, &good), ReasonCode::Success);
    assert_eq!(hello(&world, &old_authority.client("pump-1", 1)), ReasonCode::NotAuthorized, "another key");
    assert!(refused_in_the_handshake(&world, &old_authority.client_until("pump-1", &[2], -2)));
    let namesake = OldAuthority::new("Old CA");
    assert!(refused_in_the_handshake(&world, &namesake.client("pump-1", 1)), "of another with the same name");
}

/// Between the disk and the new verifiers a handshake may still succeed: the registry has the last word.
#[test]
fn the_registry_refuses_what_the_verifier_still_lets_through() {
    let mut world = World::with(World::hasty());
    let old_authority = OldAuthority::new("Old CA");
    world.add_device("pump-1");
    trust(&mut world, &old_authority, ProvenBy::CommonName);
    bind(&mut world, "device:pump-1", "pump-1", None);
    let client = old_authority.client("pump-1", 1);
    assert_eq!(hello(&world, &client), ReasonCode::Success);
    world.command_before_tls(Command::DistrustAuthority { name: old() });
    assert_eq!(hello(&world, &client), ReasonCode::NotAuthorized);
    world.told.login_cause("old is not trusted");
}

/// A listener that demands both is not to become weaker for those who have both, because some authority may knock.
#[test]
fn who_has_a_certificate_must_show_it_where_both_are_demanded_and_not_one_that_proves_nobody() {
    let mut world = World::with(World::hasty());
    let knocking = OldAuthority::new("Old CA");
    let ours = world.add_device("pump-1");
    let secret = NewPassword::Chosen(Secret::new(b"correct horse battery".to_vec()));
    let identity: Identity = "device:pump-1".parse().unwrap();
    world.command(Command::SetPassword { identity, password: secret });
    world.add_user("admin", "battery horse correct");
    world.add_user("bob", "horse battery correct");
    trust(&mut world, &knocking, ProvenBy::None);
    let (named, name): (_, LocalName) = (OldAuthority::new("Named CA"), "named".parse().unwrap());
    let certificates = named.pem.clone().into_bytes();
    let (proves, revocations) = (ProvenBy::CommonName, None);
    world.command(Command::TrustAuthority { name: name.clone(), proves, certificates, revocations });
    let (identity, common_name) = ("user:admin".parse().unwrap(), "Admin".to_owned());
    world.command(Command::BindName { identity, name, common_name, certificate: None });

    let entrance = Entrance { login: LoginRule::CertificateAndPassword, ..Entrance::default() };
    let strict = Listener { entrance, ..Listener::tls("strict", vec!["127.0.0.1:0".parse().unwrap()]) };
    let strict = world.plane.add_listener(strict).unwrap()[0];
    let say = |bundle: &Bundle, name, secret| {
        let hello = Hello { username: Some(name), password: Some(secret), ..Hello::default() };
        Peer::tls_to(strict, "localhost", tls_config(&world.ca_pem(), Some(bundle))).hello(&hello)
    };
    let gate = knocking.client("anybody", 1);
    assert_eq!(say(&gate, "pump-1", "correct horse battery"), ReasonCode::BadUserNameOrPassword);
    assert_eq!(say(&gate, "admin", "battery horse correct"), ReasonCode::BadUserNameOrPassword);
    assert_eq!(say(&ours, "pump-1", "correct horse battery"), ReasonCode::Success);
    assert_eq!(say(&named.client("Admin", 1), "admin", "battery horse correct"), ReasonCode::Success);
    assert_eq!(say(&gate, "bob", "horse battery correct"), ReasonCode::Success, "who has no certificate");
}

/// Listeners may keep what they showed, because an imported certificate cannot be read; what was taken away holds even so.
#[test]
fn a_new_list_of_revoked_certificates_is_in_force_even_if_listeners_cannot_be_set_anew() {
    let mut world = World::with(World::hasty());
    let old_authority = OldAuthority::new("Old CA");
    let [one, two] = [1, 2].map(|n| {
        world.add_device(&format!("pump-{n}"));
        old_authority.client(&format!("pump-{n}"), n)
    });
    trust(&mut world, &old_authority, ProvenBy::CommonName);
    for n in 1..=2 {
        bind(&mut world, &format!("device:pump-{n}"), &format!("pump-{n}"), None);
    }
    assert_eq!(hello(&world, &two), ReasonCode::Success);
    let revocations = old_authority.list(&[2]);
    world.command_before_tls(Command::SetRevocations { name: old(), revocations });
    world.plane.set_trusted(keyward_server::wiring::trusted(&world.registrar));
    assert_eq!(hello(&world, &two), ReasonCode::NotAuthorized);
    assert_eq!(hello(&world, &one), ReasonCode::Success);
}

#[test]
fn where_a_certificate_proves_nobody_the_password_says_who_it_is() {
    let mut world = World::with(World::hasty());
    let old_authority = OldAuthority::new("Old CA");
    world.add_user("anna", "correct horse battery");
    world.add_user("bob", "battery horse correct");
    trust(&mut world, &old_authority, ProvenBy::None);
    let gate = old_authority.client("anna", 1);
    assert_eq!(hello(&world, &gate), ReasonCode::NotAuthorized, "the name in it means nothing");
    let say = |name, secret| Hello { username: Some(name), password: Some(secret), ..Hello::default() };
    let mut peer = Peer::tls(&world, Some(&gate));
    assert_eq!(peer.hello(&say("bob", "battery horse correct")), ReasonCode::Success);
    assert_eq!(
        Peer::tls(&world, Some(&gate)).hello(&say("anna", "battery horse correct")),
        ReasonCode::BadUserNameOrPassword
    );
    let (_, applied) = world.command(Command::DistrustAuthority { name: old() });
    assert_eq!((applied.closed, peer.frame()), (1, None));
    assert!(refused_in_the_handshake(&world, &gate));
}

/// An authority and its clients as `openssl x509 -req` makes them without being asked for extensions: of version 1.
struct OldFashioned(tempfile::TempDir);

impl OldFashioned {
    fn new() -> Self {
        let old = Self(tempfile::tempdir().unwrap());
        old.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 3650 -subj /O=House/CN=Old",
        );
        fs::write(
            old.0.path().join("ca.cnf"),
            "[ca]\ndefault_ca=old\n[old]\ndatabase=index\ncrlnumber=number\n",
        )
        .unwrap();
        fs::write(old.0.path().join("number"), "01\n").unwrap();
        fs::write(old.0.path().join("index"), "").unwrap();
        old
    }

    fn openssl(&self, line: &str) -> String {
        let done = Program::new("openssl").args(line.split(' ')).current_dir(&self.0).output().unwrap();
        assert!(done.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    fn read(&self, file: impl AsRef<Path>) -> String {
        fs::read_to_string(self.0.path().join(file)).unwrap()
    }

    /// Certifies a client that makes itself such a key, under an authority of these files.
    fn client_of(&self, ca: &str, common_name: &str, newkey: &str) -> Bundle {
        self.openssl(&format!(
            "req -new {newkey} -nodes -keyout {common_name}.key -out csr -subj /CN={common_name}"
        ));
        self.openssl(&format!(
            "x509 -req -in csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -out {common_name}.crt -days 30"
        ));
        let text = self.openssl(&format!("x509 -in {common_name}.crt -noout -text"));
        assert!(text.contains("Version: 1 (0x0)"), "{text}");
        bundle(&self.read(format!("{common_name}.crt")), &self.read(format!("{common_name}.key")))
    }

    fn client(&self, common_name: &str, newkey: &str) -> Bundle {
        self.client_of("ca", common_name, newkey)
    }

    /// Makes a list that revokes a client.
    fn list(&self, common_name: &str) -> Vec<u8> {
        let ca = "ca -config ca.cnf -cert ca.crt -keyfile ca.key -md sha256";
        self.openssl(&format!("{ca} -revoke {common_name}.crt"));
        self.openssl(&format!("{ca} -gencrl -crldays 10")).into_bytes()
    }
}

const P256: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";

fn trust_old_fashioned(world: &mut World, old: &OldFashioned, proves: ProvenBy) {
    let certificates = old.read("ca.crt").into_bytes();
    world.command(Command::TrustAuthority { name: self::old(), proves, certificates, revocations: None });
}

/// Fleets of Mosquitto were certified like this for many years, and webpki refuses them.
#[test]
fn a_certificate_of_version_1_opens_as_its_bound_name_until_it_is_taken_away() {
    let mut world = World::with(World::hasty());
    let old = OldFashioned::new();
    let kinds = ["-newkey rsa:2048", P256, "-newkey ec -pkeyopt ec_paramgen_curve:P-384", "-newkey ed25519"];
    let fleet: Vec<Bundle> =
        kinds.iter().enumerate().map(|(n, kind)| old.client(&format!("pump-{n}"), kind)).collect();
    trust_old_fashioned(&mut world, &old, ProvenBy::CommonName);
    for n in 0..fleet.len() {
        world.add_device(&format!("pump-{n}"));
    }
    assert_eq!(hello(&world, &fleet[1]), ReasonCode::NotAuthorized, "a name that was not bound");
    for n in 0..fleet.len() {
        bind(&mut world, &format!("device:pump-{n}"), &format!("pump-{n}"), None);
    }
    let configs: Vec<_> = fleet
        .iter()
        .flat_map(|bundle| {
            [&TLS12, &TLS13].map(|version| tls_config_of(&world.ca_pem(), Some(bundle), &[version]))
        })
        .collect();
    let log_in = |config: &Arc<rustls::ClientConfig>, id: &str| {
        Peer::tls_to(world.tls, "localhost", config.clone()).log_in(id)
    };
    for (n, config) in configs.iter().enumerate() {
        let (mut first, mut second) = (log_in(config, &format!("a{n}")), log_in(config, &format!("b{n}")));
        assert!(first.is_alive() && second.is_alive(), "{n}");
        assert!(!first.is_resumed() && second.is_resumed(), "{n}");
    }
    let mut live = log_in(&configs[2], "c");
    let revocations = old.list("pump-1");
    world.command_before_tls(Command::SetRevocations { name: self::old(), revocations });
    world.plane.set_trusted(keyward_server::wiring::trusted(&world.registrar));
    assert_eq!(live.frame(), None, "the link is closed");
    for config in &configs[2..4] {
        let mut resumed = Peer::tls_to(world.tls, "localhost", config.clone());
        assert_eq!(resumed.hello(&Hello::default()), ReasonCode::NotAuthorized);
        assert!(resumed.is_resumed(), "the verifier of the handshake was skipped");
    }
    world.reload_tls();
    assert!(refused_in_the_handshake(&world, &fleet[1]));
    world.told.handshake_line("shows a certificate that its authority has revoked");
    assert_eq!(hello(&world, &fleet[0]), ReasonCode::Success);
    world.command(Command::DistrustAuthority { name: self::old() });
    assert!(refused_in_the_handshake(&world, &fleet[0]));
    world.told.handshake_line("shows a certificate of another authority");
}

#[test]
fn what_a_certificate_of_version_1_certifies_is_refused() {
    let mut world = World::with(World::hasty());
    let old = OldFashioned::new();
    let middle = old.client("middle", P256);
    world.add_device("pump-1");
    trust_old_fashioned(&mut world, &old, ProvenBy::CommonName);
    bind(&mut world, "device:pump-1", "pump-1", None);
    let mut below = old.client_of("middle", "pump-1", P256);
    assert!(refused_in_the_handshake(&world, &below));
    below.chain.extend(middle.chain);
    assert!(refused_in_the_handshake(&world, &below), "with its issuer");
    assert_eq!(hello(&world, &old.client("pump-1", P256)), ReasonCode::Success);
}

#[test]
fn a_certificate_of_version_1_is_of_no_use_without_its_key() {
    let mut world = World::with(World::hasty());
    let old = OldFashioned::new();
    world.add_device("pump-1");
    trust_old_fashioned(&mut world, &old, ProvenBy::CommonName);
    bind(&mut world, "device:pump-1", "pump-1", None);
    for kind in [P256, "-newkey rsa:2048"] {
        let good = old.client("pump-1", kind);
        let thief = Bundle { key: old.client("pump-2", kind).key, ..good.clone() };
        for version in [&TLS12, &TLS13] {
            let answers = |bundle| {
                let config = tls_config_of(&world.ca_pem(), Some(bundle), &[version]);
                let mut peer = Peer::tls_to(world.tls, "localhost", config);
                let _ = peer.try_send(&Hello::default().bytes());
                peer.frame().is_some()
            };
            assert!(answers(&good) && !answers(&thief), "{kind}, {version:?}");
        }
    }
}

#[test]
fn where_it_proves_nobody_a_certificate_of_version_1_only_lets_its_holder_knock() {
    let mut world = World::with(World::hasty());
    let old = OldFashioned::new();
    world.add_user("bob", "horse battery correct");
    trust_old_fashioned(&mut world, &old, ProvenBy::None);
    let gate = old.client("bob", P256);
    assert_eq!(hello(&world, &gate), ReasonCode::NotAuthorized);
    let password =
        Hello { username: Some("bob"), password: Some("horse battery correct"), ..Hello::default() };
    assert_eq!(Peer::tls(&world, Some(&gate)).hello(&password), ReasonCode::Success);
}

/// Whoever holds the key of a fleet's old authority can be any of its devices: on the fleet's listener, and on no other.
#[test]
fn a_listener_hears_only_the_authorities_that_it_names() {
    let mut world = World::with(World::hasty());
    let old_authority = OldAuthority::new("Old CA");
    let old_fashioned = OldFashioned::new();
    let ours = world.add_device("pump-1");
    trust(&mut world, &old_authority, ProvenBy::CommonName);
    bind(&mut world, "device:pump-1", "pump-1", None);
    let (name, certificates): (LocalName, _) =
        ("older".parse().unwrap(), old_fashioned.read("ca.crt").into_bytes());
    let proves = ProvenBy::CommonName;
    world.command(Command::TrustAuthority { name: name.clone(), proves, certificates, revocations: None });
    let (identity, common_name) = ("device:pump-1".parse().unwrap(), "pump-1".to_owned());
    world.command(Command::BindName { identity, name, common_name, certificate: None });
    let open = |listener: &str, named: &[&str]| {
        let trusted = Some(named.iter().map(|name| name.parse().unwrap()).collect());
        let entrance = Entrance { trusted, ..Entrance::default() };
        let listener = Listener { entrance, ..Listener::tls(listener, vec!["127.0.0.1:0".parse().unwrap()]) };
        world.plane.add_listener(listener).unwrap()[0]
    };
    let listeners = [open("none", &[]), open("one", &["old"]), open("both", &["older", "old"])];
    let [of_old, of_older] = [old_authority.client("pump-1", 1), old_fashioned.client("pump-1", P256)];
    let opened = |bundle: &Bundle| {
        listeners.map(|at| {
            let mut peer = Peer::tls_to(at, "localhost", tls_config(&world.ca_pem(), Some(bundle)));
            let _ = peer.try_send(&Hello::default().bytes());
            peer.frame().is_some()
        })
    };
    assert_eq!(opened(&ours), [true, true, true], "our own counts everywhere");
    assert_eq!(opened(&of_old), [false, true, true]);
    world.told.handshake_line("the authority old, which does not count at listener `none`");
    assert_eq!(opened(&of_older), [false, false, true]);
    world.told.handshake_line("the authority older, which does not count at listener `one`");
    world.reload_tls();
    assert_eq!(
        (opened(&of_old), opened(&of_older)),
        ([false, true, true], [false, false, true]),
        "after a reload"
    );
}
