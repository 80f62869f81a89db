//! Signed messages, what is encrypted in them, keys and windows.

use keyward_envelope::software::P256Agreement;
use keyward_envelope::{
    Algorithm, BadSignature, Content, Context, Decision, Digest, Direction, Epoch, GroupKey, KeySet, Kid,
    Message, PublicKey, Record, Sequence, Signer, ToBeSigned, Unavailable, Unverified, Verified, Verifier,
    Window, decoders, inspect, open_grant, sign,
};

const CONTEXT: Context<'_> = Context {
    direction: Direction::Down { device: "pump-1" },
    installation: "k7m2q9xw4hp3a8cd",
    topic: "plant/pump-1/set",
    correlation: None,
};

/// Is a key that takes every signature, and gives the one that it is told to.
struct Credulous {
    algorithm: Algorithm,
    kid: Kid,
    signature: [u8; 64],
}

impl Credulous {
    fn of(found: &Unverified<'_>) -> Self {
        Self { algorithm: found.algorithm(), kid: found.kid(), signature: [0; 64] }
    }
}

impl Verifier for Credulous {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
    fn kid(&self) -> Kid {
        self.kid
    }
    fn check(&self, _: &ToBeSigned<'_>, _: &[u8; 64]) -> Result<(), BadSignature> {
        Ok(())
    }
}

impl Signer for Credulous {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
    fn kid(&self) -> Kid {
        self.kid
    }
    fn sign(&mut self, _: &ToBeSigned<'_>) -> Result<[u8; 64], Unavailable> {
        Ok(self.signature)
    }
}

fn verified<'a>(message: &'a [u8], context: &Context<'a>) -> Option<Verified<'a>> {
    let found = inspect(message).ok()?;
    match found.verify(&Credulous::of(&found), context) {
        Ok(verified) => Some(verified),
        Err(refused) => panic!("a good signature in a good place was refused: {refused}"),
    }
}

/// Reads bytes as a message. What is accepted is written by us with the same bytes, but for the two names of each algorithm: there is one
/// form.
pub fn envelope_message(data: &[u8]) {
    let Some(verified) = verified(data, &CONTEXT) else { return };
    let Ok(Content::Plain { format, payload }) = verified.content() else { return };
    let Some((front, signature)) = data.split_last_chunk::<64>() else {
        panic!("a message without signature")
    };
    let Ok(found) = inspect(data) else { return };
    let mut signer = Credulous { signature: *signature, ..Credulous::of(&found) };
    let mut out = vec![0; data.len() + 8];
    let message = Message { claims: *verified.claims(), format, payload };
    let Ok(len) = sign(&message, &CONTEXT, &mut signer, &mut out) else {
        panic!("what was accepted cannot be said")
    };
    let mut again = out[..len].to_vec();
    // 01 28 and 01 32 are the fully specified names of 01 26 and 01 27.
    if let (Some(there), Some(here)) = (front.get(4..9), again.get_mut(4..9)) {
        let place = if there[0] & 0xf0 == 0xa0 { 2 } else { 1 };
        if matches!((there[place], here[place]), (0x28, 0x26) | (0x32, 0x27)) {
            here[place] = there[place];
        }
    }
    assert!(again == data, "two ways to write one message");
}

/// Wraps bytes as a payload of this content format.
fn with_format(format: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0xa4, 0x01, 0x27, 0x03];
    header.extend(format);
    header.extend([0x04, 0x48, 1, 2, 3, 4, 5, 6, 7, 8, 0x0f, 0xa2, 0x06, 0x01, 0x07, 0x41, 0x05]);
    // 22 or 23 bytes: the length is in the head.
    let mut message = vec![0xd2, 0x84, 0x40 | header.len() as u8];
    message.extend(header);
    message.push(0xa0);
    match payload.len() {
        len @ 0..=23 => message.push(0x40 | len as u8),
        len @ 24..=255 => message.extend([0x58, len as u8]),
        len => message.extend([0x59, (len >> 8) as u8, len as u8]),
    }
    message.extend(payload);
    message.extend([0x58, 64]);
    message.extend([0; 64]);
    message
}

/// Reads bytes as encrypted content of each kind, opens it, and reads them as the inside of a grant.
pub fn envelope_content(data: &[u8]) {
    let data = &data[..data.len().min(60_000)];
    let mut out = vec![0; data.len()];
    let Ok(mut key) = P256Agreement::from_secret(&[5; 32]) else { panic!("5…5 is a secret key") };
    let Some(group) = GroupKey::new("plant", Epoch(7), &[3; 16]) else { panic!("plant is a name") };
    for format in [&[0x18, 96][..], &[16]] {
        let message = with_format(format, data);
        let Some(verified) = verified(&message, &CONTEXT) else { panic!("the frame is good") };
        let opened = match verified.content() {
            Ok(Content::ForRecipient(sealed)) => sealed.open(&mut key, &mut out).map(<[u8]>::len),
            Ok(Content::ForGroup(sealed)) => sealed.open(&group, &mut out).map(<[u8]>::len),
            Ok(Content::Plain { .. }) => panic!("it says that it is encrypted"),
            Err(_) => continue,
        };
        assert!(opened.is_ok() || out.iter().all(|byte| *byte == 0), "something of it stayed");
        let _ = open_grant(&verified, &mut key);
    }
    if let Ok(key) = decoders::grant(data) {
        assert!((1..=64).contains(&key.group().len()));
    }
}

/// Reads bytes as a public key and as a key set; what is read is written and read again.
pub fn envelope_keys(data: &[u8]) {
    if let Ok((key, purpose)) = PublicKey::from_cose(data) {
        let mut out = [0; 96];
        let Ok(len) = key.to_cose(purpose, &mut out) else { panic!("96 bytes are enough for a key") };
        assert_eq!(PublicKey::from_cose(&out[..len]), Ok((key, purpose)));
    }
    let context = Context { direction: Direction::All, ..CONTEXT };
    let message = with_format(&[0x18, 102], &data[..data.len().min(60_000)]);
    let Some(verified) = verified(&message, &context) else { panic!("the frame is good") };
    if let Ok(set) = KeySet::read(&verified) {
        assert!(set.keys().all(|(key, purpose)| set.find(key.kid(), purpose) == Some(key)));
    }
}

/// Takes bytes as records and numbers in turn: nothing is new twice, whatever comes.
pub fn envelope_window(data: &[u8]) {
    let mut window = Window::default();
    for (turn, record) in data.as_chunks::<{ Record::LEN }>().0.iter().enumerate() {
        let read = Record::from_bytes(record);
        assert_eq!(read.to_bytes(), *record);
        if turn % 3 == 0 {
            window.restore(read);
            continue;
        }
        let [number @ .., a, b, c, d] = *record;
        let (number, tag) = (Sequence(u64::from_be_bytes(number)), Digest([a ^ b ^ c ^ d; 32]).tag(&[0; 16]));
        if let Decision::New(taken) = window.take(number, tag) {
            assert_eq!(window.take(number, tag), Decision::Repeat);
            if turn % 7 == 0 {
                window.give_back(taken);
                assert!(matches!(window.take(number, tag), Decision::New(_)));
            }
        }
        assert!(window.highest().is_some());
    }
}
