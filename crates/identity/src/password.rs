//! Passwords: how they are made, kept and checked.
//!
//! A password that Keyward generated has 128 bits: nobody guesses it, so a keyed hash is enough and a check costs
//! microseconds. A password that a person chose is hashed with Argon2id, which is slow on purpose: check it in a
//! bounded pool, never on a thread that serves links. A password that came from Mosquitto is checked by its old hash, in
//! the same pool, and hashed anew when it was right for the first time.

mod imported;

pub use imported::{ImportRefusal, ImportedForm, ImportedHash};

use crate::{
    limits,
    secret::{NoRandomness, Secret, random, random_text},
};
use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        PasswordHasher,
        phc::{Output, PasswordHash},
    },
};
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Holds the key of the keyed hashes. Without it, a stolen ledger gives no way to test guesses of generated passwords.
pub struct Pepper(hmac::Key);

impl Pepper {
    /// The length of the key, in bytes.
    pub const LEN: usize = 32;

    pub(crate) fn new(key: &[u8; Self::LEN]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Makes another key of it, for what `label` names and for nothing else.
    pub fn derive(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(hmac::sign(&self.0, label).as_ref());
        key
    }

    pub(crate) fn draw() -> Result<Zeroizing<[u8; Self::LEN]>, NoRandomness> {
        random().map(Zeroizing::new)
    }

    fn mac(&self, salt: &[u8; 16], password: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(salt);
        context.update(password);
        context.sign()
    }
}

/// Holds what is kept of a password; the password cannot be got back from it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PasswordRecord {
    /// A password of 128 random bits.
    Generated(GeneratedHash),
    /// A password that a person chose.
    Chosen(ChosenHash),
    /// A password that was imported and is hashed anew, though it is one that could not be chosen here: too short, or
    /// the name of its account.
    Weak(ChosenHash),
    /// A password that was imported, with the hash that it came with.
    Imported(ImportedHash),
}

/// Holds the keyed hash of a generated password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratedHash {
    #[serde(with = "crate::wire::base64")]
    salt: [u8; 16],
    #[serde(with = "crate::wire::base64")]
    mac: [u8; 32],
}

/// Holds the Argon2id hash of a chosen password as a PHC string.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChosenHash(String);

impl fmt::Debug for PasswordRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Generated(_) => "Generated(..)",
            Self::Chosen(_) => "Chosen(..)",
            Self::Weak(_) => "Weak(..)",
            Self::Imported(_) => "Imported(..)",
        })
    }
}

/// Says why a password cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefusal {
    /// The password is too short.
    #[error("the password has fewer than {} characters", limits::CHOSEN_PASSWORD_CHARS)]
    TooShort,
    /// The password is too long.
    #[error("the password has more than {} bytes", limits::PASSWORD_BYTES)]
    TooLong,
    /// The password is the name of the account.
    #[error("the password is the name of the account; choose another")]
    IsTheName,
    /// The system gave no random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The hash function failed; it does so only without memory.
    #[error("the password could not be hashed: not enough memory")]
    NotHashed,
}

impl PasswordRecord {
    /// Draws a password and makes its record. The password is shown once and kept nowhere.
    ///
    /// # Errors
    /// [`NoRandomness`] if the system gives no random bytes.
    pub fn generate(pepper: &Pepper) -> Result<(Secret, Self), NoRandomness> {
        let password = random_text()?;
        let salt = random()?;
        let mut mac = [0; 32];
        mac.copy_from_slice(pepper.mac(&salt, password.expose()).as_ref());
        Ok((password, Self::Generated(GeneratedHash { salt, mac })))
    }

    /// Makes the record of a password that a person chose for the account `name`. Takes tens of milliseconds and
    /// 19 MiB of memory.
    ///
    /// # Errors
    /// [`PasswordRefusal`] if the password is too short, too long or the name itself.
    pub fn choose(password: &[u8], name: &str) -> Result<Self, PasswordRefusal> {
        check_choice(password, name)?;
        ChosenHash::new(password).map(Self::Chosen)
    }

    /// Makes the record that replaces an imported one, of the password of account `name` that was just found right; `None`
    /// if this one is not imported. Costs as much as [`PasswordRecord::choose`].
    ///
    /// # Errors
    /// [`PasswordRefusal`] if there are no random bytes or there is no memory.
    pub fn rehash(&self, password: &[u8], name: &str) -> Result<Option<Self>, PasswordRefusal> {
        if !self.is_imported() {
            return Ok(None);
        }
        let hash = ChosenHash::new(password)?;
        Ok(Some(if check_choice(password, name).is_ok() { Self::Chosen(hash) } else { Self::Weak(hash) }))
    }

    /// Returns a record that no password matches and that costs as much as a chosen one: what an attempt for an
    /// unknown name is checked against.
    pub fn decoy() -> Self {
        Self::Chosen(ChosenHash::decoy())
    }

