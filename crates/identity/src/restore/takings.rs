//! What was taken away, gathered from records or from a list, and turned into events again.

use super::report::Applied;
use super::takings_of_authorities::{TakenOfAuthority, Withdrawals};
use crate::{
    account::{Account, Standing},
    clock::WallTime,
    cose_key::Kid,
    events::Event,
    ledger::AuditEntry,
    quarantine::QuarantinedBy,
    state::State,
    trusted::{BoundName, LocalName},
};
use keyward_ids::{CertSerial, GroupId, Identity};
use std::collections::BTreeMap;

/// Says what was taken away from an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    Removed,
    Revoked {
        keep_messages: bool,
        publish_will: bool,
    },
    Disabled,
    Unconfirmed,
    /// It was put into quarantine.
    Freedom {
        by: QuarantinedBy,
        because: String,
    },
    Password,
    /// The mark `plain` was set or cleared: either takes a door away from the password.
    Mark {
        plain: bool,
    },
    Certificate(CertSerial),
    MessageKey(Kid),
    /// A message key is accepted until then only.
    MessageKeyAfter {
        kid: Kid,
        until: WallTime,
    },
    /// It is no member of a group any more.
    Membership(GroupId),
    /// A common name in certificates of a trusted authority stands for it no more.
    Name {
        authority: LocalName,
        common_name: String,
    },
}

/// Names a record: its number, and the branch of the ledger that it stands on (what the last restore before it drew, 0
/// before the first).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) branch: u64,
}

/// Is one thing taken away, by which record. Without a record a person wrote it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taking {
    pub(super) taken: Taken,
    pub(super) record: Option<Record>,
}

/// Holds what was taken away from each identity, in the order of its records, and from trusted authorities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Takings {
    pub(super) identities: BTreeMap<Identity, Vec<Taking>>,
    pub(super) authorities: Withdrawals,
}

/// Says how far a ledger reaches: its branches, each with the last record on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reach(Vec<Record>);

impl Reach {
    /// Goes on by a record of the branch that the state before it was on.
    pub(super) fn extend(&mut self, number: u64, branch: u64) {
        match self.0.last_mut() {
            Some(last) if last.branch == branch => last.number = number,
            _ => self.0.push(Record { number, branch }),
        }
    }

    /// Tells whether a record is one of this ledger.
    pub(super) fn holds(&self, record: Record) -> bool {
        self.0.iter().any(|last| last.branch == record.branch && record.number <= last.number)
    }
}

impl Taking {
    fn is_quarantine(&self) -> bool {
        matches!(self.taken, Taken::Freedom { .. })
    }
}

