//! The keys of a device, wherever they are kept.

mod file;
mod folder;
mod form;
mod messages;
mod random;
mod request;
mod sealed;
mod secret_place;
mod software;
mod spec;
mod tls;
mod token;
mod tpm;

pub use file::FileStore;
pub(crate) use messages::public_key;
pub use messages::{MessageSigner, Opener};
pub use random::SystemRandom;
pub(crate) use random::{draw, no_randomness};
pub use request::{cose_key, signing_request};
pub use sealed::SealingSecret;
pub use secret_place::SecretPlace;
#[cfg(feature = "decoders")]
pub(crate) use software::{SoftwareKey, unwrap};
pub use spec::{KeySpec, TokenSpec, TpmPlace};
pub use tls::TlsSigner;
pub use token::TokenStore;
pub use tpm::{Endorsement, TpmStore};

use keyward_tpm::{Challenge, Evidence};
use std::fmt;
use zeroize::Zeroizing;

/// Says what a key is for. Each is a key of P-256 of its own: a signature that was made for one must mean nothing to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Shows in TLS who the device is; its public half is in the certificate.
    Tls,
    /// Signs messages (`docs/mqsec1.md`).
    Message,
    /// Opens what is encrypted to the device: messages for it alone, and the keys of its groups.
    Agreement,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Tls, Self::Message, Self::Agreement];

    /// Returns the name by which files and labels call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Message => "message",
            Self::Agreement => "agreement",
        }
    }

    /// Returns what an error calls the key of this role.
    pub(crate) fn key(self, generation: Generation) -> &'static str {
        match (self, generation) {
            (Self::Tls, Generation::Current) => "key for TLS",
            (Self::Message, Generation::Current) => "key for messages",
            (Self::Agreement, Generation::Current) => "key to agree with",
            (Self::Tls, Generation::Next) => "next key for TLS",
            (Self::Message, Generation::Next) => "next key for messages",
            (Self::Agreement, Generation::Next) => "next key to agree with",
        }
    }
}

/// Says which key of a role is meant: the one in use, or the one that will follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Generation {
    /// The key in use.
    Current,
    /// The key that was [prepared](KeyStore::prepare), until it is [promoted](KeyStore::promote).
    Next,
}

/// Says how well keys are kept: what a thief with the device, or with a copy of its disk, can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// Level 0: in a file. Who reads the disk once is the device for ever.
    File,
    /// Level 1: in a file that opens only with a secret of this machine. A copy of the disk is worth nothing; who runs code on the
    /// machine can copy the key.
    Sealed,
    /// Level 2: in a chip that does not give it away. Who holds the device can use the key while they hold it, and cannot copy it.
    Hardware,
}

impl Protection {
    /// Returns the number by which policies name the level, 0 to 2. (Level 3 is this one's word proven to the server at enrolment.)
    pub fn level(self) -> u8 {
        match self {
            Self::File => 0,
            Self::Sealed => 1,
            Self::Hardware => 2,
        }
    }

    /// Says what a thief gets, for a listing.
    pub fn describe(self) -> &'static str {
        match self {
            Self::File => "who reads the disk once is the device for ever",
            Self::Sealed => "a copied disk opens nothing; who runs code on the device can copy the keys",
            Self::Hardware => "the keys cannot be copied; who holds the device uses them while they hold it",
        }
    }
}

/// Says which of the hardware's two counters is meant. They are two, because who compares one with what is on disk has to know that
/// nobody else raised it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counter {
    /// Counts the starts of the device: the upper half of its messages' numbers. Raised at every start.
    Starts,
    /// Counts states of the sealed store, so that an older copy is recognised. Raised rarely: a TPM bears some 100,000 writes.
    Store,
}

/// Keeps the keys of one device.
///
/// Keys are made when the store is created, and never leave it by this interface. Every method may block: a TPM needs tens of
/// milliseconds for a signature.
pub trait KeyStore: Send + Sync + fmt::Debug {
    /// Says how well the keys are kept.
    fn protection(&self) -> Protection;

    /// Returns the public half of a key: a point of P-256 as SEC 1 writes it, uncompressed, 65 bytes.
    ///
    /// # Errors
    /// [`KeyError::Missing`] if the role has no such key; others if the store cannot be reached.
    fn public(&self, role: Role, generation: Generation) -> Result<[u8; 65], KeyError>;

    /// Signs a SHA-256 digest with [`Role::Tls`] or [`Role::Message`] and returns r‖s, each 32 bytes big-endian.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Missing`] for [`Role::Agreement`], which signs nothing.
    fn sign(&self, role: Role, generation: Generation, digest: &[u8; 32]) -> Result<[u8; 64], KeyError>;

