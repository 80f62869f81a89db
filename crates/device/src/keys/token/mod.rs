//! Keys in a token: a smart card, a stick, a secure element, whatever has a library of PKCS #11.

mod failure;
mod link;
mod objects;
mod uses;

use super::software::WRAPPED;
use super::spec::TokenSpec;
use super::{Counter, Generation, KeyError, KeyStore, Protection, Role, random};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::types::AuthPin;
use failure::{Outcome, failed};
use objects::{Objects, Pair};
use std::cell::Cell;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Keeps keys in a token: level 2. They are made there, can do what they are for and nothing else, and cannot be taken out; one
/// that could is refused.
///
/// A session that was lost, because the token was pulled, is opened once more; a PIN that was refused is never tried again.
pub struct TokenStore {
    spec: TokenSpec,
    name: String,
    pin: Option<AuthPin>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    /// The public halves of the keys, by which another token in the place of this one is recognised.
    known: Vec<(Role, [u8; 65])>,
    refused: bool,
}

impl State {
    /// Notes whose keys they are.
    fn learn(&mut self) {
        let Some(link) = &self.link else { return };
        self.known = link.objects.pairs.iter().map(|((role, _), pair)| (*role, pair.point)).collect();
    }

    /// Refuses a token whose keys in use are none that were in use or prepared before.
    fn recognise(&self, objects: &Objects, store: &str) -> Result<(), KeyError> {
        let is_known = |role: &Role| {
            let current = objects.pairs.get(&(*role, Generation::Current));
            current.is_some_and(|pair| self.known.contains(&(*role, pair.point)))
        };
        if self.known.iter().all(|(role, _)| is_known(role)) {
            return Ok(());
        }
        Err(failed(store, "another token is in its place, or its keys were changed by somebody else"))
    }
}

struct Link {
    session: Session,
    objects: Objects,
}

const GONE: &str = "they were destroyed, or never made; make new ones and enrol the device again";
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

impl TokenStore {
    /// Makes keys in the token.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] if it holds keys of this name already; others if it cannot be reached or does not do as told.
    pub fn create(spec: &TokenSpec) -> Result<Self, KeyError> {
        let store = Self::new(spec)?;
        store.with(|link| store.make(link))?;
        Ok(store)
    }

    /// Opens the keys in the token.
    ///
    /// # Errors
    /// [`KeyError::Missing`] if it holds none of this name; others if it cannot be reached, or a key can be taken out of it.
    pub fn open(spec: &TokenSpec) -> Result<Self, KeyError> {
        let store = Self::new(spec)?;
        store.with(|link| store.check(&link.objects))?;
        Ok(store)
    }

    fn new(spec: &TokenSpec) -> Result<Self, KeyError> {
        let pin = link::read_pin(spec)?;
        Ok(Self { spec: spec.clone(), name: spec.to_string(), pin, state: Mutex::default() })
    }

    fn make(&self, link: &mut Link) -> Outcome<()> {
        let Link { session, objects } = link;
        if objects.wrapping.is_some() {
            return Err(KeyError::Invalid {
                what: self.name.clone(),
                problem: "holds keys of this name already; open them, or destroy them first if the device is to be \
                          another"
                    .to_owned(),
            }
            .into());
        }
        // What a cut-off making or destruction left behind: nobody uses it.
        objects::destroy_all(session, &self.spec.object)?;
        *objects = Objects::default();
        for role in Role::ALL {
            objects.make(session, (&self.spec.object, &self.name), role, Generation::Current)?;
        }
        objects.make_wrapping(session, &self.spec.object)
    }

    fn check(&self, objects: &Objects) -> Outcome<()> {
        if objects.is_empty() {
            return Err(self.missing("keys of this name", "make them first").into());
        }
        if objects.wrapping.is_none() {
            let help = "their making or their destruction was interrupted; make them anew";
            return Err(self.missing("keys of this name", help).into());
        }
        let lost =
            Role::ALL.into_iter().find(|role| !objects.pairs.contains_key(&(*role, Generation::Current)));
        match lost {
            None => Ok(()),
            Some(role) => {
                let help = "somebody removed it; destroy the rest and make new keys";
                Err(self.missing(role.key(Generation::Current), help).into())
            }
        }
    }

    fn missing(&self, what: &'static str, help: &'static str) -> KeyError {
        KeyError::Missing { store: self.name.clone(), what, help }
    }

    /// Does something in a session, once more in a new one if the session is gone.
    fn with<T>(&self, act: impl Fn(&mut Link) -> Outcome<T>) -> Result<T, KeyError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for last in [false, true] {
            let done = self.linked(&mut state).and_then(&act);
            match done {
                Ok(done) => {
                    state.learn();
                    return Ok(done);
                }
                Err(failure) => {
                    let gone = failure.is_gone();
                    if gone {
                        state.link = None;
                    }
                    if last || !gone {
                        return Err(failure.of(&self.name));
                    }
                }
            }
        }
        Err(failed(&self.name, "its session was lost twice"))
    }

    /// Returns the session, opened if there is none.
    fn linked<'a>(&self, state: &'a mut State) -> Outcome<&'a mut Link> {
        if state.link.is_none() {
            let session = link::connect(&self.spec, self.pin.as_ref(), &mut state.refused)?;
            let objects = Objects::load(&session, &self.spec.object, &self.name)?;
            state.recognise(&objects, &self.name)?;
            state.link = Some(Link { session, objects });
        }
        state.link.as_mut().ok_or_else(|| failed(&self.name, "it has no session").into())
    }

    fn with_pair<T>(
        &self,
        role: Role,
        generation: Generation,
        use_it: impl Fn(&Session, &Pair) -> Outcome<T>,
    ) -> Result<T, KeyError> {
        let help = if generation == Generation::Next { "prepare one first" } else { GONE };
        self.with(|link| match link.objects.pairs.get(&(role, generation)) {
            Some(pair) => use_it(&link.session, pair),
            None => Err(self.missing(role.key(generation), help).into()),
        })
    }

    fn with_wrapping<T>(&self, use_it: impl Fn(&Session, ObjectHandle) -> Outcome<T>) -> Result<T, KeyError> {
        self.with(|link| match link.objects.wrapping {
            Some(key) => use_it(&link.session, key),
            None => Err(self.missing("key to wrap with", GONE).into()),
        })
    }
}

