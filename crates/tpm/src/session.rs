//! A session in which nobody on the bus reads what is secret, or changes anything unseen (part 1, §19 and §21).
//!
//! Its key comes of a salt that is encrypted to the storage key. So it protects against who sits on the bus if the public half of
//! that key is the true one: a store remembers its name from the day on which it was made.

use crate::{
    answer::{Answer, Refusal, bytes},
    command::{Command, Handle},
    credential::agree,
    crypto::{decrypt, encrypt, hmac, kdfa, random, sha256},
    public::Public,
    wire::{Malformed, Reader, Writer},
};
use aws_lc_rs::{constant_time::verify_slices_are_equal, error::Unspecified};
use zeroize::Zeroizing;

/// The session goes on after the command (TPMA_SESSION, part 2, §8.4).
const CONTINUES: u8 = 0x01;
/// The first parameter of the command is encrypted.
const HIDES_COMMAND: u8 = 0x20;
/// The first parameter of the answer is encrypted.
const HIDES_ANSWER: u8 = 0x40;

/// Encrypts or decrypts in place with a key and a first block.
type Cipher = fn(&[u8; 16], &[u8; 16], &mut [u8]) -> Result<(), Unspecified>;

/// Is a session that was begun.
pub struct Session {
    handle: u32,
    key: Zeroizing<[u8; 32]>,
    /// The last nonce of this side and of the chip's.
    own: [u8; 32],
    chip: Vec<u8>,
    attributes: u8,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// Is a session that a chip was asked for.
#[derive(Debug)]
pub struct Opening {
    command: Command,
    nonce: [u8; 32],
    salt: Zeroizing<[u8; 32]>,
}

impl Session {
    /// Asks for one, salted to the storage key `public` that is loaded as `handle`.
    ///
    /// # Errors
    /// [`Unspecified`] if there are no random numbers, or the storage key is no point of P-256.
    pub fn ask(handle: u32, public: &Public) -> Result<Opening, Unspecified> {
        let (salt, encrypted) = agree(&public.point().ok_or(Unspecified)?, "SECRET")?;
        let nonce = random()?;
        let command = Command::start_session(Handle::named(handle, &public.name()), &nonce, &encrypted);
        Ok(Opening { command, nonce, salt })
    }

    /// Returns its handle.
    pub fn handle(&self) -> u32 {
        self.handle
    }

    /// Writes down a command whose first handle it authorises. Exactly one answer is read after it.
    ///
    /// # Errors
    /// [`Unspecified`] if there are no random numbers.
    pub fn encode(&mut self, command: &Command) -> Result<Vec<u8>, Unspecified> {
        self.own = random()?;
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        self.attributes =
            CONTINUES | flag(command.hides.0, HIDES_COMMAND) | flag(command.hides.1, HIDES_ANSWER);
        let mut parameters = command.parameters.clone();
        if command.hides.0 {
            self.cipher(&self.own, &self.chip, &mut parameters, encrypt)?;
        }
        let names: Vec<u8> = command.handles.iter().flat_map(|handle| handle.name.iter().copied()).collect();
        let hash = sha256(&[&command.code.to_be_bytes(), &names, &parameters]);
        let proof = hmac(self.key.as_slice(), &[&hash, &self.own, &self.chip, &[self.attributes]]);
        let authorisation = Writer::new().u32(self.handle).sized(&self.own).u8(self.attributes).sized(&proof);
        Ok(command.encode_with(&authorisation.done(), &parameters))
    }

