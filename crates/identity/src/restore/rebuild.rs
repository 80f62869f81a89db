//! How the restored ledger is made: the backup's, what the old one has behind it, and what else was taken away.

use super::{
    OldLedger, Report, RestoreError, RestoreOptions, RevokedList, TOLERANCE,
    chain::Chain,
    report::Applied,
    takings::{Reach, Takings},
};
use crate::{
    account::{Account, Standing},
    clock::WallTime,
    events::Event,
    files,
    ledger::{Ledger, LedgerError, remains::Remains},
    limits,
    secret::{NoRandomness, random},
    state::State,
    trusted::LocalName,
};
use keyward_ids::{Identity, InstallationId};
use std::{io::Read, path::Path};

/// Events about identities that are written in one record.
const EVENTS_PER_RECORD: usize = 256;

/// The most bytes that such an event takes: a name of 64 bytes, a serial number of 40 digits or a common name of 128
/// bytes that are escaped, the words around them.
const EVENT_BYTES: usize = 768;

const _: () =
    assert!(EVENTS_PER_RECORD * EVENT_BYTES < limits::LEDGER_RECORD_BYTES, "they fit into a record");

/// Makes the ledger in the new folder `dir`, out of a backup's and the old one in the folder `old`.
pub(super) fn rebuild(
    dir: &Path,
    backup: &mut dyn Read,
    old: &Path,
    options: &RestoreOptions<'_>,
) -> Result<Report, RestoreError> {
    files::create_private_dir(dir)?;
    let mut chain = Chain::of_backup(dir, backup)?;
    let backup_records = chain.records();
    if let Some(list) = options.revoked {
        check_list(list, chain.installation(), options.now)?;
    }
    let mut salvaged = Takings::default();
    let old_ledger = match Remains::read(old)? {
        None => OldLedger::Absent,
        Some(remains) if remains.last() == 0 => OldLedger::Unreadable,
        Some(remains) => {
            chain.check_kinship(&remains, old)?;
            chain.extend(&remains)?;
            let behind = remains.behind(chain.records())?;
            behind.iter().for_each(|entry| salvaged.note(entry, chain.branch()));
            judge(&remains, &chain, backup_records, behind.len())
        }
    };
    let known_until = known_until(old_ledger, chain.last_at(), options);
    let unknown = (!is_all_known(old_ledger, options)).then_some((known_until, options.now));
    let mut writing = Writing::begin(chain, options)?;
    let is_open = |account: &Account| account.invitation.as_ref().is_some_and(|it| it.is_open(options.now));
    let void_codes = writing.state.registry.accounts().filter(|account| is_open(account)).count();
    writing.note_restore(known_until, unknown.is_some())?;
    let (mut applied, mut strangers, mut outdated) = (Applied::default(), Vec::new(), Vec::new());
    for takings in [Some(&salvaged), options.revoked.map(|list| &list.takings)].into_iter().flatten() {
        let (counted, unheard_of) = writing.take_away(takings)?;
        applied.add(counted);
        strangers.extend(unheard_of);
        let (counted, lists_missing) = writing.take_from_authorities(takings)?;
        applied.add(counted);
        outdated.extend(lists_missing);
    }
    // Both may name it.
    outdated.sort();
    outdated.dedup();
    strangers.truncate(Report::STRANGERS);
    let registry = &writing.state.registry;
    let unconfirmed = registry.accounts().filter(|it| matches!(it.standing, Standing::Unconfirmed { .. }));
    Ok(Report {
        installation: registry.installation().clone(),
        taken: options.taken,
        backup_records,
        old_ledger,
        applied,
        strangers,
        outdated,
        authorities: registry.trusted().keys().cloned().collect(),
        unknown,
        unconfirmed: unconfirmed.count(),
        void_codes,
    })
}

fn check_list(list: &RevokedList, expected: &InstallationId, now: WallTime) -> Result<(), RestoreError> {
    if list.installation != *expected {
        let found = list.installation.clone();
        return Err(RestoreError::OtherList { found, expected: expected.clone() });
    }
    match list.complete_until {
        Some(until) if until > now.after(TOLERANCE) => Err(RestoreError::ListOfTheFuture { until, now }),
        _ => Ok(()),
    }
}

