//! Signs and opens messages by a key store.

use super::{Generation, KeyError, KeyStore, Role};
use keyward_envelope::{Agreement, Algorithm, Kid, PublicKey, SharedSecret, Signer, ToBeSigned, Unavailable};
use std::sync::Arc;

/// The code of [`Unavailable`] for a store that failed; why is kept in the adapter.
const FAILED: Unavailable = Unavailable(16);

/// Reads the public half of a key of a store.
pub(crate) fn public_key(
    store: &dyn KeyStore,
    role: Role,
    generation: Generation,
) -> Result<PublicKey, KeyError> {
    PublicKey::p256(&store.public(role, generation)?).map_err(|_| KeyError::Hardware {
        store: format!("{store:?}"),
        problem: "what it gives out as a public key is no point of P-256".to_owned(),
    })
}

/// Signs messages with the key of [`Role::Message`] (ES256).
#[derive(Debug)]
pub struct MessageSigner {
    store: Arc<dyn KeyStore>,
    generation: Generation,
    kid: Kid,
    failure: Option<KeyError>,
}

impl MessageSigner {
    /// Takes the key of a generation.
    ///
    /// # Errors
    /// [`KeyError`] if there is none.
    pub fn new(store: Arc<dyn KeyStore>, generation: Generation) -> Result<Self, KeyError> {
        let kid = public_key(&*store, Role::Message, generation)?.kid();
        Ok(Self { store, generation, kid, failure: None })
    }

    /// Returns why the last signature was not made, and forgets it: what stands behind an [`Unavailable`].
    pub fn failure(&mut self) -> Option<KeyError> {
        self.failure.take()
    }
}

impl Signer for MessageSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn kid(&self) -> Kid {
        self.kid
    }

    fn sign(&mut self, message: &ToBeSigned<'_>) -> Result<[u8; 64], Unavailable> {
        let signed = self.store.sign(Role::Message, self.generation, &message.digest().0);
        signed.map_err(|error| {
            self.failure = Some(error);
            FAILED
        })
    }
}

/// Opens what is encrypted to the key of [`Role::Agreement`].
#[derive(Debug)]
pub struct Opener {
    store: Arc<dyn KeyStore>,
    generation: Generation,
    kid: Kid,
    failure: Option<KeyError>,
}

impl Opener {
    /// Takes the key of a generation.
    ///
    /// # Errors
    /// [`KeyError`] if there is none.
    pub fn new(store: Arc<dyn KeyStore>, generation: Generation) -> Result<Self, KeyError> {
        let kid = public_key(&*store, Role::Agreement, generation)?.kid();
        Ok(Self { store, generation, kid, failure: None })
    }

    /// Returns why the last agreement failed, and forgets it: what stands behind an [`Unavailable`].
    pub fn failure(&mut self) -> Option<KeyError> {
        self.failure.take()
    }
}

impl Agreement for Opener {
    fn kid(&self) -> Kid {
        self.kid
    }

    fn agree(&mut self, peer: &PublicKey) -> Result<SharedSecret, Unavailable> {
        let peer = peer.to_sec1().ok_or(Unavailable(2))?;
        self.store.agree(self.generation, &peer).map_err(|error| {
            self.failure = Some(error);
            FAILED
        })
    }
}
