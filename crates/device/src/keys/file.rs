//! Keys in files of a folder.
//!
//! ```text
//! DIR/tls.pem, message.pem, agreement.pem   the keys in use (PKCS #8)
//! DIR/tls.next.pem …                        the ones that will follow them
//! DIR/wrapping.key                          32 bytes under which secrets are wrapped; written last
//! DIR/destroyed                             the keys were destroyed on purpose; written first
//! ```

use super::folder::Folder;
use super::software::{self, SoftwareKey};
use super::{Counter, Generation, KeyError, KeyStore, Protection, Role, random};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use zeroize::Zeroizing;

/// Keeps keys in files of one folder: level 0. It is held by one process at a time.
pub struct FileStore {
    folder: Folder,
    keys: RwLock<Keys>,
}

#[derive(Default)]
struct Keys {
    pairs: BTreeMap<(Role, Generation), SoftwareKey>,
    wrapping: Option<Zeroizing<[u8; 32]>>,
}

/// The key that wraps.
const WRAPPING: &str = "wrapping.key";
/// Says that keys were destroyed on purpose.
const DESTROYED: &str = "destroyed";

const GENERATIONS: [Generation; 2] = [Generation::Current, Generation::Next];

fn name(role: Role, generation: Generation) -> String {
    match generation {
        Generation::Current => format!("{}.pem", role.as_str()),
        Generation::Next => format!("{}.next.pem", role.as_str()),
    }
}

/// Names every file with a secret in it.
fn secrets() -> impl Iterator<Item = String> {
    let each = |role| GENERATIONS.map(|generation| name(role, generation));
    [WRAPPING.to_owned()].into_iter().chain(Role::ALL.into_iter().flat_map(each))
}

impl FileStore {
    /// Makes the keys in `dir`, and `dir` if it is missing. A making that a power cut ended is completed.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] if keys are there already; others if the folder is not private or cannot be written.
    pub fn create(dir: impl AsRef<Path>) -> Result<Self, KeyError> {
        let folder = Folder::create(dir.as_ref())?;
        if folder.holds(DESTROYED) {
            erase_all(&folder)?;
            folder.erase(DESTROYED)?;
        }
        if folder.holds(WRAPPING)
            && Role::ALL.iter().all(|role| folder.holds(&name(*role, Generation::Current)))
        {
            return Err(KeyError::Invalid {
                what: folder.path().display().to_string(),
                problem:
                    "holds keys already; open them, or destroy them first if the device is to be another"
                        .to_owned(),
            });
        }
        for name in Role::ALL.map(|role| name(role, Generation::Current)) {
            if !folder.holds(&name) {
                folder.write(&name, &SoftwareKey::generate()?.to_pem())?;
            }
        }
        if !folder.holds(WRAPPING) {
            folder.write(WRAPPING, &*Zeroizing::new(random::draw::<32>()?))?;
        }
        Self::load(folder)
    }

    /// Opens the keys in `dir`.
    ///
    /// # Errors
    /// [`KeyError::Missing`] if none are there or they were destroyed; others if a file is damaged, is not private, or if another
    /// process uses them.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, KeyError> {
        let dir = dir.as_ref();
        if dir.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Err(missing(dir, "keys", "make them first"));
        }
        let folder = Folder::hold(dir)?;
        if folder.holds(DESTROYED) {
            // A power cut may have ended it.
            erase_all(&folder)?;
            return Err(missing(
                dir,
                "keys",
                "they were destroyed on purpose; make new ones and enrol the device again",
            ));
        }
        if !secrets().any(|name| folder.holds(&name)) {
            return Err(missing(dir, "keys", "make them first"));
        }
        Self::load(folder)
    }

    fn load(folder: Folder) -> Result<Self, KeyError> {
        let mut keys = Keys::default();
        for (role, generation) in Role::ALL.into_iter().flat_map(|role| GENERATIONS.map(|g| (role, g))) {
            match folder.read(&name(role, generation))? {
                Some(pem) => {
                    let key = SoftwareKey::from_pem(&pem);
                    let key = key.ok_or_else(|| damaged(&folder, &name(role, generation)))?;
                    keys.pairs.insert((role, generation), key);
                }
                None if generation == Generation::Next => {}
                None => return Err(missing(folder.path(), role.key(generation), UNFINISHED)),
            }
        }
        let wrapping = folder.read(WRAPPING)?;
        let wrapping = wrapping.ok_or_else(|| missing(folder.path(), "key to wrap with", UNFINISHED))?;
        let wrapping = wrapping.as_slice().try_into().map_err(|_| damaged(&folder, WRAPPING))?;
        keys.wrapping = Some(Zeroizing::new(wrapping));
        Ok(Self { folder, keys: RwLock::new(keys) })
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys_to_change(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, what: &'static str, help: &'static str) -> KeyError {
        missing(self.folder.path(), what, help)
    }

    fn with<T>(
        &self,
        role: Role,
        generation: Generation,
        use_it: impl FnOnce(&SoftwareKey) -> T,
    ) -> Result<T, KeyError> {
        let keys = self.keys();
        let help = match generation {
            Generation::Current => DESTROYED_HELP,
            Generation::Next => "prepare one first",
        };
        keys.pairs
            .get(&(role, generation))
            .map(use_it)
            .ok_or_else(|| self.missing(role.key(generation), help))
    }
}

