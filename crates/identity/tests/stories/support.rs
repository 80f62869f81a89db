//! The vocabulary of the stories: a house with a registrar in it.

use keyward_identity::*;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command as Process,
};
use tempfile::TempDir;

pub const DAY: u64 = 86_400_000;
/// The commit date of the program under test: 2026-11-01.
pub const BUILD: WallTime = WallTime(1_793_491_200_000);
/// When the stories begin: a day later.
pub const NOW: WallTime = WallTime(BUILD.0 + DAY);

pub struct House {
    pub dir: TempDir,
    registrar: Option<Registrar>,
    pub now: WallTime,
}

pub fn names(names: &[&str]) -> Vec<ServerName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub fn init() -> InitOptions<'static> {
    InitOptions {
        now: NOW,
        build_time: BUILD,
        accept_clock: false,
        actor: "keyward up",
        found_names: names(&["gate", "gate.local", "localhost", "127.0.0.1", "::1", "192.168.1.5"]),
        added_names: Vec::new(),
        protection: KeyProtection::FileMode,
        lifetimes: Lifetimes::default(),
    }
}

pub fn options() -> OpenOptions {
    OpenOptions { build_time: BUILD, protection: KeyProtection::FileMode, lifetimes: Lifetimes::default() }
}

pub fn passphrase(text: &str) -> KeyProtection {
    KeyProtection::Passphrase(Secret::new(text.as_bytes().to_vec()))
}

pub fn private_dir() -> TempDir {
    let closed = fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(closed).tempdir().unwrap()
}

impl House {
    pub fn new() -> Self {
        let dir = private_dir();
        let registrar = Registrar::create(dir.path(), init()).unwrap();
        Self { dir, registrar: Some(registrar), now: NOW }
    }

    pub fn registrar(&self) -> &Registrar {
        self.registrar.as_ref().unwrap()
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub fn close(&mut self) {
        self.registrar = None;
    }

    pub fn open(&mut self) -> Result<(), OpenError> {
        self.close();
        self.registrar = Some(Registrar::open(self.dir.path(), options())?);
        Ok(())
    }

    pub fn execute(&mut self, command: Command) -> Result<Outcome, Refusal> {
        let context = Context { now: self.now, actor: "anna" };
        self.registrar.as_mut().unwrap().execute(command, context)
    }

    pub fn run(&mut self, command: Command) -> Outcome {
        match self.execute(command) {
            Ok(outcome) => outcome,
            Err(refusal) => panic!("refused: {refusal}"),
        }
    }

    pub fn refused(&mut self, command: Command) -> Refusal {
        let before = self.registrar().registry().revision();
        let refusal = self.execute(command).err().expect("the command should be refused");
        assert_eq!(self.registrar().registry().revision(), before, "a refusal changes nothing");
        refusal
    }

    pub fn add_device(&mut self, id: &str) -> IssuedCertificate {
        self.run(device(id, generated())).certificate.unwrap()
    }

    pub fn account(&self, identity: &str) -> Account {
        let registry = self.registrar().registry();
        Account::clone(registry.find(&identity.parse().unwrap()).unwrap())
    }

    pub fn admit(&self, certificate: &IssuedCertificate) -> Result<u64, CertificateRefusal> {
        let registry = self.registrar().registry();
        registry
            .admit_certificate(&certificate.serial, &certificate.key, self.now)
            .map(|account| account.epoch)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
}

pub fn generated() -> NewCredential {
    NewCredential::Certificate { key: KeySource::Generate, lifetime_days: None }
}

pub fn csr(bytes: impl Into<Vec<u8>>) -> NewCredential {
    NewCredential::Certificate { key: KeySource::Csr(bytes.into()), lifetime_days: None }
}

pub fn device(id: &str, credential: NewCredential) -> Command {
    Command::AddDevice(AddDevice {
        device_type: Some("pump".parse().unwrap()),
        exposure: Some(Exposure::Workplace),
        ..AddDevice::new(id.parse().unwrap(), credential)
    })
}

pub fn user(id: &str, credential: NewCredential) -> Command {
    Command::AddUser(AddUser { id: id.parse().unwrap(), plain: false, note: String::new(), credential })
}

pub fn disable(identity: &str) -> Command {
    Command::Disable { identity: identity.parse().unwrap() }
}

pub fn enable(identity: &str) -> Command {
    Command::Enable { identity: identity.parse().unwrap() }
}

pub fn revoke(identity: &str) -> Command {
    Command::Revoke { identity: identity.parse().unwrap(), keep_messages: false, publish_will: false }
}

pub fn remove(identity: &str) -> Command {
    Command::Remove { identity: identity.parse().unwrap() }
}

pub fn generated_password() -> NewCredential {
    NewCredential::Password(NewPassword::Generate)
}

/// Runs openssl and returns what it printed; panics with its complaint if it fails.
pub fn openssl(args: &[&str]) -> String {
    let (ok, text) = try_openssl(args);
    assert!(ok, "openssl {args:?}: {text}");
    text
}

pub fn try_openssl(args: &[&str]) -> (bool, String) {
    let output = Process::new("openssl").args(args).output().expect("openssl is installed");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Returns the length of the Certificate message of TLS 1.3 with this chain: header, context, list, and each entry's
/// length and extensions (RFC 8446 §4.4.2).
pub fn message_len(chain: &[Vec<u8>]) -> usize {
    4 + 1 + 3 + chain.iter().map(|der| 3 + der.len() + 2).sum::<usize>()
}

/// Splits a PEM text into its blocks.
pub fn blocks(pem: &str) -> Vec<String> {
    pem.split_inclusive("-----END CERTIFICATE-----\n").map(str::to_owned).collect()
}

/// Returns the message key of Ed25519 whose public half is `n` in each byte, and its name.
pub fn message_key(n: u8, level: u8) -> MessageKey {
    let spki =
        [[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00].as_slice(), &[n; 32]]
            .concat();
    MessageKey::read_file(public_pem(&spki).as_bytes(), level).unwrap()
}

/// Returns a key to encrypt to: another one each time.
pub fn agreement_key() -> AgreementKey {
    use rcgen::PublicKeyData as _;
    let pair = rcgen::KeyPair::generate().unwrap();
    AgreementKey::read_file(public_pem(&pair.subject_public_key_info()).as_bytes()).unwrap()
}

/// Registers a key to encrypt to, and returns it.
pub fn agree(house: &mut House, identity: &str) -> AgreementKey {
    let key = agreement_key();
    house.run(Command::RegisterAgreementKey { identity: identity.parse().unwrap(), key: key.clone() });
    key
}

/// Writes a DER `SubjectPublicKeyInfo` as PEM.
pub fn public_pem(spki: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", Base64::encode_string(spki))
}
