//! The encryption around an archive: the age format (age-encryption.org/v1), under a passphrase or for public keys, so that the
//! age tool opens it too.
//!
//! What is not here: where passphrases and keys come from (the command line).

use super::limits::{KEY_FILE_BYTES, PASSPHRASE_BYTES, SCRYPT_WORK, SCRYPT_WORK_MAX};
use age::secrecy::SecretString;
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient, scrypt, x25519};
use keyward_identity::files::{self, FileError};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How an encrypted file begins, and how one that was made text of.
const AGE: &[u8] = b"age-encryption.org/";
const ARMOR: &[u8] = b"-----BEGIN AGE";

/// Holds the passphrase of a backup. It has no `Debug` and is wiped.
#[derive(Clone)]
pub struct Passphrase(SecretString);

/// Says under what a backup is locked.
pub enum Lock {
    /// Under a passphrase.
    Passphrase(Passphrase),
    /// For the owners of these public keys.
    Keys(Vec<PublicKey>),
    /// Under nothing: whoever reads the file reads everything in it.
    Open,
}

/// Is an age public key, `age1…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(x25519::Recipient);

/// Opens backups: with whatever is there.
#[derive(Default)]
pub struct Opener {
    /// A passphrase.
    pub passphrase: Option<Passphrase>,
    /// Secret keys of age.
    pub keys: Vec<SecretKey>,
}

/// Is an age secret key, `AGE-SECRET-KEY-1…`. It has no `Debug`.
pub struct SecretKey(x25519::Identity);

/// Says how a file is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// Under a passphrase.
    Passphrase,
    /// For public keys.
    Keys,
    /// Not at all.
    No,
}

/// Says why a backup cannot be locked or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A passphrase is empty or too long.
    #[error("a passphrase has 1 to {PASSPHRASE_BYTES} bytes")]
    BadPassphrase,
    /// A public key is none.
    #[error(
        "{0:?} is no age public key: it begins with age1 (age-keygen prints it); nothing else is understood here"
    )]
    BadPublicKey(String),
    /// A file holds no key.
    #[error("{}:{line}: is no {what}; lines that begin with # are passed over", .path.display())]
    BadKeyFile {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What it should be.
        what: &'static str,
    },
    /// A file of keys is empty.
    #[error("{}: holds no {what}", .path.display())]
    NoKeys {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is locked under a passphrase, and none was given.
    #[error("is encrypted under a passphrase; give the file with it (--backup-passphrase-file)")]
    PassphraseNeeded,
    /// The passphrase is wrong.
    #[error("this passphrase does not open it")]
    WrongPassphrase,
    /// It is locked for public keys, and none of their secret keys was given.
    #[error("is encrypted for an age public key; give the file with the secret key (--age-key)")]
    KeyNeeded,
    /// No secret key fits.
    #[error("is encrypted for other keys than those that were given (--age-key)")]
    WrongKey,
    /// It asks for too much work.
    #[error("asks for more work than any backup of Keyward (scrypt 2^{0}); it was not opened")]
    TooMuchWork(u8),
    /// It is text.
    #[error(
        "is an age file made text of (armored); make it binary first: age --decrypt, then restore the tar file"
    )]
    Armored,
    /// Its beginning is damaged.
    #[error(
        "is an age file whose header is damaged or of a newer kind; use another backup, or copy this one again"
    )]
    BadHeader,
    /// The file cannot be read or written.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

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

/// Writes what will be locked. It is whole once it is [finished](Self::finish).
pub struct Sealed<W: Write>(Sealing<W>);

enum Sealing<W: Write> {
    Open(W),
    Age(Box<StreamWriter<W>>),
}

