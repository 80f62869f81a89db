//! Names a token, and the keys in it, by a PKCS #11 URI (RFC 7512).

use super::super::{KeyError, SecretPlace};
use super::uri::{Pairs, encode, split, wrong};
use super::{is_credential_name, shown};
use std::fmt;
use std::path::PathBuf;

/// Names a token and the device's keys in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// The library that reaches the token.
    pub module: PathBuf,
    /// The token's label.
    pub token: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// The slot that it is in.
    pub slot: Option<u64>,
    /// The name that the keys have in common; `device` if nothing is said. Labels are `keyward:NAME:…`.
    pub object: String,
    /// Where the PIN lies; nothing is the file that `KEYWARD_PIN_FILE` names.
    pub pin: Option<SecretPlace>,
}

const PATH: &str = "token, serial, slot-id, object";
const QUERY: &str = "module-path, pin-source";

impl TokenSpec {
    pub(super) fn read(rest: &str) -> Result<Self, KeyError> {
        let (path, query) = split(rest);
        let mut path = Pairs::read("before ?", Some(path), ';')?;
        let mut query = Pairs::read("behind ?", query, '&')?;
        if query.take("pin-value").is_some() {
            return Err(wrong(
                "a PIN never stands in it (pin-value): it would be in the process list and in backups. Write it to \
                 a file with mode 0600 and name that: pin-source=file:FILE",
            ));
        }
        let spec = Self {
            module: read_module(query.take("module-path"))?,
            token: path.take("token"),
            serial: path.take("serial"),
            slot: path.take("slot-id").map(|slot| read_slot(&slot)).transpose()?,
            object: path.take("object").map_or_else(|| Ok("device".to_owned()), read_object)?,
            pin: query.take("pin-source").map(|source| read_pin_source(&source)).transpose()?,
        };
        path.end(PATH)?;
        query.end(QUERY)?;
        Ok(spec)
    }
}

fn read_module(path: Option<String>) -> Result<PathBuf, KeyError> {
    match path {
        Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
        _ => Err(wrong(
            "module-path= names the token's library, whole: module-path=/usr/lib/softhsm/libsofthsm2.so",
        )),
    }
}

fn read_slot(text: &str) -> Result<u64, KeyError> {
    text.parse().map_err(|_| wrong("slot-id= is a number"))
}

fn read_object(name: String) -> Result<String, KeyError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if (1..=64).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(name);
    }
    Err(wrong("object= names the keys by 1 to 64 letters, digits, ., - and _"))
}

fn read_pin_source(source: &str) -> Result<SecretPlace, KeyError> {
    let path = source.strip_prefix("file:").unwrap_or(source);
    let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
    if path.starts_with('/') {
        return Ok(SecretPlace::File(PathBuf::from(path)));
    }
    match source.strip_prefix("credential:") {
        Some(name) if is_credential_name(name) => Ok(SecretPlace::Credential(name.to_owned())),
        _ => Err(wrong(
            "pin-source= names a file, file:/etc/keyward/pin, or a credential of systemd, credential:NAME; no \
             program is run for it",
        )),
    }
}

impl fmt::Display for TokenSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        for (name, value) in [("token", &self.token), ("serial", &self.serial)] {
            if let Some(value) = value {
                write!(f, "{name}={};", encode(value))?;
            }
        }
        if let Some(slot) = self.slot {
            write!(f, "slot-id={slot};")?;
        }
        write!(f, "object={}?module-path={}", self.object, shown(&self.module))?;
        match &self.pin {
            Some(SecretPlace::File(path)) => write!(f, "&pin-source=file:{}", shown(path)),
            Some(SecretPlace::Credential(name)) => write!(f, "&pin-source=credential:{name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeySpec;

    fn refusal(text: &str) -> String {
        text.parse::<KeySpec>().unwrap_err().to_string()
    }

    #[test]
    fn a_pin_in_the_name_is_refused_and_never_repeated() {
        for text in [
            "pkcs11:token=a?module-path=/x.so&pin-value=471100",
            "pkcs11:token=a?471100",
            "pkcs11:token=a?pin-source=471100&module-path=/x.so",
            "pkcs11:token=a?module-path=/x.so&pin-source=|echo 471100",
        ] {
            assert!(!refusal(text).contains("471100"), "{}", refusal(text));
        }
        assert!(refusal("pkcs11:?pin-value=1&module-path=/x.so").contains("process list"));
    }

    #[test]
    fn what_is_not_known_or_cannot_be_is_refused() {
        for (text, says) in [
            ("pkcs11:token=a", "module-path"),
            ("pkcs11:token=a?module-path=x.so", "whole"),
            ("pkcs11:id=%01?module-path=/x.so", "control"),
            ("pkcs11:type=private?module-path=/x.so", "\"type\" is not known"),
            ("pkcs11:token=a;token=b?module-path=/x.so", "twice"),
            ("pkcs11:slot-id=a?module-path=/x.so", "number"),
            ("pkcs11:object=a:b?module-path=/x.so", "64 letters"),
        ] {
            assert!(refusal(text).contains(says), "{text}: {}", refusal(text));
        }
    }
}
