//! The encryption around an archive: the age format (age-encryption.org/v1), under a passphrase or for public keys, so that the
//! age tool opens it too.
//!
//! What is not here: how passphrases and keys are read ([`super::keys`]).

use super::keys::{Passphrase, PublicKey, SecretKey};
use super::limits::{PASSPHRASE_BYTES, SCRYPT_WORK, SCRYPT_WORK_MAX};
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient, scrypt};
use keyward_identity::files::FileError;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::PathBuf;

/// How an encrypted file begins, and how one that was made text of.
const AGE: &[u8] = b"age-encryption.org/";
const ARMOR: &[u8] = b"-----BEGIN AGE";

/// Says under what a backup is locked.
pub enum Lock {
    /// Under a passphrase.
    Passphrase(Passphrase),
    /// For the owners of these public keys.
    Keys(Vec<PublicKey>),
    /// Under nothing: whoever reads the file reads everything in it.
    Open,
}

/// Opens backups: with whatever is there.
#[derive(Default)]
pub struct Opener {
    /// A passphrase.
    pub passphrase: Option<Passphrase>,
    /// Secret keys of age.
    pub keys: Vec<SecretKey>,
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::keys::tests::pair;
    use age::secrecy::SecretString;
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
}