impl Lock {
    /// Begins to write a file that is locked so.
    ///
    /// # Errors
    /// [`SealError`] if the keys cannot be used or the file cannot be written.
    pub fn seal<W: Write>(&self, out: W) -> Result<Sealed<W>, SealError> {
        let passphrase = |passphrase: &Passphrase| {
            let mut recipient = scrypt::Recipient::new(passphrase.0.clone());
            recipient.set_work_factor(SCRYPT_WORK);
            recipient
        };
        let encryptor = match self {
            Self::Open => return Ok(Sealed(Sealing::Open(out))),
            Self::Passphrase(text) => {
                let recipient = passphrase(text);
                Encryptor::with_recipients(std::iter::once(&recipient as &dyn Recipient))
            }
            Self::Keys(keys) => Encryptor::with_recipients(keys.iter().map(|key| &key.0 as &dyn Recipient)),
        };
        let encryptor = encryptor.map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Sealed(Sealing::Age(Box::new(encryptor.wrap_output(out)?))))
    }
}

impl<W: Write> Sealed<W> {
    /// Writes the end, and gives the file back.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Sealing::Open(out) => Ok(out),
            Sealing::Age(stream) => stream.finish(),
        }
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Sealing::Open(out) => out.write(bytes),
            Sealing::Age(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Sealing::Open(out) => out.flush(),
            Sealing::Age(stream) => stream.flush(),
        }
    }
}

/// Looks at the beginning of a file: how is it locked?
///
/// # Errors
/// [`SealError`]: it cannot be read, or its beginning is damaged.
pub fn locked(file: &mut File) -> Result<Locked, SealError> {
    file.rewind()?;
    let mut start = Vec::new();
    (&*file).take(AGE.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    if start.starts_with(ARMOR) {
        return Err(SealError::Armored);
    }
    if start != AGE {
        return Ok(Locked::No);
    }
    let decryptor = decryptor(BufReader::new(&*file))?;
    let locked = if decryptor.is_scrypt() { Locked::Passphrase } else { Locked::Keys };
    file.rewind()?;
    Ok(locked)
}

/// Is the inside of a locked file.
pub struct Opened<R>(Opening<R>);

enum Opening<R> {
    Open(R),
    Age(Box<StreamReader<R>>),
}

impl Opener {
    /// Reads a file from its beginning, whatever it is locked under.
    ///
    /// # Errors
    /// [`SealError`]: what is needed to open it was not given, or does not fit.
    pub fn open<'a>(&self, file: &'a mut File) -> Result<Opened<BufReader<&'a File>>, SealError> {
        let locked = locked(file)?;
        let file = BufReader::new(&*file);
        let stream = match locked {
            Locked::No => return Ok(Opened(Opening::Open(file))),
            Locked::Passphrase => {
                let passphrase = self.passphrase.as_ref().ok_or(SealError::PassphraseNeeded)?;
                let mut identity = scrypt::Identity::new(passphrase.0.clone());
                identity.set_max_work_factor(SCRYPT_WORK_MAX);
                decryptor(file)?.decrypt(std::iter::once(&identity as &dyn Identity))
            }
            Locked::Keys if self.keys.is_empty() => return Err(SealError::KeyNeeded),
            Locked::Keys => decryptor(file)?.decrypt(self.keys.iter().map(|key| &key.0 as &dyn Identity)),
        };
        let refused = |error| match (error, locked) {
            (DecryptError::ExcessiveWork { required, .. }, _) => SealError::TooMuchWork(required),
            (DecryptError::NoMatchingKeys, _) => SealError::WrongKey,
            (DecryptError::Io(error), _) => error.into(),
            (DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed, Locked::Passphrase) => {
                SealError::WrongPassphrase
            }
            _ => SealError::BadHeader,
        };
        Ok(Opened(Opening::Age(Box::new(stream.map_err(refused)?))))
    }
}

fn decryptor<R: io::BufRead>(input: R) -> Result<Decryptor<R>, SealError> {
    Decryptor::new_buffered(input).map_err(|error| match error {
        DecryptError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => error.into(),
        _ => SealError::BadHeader,
    })
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Opening::Open(file) => file.read(into),
            Opening::Age(stream) => stream.read(into),
        }
    }
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
mod tests {
    use super::*;
    use age::secrecy::ExposeSecret;
    use std::io::SeekFrom;

    const TEXT: &[u8] = b"what is locked";

    fn file(lock: &Lock) -> File {
        let mut sealed = lock.seal(tempfile::tempfile().unwrap()).unwrap();
        sealed.write_all(TEXT).unwrap();
        sealed.finish().unwrap()
    }