const UNFINISHED: &str =
    "their making was interrupted, or a file was lost; create the keys again, what is there stays";
const DESTROYED_HELP: &str = "its keys were destroyed; make new ones and enrol the device again";

fn missing(dir: &Path, what: &'static str, help: &'static str) -> KeyError {
    KeyError::Missing { store: format!("file:{}", dir.display()), what, help }
}

fn damaged(folder: &Folder, name: &str) -> KeyError {
    KeyError::Invalid {
        what: folder.place(name).display().to_string(),
        problem: "is damaged, or none of these keys; take it from a backup, or make new keys and enrol the device again"
            .to_owned(),
    }
}

/// Erases everything secret; goes on with the rest where something fails, and returns the first failure.
fn erase_all(folder: &Folder) -> Result<(), KeyError> {
    secrets().map(|name| folder.erase(&name)).fold(Ok(()), Result::and)
}

impl KeyStore for FileStore {
    fn protection(&self) -> Protection {
        Protection::File
    }

    fn public(&self, role: Role, generation: Generation) -> Result<[u8; 65], KeyError> {
        self.with(role, generation, SoftwareKey::public)
    }

    fn sign(&self, role: Role, generation: Generation, digest: &[u8; 32]) -> Result<[u8; 64], KeyError> {
        if role == Role::Agreement {
            return Err(self.missing("key of this role that signs", "sign with the key for messages"));
        }
        self.with(role, generation, |key| key.sign(digest))?.ok_or_else(random::no_randomness)
    }

    fn agree(&self, generation: Generation, peer: &[u8; 65]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.with(Role::Agreement, generation, |key| key.agree(peer))?.ok_or_else(super::bad_peer)
    }

    fn prepare(&self, role: Role) -> Result<[u8; 65], KeyError> {
        let mut keys = self.keys_to_change();
        if !keys.pairs.contains_key(&(role, Generation::Current)) {
            return Err(self.missing(role.key(Generation::Current), DESTROYED_HELP));
        }
        if let Some(made) = keys.pairs.get(&(role, Generation::Next)) {
            return Ok(made.public());
        }
        let key = SoftwareKey::generate()?;
        self.folder.write(&name(role, Generation::Next), &key.to_pem())?;
        let public = key.public();
        keys.pairs.insert((role, Generation::Next), key);
        Ok(public)
    }

    fn promote(&self, role: Role) -> Result<(), KeyError> {
        let mut keys = self.keys_to_change();
        if !keys.pairs.contains_key(&(role, Generation::Next)) {
            return Err(self.missing(role.key(Generation::Next), "prepare one first"));
        }
        self.folder.supersede(&name(role, Generation::Next), &name(role, Generation::Current))?;
        if let Some(key) = keys.pairs.remove(&(role, Generation::Next)) {
            keys.pairs.insert((role, Generation::Current), key);
        }
        Ok(())
    }

    fn wrap(&self, secret: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        let keys = self.keys();
        let key = keys.wrapping.as_deref().ok_or_else(|| self.missing("key to wrap with", DESTROYED_HELP))?;
        software::wrap(key, secret)
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let keys = self.keys();
        let key = keys.wrapping.as_deref().ok_or_else(|| self.missing("key to wrap with", DESTROYED_HELP))?;
        software::unwrap(key, wrapped).ok_or(KeyError::Foreign)
    }

    fn counter(&self, _counter: Counter) -> Result<Option<u64>, KeyError> {
        Ok(None)
    }

    fn raise_counter(&self, _counter: Counter) -> Result<Option<u64>, KeyError> {
        Ok(None)
    }

    fn destroy(&self) -> Result<(), KeyError> {
        *self.keys_to_change() = Keys::default();
        let marked = if self.folder.holds(DESTROYED) {
            Ok(())
        } else {
            self.folder.write(DESTROYED, b"The keys of this folder were destroyed on purpose.\n")
        };
        marked.and(erase_all(&self.folder))
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileStore({})", self.folder.path().display())
    }
}
