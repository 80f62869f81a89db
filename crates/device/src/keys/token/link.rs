//! From the name of a token to a session in which its keys can be used.

use super::super::{KeyError, SecretPlace, TokenSpec};
use super::failure::{Failure, Outcome, failed};
use crate::limits::PIN_BYTES;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Names the file with the PIN where the name of the store names none.
const PIN_FILE: &str = "KEYWARD_PIN_FILE";

/// The libraries in use. One is loaded once for the whole process and stays: PKCS #11 knows one login for a process, and
/// to unload a library takes it from everybody.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

fn module(path: &Path) -> Result<Pkcs11, KeyError> {
    if cfg!(target_feature = "crt-static") {
        return Err(failed(
            &path.display().to_string(),
            "this binary is static and loads no libraries; for keys in a token use the one that is built for glibc \
             (the Debian package), or keep the keys in a TPM",
        ));
    }
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let cannot = |error: Error| {
        failed(&path.display().to_string(), format!("the token's library cannot be used: {error}"))
    };
    let module = Pkcs11::new(path).map_err(cannot)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // Another part of the program may have loaded it.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(cannot(error)),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

/// Reads the PIN; `None` if nobody says where it is.
pub(super) fn read_pin(spec: &TokenSpec) -> Result<Option<AuthPin>, KeyError> {
    let from_environment = || std::env::var_os(PIN_FILE).filter(|file| !file.is_empty());
    let place = match &spec.pin {
        Some(place) => place.clone(),
        None => match from_environment() {
            Some(file) => SecretPlace::File(PathBuf::from(file)),
            None => return Ok(None),
        },
    };
    // A line end behind it.
    let bytes = place.read(PIN_BYTES + 2)?;
    let pin = std::str::from_utf8(&bytes).ok().map(|text| text.strip_suffix('\n').unwrap_or(text));
    let pin = pin.map(|text| text.strip_suffix('\r').unwrap_or(text));
    match pin {
        Some(pin) if !pin.is_empty() && pin.len() <= PIN_BYTES && !pin.contains(char::is_control) => {
            let mut copy = Zeroizing::new(String::with_capacity(pin.len()));
            copy.push_str(pin);
            Ok(Some(AuthPin::from(std::mem::take(&mut *copy))))
        }
        _ => Err(KeyError::Invalid {
            what: place.to_string(),
            problem: format!("holds no PIN: one line of text, at most {PIN_BYTES} bytes"),
        }),
    }
}

/// Opens a session and logs in.
///
/// # Errors
/// `refused` is set if the token refused the PIN. It counts wrong ones and locks itself, so nobody may try again with the same.
pub(super) fn connect(spec: &TokenSpec, pin: Option<&AuthPin>, refused: &mut bool) -> Outcome<Session> {
    let name = spec.to_string();
    if *refused {
        return Err(failed(
            &name,
            "the PIN was refused before and is not tried again; start anew with the right one",
        )
        .into());
    }
    let module = module(&spec.module)?;
    let (slot, info) = find(&module, spec, &name)?;
    let session = module.open_rw_session(slot)?;
    if info.login_required() {
        check_tries(&info, &name)?;
        if pin.is_none() && !info.protected_authentication_path() {
            return Err(failed(
                &name,
                format!("it wants a PIN: add &pin-source=file:FILE, or name the file in {PIN_FILE}"),
            )
            .into());
        }
        log_in(&session, pin, &name, refused)?;
    }
    Ok(session)
}

fn find(module: &Pkcs11, spec: &TokenSpec, name: &str) -> Outcome<(Slot, TokenInfo)> {
    let (mut fit, mut others) = (Vec::new(), Vec::new());
    for slot in module.get_slots_with_token()? {
        // One token that cannot be asked must not hide the others.
        let Ok(info) = module.get_token_info(slot) else { continue };
        if !info.token_initialized() {
            continue;
        }
        if fits(spec, slot, &info) {
            fit.push((slot, info));
        } else {
            others.push(format!("{:?} (serial {})", info.label(), info.serial_number()));
        }
    }
    match (fit.pop(), fit.is_empty()) {
        (Some(found), true) => Ok(found),
        (Some(_), false) => {
            Err(failed(name, "several tokens fit; name one by token=, serial= or slot-id=").into())
        }
        (None, _) => {
            let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
            Err(failed(name, format!("no such token is there; is it plugged in? Others that are: {others}"))
                .into())
        }
    }
}

fn fits(spec: &TokenSpec, slot: Slot, info: &TokenInfo) -> bool {
    spec.slot.is_none_or(|id| id == slot.id())
        && spec.token.as_deref().is_none_or(|label| label == info.label())
        && spec.serial.as_deref().is_none_or(|serial| serial == info.serial_number())
}

/// Leaves the last try to a person.
fn check_tries(info: &TokenInfo, name: &str) -> Result<(), KeyError> {
    if info.user_pin_locked() {
        return Err(failed(
            name,
            "its PIN is locked; unlock it with the token's own tool and the security officer's PIN",
        ));
    }
    if info.user_pin_final_try() {
        return Err(failed(
            name,
            "one more wrong PIN locks it, and that one is not spent here; log in once with the token's own tool \
             (pkcs11-tool --login --test), then start again",
        ));
    }
    if !info.user_pin_initialized() {
        return Err(failed(name, "it has no user PIN yet; set one with the token's own tool"));
    }
    Ok(())
}

fn log_in(session: &Session, pin: Option<&AuthPin>, name: &str, refused: &mut bool) -> Outcome<()> {
    match session.login(UserType::User, pin) {
        // One login is for the whole process.
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinExpired,
            _,
        )) => {
            *refused = true;
            Err(failed(name, "the token refused the PIN; it was tried once, and is not tried again").into())
        }
        Err(Error::Pkcs11(RvError::PinLocked, _)) => {
            *refused = true;
            Err(failed(name, "its PIN is locked; unlock it with the token's own tool").into())
        }
        Err(error) => Err(Failure::Library(error)),
    }
}
