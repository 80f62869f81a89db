//! A token of SoftHSM for one story. A library of PKCS #11 and its settings belong to a whole process, so that each story has one of its own.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use keyward_device::KeySpec;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub(crate) const PIN: &str = "471100";
const SO_PIN: &str = "00471100";
const PLACES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
];
/// Says in a process of a story where its folder is.
const HERE: &str = "KEYWARD_TEST_TOKEN";

/// Runs the story `name` with a new token, or says that SoftHSM is not there.
pub(crate) fn with_a_token(name: &str, story: fn(&Token)) {
    if let Some(dir) = env::var_os(HERE) {
        return story(&Token::new(Path::new(&dir)));
    }
    if !PLACES.iter().any(|place| Path::new(place).exists()) {
        eprintln!("not shown: {name} needs SoftHSM (apt-get install softhsm2)");
        return;
    }
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("tokens")).unwrap();
    let conf = dir.path().join("softhsm2.conf");
    fs::write(&conf, format!("directories.tokendir = {}/tokens\n", dir.path().display())).unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env(HERE, dir.path())
        .env_remove("KEYWARD_PIN_FILE")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

pub(crate) struct Token {
    dir: PathBuf,
    module: Pkcs11,
    slot: Slot,
}

impl Token {
    fn new(dir: &Path) -> Self {
        let module = Pkcs11::new(Self::library()).unwrap();
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        let free = module.get_slots_with_token().unwrap()[0];
        module.init_token(free, &AuthPin::from(SO_PIN), "fleet 1").unwrap();
        let mut slots = module.get_slots_with_token().unwrap().into_iter();
        let slot = slots.find(|slot| module.get_token_info(*slot).unwrap().label() == "fleet 1").unwrap();
        let session = module.open_rw_session(slot).unwrap();
        session.login(UserType::So, Some(&AuthPin::from(SO_PIN))).unwrap();
        session.init_pin(&AuthPin::from(PIN)).unwrap();
        session.logout().unwrap();
        let token = Self { dir: dir.to_owned(), module, slot };
        token.write_pin(PIN);
        token
    }

    fn library() -> &'static str {
        PLACES.into_iter().find(|place| Path::new(place).exists()).unwrap()
    }

    pub(crate) fn pin_file(&self) -> PathBuf {
        self.dir.join("pin")
    }

    pub(crate) fn write_pin(&self, pin: &str) {
        fs::write(self.pin_file(), format!("{pin}\n")).unwrap();
        fs::set_permissions(self.pin_file(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Names the store: what stands before the question mark is `path`.
    pub(crate) fn named(&self, path: &str) -> KeySpec {
        let text = format!(
            "pkcs11:{path}?module-path={}&pin-source=file:{}",
            Self::library(),
            self.pin_file().display()
        );
        text.parse().unwrap()
    }

    pub(crate) fn spec(&self) -> KeySpec {
        self.named("token=fleet%201;object=pump-7")
    }

    /// Ends all sessions of this process, as a token that is pulled and put in again does.
    pub(crate) fn lose_sessions(&self) {
        self.module.clone().finalize().unwrap();
        self.module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    }

    /// A session beside the one of the store.
    pub(crate) fn session(&self) -> Session {
        let session = self.module.open_rw_session(self.slot).unwrap();
        match session.login(UserType::User, Some(&AuthPin::from(PIN))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => session,
            Err(error) => panic!("{error}"),
        }
    }

    /// Finds objects by their label, which is `keyward:pump-7:` and `end`.
    pub(crate) fn find(&self, session: &Session, end: &str) -> Vec<ObjectHandle> {
        let label = format!("keyward:pump-7:{end}").into_bytes();
        session.find_objects(&[Attribute::Label(label)]).unwrap()
    }
}
