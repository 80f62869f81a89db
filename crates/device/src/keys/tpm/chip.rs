//! A chip with what is loaded into it. A bare chip has room for three objects and three sessions, so that at most two keys stay
//! loaded, and the storage key comes and goes by a saved context.

use super::TpmPlace;
use super::transport::{Transport, wait};
use crate::keys::{Generation, KeyError, Role};
use crate::limits::TPM_TRIES;
use keyward_tpm::answer::{self, Answer, Blob, Refusal};
use keyward_tpm::command::{Command, ENDORSEMENT, Handle, OWNER};
use keyward_tpm::{Malformed, Name, Public, Session, Template};
use std::io;
use zeroize::Zeroizing;

/// Says which object is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Key(Role, Generation),
    Attestation,
}

/// Says why the chip did not do as told.
#[derive(Debug)]
pub(super) enum Fault {
    /// There is no way to it any more.
    Gone(io::Error),
    /// It refused, or its answer is none.
    Refused(Refusal),
    /// What was loaded is there no more.
    Lost,
    /// What was given is of another chip.
    Foreign,
    /// There is no way to it.
    Unreachable(KeyError),
    /// This system has no random numbers.
    NoRandomness,
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::Refused(malformed.into())
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Code(code) if code.is_lost() => Self::Lost,
            refusal => Self::Refused(refusal),
        }
    }
}

impl From<aws_lc_rs::error::Unspecified> for Fault {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::NoRandomness
    }
}

impl Fault {
    /// Says that what the chip finds fault with was made elsewhere.
    pub(super) fn of_blob(self) -> Self {
        match self {
            Self::Refused(Refusal::Code(code)) if code.is_foreign() => Self::Foreign,
            fault => fault,
        }
    }
}

/// Is a chip, and what is loaded.
#[derive(Debug)]
pub(super) struct Chip {
    place: TpmPlace,
    transport: Option<Transport>,
    /// The storage key's public half and saved context.
    storage: Option<(Public, Vec<u8>)>,
    session: Option<Session>,
    /// The keys that are loaded, the last used last.
    loaded: Vec<(Slot, Handle)>,
    /// The name that the storage key must have.
    expected: Option<Name>,
}

/// How many keys stay loaded.
const LOADED: usize = 2;

/// Unloads what a process left that was killed. Where no resource manager is in between, a chip speaks to one at a time and keeps its
/// three objects and three sessions loaded for nobody; a resource manager shows none of others.
fn sweep(transport: &mut Transport) -> io::Result<()> {
    let (objects, sessions) = (0x8000_0000..0x8000_0003, 0x0200_0000..0x0200_0003);
    // That nothing is loaded there is an answer too.
    objects
        .chain(sessions)
        .try_for_each(|handle| transport.exchange(&Command::flush(handle).encode()).map(drop))
}

impl Chip {
    pub(super) fn new(place: TpmPlace, expected: Option<Name>) -> Self {
        Self { place, transport: None, storage: None, session: None, loaded: Vec::new(), expected }
    }

