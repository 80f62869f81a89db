//! What backups and checks need of whoever holds the store.

use super::Admin;
use crate::backup::Source;
use crate::check::LedgerFiles;
use crate::control::{Pieces, Refusal, RefusalCode, Reply, Response};
use crate::{check, store};
use keyward_engine::OpenError;
use keyward_identity::LedgerError;
use keyward_store::{Engine as _, Read};
use std::io::Write as _;
use std::sync::Arc;

impl Admin {
    /// Begins a backup of a running broker. The messages are pinned first: so the ledger knows of everybody who has some.
    pub(crate) fn begin_backup(&self, with_messages: bool) -> Result<Reply, Refusal> {
        let messages = self.pinned_messages().filter(|_| with_messages);
        let source = Source { messages, ledger: self.registrar.ledger_copy().map_err(unreadable)? };
        let begun = Response::StoreBackupBegun(source.begun());
        Ok(Reply::Stream(begun, Box::new(move |pieces| source.send(pieces))))
    }

    /// Opens what a backup of the stopped store needs.
    pub(crate) fn stopped_source(&self, with_messages: bool) -> Result<Source, Refusal> {
        let ledger = self.registrar.ledger_copy().map_err(unreadable)?;
        let engine = match with_messages {
            true => store::open_as_it_is(&self.home, &self.config()?.store).map_err(not_opened)?,
            false => None,
        };
        Ok(Source { ledger, messages: engine.map(|engine| engine.reader()) })
    }

    /// Begins a check of a running broker.
    pub(crate) fn begin_check(&self) -> Result<Reply, Refusal> {
        let messages = self.pinned_messages();
        let ledger = LedgerFiles::of(&self.home, &self.registrar)?;
        let home = self.home.clone();
        let work = move |pieces: &mut Pieces<'_>| {
            let mut is_heard = true;
            let mut tell = |rows: u64| {
                // Whoever asked may have gone, or have stopped reading: nobody waits for that twice.
                is_heard =
                    is_heard && pieces.write_all(&rows.to_be_bytes()).and_then(|()| pieces.flush()).is_ok();
            };
            let ledger = ledger.check(&mut || tell(0));
            let messages = messages.map(|messages| check::messages(&home, &*messages, &mut tell));
            let report = check::CheckReport { ledger, messages, missing_keys: check::missing_keys(&home) };
            Ok(Response::StoreChecked(Box::new(report)))
        };
        Ok(Reply::Stream(Response::StoreCheckBegun, Box::new(work)))
    }

    fn pinned_messages(&self) -> Option<Arc<dyn Read>> {
        let messages = self.running.as_ref()?.messages.as_ref()?;
        Some(messages.snapshot())
    }

    /// Tells whose installation this is.
    pub(crate) fn installation(&self) -> String {
        self.registrar.status(crate::installation::wall_time()).installation.to_string()
    }
}

pub(crate) fn unreadable(error: LedgerError) -> Refusal {
    Refusal::new(RefusalCode::Failed, error)
}

fn not_opened(error: OpenError) -> Refusal {
    let code = match error {
        OpenError::InUse(_) => RefusalCode::WrongMoment,
        _ => RefusalCode::Failed,
    };
    Refusal::new(code, format!("{error}; --without-messages makes a backup of everything else"))
}
