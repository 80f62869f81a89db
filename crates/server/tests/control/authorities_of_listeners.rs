//! A listener says which authorities of others count there: a fleet's old one opens the fleet's listener and no other.

use crate::site::{Ask, Site};
use keyward_client::{Client, ClientError, ClientOptions, TlsIdentity, TlsOptions};
use keyward_server::{
    admin::{self, OpenOptions, Operator},
    control::{
        AuthorityBind, AuthorityTrust, Der, ListenerAdd, Proves, RefusalCode, Request, Response,
        TrustedAuthorityRow,
    },
    running::{RunOptions, Running, run},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

const MQTTS: &str = "[[listener]]\nname = \"mqtts\"\naddress = \"127.0.0.1\"\nport = 0\n";
const FLEET: &str = "[[listener]]\nname = \"fleet\"\naddress = \"127.0.0.1\"\nport = 0\n";

/// An authority of others, and the one client of each name that it certified.
struct Other {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Other {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn client(&self, common_name: &str) -> TlsIdentity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let chain_pem = params.signed_by(&key, &self.issuer).unwrap().pem().into_bytes();
        TlsIdentity::from_pem(chain_pem, key.serialize_pem().into_bytes())
    }
}

fn start(site: &Site) -> Running {
    run(site.home.clone(), &options()).unwrap()
}

fn options() -> RunOptions {
    RunOptions { dumpable: true, ignore_signals: true, ..RunOptions::default() }
}

fn operator(site: &Site) -> Operator {
    admin::open(&site.home, &OpenOptions::default()).unwrap()
}

fn trust(who: &mut impl Ask, name: &str, authority: &Other, proves: Proves) {
    let certificates = Der(authority.pem.clone().into_bytes());
    let trust = AuthorityTrust { name: name.to_owned(), proves, certificates, revocations: None };
    who.ask(Request::AuthorityTrustAdd(trust)).map(drop).unwrap();
}

fn bind(who: &mut impl Ask, name: &str, identity: &str) {
    let (name, identity) = (name.to_owned(), identity.to_owned());
    who.change(Request::AuthorityTrustBind(AuthorityBind {
        name,
        identity,
        common_name: None,
        certificate: None,
    }));
}

fn authorities(who: &mut impl Ask) -> Vec<TrustedAuthorityRow> {
    match who.ask(Request::AuthorityTrustList) {
        Ok(Response::TrustedAuthorities(rows)) => rows,
        other => panic!("{:?}", other.err()),
    }
}

/// Tells whether a client gets in at a listener.
fn opens(running: &Running, listener: &str, ca: &str, identity: &TlsIdentity) -> bool {
    let rows = running.listeners();
    let port = rows.iter().find(|row| row.name == listener).unwrap().port.unwrap();
    let mut options = ClientOptions::new("127.0.0.1", port);
    let (roots_pem, identity) = (ca.as_bytes().to_vec(), Some(identity.clone()));
    options.tls = Some(TlsOptions { roots_pem, identity, server_name: None });
    match Client::connect(&options) {
        Ok(_) => true,
        Err(unreachable @ ClientError::Unreachable { .. }) => panic!("{unreachable}"),
        Err(_) => false,
    }
}

#[test]
fn an_authority_counts_where_a_listener_names_it_from_the_next_reload_on() {
    let site = Site::new();
    let (old, new) = (Other::new("Old CA"), Other::new("New CA"));
    let mut stopped = site.stopped();
    let ca = stopped.add_user("ada", "correct horse battery").ca_pem;
    stopped.add_device("pump-1");
    stopped.add_device("pump-2");
    trust(&mut stopped, "old", &old, Proves::CommonName);
    trust(&mut stopped, "new", &new, Proves::CommonName);
    bind(&mut stopped, "old", "device:pump-1");
    bind(&mut stopped, "new", "device:pump-2");
    drop(stopped);
    site.config(&format!("{MQTTS}{FLEET}"));
    let running = start(&site);
    let (of_old, of_new) = (old.client("pump-1"), new.client("pump-2"));
    let open = |running: &Running| {
        ["mqtts", "fleet"].map(|at| (opens(running, at, &ca, &of_old), opens(running, at, &ca, &of_new)))
    };
    assert_eq!(open(&running), [(true, true), (true, true)], "all of them, if nothing is said");
    assert!(authorities(&mut operator(&site)).iter().all(|row| row.counts_at.is_none()));

    site.config(&format!("{MQTTS}trusted = []\n{FLEET}trusted = [\"old\"]\n"));
    operator(&site).ask(Request::Reload).map(drop).unwrap();
    assert_eq!(open(&running), [(false, false), (true, false)]);
    let counting: Vec<_> = authorities(&mut operator(&site)).into_iter().map(|row| row.counts_at).collect();
    assert_eq!(counting, [Some(vec![]), Some(vec!["fleet".to_owned()])], "new, old");
    let rows = running.listeners();
    assert_eq!(rows[1].trusted, Some(vec!["old".to_owned()]));

    running.stop();
    let running = start(&site);
    assert_eq!(open(&running), [(false, false), (true, false)], "after a restart");

    site.config(&format!("{MQTTS}trusted = [\"new\", \"old\"]\n{FLEET}trusted = [\"new\"]\n"));
    operator(&site).ask(Request::Reload).map(drop).unwrap();
    assert_eq!(open(&running), [(true, true), (false, true)]);
}

#[test]
fn a_name_that_is_no_trusted_authority_is_refused_and_one_that_is_named_stays() {
    let site = Site::new();
    let old = Other::new("Old CA");
    let mut stopped = site.stopped();
    let ca = stopped.add_user("ada", "correct horse battery").ca_pem;
    stopped.add_device("pump-1");
    trust(&mut stopped, "old", &old, Proves::CommonName);
    bind(&mut stopped, "old", "device:pump-1");
    drop(stopped);
    site.config(MQTTS);
    let running = start(&site);
    let client = old.client("pump-1");
    site.config(&format!("{MQTTS}trusted = [\"odl\"]\n"));
    let refusal = operator(&site).refusal(Request::Reload);
    assert!(refusal.what.contains("listener mqtts names the authority odl"), "{}", refusal.what);
    assert!(opens(&running, "mqtts", &ca, &client), "all is as it was");
    running.stop();
    let error = run(site.home.clone(), &options()).err().unwrap().to_string();
    assert!(error.contains("keyward authority trust add odl"), "{error}");

    site.config(MQTTS);
    let running = start(&site);
    let add = |named: &[&str]| {
        let trusted = Some(named.iter().map(|name| (*name).to_owned()).collect());
        let (name, address) = ("fleet".to_owned(), Some("127.0.0.1".to_owned()));
        Request::ListenerAdd(ListenerAdd { name, address, port: Some(0), trusted, ..ListenerAdd::default() })
    };
    assert_eq!(operator(&site).refusal(add(&["odl"])).code, RefusalCode::NotFound);
    assert_eq!(operator(&site).refusal(add(&["Old CA"])).code, RefusalCode::Invalid);
    assert!(!site.config_text().contains("fleet"));
    operator(&site).ask(add(&["old"])).map(drop).unwrap();
    assert!(site.config_text().contains("trusted = [\"old\"]"), "{}", site.config_text());
    assert!(opens(&running, "fleet", &ca, &client));

    let distrust = || Request::AuthorityTrustRemove { name: "old".into() };
    let refusal = operator(&site).refusal(distrust());
    assert!(
        refusal.code == RefusalCode::Conflict && refusal.what.contains("listener fleet"),
        "{}",
        refusal.what
    );
    operator(&site).ask(Request::ListenerRemove { name: "fleet".into() }).map(drop).unwrap();
    operator(&site).ask(add(&[])).map(drop).unwrap();
    assert!(!opens(&running, "fleet", &ca, &client) && opens(&running, "mqtts", &ca, &client));
    operator(&site).change(distrust());
    assert!(!opens(&running, "mqtts", &ca, &client));
}

/// An authority that proves nobody weakens the listeners only at which it counts.
#[test]
fn a_listener_that_does_not_name_a_knocking_authority_is_not_weakened_by_it() {
    let site = Site::new();
    let mut stopped = site.stopped();
    trust(&mut stopped, "gate", &Other::new("Gate CA"), Proves::None);
    let both = "login = \"certificate and password\"\n";
    site.config(&format!("{MQTTS}{both}trusted = []\n{FLEET}{both}"));
    let rows = authorities(&mut stopped);
    assert_eq!(
        (&rows[0].knocks_at, &rows[0].counts_at),
        (&vec!["fleet".to_owned()], &Some(vec!["fleet".to_owned()]))
    );
}