/// Says what the old ledger was good for, once the chain has what follows it.
fn judge(remains: &Remains, chain: &Chain, backup_records: u64, salvaged: usize) -> OldLedger {
    let records = chain.records();
    match remains.is_ended() {
        true if remains.last() < backup_records => OldLedger::Older,
        true if remains.last() == records => OldLedger::Whole { records },
        _ => OldLedger::Damaged { records, salvaged: salvaged as u64 },
    }
}

/// Tells whether it is known to now what was taken away. No clock decides that: only a ledger that was read to its end,
/// or the word of whoever wrote a list.
fn is_all_known(old: OldLedger, options: &RestoreOptions<'_>) -> bool {
    let is_vouched_for = options.revoked.is_some_and(|list| list.complete_until.is_none());
    matches!(old, OldLedger::Whole { .. }) || is_vouched_for
}

/// Says up to when it is known what was taken away.
fn known_until(old: OldLedger, last_at: WallTime, options: &RestoreOptions<'_>) -> WallTime {
    let RestoreOptions { now, taken, revoked, .. } = *options;
    if is_all_known(old, options) {
        return now;
    }
    // What the backup holds is known up to when it was taken, however old its last record is.
    let of_ledger = Some(last_at).filter(|_| matches!(old, OldLedger::Damaged { .. }));
    let of_list = revoked.and_then(|list| list.complete_until);
    // A time that is to come was read off a wrong clock.
    let is_past = |time: &WallTime| *time <= now;
    [of_ledger, of_list].into_iter().flatten().filter(is_past).fold(taken.min(now), WallTime::max)
}

/// Writes what the restore itself does behind what was restored.
struct Writing<'a> {
    ledger: Ledger,
    state: State,
    reach: Reach,
    options: &'a RestoreOptions<'a>,
}

impl<'a> Writing<'a> {
    fn begin(chain: Chain, options: &'a RestoreOptions<'a>) -> Result<Self, RestoreError> {
        let (ledger, state, reach) = chain.finish()?;
        Ok(Self { ledger, state, reach, options })
    }

    fn note_restore(&mut self, known_until: WallTime, unconfirmed: bool) -> Result<(), RestoreError> {
        let (taken, lives) = (self.options.taken, draw_lives()?);
        Ok(self.append(vec![Event::Restored { taken, known_until, unconfirmed, lives }])?)
    }

    fn take_away(&mut self, takings: &Takings) -> Result<(Applied, Vec<Identity>), RestoreError> {
        let (events, applied, strangers) = takings.events(&self.state, &self.reach);
        for events in events.chunks(EVENTS_PER_RECORD) {
            self.append(events.to_vec())?;
        }
        Ok((applied, strangers))
    }

    fn take_from_authorities(
        &mut self,
        takings: &Takings,
    ) -> Result<(Applied, Vec<LocalName>), RestoreError> {
        let (events, applied, outdated) = takings.authorities.events(&self.state, &self.reach);
        // A list alone may fill a good part of a record.
        for event in events {
            self.append(vec![event])?;
        }
        Ok((applied, outdated))
    }

    fn append(&mut self, events: Vec<Event>) -> Result<(), LedgerError> {
        let mut actor = self.options.actor;
        while actor.len() > limits::ACTOR_BYTES {
            actor = actor.char_indices().next_back().map_or("", |(last, _)| &actor[..last]);
        }
        let draft = self.ledger.draft(self.options.now, actor, events)?;
        self.state.apply(&draft.entry)?;
        self.ledger.append(draft).map(drop)
    }
}

/// Draws what lives are counted from: above any number of records, and below 2^53, so that every reader of JSON has it
/// exactly.
fn draw_lives() -> Result<u64, NoRandomness> {
    Ok(u64::from_le_bytes(random()?) >> 12 | 1 << 40)
}
