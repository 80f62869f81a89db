//! How the state is got back from the ledger: from a snapshot and what follows it, or from the first record on.

use crate::{
    ledger::{Ledger, LedgerError, Position, snapshot},
    limits,
    state::State,
};

/// Reads the state; writes a new snapshot if there was much to replay. Adds a sentence to `mended` if that fails.
pub(crate) fn replay(ledger: &Ledger, mended: &mut Vec<String>) -> Result<State, LedgerError> {
    let short = snapshot::read(&ledger.snapshot_path())
        .filter(|(position, state)| may_be_of(ledger, *position, state))
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

/// Tells whether a snapshot may be one of this ledger. Where a record follows it, that record's chain decides.
fn may_be_of(ledger: &Ledger, position: Position, state: &State) -> bool {
    let end = ledger.end();
    let in_place =
        if position.sequence < end.sequence { position.offset < end.offset } else { position == end };
    in_place && position.sequence == state.registry.revision()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AddDevice, AuditEntry, Chip, Command, Context, InitOptions, KeyProtection, KeySource, Lifetimes,
        NewCredential, NewPassword, QuarantinedBy, Registrar, WallTime,
    };
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;

    const NOW: WallTime = WallTime(1_800_000_000_000);

    /// One of the things that can happen to one of three devices.
    fn command(kind: u8, device: u8) -> Command {
        let id: keyward_ids::DeviceId = format!("d{device}").parse().unwrap();
        let identity = keyward_ids::Identity::Device(id.clone());
        let certificate = NewCredential::Certificate { key: KeySource::Generate, lifetime_days: None };
        match kind {
            0..=2 => Command::AddDevice(AddDevice {
                id,
                device_type: None,
                site: Some("hall".parse().unwrap()),
                exposure: None,
                place: crate::Place::default(),
                chip: (device == 1).then_some(Chip::Esp8266),
                machine_chosen: device == 0,
                plain: device == 1,
                note: "note".into(),
                credential: certificate,
            }),
            3 => Command::Disable { identity },
            4 => Command::Enable { identity },
            5 => Command::Revoke { identity, keep_messages: device == 1, publish_will: false },
            6 => Command::Remove { identity },
            7 => Command::SetPassword { identity, password: NewPassword::Generate },
            8 => Command::WithdrawPassword { identity },
            13 => Command::Quarantine { identity, by: QuarantinedBy::Broker, because: "two".into() },
            14 => Command::Release { identity },
            15 => Command::Place {
                identity,
                site: Some("yard".parse().unwrap()),
                exposure: None,
                place: crate::Place { gateway: Some(format!("ap{device}")), ..crate::Place::default() },
            },
            16 => Command::NoteMove { identity, because: String::new() },
            17 => {
                let scope = identity.to_string();
                Command::BeginMaintenance { scope, seconds: 100_000, because: "work".into() }
            }
            18 => Command::EndMaintenance { scope: identity.to_string() },
            10 | 11 => Command::MarkPlain { identity, plain: kind == 10 },
            9 => Command::AddCertificate {
                identity,
                key: KeySource::Generate,
                lifetime_days: Some(7),
                replace: device == 2,
            },
            _ => Command::AddServerName { name: format!("n{device}.home").parse().unwrap() },
        }
    }

    fn fold(state: Option<State>, entries: &[AuditEntry]) -> State {
        let mut state = state;
        for entry in entries {
            match &mut state {
                None => state = Some(State::begin(entry).unwrap()),
                Some(state) => state.apply(entry).unwrap(),
            }
        }
        state.unwrap()
    }

    /// Runs the commands, refused ones too, and returns the ledger.
    fn ledger_of(commands: &[(u8, u8)], dir: &std::path::Path) -> Vec<AuditEntry> {
        let options = InitOptions {
            now: NOW,
            build_time: NOW,
            accept_clock: false,
            actor: "test",
            found_names: vec!["localhost".parse().unwrap()],
            added_names: Vec::new(),
            protection: KeyProtection::FileMode,
            lifetimes: Lifetimes::default(),
        };
        let mut registrar = Registrar::create(dir, options).unwrap();
        for (n, (kind, device)) in commands.iter().enumerate() {
            let now = WallTime(NOW.0 + n as u64 * 40_000_000);
            let _ = registrar.execute(command(*kind, *device), Context { now, actor: "test" });
        }
        let entries: Vec<_> = registrar.audit(1).unwrap().map(Result::unwrap).collect();
        assert_eq!(fold(None, &entries).registry, registrar.registry());
        entries
    }

    /// Returns a ledger of `notes` in `dir`, and the state at its end.
    fn noted(dir: &std::path::Path, notes: &[&str]) -> (Ledger, State) {
        let entries = ledger_of(&[], dir);
        let (mut ledger, _) = Ledger::open(&dir.join("ledger")).unwrap();
        let mut state = fold(None, &entries);
        for note in notes {
            let event = crate::Event::ConfigChanged { summary: (*note).into() };
            let draft = ledger.draft(NOW, "test", vec![event]).unwrap();
            state.apply(&ledger.append(draft).unwrap()).unwrap();
        }
        (ledger, state)
    }

    /// A snapshot of another ledger had its last record at the same number, and its place lay at or behind the end of
    /// this one: no record came after it, so nobody looked at the chain, and the other ledger's state was taken.
    #[test]
    fn a_snapshot_of_another_ledger_is_ignored_also_where_no_record_follows_it() {
        let closed = || std::fs::Permissions::from_mode(0o700);
        let [here, there] =
            [(), ()].map(|()| tempfile::Builder::new().permissions(closed()).tempdir().unwrap());
        let (ours, our_state) = noted(here.path(), &["short"]);
        let (theirs, their_state) = noted(there.path(), &["a longer note"]);
        assert_eq!(ours.end().sequence, theirs.end().sequence);
        for offset in [ours.end().offset, theirs.end().offset + 10_000] {
            let position = Position { offset, ..theirs.end() };
            snapshot::write(&ours.snapshot_path(), position, &their_state).unwrap();
            assert_eq!(replay(&ours, &mut Vec::new()).unwrap(), our_state, "at {offset}");
        }
    }

    /// Subtracting a number that lay beyond the end of the ledger stopped the start.
    #[test]
    fn a_snapshot_that_claims_a_record_to_come_is_ignored() {
        let closed = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(closed).tempdir().unwrap();
        let (ledger, state) = noted(dir.path(), &[]);
        let position = Position { sequence: ledger.end().sequence + 1, ..ledger.end() };
        snapshot::write(&ledger.snapshot_path(), position, &state).unwrap();
        assert_eq!(replay(&ledger, &mut Vec::new()).unwrap(), state);
    }

    #[test]
    fn a_snapshot_holds_what_a_restore_left_in_doubt() {
        let closed = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(closed).tempdir().unwrap();
        let entries = ledger_of(&[(0, 0), (0, 1)], dir.path());
        let (mut ledger, _) = Ledger::open(&dir.path().join("ledger")).unwrap();
        let restored =
            crate::Event::Restored { taken: NOW, known_until: NOW, unconfirmed: true, lives: 1 << 50 };
        let draft = ledger.draft(NOW, "test", vec![restored]).unwrap();
        let mut state = fold(None, &entries);
        state.apply(&ledger.append(draft).unwrap()).unwrap();
        assert_eq!(state.registry.counts(keyward_ids::Kind::Device).unconfirmed, 2);
        snapshot::write(&ledger.snapshot_path(), ledger.end(), &state).unwrap();
        assert_eq!(snapshot::read(&ledger.snapshot_path()).unwrap().1, state);
        assert_eq!(replay(&ledger, &mut Vec::new()).unwrap(), state);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_snapshot_and_what_follows_it_give_the_state_of_the_whole_ledger(
            commands in proptest::collection::vec((0u8..19, 0u8..3), 1..24),
            cut in any::<prop::sample::Index>(),
        ) {
            let closed = std::fs::Permissions::from_mode(0o700);
            let dir = tempfile::Builder::new().permissions(closed).tempdir().unwrap();
            let entries = ledger_of(&commands, dir.path());
            let (before, after) = entries.split_at(1 + cut.index(entries.len()));
            let early = fold(None, before);
            let path = dir.path().join("snapshot");
            let position = Position { sequence: early.registry.revision(), ..Position::START };
            snapshot::write(&path, position, &early).unwrap();
            let (read_position, read) = snapshot::read(&path).unwrap();
            prop_assert_eq!(read_position, position);
            prop_assert_eq!(&read, &early);
            prop_assert_eq!(fold(Some(read), after), fold(None, &entries));
        }
    }
}
