//! Keys in a TPM 2.0.
//!
//! The keys are children of the owner's storage key, which the chip makes anew from its seed whenever it is asked. What lies in the
//! folder is encrypted by that key, and opens in this chip alone, until it is cleared:
//!
//! ```text
//! DIR/storage.name                          the name of the storage key: tells this chip from others; written first
//! DIR/tls.pem, message.pem, agreement.pem   the keys in use (TSS2 PRIVATE KEY)
//! DIR/tls.next.pem …                        the ones that will follow them
//! DIR/attestation.pem                       the key by which the chip vouches for them
//! DIR/starts.counter, store.counter         where in its memory the counters are
//! DIR/destroyed                             the keys were destroyed on purpose; written first
//! ```
//!
//! The keys have no password. It would lie beside them, so that whoever can load them would have it too.

mod chip;
mod counters;
mod endorsement;
mod transport;

pub use endorsement::Endorsement;

use super::folder::Folder;
use super::{Counter, Generation, KeyError, KeyStore, Protection, Role, TpmPlace, bad_peer};
use chip::{Chip, Fault, Slot};
use keyward_tpm::answer::{self, Blob, Refusal};
use keyward_tpm::command::Command;
use keyward_tpm::{Challenge, Evidence, Name, Public, Template};
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// Keeps keys in a TPM 2.0 (level 2). Its folder is held by one process at a time.
pub struct TpmStore {
    folder: Folder,
    label: String,
    state: Mutex<State>,
}

struct State {
    chip: Chip,
    /// The keys, with their public halves.
    keys: Vec<(Slot, Blob, [u8; 65])>,
    counters: [Option<u32>; 2],
}

const STORAGE: &str = "storage.name";
const ATTESTATION: &str = "attestation.pem";
const DESTROYED: &str = "destroyed";
const GONE: &str = "its keys were destroyed; make new ones and enrol the device again";
const PREPARE: &str = "prepare one first";
const UNFINISHED: &str =
    "their making was interrupted, or a file was lost; create the keys again, what is there stays";
const COUNTERS: [(Counter, &str); 2] =
    [(Counter::Starts, "starts.counter"), (Counter::Store, "store.counter")];

fn file(role: Role, generation: Generation) -> String {
    match generation {
        Generation::Current => format!("{}.pem", role.as_str()),
        Generation::Next => format!("{}.next.pem", role.as_str()),
    }
}

fn template(role: Role) -> Template {
    match role {
        Role::Tls | Role::Message => Template::Signing,
        Role::Agreement => Template::Agreement,
    }
}

impl TpmStore {
    /// Makes keys in the chip at `place`, and `dir` if it is missing. A making that a power cut ended is completed.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] if keys are there already; [`KeyError::Hardware`] if the chip cannot be reached, or refuses.
    pub fn create(dir: impl AsRef<Path>, place: &TpmPlace) -> Result<Self, KeyError> {
        let folder = Folder::create(dir.as_ref())?;
        if folder.holds(DESTROYED) {
            erase_all(&folder)?;
            folder.erase(DESTROYED)?;
        }
        let store = Self::over(folder, place)?;
        let needed = Role::ALL.map(|role| file(role, Generation::Current));
        let counters = COUNTERS.map(|(_, name)| name.to_owned());
        let names: Vec<_> = needed.into_iter().chain(counters).chain([ATTESTATION.to_owned()]).collect();
        if names.iter().all(|name| store.folder.holds(name)) {
            let problem =
                "holds keys already; open them, or destroy them first if the device is to be another";
            return Err(invalid(&store.folder, "", problem));
        }
        store.make()?;
        store.load()?;
        Ok(store)
    }

