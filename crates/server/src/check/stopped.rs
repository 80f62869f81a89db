//! The check of an installation whose broker does not run.

use super::{CheckReport, LedgerFiles, LedgerReport, MessagesReport, ledger, messages, missing_keys};
use crate::admin::OpenOptions;
use crate::control::{Refusal, RefusalCode};
use crate::home::{Home, HomeError};
use crate::installation::{self, InstallationError};
use crate::store;
use keyward_engine::OpenError as EngineError;
use keyward_identity::{OpenError, Registrar, VaultError, restore};

/// Checks a stopped installation. `tell` hears how many rows were read. What a start would mend is mended: the second copy of
/// the ledger, the torn end of a journal.
///
/// # Errors
/// [`Refusal`]: there is nothing to check, somebody holds it, or the passphrase is missing.
pub fn check_stopped(
    home: &Home,
    access: &OpenOptions,
    tell: &mut dyn FnMut(u64),
) -> Result<CheckReport, Refusal> {
    home.check()?;
    restore::finish(home.directory()).map_err(InstallationError::from)?;
    if !home.is_installed() {
        return Err(HomeError::Absent(home.directory().to_owned()).into());
    }
    // The directory is held until all is looked at.
    let (ledger, _registrar) = check_ledger(home, access, tell)?;
    let messages = check_messages(home, tell)?;
    Ok(CheckReport { ledger, messages, missing_keys: missing_keys(home) })
}

fn check_ledger(
    home: &Home,
    access: &OpenOptions,
    tell: &mut dyn FnMut(u64),
) -> Result<(LedgerReport, Option<Registrar>), Refusal> {
    // Before it is opened, for that mends it.
    let differ = ledger::compare(home);
    let protection = installation::protection(access.passphrase_file.as_deref())?;
    let mut held = None;
    let mut report = match installation::open(home, protection) {
        Ok(registrar) => {
            let mut report = LedgerFiles::of(home, &registrar)?.check(&mut || tell(0));
            report.problems.extend(registrar.status(installation::wall_time()).mended);
            held = Some(registrar);
            report
        }
        Err(InstallationError::Open(error)) if is_a_finding(&error) => {
            LedgerReport { problems: vec![error.to_string()], ..LedgerReport::default() }
        }
        Err(error) => return Err(error.into()),
    };
    report.problems.splice(..0, differ);
    Ok((report, held))
}

/// Tells whether this is what a check is to find, and not a reason to look at nothing.
fn is_a_finding(error: &OpenError) -> bool {
    match error {
        OpenError::Ledger(_) | OpenError::File(_) => true,
        OpenError::Vault(error) => !matches!(
            error,
            VaultError::PassphraseNeeded(_) | VaultError::WrongPassphrase(_) | VaultError::BadPassphrase
        ),
        _ => false,
    }
}

fn check_messages(home: &Home, tell: &mut dyn FnMut(u64)) -> Result<Option<MessagesReport>, Refusal> {
    let config = installation::settings(home)?.0.store;
    match store::open_as_it_is(home, &config) {
        Ok(None) => Ok(None),
        Ok(Some(engine)) => Ok(Some(messages(home, &engine, tell))),
        Err(error @ EngineError::InUse(_)) => Err(Refusal::new(RefusalCode::WrongMoment, error)),
        Err(error) => {
            let problems = vec![error.to_string()];
            Ok(Some(MessagesReport { problems, ..MessagesReport::default() }))
        }
    }
}