impl Takings {
    /// Adds what a record takes away, which stands on `branch`. What it gives ends what was taken only for a time.
    pub(super) fn note(&mut self, entry: &AuditEntry, branch: u64) {
        let record = Some(Record { number: entry.sequence, branch });
        // The first password of an identity takes nothing away.
        let mut added = None;
        for event in &entry.events {
            let mut take = |identity: &Identity, taken: Taken| {
                self.take(identity, Taking { taken, record });
            };
            match event {
                Event::Added { identity, .. } => added = Some(identity),
                Event::Removed { identity } => take(identity, Taken::Removed),
                Event::Revoked { identity, keep_messages, publish_will } => {
                    let (keep_messages, publish_will) = (*keep_messages, *publish_will);
                    take(identity, Taken::Revoked { keep_messages, publish_will });
                }
                Event::Disabled { identity } => take(identity, Taken::Disabled),
                Event::Unconfirmed { identity } => take(identity, Taken::Unconfirmed),
                Event::Quarantined { identity, by, because } => {
                    take(identity, Taken::Freedom { by: *by, because: because.clone() });
                }
                Event::Released { identity } => {
                    let takings = self.identities.get_mut(identity);
                    takings.into_iter().for_each(|takings| takings.retain(|earlier| !earlier.is_quarantine()));
                }
                Event::PasswordSet { identity, .. } if added == Some(identity) => {}
                Event::PasswordSet { identity, .. } | Event::PasswordWithdrawn { identity } => {
                    take(identity, Taken::Password);
                }
                Event::MarkedPlain { identity } if added == Some(identity) => {}
                Event::MarkedPlain { identity } => take(identity, Taken::Mark { plain: true }),
                Event::UnmarkedPlain { identity } => {
                    take(identity, Taken::Password);
                    take(identity, Taken::Mark { plain: false });
                }
                Event::CertificateWithdrawn { identity, serial, .. } => {
                    take(identity, Taken::Certificate(serial.clone()));
                }
                Event::MessageKeyWithdrawn { identity, kid } => take(identity, Taken::MessageKey(*kid)),
                Event::MessageKeyRetired { identity, kid, until } => {
                    take(identity, Taken::MessageKeyAfter { kid: *kid, until: *until });
                }
                Event::GroupMemberRemoved { group, identity } => {
                    take(identity, Taken::Membership(group.clone()));
                }
                Event::GroupMemberAdded { group, identity } => {
                    self.give(identity, &Taken::Membership(group.clone()));
                }
                Event::Enabled { identity } => self.give(identity, &Taken::Disabled),
                Event::Confirmed { identity } => self.give(identity, &Taken::Unconfirmed),
                Event::AllConfirmed => {
                    self.identities.values_mut().for_each(|takings| drop_of(takings, &Taken::Unconfirmed));
                }
                Event::NameUnbound { identity, authority, common_name } => {
                    let (authority, common_name) = (authority.clone(), common_name.clone());
                    take(identity, Taken::Name { authority, common_name });
                }
                Event::AuthorityDistrusted { name } => {
                    self.authorities.take(name, TakenOfAuthority::Trust, record);
                }
                Event::AuthorityRevocationsSet { name, revocations } => {
                    let lists = Some(revocations.clone());
                    self.authorities.take(name, TakenOfAuthority::List(lists), record);
                }
                // An identity that is unconfirmed since then is asked for by its standing.
                Event::Restored { .. }
                | Event::Initialised { .. }
                | Event::ServerNamesFound { .. }
                | Event::ServerNameAdded { .. }
                | Event::ServerNameRemoved { .. }
                | Event::ServerCertificateIssued { .. }
                | Event::ServerCertificateImported { .. }
                | Event::ServerCertificateRemoved { .. }
                // Where it stands takes nothing away, and a restore closes every maintenance window.
                | Event::Placed { .. }
                | Event::MovedOnPurpose { .. }
                | Event::MaintenanceBegun { .. }
                | Event::MaintenanceEnded { .. }
                | Event::CertificateIssued { .. }
                | Event::MessageKeyRegistered { .. }
                | Event::SecondHolderFound { .. }
                | Event::AgreementKeyRegistered { .. }
                | Event::MessageKeyAwaits { .. }
                // A restored ledger gives every group another key.
                | Event::GroupCreated { .. }
                | Event::GroupRotated { .. }
                | Event::GroupEpochsEnded { .. }
                | Event::GroupKeyShown { .. }
                | Event::GroupDeleted { .. }
                // A restore voids every claim code.
                | Event::Invited { .. }
                | Event::Uninvited { .. }
                | Event::Claimed { .. }
                | Event::ClaimConflicted { .. }
                | Event::PasswordRehashed { .. }
                // A restored ledger uses no trusted authority until an operator confirms it.
                | Event::AuthorityTrusted { .. }
                | Event::AuthorityConfirmed { .. }
                | Event::NameBound { .. }
                | Event::KeyReleased { .. }
                | Event::ClockAccepted { .. }
                | Event::ConfigChanged { .. }
                // A restore makes another command key in any case.
                | Event::InstallationKeyMade { .. }
                | Event::CommandKeyMade { .. }
                | Event::CommandKeyRetired { .. }
                | Event::CommandKeyRemoved { .. }
                | Event::KeySetSigned { .. }
                | Event::CommandSigned { .. }
                | Event::GroupMessageSigned { .. }
                | Event::CommandNumbersReserved { .. } => {}
            }
        }
    }

    /// Adds one thing; what it includes is forgotten.
    pub(super) fn take(&mut self, identity: &Identity, taking: Taking) {
        let takings = self.identities.entry(identity.clone()).or_default();
        match &taking.taken {
            Taken::Removed => takings.clear(),
            Taken::Revoked { .. } => takings.retain(|earlier| earlier.taken == Taken::Removed),
            Taken::Freedom { .. } => takings.retain(|earlier| !earlier.is_quarantine()),
            Taken::Mark { .. } => takings.retain(|earlier| !matches!(earlier.taken, Taken::Mark { .. })),
            Taken::MessageKey(kid) | Taken::MessageKeyAfter { kid, .. } => {
                takings.retain(
                    |earlier| !matches!(&earlier.taken, Taken::MessageKeyAfter { kid: of, .. } if of == kid),
                );
            }
            same => drop_of(takings, same),
        }
        takings.push(taking);
    }

    fn give(&mut self, identity: &Identity, taken: &Taken) {
        if let Some(takings) = self.identities.get_mut(identity) {
            drop_of(takings, taken);
        }
    }

