//! How an owner names a key store, in one text.

mod token;
mod tpm;
mod uri;

pub use token::TokenSpec;
pub use tpm::TpmPlace;

use super::sealed::SealingSecret;
use super::{FileStore, KeyError, KeyStore, Protection, SecretPlace, TokenStore};
use crate::limits::{KEY_SPEC_BYTES, SEALING_SECRET_BYTES};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use uri::{Pairs, decode, encode, split, wrong};

/// Names a key store: where the keys are, and where the secret is that opens it. There is never a secret in it.
///
/// | text | keys |
/// |---|---|
/// | `file:DIR` | in files |
/// | `sealed:DIR?secret=FILE`, `sealed:DIR?credential=NAME` | in files that open with a secret: a file on another disk, or a credential of systemd |
/// | `pkcs11:token=LABEL;object=NAME?module-path=FILE&pin-source=file:FILE` | in a token (RFC 7512) |
/// | `tpm:DIR`, `tpm:DIR?device=FILE`, `tpm:DIR?swtpm=HOST:PORT`, `tpm:DIR?swtpm=SOCKET` | in a TPM 2.0; DIR holds what only it opens |
///
/// What has a meaning in such a text (`% ? & ; =`) is written as in a URI: `%3F` for `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySpec {
    /// In files.
    File {
        /// The folder.
        dir: PathBuf,
    },
    /// In files that open only with a secret.
    Sealed {
        /// The folder.
        dir: PathBuf,
        /// Where the secret lies: never on the same file system.
        secret: SecretPlace,
    },
    /// In a token that a PKCS #11 library reaches.
    Token(TokenSpec),
    /// In a TPM 2.0.
    Tpm {
        /// The folder with what only this TPM opens.
        dir: PathBuf,
        /// Where the TPM is.
        place: TpmPlace,
    },
}

impl KeySpec {
    /// Opens the keys that it names.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Missing`] if there are none.
    pub fn open(&self) -> Result<Arc<dyn KeyStore>, KeyError> {
        Ok(match self {
            Self::File { dir } => Arc::new(FileStore::open(dir)?),
            Self::Sealed { dir, secret } => {
                Arc::new(FileStore::open_sealed(dir, sealing_secret(dir, secret)?)?)
            }
            Self::Token(spec) => Arc::new(TokenStore::open(spec)?),
            Self::Tpm { dir, place } => tpm::open(dir, place)?,
        })
    }

    /// Makes the keys that it names.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Invalid`] if keys are there already.
    pub fn create(&self) -> Result<Arc<dyn KeyStore>, KeyError> {
        Ok(match self {
            Self::File { dir } => Arc::new(FileStore::create(dir)?),
            Self::Sealed { dir, secret } => {
                Arc::new(FileStore::create_sealed(dir, sealing_secret(dir, secret)?)?)
            }
            Self::Token(spec) => Arc::new(TokenStore::create(spec)?),
            Self::Tpm { dir, place } => tpm::create(dir, place)?,
        })
    }

    /// Says how well keys are kept there.
    pub fn protection(&self) -> Protection {
        match self {
            Self::File { .. } => Protection::File,
            Self::Sealed { .. } => Protection::Sealed,
            Self::Token(_) | Self::Tpm { .. } => Protection::Hardware,
        }
    }

    /// Says in one line where the keys are and what a thief gets, for a listing.
    pub fn describe(&self) -> String {
        let place = match self {
            Self::File { dir } => format!("in files of {}", dir.display()),
            Self::Sealed { dir, secret } => format!("in {}, sealed by {secret}", dir.display()),
            Self::Token(spec) => format!("in {spec}"),
            Self::Tpm { place, .. } => format!("in the TPM at {place}"),
        };
        let protection = self.protection();
        format!("{place}; level {}: {}", protection.level(), protection.describe())
    }
}

/// Reads the secret of sealed keys, unless it lies beside them.
fn sealing_secret(dir: &Path, secret: &SecretPlace) -> Result<SealingSecret, KeyError> {
    if secret.is_beside(dir)? {
        return Err(KeyError::Invalid {
            what: secret.to_string(),
            problem: format!(
                "lies on the same file system as {}: who copies one copies both, so that this would be level 0. \
                 Give a credential that systemd decrypts with the TPM, or a file on another medium; or name the \
                 keys file:{}",
                dir.display(),
                dir.display()
            ),
        });
    }
    SealingSecret::new(secret.read(SEALING_SECRET_BYTES)?)
}

impl FromStr for KeySpec {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() > KEY_SPEC_BYTES {
            return Err(wrong(format!("it has more than {KEY_SPEC_BYTES} bytes")));
        }
        match text.split_once(':') {
            Some(("file", rest)) => read_file(rest),
            Some(("sealed", rest)) => read_sealed(rest),
            Some(("pkcs11", rest)) => Ok(Self::Token(TokenSpec::read(rest)?)),
            Some(("tpm", rest)) => {
                let (dir, query) = split(rest);
                Ok(Self::Tpm { dir: read_dir(dir)?, place: TpmPlace::read(query)? })
            }
            _ => Err(wrong(
                "it begins with file:, sealed:, pkcs11: or tpm:, as in file:/var/lib/keyward-agent/keys",
            )),
        }
    }
}