    fn read(file: &mut File, opener: &Opener) -> Result<Vec<u8>, SealError> {
        let mut text = Vec::new();
        opener.open(file)?.read_to_end(&mut text)?;
        Ok(text)
    }

    fn passphrase(text: &str) -> Opener {
        Opener { passphrase: Some(Passphrase::new(text).unwrap()), ..Opener::default() }
    }

    /// A key pair, both as age prints them.
    fn pair() -> (String, String) {
        let identity = x25519::Identity::generate();
        (identity.to_string().expose_secret().to_owned(), identity.to_public().to_string())
    }

    #[test]
    fn what_is_locked_under_a_passphrase_opens_under_it_alone() {
        let mut file = file(&Lock::Passphrase(Passphrase::new("right").unwrap()));
        assert_eq!(locked(&mut file).unwrap(), Locked::Passphrase);
        assert_eq!(read(&mut file, &passphrase("right")).unwrap(), TEXT);
        assert!(matches!(read(&mut file, &passphrase("wrong")), Err(SealError::WrongPassphrase)));
        assert!(matches!(read(&mut file, &Opener::default()), Err(SealError::PassphraseNeeded)));
    }

    #[test]
    fn what_is_locked_for_keys_opens_with_each_of_them_and_no_other() {
        let pairs = [pair(), pair(), pair()];
        let public = |number: usize| pairs[number].1.parse().unwrap();
        let opener = |number: usize| Opener {
            keys: vec![SecretKey(pairs[number].0.parse().unwrap())],
            ..Opener::default()
        };
        let mut file = file(&Lock::Keys(vec![public(0), public(1)]));
        assert_eq!(locked(&mut file).unwrap(), Locked::Keys);
        assert_eq!(read(&mut file, &opener(0)).unwrap(), TEXT);
        assert_eq!(read(&mut file, &opener(1)).unwrap(), TEXT);
        assert!(matches!(read(&mut file, &opener(2)), Err(SealError::WrongKey)));
        assert!(matches!(read(&mut file, &passphrase("x")), Err(SealError::KeyNeeded)));
    }

    #[test]
    fn what_is_open_is_read_as_it_is() {
        let mut file = file(&Lock::Open);
        assert_eq!(locked(&mut file).unwrap(), Locked::No);
        assert_eq!(read(&mut file, &Opener::default()).unwrap(), TEXT);
    }

    #[test]
    fn a_locked_file_that_was_altered_or_cut_is_refused() {
        let (secret, public) = pair();
        let opener = Opener { keys: vec![SecretKey(secret.parse().unwrap())], ..Opener::default() };
        let mut whole = Vec::new();
        let mut sealed = file(&Lock::Keys(vec![public.parse().unwrap()]));
        sealed.seek(SeekFrom::Start(0)).unwrap();
        sealed.read_to_end(&mut whole).unwrap();
        let with = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            read(&mut file, &opener)
        };
        assert_eq!(with(&whole).unwrap(), TEXT);
        for at in (AGE.len()..whole.len()).step_by(3) {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert!(with(&altered).is_err(), "byte {at}");
            assert!(with(&whole[..at]).is_err(), "{at} bytes");
        }
        let error = with(b"-----BEGIN AGE ENCRYPTED FILE-----\n").unwrap_err().to_string();
        assert!(error.contains("age --decrypt"), "{error}");
    }

    #[test]
    fn a_file_that_asks_for_endless_work_is_refused_at_once() {
        let mut recipient = scrypt::Recipient::new(SecretString::from("p"));
        recipient.set_work_factor(2);
        let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as &dyn Recipient)).unwrap();
        let mut file = encryptor.wrap_output(Vec::new()).unwrap().finish().unwrap();
        let at = file.windows(3).position(|window| window == b" 2\n").unwrap();
        file.splice(at + 1..at + 2, *b"40");
        let mut altered = tempfile::tempfile().unwrap();
        altered.write_all(&file).unwrap();
        assert!(matches!(read(&mut altered, &passphrase("p")), Err(SealError::TooMuchWork(40))));
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
