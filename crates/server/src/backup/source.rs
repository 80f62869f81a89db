//! What only the holder of the store can give to a backup: the ledger, and the rows of the message store, both as they are at
//! one moment.

use super::archive::rows::chunks;
use crate::control::{BackupBegun, Pieces, Refusal, RefusalCode, Response};
use keyward_identity::restore::LedgerCopy;
use keyward_store::{Read as Store, ReadError};
use std::io::{self, Write};
use std::sync::Arc;

/// Holds both. While it is held, the engine keeps what is deleted.
pub(crate) struct Source {
    pub(crate) ledger: LedgerCopy,
    pub(crate) messages: Option<Arc<dyn Store>>,
}

impl Source {
    /// Says what follows.
    pub(crate) fn begun(&self) -> BackupBegun {
        BackupBegun {
            installation: self.ledger.installation.to_string(),
            ledger_records: self.ledger.records,
            ledger_bytes: self.ledger.len,
            messages: self.messages.is_some(),
        }
    }

    /// Writes both to whoever asked through the control socket.
    ///
    /// # Errors
    /// [`Refusal`]: something cannot be read, or nobody reads what is written.
    pub(crate) fn send(mut self, pieces: &mut Pieces<'_>) -> Result<Response, Refusal> {
        let copied = io::copy(&mut self.ledger, pieces).map_err(Unsent::Io)?;
        if copied != self.ledger.len {
            return Err(Refusal::new(RefusalCode::Failed, "the ledger became shorter while it was read"));
        }
        if let Some(messages) = self.messages {
            chunks(&*messages, |chunk, _| -> Result<(), Unsent> {
                pieces.write_all(&(chunk.len() as u64).to_be_bytes())?;
                Ok(pieces.write_all(chunk)?)
            })?;
        }
        Ok(Response::StoreBackupDone)
    }
}

enum Unsent {
    Store(ReadError),
    Io(io::Error),
}

impl From<ReadError> for Unsent {
    fn from(error: ReadError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Unsent {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Unsent> for Refusal {
    fn from(unsent: Unsent) -> Self {
        let what = match unsent {
            Unsent::Store(error) => {
                format!(
                    "{error}; `keyward store check` says more, --without-messages leaves the messages out"
                )
            }
            Unsent::Io(error) => format!("the backup could not be handed over: {error}"),
        };
        Self::new(RefusalCode::Failed, what)
    }
}