    /// Opens the keys in `dir` with the chip at `place`.
    ///
    /// # Errors
    /// [`KeyError::Missing`] if none are there or they were destroyed; [`KeyError::Hardware`] if it is another chip, or cannot be
    /// reached.
    pub fn open(dir: impl AsRef<Path>, place: &TpmPlace) -> Result<Self, KeyError> {
        let dir = dir.as_ref();
        let missing =
            |help| KeyError::Missing { store: format!("tpm:{}", dir.display()), what: "keys", help };
        if dir.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Err(missing("make them first"));
        }
        let folder = Folder::hold(dir)?;
        if folder.holds(DESTROYED) {
            // A power cut may have ended it.
            erase_all(&folder)?;
            return Err(missing("they were destroyed on purpose; make new ones and enrol the device again"));
        }
        if !folder.holds(STORAGE) {
            return Err(missing("make them first"));
        }
        let store = Self::over(folder, place)?;
        store.load()?;
        Ok(store)
    }

    /// Reaches the chip, and sees whether it is the one of this folder.
    fn over(folder: Folder, place: &TpmPlace) -> Result<Self, KeyError> {
        let label = format!("tpm:{}", folder.path().display());
        let expected = match folder.read(STORAGE)? {
            Some(bytes) => {
                Some(Name::try_from(bytes.as_slice()).map_err(|_| invalid(&folder, STORAGE, "is damaged"))?)
            }
            None => None,
        };
        let mut chip = Chip::new(place.clone(), expected);
        let name = chip.run(Chip::storage_name).map_err(|fault| explain(&label, fault))?;
        if expected.is_none() {
            folder.write(STORAGE, &name)?;
        }
        Ok(Self { folder, label, state: Mutex::new(State { chip, keys: Vec::new(), counters: [None; 2] }) })
    }

    /// Makes what is not there.
    fn make(&self) -> Result<(), KeyError> {
        let mut state = self.state();
        for role in Role::ALL {
            let name = file(role, Generation::Current);
            if !self.folder.holds(&name) {
                self.folder.write(&name, self.make_key(&mut state, template(role))?.to_pem().as_bytes())?;
            }
        }
        if !self.folder.holds(ATTESTATION) {
            let blob = self.make_key(&mut state, Template::Attestation)?;
            self.folder.write(ATTESTATION, blob.to_pem().as_bytes())?;
        }
        for (_, name) in COUNTERS {
            if !self.folder.holds(name) {
                self.folder.write(name, format!("{:08x}\n", counters::draw()?).as_bytes())?;
            }
        }
        Ok(())
    }

    fn make_key(&self, state: &mut State, template: Template) -> Result<Blob, KeyError> {
        state.chip.run(|chip| chip.create(template, &[])).map_err(|fault| self.explain(fault))
    }

    /// Reads the files, and sees whether the chip takes them.
    fn load(&self) -> Result<(), KeyError> {
        let mut state = self.state();
        let slots = Role::ALL.into_iter().flat_map(|role| {
            [Generation::Current, Generation::Next].map(|generation| Slot::Key(role, generation))
        });
        for slot in slots.chain([Slot::Attestation]) {
            let (name, what) = match slot {
                Slot::Key(role, generation) => (file(role, generation), role.key(generation)),
                Slot::Attestation => (ATTESTATION.to_owned(), "key to vouch with"),
            };
            match self.folder.read(&name)? {
                Some(pem) => {
                    let (blob, point) = read_key(&pem).ok_or_else(|| self.damaged(&name))?;
                    state.chip.run(|chip| chip.load(slot, &blob)).map_err(|fault| self.explain(fault))?;
                    state.keys.push((slot, blob, point));
                }
                None if matches!(slot, Slot::Key(_, Generation::Next)) => {}
                None => return Err(self.missing(what, UNFINISHED)),
            }
        }
        for (at, (_, name)) in COUNTERS.into_iter().enumerate() {
            let bytes = self.folder.read(name)?.ok_or_else(|| self.missing("counter", UNFINISHED))?;
            let index = std::str::from_utf8(&bytes).ok().map(str::trim_end);
            let index = index.and_then(|text| u32::from_str_radix(text, 16).ok());
            let index = index.ok_or_else(|| self.damaged(name))?;
            state.chip.run(|chip| counters::open(chip, index)).map_err(|fault| self.explain(fault))?;
            state.counters[at] = Some(index);
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, what: &'static str, help: &'static str) -> KeyError {
        KeyError::Missing { store: self.label.clone(), what, help }
    }

    fn damaged(&self, name: &str) -> KeyError {
        invalid(
            &self.folder,
            name,
            "is damaged, or not a file of this store; restore it from a copy, or make new keys",
        )
    }

    fn explain(&self, fault: Fault) -> KeyError {
        explain(&self.label, fault)
    }

    /// Lets `act` use a loaded key.
    fn with<T>(
        &self,
        slot: Slot,
        act: impl Fn(&mut Chip, keyward_tpm::command::Handle) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut state = self.state();
        let State { chip, keys, .. } = &mut *state;
        let Some((_, blob, _)) = keys.iter().find(|(held, ..)| *held == slot) else {
            return Err(Fault::Foreign);
        };
        chip.run(|chip| {
            let handle = chip.load(slot, blob)?;
            act(chip, handle)
        })
    }

    fn holds(&self, role: Role, generation: Generation) -> Result<[u8; 65], KeyError> {
        let help = if generation == Generation::Next { PREPARE } else { GONE };
        let state = self.state();
        let found = state.keys.iter().find(|(slot, ..)| *slot == Slot::Key(role, generation));
        found.map(|(_, _, point)| *point).ok_or_else(|| self.missing(role.key(generation), help))
    }

    fn index(&self, counter: Counter) -> Result<u32, KeyError> {
        let at = COUNTERS.iter().position(|(kind, _)| *kind == counter).unwrap_or_default();
        self.state().counters[at].ok_or_else(|| self.missing("counter", GONE))
    }
}

