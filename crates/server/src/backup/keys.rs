//! What a backup is locked under and opened with: passphrases and keys of age, and the files that they are read from.

use super::limits::{KEY_FILE_BYTES, PASSPHRASE_BYTES};
use super::seal::SealError;
use age::secrecy::SecretString;
use age::x25519;
use keyward_identity::files;
use std::path::Path;
use zeroize::Zeroizing;

/// Holds the passphrase of a backup. It has no `Debug` and is wiped.
#[derive(Clone)]
pub struct Passphrase(pub(super) SecretString);

/// Is an age public key, `age1…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(pub(super) x25519::Recipient);

/// Is an age secret key, `AGE-SECRET-KEY-1…`. It has no `Debug`.
pub struct SecretKey(pub(super) x25519::Identity);

impl Passphrase {
    /// Takes a passphrase.
    ///
    /// # Errors
    /// [`SealError::BadPassphrase`] if it is empty or longer than [`PASSPHRASE_BYTES`].
    pub fn new(text: &str) -> Result<Self, SealError> {
        if text.is_empty() || text.len() > PASSPHRASE_BYTES {
            return Err(SealError::BadPassphrase);
        }
        Ok(Self(SecretString::from(text)))
    }
}

impl std::str::FromStr for PublicKey {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        text.parse().map(Self).map_err(|_| SealError::BadPublicKey(text.chars().take(80).collect()))
    }
}

/// Reads a file of public keys, one a line; empty lines and those that begin with `#` are passed over.
///
/// # Errors
/// [`SealError`] names file and line.
pub fn read_public_keys(path: &Path) -> Result<Vec<PublicKey>, SealError> {
    let bytes = files::read_regular(path, KEY_FILE_BYTES)?;
    lines(path, &bytes, "age public key (age1…)", |line| line.parse().ok().map(PublicKey))
}

/// Reads a file of secret keys, as age-keygen writes it. It has to be closed to others.
///
/// # Errors
/// [`SealError`] names file and line, and never quotes it.
pub fn read_secret_keys(path: &Path) -> Result<Vec<SecretKey>, SealError> {
    let bytes = files::read_private(path, KEY_FILE_BYTES)?;
    lines(path, &bytes, "age secret key (AGE-SECRET-KEY-1…)", |line| line.parse().ok().map(SecretKey))
}

fn lines<T>(
    path: &Path,
    bytes: &[u8],
    what: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, SealError> {
    let path = || path.to_owned();
    let mut keys = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let bad = || SealError::BadKeyFile { path: path(), line: number + 1, what };
        let line = std::str::from_utf8(line).map_err(|_| bad())?.trim();
        if !line.is_empty() && !line.starts_with('#') {
            keys.push(parse(line).ok_or_else(bad)?);
        }
    }
    if keys.is_empty() { Err(SealError::NoKeys { path: path(), what }) } else { Ok(keys) }
}

/// Reads a passphrase from the first line of a file that is closed to others.
///
/// # Errors
/// [`SealError`]: the file is open to others, or its first line is no passphrase.
pub fn read_passphrase(path: &Path) -> Result<Passphrase, SealError> {
    first_line(&files::read_private(path, PASSPHRASE_BYTES + 2)?)
}

/// Reads the passphrase that systemd gives the service as the credential `keyward-backup-passphrase`; `None` if it gives
/// none.
///
/// # Errors
/// As [`read_passphrase`], but for the mode: such a file lies in a folder that is closed.
pub fn credential() -> Result<Option<Passphrase>, SealError> {
    let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else { return Ok(None) };
    let path = Path::new(&folder).join("keyward-backup-passphrase");
    match files::read_regular(&path, PASSPHRASE_BYTES + 2) {
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
        Ok(bytes) => first_line(&Zeroizing::new(bytes)).map(Some),
    }
}

fn first_line(bytes: &[u8]) -> Result<Passphrase, SealError> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Passphrase::new(std::str::from_utf8(line).map_err(|_| SealError::BadPassphrase)?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use age::secrecy::ExposeSecret;

    /// A key pair, both as age prints them.
    pub(in crate::backup) fn pair() -> (String, String) {
        let identity = x25519::Identity::generate();
        (identity.to_string().expose_secret().to_owned(), identity.to_public().to_string())
    }

    #[test]
    fn files_of_keys_are_read_line_by_line_and_never_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let (secret, public) = pair();
        let put = |text: &str| files::replace(&path, text.as_bytes()).unwrap();
        put(&format!("# created\n\n{public}\r\n{public}\n"));
        assert_eq!(read_public_keys(&path).unwrap().len(), 2);
        put(&format!("# public key: {public}\n{secret}\n"));
        assert_eq!(read_secret_keys(&path).unwrap().len(), 1);
        let error = read_public_keys(&path).unwrap_err().to_string();
        assert!(error.contains("keys:2: is no age public key") && !error.contains("SECRET"), "{error}");
        put("# nothing\n");
        assert!(read_secret_keys(&path).err().unwrap().to_string().contains("holds no age secret key"));
        put("a passphrase\nand more\n");
        assert!(read_passphrase(&path).is_ok());
        put("\n");
        assert!(matches!(read_passphrase(&path), Err(SealError::BadPassphrase)));
    }
}
