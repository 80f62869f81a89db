//! The hash, the derivations and the cipher by which a TPM and its partner keep things from the bus between them (part 1, §11.4).

use aws_lc_rs::{
    cipher::{AES_128, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey},
    digest,
    error::Unspecified,
    hmac,
    iv::FixedLength,
};
use zeroize::Zeroizing;

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    fixed(context.finish().as_ref())
}

pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    fixed(context.sign().as_ref())
}

fn fixed(bytes: &[u8]) -> [u8; 32] {
    let mut whole = [0; 32];
    whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    whole
}

/// Derives at most 32 bytes from a key: KDFa of part 1, §11.4.10.2, with SHA-256.
pub(crate) fn kdfa<const N: usize>(key: &[u8], label: &str, u: &[u8], v: &[u8]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 32) };
    let bits = (8 * N as u32).to_be_bytes();
    let block = Zeroizing::new(hmac(key, &[&1_u32.to_be_bytes(), label.as_bytes(), &[0], u, v, &bits]));
    let mut derived = Zeroizing::new([0; N]);
    derived.copy_from_slice(&block[..N]);
    derived
}

/// Derives 32 bytes from the point on which two agreed: KDFe of part 1, §11.4.10.3, with SHA-256.
pub(crate) fn kdfe(z: &[u8], label: &str, u: &[u8; 32], v: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(sha256(&[&1_u32.to_be_bytes(), z, label.as_bytes(), &[0], u, v]))
}

/// Encrypts with AES-128 in CFB mode.
pub(crate) fn encrypt(key: &[u8; 16], iv: &[u8; 16], bytes: &mut [u8]) -> Result<(), Unspecified> {
    let key = EncryptingKey::cfb128(UnboundCipherKey::new(&AES_128, key)?)?;
    let iv = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(bytes, iv).map(drop)
}

/// Decrypts what was encrypted so.
pub(crate) fn decrypt(key: &[u8; 16], iv: &[u8; 16], bytes: &mut [u8]) -> Result<(), Unspecified> {
    let key = DecryptingKey::cfb128(UnboundCipherKey::new(&AES_128, key)?)?;
    key.decrypt(bytes, DecryptionContext::Iv128(FixedLength::from(iv))).map(drop)
}

/// Draws random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Unspecified> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first of NIST's vectors for CFB128 with AES-128 (SP 800-38A, F.3.13).
    #[test]
    fn the_cipher_is_the_one_of_the_standard() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect()
        };
        let key: [u8; 16] = hex("2b7e151628aed2a6abf7158809cf4f3c").try_into().unwrap();
        let iv: [u8; 16] = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
        let mut bytes = hex("6bc1bee22e409f96e93d7e117393172a");
        encrypt(&key, &iv, &mut bytes).unwrap();
        assert_eq!(bytes, hex("3b3fd92eb72dad20333449f8e83cfb4a"));
        decrypt(&key, &iv, &mut bytes).unwrap();
        assert_eq!(bytes, hex("6bc1bee22e409f96e93d7e117393172a"));
    }
}
