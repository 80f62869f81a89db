//! A chip that is a program: it says of any key that it lives in it. By its words alone nobody can tell it from one of silicon; who
//! takes its word has to know its fingerprint from elsewhere.

use crate::{
    attest::{CERTIFY, GENERATED},
    credential::Challenge,
    crypto::{decrypt, hmac, kdfa, kdfe, sha256},
    evidence::{Evidence, Voucher},
    public::{Name, Template, alg, coordinate},
    wire::{Reader, Writer},
};
use aws_lc_rs::{
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    encoding::{AsDer, PublicKeyX509Der},
    error::Unspecified,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use zeroize::Zeroizing;

/// Is such a chip.
pub struct SoftwareChip {
    endorsement: PrivateKey,
    attestation: EcdsaKeyPair,
}

impl SoftwareChip {
    /// Makes one with keys of its own.
    ///
    /// # Errors
    /// [`Unspecified`] if there are no random numbers.
    pub fn new() -> Result<Self, Unspecified> {
        let attestation = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        Ok(Self { endorsement: PrivateKey::generate(&ECDH_P256)?, attestation })
    }

    /// Returns SHA-256 of its endorsement key's `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`Unspecified`].
    pub fn fingerprint(&self) -> Result<[u8; 32], Unspecified> {
        let public: PublicKeyX509Der<'_> = self.endorsement.compute_public_key()?.as_der()?;
        Ok(sha256(&[public.as_ref()]))
    }

    /// Says of two keys, points of P-256 as SEC 1 writes them, that they live in it.
    ///
    /// # Errors
    /// [`Unspecified`].
    pub fn vouch(&self, tls: &[u8], message: &[u8], about: &[u8; 32]) -> Result<Evidence, Unspecified> {
        Ok(Evidence {
            endorsement: public(Template::EndorsementP256, self.endorsement.compute_public_key()?.as_ref())?,
            endorsement_certificate: None,
            attestation: self.attestation()?,
            tls: self.voucher(tls, about)?,
            message: self.voucher(message, about)?,
        })
    }

    fn attestation(&self) -> Result<Vec<u8>, Unspecified> {
        public(Template::Attestation, self.attestation.public_key().as_ref())
    }

    fn voucher(&self, key: &[u8], about: &[u8; 32]) -> Result<Voucher, Unspecified> {
        let public = public(Template::Signing, key)?;
        let head = Writer::new().u32(GENERATED).u16(CERTIFY).sized(&name(&self.attestation()?)).sized(about);
        // Clock, resets, restarts, whether the clock is right, firmware; then what is certified, and by which parent.
        let attest = head.raw(&[0; 25]).sized(&name(&public)).sized(&[]).done();
        let signature = self.attestation.sign(&SystemRandom::new(), &attest)?;
        let (r, s) = signature.as_ref().split_at_checked(32).ok_or(Unspecified)?;
        let signature = Writer::new().u16(alg::ECDSA).u16(alg::SHA256).sized(r).sized(s).done();
        Ok(Voucher { public, attest, signature })
    }

    /// Opens a challenge; `None` if it is for another chip.
    pub fn activate(&self, challenge: &Challenge) -> Option<Zeroizing<Vec<u8>>> {
        let name = name(&self.attestation().ok()?);
        let own = self.endorsement.compute_public_key().ok()?;
        let own_x = own.as_ref().get(1..)?.first_chunk::<32>()?;
        let mut point = Reader::new(&challenge.secret);
        let (x, y) = (coordinate(&mut point).ok()?, coordinate(&mut point).ok()?);
        let peer = UnparsedPublicKey::new(&ECDH_P256, [[4].as_slice(), &x, &y].concat());
        let seed =
            agree(&self.endorsement, peer, Unspecified, |z| Ok(kdfe(z, "IDENTITY", &x, own_x))).ok()?;
        let mut reader = Reader::new(&challenge.credential);
        let mac = reader.sized(32).ok()?;
        let mut identity = Zeroizing::new(reader.rest().to_vec());
        let key = kdfa::<32>(seed.as_slice(), "INTEGRITY", &[], &[]);
        if hmac(key.as_slice(), &[identity.as_slice(), name.as_slice()]) != mac {
            return None;
        }
        decrypt(&kdfa(seed.as_slice(), "STORAGE", &name, &[]), &[0; 16], &mut identity).ok()?;
        Reader::new(&identity).sized(64).ok().map(|secret| Zeroizing::new(secret.to_vec()))
    }
}

/// Writes the public area of a key that is made from a template.
fn public(template: Template, point: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut public = template.encode();
    // At the end stands the point, empty or of zeros.
    let unique = if template == Template::EndorsementP256 { 68 } else { 4 };
    public.truncate(public.len().saturating_sub(unique));
    let (x, y) = point.get(1..).and_then(|halves| halves.split_at_checked(32)).ok_or(Unspecified)?;
    Ok(Writer::new().raw(&public).sized(x).sized(y).done())
}

fn name(public: &[u8]) -> Name {
    let mut name = [0; 34];
    name[..2].copy_from_slice(&alg::SHA256.to_be_bytes());
    name[2..].copy_from_slice(&sha256(&[public]));
    name
}