    /// Tells whether checking costs tens of milliseconds, so that it belongs into a pool.
    pub fn is_slow(&self) -> bool {
        !matches!(self, Self::Generated(_))
    }

    /// Tells whether it is a hash that another broker made.
    pub fn is_imported(&self) -> bool {
        matches!(self, Self::Imported(_))
    }

    /// Tells whether the password is to be replaced: imported with a hash that is cheap to guess, or one that could not
    /// be chosen here.
    pub fn is_weak(&self) -> bool {
        match self {
            Self::Generated(_) | Self::Chosen(_) => false,
            Self::Weak(_) => true,
            Self::Imported(hash) => hash.form().is_ok_and(ImportedForm::is_weak),
        }
    }

    /// Says what is to be known of it, for listings: where the hash came from, and whether it is weak.
    pub fn note(&self) -> Option<String> {
        let weak = if self.is_weak() { ": weak" } else { "" };
        match self {
            Self::Generated(_) | Self::Chosen(_) => None,
            Self::Weak(_) => Some("imported, too short or the name: weak".to_owned()),
            Self::Imported(hash) => Some(
                hash.form()
                    .map_or_else(|why| format!("imported, {why}"), |form| format!("imported, {form}{weak}")),
            ),
        }
    }

    /// Checks an attempt against a generated password in microseconds and in constant time; `false` for a chosen one.
    pub fn verify_generated(&self, pepper: &Pepper, attempt: &[u8]) -> bool {
        let Self::Generated(hash) = self else { return false };
        let message: Zeroizing<Vec<u8>> = Zeroizing::new([hash.salt.as_slice(), attempt].concat());
        hmac::verify(&pepper.0, &message, &hash.mac).is_ok()
    }

    /// Checks an attempt against a chosen or an imported password: slow (Argon2id, 19 MiB of `memory`; what an imported one
    /// asks for); `false` for a generated one. An attempt longer than any password that can be set is refused at once.
    /// A wrong one for a weak imported hash takes as long as one for a chosen password at least.
    pub fn verify_slow(&self, attempt: &[u8], memory: &mut PasswordMemory) -> bool {
        if attempt.len() > limits::PASSWORD_BYTES {
            return false;
        }
        match self {
            Self::Generated(_) => false,
            Self::Chosen(hash) | Self::Weak(hash) => hash.verify(attempt, memory),
            Self::Imported(hash) => {
                let is_right = hash.verify(attempt, memory);
                if !is_right && self.is_weak() {
                    ChosenHash::decoy().verify(attempt, memory);
                }
                is_right
            }
        }
    }
}

/// Says whether a person may choose this password for the account `name`.
fn check_choice(password: &[u8], name: &str) -> Result<(), PasswordRefusal> {
    if password.len() > limits::PASSWORD_BYTES {
        return Err(PasswordRefusal::TooLong);
    }
    if password.eq_ignore_ascii_case(name.as_bytes()) {
        return Err(PasswordRefusal::IsTheName);
    }
    let chars = std::str::from_utf8(password).map_or(password.len(), |text| text.chars().count());
    if chars < limits::CHOSEN_PASSWORD_CHARS {
        return Err(PasswordRefusal::TooShort);
    }
    Ok(())
}

impl ChosenHash {
    fn new(password: &[u8]) -> Result<Self, PasswordRefusal> {
        let salt: [u8; 16] = random()?;
        hash_chosen(password, &salt).map(Self).ok_or(PasswordRefusal::NotHashed)
    }

    fn decoy() -> Self {
        Self(format!("$argon2id$v=19$m=19456,t=2,p=1${}${}", "A".repeat(22), "A".repeat(43)))
    }

    fn verify(&self, attempt: &[u8], memory: &mut PasswordMemory) -> bool {
        let Ok(PasswordHash { algorithm, version, params, salt: Some(salt), hash: Some(hash) }) =
            PasswordHash::new(&self.0)
        else {
            return false;
        };
        let version = version.map_or(Ok(Version::default()), Version::try_from);
        match (Algorithm::try_from(algorithm.as_str()), version, Params::try_from(&params)) {
            (Ok(algorithm), Ok(version), Ok(params)) => memory
                .hash(&Argon2::new(algorithm, version, params), attempt, salt.as_ref(), hash.len())
                .is_some_and(|attempted| attempted == hash), // in constant time
            _ => false,
        }
    }
}

/// Is what Argon2id works in, kept from one check to the next: taken and given back each time, blocks of this size
/// leave holes in the allocator's heap that the next one does not fit into. A check leaves nothing in it that tells of
/// the password.
#[derive(Default)]
pub struct PasswordMemory(Vec<Block>);

impl PasswordMemory {
    /// Blocks of 1 KiB that a chosen password needs.
    const OWN_BLOCKS: usize = 19 * 1_024;

    /// Gives back what an imported hash needed beyond that.
    fn shrink(&mut self) {
        self.0.truncate(Self::OWN_BLOCKS);
        self.0.shrink_to(Self::OWN_BLOCKS);
    }

