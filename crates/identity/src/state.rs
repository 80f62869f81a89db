//! The state of an installation, and how each event changes it. Nothing else changes it.

use crate::{
    account::{Account, CertificateRecord, Standing},
    agreement_key::HeldAgreementKey,
    authority,
    clock::{ClockGuard, WallTime},
    events::{AuthorityCertificates, Event},
    groups::Groups,
    imported::ImportedCertificates,
    invitation::{Claimed, Conflict, Invitation},
    ledger::{AuditEntry, LedgerError},
    maintenance::{Maintenance, Window},
    message_key::HeldMessageKey,
    names::{NameOrigin, ServerName, ServerNames},
    place::{Moved, Place},
    quarantine::Quarantine,
    registry::Registry,
    second_holder::FoundHolder,
    server_keys::ServerKeys,
    wire,
};
use keyward_ids::{Identity, KeyId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod server_keys;
mod trust;

/// Holds everything that the ledger tells. Cheap to clone: the registry is shared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) registry: Arc<Registry>,
    pub(crate) created: WallTime,
    pub(crate) authorities: Arc<AuthorityCertificates>,
    #[serde(with = "wire::text")]
    pub(crate) server_key: KeyId,
    pub(crate) server_names: ServerNames,
    pub(crate) server_certificate: Option<ServerCertificate>,
    /// Certificates of this server that other authorities made.
    #[serde(default)]
    pub(crate) imported: ImportedCertificates,
    /// The keys of the server that devices believe.
    #[serde(default)]
    pub(crate) server_keys: ServerKeys,
    /// Groups whose members share a key.
    #[serde(default)]
    pub(crate) groups: Arc<Groups>,
    /// Where somebody works.
    #[serde(default)]
    pub(crate) maintenance: Maintenance,
    pub(crate) clock: ClockGuard,
    /// What lives are counted from: drawn anew by each restore, which makes it the mark of a ledger's branch too.
    pub(crate) lives: u64,
}

/// Holds the server's certificate as the ledger has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerCertificate {
    pub(crate) record: CertificateRecord,
    pub(crate) names: Vec<ServerName>,
    #[serde(with = "wire::base64")]
    pub(crate) der: Vec<u8>,
}

fn doubt(account: &mut Account, entry: &AuditEntry) {
    account.standing = Standing::Unconfirmed { restored: entry.at };
    account.epoch = entry.sequence;
}

/// Changes which doors the password opens; links that it opened are to be closed. A password that crossed networks in clear
/// ends with the mark.
fn mark(account: &mut Account, entry: &AuditEntry, plain: bool) {
    account.plain = plain;
    if !plain {
        account.password = None;
    }
    account.epoch = entry.sequence;
}

/// Who was disabled by an operator meanwhile stays so.
fn confirm(account: &mut Account) {
    if matches!(account.standing, Standing::Unconfirmed { .. }) {
        account.standing = Standing::Active;
    }
}

/// Says what an event refers to that no event before it made.
pub(super) struct Unknown(String);

impl State {
    /// Makes the state from the first record.
    pub(crate) fn begin(first: &AuditEntry) -> Result<Self, LedgerError> {
        let Some(Event::Initialised { installation, authorities, server_key }) = first.events.first() else {
            let what = "the first event does not make an installation".to_owned();
            return Err(LedgerError::Senseless { sequence: first.sequence, what });
        };
        let mut state = Self {
            registry: Arc::new(Registry::new(installation.clone())),
            created: first.at,
            authorities: Arc::new(authorities.clone()),
            server_key: *server_key,
            server_names: ServerNames::default(),
            server_certificate: None,
            imported: ImportedCertificates::default(),
            server_keys: ServerKeys::default(),
            groups: Arc::default(),
            maintenance: Maintenance::default(),
            clock: ClockGuard::default(),
            lives: 0,
        };
        state.apply(first)?;
        Ok(state)
    }

    /// Applies one record.
    ///
    /// # Errors
    /// [`LedgerError::Senseless`] if it refers to something that does not exist; the state is then not to be used.
    pub(crate) fn apply(&mut self, entry: &AuditEntry) -> Result<(), LedgerError> {
        self.clock.observe(entry.at);
        for event in &entry.events {
            self.apply_event(entry, event).map_err(|Unknown(what)| LedgerError::Senseless {
                sequence: entry.sequence,
                what: format!("there is no {what}"),
            })?;
        }
        Arc::make_mut(&mut self.registry).set_revision(entry.sequence);
        Ok(())
    }

