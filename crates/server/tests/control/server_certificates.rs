//! A listener shows the certificate that a fleet in the field trusts, made by an authority that is not ours.

use crate::site::{Ask, Site};
use keyward_client::{Client, ClientError, ClientOptions, Login, TlsOptions};
use keyward_server::{
    admin::{self, OpenOptions, Operator},
    control::{
        Der, Refusal, RefusalCode, Request, Response, Secret, ServerCertificateImport, ServerCertificateRow,
    },
    running::{RunOptions, Running, run},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

const TWO: &str = "[[listener]]\nname = \"mqtts\"\naddress = \"127.0.0.1\"\nport = 0\n\
                   [[listener]]\nname = \"fleet\"\naddress = \"127.0.0.1\"\nport = 0\n";

/// What the fleet trusts: its authority, and the server's certificate and key under it.
struct Old {
    issuer: Issuer<'static, KeyPair>,
    ca: String,
}

impl Old {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Old CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), ca }
    }

    fn server(&self, key: &KeyPair) -> String {
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.signed_by(key, &self.issuer).unwrap().pem()
    }
}

fn rsa_key() -> KeyPair {
    let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let made = Command::new("openssl").args(arguments).output().unwrap();
    KeyPair::from_pem(&String::from_utf8(made.stdout).unwrap()).unwrap()
}

fn import(chain: &str, key: &str) -> Request {
    let (chain, key) = (Der(chain.as_bytes().to_vec()), Secret::new(key.to_owned()));
    Request::ServerCertificateImport(ServerCertificateImport { name: "old".into(), chain, key })
}

fn rows(answer: Result<Response, Refusal>) -> Vec<ServerCertificateRow> {
    match answer {
        Ok(Response::ServerCertificates(rows)) => rows,
        other => panic!("{:?}", other.err()),
    }
}

fn start(site: &Site) -> Running {
    let options = RunOptions { dumpable: true, ignore_signals: true, ..RunOptions::default() };
    run(site.home.clone(), &options).unwrap()
}

fn operator(site: &Site) -> Operator {
    admin::open(&site.home, &OpenOptions::default()).unwrap()
}

/// Connects to a listener, trusting this authority only.
fn connect(running: &Running, listener: &str, ca: &str) -> Result<Client, ClientError> {
    let rows = running.listeners();
    let port = rows.iter().find(|row| row.name == listener).unwrap().port.unwrap();
    let mut options = ClientOptions::new("127.0.0.1", port);
    let roots_pem = ca.as_bytes().to_vec();
    options.tls = Some(TlsOptions { roots_pem, identity: None, server_name: None });
    let password = b"correct horse battery".to_vec().into();
    options.login = Some(Login { username: "ada".into(), password: Some(password) });
    Client::connect(&options)
}

#[test]
fn a_listener_shows_the_old_certificate_and_the_others_ours_also_after_a_restart_and_a_new_one() {
    let site = Site::new();
    let old = Old::new();
    let ours = site.stopped().add_user("ada", "correct horse battery").ca_pem;
    site.config(TWO);
    let running = start(&site);
    assert!(connect(&running, "fleet", &old.ca).is_err());

    let key = rsa_key();
    let listed = rows(operator(&site).ask(import(&old.server(&key), &key.serialize_pem())));
    assert!(listed[0].usable && listed[0].listeners.is_empty(), "{listed:?}");
    site.config(&format!("{TWO}server_certificate = \"old\"\n"));
    operator(&site).ask(Request::Reload).unwrap();
    connect(&running, "fleet", &old.ca).unwrap();
    assert!(connect(&running, "fleet", &ours).is_err(), "it shows the old one");
    connect(&running, "mqtts", &ours).unwrap();
    let refusal = operator(&site).refusal(Request::ServerCertificateRemove { name: "old".into() });
    assert!(refusal.code == RefusalCode::Conflict && refusal.what.contains("fleet"), "{}", refusal.what);

    running.stop();
    let running = start(&site);
    connect(&running, "fleet", &old.ca).unwrap();

    let newer = Old::new();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    operator(&site).ask(import(&newer.server(&key), &key.serialize_pem())).unwrap();
    connect(&running, "fleet", &newer.ca).unwrap();
    assert!(connect(&running, "fleet", &old.ca).is_err(), "it was replaced without a restart");

    let keys = || -> Vec<_> {
        let entries = fs::read_dir(site.home.directory().join("keys")).unwrap().map(Result::unwrap);
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("imported-")).collect()
    };
    assert_eq!(keys().len(), 1, "the key of the replaced one is gone");
    assert_eq!(keys()[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    site.config(TWO);
    operator(&site).ask(Request::Reload).unwrap();
    operator(&site).ask(Request::ServerCertificateRemove { name: "old".into() }).unwrap();
    assert!(keys().is_empty());
    connect(&running, "fleet", &ours).unwrap();
}

#[test]
fn what_cannot_be_shown_is_refused_and_changes_nothing() {
    let site = Site::new();
    let old = Old::new();
    let ours = site.stopped().add_user("ada", "correct horse battery").ca_pem;
    site.config(TWO);
    let running = start(&site);
    let key = KeyPair::generate().unwrap();
    let (chain, pem) = (old.server(&key), key.serialize_pem());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let other = KeyPair::generate().unwrap().serialize_pem();
    let twice = format!("{pem}{pem}");
    for (chain, key, why) in [
        (chain.as_str(), other.as_str(), "do not fit together"),
        (&chain, encrypted, "is encrypted"),
        (&chain, &twice, "2 private keys"),
        (&chain, "", "0 private keys"),
        (&chain, &pem[..80], "0 private keys"),
        ("", &pem, "holds nothing"),
        (&pem, &pem, "holds a private key"),
        (&chain[..90], &pem, "holds nothing"),
    ] {
        let refusal = operator(&site).refusal(import(chain, key));
        assert!(refusal.what.contains(why) && !refusal.what.contains("MII"), "{why}: {}", refusal.what);
    }
    assert!(rows(operator(&site).ask(Request::ServerCertificateList)).is_empty());
    site.config(&format!("{TWO}server_certificate = \"old\"\n"));
    let refusal = operator(&site).refusal(Request::Reload);
    assert!(refusal.what.contains("keyward server certificate import old"), "{}", refusal.what);
    connect(&running, "fleet", &ours).unwrap();
    running.stop();
    let options = RunOptions { dumpable: true, ignore_signals: true, ..RunOptions::default() };
    let refused = run(site.home.clone(), &options);
    let error = refused.err().unwrap().to_string();
    assert!(error.contains("listener fleet"), "{error}");
    site.config(&format!("{TWO}tls = false\nserver_certificate = \"old\"\n"));
    let error = run(site.home.clone(), &options);
    assert!(error.err().unwrap().to_string().contains("without TLS"));
}
