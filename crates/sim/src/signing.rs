//! Signatures of this world. They are cheap and prove nothing: what is tried out is what the broker makes of one that holds or does not.

use crate::event::MessageNo;
use keyward_broker::MessageKey;
use keyward_envelope::software::Ed25519Key;
use keyward_envelope::{
    Algorithm, BadSignature, Claims, Context, Direction, Kid, Message, PublicKey, Sequence, Signer,
    ToBeSigned, Unavailable, inspect, sign,
};
use keyward_mqtt::time::UnixMillis;
use std::sync::OnceLock;

/// Of which installation the broker is.
pub(crate) const INSTALLATION: &str = "k7m2q9xw4hp3a8cd";

/// Demands of all devices that they sign everything.
pub(crate) const DEMAND: &str =
    "[[signed]]\nwho = \"devices\"\ntopics = [\"#\"]\ncheck = \"require\"\nmax_offline = \"92d\"\n";

/// Is the signature that holds.
const GOOD: [u8; 64] = [7; 64];

/// Bytes that a signed message is longer than what it says, at most.
const FRAME: usize = 150;

/// Returns the key of every device.
pub(crate) fn key() -> MessageKey {
    static KEY: OnceLock<PublicKey> = OnceLock::new();
    let public = *KEY.get_or_init(|| Ed25519Key::from_seed(&[7; 32]).public());
    MessageKey { kid: public.kid(), public, level: 0, until: None }
}

/// Tells whether a signature holds.
pub(crate) fn check(_: &PublicKey, _: &ToBeSigned<'_>, signature: &[u8; 64]) -> Result<(), BadSignature> {
    if *signature == GOOD { Ok(()) } else { Err(BadSignature) }
}

struct Pen(PublicKey, [u8; 64]);

impl Signer for Pen {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn kid(&self) -> Kid {
        self.0.kid()
    }

    fn sign(&mut self, _: &ToBeSigned<'_>) -> Result<[u8; 64], Unavailable> {
        Ok(self.1)
    }
}

/// Writes a message of `device` and signs it, well or not.
///
/// # Panics
/// It cannot be written: a mistake of the world.
pub(crate) fn seal(
    (device, topic): (&str, &str),
    sequence: u64,
    number: MessageNo,
    now: UnixMillis,
    holds: bool,
) -> Vec<u8> {
    let payload = crate::words::payload(number, false);
    let direction = Direction::Up { device };
    let context = Context { direction, installation: INSTALLATION, topic, correlation: None };
    let claims = Claims::issued_at(Sequence(sequence), now.0 / 1_000);
    let mut out = vec![0; payload.len() + FRAME];
    let mut pen = Pen(key().public, if holds { GOOD } else { [0; 64] });
    match sign(&Message { claims, format: None, payload: &payload }, &context, &mut pen, &mut out) {
        Ok(len) => out.truncate(len),
        Err(error) => panic!("a device cannot sign: {error}"),
    }
    out
}

/// Returns what a signed message says: it stands before the signature and its two bytes of frame.
pub(crate) fn content(message: &[u8]) -> Option<&[u8]> {
    let len = inspect(message).ok()?.payload_len();
    let end = message.len().checked_sub(GOOD.len() + 2)?;
    message.get(end.checked_sub(len)?..end)
}