    fn apply_event(&mut self, entry: &AuditEntry, event: &Event) -> Result<(), Unknown> {
        match event {
            Event::Initialised { .. } | Event::ConfigChanged { .. } => {}
            Event::ServerNamesFound { names } => self.server_names.refind(names),
            Event::ServerNameAdded { name } => self.server_names.set(name.clone(), NameOrigin::Added),
            Event::ServerNameRemoved { name } => self.server_names.set(name.clone(), NameOrigin::Hidden),
            Event::ServerCertificateIssued { certificate, names, der } => {
                let (record, names, der) = (certificate.clone(), names.clone(), der.clone());
                self.server_certificate = Some(ServerCertificate { record, names, der });
            }
            Event::ServerCertificateImported { name, certificate } => {
                self.imported.insert(name.clone(), certificate.clone());
            }
            Event::ServerCertificateRemoved { name } => drop(self.imported.remove(name)),
            Event::ClockAccepted { clock } => self.clock.accept(*clock),
            Event::KeyReleased { key, .. } => Arc::make_mut(&mut self.registry).release_key(key),
            Event::Added { .. } => self.add(entry, event),
            Event::CertificateIssued { identity, certificate } => {
                self.change(identity, |account| account.certificates.push(certificate.clone()))?;
                Arc::make_mut(&mut self.registry).record_issued(identity, certificate.clone());
            }
            Event::Invited { identity, code, expires, replace, endorsement } => {
                let invitation = Invitation::new(code.clone(), *expires, *replace, *endorsement);
                self.change(identity, |account| account.invitation = Some(invitation))?;
            }
            Event::Uninvited { identity } => self.change(identity, |account| account.invitation = None)?,
            Event::Claimed { identity, key, serial } => self.change(identity, |account| {
                if let Some(invitation) = &mut account.invitation {
                    let (at, key, serial) = (entry.at, *key, serial.clone());
                    invitation.claimed = Some(Claimed { at, key, serial });
                }
            })?,
            Event::ClaimConflicted { identity, key } => self.change(identity, |account| {
                if let Some(invitation) = &mut account.invitation {
                    invitation.conflict = Some(Conflict { at: entry.at, key: *key });
                }
            })?,
            Event::CertificateWithdrawn { identity, serial, unused } => self.change(identity, |account| {
                account.certificates.retain(|held| held.serial != *serial);
                if !unused {
                    account.epoch = entry.sequence;
                }
            })?,
            Event::PasswordSet { identity, record, exposed } => self.change(identity, |account| {
                account.password_exposed = *exposed;
                if account.password.replace(record.clone()).is_some() {
                    account.epoch = entry.sequence;
                }
            })?,
            Event::PasswordRehashed { identity, record } => {
                self.change(identity, |account| account.password = Some(record.clone()))?;
            }
            Event::PasswordWithdrawn { identity } => self.change(identity, |account| {
                account.password = None;
                account.epoch = entry.sequence;
            })?,
            Event::MessageKeyRegistered { identity, key, endorsement } => {
                self.change(identity, |account| {
                    let held = account.message_keys.iter_mut().find(|held| held.key.kid() == key.kid());
                    if let Some(held) = held {
                        (held.key, held.endorsement) = (key.clone(), endorsement.clone());
                        return;
                    }
                    account.message_keys.push(HeldMessageKey {
                        key: key.clone(),
                        registered: entry.at,
                        until: None,
                        awaits: None,
                        endorsement: endorsement.clone(),
                        second_holder: None,
                    });
                })?;
                Arc::make_mut(&mut self.registry).record_key(identity, key.id());
            }
            Event::SecondHolderFound { identity, kid, evidence } => self.change(identity, |account| {
                let keys = account.message_keys.iter_mut().filter(|held| held.key.kid() == *kid);
                let found = FoundHolder { at: entry.at, evidence: evidence.clone() };
                keys.for_each(|held| held.second_holder = Some(found.clone()));
            })?,
            Event::AgreementKeyRegistered { identity, key } => {
                let held =
                    HeldAgreementKey { key: key.clone(), registered: entry.at, until: None, awaits: None };
                self.change(identity, |account| account.agreement_keys.push(held))?;
                Arc::make_mut(&mut self.registry).record_key(identity, key.id());
            }
            Event::MessageKeyAwaits { identity, kid, serial } => self.change(identity, |account| {
                let signing = account.message_keys.iter_mut().filter(|held| held.key.kid() == *kid);
                signing.for_each(|held| held.awaits = Some(serial.clone()));
                let agreeing = account.agreement_keys.iter_mut().filter(|held| held.key.kid() == *kid);
                agreeing.for_each(|held| held.awaits = Some(serial.clone()));
            })?,
            Event::MessageKeyRetired { identity, kid, until } => self.change(identity, |account| {
                let signing = account.message_keys.iter_mut().filter(|held| held.key.kid() == *kid);
                // It is dealt with; whoever goes on with the key until then is found again.
                signing.for_each(|held| (held.until, held.second_holder) = (Some(*until), None));
                let agreeing = account.agreement_keys.iter_mut().filter(|held| held.key.kid() == *kid);
                agreeing.for_each(|held| held.until = Some(*until));
            })?,
            Event::MessageKeyWithdrawn { identity, kid } => self.change(identity, |account| {
                account.message_keys.retain(|held| held.key.kid() != *kid);
                account.agreement_keys.retain(|held| held.key.kid() != *kid);
            })?,
            Event::InstallationKeyMade { .. }
            | Event::CommandKeyMade { .. }
            | Event::CommandKeyRetired { .. }
            | Event::CommandKeyRemoved { .. }
            | Event::KeySetSigned { .. }
            | Event::CommandSigned { .. }
            | Event::GroupMessageSigned { .. }
            | Event::CommandNumbersReserved { .. } => self.server_keys.apply(entry.at, event),
            Event::GroupKeyShown { .. } => {}
            Event::GroupCreated { group, .. }
            | Event::GroupMemberAdded { group, .. }
            | Event::GroupMemberRemoved { group, .. }
            | Event::GroupRotated { group, .. }
            | Event::GroupEpochsEnded { group, .. }
            | Event::GroupDeleted { group } => {
                let applied = Arc::make_mut(&mut self.groups).apply(entry.at, event);
                applied.ok_or_else(|| Unknown(format!("group {group}")))?;
            }
            Event::AuthorityTrusted { .. }
            | Event::AuthorityRevocationsSet { .. }
            | Event::AuthorityConfirmed { .. }
            | Event::AuthorityDistrusted { .. }
            | Event::NameBound { .. }
            | Event::NameUnbound { .. } => self.apply_trust(entry, event)?,
            Event::MarkedPlain { identity } => self.change(identity, |account| mark(account, entry, true))?,
            Event::UnmarkedPlain { identity } => {
                self.change(identity, |account| mark(account, entry, false))?;
            }
            Event::Disabled { identity } => self.change(identity, |account| {
                account.standing = Standing::Disabled;
                account.epoch = entry.sequence;
            })?,
            Event::Enabled { identity } => {
                self.change(identity, |account| account.standing = Standing::Active)?;
            }
            Event::Quarantined { identity, by, because } => self.change(identity, |account| {
                // Its links stay: they are how it can be reached.
                let (since, by, because) = (entry.at, *by, because.clone());
                account.quarantine = Some(Quarantine { since, by, because });
            })?,
            Event::Released { identity } => self.change(identity, |account| {
                account.quarantine = None;
                // It begins anew, with subscriptions and a will that were refused meanwhile.
                account.epoch = entry.sequence;
            })?,
            Event::Placed { identity, site, exposure, place } => self.change(identity, |account| {
                (account.site, account.exposure) = (site.clone(), *exposure);
                account.place = place.clone();
            })?,
            Event::MovedOnPurpose { identity, because } => self.change(identity, |account| {
                account.moved = Some(Moved { at: entry.at, because: because.clone() });
            })?,
            Event::MaintenanceBegun { scope, until, because } => {
                let (since, until, by) = (entry.at, *until, entry.actor.clone());
                self.maintenance.begin(scope.clone(), Window { since, until, by, because: because.clone() });
            }
            Event::MaintenanceEnded { scope } => self.maintenance.end(scope),
            Event::Restored { unconfirmed, lives, .. } => {
                self.lives = *lives;
                self.server_keys.doubt();
                self.doubt_authorities();
                Arc::make_mut(&mut self.groups).restore(entry.at);
                self.void_codes();
                self.maintenance.end_all();
                if *unconfirmed {
                    self.doubt_all(entry);
                }
            }
            Event::Unconfirmed { identity } => self.change(identity, |account| doubt(account, entry))?,
            Event::Confirmed { identity } => self.change(identity, confirm)?,
            Event::AllConfirmed => self.change_all(confirm),
            Event::Revoked { identity, keep_messages, publish_will } => {
                let (keep_messages, publish_will) = (*keep_messages, *publish_will);
                self.end(identity, entry.sequence, Standing::Revoked { keep_messages, publish_will })?;
            }
            Event::Removed { identity } => self.end(identity, entry.sequence, Standing::Removed)?,
        }
        Ok(())
    }

