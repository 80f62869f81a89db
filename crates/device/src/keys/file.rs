//! Keys in files of a folder.
//!
//! ```text
//! DIR/tls.pem, message.pem, agreement.pem   the keys in use (PKCS #8); sealed: tls.sealed …
//! DIR/tls.next.pem …                        the ones that will follow them
//! DIR/wrapping.key                          32 bytes under which secrets are wrapped; written last
//! DIR/destroyed                             the keys were destroyed on purpose; written first
//! ```

use super::folder::Folder;
use super::form::{Content, Form};
use super::sealed::SealingSecret;
use super::software::{self, SoftwareKey};
use super::{Counter, Generation, KeyError, KeyStore, Protection, Role, random};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use zeroize::Zeroizing;

/// Keeps keys in files of one folder, as they are (level 0) or sealed (level 1). It is held by one process at a time.
pub struct FileStore {
    folder: Folder,
    form: Form,
    keys: RwLock<Keys>,
}

#[derive(Default)]
struct Keys {
    pairs: BTreeMap<(Role, Generation), SoftwareKey>,
    wrapping: Option<Zeroizing<[u8; 32]>>,
}

/// Says that keys were destroyed on purpose.
const DESTROYED: &str = "destroyed";

const UNFINISHED: &str =
    "their making was interrupted, or a file was lost; create the keys again, what is there stays";
const GONE: &str = "its keys were destroyed; make new ones and enrol the device again";
const PREPARE: &str = "prepare one first";

impl FileStore {
    /// Makes keys in `dir`, and `dir` if it is missing. A making that a power cut ended is completed.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] if keys are there already; others if the folder is not private or cannot be written.
    pub fn create(dir: impl AsRef<Path>) -> Result<Self, KeyError> {
        Self::make(dir.as_ref(), Form::Plain)
    }

    /// Opens the keys in `dir`.
    ///
    /// # Errors
    /// [`KeyError::Missing`] if none are there or they were destroyed; others if a file is damaged, is not private, or if another
    /// process uses them.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, KeyError> {
        Self::read(dir.as_ref(), Form::Plain)
    }

    /// Makes keys that are sealed, as [`create`](Self::create) does. What that is worth depends on where the secret is:
    /// `docs/device.md`.
    ///
    /// # Errors
    /// As of [`create`](Self::create); [`KeyError::Invalid`] if keys that are not sealed are there.
    pub fn create_sealed(dir: impl AsRef<Path>, secret: SealingSecret) -> Result<Self, KeyError> {
        Self::make(dir.as_ref(), Form::Sealed(secret))
    }

    /// Opens keys that are sealed.
    ///
    /// # Errors
    /// As of [`open`](Self::open); [`KeyError::Invalid`] if they were sealed under another secret.
    pub fn open_sealed(dir: impl AsRef<Path>, secret: SealingSecret) -> Result<Self, KeyError> {
        Self::read(dir.as_ref(), Form::Sealed(secret))
    }

    fn make(dir: &Path, form: Form) -> Result<Self, KeyError> {
        let folder = Folder::create(dir)?;
        form.check(&folder)?;
        if folder.holds(DESTROYED) {
            form.erase_all(&folder)?;
            folder.erase(DESTROYED)?;
        }
        let needed = Role::ALL.map(|role| Content::Key(role, Generation::Current));
        if needed.into_iter().chain([Content::Wrapping]).all(|content| form.is_held(&folder, content)) {
            return Err(KeyError::Invalid {
                what: folder.path().display().to_string(),
                problem:
                    "holds keys already; open them, or destroy them first if the device is to be another"
                        .to_owned(),
            });
        }
        for content in needed {
            if !form.is_held(&folder, content) {
                form.write(&folder, content, &SoftwareKey::generate()?.to_pem())?;
            }
        }
        if !form.is_held(&folder, Content::Wrapping) {
            form.write(&folder, Content::Wrapping, &*Zeroizing::new(random::draw::<32>()?))?;
        }
        Self::load(folder, form)
    }

    fn read(dir: &Path, form: Form) -> Result<Self, KeyError> {
        if dir.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Err(missing(&form, dir, "keys", "make them first"));
        }
        let folder = Folder::hold(dir)?;
        if folder.holds(DESTROYED) {
            // A power cut may have ended it.
            form.erase_all(&folder)?;
            let help = "they were destroyed on purpose; make new ones and enrol the device again";
            return Err(missing(&form, dir, "keys", help));
        }
        form.check(&folder)?;
        if !Content::all().any(|content| form.is_held(&folder, content)) {
            return Err(missing(&form, dir, "keys", "make them first"));
        }
        Self::load(folder, form)
    }

    fn load(folder: Folder, form: Form) -> Result<Self, KeyError> {
        let mut keys = Keys::default();
        for content in Content::all() {
            let found = form.read(&folder, content)?;
            match (content, found) {
                (Content::Key(_, Generation::Next), None) => {}
                (Content::Key(role, generation), None) => {
                    return Err(missing(&form, folder.path(), role.key(generation), UNFINISHED));
                }
                (Content::Wrapping, None) => {
                    return Err(missing(&form, folder.path(), "key to wrap with", UNFINISHED));
                }
                (Content::Key(role, generation), Some(pem)) => {
                    let key = SoftwareKey::from_pem(&pem).ok_or_else(|| form.damaged(&folder, content))?;
                    keys.pairs.insert((role, generation), key);
                }
                (Content::Wrapping, Some(bytes)) => {
                    let bytes = bytes.as_slice().try_into().map_err(|_| form.damaged(&folder, content))?;
                    keys.wrapping = Some(Zeroizing::new(bytes));
                }
            }
        }
        Ok(Self { folder, form, keys: RwLock::new(keys) })
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys_to_change(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, what: &'static str, help: &'static str) -> KeyError {
        missing(&self.form, self.folder.path(), what, help)
    }

    fn with<T>(
        &self,
        role: Role,
        generation: Generation,
        use_it: impl FnOnce(&SoftwareKey) -> T,
    ) -> Result<T, KeyError> {
        let help = if generation == Generation::Next { PREPARE } else { GONE };
        let keys = self.keys();
        let key = keys.pairs.get(&(role, generation));
        key.map(use_it).ok_or_else(|| self.missing(role.key(generation), help))
    }

    fn with_wrapping<T>(&self, use_it: impl FnOnce(&[u8; 32]) -> T) -> Result<T, KeyError> {
        let keys = self.keys();
        keys.wrapping.as_deref().map(use_it).ok_or_else(|| self.missing("key to wrap with", GONE))
    }
}

