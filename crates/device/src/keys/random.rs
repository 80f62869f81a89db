//! Random bytes of the operating system.

use super::KeyError;
use aws_lc_rs::rand;
use keyward_envelope::{Random, Unavailable};

/// The code of [`Unavailable`] for a system that gives no random bytes.
const NO_RANDOMNESS: Unavailable = Unavailable(17);

/// Gives the random bytes of this system to whatever encrypts ([`keyward_envelope::Random`]).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Unavailable> {
        rand::fill(out).map_err(|_| NO_RANDOMNESS)
    }
}

/// Says that nothing secret can be made now.
pub(crate) fn no_randomness() -> KeyError {
    KeyError::Hardware {
        store: "this system".to_owned(),
        problem: "it gave no random bytes; nothing secret can be made now".to_owned(),
    }
}

/// Draws `N` random bytes.
pub(crate) fn draw<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| no_randomness())?;
    Ok(bytes)
}