fn read_key(pem: &[u8]) -> Option<(Blob, [u8; 65])> {
    let blob = Blob::from_pem(pem).ok()?;
    let point = Public::read(&blob.public).ok()?.point()?;
    Some((blob, point))
}

fn invalid(folder: &Folder, name: &str, problem: &str) -> KeyError {
    KeyError::Invalid { what: folder.place(name).display().to_string(), problem: problem.to_owned() }
}

/// Overwrites all files of a store but the mark.
fn erase_all(folder: &Folder) -> Result<(), KeyError> {
    let keys = Role::ALL
        .into_iter()
        .flat_map(|role| [Generation::Current, Generation::Next].map(|generation| file(role, generation)));
    let others = [ATTESTATION, COUNTERS[0].1, COUNTERS[1].1, STORAGE].map(str::to_owned);
    let mut erased = Ok(());
    for name in keys.chain(others) {
        let done = folder.erase(&name);
        erased = erased.and(done);
    }
    erased
}

fn explain(store: &str, fault: Fault) -> KeyError {
    let problem = match fault {
        Fault::Unreachable(error) => return error,
        Fault::NoRandomness => return super::random::no_randomness(),
        Fault::Gone(error) => format!("the TPM does not answer: {error}"),
        Fault::Refused(Refusal::Code(code)) => format!("the TPM refused: {code}"),
        Fault::Refused(refusal) => format!("the TPM answered what cannot be: {refusal}"),
        Fault::Lost => "the TPM loses what is loaded into it; is another program using it beside this one? Go through /dev/tpmrm0".to_owned(),
        Fault::Foreign => {
            "these keys belong to another TPM, or this one was cleared since they were made: a copied folder opens nothing. Make new \
             keys in another folder and enrol the device again"
                .to_owned()
        }
    };
    KeyError::Hardware { store: store.to_owned(), problem }
}

impl KeyStore for TpmStore {
    fn protection(&self) -> Protection {
        Protection::Hardware
    }

    fn public(&self, role: Role, generation: Generation) -> Result<[u8; 65], KeyError> {
        self.holds(role, generation)
    }

    fn sign(&self, role: Role, generation: Generation, digest: &[u8; 32]) -> Result<[u8; 64], KeyError> {
        if role == Role::Agreement {
            return Err(self.missing("key of this role that signs", "sign with the key for messages"));
        }
        self.holds(role, generation)?;
        let signed = self.with(Slot::Key(role, generation), |chip, key| {
            let (_, parameters) = chip.hidden(&Command::sign(key, digest))?;
            Ok(answer::signature(&parameters)?.0)
        });
        signed.map_err(|fault| self.explain(fault))
    }

    fn agree(&self, generation: Generation, peer: &[u8; 65]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.holds(Role::Agreement, generation)?;
        if peer[0] != 4 {
            return Err(bad_peer());
        }
        let agreed = self.with(Slot::Key(Role::Agreement, generation), |chip, key| {
            let (_, parameters) = chip.hidden(&Command::agree(key, peer))?;
            Ok(answer::agreed(&parameters)?)
        });
        agreed.map_err(|fault| match fault {
            // The chip finds fault with its parameter: the point.
            Fault::Refused(Refusal::Code(code)) if code.is_foreign() => bad_peer(),
            fault => self.explain(fault),
        })
    }

    fn prepare(&self, role: Role) -> Result<[u8; 65], KeyError> {
        self.holds(role, Generation::Current)?;
        if let Ok(made) = self.holds(role, Generation::Next) {
            return Ok(made);
        }
        let mut state = self.state();
        let blob = self.make_key(&mut state, template(role))?;
        let pem = blob.to_pem();
        let name = file(role, Generation::Next);
        let (blob, point) = read_key(pem.as_bytes()).ok_or_else(|| self.damaged(&name))?;
        self.folder.write(&name, pem.as_bytes())?;
        state.keys.push((Slot::Key(role, Generation::Next), blob, point));
        Ok(point)
    }

    fn discard(&self, role: Role) -> Result<(), KeyError> {
        let mut state = self.state();
        state.chip.unload();
        state.keys.retain(|(slot, ..)| *slot != Slot::Key(role, Generation::Next));
        self.folder.erase(&file(role, Generation::Next))
    }

