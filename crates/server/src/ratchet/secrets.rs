//! The secrets themselves: made of numbers by a key that only the server has, so that none is kept.

use super::words::Said;
use aws_lc_rs::hmac;
use keyward_ids::Identity;
use keyward_watch::ratchet::Claim;
use zeroize::Zeroizing;

/// What the key is made for, so that it is no key of anything else.
pub(crate) const LABEL: &[u8] = b"keyward rolling secrets of devices 1";

/// Makes all secrets.
pub(crate) struct Secrets(hmac::Key);

impl Secrets {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Returns what stands for a device in the store.
    pub(crate) fn device(&self, identity: &Identity) -> [u8; 8] {
        first(&mac(&self.0, &[b"device", &[0], identity.to_string().as_bytes()]))
    }

    /// Returns the secrets of a device with the credentials that it has: with others, and in another life, it has others.
    pub(crate) fn chain(&self, identity: &Identity, life: u64, epoch: u64) -> Chain {
        let name = identity.to_string();
        let parts: [&[u8]; 5] = [b"chain", &[0], &life.to_be_bytes(), &epoch.to_be_bytes(), name.as_bytes()];
        Chain(hmac::Key::new(hmac::HMAC_SHA256, &*mac(&self.0, &parts)))
    }
}

/// Makes the secrets of one device.
pub(crate) struct Chain(hmac::Key);

impl Chain {
    /// Returns its name, which tells nothing of the secrets.
    pub(crate) fn name(&self) -> [u8; 8] {
        first(&mac(&self.0, &[b"name"]))
    }

    /// Returns the secret of a number.
    pub(crate) fn secret(&self, number: u64) -> Zeroizing<[u8; 32]> {
        mac(&self.0, &[b"secret", &number.to_be_bytes()])
    }

    /// Returns what a device claims that said this after a nonce. A secret of another chain is none: the device has other credentials now,
    /// or the server was made anew.
    pub(crate) fn claim(&self, said: Said, nonce: &[u8]) -> Claim {
        match said {
            Said::Secret { chain, number, tag } if chain == self.name() => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.secret(number));
                Claim::Secret { number, is_right: hmac::verify(&key, nonce, &tag).is_ok() }
            }
            Said::Secret { .. } | Said::Nothing => Claim::Nothing,
        }
    }
}

fn mac(key: &hmac::Key, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}

fn first(bytes: &[u8; 32]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *bytes;
    [a, b, c, d, e, f, g, h]
}