    fn add(&mut self, entry: &AuditEntry, event: &Event) {
        let Event::Added { identity, device_type, site, exposure, chip, machine_chosen, note } = event else {
            return;
        };
        Arc::make_mut(&mut self.registry).put(Account {
            identity: identity.clone(),
            device_type: device_type.clone(),
            site: site.clone(),
            exposure: *exposure,
            place: Place::default(),
            moved: None,
            chip: *chip,
            standing: Standing::Active,
            life: self.lives.saturating_add(entry.sequence),
            epoch: entry.sequence,
            machine_chosen: *machine_chosen,
            plain: false,
            certificates: Vec::new(),
            password: None,
            password_exposed: false,
            bound_names: Vec::new(),
            message_keys: Vec::new(),
            agreement_keys: Vec::new(),
            invitation: None,
            quarantine: None,
            created: entry.at,
            note: note.clone(),
        });
    }

    /// Takes all credentials away for good.
    fn end(&mut self, identity: &Identity, epoch: u64, standing: Standing) -> Result<(), Unknown> {
        if self.groups.of(identity).next().is_some() {
            Arc::make_mut(&mut self.groups).forget(identity);
        }
        self.change(identity, |account| {
            account.standing = standing;
            account.plain = false;
            account.certificates.clear();
            account.password = None;
            account.bound_names.clear();
            account.message_keys.clear();
            account.agreement_keys.clear();
            account.invitation = None;
            account.quarantine = None;
            account.epoch = epoch;
        })
    }