    fn promote(&self, role: Role) -> Result<(), KeyError> {
        self.holds(role, Generation::Next)?;
        let mut state = self.state();
        self.folder.supersede(&file(role, Generation::Next), &file(role, Generation::Current))?;
        state.chip.unload();
        let (current, next) = (Slot::Key(role, Generation::Current), Slot::Key(role, Generation::Next));
        state.keys.retain(|(slot, ..)| *slot != current);
        for (slot, ..) in &mut state.keys {
            if *slot == next {
                *slot = current;
            }
        }
        Ok(())
    }

    fn wrap(&self, secret: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        self.holds(Role::Tls, Generation::Current)?;
        let mut state = self.state();
        let sealed = state.chip.run(|chip| chip.create(Template::Sealed, secret));
        sealed.map(|blob| blob.to_bytes()).map_err(|fault| self.explain(fault))
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.holds(Role::Tls, Generation::Current)?;
        let blob = Blob::from_bytes(wrapped).map_err(|_| KeyError::Foreign)?;
        let mut state = self.state();
        let opened = state.chip.run(|chip| {
            let handle = chip.load_once(&blob)?;
            let value = handle.value;
            let opened = chip.hidden(&Command::unseal(handle));
            chip.flush(value);
            Ok(answer::bytes(&opened?.1)?)
        });
        let opened = opened.map_err(|fault| match fault {
            Fault::Foreign => KeyError::Foreign,
            fault => self.explain(fault),
        })?;
        opened.as_slice().try_into().map(Zeroizing::new).map_err(|_| KeyError::Foreign)
    }

    fn counter(&self, counter: Counter) -> Result<Option<u64>, KeyError> {
        let index = self.index(counter)?;
        let counted = self.state().chip.run(|chip| counters::open(chip, index));
        counted.map(|(_, count)| Some(count)).map_err(|fault| self.explain(fault))
    }

    fn raise_counter(&self, counter: Counter) -> Result<Option<u64>, KeyError> {
        let index = self.index(counter)?;
        let counted = self.state().chip.run(|chip| counters::raise(chip, index));
        counted.map(|(_, count)| Some(count)).map_err(|fault| self.explain(fault))
    }

    fn endorsement(&self) -> Result<Option<Endorsement>, KeyError> {
        self.state().chip.run(endorsement::read).map(Some).map_err(|fault| self.explain(fault))
    }

    fn vouch(&self, about: &[u8; 32]) -> Result<Option<Evidence>, KeyError> {
        let mut state = self.state();
        let State { chip, keys, .. } = &mut *state;
        let find = |slot| keys.iter().find(|(held, ..)| *held == slot).map(|(_, blob, _)| blob);
        let current =
            |role| (Slot::Key(role, Generation::Current), find(Slot::Key(role, Generation::Current)));
        let (tls, message) = (current(Role::Tls), current(Role::Message));
        let (Some(attestation), Some(_), Some(_)) = (find(Slot::Attestation), tls.1, message.1) else {
            return Err(self.missing("keys to vouch for", GONE));
        };
        let evidence = chip.run(|chip| endorsement::evidence(chip, attestation, tls, message, about));
        evidence.map(Some).map_err(|fault| self.explain(fault))
    }

    fn activate(&self, challenge: &Challenge) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let mut state = self.state();
        let State { chip, keys, .. } = &mut *state;
        let found = keys.iter().find(|(held, ..)| *held == Slot::Attestation);
        let (_, blob, _) = found.ok_or_else(|| self.missing("key to vouch with", GONE))?;
        let opened = chip.run(|chip| endorsement::activate(chip, blob, challenge));
        opened.map_err(|fault| match fault {
            Fault::Foreign => KeyError::Foreign,
            fault => self.explain(fault),
        })
    }

    fn destroy(&self) -> Result<(), KeyError> {
        let mut state = self.state();
        state.chip.unload();
        state.keys.clear();
        let marked = match self.folder.holds(DESTROYED) {
            true => Ok(()),
            false => self.folder.write(DESTROYED, b"The keys of this folder were destroyed on purpose.\n"),
        };
        let counters = std::mem::take(&mut state.counters);
        let mut destroyed = marked.and(erase_all(&self.folder));
        for index in counters.into_iter().flatten() {
            let removed = state.chip.run(|chip| counters::remove(chip, index));
            destroyed = destroyed.and(removed.map_err(|fault| self.explain(fault)));
        }
        destroyed
    }
}

impl fmt::Debug for TpmStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}