    /// Adds the identities that are unconfirmed in a state.
    pub(super) fn take_unconfirmed(&mut self, state: &State) {
        let record = Some(Record { number: state.registry.revision(), branch: state.lives });
        for account in state.registry.accounts() {
            if matches!(account.standing, Standing::Unconfirmed { .. }) {
                self.take(&account.identity, Taking { taken: Taken::Unconfirmed, record });
            }
        }
    }

    /// Returns the events that take away from a state, which reaches so far, what it does not know of yet; counts them,
    /// and names the identities that it does not know at all.
    pub(super) fn events(&self, state: &State, reach: &Reach) -> (Vec<Event>, Applied, Vec<Identity>) {
        let (mut events, mut applied, mut strangers) = (Vec::new(), Applied::default(), Vec::new());
        for (identity, takings) in &self.identities {
            let is_news = |taking: &&Taking| !taking.record.is_some_and(|record| reach.holds(record));
            let news: Vec<&Taking> = takings.iter().filter(is_news).collect();
            let Some(account) = state.registry.find(identity) else {
                // One that was added and removed behind the backup is nobody's mistake.
                if news.iter().any(|taking| taking.record.is_none()) {
                    strangers.push(identity.clone());
                }
                continue;
            };
            for event in news.iter().filter_map(|taking| event(state, account, &taking.taken)) {
                applied.count(&event);
                let is_end = matches!(event, Event::Removed { .. } | Event::Revoked { .. });
                events.push(event);
                if is_end {
                    // What comes behind it concerns another life, or is included.
                    break;
                }
            }
        }
        (events, applied, strangers)
    }
}

fn drop_of(takings: &mut Vec<Taking>, taken: &Taken) {
    takings.retain(|earlier| earlier.taken != *taken);
}

/// Returns the event that takes something away from an account; `None` if it does not have it.
fn event(state: &State, account: &Account, taken: &Taken) -> Option<Event> {
    let identity = account.identity.clone();
    let is_there = account.standing != Standing::Removed;
    let may_return = !matches!(account.standing, Standing::Removed | Standing::Revoked { .. });
    match taken {
        Taken::Removed => is_there.then_some(Event::Removed { identity }),
        Taken::Revoked { keep_messages, publish_will } => {
            let (keep_messages, publish_will) = (*keep_messages, *publish_will);
            let is_so = account.standing == Standing::Revoked { keep_messages, publish_will };
            (is_there && !is_so).then_some(Event::Revoked { identity, keep_messages, publish_will })
        }
        Taken::Disabled => {
            (may_return && account.standing != Standing::Disabled).then_some(Event::Disabled { identity })
        }
        Taken::Unconfirmed => account.is_active().then_some(Event::Unconfirmed { identity }),
        Taken::Freedom { by, because } => {
            let (by, because) = (*by, because.clone());
            (may_return && account.quarantine.is_none()).then_some(Event::Quarantined {
                identity,
                by,
                because,
            })
        }
        Taken::Password => account.password.is_some().then_some(Event::PasswordWithdrawn { identity }),
        Taken::Mark { plain } if !may_return || account.plain == *plain => None,
        Taken::Mark { plain: true } => Some(Event::MarkedPlain { identity }),
        Taken::Mark { plain: false } => Some(Event::UnmarkedPlain { identity }),
        Taken::Certificate(serial) => {
            let is_held = account.certificates.iter().any(|held| held.serial == *serial);
            is_held.then(|| Event::CertificateWithdrawn { identity, serial: serial.clone(), unused: false })
        }
        Taken::MessageKey(kid) => {
            account.end_of_key(*kid).map(|_| Event::MessageKeyWithdrawn { identity, kid: *kid })
        }
        Taken::MessageKeyAfter { kid, until } => {
            let (kid, until) = (*kid, *until);
            let is_so = account.end_of_key(kid)?.is_some_and(|earlier| earlier <= until);
            (!is_so).then_some(Event::MessageKeyRetired { identity, kid, until })
        }
        Taken::Membership(group) => {
            let group = state.groups.get(group).filter(|group| group.members.contains_key(&identity))?;
            Some(Event::GroupMemberRemoved { group: group.name.clone(), identity })
        }
        Taken::Name { authority, common_name } => {
            let (authority, common_name) = (authority.clone(), common_name.clone());
            let is_bound =
                |bound: &BoundName| bound.authority == authority && bound.common_name == common_name;
            let is_held = account.bound_names.iter().any(is_bound);
            is_held.then_some(Event::NameUnbound { identity, authority, common_name })
        }
    }
}