    pub(super) fn change(
        &mut self,
        identity: &Identity,
        change: impl FnOnce(&mut Account),
    ) -> Result<(), Unknown> {
        let registry = Arc::make_mut(&mut self.registry);
        let account = registry.find(identity).ok_or_else(|| Unknown(identity.to_string()))?;
        let mut account = Account::clone(account);
        change(&mut account);
        registry.put(account);
        Ok(())
    }

    /// Lets nobody act who could, until confirmed.
    fn doubt_all(&mut self, entry: &AuditEntry) {
        self.change_all(|account| {
            if account.is_active() {
                doubt(account, entry);
            }
        });
    }

    /// Voids every claim code: which were used in records that are lost, nobody knows.
    fn void_codes(&mut self) {
        let registry = Arc::make_mut(&mut self.registry);
        let invited: Vec<Arc<Account>> =
            registry.accounts().filter(|account| account.invitation.is_some()).cloned().collect();
        for account in invited {
            registry.put(Account { invitation: None, ..Arc::unwrap_or_clone(account) });
        }
    }

    fn change_all(&mut self, change: impl Fn(&mut Account)) {
        let registry = Arc::make_mut(&mut self.registry);
        let concerned = |account: &&Arc<Account>| {
            matches!(account.standing, Standing::Active | Standing::Unconfirmed { .. })
        };
        let accounts: Vec<Arc<Account>> = registry.accounts().filter(concerned).cloned().collect();
        for account in accounts {
            let mut account = Arc::unwrap_or_clone(account);
            change(&mut account);
            registry.put(account);
        }
    }

    /// Tells whether `key` belongs to an authority or to the server.
    pub(crate) fn is_own_key(&self, key: &KeyId) -> bool {
        *key == self.server_key || self.authorities.keys().contains(key) || self.server_keys.holds(key)
    }

    /// Tells whether a certificate with this serial number exists.
    pub(crate) fn is_serial_used(&self, serial: &keyward_ids::CertSerial) -> bool {
        self.registry.is_serial_used(serial)
            || authority::Role::ALL
                .iter()
                .filter_map(|role| authority::inspect(self.authorities.of(*role)))
                .any(|record| record.serial == *serial)
    }
}