fn missing(form: &Form, dir: &Path, what: &'static str, help: &'static str) -> KeyError {
    KeyError::Missing { store: format!("{}:{}", form.scheme(), dir.display()), what, help }
}

impl KeyStore for FileStore {
    fn protection(&self) -> Protection {
        self.form.protection()
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
            return Err(self.missing(role.key(Generation::Current), GONE));
        }
        if let Some(made) = keys.pairs.get(&(role, Generation::Next)) {
            return Ok(made.public());
        }
        let key = SoftwareKey::generate()?;
        self.form.write(&self.folder, Content::Key(role, Generation::Next), &key.to_pem())?;
        let public = key.public();
        keys.pairs.insert((role, Generation::Next), key);
        Ok(public)
    }

    fn discard(&self, role: Role) -> Result<(), KeyError> {
        let mut keys = self.keys_to_change();
        keys.pairs.remove(&(role, Generation::Next));
        self.folder.erase(&self.form.name(Content::Key(role, Generation::Next)))
    }

    fn promote(&self, role: Role) -> Result<(), KeyError> {
        let mut keys = self.keys_to_change();
        if !keys.pairs.contains_key(&(role, Generation::Next)) {
            return Err(self.missing(role.key(Generation::Next), PREPARE));
        }
        let name = |generation| self.form.name(Content::Key(role, generation));
        self.folder.supersede(&name(Generation::Next), &name(Generation::Current))?;
        if let Some(key) = keys.pairs.remove(&(role, Generation::Next)) {
            keys.pairs.insert((role, Generation::Current), key);
        }
        Ok(())
    }

    fn wrap(&self, secret: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        self.with_wrapping(|key| software::wrap(key, secret))?
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.with_wrapping(|key| software::unwrap(key, wrapped))?.ok_or(KeyError::Foreign)
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
        marked.and(self.form.erase_all(&self.folder))
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.form.scheme(), self.folder.path().display())
    }
}