    /// Returns the hash of a password; `None` if there is no memory for it.
    fn hash(&mut self, argon2: &Argon2<'_>, password: &[u8], salt: &[u8], length: usize) -> Option<Output> {
        let count = argon2.params().block_count();
        self.0.try_reserve_exact(count.saturating_sub(self.0.len())).ok()?;
        self.0.resize(count, Block::new());
        let mut bytes = [0; Output::MAX_LENGTH];
        let bytes = bytes.get_mut(..length)?;
        let hashed = argon2.hash_password_into_with_memory(password, salt, bytes, &mut self.0);
        self.0.iter_mut().for_each(Block::zeroize);
        hashed.ok().and_then(|()| Output::new(bytes).ok())
    }
}

/// Hashes with the parameters that OWASP recommends and the library has as its default: Argon2id, 19 MiB, 2 passes.
fn hash_chosen(password: &[u8], salt: &[u8]) -> Option<String> {
    let hash: PasswordHash = Argon2::default().hash_password_with_salt(password, salt).ok()?;
    Some(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(record: &PasswordRecord, attempt: &[u8]) -> bool {
        record.verify_slow(attempt, &mut PasswordMemory::default())
    }

    fn pepper() -> Pepper {
        Pepper::new(&[7; 32])
    }

    #[test]
    fn a_generated_password_opens_its_record_and_no_other() {
        let (password, record) = PasswordRecord::generate(&pepper()).unwrap();
        let (other, _) = PasswordRecord::generate(&pepper()).unwrap();
        assert!(record.verify_generated(&pepper(), password.expose()));
        assert!(!record.verify_generated(&pepper(), other.expose()));
        assert!(!record.verify_generated(&pepper(), b""));
        assert!(!record.verify_generated(&Pepper::new(&[8; 32]), password.expose()));
        assert!(!opens(&record, password.expose()));
        assert!(!record.is_slow());
    }

    #[test]
    fn a_generated_password_has_at_least_128_bits_of_plain_symbols() {
        let (password, _) = PasswordRecord::generate(&pepper()).unwrap();
        let text = password.expose_text();
        assert!(text.len() * 5 >= 128);
        assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{text}");
    }

    #[test]
    fn a_chosen_password_opens_its_record_after_a_trip_to_disk() {
        let record = PasswordRecord::choose("pass wörd".as_bytes(), "anna").unwrap();
        let json = serde_json::to_string(&record).unwrap();
        let record: PasswordRecord = serde_json::from_str(&json).unwrap();
        assert!(json.contains("argon2id"), "{json}");
        assert!(record.is_slow());
        assert!(opens(&record, "pass wörd".as_bytes()));
        assert!(!opens(&record, b"pass word"));
        assert!(!opens(&record, &[b'x'; 2_000]));
    }

    #[test]
    fn memory_that_is_kept_tells_nothing_of_the_password_before_and_spoils_no_check() {
        let record = PasswordRecord::choose("pass wörd".as_bytes(), "anna").unwrap();
        let mut memory = PasswordMemory::default();
        for attempt in ["pass word", "pass wörd", "", "pass wörd"] {
            let is_right = attempt == "pass wörd";
            assert_eq!(record.verify_slow(attempt.as_bytes(), &mut memory), is_right, "{attempt:?}");
            assert_eq!(memory.0.len(), 19 * 1_024, "19 MiB");
            assert!(memory.0.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
        }
    }

    #[test]
    fn a_weak_password_is_refused_when_it_is_set() {
        assert_eq!(PasswordRecord::choose(b"1234567", "anna"), Err(PasswordRefusal::TooShort));
        assert_eq!(PasswordRecord::choose("öööö".as_bytes(), "anna"), Err(PasswordRefusal::TooShort));
        assert_eq!(PasswordRecord::choose(b"Anna-Maria", "anna-maria"), Err(PasswordRefusal::IsTheName));
        assert_eq!(PasswordRecord::choose(&[b'x'; 1_025], "anna"), Err(PasswordRefusal::TooLong));
    }

    #[test]
    fn the_decoy_is_a_well_formed_hash_that_nothing_opens() {
        let PasswordRecord::Chosen(ChosenHash(phc)) = PasswordRecord::decoy() else { panic!() };
        let costs = |phc: &str| phc.split('$').nth(3).map(str::to_owned);
        assert_eq!(costs(&phc), hash_chosen(b"12345678", &[1; 16]).and_then(|real| costs(&real)));
        assert!(PasswordHash::new(&phc).is_ok());
        assert!(!opens(&PasswordRecord::decoy(), b"anything at all"));
    }

    #[test]
    fn a_record_prints_no_hash() {
        let (_, record) = PasswordRecord::generate(&pepper()).unwrap();
        assert_eq!(format!("{record:?}"), "Generated(..)");
    }
}
