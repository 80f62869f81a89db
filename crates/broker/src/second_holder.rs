//! What proves that two hold a message key, or that its device has lost count.

use crate::attach::LinkId;
use core::fmt;
use keyward_envelope::{Digest, Kid, Sequence};
use keyward_ids::Identity;

/// Is a message whose signature holds, and whose number nobody who counts could have given it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecondHolder {
    /// Whose key it is.
    pub identity: Identity,
    /// The link on which it came.
    pub link: LinkId,
    /// Which of its keys.
    pub kid: Kid,
    /// The topic; the peer chose it.
    pub topic: Box<str>,
    /// Its number.
    pub number: Sequence,
    /// The highest number of the key that was taken.
    pub highest: Sequence,
    /// Names the message.
    pub digest: Digest,
    /// How it is known.
    pub sign: HolderSign,
}

impl fmt::Debug for SecondHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecondHolder({} {} {:?})", self.identity, self.number, self.sign)
    }
}

/// Says how it is known that two hold a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderSign {
    /// Two messages have one number.
    Equivocation {
        /// What is kept of the message that came.
        tag: u32,
        /// What is kept of the one before.
        earlier: u32,
    },
    /// It was made after the message with the highest number, and its number lies behind the window.
    Behind,
}
