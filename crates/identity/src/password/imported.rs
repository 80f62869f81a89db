//! Hashes of passwords that Mosquitto kept: the three forms of its password file, read strictly and checked as they are.
//!
//! ```text
//! $6$SALT$HASH                        SHA-512 of password and salt, once (not the `$6$` of crypt)
//! $7$ITERATIONS$SALT$HASH             PBKDF2 with HMAC-SHA-512
//! $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH
//! ```
//!
//! Salt and hash are base64; only that of Argon2id is written without padding. What costs more than the bounds in
//! `limits` is not read: a hostile file must not stall the threads that check passwords.

use super::PasswordMemory;
use crate::limits;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, pbkdf2};
use base64ct::{Base64, Base64Unpadded, Encoding};
use serde::{Deserialize, Serialize};
use std::{fmt, num::NonZeroU32};

/// Bytes of salt that Mosquitto takes: up to 2.0, and from 2.1 on.
const SALTS: [usize; 2] = [12, 64];
/// Bytes of a SHA-512 hash.
const HASH: usize = 64;
/// The salts and hashes of Argon2id that are read, in bytes (RFC 9106 §3.1; more is of no use).
const ARGON2_SALT: std::ops::RangeInclusive<usize> = 8..=64;
const ARGON2_HASH: std::ops::RangeInclusive<usize> = 16..=64;

/// Iterations of PBKDF2 below which a stolen hash is guessed at a high rate.
const STRONG_ITERATIONS: u32 = 100_000;
/// KiB times passes of Argon2id below which it is cheaper to guess than what OWASP recommends at the least.
const STRONG_ARGON2: u64 = 35_840;

/// Holds the hash of a password as Mosquitto kept it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImportedHash(String);

/// Names the form of an imported hash, with what a guess costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportedForm {
    /// SHA-512, once.
    Sha512,
    /// PBKDF2 with HMAC-SHA-512.
    Pbkdf2 {
        /// How often.
        iterations: u32,
    },
    /// Argon2id.
    Argon2id {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
}

/// Says why a text is no hash that can be imported. It repeats nothing of the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefusal {
    /// It is none of the forms.
    #[error(
        "is no password hash of Mosquitto: expected $6$SALT$HASH, $7$ITERATIONS$SALT$HASH or $argon2id$…"
    )]
    Form,
    /// It is too long.
    #[error("has more than {} bytes, which no password hash of Mosquitto has", limits::IMPORTED_HASH_BYTES)]
    TooLong,
    /// A part is not base64 of this form.
    #[error("has a {part} that is not base64")]
    Base64 {
        /// Which part.
        part: &'static str,
    },
    /// A part has a length that this form does not have.
    #[error("has a {part} of {bytes} bytes, which Mosquitto does not write")]
    Length {
        /// Which part.
        part: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A cost is no number, or one that no check could be made with.
    #[error("has costs that are no numbers, or too small to mean anything")]
    Costs,
    /// A check would cost too much.
    #[error(
        "asks for more {what} than a login may cost here ({max}); give this account a new password instead"
    )]
    TooCostly {
        /// What it asks for.
        what: &'static str,
        /// The bound.
        max: u64,
    },
}

/// Is a hash taken apart.
struct Parts {
    form: ImportedForm,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl ImportedForm {
    /// Tells whether whoever steals the hash guesses the password at a high rate: SHA-512, PBKDF2 with fewer than
    /// 100,000 iterations, Argon2id below what OWASP recommends at the least.
    pub fn is_weak(self) -> bool {
        match self {
            Self::Sha512 => true,
            Self::Pbkdf2 { iterations } => iterations < STRONG_ITERATIONS,
            Self::Argon2id { memory_kib, passes, .. } => {
                u64::from(memory_kib) * u64::from(passes) < STRONG_ARGON2
            }
        }
    }
}

impl fmt::Display for ImportedForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha512 => f.write_str("$6$"),
            Self::Pbkdf2 { iterations: 1 } => f.write_str("$7$ 1 iteration"),
            Self::Pbkdf2 { iterations } => write!(f, "$7$ {iterations} iterations"),
            Self::Argon2id { memory_kib, passes, lanes } => {
                write!(f, "$argon2id$ m={memory_kib},t={passes},p={lanes}")
            }
        }
    }
}

impl ImportedHash {
    /// Reads a hash as it stands in a password file of Mosquitto, behind the colon.
    ///
    /// # Errors
    /// [`ImportRefusal`].
    pub fn parse(text: &str) -> Result<Self, ImportRefusal> {
        take_apart(text).map(|_| Self(text.to_owned()))
    }

    /// Returns which form it has.
    ///
    /// # Errors
    /// [`ImportRefusal`] if it was read from a ledger that held something else.
    pub fn form(&self) -> Result<ImportedForm, ImportRefusal> {
        take_apart(&self.0).map(|parts| parts.form)
    }

