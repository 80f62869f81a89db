//! The key files in `DIR/keys/` and how they are sealed under a passphrase.
//!
//! A sealed file is one PEM block `KEYWARD SEALED KEY`:
//!
//! ```text
//! version 1 (1 byte) | Argon2id memory in KiB, passes, lanes (4 bytes each, little-endian) | salt (16)
//! | nonce (12) | AES-256-GCM of the plain file, with tag
//! ```
//!
//! All before the nonce, and the name of the file, is authenticated too, so that files cannot be exchanged. All files
//! of a folder share one salt: the passphrase is stretched once.

#[cfg(feature = "decoders")]
pub(crate) mod cheap;

use crate::{
    authority::Role,
    cose_key::Kid,
    files::{self, FileError},
    limits, pem,
    secret::{NoRandomness, Secret, random},
};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use keyward_ids::KeyId;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const SEALED: &str = "KEYWARD SEALED KEY";
const VERSION: u8 = 1;
const SALT_LEN: usize = 16;
const HEAD_LEN: usize = 1 + 12 + SALT_LEN;

/// 64 MiB and three passes: a start takes a fifth of a second longer, a guess too.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// A file cannot make the start take more than this, whatever it says: 1 GiB, 16 passes, 16 lanes.
const MOST: (u32, u32, u32) = (1024 * 1024, 16, 16);

/// Says how the keys in `DIR/keys/` are protected. The root keys are not: they belong into a safe.
#[derive(Clone)]
pub enum KeyProtection {
    /// By the mode of the files alone.
    FileMode,
    /// Encrypted under a passphrase of 1 to [`limits::PASSWORD_BYTES`] bytes (Argon2id, AES-256-GCM). Keys that still
    /// lie open are encrypted when the store is opened.
    Passphrase(Secret),
}

/// Says why a key cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The keys are sealed and no passphrase was given.
    #[error("{}: is encrypted; give the passphrase (--passphrase-file)", .0.display())]
    PassphraseNeeded(PathBuf),
    /// The passphrase does not open the keys.
    #[error("{}: this passphrase does not open it (or the file was altered)", .0.display())]
    WrongPassphrase(PathBuf),
    /// The passphrase is empty or too long.
    #[error("a passphrase has 1 to {} bytes", limits::PASSWORD_BYTES)]
    BadPassphrase,
    /// The file holds no key.
    #[error("{}: holds no key that can be read; restore it from a backup", .0.display())]
    Malformed(PathBuf),
    /// The key does not belong to its certificate.
    #[error("{}: this key does not belong to the certificate in the ledger; restore keys and ledger from one backup", .0.display())]
    Stranger(PathBuf),
    /// The system gave no random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Stretching the passphrase failed; it does so only without memory.
    #[error("the passphrase could not be stretched: not enough memory")]
    NotStretched,
}

/// Names the key files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFile {
    /// The key of an issuing authority.
    Authority(Role),
    /// The key of the server's certificate.
    Server,
    /// The key of generated passwords' hashes.
    Pepper,
    /// The keys of groups, of all epochs that are kept.
    Groups,
    /// The key of a certificate of this server that another authority made, by its public half.
    Imported(KeyId),
    /// The key that signs key sets, which devices pin.
    Installation,
    /// A key that signs commands and grants, by its public half.
    Command(Kid),
}

/// How the names of files with such keys begin.
pub(crate) const IMPORTED_PREFIX: &str = "imported-";
/// How the names of files with keys begin that sign commands.
pub(crate) const COMMAND_PREFIX: &str = "command-";

impl KeyFile {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Authority(role) => format!("{}.key", role.file()),
            Self::Server => "server.key".to_owned(),
            Self::Pepper => "pepper".to_owned(),
            Self::Groups => "groups".to_owned(),
            Self::Imported(key) => format!("{IMPORTED_PREFIX}{key}.key"),
            Self::Installation => "installation.key".to_owned(),
            Self::Command(kid) => format!("{COMMAND_PREFIX}{kid}.key"),
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Authority(_) | Self::Server | Self::Installation | Self::Command(_) => pem::PRIVATE_KEY,
            Self::Pepper => "KEYWARD PEPPER",
            Self::Groups => "KEYWARD GROUP KEYS",
            // PKCS #8, PKCS #1 or SEC 1: as it came.
            Self::Imported(_) => "KEYWARD IMPORTED KEY",
        }
    }
}

/// Reads and writes the key files of one folder.
pub(crate) struct Vault {
    dir: PathBuf,
    seal: Option<Seal>,
}

/// Holds the passphrase and the key stretched from it last.
struct Seal {
    passphrase: Secret,
    current: Option<(Head, LessSafeKey)>,
}

/// The part of a sealed file that says how its key is stretched.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Head([u8; HEAD_LEN]);