    /// Reads the answer to the command that was written down last, and returns its handle and parameters.
    ///
    /// # Errors
    /// [`Refusal`]. After any but a code of the chip the session is of no use any more.
    pub fn decode(
        &mut self,
        command: &Command,
        answer: &[u8],
    ) -> Result<(Option<u32>, Zeroizing<Vec<u8>>), Refusal> {
        let answer = Answer::read(command, answer)?;
        let mut reader = Reader::new(answer.sessions);
        let (nonce, attributes, proof) = (reader.sized(64)?, reader.u8()?, reader.sized(64)?);
        reader.end()?;
        let hash = sha256(&[&[0; 4], &command.code.to_be_bytes(), answer.parameters]);
        let own = hmac(self.key.as_slice(), &[&hash, nonce, &self.own, &[attributes]]);
        verify_slices_are_equal(&own, proof).map_err(|_| Refusal::Tampered)?;
        self.chip = nonce.to_vec();
        let mut parameters = Zeroizing::new(answer.parameters.to_vec());
        if command.hides.1 {
            self.cipher(&self.chip, &self.own, &mut parameters, decrypt).map_err(|_| Refusal::Tampered)?;
        }
        Ok((answer.handle, parameters))
    }

    /// Encrypts or decrypts what the first parameter holds, behind its length.
    fn cipher(
        &self,
        newer: &[u8],
        older: &[u8],
        parameters: &mut [u8],
        apply: Cipher,
    ) -> Result<(), Unspecified> {
        let derived = kdfa::<32>(self.key.as_slice(), "CFB", newer, older);
        let (key, iv) = derived.split_first_chunk::<16>().ok_or(Unspecified)?;
        let (key, iv) =
            (Zeroizing::new(*key), Zeroizing::new(<[u8; 16]>::try_from(iv).map_err(|_| Unspecified)?));
        let (size, rest) = parameters.split_first_chunk_mut::<2>().ok_or(Unspecified)?;
        let first = rest.get_mut(..usize::from(u16::from_be_bytes(*size))).ok_or(Unspecified)?;
        apply(&key, &iv, first)
    }
}

impl Opening {
    /// Returns the command to send.
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// Begins the session with what was answered.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn open(self, answer: &[u8]) -> Result<Session, Refusal> {
        let answer = Answer::read(&self.command, answer)?;
        let (handle, chip) = (answer.handle()?, bytes(answer.parameters)?.to_vec());
        if chip.len() < 16 {
            return Err(Malformed("the nonce of a session is too short").into());
        }
        let key = kdfa::<32>(self.salt.as_slice(), "ATH", &chip, &self.nonce);
        Ok(Session { handle, key, own: self.nonce, chip, attributes: CONTINUES })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is what a chip answers to the command that was written down last.
    fn answered(session: &Session, command: &Command, parameters: &[u8]) -> Vec<u8> {
        let nonce = [7; 32];
        let hash = sha256(&[&[0; 4], &command.code.to_be_bytes(), parameters]);
        let proof = hmac(session.key.as_slice(), &[&hash, &nonce, &session.own, &[session.attributes]]);
        let proven = Writer::new().sized(&nonce).u8(session.attributes).sized(&proof).done();
        let size = u32::try_from(parameters.len()).unwrap();
        let whole = u32::try_from(14 + parameters.len() + proven.len()).unwrap();
        let head = Writer::new().u16(0x8002).u32(whole).u32(0).u32(size).done();
        [head.as_slice(), parameters, &proven].concat()
    }

    #[test]
    fn no_bit_of_an_answer_can_be_changed_on_the_bus_and_none_comes_again() {
        let key = Zeroizing::new([1; 32]);
        let mut session =
            Session { handle: 0x0200_0000, key, own: [0; 32], chip: vec![2; 32], attributes: CONTINUES };
        let command = Command::sign(Handle::named(0x8000_0000, &[3; 34]), &[4; 32]);
        session.encode(&command).unwrap();
        let answer = answered(&session, &command, &[5; 72]);
        for bit in 0..8 * answer.len() {
            let mut changed = answer.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(session.decode(&command, &changed).is_err(), "bit {bit}");
        }
        assert_eq!(**session.decode(&command, &answer).unwrap().1, [5; 72]);
        session.encode(&command).unwrap();
        assert!(matches!(session.decode(&command, &answer), Err(Refusal::Tampered)));
    }
}