    /// Checks an attempt, in constant time but for what the form costs.
    pub(super) fn verify(&self, attempt: &[u8], memory: &mut PasswordMemory) -> bool {
        let Ok(Parts { form, salt, hash }) = take_apart(&self.0) else { return false };
        match form {
            ImportedForm::Sha512 => {
                let mut context = digest::Context::new(&digest::SHA512);
                context.update(attempt);
                context.update(&salt);
                verify_slices_are_equal(context.finish().as_ref(), &hash).is_ok()
            }
            ImportedForm::Pbkdf2 { iterations } => NonZeroU32::new(iterations).is_some_and(|iterations| {
                pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA512, iterations, &salt, attempt, &hash).is_ok()
            }),
            ImportedForm::Argon2id { memory_kib, passes, lanes } => {
                let Ok(params) = Params::new(memory_kib, passes, lanes, Some(hash.len())) else {
                    return false;
                };
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let attempted = memory.hash(&argon2, attempt, &salt, hash.len());
                memory.shrink();
                attempted.is_some_and(|out| verify_slices_are_equal(out.as_bytes(), &hash).is_ok())
            }
        }
    }
}

fn take_apart(text: &str) -> Result<Parts, ImportRefusal> {
    if text.len() > limits::IMPORTED_HASH_BYTES {
        return Err(ImportRefusal::TooLong);
    }
    let rest = text.strip_prefix('$').ok_or(ImportRefusal::Form)?;
    match rest.split('$').collect::<Vec<_>>()[..] {
        ["6", salt, hash] => sha512_parts(ImportedForm::Sha512, salt, hash),
        ["7", iterations, salt, hash] => {
            let iterations = number(iterations)?;
            bound("iterations", iterations.into(), limits::IMPORTED_ITERATIONS.into())?;
            sha512_parts(ImportedForm::Pbkdf2 { iterations }, salt, hash)
        }
        ["argon2id", "v=19", costs, salt, hash] => argon2_parts(costs, salt, hash),
        _ => Err(ImportRefusal::Form),
    }
}

fn sha512_parts(form: ImportedForm, salt: &str, hash: &str) -> Result<Parts, ImportRefusal> {
    let salt = decode::<Base64>("salt", salt, |bytes| SALTS.contains(&bytes))?;
    let hash = decode::<Base64>("hash", hash, |bytes| bytes == HASH)?;
    Ok(Parts { form, salt, hash })
}

fn argon2_parts(costs: &str, salt: &str, hash: &str) -> Result<Parts, ImportRefusal> {
    let [memory_kib, passes, lanes] = costs.split(',').collect::<Vec<_>>()[..] else {
        return Err(ImportRefusal::Form);
    };
    let cost = |key: &str, text: &str| number(text.strip_prefix(key).ok_or(ImportRefusal::Form)?);
    let (memory_kib, passes, lanes) = (cost("m=", memory_kib)?, cost("t=", passes)?, cost("p=", lanes)?);
    bound("memory in KiB", memory_kib.into(), limits::IMPORTED_ARGON2_KIB.into())?;
    let work = u64::from(memory_kib) * u64::from(passes);
    bound("work in KiB times passes", work, limits::IMPORTED_ARGON2_WORK)?;
    bound("lanes", lanes.into(), limits::IMPORTED_ARGON2_LANES.into())?;
    Params::new(memory_kib, passes, lanes, None).map_err(|_| ImportRefusal::Costs)?;
    let salt = decode::<Base64Unpadded>("salt", salt, |bytes| ARGON2_SALT.contains(&bytes))?;
    let hash = decode::<Base64Unpadded>("hash", hash, |bytes| ARGON2_HASH.contains(&bytes))?;
    Ok(Parts { form: ImportedForm::Argon2id { memory_kib, passes, lanes }, salt, hash })
}

/// Reads a positive decimal number without sign and leading zeros.
fn number(text: &str) -> Result<u32, ImportRefusal> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain).ok_or(ImportRefusal::Costs)
}

fn bound(what: &'static str, given: u64, max: u64) -> Result<(), ImportRefusal> {
    if given > max { Err(ImportRefusal::TooCostly { what, max }) } else { Ok(()) }
}