impl Vault {
    /// Opens the folder `dir`.
    pub(crate) fn new(dir: &Path, protection: KeyProtection) -> Result<Self, VaultError> {
        let seal = match protection {
            KeyProtection::FileMode => None,
            KeyProtection::Passphrase(passphrase) => {
                if !(1..=limits::PASSWORD_BYTES).contains(&passphrase.expose().len()) {
                    return Err(VaultError::BadPassphrase);
                }
                Some(Seal { passphrase, current: None })
            }
        };
        Ok(Self { dir: dir.to_owned(), seal })
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    pub(crate) fn path(&self, file: KeyFile) -> PathBuf {
        self.dir.join(file.name())
    }

    /// Writes a new key file.
    pub(crate) fn store_new(&mut self, file: KeyFile, key: &[u8]) -> Result<(), VaultError> {
        let content = self.protect(file, &pem::encode(file.label(), key))?;
        Ok(files::write_new(&self.path(file), content.as_bytes())?)
    }

    /// Writes a key file, in place of one of the same name.
    pub(crate) fn store(&mut self, file: KeyFile, key: &[u8]) -> Result<(), VaultError> {
        let content = self.protect(file, &pem::encode(file.label(), key))?;
        Ok(files::replace(&self.path(file), content.as_bytes())?)
    }

    /// Reads a key file; nothing if there is none.
    pub(crate) fn load_if_there(&mut self, file: KeyFile) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        match self.load(file) {
            Err(VaultError::File(error)) if error.is_not_found() => Ok(None),
            loaded => loaded.map(Some),
        }
    }

    /// Deletes a key file. One that cannot be deleted is told in the log of the caller.
    pub(crate) fn forget(&self, file: KeyFile) -> std::io::Result<()> {
        std::fs::remove_file(self.path(file))
    }

    /// Reads a key file; one that lies open although there is a passphrase is sealed.
    pub(crate) fn load(&mut self, file: KeyFile) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let path = self.path(file);
        match self.read(file, &files::read_private(&path, limits::SMALL_FILE_BYTES)?)? {
            Kept::Open(key) if self.seal.is_some() => {
                let content = self.protect(file, &pem::encode(file.label(), &key))?;
                files::replace(&path, content.as_bytes())?;
                Ok(key)
            }
            Kept::Open(key) | Kept::Sealed(key) => Ok(key),
        }
    }

    /// Reads the content of a key file.
    fn read(&mut self, file: KeyFile, bytes: &[u8]) -> Result<Kept, VaultError> {
        let path = self.path(file);
        let block = only_block(bytes).ok_or_else(|| VaultError::Malformed(path.clone()))?;
        if block.label == file.label() {
            return Ok(Kept::Open(block.bytes));
        }
        if block.label != SEALED {
            return Err(VaultError::Malformed(path));
        }
        let Some(seal) = &mut self.seal else { return Err(VaultError::PassphraseNeeded(path)) };
        let plain = seal.open(&path, file, &block.bytes)?;
        let inner = only_block(&plain).filter(|inner| inner.label == file.label());
        Ok(Kept::Sealed(inner.ok_or(VaultError::Malformed(path))?.bytes))
    }

    fn protect(&mut self, file: KeyFile, plain: &Zeroizing<String>) -> Result<Zeroizing<String>, VaultError> {
        match &mut self.seal {
            None => Ok(plain.clone()),
            Some(seal) => Ok(pem::encode(SEALED, &seal.close(file, plain.as_bytes())?)),
        }
    }
}

/// Is the key of a file, and how it lay there.
enum Kept {
    Open(Zeroizing<Vec<u8>>),
    Sealed(Zeroizing<Vec<u8>>),
}

fn only_block(bytes: &[u8]) -> Option<pem::Block> {
    let mut blocks = pem::decode(std::str::from_utf8(bytes).ok()?)?;
    (blocks.len() == 1).then(|| blocks.pop())?
}

impl Head {
    fn draw() -> Result<Self, NoRandomness> {
        let mut head = [0; HEAD_LEN];
        head[0] = VERSION;
        head[1..5].copy_from_slice(&MEMORY_KIB.to_le_bytes());
        head[5..9].copy_from_slice(&PASSES.to_le_bytes());
        head[9..13].copy_from_slice(&LANES.to_le_bytes());
        head[13..].copy_from_slice(&random::<SALT_LEN>()?);
        Ok(Self(head))
    }

    fn costs(&self) -> Option<Params> {
        let number = |at: usize| Some(u32::from_le_bytes(self.0[at..at + 4].try_into().ok()?));
        let (memory, passes, lanes) = (number(1)?, number(5)?, number(9)?);
        let fits = self.0[0] == VERSION && memory <= MOST.0 && passes <= MOST.1 && lanes <= MOST.2;
        Params::new(memory, passes, lanes, Some(32)).ok().filter(|_| fits)
    }