impl KeyStore for TokenStore {
    fn protection(&self) -> Protection {
        Protection::Hardware
    }

    fn public(&self, role: Role, generation: Generation) -> Result<[u8; 65], KeyError> {
        self.with_pair(role, generation, |_, pair| Ok(pair.point))
    }

    fn sign(&self, role: Role, generation: Generation, digest: &[u8; 32]) -> Result<[u8; 64], KeyError> {
        if role == Role::Agreement {
            return Err(self.missing("key of this role that signs", "sign with the key for messages"));
        }
        self.with_pair(role, generation, |session, pair| {
            uses::sign(session, pair.private, digest)?
                .ok_or_else(|| self.odd("a signature of another length").into())
        })
    }

    fn agree(&self, generation: Generation, peer: &[u8; 65]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        // Looked at here, for a token might not, and a point beside the curve would draw the key out of it.
        keyward_envelope::PublicKey::p256(peer).map_err(|_| super::bad_peer())?;
        self.with_pair(Role::Agreement, generation, |session, pair| {
            uses::agree(session, pair.private, peer)?.ok_or_else(|| self.odd("no shared secret").into())
        })
    }

    fn prepare(&self, role: Role) -> Result<[u8; 65], KeyError> {
        self.with(|link| {
            let Link { session, objects } = link;
            if !objects.pairs.contains_key(&(role, Generation::Current)) {
                return Err(self.missing(role.key(Generation::Current), GONE).into());
            }
            match objects.pairs.get(&(role, Generation::Next)) {
                Some(made) => Ok(made.point),
                None => objects.make(session, (&self.spec.object, &self.name), role, Generation::Next),
            }
        })
    }

    fn discard(&self, role: Role) -> Result<(), KeyError> {
        self.with(|link| link.objects.discard(&link.session, role))
    }

    fn promote(&self, role: Role) -> Result<(), KeyError> {
        // A session that is lost behind the change is not the end of it: the key is in use then.
        let begun = Cell::new(None);
        self.with(|link| {
            let number = |generation| link.objects.pairs.get(&(role, generation)).map(|pair| pair.number);
            match number(Generation::Next) {
                Some(next) => {
                    begun.set(Some(next));
                    link.objects.promote(&link.session, &self.spec.object, role)
                }
                None if begun.get().is_some() && begun.get() == number(Generation::Current) => Ok(()),
                None => Err(self.missing(role.key(Generation::Next), "prepare one first").into()),
            }
        })
    }

    fn wrap(&self, secret: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        self.with_wrapping(|session, key| {
            let mut nonce = random::draw::<NONCE_BYTES>()?;
            let mut wrapped = nonce.to_vec();
            let mechanism = Mechanism::AesGcm(gcm(&mut nonce)?);
            wrapped.extend(session.encrypt(&mechanism, key, secret)?);
            Ok(wrapped)
        })
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.with_wrapping(|session, key| {
            let (nonce, body) = wrapped.split_first_chunk::<NONCE_BYTES>().ok_or(KeyError::Foreign)?;
            if body.len() != 32 + TAG_BYTES {
                return Err(KeyError::Foreign.into());
            }
            let mut nonce = *nonce;
            let opened = match session.decrypt(&Mechanism::AesGcm(gcm(&mut nonce)?), key, body) {
                Ok(opened) => Zeroizing::new(opened),
                Err(error) if says_that_it_was_changed(&error) => return Err(KeyError::Foreign.into()),
                Err(error) => return Err(error.into()),
            };
            opened.as_slice().try_into().map(Zeroizing::new).map_err(|_| KeyError::Foreign.into())
        })
    }

    fn counter(&self, _counter: Counter) -> Result<Option<u64>, KeyError> {
        Ok(None)
    }

    fn raise_counter(&self, _counter: Counter) -> Result<Option<u64>, KeyError> {
        Ok(None)
    }

    fn destroy(&self) -> Result<(), KeyError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.known.clear();
        let mut session = state.link.take().map(|link| link.session);
        for last in [false, true] {
            // Not by what was found and checked: a key that somebody planted must not keep the others alive.
            let open = match session.take() {
                Some(open) => Ok(open),
                None => link::connect(&self.spec, self.pin.as_ref(), &mut state.refused),
            };
            match open.and_then(|open| objects::destroy_all(&open, &self.spec.object)) {
                Ok(()) => break,
                Err(failure) if last || !failure.is_gone() => return Err(failure.of(&self.name)),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl TokenStore {
    fn odd(&self, what: &str) -> KeyError {
        failed(&self.name, format!("its library gave {what}"))
    }
}

fn gcm(nonce: &mut [u8; NONCE_BYTES]) -> Outcome<GcmParams<'_>> {
    Ok(GcmParams::new(nonce, WRAPPED, 128.into())?)
}

/// Tells whether a token means by its error that the tag is wrong. Libraries have no one word for it.
fn says_that_it_was_changed(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::DataInvalid
                | RvError::SignatureInvalid
                | RvError::GeneralError
                | RvError::FunctionFailed,
            _
        )
    )
}

impl fmt::Debug for TokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