fn decode<E: Encoding>(
    part: &'static str,
    text: &str,
    fits: impl Fn(usize) -> bool,
) -> Result<Vec<u8>, ImportRefusal> {
    let bytes = E::decode_vec(text).map_err(|_| ImportRefusal::Base64 { part })?;
    if fits(bytes.len()) { Ok(bytes) } else { Err(ImportRefusal::Length { part, bytes: bytes.len() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL's SHA-512 and PBKDF2 (Python's `hashlib`) and by libargon2: all of "correct horse".
    const HASHES: [(&str, &str, bool); 6] = [
        (
            "$6$MDEyMzQ1Njc4OWFi$vMblpzgCS5oj2lUbBcEO+PGDOv2Ychcm2aCJlOM/97en/aLeFXM5JAedC3UgjydjvghOxFalEDxmI0OHi3Vlsg==",
            "$6$",
            true,
        ),
        (
            "$7$101$MDEyMzQ1Njc4OWFi$bGJdXfn6P9jmSY0ZCpIaCSkQ1XayfQBMBwplxxuT8e+N6cR6JaUl22kyOezT4vgFZzRNUODVbwJMCRIfFS1o8A==",
            "$7$ 101 iterations",
            true,
        ),
        (
            "$7$1000$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==$53KiEygVzVVEVUVTe4h79yMtYp0OxxoKFip82vf7OCrEbcm4/E88oGkCyN0NhQ7fLOSBIpiITuELG/0ldDPFMQ==",
            "$7$ 1000 iterations",
            true,
        ),
        (
            "$7$100000$MDEyMzQ1Njc4OWFi$lxwMLr9RfinXPmzVv4zG4iog9us3XK9mJwSkCM0PpimxBis/vknzn39Gi0CdgjfPVuYHrm/anXNwJ1LeW3Zs3w==",
            "$7$ 100000 iterations",
            false,
        ),
        (
            "$argon2id$v=19$m=47104,t=1,p=1$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw$aVo1St5PsxylF7NjjIPOOE5jxNbeUNweT/LEl8ONyxYqiqflWO7BotCdzcmTPqR4fg0oMZSzDQFY9PDfbH+biw",
            "$argon2id$ m=47104,t=1,p=1",
            false,
        ),
        (
            "$argon2id$v=19$m=1024,t=2,p=2$AAECAwQFBgcICQoLDA0ODw$GnqHfOGFF7o6esyUN/pYoyAnufKCqDZoONq9+13vaKM",
            "$argon2id$ m=1024,t=2,p=2",
            true,
        ),
    ];

    #[test]
    fn each_form_of_mosquitto_opens_with_its_password_and_no_other() {
        let mut memory = PasswordMemory::default();
        for (text, shown, is_weak) in HASHES {
            let hash = ImportedHash::parse(text).unwrap();
            let form = hash.form().unwrap();
            assert_eq!((form.to_string().as_str(), form.is_weak()), (shown, is_weak));
            assert!(hash.verify(b"correct horse", &mut memory), "{shown}");
            for wrong in [&b"correct horsf"[..], b"", b"correct horse "] {
                assert!(!hash.verify(wrong, &mut memory), "{shown}");
            }
            assert!(
                memory.0.len() <= PasswordMemory::OWN_BLOCKS,
                "what an imported hash needed is given back"
            );
        }
    }

    #[test]
    fn what_is_cut_garbled_or_of_another_kind_is_no_hash() {
        for (text, ..) in HASHES {
            for cut in 0..text.len() {
                let parsed = ImportedHash::parse(&text[..cut]);
                // The hash of Argon2id may be shorter; those of SHA-512 may not.
                assert!(parsed.is_err() || text.starts_with("$argon2id$"), "{}", &text[..cut]);
            }
            for spoilt in
                [format!(" {text}"), format!("{text}\n"), format!("{text}$"), text.replace('A', "*")]
            {
                assert!(ImportedHash::parse(&spoilt).is_err() || spoilt == text, "{spoilt}");
            }
        }
        for other in
            ["", "$", "$6$$", "$5$a$b", "$2b$12$abc", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA", "secret"]
        {
            assert_eq!(
                ImportedHash::parse(other).err().map(|error| error.to_string().is_empty()),
                Some(false)
            );
        }
    }

    #[test]
    fn a_hash_that_would_stall_the_checks_is_refused() {
        let [_, (seven, ..), .., (argon2, ..)] = HASHES;
        let costly = [
            seven.replace("$101$", "$500001$"),
            seven.replace("$101$", "$4294967295$"),
            argon2.replace("m=1024", "m=65537"),
            argon2.replace("m=1024,t=2", "m=65536,t=5"),
            argon2.replace("p=2", "p=9"),
        ];
        for text in costly {
            let refusal = ImportedHash::parse(&text).err().unwrap();
            assert!(matches!(refusal, ImportRefusal::TooCostly { .. }), "{text}: {refusal}");
        }
        for senseless in ["$0$", "$-1$", "$+1$", "$007$", "$1e3$", "$99999999999$"] {
            let text = seven.replace("$101$", senseless);
            assert_eq!(ImportedHash::parse(&text).err(), Some(ImportRefusal::Costs), "{text}");
        }
        let text = format!("{seven}{}", "A".repeat(limits::IMPORTED_HASH_BYTES));
        assert_eq!(ImportedHash::parse(&text).err(), Some(ImportRefusal::TooLong));
    }
}
