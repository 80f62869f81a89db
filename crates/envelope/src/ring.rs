//! The public keys that one peer has.

use crate::keys::{Kid, PublicKey};
use core::fmt;

/// Holds the public keys of one peer, at most `N`: during a rotation the old and the new one are both good.
#[derive(Debug, Clone)]
pub struct Ring<const N: usize> {
    keys: [Option<(Kid, PublicKey)>; N],
}

/// Says why a key was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRegistered {
    /// Another key of this peer has the same identifier.
    Collision,
    /// The peer has as many keys as it may.
    Full,
}

impl fmt::Display for NotRegistered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Collision => "another key of this device has the same identifier: make a new key",
            Self::Full => "this device has as many keys as it may: retire one first",
        })
    }
}

impl core::error::Error for NotRegistered {}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self { keys: [None; N] }
    }
}

impl<const N: usize> Ring<N> {
    /// Takes a key. One that is there already stays.
    ///
    /// # Errors
    /// [`NotRegistered`]; nothing has changed.
    pub fn register(&mut self, key: PublicKey) -> Result<Kid, NotRegistered> {
        let kid = key.kid();
        self.place(kid, key).map(|()| kid)
    }

    fn place(&mut self, kid: Kid, key: PublicKey) -> Result<(), NotRegistered> {
        match self.find(kid) {
            Some(known) if *known == key => return Ok(()),
            Some(_) => return Err(NotRegistered::Collision),
            None => {}
        }
        let free = self.keys.iter_mut().find(|place| place.is_none()).ok_or(NotRegistered::Full)?;
        *free = Some((kid, key));
        Ok(())
    }

    /// Finds the key with this identifier.
    pub fn find(&self, kid: Kid) -> Option<&PublicKey> {
        self.keys.iter().flatten().find(|(known, _)| *known == kid).map(|(_, key)| key)
    }

    /// Takes a key away; tells whether it was there.
    pub fn retire(&mut self, kid: Kid) -> bool {
        let place = self.keys.iter_mut().find(|place| place.is_some_and(|(known, _)| known == kid));
        place.is_some_and(|place| place.take().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::software::Ed25519Key;

    #[test]
    fn a_second_key_with_the_same_identifier_is_refused() {
        let key = |seed: u8| Ed25519Key::from_seed(&[seed; 32]).public();
        let mut ring = Ring::<2>::default();
        let kid = ring.register(key(1)).unwrap();
        assert_eq!(ring.register(key(1)), Ok(kid), "the same key again");
        // To find two keys with one identifier takes 2^32 tries, so the test says that it found them.
        assert_eq!(ring.place(kid, key(2)), Err(NotRegistered::Collision));
        assert_eq!(ring.find(kid), Some(&key(1)));
        ring.register(key(2)).unwrap();
        assert_eq!(ring.register(key(3)), Err(NotRegistered::Full));
        assert!(ring.retire(kid) && !ring.retire(kid));
        assert_eq!(ring.find(kid), None);
        ring.register(key(3)).unwrap();
    }
}
