//! A secret that only one chip opens, and only while it holds a certain key (part 1, §24: MakeCredential).

use crate::{
    crypto::{encrypt, hmac, kdfa, kdfe, random},
    evidence::Vouched,
    public::{Name, Public, PublicKey},
    wire::Writer,
};
use aws_lc_rs::{
    agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral},
    constant_time::verify_slices_are_equal,
    error::Unspecified,
    rand::SystemRandom,
    rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Is what a chip is shown: it opens it if it has the endorsement key and holds the attestation key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// TPMS_ID_OBJECT (part 2, §12.4.2).
    #[serde(with = "crate::evidence::base64")]
    pub credential: Vec<u8>,
    /// What TPM2B_ENCRYPTED_SECRET (part 2, §11.4.33) holds.
    #[serde(with = "crate::evidence::base64")]
    pub secret: Vec<u8>,
}

/// Is what the answer to a challenge must be, and for whom it was drawn.
#[derive(Clone, PartialEq, Eq)]
pub struct Expected {
    endorsement: Name,
    attestation: Name,
    secret: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Expected(..)")
    }
}

impl Vouched {
    /// Draws a challenge that only the chip of this evidence answers.
    ///
    /// # Errors
    /// [`Unspecified`] if there are no random numbers, or the endorsement key is no key.
    pub fn challenge(&self) -> Result<(Challenge, Expected), Unspecified> {
        let secret = Zeroizing::new(random()?);
        let challenge = make(&self.endorsement, &self.attestation, &secret)?;
        let (endorsement, attestation) = (self.endorsement.name(), self.attestation);
        Ok((challenge, Expected { endorsement, attestation, secret }))
    }
}

impl Expected {
    /// Tells whether `answer` shows that `vouched` is of the chip that was challenged. Takes as long for each wrong answer.
    pub fn is_met(&self, vouched: &Vouched, answer: &[u8]) -> bool {
        let is_same =
            self.endorsement == vouched.endorsement.name() && self.attestation == vouched.attestation;
        is_same && verify_slices_are_equal(self.secret.as_slice(), answer).is_ok()
    }
}

fn make(endorsement: &Public, name: &Name, secret: &[u8; 32]) -> Result<Challenge, Unspecified> {
    let (seed, encrypted) = match endorsement.key() {
        PublicKey::P256(point) => agree(point, "IDENTITY")?,
        PublicKey::Rsa2048(_) => transport(&endorsement.key().spki())?,
    };
    Ok(Challenge { credential: wrap(&seed, name, secret)?, secret: encrypted })
}

/// Agrees with the holder of a key on a seed, and returns what tells it to them: TPMS_ECC_POINT.
pub(crate) fn agree(point: &[u8; 65], label: &str) -> Result<(Zeroizing<[u8; 32]>, Vec<u8>), Unspecified> {
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())?;
    let public = own.compute_public_key()?;
    let ([_, own_halves @ ..], [_, halves @ ..]) =
        (<&[u8; 65]>::try_from(public.as_ref()).map_err(|_| Unspecified)?, point);
    let ((x, y), (peer_x, _)) = (parts(own_halves), parts(halves));
    let seed = agree_ephemeral(own, UnparsedPublicKey::new(&ECDH_P256, point), Unspecified, |z| {
        Ok(kdfe(z, label, x, peer_x))
    })?;
    Ok((seed, Writer::new().sized(x).sized(y).done()))
}

fn parts(halves: &[u8; 64]) -> (&[u8; 32], &[u8; 32]) {
    // Two halves of 64 bytes have 32 each.
    halves.split_first_chunk().and_then(|(x, y)| Some((x, y.first_chunk()?))).unwrap_or((&[0; 32], &[0; 32]))
}

/// Draws a seed and encrypts it to a key of RSA.
fn transport(spki: &[u8]) -> Result<(Zeroizing<[u8; 32]>, Vec<u8>), Unspecified> {
    let seed = Zeroizing::new(random()?);
    let key = PublicEncryptingKey::from_der(spki).map_err(|_| Unspecified)?;
    let key = OaepPublicEncryptingKey::new(key)?;
    let mut encrypted = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA256_MGF1SHA256, seed.as_slice(), &mut encrypted, Some(b"IDENTITY\0"))?;
    Ok((seed, encrypted))
}

/// Encrypts a secret under a seed and binds it to a name.
fn wrap(seed: &[u8; 32], name: &Name, secret: &[u8; 32]) -> Result<Vec<u8>, Unspecified> {
    let mut identity = Writer::new().sized(secret).done();
    encrypt(&kdfa(seed, "STORAGE", name, &[]), &[0; 16], &mut identity)?;
    let key = kdfa::<32>(seed, "INTEGRITY", &[], &[]);
    let mac = hmac(key.as_slice(), &[&identity, name]);
    Ok(Writer::new().sized(&mac).raw(&identity).done())
}