    fn stretch(&self, passphrase: &Secret) -> Result<LessSafeKey, VaultError> {
        let mut key = Zeroizing::new([0; 32]);
        let costs = self.costs().ok_or(VaultError::NotStretched)?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, costs)
            .hash_password_into(passphrase.expose(), &self.0[13..], key.as_mut())
            .map_err(|_| VaultError::NotStretched)?;
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| VaultError::NotStretched)?;
        Ok(LessSafeKey::new(key))
    }

    fn context(&self, file: KeyFile) -> Aad<Vec<u8>> {
        Aad::from([self.0.as_slice(), file.name().as_bytes()].concat())
    }
}

impl Seal {
    fn close(&mut self, file: KeyFile, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        if self.current.is_none() {
            let head = Head::draw()?;
            self.current = Some((head, head.stretch(&self.passphrase)?));
        }
        let Some((head, key)) = &self.current else { return Err(VaultError::NotStretched) };
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut body = Zeroizing::new(plain.to_vec());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), head.context(file), &mut *body)
            .map_err(|_| VaultError::NotStretched)?;
        Ok([head.0.as_slice(), &nonce, &body].concat())
    }

    fn open(&mut self, path: &Path, file: KeyFile, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let malformed = || VaultError::Malformed(path.to_owned());
        let (head, rest) = sealed.split_first_chunk::<HEAD_LEN>().ok_or_else(malformed)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(malformed)?;
        let head = Head(*head);
        head.costs().ok_or_else(malformed)?;
        if self.current.as_ref().is_none_or(|(current, _)| *current != head) {
            self.current = Some((head, head.stretch(&self.passphrase)?));
        }
        let Some((_, key)) = &self.current else { return Err(VaultError::NotStretched) };
        let mut body = Zeroizing::new(body.to_vec());
        let plain = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), head.context(file), &mut body)
            .map_err(|_| VaultError::WrongPassphrase(path.to_owned()))?
            .len();
        body.truncate(plain);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyFile = KeyFile::Server;

    fn passphrase(text: &str) -> KeyProtection {
        KeyProtection::Passphrase(Secret::new(text.as_bytes().to_vec()))
    }

    fn vault(dir: &Path, protection: KeyProtection) -> Vault {
        Vault::new(dir, protection).unwrap()
    }

    #[test]
    fn a_sealed_key_opens_under_its_passphrase_only() {
        let dir = tempfile::tempdir().unwrap();
        vault(dir.path(), passphrase("right")).store_new(KEY, b"secret").unwrap();
        let raw = std::fs::read_to_string(dir.path().join("server.key")).unwrap();
        assert!(raw.contains(SEALED));
        assert_eq!(vault(dir.path(), passphrase("right")).load(KEY).unwrap().as_slice(), b"secret");
        let wrong = vault(dir.path(), passphrase("wrong")).load(KEY).unwrap_err();
        assert!(matches!(wrong, VaultError::WrongPassphrase(_)), "{wrong}");
        let none = vault(dir.path(), KeyProtection::FileMode).load(KEY).unwrap_err();
        assert!(none.to_string().contains("--passphrase-file"), "{none}");
    }

    #[test]
    fn a_key_that_lies_open_is_sealed_when_there_is_a_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        vault(dir.path(), KeyProtection::FileMode).store_new(KEY, b"secret").unwrap();
        assert_eq!(vault(dir.path(), passphrase("p")).load(KEY).unwrap().as_slice(), b"secret");
        assert!(std::fs::read_to_string(dir.path().join("server.key")).unwrap().contains(SEALED));
    }

    #[test]
    fn sealed_files_cannot_be_exchanged() {
        let dir = tempfile::tempdir().unwrap();
        vault(dir.path(), passphrase("p")).store_new(KEY, b"secret").unwrap();
        std::fs::rename(dir.path().join("server.key"), dir.path().join("device-issuing.key")).unwrap();
        let moved = vault(dir.path(), passphrase("p")).load(KeyFile::Authority(Role::DeviceIssuing));
        assert!(matches!(moved, Err(VaultError::WrongPassphrase(_))));
    }

    #[test]
    fn a_file_that_asks_for_endless_work_is_refused() {
        let mut head = Head::draw().unwrap();
        head.0[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(head.costs().is_none());
        head.0[1..5].copy_from_slice(&8u32.to_le_bytes());
        head.0[0] = 2;
        assert!(head.costs().is_none());
    }

    #[test]
    fn an_empty_passphrase_is_none() {
        assert!(matches!(Vault::new(Path::new("x"), passphrase("")), Err(VaultError::BadPassphrase)));
    }
}