    /// Does something, and once more from the beginning if the chip was reset meanwhile, or the way to it was lost.
    pub(super) fn run<T>(&mut self, act: impl Fn(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        match act(self) {
            Err(fault @ (Fault::Lost | Fault::Gone(_) | Fault::Refused(Refusal::Tampered))) => {
                self.forget(matches!(fault, Fault::Gone(_)));
                act(self)
            }
            done => done,
        }
    }

    fn forget(&mut self, also_the_way: bool) {
        if also_the_way {
            self.transport = None;
        } else {
            self.clear();
        }
        (self.storage, self.session) = (None, None);
        self.loaded.clear();
    }

    /// Unloads all, as far as the chip lets it.
    fn clear(&mut self) {
        for (_, handle) in std::mem::take(&mut self.loaded) {
            self.flush(handle.value);
        }
        if let Some(session) = self.session.take() {
            self.flush(session.handle());
        }
    }

    pub(super) fn flush(&mut self, handle: u32) {
        // What cannot be unloaded is not there, or goes with the way to the chip.
        let _ = self.plain(&Command::flush(handle));
    }

    fn send(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let transport = match &mut self.transport {
            Some(transport) => transport,
            none => {
                let transport = none.insert(Transport::open(&self.place).map_err(Fault::Unreachable)?);
                sweep(transport).map_err(Fault::Gone)?;
                transport
            }
        };
        transport.exchange(bytes).map_err(Fault::Gone)
    }

    /// Sends what `encode` writes down, and tries again for a while if the chip is busy.
    fn patiently<T>(&mut self, mut once: impl FnMut(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut tries = 0;
        loop {
            match once(self) {
                Err(Fault::Refused(Refusal::Code(code))) if code.is_passing() && tries < TPM_TRIES => {
                    wait(tries);
                    tries += 1;
                }
                // A simulator that nobody started yet.
                Err(Fault::Refused(Refusal::Code(code))) if code.0 == 0x100 && tries == 0 => {
                    tries += 1;
                    let startup = Command::startup();
                    let answer = self.send(&startup.encode())?;
                    Answer::read(&startup, &answer)?;
                }
                done => return done,
            }
        }
    }

    /// Carries out a command without a session, and returns the handle and the parameters of the answer.
    pub(super) fn plain(&mut self, command: &Command) -> Result<(Option<u32>, Zeroizing<Vec<u8>>), Fault> {
        let bytes = Zeroizing::new(command.encode());
        self.patiently(|chip| {
            let answer = Zeroizing::new(chip.send(&bytes)?);
            let answer = Answer::read(command, &answer)?;
            Ok((answer.handle, Zeroizing::new(answer.parameters.to_vec())))
        })
    }

    /// Carries out a command in the session: nobody on the bus reads its secrets, or changes anything unseen.
    pub(super) fn hidden(&mut self, command: &Command) -> Result<(Option<u32>, Zeroizing<Vec<u8>>), Fault> {
        self.patiently(|chip| {
            let mut session = match chip.session.take() {
                Some(session) => session,
                None => chip.begin()?,
            };
            let bytes = Zeroizing::new(session.encode(command)?);
            let answer = Zeroizing::new(chip.send(&bytes)?);
            let decoded = session.decode(command, &answer);
            chip.session = Some(session);
            Ok(decoded?)
        })
    }

    fn begin(&mut self) -> Result<Session, Fault> {
        let (handle, public) = self.storage()?;
        let opening = Session::ask(handle.value, &public)?;
        let begun = self.send(&opening.command().encode()).and_then(|answer| Ok(opening.open(&answer)?));
        self.flush(handle.value);
        begun
    }

    /// Loads the storage key. Whoever asked unloads it.
    fn storage(&mut self) -> Result<(Handle, Public), Fault> {
        if let Some((public, context)) = self.storage.clone() {
            let restored = self.plain(&Command::restore(&context));
            let (handle, _) = restored.map_err(|fault| match fault {
                Fault::Refused(Refusal::Code(_)) => Fault::Lost,
                fault => fault,
            })?;
            return Ok((Handle::named(some(handle)?, &public.name()), public));
        }
        let (handle, public) = self.primary(OWNER, Template::Storage)?;
        if self.expected.is_some_and(|expected| expected != public.name()) {
            self.flush(handle.value);
            return Err(Fault::Foreign);
        }
        let (_, context) = self.plain(&Command::save(handle.value))?;
        self.storage = Some((public.clone(), context.to_vec()));
        Ok((handle, public))
    }

    /// Returns the name of the storage key, which is no other chip's.
    pub(super) fn storage_name(&mut self) -> Result<Name, Fault> {
        let (handle, public) = self.storage()?;
        self.flush(handle.value);
        self.expected = Some(public.name());
        Ok(public.name())
    }

    fn primary(&mut self, hierarchy: u32, template: Template) -> Result<(Handle, Public), Fault> {
        let (handle, parameters) = self.plain(&Command::create_primary(hierarchy, template))?;
        let public = answer::primary(&parameters)?;
        Ok((Handle::named(some(handle)?, &public.name()), public))
    }

    /// Makes the chip's own key, the same at each time, when nothing else is loaded. Whoever asked unloads it.
    pub(super) fn endorsement(&mut self, template: Template) -> Result<(Handle, Public), Fault> {
        self.make_room(0);
        self.primary(ENDORSEMENT, template)
    }

    fn make_room(&mut self, left: usize) {
        while self.loaded.len() > left {
            let (_, handle) = self.loaded.remove(0);
            self.flush(handle.value);
        }
    }

    /// Makes an object under the storage key.
    pub(super) fn create(&mut self, template: Template, sealed: &[u8]) -> Result<Blob, Fault> {
        let made = self.under_storage(|storage| Command::create(storage, template, sealed))?;
        Ok(answer::created(&made.1)?)
    }

    fn under_storage(
        &mut self,
        command: impl FnOnce(Handle) -> Command,
    ) -> Result<(Option<u32>, Zeroizing<Vec<u8>>), Fault> {
        if self.session.is_none() {
            self.session = Some(self.begin()?);
        }
        self.make_room(LOADED - 1);
        let (storage, _) = self.storage()?;
        let value = storage.value;
        let done = self.hidden(&command(storage));
        self.flush(value);
        done
    }

    /// Loads an object, unless it is loaded.
    pub(super) fn load(&mut self, slot: Slot, blob: &Blob) -> Result<Handle, Fault> {
        if let Some(at) = self.loaded.iter().position(|(loaded, _)| *loaded == slot) {
            let found = self.loaded.remove(at);
            self.loaded.push(found.clone());
            return Ok(found.1);
        }
        let handle = self.load_once(blob)?;
        self.loaded.push((slot, handle.clone()));
        Ok(handle)
    }

    /// Loads an object that the one who asked unloads.
    pub(super) fn load_once(&mut self, blob: &Blob) -> Result<Handle, Fault> {
        let load = |storage| Command::load(storage, &blob.private, &blob.public);
        let (handle, parameters) = self.under_storage(load).map_err(Fault::of_blob)?;
        Ok(Handle::named(some(handle)?, &answer::name(&parameters)?))
    }

    /// Unloads all keys: some are others from now on.
    pub(super) fn unload(&mut self) {
        self.make_room(0);
    }
}

impl Drop for Chip {
    fn drop(&mut self) {
        if self.transport.is_some() {
            self.clear();
        }
    }
}

pub(super) fn some(handle: Option<u32>) -> Result<u32, Fault> {
    handle.ok_or(Fault::Refused(Malformed("an answer names nothing that was loaded").into()))
}
