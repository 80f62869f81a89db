//! How the state is got back from the ledger: from a snapshot and what follows it, or from the first record on.

use crate::{
    ledger::{Ledger, LedgerError, Position, snapshot},
    limits,
    state::State,
};

/// Reads the state; writes a new snapshot if there was much to replay. Adds a sentence to `mended` if that fails.
pub(crate) fn replay(ledger: &Ledger, mended: &mut Vec<String>) -> Result<State, LedgerError> {
    let short = snapshot::read(&ledger.snapshot_path())
        .and_then(|(position, state)| Some((position.sequence, follow(ledger, position, Some(state)).ok()?)));
    let (from, state) = match short {
        Some((from, state)) => (from, state),
        None => (0, follow(ledger, Position::START, None)?),
    };
    if ledger.end().sequence - from >= limits::SNAPSHOT_AFTER
        && let Err(error) = snapshot::write(&ledger.snapshot_path(), ledger.end(), &state)
    {
        // The next start is slower, nothing else.
        mended.push(format!("the snapshot of the ledger could not be written: {error}"));
    }
    Ok(state)
}

fn follow(ledger: &Ledger, from: Position, state: Option<State>) -> Result<State, LedgerError> {
    let mut state = state;
    for entry in ledger.replay(from)? {
        let entry = entry?;
        match &mut state {
            None => state = Some(State::begin(&entry)?),
            Some(state) => state.apply(&entry)?,
        }
    }
    let nothing = || LedgerError::Senseless { sequence: 0, what: "it is empty".into() };
    let state = state.ok_or_else(nothing)?;
    if state.registry.revision() != ledger.end().sequence {
        return Err(LedgerError::Senseless {
            sequence: state.registry.revision(),
            what: "the state does not end where the ledger ends".into(),
        });
    }
    Ok(state)
}
