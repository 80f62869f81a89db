//! What tests of several parts need: a chip that survives power cuts, and dice.

use crate::keys::{Counter, Generation, KeyError, KeyStore, Protection, Role};
use std::sync::Mutex;
use zeroize::Zeroizing;

/// Stands for a chip: wraps, and counts if it may.
#[derive(Debug, Default)]
pub(crate) struct Chip {
    name: u8,
    counters: Option<Mutex<[u64; 2]>>,
}

impl Chip {
    /// A chip that counts nothing.
    pub(crate) fn named(name: u8) -> Self {
        Self { name, counters: None }
    }

    /// A chip that counts.
    pub(crate) fn counting() -> Self {
        Self { name: 7, counters: Some(Mutex::new([40, 900])) }
    }

    fn with(&self, counter: Counter, raise: u64) -> Option<u64> {
        let mut counters = self.counters.as_ref()?.lock().unwrap();
        let place = &mut counters[usize::from(counter == Counter::Store)];
        *place += raise;
        Some(*place)
    }
}

impl KeyStore for Chip {
    fn protection(&self) -> Protection {
        Protection::Hardware
    }
    fn public(&self, _: Role, _: Generation) -> Result<[u8; 65], KeyError> {
        Err(KeyError::Foreign)
    }
    fn sign(&self, _: Role, _: Generation, _: &[u8; 32]) -> Result<[u8; 64], KeyError> {
        Err(KeyError::Foreign)
    }
    fn agree(&self, _: Generation, _: &[u8; 65]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        Err(KeyError::Foreign)
    }
    fn prepare(&self, _: Role) -> Result<[u8; 65], KeyError> {
        Err(KeyError::Foreign)
    }
    fn discard(&self, _: Role) -> Result<(), KeyError> {
        Err(KeyError::Foreign)
    }
    fn promote(&self, _: Role) -> Result<(), KeyError> {
        Err(KeyError::Foreign)
    }
    fn wrap(&self, secret: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        Ok([&[self.name][..], secret].concat())
    }
    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let secret = wrapped.strip_prefix(&[self.name]).ok_or(KeyError::Foreign)?;
        Ok(Zeroizing::new(secret.try_into().map_err(|_| KeyError::Foreign)?))
    }
    fn counter(&self, counter: Counter) -> Result<Option<u64>, KeyError> {
        Ok(self.with(counter, 0))
    }
    fn raise_counter(&self, counter: Counter) -> Result<Option<u64>, KeyError> {
        Ok(self.with(counter, 1))
    }
    fn destroy(&self) -> Result<(), KeyError> {
        Ok(())
    }
}

/// Throws the same for the same seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Throws a number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end.max(1)
    }
}