    /// Returns the x coordinate on which the key of [`Role::Agreement`] and `peer` (65 bytes of SEC 1) agree, big-endian.
    ///
    /// # Errors
    /// [`KeyError`]; also if `peer` is no point of the curve.
    fn agree(&self, generation: Generation, peer: &[u8; 65]) -> Result<Zeroizing<[u8; 32]>, KeyError>;

    /// Makes the key that follows the one in use, and returns its public half; returns the one that was made before if it was not
    /// promoted yet. It is on disk, or in the chip, when this returns.
    ///
    /// # Errors
    /// [`KeyError`]; the keys in use are then as they were.
    fn prepare(&self, role: Role) -> Result<[u8; 65], KeyError>;

    /// Destroys the prepared key, if there is one, so that the next [`KeyStore::prepare`] makes another.
    ///
    /// # Errors
    /// [`KeyError`].
    fn discard(&self, role: Role) -> Result<(), KeyError>;

    /// Puts the prepared key into use, and destroys the one before it. Either both happened after a power cut or neither.
    ///
    /// # Errors
    /// [`KeyError::Missing`] if none was prepared.
    fn promote(&self, role: Role) -> Result<(), KeyError>;

    /// Closes 32 secret bytes so that only this store opens them: the master key of the sealed store.
    ///
    /// # Errors
    /// [`KeyError`].
    fn wrap(&self, secret: &[u8; 32]) -> Result<Vec<u8>, KeyError>;

    /// Opens what [`KeyStore::wrap`] closed.
    ///
    /// # Errors
    /// [`KeyError::Foreign`] if it was closed by another store, or changed.
    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError>;

    /// Returns a number that the hardware never lets go back, and `None` where there is no such hardware.
    ///
    /// # Errors
    /// [`KeyError`].
    fn counter(&self, counter: Counter) -> Result<Option<u64>, KeyError>;

    /// Raises that number by one and returns it; the other stays as it is.
    ///
    /// # Errors
    /// [`KeyError`].
    fn raise_counter(&self, counter: Counter) -> Result<Option<u64>, KeyError>;

    /// Returns what the chip says of the keys in use, so that the server can see that they live in it; `None` where nothing could
    /// be shown. `about` stands in it ([`Evidence::about`]).
    ///
    /// # Errors
    /// [`KeyError`].
    fn vouch(&self, about: &[u8; 32]) -> Result<Option<Evidence>, KeyError> {
        let _ = about;
        Ok(None)
    }

    /// Says which chip holds the keys; `None` where no chip could be named.
    ///
    /// # Errors
    /// [`KeyError`].
    fn endorsement(&self) -> Result<Option<Endorsement>, KeyError> {
        Ok(None)
    }

    /// Opens the challenge that the server answers to such evidence: that the chip can is the proof.
    ///
    /// # Errors
    /// [`KeyError::Foreign`] if it was drawn for another chip; [`KeyError::Missing`] where there is none.
    fn activate(&self, challenge: &Challenge) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let _ = challenge;
        let store = format!("{self:?}");
        Err(KeyError::Missing { store, what: "key that could answer this", help: "only a TPM is challenged" })
    }

    /// Destroys every key for good: the device is nobody from here on, and its sealed store cannot be opened.
    ///
    /// # Errors
    /// [`KeyError`] names what could not be destroyed; it goes on with the rest first.
    fn destroy(&self) -> Result<(), KeyError>;
}

/// Says why a key could not be used. No text holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such key.
    #[error("{store} holds no {what}; {help}")]
    Missing {
        /// The store, as its owner names it.
        store: String,
        /// What was asked for.
        what: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// What is to be opened was not closed here, or was changed since.
    #[error("this was sealed by another key store, or was changed since; a copied disk opens nothing")]
    Foreign,
    /// A file or folder is not as private as it must be, or in use.
    #[error(transparent)]
    Place(#[from] keyward_files::FileError),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The chip, the token or its library did not do as told.
    #[error("{store}: {problem}")]
    Hardware {
        /// The store, as its owner names it.
        store: String,
        /// What went wrong, and what to do.
        problem: String,
    },
    /// A file is damaged, or the owner named a store in a way that cannot be read.
    #[error("{what}: {problem}")]
    Invalid {
        /// The file or setting.
        what: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
}

/// Says that the other side of an agreement gave no point of the curve.
pub(crate) fn bad_peer() -> KeyError {
    KeyError::Invalid {
        what: "the public key of the other side".to_owned(),
        problem: "it is no point of P-256".to_owned(),
    }
}