fn read_dir(text: &str) -> Result<PathBuf, KeyError> {
    if text.is_empty() {
        return Err(wrong("behind the colon stands the folder of the keys"));
    }
    Ok(PathBuf::from(decode(text)?))
}

fn read_file(rest: &str) -> Result<KeySpec, KeyError> {
    let (dir, query) = split(rest);
    Pairs::read("behind ?", query, '&')?.end("none")?;
    Ok(KeySpec::File { dir: read_dir(dir)? })
}

fn read_sealed(rest: &str) -> Result<KeySpec, KeyError> {
    let (dir, query) = split(rest);
    let mut pairs = Pairs::read("behind ?", query, '&')?;
    let secret = match (pairs.take("secret"), pairs.take("credential")) {
        (Some(file), None) if !file.is_empty() => SecretPlace::File(PathBuf::from(file)),
        (None, Some(name)) if is_credential_name(&name) => SecretPlace::Credential(name),
        (None, Some(_)) => return Err(wrong("a credential's name has letters, digits, ., - and _")),
        _ => {
            return Err(wrong(
                "sealed: needs one of ?secret=FILE and ?credential=NAME; the secret itself never stands here",
            ));
        }
    };
    pairs.end("secret, credential")?;
    Ok(KeySpec::Sealed { dir: read_dir(dir)?, secret })
}

/// Tells whether a credential may be called so: no path, nothing that systemd would not take.
fn is_credential_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() <= 255 && name.bytes().all(fits) && !matches!(name, "." | "..")
}

fn shown(path: &Path) -> String {
    encode(&path.to_string_lossy())
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { dir } => write!(f, "file:{}", shown(dir)),
            Self::Sealed { dir, secret } => match secret {
                SecretPlace::File(file) => write!(f, "sealed:{}?secret={}", shown(dir), shown(file)),
                SecretPlace::Credential(name) => write!(f, "sealed:{}?credential={name}", shown(dir)),
            },
            Self::Token(spec) => spec.fmt(f),
            Self::Tpm { dir, place } => write!(f, "tpm:{}?{}", shown(dir), place.query()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<KeySpec>().unwrap_err().to_string()
    }

    #[test]
    fn a_name_is_read_as_it_is_shown() {
        for text in [
            "file:/var/lib/keys",
            "file:keys%3F/100%25",
            "sealed:/var/lib/keys?secret=/media/stick/secret",
            "sealed:/var/lib/keys?credential=keyward-keys",
            "pkcs11:token=fleet%201;object=pump-7?module-path=/usr/lib/libsofthsm2.so&pin-source=file:/etc/pin",
            "pkcs11:serial=0123;slot-id=3;object=device?module-path=/usr/lib/x.so",
            "tpm:/var/lib/keys?device=/dev/tpmrm0",
            "tpm:/var/lib/keys?swtpm=127.0.0.1:2321",
            "tpm:/var/lib/keys?swtpm=/run/swtpm.sock",
        ] {
            assert_eq!(text.parse::<KeySpec>().unwrap().to_string(), text);
        }
        let default = "tpm:/k".parse::<KeySpec>().unwrap();
        assert_eq!(default.to_string(), "tpm:/k?device=/dev/tpmrm0");
    }

    #[test]
    fn a_name_that_cannot_be_read_says_what_to_write() {
        for (text, says) in [
            ("/var/lib/keys", "begins with file:"),
            ("file:", "the folder"),
            ("file:/k?x=1", "\"x\" is not known"),
            ("file:/k%2", "hexadecimal"),
            ("file:/k%00", "control character"),
            ("file:/k%ff", "UTF-8"),
            ("sealed:/k", "secret=FILE"),
            ("sealed:/k?secret=/a&credential=b", "one of"),
            ("sealed:/k?credential=../../etc/shadow", "letters"),
            ("sealed:/k?secret=/a&secret=/b", "twice"),
            ("tpm:/k?swtpm=somewhere", "HOST:PORT"),
            ("tpm:/k?device=/dev/tpm0&swtpm=a:1", "one of"),
        ] {
            assert!(refusal(text).contains(says), "{text}: {}", refusal(text));
        }
        assert!(refusal(&format!("file:{}", "x".repeat(5_000))).contains("4096"));
    }

    #[test]
    fn a_listing_says_what_a_thief_gets() {
        let line = |text: &str| text.parse::<KeySpec>().unwrap().describe();
        assert!(line("file:/k").contains("level 0") && line("file:/k").contains("for ever"));
        assert!(line("sealed:/k?credential=c").contains("level 1"));
        assert!(line("tpm:/k").contains("level 2"));
    }
}
